// The stack of another OS thread of this process, which runs or is blocked in the kernel.
//
// The thread is interrupted by SIGURG, as Go does it: nobody else sends that much, and programs ignore it. The handler is
// installed when it is first needed, and gives on what is not ours. The price: a system call that the thread waits in may
// return EINTR, where SA_RESTART does not apply (poll, epoll_wait, nanosleep, those with a timeout, and the like).
#pragma once

#include <cstdint>

#include "platform/stack_trace.hpp"

namespace turnkey::platform {

// False: it did not answer within 100 ms, because it has ended, blocks the signal or gets no CPU. Not in a signal handler.
bool take_frames_of_thread(std::int32_t thread, stack_frames& to) noexcept;

}  // namespace turnkey::platform
