# y = x / sqrt(mean(x * x) + eps) * weight, for each row of x. One program a row.
import triton
import triton.language as tl

# evokern: tunable BLOCK in {1024, 512, 2048}


@triton.jit
def rmsnorm_rows(x, weight, y, D, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * D
    columns = tl.arange(0, BLOCK)
    squares = tl.zeros([BLOCK], tl.float32)
    for start in range(0, D, BLOCK):
        at = start + columns
        value = tl.load(x + row + at, mask=at < D, other=0.0)
        squares += value * value
    scale = 1.0 / tl.sqrt(tl.sum(squares) / D + eps)
    for start in range(0, D, BLOCK):
        at = start + columns
        value = tl.load(x + row + at, mask=at < D)
        tl.store(y + row + at, value * scale * tl.load(weight + at, mask=at < D), mask=at < D)


def kernel(x, weight, eps, y, T, D, *, BLOCK=1024, num_warps=4):
    rmsnorm_rows[(T,)](x, weight, y, D, eps, BLOCK=BLOCK, num_warps=num_warps)
