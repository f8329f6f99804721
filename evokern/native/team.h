// Starts the threads of a parallel region at one moment where nothing is timed, so that races show.
//
// A thread sleeps until the region needs it. By the time it wakes up, the first one has done its own share of a small
// check shape: whatever both of them write, they write one after the other, and a race computes the right thing. Included
// by runner.cpp alone: what it defines stands before the functions of OpenMP's library that GCC's kernels call.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <dlfcn.h>
#include <omp.h>

#include "control.h"

namespace team {

constexpr int64_t PATIENCE_NS = 300'000;  // for the threads of one region to be there, however busy the cores are ...
constexpr int64_t WINDOW_NS = 1'000'000;  // ... and for all regions of one window
constexpr int64_t PRESENT_NS = 500;       // times the threads: who said so within this time runs now
constexpr int MOST = 256;                 // threads

inline std::atomic<int64_t> left_ns{0};  // what may still be waited

struct alignas(64) Stamp {
    std::atomic<int64_t> at{0};
};

class Team {
  public:
    Team(void (*work)(void*), void* data) : work_(work), data_(data) {}

    static void member(void* team) { static_cast<Team*>(team)->run(); }

  private:
    void run() {
        const int own = omp_get_thread_num(), count = omp_get_num_threads();
        if (count > 1 && count <= MOST) meet(own, count);
        if (own == 0) left_ns -= control::now_ns() - start_;
        work_(data_);
    }

    // Each says again and again that it is there; the first to see all of them at once lets everyone go.
    void meet(int own, int count) {
        for (int64_t now = start_; now < end_ && !go_.load(std::memory_order_acquire);) {
            now = control::now_ns();
            stamps_[own].at.store(now, std::memory_order_relaxed);
            const int64_t recent = now - count * PRESENT_NS;
            int present = 0;
            while (present < count && stamps_[present].at.load(std::memory_order_relaxed) >= recent) ++present;
            if (present == count) go_.store(true, std::memory_order_release);
        }
    }

    void (*work_)(void*);
    void* data_;
    const int64_t start_ = control::now_ns(), end_ = start_ + std::min(PATIENCE_NS, left_ns.load());
    std::atomic<bool> go_{false};
    Stamp stamps_[MOST];
};

template <typename Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// Calls `start` with what the team does; within another region, and once the window's patience is at an end, with `work`.
template <typename Start>
void together(void (*work)(void*), void* data, const Start& start) {
    if (left_ns <= 0 || omp_in_parallel()) return start(work, data);
    Team team(work, data);
    start(Team::member, &team);
}

}  // namespace team
