// y[m, n] = sum over k of a[m, k] * b[k, n].
extern "C" void kernel(const float* a, const float* b, float* y, int64_t M, int64_t K, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) {
            float sum = 0.0f;
            for (int64_t k = 0; k < K; ++k) {
                sum += a[m * K + k] * b[k * N + n];
            }
            y[m * N + n] = sum;
        }
    }
}
