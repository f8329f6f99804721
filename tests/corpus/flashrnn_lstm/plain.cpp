// Gates i, f, z, o of each step, from the step before it.
static float sigmoid(float x) {
    return 1.0f / (1.0f + std::exp(-x));
}

extern "C" void kernel(const float* x, const float* R, const float* bias, const float* h0, const float* c0, float* h,
                       float* c, int64_t B, int64_t T, int64_t N, int64_t D) {
    std::copy(c0, c0 + B * N * D, c);
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t t = 0; t < T; ++t) {
            for (int64_t n = 0; n < N; ++n) {
                const float* before = t == 0 ? h0 + (b * N + n) * D : h + ((b * T + t - 1) * N + n) * D;
                for (int64_t e = 0; e < D; ++e) {
                    float gates[4];
                    for (int64_t g = 0; g < 4; ++g) {
                        double sum = x[(((b * T + t) * 4 + g) * N + n) * D + e] + bias[(g * N + n) * D + e];
                        for (int64_t d = 0; d < D; ++d) {
                            sum += before[d] * R[((g * N + n) * D + e) * D + d];
                        }
                        gates[g] = sum;
                    }
                    float& state = c[(b * N + n) * D + e];
                    state = sigmoid(gates[1]) * state + sigmoid(gates[0]) * std::tanh(gates[2]);
                    h[((b * T + t) * N + n) * D + e] = sigmoid(gates[3]) * std::tanh(state);
                }
            }
        }
    }
}
