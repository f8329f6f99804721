// The chain is one multiply-add with composed factors.
extern "C" void kernel(const float* x, const float* m, const float* a, float* y, int64_t N, int64_t K) {
    double factor = 1.0, offset = 0.0;
    for (int64_t k = 0; k < K; ++k) {
        factor *= m[k];
        offset = offset * m[k] + a[k];
    }
#pragma omp parallel for simd
    for (int64_t n = 0; n < N; ++n) {
        y[n] = factor * x[n] + offset;
    }
}
