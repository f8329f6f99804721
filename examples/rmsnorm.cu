// y = x / sqrt(mean(x * x) + eps) * weight, for each row of x. One block a row.
// evokern: tunable THREADS in {256, 128, 512, 1024}

/* evokern: plan
def kernel(x, weight, eps, y, T, D, *, THREADS=256):
    rmsnorm_rows[(T,)](x, weight, y, D, eps, block=THREADS)
*/

// The sum of one value of each thread, for all of them.
__device__ float sum_of_block(float value) {
    __shared__ float sums[32];
    for (int distance = 16; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffff, value, distance);
    }
    if (threadIdx.x % 32 == 0) {
        sums[threadIdx.x / 32] = value;
    }
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < THREADS / 32; ++warp) {
        sum += sums[warp];
    }
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
rmsnorm_rows(const float* __restrict__ x, const float* __restrict__ weight, float* __restrict__ y, int D, float eps) {
    x += static_cast<int64_t>(blockIdx.x) * D;
    y += static_cast<int64_t>(blockIdx.x) * D;
    float squares = 0.0f;
    for (int d = threadIdx.x; d < D; d += THREADS) {
        squares += x[d] * x[d];
    }
    const float scale = rsqrtf(sum_of_block(squares) / D + eps);
    for (int d = threadIdx.x; d < D; d += THREADS) {
        y[d] = x[d] * scale * weight[d];
    }
}
