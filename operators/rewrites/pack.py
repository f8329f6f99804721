"""Copies a tensor into scratch with another dimension innermost, so that a hot loop reads it contiguously.

Pays where a loop walks a tensor with a long stride many times: each step costs a cache line, and long strides of a
power of two fall into few cache sets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evokern.analysis.dependence import Dependences
from evokern.analysis.effects import Access, walk
from evokern.analysis.polynomial import Polynomial, constant, symbol
from evokern.analysis.syntax import INDENT, Edit, Loop, Syntax, parse
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task, Tensor

_EVERY = "every input"
"""The site that packs all of them, each along the first dimension that it offers."""

_TRANSPOSED = """
// A copy of `from` (outer, middle, inner) as (outer, inner, middle).
template <class T>
static std::vector<T> transposed(const T* from, int64_t outer, int64_t middle, int64_t inner) {
    std::vector<T> to(outer * middle * inner);
    for (int64_t o = 0; o < outer; ++o) {
        for (int64_t i = 0; i < inner; ++i) {
            for (int64_t m = 0; m < middle; ++m) {
                to[(o * inner + i) * middle + m] = from[(o * middle + m) * inner + i];
            }
        }
    }
    return to;
}

"""


@dataclass(frozen=True)
class _Use:
    """One read of a tensor: the index along each of its dimensions, as text."""

    access: Access
    index: tuple[str, ...]


class Pack:
    """A site per input that some innermost loop walks along another dimension than its last.

    It must only ever be read by subscripts that follow its dimensions; it is copied before the loops. Where there are
    several, one more site packs them all: they tend to pay together.
    """

    name = "pack"
    expected_gain = 0.4

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        syntax = parse(kernel)
        dependences = Dependences(syntax, task)
        found = ((tensor, _walked(syntax, tensor, _uses(syntax, dependences, tensor))) for tensor in task.inputs)
        sites = [Site(tensor.name, {"innermost": dims}) for tensor, dims in found if dims]
        return [*sites, Site(_EVERY)] if len(sites) > 1 else sites

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        if step.site == _EVERY:
            return None if step.options else self._apply_everywhere(kernel, task)
        syntax = parse(kernel)
        tensor = next((tensor for tensor in task.inputs if tensor.name == step.site), None)
        uses = _uses(syntax, Dependences(syntax, task), tensor) if tensor else ()
        innermost = dict(step.options).get("innermost", "")
        if tensor is None or innermost not in _walked(syntax, tensor, uses) or len(step.options) != 1:
            return None
        name, at = f"{tensor.name}_packed", tensor.dims.index(innermost)
        order = [*(axis for axis, _ in enumerate(tensor.dims) if axis != at), at]
        sizes = [
            " * ".join(dims) or "1" for dims in (tensor.dims[:at], tensor.dims[at : at + 1], tensor.dims[at + 1 :])
        ]
        kind = syntax.parameters[tensor.name].replace("const", "").replace("*", "").strip()
        # Read through a plain pointer: inside a parallel region the compiler would reload a vector's own each time.
        lines = (
            f"{INDENT}const std::vector<{kind}> {name}_copy = transposed({', '.join([tensor.name, *sizes])});\n"
            f"{INDENT}const {kind}* {name} = {name}_copy.data();  // {innermost} innermost\n"
        )
        start = syntax.line_start(_enclosing(syntax, uses[0].access)[0].start)
        edits = [
            Edit(use.access.node.start_byte, use.access.node.end_byte, f"{name}[{_flat(use.index, tensor, order)}]")
            for use in uses
        ]
        packed = syntax.edited(Edit(start, start, lines), *edits)
        return packed if _TRANSPOSED in packed.source else _with_function(packed)

    def _apply_everywhere(self, kernel: Kernel, task: Task) -> Kernel | None:
        sites = [site for site in self.sites(kernel, task) if site.label != _EVERY]
        packed: Kernel | None = kernel
        for site in sites:
            innermost = (("innermost", site.options["innermost"][0]),)
            packed = self.apply(packed, Step(self.name, site.label, innermost), task) if packed else None
        return packed if len(sites) > 1 else None


def _with_function(kernel: Kernel) -> Kernel:
    """`kernel` with the function that copies, in front of its first line of code."""
    head = re.match(r"(?:[ \t]*//[^\n]*\n)*", kernel.source)
    at = head.end() if head else 0
    return Kernel(kernel.source[:at] + _TRANSPOSED + kernel.source[at:])


def _walked(syntax: Syntax, tensor: Tensor, uses: tuple[_Use, ...]) -> tuple[str, ...]:
    """The dimensions, other than the last, that an innermost loop around a use runs along."""
    inner = [(use, _enclosing(syntax, use.access)[-1].variable) for use in uses]
    return tuple(
        dim
        for axis, dim in enumerate(tensor.dims[:-1])
        if any(re.search(rf"\b{variable}\b", use.index[axis]) for use, variable in inner)
    )


def _uses(syntax: Syntax, dependences: Dependences, tensor: Tensor) -> tuple[_Use, ...]:
    """Every read of `tensor`; empty when one of them is not understood, or packing it can't matter."""
    plain = all(dim.isidentifier() for dim in tensor.dims) and len(set(tensor.dims)) == len(tensor.dims) >= 2
    if not plain or syntax.body is None or f"{tensor.name}_packed" in syntax.types:
        return ()
    accesses = [access for access in syntax.effects(syntax.body).accesses if access.name == tensor.name]
    mentions = sum(node.type == "identifier" and syntax.text(node) == tensor.name for node in walk(syntax.body))
    found = tuple(_Use(access, index) for access in accesses if (index := _index(dependences, tensor, access)))
    if not found or len(found) != mentions or not all(_enclosing(syntax, use.access) for use in found):
        return ()
    return found if len({_enclosing(syntax, use.access)[0].node.id for use in found}) == 1 else ()


