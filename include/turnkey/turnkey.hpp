// turnkey/turnkey.hpp -- all of the library. Each header also stands alone.
#pragma once

#include <turnkey/condition_variable.hpp>
#include <turnkey/diagnostics.hpp>
#include <turnkey/go.hpp>
#include <turnkey/lock_guard.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/once.hpp>
#include <turnkey/rw_mutex.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/task_group.hpp>
#include <turnkey/wait_group.hpp>
