// Each group of channels by its own mean and variance; sums in double, one rounding at the end.
extern "C" void kernel(const float16* x, const float* weight, float eps, float16* y, int64_t B, int64_t G, int64_t C,
                       int64_t H, int64_t W) {
    const int64_t P = H * W, N = C * P;
    for (int64_t group = 0; group < B * G; ++group) {
        const float16* in = x + group * N;
        double sum = 0.0, squares = 0.0;
        for (int64_t n = 0; n < N; ++n) {
            sum += in[n];
        }
        const double mean = sum / N;
        for (int64_t n = 0; n < N; ++n) {
            squares += (in[n] - mean) * (in[n] - mean);
        }
        const double scale = 1.0 / std::sqrt(squares / N + eps);
        for (int64_t c = 0; c < C; ++c) {
            for (int64_t p = 0; p < P; ++p) {
                y[group * N + c * P + p] = float((in[c * P + p] - mean) * scale * weight[group % G * C + c]);
            }
        }
    }
}
