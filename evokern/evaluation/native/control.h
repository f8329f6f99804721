// The control page, shared by the judge and one worker. The only thing that a worker can say through it is "done",
// and saying it too early can only hurt the kernel: its outputs are then still poisoned.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace control {

// ARM_CHECK: as ARM_COLD, and the time of the calls that follow does not count.
enum Verb : int32_t { LOAD = 0, ARM_COLD = 1, ARM_HOT = 2, RUN = 3, ARM_CHECK = 4 };

struct Page {
    alignas(64) std::atomic<uint32_t> go;    // the judge counts its orders here ...
    alignas(64) std::atomic<uint32_t> done;  // ... and the worker the orders that it has carried out
    alignas(64) int32_t verb;
    int32_t first;  // the slots first .. first + count - 1 are meant
    int32_t count;
};
static_assert(sizeof(std::atomic<uint32_t>) == 4);

inline int64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

inline void sleep_while(std::atomic<uint32_t>& word, uint32_t value, const timespec* timeout) {
    syscall(SYS_futex, &word, FUTEX_WAIT, value, timeout, nullptr, 0);
}

inline void wake(std::atomic<uint32_t>& word) { syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0); }

// The worker's side: waits for order number `turn`. Spinning is for the moment between ARM and RUN only, so that the
// clock does not measure how long a sleeping core takes to wake up.
inline void await_order(Page& page, uint32_t turn, int64_t spin_ns) {
    const int64_t end = spin_ns > 0 ? now_ns() + spin_ns : 0;
    while (page.go.load(std::memory_order_acquire) != turn) {
        if (spin_ns > 0 && now_ns() < end) {
            __builtin_ia32_pause();
        } else {
            sleep_while(page.go, turn - 1, nullptr);
        }
    }
}

inline void say_done(Page& page, uint32_t turn) {
    page.done.store(turn, std::memory_order_release);
    wake(page.done);
}

}  // namespace control
