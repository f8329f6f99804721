// The scale once a group of 32; eight weights of a word at a time, columns shared among threads.
extern "C" void kernel(const float16* A, const int32_t* packed, const float16* scale, float16* C, int64_t M, int64_t K,
                       int64_t N) {
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; ++n) {
        std::vector<float> column(K), sums(M, 0.0f);
        for (int64_t word = 0; word < K / 8; ++word) {
            uint32_t bits = packed[word * N + n];
            for (int64_t j = 0; j < 8; ++j) {
                column[8 * word + j] = float(bits & 15) - 8.0f;
                bits >>= 4;
            }
        }
        for (int64_t m = 0; m < M; ++m) {
            for (int64_t group = 0; group < K / 32; ++group) {
                float part = 0.0f;
                for (int64_t k = group * 32; k < group * 32 + 32; ++k) {
                    part += float(A[m * K + k]) * column[k];
                }
                sums[m] += part * float(scale[group * N + n]);
            }
            C[m * N + n] = sums[m];
        }
    }
}
