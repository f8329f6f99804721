// Row by row; an offset runs along the packed entries.
extern "C" void kernel(const int32_t* lengths, const int32_t* columns, const float* values, const float* x, float* y,
                       int64_t N, int64_t W) {
    int64_t offset = 0;
    for (int64_t row = 0; row < N; ++row) {
        double sum = 0.0;
        for (int64_t i = 0; i < lengths[row]; ++i) {
            sum += values[offset + i] * x[columns[offset + i]];
        }
        y[row] = sum;
        offset += lengths[row];
    }
}
