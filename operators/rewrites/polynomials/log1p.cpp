static inline float vector_log1p(float x) {
    // log(1 + x) with 1 + x = 2^k (1 + f) and f formed from x, not from the rounded sum.
    // Max error 2 ulp, 1.0 for normal x.
    const float infinity = std::numeric_limits<float>::infinity();
    const uint32_t bits = std::bit_cast<uint32_t>(1.0f + x), above = bits - 0x3f2aaaabu;  // 2/3
    const float k = static_cast<float>(static_cast<int32_t>(above) >> 23);
    // 4 / 2^k: 2^-128 would be denormal.
    const float scale = std::bit_cast<float>((129u << 23) - (above & 0xff800000u));
    const float f = std::fma(scale, 0.25f * x, std::fma(scale, 0.25f, -1.0f));
    float p = -0.128909484f;
    p = std::fma(p, f, 0.139845222f);
    p = std::fma(p, f, -0.121844344f);
    p = std::fma(p, f, 0.140058488f);
    p = std::fma(p, f, -0.166804746f);
    p = std::fma(p, f, 0.200104073f);
    p = std::fma(p, f, -0.249997973f);
    p = std::fma(p, f, 0.333332151f);
    p = std::fma(p, f, -0.5f);
    const float finite = std::fma(k, 0.693147182f, std::fma(p, f * f, std::fma(k, -1.90465421e-9f, f)));
    // The sign bit makes negative bits large, too: inf and NaN stay, and what lies below -1 becomes NaN.
    const float y = bits < 0x7f800000u ? finite : std::fma(x, infinity, infinity);
    return x == -1.0f ? -infinity : y;
}
