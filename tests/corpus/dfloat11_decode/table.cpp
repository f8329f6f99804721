// A window of 64 bits and a count of leading ones; rows are shared among threads.
extern "C" void kernel(const int32_t* words, const int32_t* signs, const int32_t* exponents, bfloat16* weights,
                       int64_t R, int64_t N) {
    const int64_t width = (3 * N + 31) / 32;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; ++r) {
        uint64_t window = 0;
        int held = 0;
        int64_t next = 0;
        for (int64_t n = 0; n < N; ++n) {
            if (held < 3 && next < width) {
                window |= uint64_t(uint32_t(words[r * width + next++])) << (32 - held);
                held += 32;
            }
            const int ones = std::min(3, std::countl_one(window));
            const int length = std::min(3, ones + 1);
            window <<= length;
            held -= length;
            const int32_t sign = signs[r * N + n];
            weights[r * N + n].bits = (sign & 128) << 8 | exponents[ones] << 7 | (sign & 127);
        }
    }
}
