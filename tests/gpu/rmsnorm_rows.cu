// RMS normalisation, a block a row: the row stays in registers between its two uses, and nothing of it is kept in the L2.
/* evokern: plan
def kernel(x, weight, eps, y, T, D):
    rms_norm[(T,)](x, weight, eps, y, D, block=256)
*/

constexpr int THREADS = 256, HELD = 4;  // so many vectors of 4 are held by each thread

__device__ float over_block(float own) {
    __shared__ float of_warps[THREADS / 32];
    for (int lanes = 16; lanes > 0; lanes /= 2) own += __shfl_xor_sync(~0u, own, lanes);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = own;
    __syncthreads();
    own = 0;
#pragma unroll
    for (float other : of_warps) own += other;
    return own;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    rms_norm(const float* x, const float* weight, float eps, float* y, int64_t D) {
    const float* row = x + blockIdx.x * D;
    float* to = y + blockIdx.x * D;
    float squares = 0;
    if (D % 4 == 0 && D <= 4 * THREADS * HELD) {
        const auto* vectors = reinterpret_cast<const float4*>(row);
        const int count = D / 4;
        float4 held[HELD];
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            const int at = threadIdx.x + THREADS * i;
            held[i] = at < count ? __ldcs(vectors + at) : float4{0, 0, 0, 0};
        }
#pragma unroll
        for (const float4& v : held) squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
        const float factor = rsqrtf(over_block(squares) / D + eps);
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            const int at = threadIdx.x + THREADS * i;
            if (at >= count) break;
            const float4 scale = __ldg(reinterpret_cast<const float4*>(weight) + at), v = held[i];
            __stcs(reinterpret_cast<float4*>(to) + at,
                   float4{v.x * factor * scale.x, v.y * factor * scale.y, v.z * factor * scale.z, v.w * factor * scale.w});
        }
    } else {
        for (int64_t n = threadIdx.x; n < D; n += THREADS) squares += row[n] * row[n];
        const float factor = rsqrtf(over_block(squares) / D + eps);
        for (int64_t n = threadIdx.x; n < D; n += THREADS) to[n] = row[n] * factor * weight[n];
    }
}
