// Operands rounded to bfloat16 once, which the policy allows; sums are in float, rows shared among threads.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y, int64_t B, int64_t I,
                       int64_t O) {
    std::vector<bfloat16> left(x, x + B * I), right(weight, weight + O * I);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t o = 0; o < O; ++o) {
            float sum = bias[o];
            for (int64_t i = 0; i < I; ++i) {
                sum += float(left[b * I + i]) * float(right[o * I + i]);
            }
            y[b * O + o] = sum;
        }
    }
}
