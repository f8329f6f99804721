static inline float vector_exp(float x) {
    // e^x = 2^n e^r with |r| <= ln(2)/2 and a polynomial of degree 6. Max error 1.0 ulp, denormal results included.
    const float inside = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
    const float n = std::nearbyint(inside * 1.44269504f);
    float r = std::fma(n, -0.693145752f, inside);
    r = std::fma(n, -1.42860677e-6f, r);
    float p = 0.00138146058f;
    p = std::fma(p, r, 0.00836871192f);
    p = std::fma(p, r, 0.041668389f);
    p = std::fma(p, r, 0.166665211f);
    p = std::fma(p, r, 0.49999994f);
    p = std::fma(p, r * r, r) + 1.0f;
    // 2^n in two factors: n reaches from -150 to 128, beyond what one float's exponent holds.
    const int32_t power = static_cast<int32_t>(n), half = power >> 1;
    return p * std::bit_cast<float>((half + 127) << 23) * std::bit_cast<float>((power - half + 127) << 23);
}
