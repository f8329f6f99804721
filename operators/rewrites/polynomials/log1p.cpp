static inline float vector_log1p(float x) {
    // log(1 + x) with 1 + x = 2^k (1 + f) and f formed from x, not from the rounded sum. Max error 2 ulp, 1.0 for normal x.
    const int32_t power = (std::bit_cast<int32_t>(1.0f + x) - 0x3f2aaaab) >> 23;
    const float scale = std::bit_cast<float>((129 - power) << 23);  // 4 / 2^k: 2^-128 would be denormal
    const float f = std::fma(scale, 0.25f * x, std::fma(scale, 0.25f, -1.0f));
    const float k = static_cast<float>(power);
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
    const float infinity = std::numeric_limits<float>::infinity();
    const float above = x < infinity ? finite : x;  // inf and NaN stay
    return x > -1.0f ? above : x == -1.0f ? -infinity : std::numeric_limits<float>::quiet_NaN();
}
