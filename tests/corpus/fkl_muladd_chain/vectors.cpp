// Sixteen elements at a time through the chain, then what is left.
extern "C" void kernel(const float* x, const float* m, const float* a, float* y, int64_t N, int64_t K) {
    const int64_t whole = N / 16 * 16;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < whole; n += 16) {
        float values[16];
        std::copy_n(x + n, 16, values);
        for (int64_t k = 0; k < K; ++k) {
            for (float& value : values) {
                value = std::fma(value, m[k], a[k]);
            }
        }
        std::copy_n(values, 16, y + n);
    }
    for (int64_t n = whole; n < N; ++n) {
        float value = x[n];
        for (int64_t k = 0; k < K; ++k) {
            value = std::fma(value, m[k], a[k]);
        }
        y[n] = value;
    }
}
