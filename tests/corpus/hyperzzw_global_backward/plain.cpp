// y = (w z) z. With s = grad_y z^T: grad_z = w s + (w z)^T grad_y, and grad_w = sum over the batch of z s.
extern "C" void kernel(const float* z, const float* w, const float* grad_y, float* grad_z, float* grad_w, int64_t B,
                       int64_t C, int64_t H) {
    std::vector<double> sums(C * H * H, 0.0);
    for (int64_t plane = 0; plane < B * C; ++plane) {
        const float *Z = z + plane * H * H, *G = grad_y + plane * H * H, *W = w + plane % C * H * H;
        for (int64_t i = 0; i < H; ++i) {
            for (int64_t j = 0; j < H; ++j) {
                double outer = 0.0, inner = 0.0;
                for (int64_t k = 0; k < H; ++k) {
                    outer += G[i * H + k] * Z[j * H + k];
                    inner += double(W[k * H + i]) * Z[k * H + i] * G[k * H + j];
                }
                grad_z[plane * H * H + i * H + j] = W[i * H + j] * outer + inner;
                sums[plane % C * H * H + i * H + j] += Z[i * H + j] * outer;
            }
        }
    }
    std::copy(sums.begin(), sums.end(), grad_w);
}
