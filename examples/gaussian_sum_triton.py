# out[n] = sum over m of exp(-|x[n] - y[m]|^2 / 2) * b[m]. One program for a few rows, which goes through all points y.
import triton
import triton.language as tl

# evokern: tunable ROWS in {32, 16, 64, 128}
# evokern: tunable COLUMNS in {64, 32, 128}


@triton.jit
def sum_rows(x, y, b, out, N, M, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    total = tl.zeros([ROWS], tl.float32)
    for start in range(0, M, COLUMNS):
        m = start + tl.arange(0, COLUMNS)
        square = tl.zeros([ROWS, COLUMNS], tl.float32)
        for d in range(0, 3):
            left = tl.load(x + n * 3 + d, mask=n < N, other=0.0)
            right = tl.load(y + m * 3 + d, mask=m < M, other=0.0)
            difference = left[:, None] - right[None, :]
            square += difference * difference
        weight = tl.load(b + m, mask=m < M, other=0.0)
        total += tl.sum(tl.exp(-0.5 * square) * weight[None, :], 1)
    tl.store(out + n, total, mask=n < N)


def kernel(x, y, b, out, N, M, *, ROWS=32, COLUMNS=64, num_warps=4):
    sum_rows[(cdiv(N, ROWS),)](x, y, b, out, N, M, ROWS=ROWS, COLUMNS=COLUMNS, num_warps=num_warps)
