# y = gelu(x + bias) + residual, with the exact gelu(v) = v / 2 * (1 + erf(v / sqrt(2))). One program a piece of a row.
import triton
import triton.language as tl

# evokern: tunable BLOCK in {1024, 512, 2048}


@triton.jit
def bias_gelu_residual_block(x, bias, residual, y, N, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * N
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < N
    value = tl.load(x + row + column, mask=inside) + tl.load(bias + column, mask=inside)
    gelu = 0.5 * value * (1.0 + tl.erf(value * 0.7071067811865476))
    tl.store(y + row + column, gelu + tl.load(residual + row + column, mask=inside), mask=inside)


def kernel(x, bias, residual, y, M, N, *, BLOCK=1024, num_warps=4):
    grid = (M, cdiv(N, BLOCK))
    bias_gelu_residual_block[grid](x, bias, residual, y, N, BLOCK=BLOCK, num_warps=num_warps)
