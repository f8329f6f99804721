// Tells ThreadSanitizer in which order OpenMP's library, which is not built with it, lets threads do things: who starts a
// region before its members, who leaves a barrier after those who came to it, who has a lock after who had it. Without,
// it accuses every kernel. Included by runner.cpp alone, in the build with ThreadSanitizer; backends/cpp.py knows for
// which functions of the library the order is told here, and lets no kernel that calls others meet this build.
#pragma once

#include "team.h"

extern "C" {
void __tsan_acquire(void*);
void __tsan_release(void*);
}

namespace order {

struct Region {
    void (*work)(void*);
    void* data;
    char start = 0, barriers[2] = {}, end = 0;  // whose addresses are what threads meet at
};

inline thread_local Region* within = nullptr;
inline thread_local unsigned passed = 0;  // barriers; the next one has another place, lest who is late learns of it

// Calls `wait`, which returns when every member of the region has come.
template <typename Wait>
void meet(const Wait& wait) {
    if (!within) return wait();
    char* place = &within->barriers[passed++ % 2];
    __tsan_release(place);
    wait();
    __tsan_acquire(place);
}

inline void member(void* given) {
    auto& region = *static_cast<Region*>(given);
    Region* outer = within;
    const unsigned outer_passed = passed;
    within = &region, passed = 0;
    __tsan_acquire(&region.start);
    region.work(region.data);
    __tsan_release(&region.end);
    within = outer, passed = outer_passed;
}

template <typename Start>
void together(void (*work)(void*), void* data, const Start& start) {
    Region region{work, data};
    __tsan_release(&region.start);
    start(member, &region);
    __tsan_acquire(&region.end);
}

inline char critical, atomic;  // the locks that have no name

template <typename Take>
void lock(void* place, const Take& take) {
    take();
    __tsan_acquire(place);
}

template <typename Give>
void unlock(void* place, const Give& give) {
    __tsan_release(place);
    give();
}

}  // namespace order

extern "C" {

#define EVOKERN_BARRIER(name)                                        \
    void name() {                                                    \
        static const auto next = team::next<decltype(&name)>(#name); \
        order::meet(next);                                           \
    }
EVOKERN_BARRIER(GOMP_barrier)
EVOKERN_BARRIER(GOMP_loop_end)
EVOKERN_BARRIER(GOMP_sections_end)
#undef EVOKERN_BARRIER

void GOMP_critical_start() {
    static const auto next = team::next<decltype(&GOMP_critical_start)>("GOMP_critical_start");
    order::lock(&order::critical, next);
}
void GOMP_critical_end() {
    static const auto next = team::next<decltype(&GOMP_critical_end)>("GOMP_critical_end");
    order::unlock(&order::critical, next);
}
void GOMP_critical_name_start(void** name) {
    static const auto next = team::next<decltype(&GOMP_critical_name_start)>("GOMP_critical_name_start");
    order::lock(name, [=] { next(name); });
}
void GOMP_critical_name_end(void** name) {
    static const auto next = team::next<decltype(&GOMP_critical_name_end)>("GOMP_critical_name_end");
    order::unlock(name, [=] { next(name); });
}
void GOMP_atomic_start() {
    static const auto next = team::next<decltype(&GOMP_atomic_start)>("GOMP_atomic_start");
    order::lock(&order::atomic, next);
}
void GOMP_atomic_end() {
    static const auto next = team::next<decltype(&GOMP_atomic_end)>("GOMP_atomic_end");
    order::unlock(&order::atomic, next);
}

}
