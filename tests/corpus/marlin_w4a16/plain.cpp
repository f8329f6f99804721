// Each weight is unpacked where it is needed.
extern "C" void kernel(const float16* A, const int32_t* packed, const float16* scale, float16* C, int64_t M, int64_t K,
                       int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) {
            float sum = 0.0f;
            for (int64_t k = 0; k < K; ++k) {
                const int q = packed[k / 8 * N + n] >> k % 8 * 4 & 15;
                sum += float(A[m * K + k]) * (float(q - 8) * float(scale[k / 32 * N + n]));
            }
            C[m * N + n] = sum;
        }
    }
}
