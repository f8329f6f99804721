static inline float vector_tanh(float x) {
    // tanh: an odd polynomial for |x| < 0.625, beyond it 1 - 2 / (e^2x + 1). Max error 1.5 ulp.
    const float size = std::fabs(x), t = x * x;
    float near = -0.00570496777f;
    near = std::fma(near, t, 0.0206390675f);
    near = std::fma(near, t, -0.0537397079f);
    near = std::fma(near, t, 0.133314416f);
    near = std::fma(near, t, -0.333332807f);
    near = std::fma(near * t, size, size);
    // At 9.02 tanh rounds to 1. Floats from 0 up are ordered as their bits are; an integer minimum is one instruction.
    const int32_t bits = std::bit_cast<int32_t>(size), most = std::bit_cast<int32_t>(9.02f);
    const float inside = std::bit_cast<float>(bits < most ? bits : most);
    // e^2x = 2^n e^2r. Adding 1.5 * 2^23 rounds to an integer, which then lies in the lowest bits. 127 is the bias.
    const float rounder = 12582912.0f + 127.0f;
    const float rounded = std::fma(inside, 2.88539008f, rounder);
    const float n = rounded - rounder;
    float r = std::fma(n, -0.346572876f, inside);
    r = std::fma(n, -7.14303385e-7f, r);
    float e = 0.0884134769f;
    e = std::fma(e, r, 0.267798781f);
    e = std::fma(e, r, 0.666694224f);
    e = std::fma(e, r, 1.33332169f);
    e = std::fma(e, r, 1.99999976f);
    e = std::fma(e, r, 2.0f);
    e = std::fma(e, r, 1.0f);
    const float power = std::bit_cast<float>(std::bit_cast<uint32_t>(rounded) << 23);
    // Relaxed flags make the division an estimate, which differs between processors: a step of Newton makes it exact again.
    const float sum = std::fma(e, power, 1.0f), estimate = 1.0f / sum;
    const float far = 1.0f - 2.0f * std::fma(estimate, std::fma(-estimate, sum, 1.0f), estimate);
    return std::copysign(size >= 0.625f ? far : near, x);  // a NaN is not far: it comes through the polynomial
}
