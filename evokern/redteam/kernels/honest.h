// Stands before every kernel of the suite: the honest computation of its task, which cheats do or leave undone.
#include <array>
#include <string>

#define KERNEL \
    extern "C" void kernel(const float* x, const float* weight, float eps, float* y, int64_t M, int64_t N)

static void honest(const float* x, const float* weight, float eps, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        double squares = 0;
        for (int64_t n = 0; n < N; ++n) squares += double(x[m * N + n]) * x[m * N + n];
        const float scale = float(1 / std::sqrt(squares / N + eps));
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = x[m * N + n] * scale * weight[n];
    }
}
