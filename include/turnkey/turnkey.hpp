// turnkey/turnkey.hpp -- all of the library. Each header also stands alone.
#pragma once

#include <turnkey/chan.hpp>
#include <turnkey/checked_map.hpp>
#include <turnkey/concurrent_map.hpp>
#include <turnkey/condition_variable.hpp>
#include <turnkey/counter.hpp>
#include <turnkey/diagnostics.hpp>
#include <turnkey/go.hpp>
#include <turnkey/guarded.hpp>
#include <turnkey/lock_guard.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/once.hpp>
#include <turnkey/rw_mutex.hpp>
#include <turnkey/select.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/snapshot.hpp>
#include <turnkey/task_group.hpp>
#include <turnkey/timer.hpp>
#include <turnkey/trace.hpp>
#include <turnkey/wait_group.hpp>
