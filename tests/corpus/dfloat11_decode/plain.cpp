// Bit by bit; signs hold a sign in bit 7 and a mantissa below it.
extern "C" void kernel(const int32_t* words, const int32_t* signs, const int32_t* exponents, bfloat16* weights,
                       int64_t R, int64_t N) {
    const int64_t width = (3 * N + 31) / 32;
    for (int64_t r = 0; r < R; ++r) {
        int64_t at = 0;
        for (int64_t n = 0; n < N; ++n) {
            int symbol = 0;
            while (symbol < 3) {
                const uint32_t word = words[r * width + at / 32];
                const bool bit = word >> (31 - at % 32) & 1;
                ++at;
                if (!bit) break;
                ++symbol;
            }
            const int32_t sign = signs[r * N + n];
            weights[r * N + n].bits = (sign & 128) << 8 | exponents[symbol] << 7 | (sign & 127);
        }
    }
}
