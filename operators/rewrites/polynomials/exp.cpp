static inline float vector_exp(float x) {
    // e^x = 2^n e^r with |r| <= ln(2)/2 and a polynomial of degree 6. Max error 0.92 ulp, denormal results included.
    // Adding 1.5 * 2^23 rounds to an integer, which then lies in the lowest bits. 254 is an exponent's bias, twice.
    const float rounder = 12582912.0f + 254.0f;
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
    p = std::fma(p, r, 1.0f);
    // 2^n in two factors: n reaches from -150 to 128, beyond what one float's exponent holds. The last step of the
    // polynomial takes one of them in: relaxed flags let compilers multiply the two first, but not across an fma.
    const uint32_t whole = static_cast<uint32_t>(bits) << 23, half = (whole >> 1) & 0xff800000u;
    const float scale = std::bit_cast<float>(half), rest = std::bit_cast<float>(whole - half);
    const float power = std::fma(p, r * scale, scale) * rest;
    return x < -104.0f ? 0.0f : power;  // tested last: a bound on x would become branches in the arithmetic
}
