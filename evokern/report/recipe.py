"""How a kernel came to be, in one line."""

from __future__ import annotations

from evokern.records.kernel import Child, Step


def recipe(child: Child) -> str:
    """Every step with its site and options."""
    return " -> ".join(map(str, child.recipe.steps)) or child.operator


def short_recipe(child: Child) -> str:
    """The rewrites alone, repeated ones counted: ``parallelise unroll x2``."""
    counted: list[tuple[str, int]] = []
    for step in child.recipe.steps:
        if counted and counted[-1][0] == step.rewrite:
            counted[-1] = (step.rewrite, counted[-1][1] + 1)
        else:
            counted.append((step.rewrite, 1))
    return " ".join(f"{name} x{times}" if times > 1 else name for name, times in counted) or child.operator


def only_in(steps: tuple[Step, ...], other: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps that `other` lacks, each as often as it lacks them."""
    left = list(other)
    missing = []
    for step in steps:
        if step in left:
            left.remove(step)
        else:
            missing.append(step)
    return tuple(missing)
