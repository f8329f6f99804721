static inline float vector_expm1(float x) {
    // e^x - 1 = 2^n (e^r - 1) + (2^n - 1), accurate near zero too. Max error 1.5 ulp.
    const float inside = x < -20.0f ? -20.0f : x > 89.0f ? 89.0f : x;
    const float n = std::nearbyint(inside * 1.44269504f);
    float r = std::fma(n, -0.693145752f, inside);
    r = std::fma(n, -1.42860677e-6f, r);
    float p = 0.00138146058f;
    p = std::fma(p, r, 0.00836871192f);
    p = std::fma(p, r, 0.041668389f);
    p = std::fma(p, r, 0.166665211f);
    p = std::fma(p, r, 0.49999994f);
    p = std::fma(p, r * r, r);
    const float half_scale = std::bit_cast<float>((static_cast<int32_t>(n) + 126) << 23);  // 2^n / 2: 2^128 overflows
    return 2.0f * std::fma(half_scale, p, half_scale - 0.5f);
}
