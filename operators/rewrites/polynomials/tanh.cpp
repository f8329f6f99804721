static inline float vector_tanh(float x) {
    // tanh: an odd polynomial for |x| < 0.625, beyond it 1 - 2 / (e^2x + 1). Max error 1.5 ulp.
    const float size = std::fabs(x), t = x * x;
    float p = -0.00570496777f;
    p = std::fma(p, t, 0.0206390675f);
    p = std::fma(p, t, -0.0537397079f);
    p = std::fma(p, t, 0.133314416f);
    p = std::fma(p, t, -0.333332807f);
    const float near = std::fma(p * t, x, x);
    const float inside = size > 9.02f ? 18.04f : 2.0f * size;  // where tanh rounds to 1
    const float n = std::nearbyint(inside * 1.44269504f);
    float r = std::fma(n, -0.693145752f, inside);
    r = std::fma(n, -1.42860677e-6f, r);
    float e = 0.00138146058f;
    e = std::fma(e, r, 0.00836871192f);
    e = std::fma(e, r, 0.041668389f);
    e = std::fma(e, r, 0.166665211f);
    e = std::fma(e, r, 0.49999994f);
    e = std::fma(e, r * r, r) + 1.0f;
    const float power = e * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
    const float far = std::copysign(1.0f - 2.0f / (power + 1.0f), x);
    return size < 0.625f ? near : size >= 0.625f ? far : x;  // NaN stays
}
