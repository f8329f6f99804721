"""Swaps two loops, one directly inside the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import Edit, Loop

from ._loops import Choices, LoopPlace, LoopRewrite


class Interchange(LoopRewrite):
    """Applies to the outer of two perfectly nested loops when one of them carries no dependence.

    With the outer loop free of dependences every distance is (0, *), with the inner one free over the whole nest it
    is (*, 0); neither turns backwards when the two are swapped.
    """

    name = "interchange"
    expected_gain = 0.2

    def choices(self, at: LoopPlace) -> Choices | None:
        syntax, loop = at.syntax, at.loop
        inner = next((other for other in syntax.loops if [other.node] == list(loop.statements)), None)
        if inner is None or loop.pragmas or inner.pragmas or _mentions(loop.variable, inner):
            return None
        dependences = at.dependences
        effects = syntax.effects(inner.body)
        if not dependences.independent(inner):
            return None
        bases = dependences.bases(effects.outer)
        free = dependences.independent(loop) or (
            bases is not None and dependences.disjoint(inner, effects.outer, bases)
        )
        return {} if free else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:  # noqa: ARG002 (a pair of loops leaves no choice)
        syntax, loop = at.syntax, at.loop
        inner = next(other for other in syntax.loops if [other.node] == list(loop.statements))
        heads = [(each.node.start_byte, each.body.start_byte) for each in (loop, inner)]
        texts = [syntax.between(*head) for head in heads]
        return [Edit(*head, text) for head, text in zip(heads, reversed(texts), strict=True)]


def _mentions(variable: str, loop: Loop) -> bool:
    return (
        variable
        in f"{loop.lower} {loop.upper} {loop.step}".replace("(", " ").replace(")", " ").replace(",", " ").split()
    )


PLUGIN = Interchange
