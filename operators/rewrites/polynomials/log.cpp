static inline float vector_log(float x) {
    // log x = k ln(2) + log(1 + f) with 1 + f in [2/3, 4/3) and a polynomial of degree 10. Max error 1.0 ulp.
    const float infinity = std::numeric_limits<float>::infinity();
    const uint32_t bits = std::bit_cast<uint32_t>(x), third = 0x3f2aaaabu;  // 2/3
    const float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x;  // denormals become normal
    const uint32_t above = std::bit_cast<uint32_t>(scaled) - third;
    const float power = static_cast<float>(static_cast<int32_t>(above) >> 23);
    const float k = bits < 0x800000u ? power - 23.0f : power;
    const float f = std::bit_cast<float>((above & 0x7fffffu) + third) - 1.0f;
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
    // The sign bit makes negative bits large, too: inf and NaN stay, negative numbers become NaN.
    const float y = bits < 0x7f800000u ? finite : std::fma(x, infinity, infinity);
    return x == 0.0f ? -infinity : y;
}
