// K multiply-adds, one after the other, for each element.
extern "C" void kernel(const float* x, const float* m, const float* a, float* y, int64_t N, int64_t K) {
    for (int64_t n = 0; n < N; ++n) {
        float value = x[n];
        for (int64_t k = 0; k < K; ++k) {
            value = value * m[k] + a[k];
        }
        y[n] = value;
    }
}
