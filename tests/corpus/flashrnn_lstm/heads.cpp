// A head of a sequence from its first step to its last, in float; heads are shared among threads.
extern "C" void kernel(const float* x, const float* R, const float* bias, const float* h0, const float* c0, float* h,
                       float* c, int64_t B, int64_t T, int64_t N, int64_t D) {
#pragma omp parallel for schedule(static, 1)
    for (int64_t head = 0; head < B * N; ++head) {
        const int64_t b = head / N, n = head % N;
        std::vector<float> gates(4 * D), state(c0 + head * D, c0 + head * D + D), last(h0 + head * D, h0 + head * D + D);
        for (int64_t t = 0; t < T; ++t) {
            for (int64_t g = 0; g < 4; ++g) {
                for (int64_t e = 0; e < D; ++e) {
                    const float* weights = R + ((g * N + n) * D + e) * D;
                    float sum = 0.0f;
                    for (int64_t d = 0; d < D; ++d) {
                        sum += weights[d] * last[d];
                    }
                    gates[g * D + e] = sum + bias[(g * N + n) * D + e] + x[(((b * T + t) * 4 + g) * N + n) * D + e];
                }
            }
            for (int64_t e = 0; e < D; ++e) {
                const float in = 1.0f / (1.0f + std::exp(-gates[e])), keep = 1.0f / (1.0f + std::exp(-gates[D + e]));
                const float out = 1.0f / (1.0f + std::exp(-gates[3 * D + e]));
                state[e] = keep * state[e] + in * std::tanh(gates[2 * D + e]);
                last[e] = out * std::tanh(state[e]);
                h[((b * T + t) * N + n) * D + e] = last[e];
            }
        }
        std::copy(state.begin(), state.end(), c + head * D);
    }
}
