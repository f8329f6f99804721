"""Integer polynomials over the names of a kernel: what array indices and loop bounds are, symbolically."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product


@dataclass(frozen=True)
class Polynomial:
    """``3*M*N + n - 1`` is ``{("M", "N"): 3, ("n",): 1, (): -1}``; every name of a term is sorted, no term is zero."""

    terms: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def __add__(self, other: Polynomial) -> Polynomial:
        return collect((*self.terms.items(), *other.terms.items()))

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + other * constant(-1)

    def __mul__(self, other: Polynomial) -> Polynomial:
        pairs = product(self.terms.items(), other.terms.items())
        return collect((tuple(sorted(a + b)), x * y) for (a, x), (b, y) in pairs)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for term in self.terms for name in term)

    def split(self, name: str) -> tuple[Polynomial, Polynomial] | None:
        """(factor, rest) with self == factor * name + rest; None when `name` occurs to a higher power."""
        if any(term.count(name) > 1 for term in self.terms):
            return None
        factor = collect((tuple(n for n in term if n != name), k) for term, k in self.terms.items() if name in term)
        return factor, collect((term, k) for term, k in self.terms.items() if name not in term)

    def is_never_negative(self, at_least: Mapping[str, int]) -> bool:
        """Whether it is >= 0 for all values of its names; ``at_least`` gives each name's least value (>= 0).

        A name that is missing there may have any value. Sound, not complete.
        """
        if not self.names <= at_least.keys():
            return False
        shifted: Polynomial = self
        for name in self.names:
            shifted = _shift(shifted, name, at_least[name])
        return all(factor >= 0 for factor in shifted.terms.values())


def constant(value: int) -> Polynomial:
    """A number."""
    return Polynomial({(): value} if value else {})


def symbol(name: str) -> Polynomial:
    """A name by itself."""
    return Polynomial({(name,): 1})


def collect(terms: Iterable[tuple[tuple[str, ...], int]]) -> Polynomial:
    """The sum of `terms`."""
    found: dict[tuple[str, ...], int] = {}
    for names, factor in terms:
        found[names] = found.get(names, 0) + factor
    return Polynomial({names: factor for names, factor in found.items() if factor})


def _shift(polynomial: Polynomial, name: str, by: int) -> Polynomial:
    """`polynomial` written in (name - by), so that what stands for the name is >= 0."""
    moved = symbol(name) + constant(by)
    total = Polynomial()
    for term, factor in polynomial.terms.items():
        piece = Polynomial({tuple(n for n in term if n != name): factor})
        for _ in range(term.count(name)):
            piece = piece * moved
        total += piece
    return total
