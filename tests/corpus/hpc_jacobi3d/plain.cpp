// A sweep writes into a second copy of the grid; the faces keep their values.
extern "C" void kernel(const float* u, const float* f, int64_t sweeps, float* out, int64_t X, int64_t Y, int64_t Z) {
    std::copy(u, u + X * Y * Z, out);
    std::vector<float> old(X * Y * Z);
    for (int64_t sweep = 0; sweep < sweeps; ++sweep) {
        std::copy(out, out + X * Y * Z, old.begin());
        for (int64_t x = 1; x < X - 1; ++x) {
            for (int64_t y = 1; y < Y - 1; ++y) {
                for (int64_t z = 1; z < Z - 1; ++z) {
                    const int64_t i = (x * Y + y) * Z + z;
                    float sum = old[i - Y * Z] + old[i + Y * Z];
                    sum += old[i - Z] + old[i + Z];
                    sum += old[i - 1] + old[i + 1];
                    out[i] = (sum - f[i]) / 6.0f;
                }
            }
        }
    }
}
