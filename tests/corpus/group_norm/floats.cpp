// Groups shared among threads, in float: the mean of squares of what is centred already.
extern "C" void kernel(const float16* x, const float* weight, float eps, float16* y, int64_t B, int64_t G, int64_t C,
                       int64_t H, int64_t W) {
    const int64_t P = H * W, N = C * P;
#pragma omp parallel for schedule(static)
    for (int64_t group = 0; group < B * G; ++group) {
        std::vector<float> own(x + group * N, x + group * N + N);
        float sum = 0.0f, squares = 0.0f;
        for (int64_t n = 0; n < N; ++n) {
            sum += own[n];
        }
        for (int64_t n = 0; n < N; ++n) {
            own[n] -= sum / N;
            squares += own[n] * own[n];
        }
        const float scale = 1.0f / std::sqrt(squares / N + eps);
        for (int64_t n = 0; n < N; ++n) {
            y[group * N + n] = own[n] * scale * weight[group % G * C + n / P];
        }
    }
}
