static inline float vector_expm1(float x) {
    // e^x - 1 = 2^n (e^r - 1) + (2^n - 1), accurate near zero too. Max error 1.5 ulp.
    // Adding 1.5 * 2^23 rounds to an integer, which then lies in the lowest bits. 126 is an exponent's bias, less one.
    const float rounder = 12582912.0f + 126.0f;
    const int32_t rounded = std::bit_cast<int32_t>(std::fma(x, 1.44269504f, rounder));
    const int32_t top = std::bit_cast<int32_t>(rounder + 128.0f);  // 2^128 e^r, r >= 0, overflows as it should
    const int32_t bits = rounded < top ? rounded : top;
    const float n = std::bit_cast<float>(bits) - rounder;
    float r = std::fma(n, -0.693145752f, x);
    r = std::fma(n, -1.42860677e-6f, r);
    float p = 0.00138146058f;
    p = std::fma(p, r, 0.00836871192f);
    p = std::fma(p, r, 0.041668389f);
    p = std::fma(p, r, 0.166665211f);
    p = std::fma(p, r, 0.49999994f);
    p = std::fma(p, r * r, r);
    const float half_scale = std::bit_cast<float>(static_cast<uint32_t>(bits) << 23);  // 2^n / 2: 2^128 overflows
    const float y = 2.0f * std::fma(half_scale, p, half_scale - 0.5f);
    return x < -20.0f ? -1.0f : y;  // tested last: a bound on x would become branches in the arithmetic
}
