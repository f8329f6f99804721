// y = gelu(x + bias) + residual, with the exact gelu(v) = v / 2 * (1 + erf(v / sqrt(2))).
extern "C" void kernel(const float* x, const float* bias, const float* residual, float* y, int64_t M, int64_t N) {
    const float inverse_root_two = 0.70710678f;
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) {
            const float v = x[m * N + n] + bias[n];
            y[m * N + n] = 0.5f * v * (1.0f + std::erf(v * inverse_root_two)) + residual[m * N + n];
        }
    }
}
