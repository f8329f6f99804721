"""What a loop stores goes into a small tile, and the tile past the caches into memory (non-temporal stores).

Buys: an ordinary store reads the line that it overwrites first and evicts what the caches hold; a streamed one does
neither (copying 256 MB: 33 GB/s against 25). Costs: nothing in accuracy; slow when the result is read again soon.
GCC ignores OpenMP's ``nontemporal``, hence the tile: the loop that fills it stays a plain, vectorisable loop.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evokern.dependence import Dependences
from evokern.effects import Access
from evokern.kernel import Kernel, Step
from evokern.operators.rewrites._definitions import definition
from evokern.operators.rewrites._tiles import block_name, element_type, fresh, index_at, is_contiguous
from evokern.protocols import Site
from evokern.syntax import INDENT, Edit, Loop, Syntax, parse, reindent
from evokern.task import Task

if TYPE_CHECKING:
    from tree_sitter import Node

TILES = ("64", "128", "256", "512", "1024")

STREAM = """
// Copies `count` elements past the caches; lines that are not filled completely take the ordinary way.
template <class T>
static inline void stream_copy(T* to, const T* from, int64_t count) {
    int64_t i = 0;
#if defined(__AVX512F__)
    constexpr int64_t step = 64 / sizeof(T);
    for (; i < count && reinterpret_cast<uintptr_t>(to + i) % 64 != 0; ++i) to[i] = from[i];
    for (; i + step <= count; i += step)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_loadu_si512(from + i));
#elif defined(__AVX__)
    constexpr int64_t step = 32 / sizeof(T);
    for (; i < count && reinterpret_cast<uintptr_t>(to + i) % 32 != 0; ++i) to[i] = from[i];
    for (; i + step <= count; i += step)
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
#endif
    for (; i < count; ++i) to[i] = from[i];
}

// Streamed stores are visible to everyone after this. Other threads' are since the barrier that ended their loop.
static inline void stream_fence() {
#if defined(__SSE__)
    _mm_sfence();
#endif
}
"""


class StreamingStores:
    """A site per innermost loop that fills consecutive elements of a result which it does not read."""

    name = "streaming_stores"

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        syntax = parse(kernel)
        return [Site(loop.label, {"tile": TILES}) for loop in syntax.loops if _stores(syntax, loop, task)]

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        syntax = parse(kernel)
        loop, tile = syntax.loop(step.site), dict(step.options).get("tile")
        stores = _stores(syntax, loop, task) if loop else []
        if loop is None or not stores or tile not in TILES or syntax.body is None:
            return None
        tiled = _tiled(syntax, loop, stores, tile, task)
        if tiled is None:
            return None
        headers = ("cstdint", *(() if "immintrin" in syntax.source.decode() else ("immintrin.h",)))
        edits = definition(syntax, "stream_copy", STREAM, headers)
        return syntax.edited(*edits, Edit(loop.start, loop.end, tiled), *_fence(syntax, syntax.body))


def _stores(syntax: Syntax, loop: Loop, task: Task) -> list[Access]:
    """The stores of `loop` that can be streamed, one per result."""
    if (
        syntax.inner(loop)
        or loop.step != "1"
        or any("simd" in syntax.text(p) and "parallel" in syntax.text(p) for p in loop.pragmas)
    ):
        return []
    proof = Dependences(syntax, task)
    effects = syntax.effects(loop.body)
    if effects.opaque or effects.exits:
        return []
    results = {tensor.name for tensor in task.returns}
    found = []
    for store in effects.outer:
        if store.writes and store.operator == "=" and is_contiguous(proof, store, loop):
            same = [access for access in effects.outer if access.name == store.name]
            if len(same) == 1 and proof.bases([store]) and proof.bases([store]) <= results:  # type: ignore[operator]
                found.append(store)
    bases = [base for store in found for base in proof.bases([store]) or ()]
    others = proof.bases([access for access in effects.outer if access not in found])
    return found if others is not None and not others & set(bases) and len(set(bases)) == len(bases) else []


def _tiled(syntax: Syntax, loop: Loop, stores: list[Access], tile: str, task: Task) -> str | None:
    proof = Dependences(syntax, task)
    block = block_name(syntax, loop)
    end = fresh(syntax, f"{loop.variable}_end")
    body, tiles, copies = syntax.text(loop.body), [], []
    for store in reversed(stores):
        kind, name = element_type(syntax, store.name), fresh(syntax, f"{store.name}_tile")
        start = index_at(syntax, proof, store.index[0], loop, block)
        if not kind or start is None:
            return None
        at = store.node.start_byte - loop.body.start_byte
        until = store.node.end_byte - loop.body.start_byte
        raw = body.encode()
        body = b"".join([raw[:at], f"{name}[{loop.variable} - {block}]".encode(), raw[until:]]).decode()
        tiles.insert(0, f"alignas(64) {kind} {name}[{tile}];")
        copies.insert(0, f"stream_copy(&{store.name}[{start}], {name}, {end} - {block});")
    outside = [syntax.text(p).strip() for p in loop.pragmas if "parallel" in syntax.text(p)]
    inside = [syntax.text(p).strip() for p in loop.pragmas if "parallel" not in syntax.text(p)]
    kind, variable, indent = loop.type, loop.variable, syntax.indent(loop.node.start_byte)
    head = f"for ({kind} {variable} = {block}; {variable} < {end}; ++{variable}) "
    braced = body if loop.body.type == "compound_statement" else f"{{\n{INDENT}{body}\n}}"
    inner = "\n".join([*inside, head + _dedented(braced, syntax.indent(loop.body.start_byte))])
    lines = [
        *outside,
        f"for ({kind} {block} = {loop.lower}; {block} < {loop.upper}; {block} += {tile}) {{",
        f"{INDENT}const {kind} {end} = std::min<{kind}>({block} + {tile}, {loop.upper});",
        *(INDENT + line for line in tiles),
        reindent(inner, INDENT),
        *(INDENT + line for line in copies),
        "}",
    ]
    return reindent("\n".join(lines), indent)[len(indent) :]


def _dedented(text: str, indent: str) -> str:
    """`text`, whose first line begins behind `indent`, with that taken from the other lines."""
    return re.sub(rf"\n{indent}", "\n", text)


def _fence(syntax: Syntax, body: Node) -> tuple[Edit, ...]:
    if re.search(r"\bstream_fence\(\);\s*}$", syntax.text(body)):
        return ()
    at = body.end_byte - 1
    return (Edit(at, at, f"{INDENT}stream_fence();\n"),)


PLUGIN = StreamingStores
