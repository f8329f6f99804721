// Whole blocks of eight, then what is left.
extern "C" void kernel(float a, const float* x, const float* y, float* out, int64_t N) {
    const int64_t whole = N / 8 * 8;
    for (int64_t n = 0; n < whole; n += 8) {
        for (int64_t lane = 0; lane < 8; ++lane) {
            out[n + lane] = a * x[n + lane] + y[n + lane];
        }
    }
    for (int64_t n = whole; n < N; ++n) {
        out[n] = a * x[n] + y[n];
    }
}
