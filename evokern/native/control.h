// The control page, shared by the judge and one worker, and the protocol between them.
//
// A worker stands stopped except while it carries out an order. It says "done" by stopping itself: every thread of it,
// by the system. So nothing is computed between "done" and the moment in which the clock is read, and whoever says it too
// early stops too early: its outputs are then still poisoned. Nothing that a worker writes on the page is believed.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#include <signal.h>
#include <unistd.h>

namespace control {

// PREPARE: what the calls on these slots need besides their inputs, which hold other content then. RUN_TOGETHER: as RUN,
// the threads of a region starting at one moment; for shapes at which nothing is ever timed.
enum Verb : int32_t { LOAD = 0, PREPARE_COLD = 1, PREPARE_HOT = 2, RUN = 3, RUN_TOGETHER = 4 };

struct Page {
    alignas(64) std::atomic<uint32_t> go;  // the judge counts its orders here
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

// The worker's side: stops this process, and returns once the judge has given order number `turn` and continued it.
inline void stop_until_order(const Page& page, uint32_t turn) {
    do kill(getpid(), SIGSTOP);
    while (page.go.load(std::memory_order_acquire) != turn);
}

}  // namespace control
