# y = a @ b. One program a tile of y, over which it adds up products of a tile of a and a tile of b.
import triton
import triton.language as tl

# evokern: tunable ROWS in {64, 16, 32, 128}
# evokern: tunable COLUMNS in {64, 32, 128}
# evokern: tunable DEPTH in {32, 16, 64}


@triton.jit
def multiply(a, b, y, M, K, N, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr):
    m = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    n = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    result = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(0, K, DEPTH):
        k = start + tl.arange(0, DEPTH)
        left = tl.load(a + m[:, None] * K + k[None, :], mask=(m < M)[:, None] & (k < K)[None, :], other=0.0)
        right = tl.load(b + k[:, None] * N + n[None, :], mask=(k < K)[:, None] & (n < N)[None, :], other=0.0)
        result += tl.dot(left, right, input_precision="ieee")
    tl.store(y + m[:, None] * N + n[None, :], result, mask=(m < M)[:, None] & (n < N)[None, :])


def kernel(a, b, y, M, K, N, *, ROWS=64, COLUMNS=64, DEPTH=32, num_warps=4):
    grid = (cdiv(M, ROWS), cdiv(N, COLUMNS))
    multiply[grid](a, b, y, M, K, N, ROWS=ROWS, COLUMNS=COLUMNS, DEPTH=DEPTH, num_warps=num_warps)
