"""Which points of a kernel are legal: combinations of choices that satisfy every constraint that it declares.

A constraint is arithmetic over tunables, the task's dimensions and integer scalars, and device limits (`limits.py`).
One that names dimensions must hold at every timed shape. Legal points come from a constraint solver, which cuts a
branch as soon as one constraint is broken: nothing is ever drawn and thrown away.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod

from constraint import Problem

from evokern.records.arithmetic import Unsayable, Value, check_expression, evaluate
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.task import Scalar, Task
from evokern.records.tunable import Constraint, Declarations, Point, Tunable, declarations, value_of
from evokern.tuning.limits import device_limits

MOST_COMBINATIONS = 1 << 14
"""Of choices that are looked at: listing them must not take longer than judging one. Larger spaces are thinned out."""

Scope = tuple[tuple[str, int], ...]
"""(Name, value) of everything that a constraint may use besides tunables, at one shape."""


def misdeclared(kernel: Kernel, task: Task) -> Evidence | None:
    """What is wrong with a kernel's declarations, at which line and column: one can't be read, a constraint names what
    nobody knows, or the kernel's own point breaks it. None when all is well.
    """
    try:
        declared = declarations(kernel.source)
        if not declared.constraints:
            return None
        scopes = _scopes(kernel, task)
        known = {name for name, _ in scopes[0]} | {one.name for one in declared.tunables} | {*task.dimensions}
        for constraint in declared.constraints:
            check_expression(constraint.expression, frozenset(known))
        own = dict(kernel.point)
        for constraint in _applying(declared, task):
            if not _holds(constraint, own, scopes):
                point = ", ".join(f"{name} = {choice}" for name, choice in own.items() if name in _names(constraint))
                place = f"{constraint.line}:{constraint.column}"
                return Evidence("compile", f"{place}: the first choices break `{constraint.text}` ({point or 'none'})")
    except Unsayable as error:
        return Evidence("compile", str(error))
    return None


def legal_points(kernel: Kernel, task: Task) -> tuple[Point, ...]:
    """The legal points of a kernel that compiles, the same whichever of them it is at; smallest choices come first.

    Of more than `MOST_COMBINATIONS` combinations some are left out: as often as needed, the tunable with most choices
    loses every second one.
    """
    declared = declarations(kernel.source)
    choices = {one.name: one.ordered for one in declared.tunables}
    while prod(map(len, choices.values())) > MOST_COMBINATIONS:
        longest = max(choices, key=lambda name: len(choices[name]))
        choices[longest] = choices[longest][::2]
    thinned = tuple(Tunable(name, left) for name, left in choices.items())
    return _solved(Declarations(thinned, _applying(declared, task)), _scopes(kernel, task))


@lru_cache(maxsize=64)
def _solved(declared: Declarations, scopes: tuple[Scope, ...]) -> tuple[Point, ...]:
    problem = Problem()
    for tunable in declared.tunables:
        problem.addVariable(tunable.name, list(tunable.choices))
    names = {tunable.name for tunable in declared.tunables}
    for constraint in declared.constraints:
        variables = sorted(names & _names(constraint))
        if variables:
            problem.addConstraint(_predicate(constraint, variables, scopes), variables)
        elif not _predicate(constraint, [], scopes)():
            return ()
    found = problem.getSolutionIter() if declared.tunables else iter([{}])
    rank = {one.name: {choice: place for place, choice in enumerate(one.choices)} for one in declared.tunables}
    points = [tuple((one.name, solution[one.name]) for one in declared.tunables) for solution in found]
    return tuple(sorted(points, key=lambda point: [rank[name][choice] for name, choice in point]))


def _predicate(constraint: Constraint, variables: list[str], scopes: tuple[Scope, ...]) -> Callable[..., bool]:
    @lru_cache(maxsize=1 << 16)  # the solver asks again for each combination of the others
    def holds(*choices: str) -> bool:
        try:
            return _holds(constraint, dict(zip(variables, choices, strict=True)), scopes)
        except Unsayable:  # a division by zero, say
            return False

    return holds


def _holds(constraint: Constraint, point: Mapping[str, str], scopes: tuple[Scope, ...]) -> bool:
    """Whether it does at every shape.

    Raises:
        Unsayable: it can't be computed at this point.
    """
    chosen: dict[str, Value] = {name: value_of(choice) for name, choice in point.items()}
    return all(evaluate(constraint.expression, {**dict(scope), **chosen}) != 0 for scope in scopes)


def _applying(declared: Declarations, task: Task) -> tuple[Constraint, ...]:
    """Those that can be told: where nothing is timed, what names dimensions says nothing."""
    dimensions = set() if task.time else {*task.dimensions}
    return tuple(one for one in declared.constraints if not dimensions & _names(one))


def _names(constraint: Constraint) -> set[str]:
    return {node.id for node in ast.walk(constraint.expression) if isinstance(node, ast.Name)}


def _scopes(kernel: Kernel, task: Task) -> tuple[Scope, ...]:
    always = dict(device_limits(kernel.language)) | _scalars(task)
    return tuple(tuple(sorted((always | dict(shape)).items())) for shape in task.time or ({},))


def _scalars(task: Task) -> dict[str, int]:
    scalars = (one for one in task.arguments if isinstance(one, Scalar))
    return {one.name: int(one.value) for one in scalars if not one.dtype.is_float}
