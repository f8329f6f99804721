static inline float vector_erf(float x) {
    // erf as an odd rational function (degree 11 over 10), fitted minimax on |x| <= 3.92, where it rounds to 1.
    // Max error 6 ulp (4e-7 absolute).
    const float t = x * x;
    float p = 2.05008359e-6f;
    p = std::fma(p, t, 2.84883892e-4f);
    p = std::fma(p, t, 3.76565102e-3f);
    p = std::fma(p, t, 5.27488403e-2f);
    p = std::fma(p, t, 0.190407217f);
    p = std::fma(p, t, 1.12837911f);
    float q = 3.80917518e-5f;
    q = std::fma(q, t, 1.16254459e-3f);
    q = std::fma(q, t, 1.49692865e-2f);
    q = std::fma(q, t, 0.114109442f);
    q = std::fma(q, t, 0.502076745f);
    q = std::fma(q, t, 1.0f);
    // Relaxed flags make the division an estimate, which differs between processors: a step of Newton makes it exact again.
    const float above = x * p, estimate = 1.0f / q, quotient = above * estimate;
    const float inside = std::fma(estimate, std::fma(-quotient, q, above), quotient);
    // Tested last: cheaper than a bound on x; NaN stays. The step of Newton loses the sign of zero.
    return std::copysign(t > 3.92f * 3.92f ? 1.0f : inside, x);
}
