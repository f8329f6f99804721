"""What a loop stores goes into a small tile, and the tile past the caches into memory (non-temporal stores).

Buys: an ordinary store reads the line that it overwrites first and evicts what the caches hold; a streamed one does
neither (copying 256 MB: 33 GB/s against 25). Costs: nothing in accuracy; slow when the result is read again soon.
GCC ignores OpenMP's ``nontemporal``, hence the tile: the loop that fills it stays a plain, vectorisable loop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evokern.analysis.effects import Access
from evokern.analysis.syntax import INDENT, TILE_SUFFIX, Edit, Syntax, reindent

from ._definitions import definition
from ._loops import Choices, LoopPlace, LoopRewrite, is_innermost, whole_lines
from ._tiles import block_name, element_type, fresh, index_at, is_contiguous
from ._tunables import declare

if TYPE_CHECKING:
    from tree_sitter import Node

TILES = ("64", "128", "256", "512", "1024")

STREAM = """
template <class T>
static inline void stream_copy(T* to, const T* from, int64_t count) {
    // Copies `count` elements past the caches; lines that are not filled completely take the ordinary way.
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

static inline void stream_fence() {
    // Streamed stores are visible to everyone after this; other threads' are since the barrier that ended their loop.
#if defined(__SSE__)
    _mm_sfence();
#endif
}
"""


class StreamingStores(LoopRewrite):
    """Applies to innermost loops that fill consecutive elements of results which they do not read."""

    name = "streaming_stores"
    usual = ("tile", "256")
    expected_gain = 0.4

    def choices(self, at: LoopPlace) -> Choices | None:
        return {"tile": TILES} if _stores(at) else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        syntax = at.syntax
        start, end = whole_lines(syntax, at.loop)
        size, declaration = declare(syntax, f"{at.loop.variable}{TILE_SUFFIX}".upper(), chosen["tile"], TILES)
        return [
            declaration,
            *definition(syntax, "stream_copy", STREAM),
            Edit(start, end, reindent(_tiled(at, _stores(at), size), syntax.indent(at.loop.node.start_byte))),
            *_fence(syntax),
        ]


def _stores(at: LoopPlace) -> list[tuple[Access, str]]:
    """The stores that can be streamed, one per result, and the index of the block's first element."""
    syntax, loop, bases = at.syntax, at.loop, at.dependences.bases
    effects = syntax.effects(loop.body)
    both = [pragma for pragma in loop.pragmas if re.search(r"parallel.*simd", syntax.text(pragma))]
    if not is_innermost(syntax, loop) or loop.step != "1" or both or effects.opaque or effects.exits:
        return []
    results = {tensor.name for tensor in at.task.returns}
    found: list[tuple[Access, str]] = []
    for store in effects.outer:
        if store.operator == "=" and is_contiguous(at, store) and element_type(syntax, store.name):
            start = index_at(at, store.index[0], block_name(syntax, loop))
            others = bases([access for access in effects.outer if access is not store])
            into = bases([store])
            if start is not None and into and into <= results and others is not None and not into & others:
                found.append((store, start))
    return found


def _tiled(at: LoopPlace, stores: list[tuple[Access, str]], size: str) -> str:
    syntax, loop = at.syntax, at.loop
    kind, variable, block = loop.type, loop.variable, block_name(syntax, loop)
    end = fresh(syntax, f"{variable}_end")
    tiles = {store.name: fresh(syntax, f"{store.name}{TILE_SUFFIX}") for store, _ in stores}
    edits = [
        Edit(store.node.start_byte, store.node.end_byte, f"{tiles[store.name]}[{variable} - {block}]")
        for store, _ in stores
    ]
    body = _replaced(syntax, loop.body, edits)
    outside = [syntax.text(pragma).strip() for pragma in loop.pragmas if "omp parallel" in syntax.text(pragma)]
    inside = [syntax.text(pragma).strip() for pragma in loop.pragmas if "omp parallel" not in syntax.text(pragma)]
    head = f"for ({kind} {variable} = {block}; {variable} < {end}; ++{variable}) "
    inner = syntax.indent(loop.node.start_byte) + head + body
    return "\n".join(
        [
            *outside,
            f"for ({kind} {block} = {loop.lower}; {block} < {loop.upper}; {block} += {size}) {{",
            f"{INDENT}const {kind} {end} = std::min<{kind}>({block} + {size}, {loop.upper});",
            *(f"{INDENT}alignas(64) {element_type(syntax, name)} {tile}[{size}];" for name, tile in tiles.items()),
            *(INDENT + pragma for pragma in inside),
            reindent(inner, INDENT),
            *(f"{INDENT}stream_copy(&{s.name}[{start}], {tiles[s.name]}, {end} - {block});" for s, start in stores),
            "}",
        ]
    )


def _replaced(syntax: Syntax, node: Node, edits: Sequence[Edit]) -> str:
    """The text of `node` after `edits`, which lie inside it."""
    pieces, at = [], node.start_byte
    for edit in edits:
        pieces += [syntax.between(at, edit.start), edit.text]
        at = edit.end
    return "".join([*pieces, syntax.between(at, node.end_byte)])


def _fence(syntax: Syntax) -> list[Edit]:
    """Ends the kernel with a fence, once."""
    if syntax.body is None or re.search(r"\bstream_fence\(\);\s*}$", syntax.text(syntax.body)):
        return []
    at = syntax.body.end_byte - 1
    return [Edit(at, at, f"{INDENT}stream_fence();\n")]


PLUGIN = StreamingStores
