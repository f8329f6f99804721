// Entry by entry, each added to its row.
extern "C" void kernel(const int32_t* lengths, const int32_t* columns, const float* values, const float* x, float* y,
                       int64_t N, int64_t W) {
    std::vector<int32_t> rows;
    for (int64_t row = 0; row < N; ++row) {
        y[row] = 0.0f;
        rows.insert(rows.end(), lengths[row], row);
    }
    for (int64_t i = 0; i < int64_t(rows.size()); ++i) {
        y[rows[i]] += values[i] * x[columns[i]];
    }
}
