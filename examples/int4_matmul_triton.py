# y = a @ ((w - 8) * scale): w has four bits, eight of a column in an int32; scale is one for a group of a column.
# One program a tile of y, which unpacks a tile of weights at a time.
import triton
import triton.language as tl

# evokern: tunable ROWS in {16, 32, 64}
# evokern: tunable COLUMNS in {64, 32, 128}
# evokern: tunable DEPTH in {64, 32, 128}


@triton.jit
def multiply(a, packed, scale, y, M, N, K, GROUP, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr):
    m = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    n = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    depth = 8 * K
    result = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(0, depth, DEPTH):
        k = start + tl.arange(0, DEPTH)
        left = tl.load(a + m[:, None] * depth + k[None, :], mask=(m < M)[:, None] & (k < depth)[None, :], other=0.0)
        inside = (k < depth)[:, None] & (n < N)[None, :]
        bits = tl.load(packed + (k // 8)[:, None] * N + n[None, :], mask=inside, other=0)
        weight = ((bits >> (k % 8 * 4)[:, None]) & 15) - 8
        factor = tl.load(scale + (k // GROUP)[:, None] * N + n[None, :], mask=inside, other=0.0)
        result += tl.dot(left, weight.to(tl.float16) * factor)
    tl.store(y + m[:, None] * N + n[None, :], result.to(tl.float16), mask=(m < M)[:, None] & (n < N)[None, :])


def kernel(a, packed, scale, y, M, K, N, R, *, ROWS=16, COLUMNS=64, DEPTH=64, num_warps=4):
    grid = (cdiv(M, ROWS), cdiv(N, COLUMNS))
    group = 8 * K // R
    multiply[grid](a, packed, scale, y, M, N, K, group, ROWS=ROWS, COLUMNS=COLUMNS, DEPTH=DEPTH, num_warps=num_warps)
