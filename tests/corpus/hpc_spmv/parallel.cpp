// Offsets first, then rows shared among threads, two sums each.
extern "C" void kernel(const int32_t* lengths, const int32_t* columns, const float* values, const float* x, float* y,
                       int64_t N, int64_t W) {
    std::vector<int64_t> starts(N + 1);
    for (int64_t row = 0; row < N; ++row) {
        starts[row + 1] = starts[row] + lengths[row];
    }
#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t row = 0; row < N; ++row) {
        float even = 0.0f, odd = 0.0f;
        int64_t i = starts[row];
        for (; i + 1 < starts[row + 1]; i += 2) {
            even += values[i] * x[columns[i]];
            odd += values[i + 1] * x[columns[i + 1]];
        }
        if (i < starts[row + 1]) {
            even += values[i] * x[columns[i]];
        }
        y[row] = even + odd;
    }
}
