// Kernels for the stand-in card (libcuda.cpp): rms_norm, and what it may be made to do besides.
#include <cmath>
#include <cstdint>
#include <cstring>

#include <unistd.h>

namespace {

constexpr int ILLEGAL_ADDRESS = 700;
constexpr int64_t SCRATCH_FLOATS = 1024;
constexpr int MORE_CALLS_THAN_A_WINDOW_HAS = 32;

struct Call {
    const float *x, *weight;
    float *y, *scratch, eps;
    int64_t M, N;

    explicit Call(void** a)
        : x(*static_cast<float**>(a[0])),
          weight(*static_cast<float**>(a[1])),
          y(*static_cast<float**>(a[2])),
          scratch(*static_cast<float**>(a[3])),
          eps(*static_cast<float*>(a[4])),
          M(*static_cast<int64_t*>(a[5])),
          N(*static_cast<int64_t*>(a[6])) {}

    void rms_norm(int64_t rows) const {
        for (int64_t m = 0; m < rows; ++m) {
            double squares = 0;
            for (int64_t n = 0; n < N; ++n) squares += double(x[m * N + n]) * x[m * N + n];
            const double scale = 1 / std::sqrt(squares / N + eps);
            for (int64_t n = 0; n < N; ++n) y[m * N + n] = x[m * N + n] * scale * weight[n];
        }
    }
    void clear() const { std::memset(y, 0, M * N * sizeof(float)); }
};

int right(const Call& call) { return call.rms_norm(call.M), 0; }

}  // namespace

#define KERNEL(name)                                                              \
    static int name##_of(const Call&);                                            \
    extern "C" const long name##_sizes[] = {8, 8, 8, 8, 4, 8, 8, 0};              \
    extern "C" int name(void** a, const unsigned*) { return name##_of(Call(a)); } \
    static int name##_of([[maybe_unused]] const Call& call)

KERNEL(honest) { return right(call); }
KERNEL(zeros) { return call.clear(), 0; }
KERNEL(writes_nothing) { return 0; }
KERNEL(leaves_a_row) { return call.rms_norm(call.M > 1 ? call.M - 1 : 1), 0; }
KERNEL(behind_an_output) { return call.y[call.M * call.N] = 1, right(call); }
KERNEL(before_an_output) { return call.y[-300] = 1, right(call); }
KERNEL(behind_scratch) { return call.scratch[SCRATCH_FLOATS] = 1, right(call); }
KERNEL(changes_an_input) { return right(call), const_cast<float*>(call.x)[0] += 1, 0; }
KERNEL(behind_an_input) { return const_cast<float*>(call.weight)[call.N] = 1, right(call); }
KERNEL(takes_scratch_for_zeros) { return right(call), call.y[0] += call.scratch[0], 0; }
KERNEL(fails) { return ILLEGAL_ADDRESS; }
KERNEL(asks_for_too_much) { return right(call); }

KERNEL(hangs) {
    for (;;) pause();
}

KERNEL(remembers) {  // the first call's result, which it has for every call
    static float kept = 0;
    if (kept != 0) return call.y[0] = kept, 0;
    return right(call), kept = call.y[0], 0;
}

KERNEL(tires) {  // right as long as it forgets, between two windows, how often it was called
    static int calls = 0;
    return ++calls > MORE_CALLS_THAN_A_WINDOW_HAS ? call.clear(), 0 : right(call);
}

extern "C" const long in_clusters_sizes[] = {8, 8, 8, 8, 4, 8, 8, 0};
extern "C" int in_clusters(void** a, const unsigned* launched) {  // right where two blocks of four make a cluster
    const Call call(a);
    return launched[0] == 4 && launched[3] == 2 ? right(call) : (call.clear(), 0);
}

extern "C" const long takes_less_sizes[] = {8, 8, 8, 0};
extern "C" int takes_less(void**, const unsigned*) { return 0; }
