# y = softmax(q . k / sqrt(D)) . v over the tokens of a sequence, whose keys and values lie in pages. One program for
# each sequence and head of the caches: its G heads of q share what it loads. The softmax is kept up as tokens come.
import triton
import triton.language as tl

# evokern: tunable BLOCK in {32, 16, 64, 128}


@triton.jit
def attend(
    q, kcache, vcache, table, lens, y, H, G, D, S, T, BLOCK: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr
):
    b = tl.program_id(0)
    h = tl.program_id(1)
    length = tl.load(lens + b)
    g = tl.arange(0, HEADS)
    d = tl.arange(0, WIDTH)
    own = (b * H * G + h * G + g)[:, None] * D + d[None, :]
    present = (g < G)[:, None] & (d < D)[None, :]
    query = tl.load(q + own, mask=present, other=0.0)
    scale = 1.0 / tl.sqrt(D * 1.0)
    highest = tl.full([HEADS], -1.0e30, tl.float32)
    total = tl.zeros([HEADS], tl.float32)
    result = tl.zeros([HEADS, WIDTH], tl.float32)
    for start in range(0, length, BLOCK):
        token = start + tl.arange(0, BLOCK)
        seen = token < length
        page = tl.load(table + b * T + token // S, mask=seen, other=0)
        place = (page.to(tl.int64) * S + token % S) * H + h
        at = place[:, None] * D + d[None, :]
        inside = seen[:, None] & (d < D)[None, :]
        key = tl.load(kcache + at, mask=inside, other=0.0)
        score = tl.dot(query, tl.trans(key)) * scale
        score = tl.where(seen[None, :], score, -1.0e30)
        now = tl.maximum(highest, tl.max(score, 1))
        weight = tl.exp(score - now[:, None])
        fade = tl.exp(highest - now)
        value = tl.load(vcache + at, mask=inside, other=0.0)
        total = total * fade + tl.sum(weight, 1)
        result = result * fade[:, None] + tl.dot(weight.to(tl.float16), value)
        highest = now
    tl.store(y + own, (result / total[:, None]).to(tl.float16), mask=present)


def kernel(q, kcache, vcache, table, lens, y, B, H, G, D, P, S, T, *, BLOCK=32, num_warps=4):
    attend[(B, H)](
        q,
        kcache,
        vcache,
        table,
        lens,
        y,
        H,
        G,
        D,
        S,
        T,
        BLOCK=BLOCK,
        HEADS=max(16, next_power_of_2(G)),
        WIDTH=max(16, next_power_of_2(D)),
        num_warps=num_warps,
    )
