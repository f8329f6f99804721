// y = x weight^T + bias; nothing is rounded that the policy would let be.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y, int64_t B, int64_t I,
                       int64_t O) {
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t o = 0; o < O; ++o) {
            double sum = bias[o];
            for (int64_t i = 0; i < I; ++i) {
                sum += x[b * I + i] * weight[o * I + i];
            }
            y[b * O + o] = sum;
        }
    }
}
