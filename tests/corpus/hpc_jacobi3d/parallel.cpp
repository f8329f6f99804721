// Two grids change roles; planes are shared among threads, and a reciprocal takes the place of the division.
extern "C" void kernel(const float* u, const float* f, int64_t sweeps, float* out, int64_t X, int64_t Y, int64_t Z) {
    std::vector<float> one(u, u + X * Y * Z), other = one;
    for (int64_t sweep = 0; sweep < sweeps; ++sweep) {
#pragma omp parallel for schedule(static)
        for (int64_t x = 1; x < X - 1; ++x) {
            for (int64_t y = 1; y < Y - 1; ++y) {
                for (int64_t z = 1; z < Z - 1; ++z) {
                    const int64_t i = (x * Y + y) * Z + z;
                    const float sides = (one[i - 1] + one[i + 1]) + (one[i - Z] + one[i + Z]);
                    other[i] = (sides + (one[i - Y * Z] + one[i + Y * Z]) - f[i]) * (1.0f / 6.0f);
                }
            }
        }
        std::swap(one, other);
    }
    std::copy(one.begin(), one.end(), out);
}
