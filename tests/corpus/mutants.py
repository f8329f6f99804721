"""Further kernels with seeded faults, made by rule from the honest C++ ones: nobody wrote them, the judge labels them.

A rule edits one place of a source, drawn from a stream that follows from the task's name. Most mutants are wrong, some
compute the same thing: that is what a label is for. Kinds that no compiler lets pass are among them.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import numpy

from evokern.records.kernel import Kernel
from tests.corpus.corpus import Specimens, Wrong

PER_TASK, DRAWS = 8, 200


@dataclass(frozen=True)
class Rule:
    """Replaces one match of `pattern` within the kernel's code."""

    kind: str
    pattern: re.Pattern[str]
    replacement: str


def _rule(kind: str, pattern: str, replacement: str) -> Rule:
    return Rule(kind, re.compile(pattern), replacement)


RULES = (
    _rule("off-by-one", r"< (\w+); ", r"< \1 - 1; "),
    _rule("off-by-one", r"= 0; (\w+) < ", r"= 1; \1 < "),
    _rule("out-of-bounds", r"< (\w+); ", r"<= \1; "),
    _rule("dropped-term", r"(?<=[\w\]\)]) [+*] \w+(\[[^\]\n]*\])?(?=;)", ""),
    _rule("wrong-sign", r"(?<=[\w\]\)]) \+ (?=[a-z]\w*\[)", " - "),
    _rule("wrong-sign", r" \+= ", " -= "),
    _rule("wrong-index", r"\[(\w+) \* (\w+) \+ (\w+)\]", r"[\3 * \2 + \1]"),
    _rule("wrong-constant", r"\b1\.0f\b", "1.01f"),
    _rule("lower-precision", r"= (\w+\[[^\]\n]*\]);", r"= float(float16(\1));"),
    _rule("unwritten", r"\n( +)(\w+)\[([^\]\n]*)\] = ", r"\n\1if (\3 != 1) \2[\3] = "),
    _rule("undeclared-name", r"\b(sum|total|result|value|best|acc)\b(?= )", r"\1_"),
    _rule("missing-semicolon", r";\n(?= +\w)", "\n"),
    _rule(
        "unknown-function", r"\b(sqrtf?|expf?|std::exp|std::sqrt|logf?|fabsf?|tanhf?|std::max|fmaxf?)\(", "fast_math("
    ),
)
"""Kinds beyond those of the corpus are faults that do not compile."""
UNCOMPILABLE = frozenset({"undeclared-name", "missing-semicolon", "unknown-function"})


def mutants(task: Specimens) -> tuple[Wrong, ...]:
    """`PER_TASK` different kernels, none of which the corpus has; fewer where the rules find no more."""
    rng = numpy.random.default_rng(zlib.crc32(f"mutants of {task.name}".encode()))
    known = {one.kernel.normal_hash for one in (*task.honest, *task.wrong)}
    found: list[Wrong] = []
    for _ in range(DRAWS):
        origin = task.honest[int(rng.integers(len(task.honest)))].kernel
        rule = RULES[int(rng.integers(len(RULES)))]
        kernel = _edited(origin, rule, rng)
        if kernel is not None and kernel.normal_hash not in known:
            known.add(kernel.normal_hash)
            found.append(Wrong(f"{task.name}/mutant-{rule.kind}-{len(found) + 1}", kernel, rule.kind))
        if len(found) == PER_TASK:
            break
    return tuple(found)


def _edited(kernel: Kernel, rule: Rule, rng: numpy.random.Generator) -> Kernel | None:
    """The kernel with one match behind its signature replaced; None where there is none."""
    begin = kernel.source.find("void kernel(")
    places = list(rule.pattern.finditer(kernel.source, max(0, kernel.source.find("{", begin))))
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    changed = kernel.source[: place.start()] + place.expand(rule.replacement) + kernel.source[place.end() :]
    return Kernel(changed, kernel.language)
