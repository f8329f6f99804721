# y[b, c] = the plane x[b, c], zeros around it, convolved with the 7 x 7 weights of its channel, plus a bias.
# One program for a tile of a plane.
import triton
import triton.language as tl

# evokern: tunable ROWS in {8, 4, 16, 32}
# evokern: tunable COLUMNS in {64, 16, 32, 128}


@triton.jit
def convolve(x, weight, bias, y, C, H, W, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    plane = tl.program_id(0)
    c = plane % C
    start = plane.to(tl.int64) * H * W
    h = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    w = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    result = tl.zeros([ROWS, COLUMNS], tl.float32) + tl.load(bias + c)
    for i in range(0, 7):
        for j in range(0, 7):
            row, column = h + i - 3, w + j - 3
            seen = ((row >= 0) & (row < H))[:, None] & ((column >= 0) & (column < W))[None, :]
            value = tl.load(x + start + row[:, None] * W + column[None, :], mask=seen, other=0.0)
            result += tl.load(weight + (c * 7 + i) * 7 + j) * value
    tl.store(y + start + h[:, None] * W + w[None, :], result, mask=(h < H)[:, None] & (w < W)[None, :])


def kernel(x, weight, bias, y, B, C, H, W, *, ROWS=8, COLUMNS=64, num_warps=4):
    grid = (B * C, cdiv(H, ROWS), cdiv(W, COLUMNS))
    convolve[grid](x, weight, bias, y, C, H, W, ROWS=ROWS, COLUMNS=COLUMNS, num_warps=num_warps)
