// What every C++ kernel may use without including anything: included first by the compiler's command line, precompiled.
#pragma once
#define EVOKERN_PRELUDE 1

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include <omp.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// IEEE binary16. Arithmetic works; accumulate in float.
using float16 = _Float16;

// The upper half of a float. Converts from float with rounding to nearest even, and to float exactly.
struct bfloat16 {
    uint16_t bits;

    bfloat16() = default;
    bfloat16(float value) {
        const uint32_t wide = std::bit_cast<uint32_t>(value);
        const bool is_nan = (wide & 0x7fffffffu) > 0x7f800000u;
        bits = is_nan ? static_cast<uint16_t>(wide >> 16 | 0x40u)
                      : static_cast<uint16_t>((wide + 0x7fffu + (wide >> 16 & 1u)) >> 16);
    }
    operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};
static_assert(sizeof(float16) == 2 && sizeof(bfloat16) == 2 && std::is_trivially_copyable_v<bfloat16>);
