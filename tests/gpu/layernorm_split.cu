// Layer normalisation of few, very long rows: every multiprocessor takes a part of each row. x comes from memory once:
// the second launch finds it in the L2, so what is read or written but once is marked as such.
/* evokern: plan
def kernel(x, weight, bias, eps, y, M, N, *, PARTS=264):
    parts = min(PARTS, cdiv(N, 1024))
    part = cdiv(cdiv(N, parts), 4) * 4
    moments = empty((M, parts, 2), float32)
    find_moments[(parts, M)](x, moments, N, part, block=512)
    normalise[(parts, M)](x, weight, bias, moments, eps, y, N, part, parts, block=512)
*/

struct Moments {  // of a set of numbers: how many, their mean, the sum of squared differences from it
    float count, mean, squares;
};

__device__ Moments merged(Moments a, Moments b) {  // Chan, Golub and LeVeque 1979
    const float count = a.count + b.count, share = count > 0 ? b.count / count : 0.0f, far = b.mean - a.mean;
    return {count, a.mean + far * share, a.squares + b.squares + far * far * a.count * share};
}

__device__ Moments over_warp(Moments own) {
    for (int lanes = 16; lanes > 0; lanes /= 2)
        own = merged(own, {__shfl_xor_sync(~0u, own.count, lanes), __shfl_xor_sync(~0u, own.mean, lanes),
                           __shfl_xor_sync(~0u, own.squares, lanes)});
    return own;
}

__device__ Moments over_block(Moments own) {
    __shared__ Moments of_warps[32];
    own = over_warp(own);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = own;
    __syncthreads();
    own = threadIdx.x % 32 < blockDim.x / 32 ? of_warps[threadIdx.x % 32] : Moments{0, 0, 0};
    return over_warp(own);
}

__device__ Moments of_vector(float4 v) {
    const float mean = (v.x + v.y + v.z + v.w) / 4;
    const float a = v.x - mean, b = v.y - mean, c = v.z - mean, d = v.w - mean;
    return {4, mean, a * a + b * b + c * c + d * d};
}

constexpr int HELD = 8;  // vectors of 4 that each thread has on their way at a time

extern "C" __global__ void __launch_bounds__(512, 2)
    find_moments(const float* x, float* moments, int64_t N, int64_t part) {
    const int64_t start = blockIdx.x * part, end = min(N, start + part);
    const float* row = x + blockIdx.y * N;
    Moments own{0, 0, 0};
    if (N % 4 == 0) {
        for (int64_t first = start + 4 * threadIdx.x; first < end; first += HELD * 2048) {
            float4 held[HELD];
#pragma unroll
            for (int i = 0; i < HELD; ++i)
                if (first + 2048 * i < end) held[i] = *reinterpret_cast<const float4*>(row + first + 2048 * i);
#pragma unroll
            for (int i = 0; i < HELD; ++i)
                if (first + 2048 * i < end) own = merged(own, of_vector(held[i]));
        }
    } else {
        for (int64_t at = start + threadIdx.x; at < end; at += 512) own = merged(own, {1, row[at], 0});
    }
    own = over_block(own);
    if (threadIdx.x == 0) {
        float* to = moments + 2 * (blockIdx.y * gridDim.x + blockIdx.x);
        to[0] = own.mean;
        to[1] = own.squares;
    }
}

extern "C" __global__ void __launch_bounds__(512, 2)
    normalise(const float* x, const float* weight, const float* bias, const float* moments, float eps, float* y,
              int64_t N, int64_t part, int64_t parts) {
    const int64_t start = blockIdx.x * part, end = min(N, start + part);
    const float *row = x + blockIdx.y * N, *of_row = moments + 2 * blockIdx.y * parts;
    float* to = y + blockIdx.y * N;
    const bool aligned = N % 4 == 0;
    int64_t at = start + 4 * threadIdx.x;
    float4 own{}, scale{}, shift{};
    if (aligned && at < end) {  // on their way while the moments are merged
        own = *reinterpret_cast<const float4*>(row + at);
        scale = __ldcs(reinterpret_cast<const float4*>(weight + at));
        shift = __ldcs(reinterpret_cast<const float4*>(bias + at));
    }
    Moments all{0, 0, 0};
    for (int64_t i = threadIdx.x; i < parts; i += 512) {
        const float2 found = reinterpret_cast<const float2*>(of_row)[i];
        all = merged(all, {float(max(int64_t{0}, min(N, (i + 1) * part) - i * part)), found.x, found.y});
    }
    all = over_block(all);
    const float mean = all.mean, factor = 1 / sqrtf(all.squares / N + eps);
    if (!aligned) {
        for (int64_t n = start + threadIdx.x; n < end; n += 512) to[n] = (row[n] - mean) * factor * weight[n] + bias[n];
        return;
    }
    while (at < end) {
        const int64_t next = at + 2048;
        float4 later{}, later_scale{}, later_shift{};
        if (next < end) {
            later = *reinterpret_cast<const float4*>(row + next);
            later_scale = __ldcs(reinterpret_cast<const float4*>(weight + next));
            later_shift = __ldcs(reinterpret_cast<const float4*>(bias + next));
        }
        __stcs(reinterpret_cast<float4*>(to + at),
               float4{(own.x - mean) * factor * scale.x + shift.x, (own.y - mean) * factor * scale.y + shift.y,
                      (own.z - mean) * factor * scale.z + shift.z, (own.w - mean) * factor * scale.w + shift.w});
        own = later, scale = later_scale, shift = later_shift, at = next;
    }
}
