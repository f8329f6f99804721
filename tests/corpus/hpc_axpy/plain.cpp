// out = a * x + y.
extern "C" void kernel(float a, const float* x, const float* y, float* out, int64_t N) {
    for (int64_t n = 0; n < N; ++n) {
        out[n] = a * x[n] + y[n];
    }
}
