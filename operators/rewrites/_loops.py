"""What the rewrites of loops share: a site is a loop by its label, and applying is a few text edits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evokern.analysis.dependence import Dependences
from evokern.analysis.syntax import Edit, Loop, Syntax, parse
from evokern.plugins.protocols import Site
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task

Choices = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class LoopPlace:
    """A loop with all that a rewrite may look at to judge it."""

    syntax: Syntax
    loop: Loop
    dependences: Dependences
    task: Task


class LoopRewrite(ABC):
    """A rewrite whose sites are loops. A subclass says which (`choices`) and what becomes of them (`edits`)."""

    name: str
    usual: tuple[str, str] | None = None
    """`Site.usual`."""

    @abstractmethod
    def choices(self, at: LoopPlace) -> Choices | None:
        """The options at a loop; None when the rewrite does not apply there."""

    def weight(self, at: LoopPlace) -> float:  # noqa: ARG002 - a subclass looks
        """How promising a loop is beside the others (`Site.weight`)."""
        return 1.0

    @abstractmethod
    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        """The edits that apply it at a loop, for options that `choices` offered."""

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        syntax = parse(kernel)
        dependences = Dependences(syntax, task)
        places = [LoopPlace(syntax, loop, dependences, task) for loop in syntax.loops if _is_open(syntax, loop)]
        found = ((place, self.choices(place)) for place in places)
        return [
            Site(at.loop.label, choices, self.weight(at), self.usual) for at, choices in found if choices is not None
        ]

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        syntax = parse(kernel)
        loop = syntax.loop(step.site)
        if loop is None or not _is_open(syntax, loop):
            return None
        place = LoopPlace(syntax, loop, Dependences(syntax, task), task)
        chosen = dict(step.options)
        return syntax.edited(*self.edits(place, chosen)) if offers(self.choices(place), chosen) else None


def _is_open(syntax: Syntax, loop: Loop) -> bool:
    """Whether lines can be put before `loop`: it begins its line, between braces, and is not collapsed into another.

    Loops over what whole vectors leave are closed to all: there is nothing to gain.
    """
    block = loop.node.parent
    begins = not syntax.between(syntax.line_start(loop.node.start_byte), loop.node.start_byte).strip()
    collapsed = loop.parent is not None and has_pragma(syntax, loop.parent, "collapse(")
    return block is not None and block.type == "compound_statement" and begins and not collapsed and not loop.is_rest


def offers(choices: Choices | None, chosen: Mapping[str, str]) -> bool:
    """Whether `chosen` fixes one of the offered values for each of `choices`."""
    return choices is not None and choices.keys() == chosen.keys() and all(v in choices[k] for k, v in chosen.items())


def has_pragma(syntax: Syntax, loop: Loop, words: str) -> bool:
    """Whether one of the loop's pragmas mentions `words`, e.g. ``omp parallel``."""
    return any(words in syntax.text(pragma) for pragma in loop.pragmas)


def is_parallel(syntax: Syntax, loop: Loop) -> bool:
    """Whether `loop`, one around it or one inside it runs on several threads."""
    near = [loop, *syntax.inner(loop), *(other for other in syntax.loops if loop.within(other))]
    return any(has_pragma(syntax, other, "omp parallel") for other in near)


def is_innermost(syntax: Syntax, loop: Loop) -> bool:
    """Whether no loop, counted or not, is inside `loop`."""
    return not any(word in syntax.text(loop.body) for word in ("for (", "while (", "for(", "while("))


def pragma_before(syntax: Syntax, loop: Loop, text: str) -> Edit:
    """Puts ``#pragma text`` directly before the ``for``, behind the pragmas that are already there."""
    at = loop.node.start_byte
    return Edit(at, at, f"#pragma {text}\n{syntax.indent(at)}")


def body_text(syntax: Syntax, loop: Loop) -> str:
    """The statements of the loop's body as written, without the braces, from the first line's indentation on."""
    if loop.body.type != "compound_statement":
        return syntax.text(loop.body)
    start, end = loop.body.start_byte + 1, loop.body.end_byte - 1
    if b"\n" in syntax.source[start:end]:
        start = syntax.line_end(start) if not syntax.between(start, syntax.line_end(start)).strip() else start
    return syntax.between(start, end).strip("\n").rstrip()


def whole_lines(syntax: Syntax, loop: Loop) -> tuple[int, int]:
    """The bytes of the loop's lines, pragmas included, final newline excluded."""
    return syntax.line_start(loop.start), loop.end
