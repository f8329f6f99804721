static inline float vector_log(float x) {
    // log x = k ln(2) + log(1 + f) with 1 + f in [2/3, 4/3) and a polynomial of degree 10. Max error 1.0 ulp.
    const bool denormal = x < 1.17549435e-38f;
    const int32_t bits = std::bit_cast<int32_t>(denormal ? x * 8388608.0f : x);
    const int32_t power = (bits - 0x3f2aaaab) >> 23;
    const float k = static_cast<float>(denormal ? power - 23 : power);
    const float f = std::bit_cast<float>(bits - (power << 23)) - 1.0f;
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
    const float positive = x < infinity ? finite : x;  // inf and NaN stay
    return x > 0.0f ? positive : x == 0.0f ? -infinity : std::numeric_limits<float>::quiet_NaN();
}
