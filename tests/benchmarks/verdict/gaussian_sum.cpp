// All threads, a few rows at a time for whoever is free: computes, and reads hardly anything.
extern "C" void kernel(const float* x, const float* y, const float* b, float* out, int64_t N, int64_t M) {
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t n = 0; n < N; ++n) {
        double sum = 0.0;
        for (int64_t m = 0; m < M; ++m) {
            float square = 0.0f;
            for (int64_t d = 0; d < 3; ++d) {
                const float difference = x[n * 3 + d] - y[m * 3 + d];
                square += difference * difference;
            }
            sum += std::exp(-0.5f * square) * b[m];
        }
        out[n] = sum;
    }
}
