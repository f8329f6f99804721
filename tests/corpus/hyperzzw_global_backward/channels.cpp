// A channel of the whole batch a thread, so that no two add to the same weight; rows of products in float.
extern "C" void kernel(const float* z, const float* w, const float* grad_y, float* grad_z, float* grad_w, int64_t B,
                       int64_t C, int64_t H) {
    const int64_t P = H * H;
#pragma omp parallel for schedule(static, 1)
    for (int64_t c = 0; c < C; ++c) {
        const float* W = w + c * P;
        std::fill(grad_w + c * P, grad_w + c * P + P, 0.0f);
        for (int64_t b = 0; b < B; ++b) {
            const float *Z = z + (b * C + c) * P, *G = grad_y + (b * C + c) * P;
            float* out = grad_z + (b * C + c) * P;
            std::fill(out, out + P, 0.0f);
            for (int64_t k = 0; k < H; ++k) {
                for (int64_t i = 0; i < H; ++i) {
                    const float left = W[k * H + i] * Z[k * H + i];
                    for (int64_t j = 0; j < H; ++j) {
                        out[i * H + j] += left * G[k * H + j];
                    }
                }
            }
            for (int64_t i = 0; i < H; ++i) {
                for (int64_t j = 0; j < H; ++j) {
                    float outer = 0.0f;
                    for (int64_t k = 0; k < H; ++k) {
                        outer += G[i * H + k] * Z[j * H + k];
                    }
                    out[i * H + j] += W[i * H + j] * outer;
                    grad_w[c * P + i * H + j] += Z[i * H + j] * outer;
                }
            }
        }
    }
}
