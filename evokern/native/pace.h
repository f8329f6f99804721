// How much of a core is left to us: what another thread of the same core takes shows in no clock of the system.
//
// A virtual machine owns hyperthreads, and whoever owns the other one of a core takes from whatever computes there up to
// a third, from what waits for its own results nothing. So two loops are timed: one that fills every slot of the core,
// one that waits for itself. Their quotient knows no clock rate, and is least where the core is ours alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "control.h"

namespace pace {

constexpr int REPEATS = 3;  // the fastest of each counts: whoever only interrupts us is not meant
constexpr int WAITING_STEPS = 8000, FILLING_STEPS = 6000;  // 9 and 30 us at 3 GHz

inline int64_t waiting_ns() {
    const int64_t start = control::now_ns();
    uint64_t value = 1;
    for (int i = 0; i < WAITING_STEPS; ++i) {
        value *= 3;
        asm volatile("" : "+r"(value));
        value ^= 5;
        asm volatile("" : "+r"(value));
    }
    return control::now_ns() - start;
}

#ifdef __AVX__
using Lanes = float __attribute__((vector_size(32)));
#else
using Lanes = float __attribute__((vector_size(16)));
#endif

inline int64_t filling_ns() {
    const Lanes factor = Lanes{} + 0.999f, summand = Lanes{} + 0.001f;
    Lanes sums[12];
    uint64_t words[4] = {1, 2, 3, 4};
    for (int j = 0; j < 12; ++j) sums[j] = Lanes{} + static_cast<float>(j);
    const int64_t start = control::now_ns();
    for (int i = 0; i < FILLING_STEPS; ++i) {
#pragma GCC unroll 12
        for (auto& sum : sums) {
            sum = sum * factor + summand;
            asm volatile("" : "+x"(sum));
        }
#pragma GCC unroll 4
        for (auto& word : words) {
            word += 7;
            asm volatile("" : "+r"(word));
            word ^= static_cast<uint64_t>(i);
            asm volatile("" : "+r"(word));
            word += 9;
            asm volatile("" : "+r"(word));
        }
    }
    return control::now_ns() - start;
}

// Time to fill a core over time to wait on it.
inline double quotient() {
    int64_t waited = INT64_MAX, filled = INT64_MAX;
    for (int i = 0; i < REPEATS; ++i) {
        waited = std::min(waited, waiting_ns());
        filled = std::min(filled, filling_ns());
    }
    return static_cast<double>(filled) / static_cast<double>(std::max<int64_t>(waited, 1));
}

}  // namespace pace
