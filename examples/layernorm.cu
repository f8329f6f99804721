// y = (x - mean) / sqrt(variance + eps) * weight + bias, for each row of x. One block a row.
// evokern: tunable THREADS in {256, 128, 512, 1024}

/* evokern: plan
def kernel(x, weight, bias, eps, y, M, N, *, THREADS=256):
    layernorm_rows[(M,)](x, weight, bias, y, N, eps, block=THREADS)
*/

// The sum of one value of each thread, for all of them.
__device__ float sum_of_block(float value) {
    __shared__ float sums[32];
    for (int distance = 16; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffff, value, distance);
    }
    __syncthreads();  // an earlier call's sums have been read
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
layernorm_rows(const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
               float* __restrict__ y, int N, float eps) {
    x += static_cast<int64_t>(blockIdx.x) * N;
    y += static_cast<int64_t>(blockIdx.x) * N;
    float total = 0.0f;
    for (int n = threadIdx.x; n < N; n += THREADS) {
        total += x[n];
    }
    const float mean = sum_of_block(total) / N;
    float squares = 0.0f;
    for (int n = threadIdx.x; n < N; n += THREADS) {
        squares += (x[n] - mean) * (x[n] - mean);
    }
    const float scale = rsqrtf(sum_of_block(squares) / N + eps);
    for (int n = threadIdx.x; n < N; n += THREADS) {
        y[n] = (x[n] - mean) * scale * weight[n] + bias[n];
    }
}