def _index(dependences: Dependences, tensor: Tensor, access: Access) -> tuple[str, ...]:
    """The index along each dimension, as text, of ``T[(i * D1 + j) * D2 + k]``; empty when it has another form."""
    rest = dependences.polynomial(access.index[0]) if len(access.index) == 1 and not access.writes else None
    parts: list[str] = []
    for axis, _ in enumerate(tensor.dims):
        if rest is None:
            return ()
        stride = constant(1)
        for dim in tensor.dims[axis + 1 :]:
            stride *= symbol(dim)
        (unit,) = stride.terms
        taken = {term: factor for term, factor in rest.terms.items() if _divides(unit, term)}
        quotient = Polynomial({_without(term, unit): factor for term, factor in taken.items()})
        if any(name in tensor.dims for name in quotient.names) or any(factor < 0 for factor in quotient.terms.values()):
            return ()
        parts.append(_written(quotient))
        rest = Polynomial({term: factor for term, factor in rest.terms.items() if term not in taken})
    return tuple(parts)


def _divides(unit: tuple[str, ...], term: tuple[str, ...]) -> bool:
    return all(term.count(name) >= unit.count(name) for name in unit)


def _without(term: tuple[str, ...], unit: tuple[str, ...]) -> tuple[str, ...]:
    left = list(term)
    for name in unit:
        left.remove(name)
    return tuple(left)


def _written(polynomial: Polynomial) -> str:
    terms = [
        " * ".join([*([str(factor)] if factor != 1 or not names else []), *names])
        for names, factor in polynomial.terms.items()
    ]
    return " + ".join(terms) or "0"


def _enclosing(syntax: Syntax, access: Access) -> list[Loop]:
    return [
        loop
        for loop in syntax.loops
        if loop.node.start_byte < access.node.start_byte and access.node.end_byte <= loop.node.end_byte
    ]


def _flat(index: tuple[str, ...], tensor: Tensor, order: list[int]) -> str:
    """The row-major index of a tensor whose dimensions come in `order`."""
    text = "0"
    for axis in order:
        row = f"({text})" if " " in text else text
        text = index[axis] if text == "0" else f"{row} * {tensor.dims[axis]} + {index[axis]}"
    return text


PLUGIN = Pack
