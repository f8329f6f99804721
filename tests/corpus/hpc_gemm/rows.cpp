// A row of C at a time, in float, so that the inner loop runs along B; rows are shared among threads.
extern "C" void kernel(const float* A, const float* B, float* C, int64_t M, int64_t K, int64_t N) {
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; ++m) {
        float* row = C + m * N;
        std::fill(row, row + N, 0.0f);
        for (int64_t k = 0; k < K; ++k) {
            const float a = A[m * K + k];
            for (int64_t n = 0; n < N; ++n) {
                row[n] += a * B[k * N + n];
            }
        }
    }
}
