"""What explains the speed of a C++ kernel: which loops run on vectors, which do not and why, and what they still call.

Read from the compiler's own words, as g++ dumps them and as clang++ remarks, and from the assembly. All of it may quote
the kernel, which a machine wrote: the facts are data, for prompts to quote and for people to read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SOURCE = "kernel.cpp"
"""What the kernel's file is called in the compiler's words."""
EDITION = 1
"""Of what is told: facts that an earlier evokern kept under another one are not read."""
MOST_FACTS = 8
_MOST_LISTED = 12
"""Lines or functions that one fact names."""
_FACT_CHARS = 240

_REMARK = re.compile(r"(?P<file>[^\s:]+):(?P<line>\d+):\d+: (?P<kind>missed|optimized|note|remark): (?P<said>.*)")
_WHY = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"stmt not supported: (?:\S+ = )?(?:__builtin_)?([a-zA-Z]\w*) \(", "it calls {}"),
        (r"clobbers memory: (?:\S+ = )?(?:__builtin_)?([a-zA-Z]\w*) \(", "it calls {}"),
        (r"phi not supported: ([a-zA-Z]\w*?)_\d+ = ", "it carries {} from one iteration to the next"),
        (r"unsupported use in stmt|nknown def-use cycle", "it carries a value from one iteration to the next"),
        (r"possible dependence|(possible|time) alias|bad data dep", "an iteration may need what an earlier one wrote"),
        (r"number of iterations cannot be computed", "nobody can tell beforehand how often it runs"),
        (r"control flow in loop", "it has branches or an early exit"),
        (r"complicated access pattern", "it reaches memory in irregular steps"),
        (r"not profitable|never be profitable", "the compiler expects no gain"),
        (r"stmt not supported: (.*)", "there is no vector form of {}"),
        (r"not vectorized: (?!no vectype|unsupported data-type)(.*)", "{}"),
    )
)
"""g++'s reasons in plain words, the most telling first: it tries each width, and the last may fail for another."""
_NESTED = re.compile(r"nested loops|inner loops|outer-loop")
_UNTOLD = "for a reason that the compiler does not tell"
_LOOP = re.compile(r"\b(?:for|while)\s*\(|\bdo\s*\{")
_NO_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
_LABEL = re.compile(r"([.\w$]+):")
_JUMP = re.compile(r"\s+(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\s.*?(\.L[\w$]+)")
_CALL = re.compile(r"\s+(?:call|bl|jmp|b)\s+([A-Za-z_]\w*)(?:@PLT)?\s*$")
_RUNTIME = re.compile(r"GOMP_|omp_|__kmpc_|__stack_chk|_Unwind_|__cxa_|_ZSt\d+__throw_")
"""What threads need, and what errors would."""
_PLAIN_NAMES = (
    (re.compile(r"_Zn[wa]m.*"), "operator new"),
    (re.compile(r"_Zd[la]Pv.*"), "operator delete"),
    (re.compile(r"_ZGV\w(\w)(\d+)v+_(\w+)"), r"\3 on vectors of \2"),
)
"""The last: the vector function ABI of x86-64."""


@dataclass
class _Loop:
    """What was said of the loops that begin at one line."""

    width: int = 0
    """Of the widest vectors: bits, or elements when `counted`."""
    counted: bool = False
    in_order: bool = False
    why: str = ""


def facts(source: str, remarks: str, assembly: str) -> tuple[str, ...]:
    """At most `MOST_FACTS` facts on a kernel, each a line.

    Args:
        source: the kernel.
        remarks: what the compiler said of its loops (`compiler.Listing`).
        assembly: what it made of them.
    """
    lines = source.splitlines()
    widths, failures, sums = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list), list[int]()
    for line, loop in sorted(_loops(remarks).items()):
        if line > len(lines) or lines[line - 1].lstrip().startswith("#"):
            continue  # what a pragma adds around a loop
        if loop.width:
            widths[f"{loop.width} elements at a time" if loop.counted else f"{loop.width}-bit vectors"].append(line)
            sums += [line] if loop.in_order else []
        elif not _holds_another(source, line):
            failures[loop.why].append(line)
    called = _called_in_loops(assembly)
    found = [
        *([f"called in loops: {_listed(called)}"] if called else []),
        *(f"not vectorised ({why}): {_at(places)}" for why, places in failures.items()),
        *([f"a sum is added one element after another, in their order: {_at(sums)}"] if sums else []),
        *(f"vectorised ({width}): {_at(places)}" for width, places in widths.items()),
    ]
    return tuple(one[:_FACT_CHARS] for one in found[:MOST_FACTS])


def _loops(remarks: str) -> Mapping[int, _Loop]:
    """By line of the kernel. Of a loop that was cloned, the vectorised copy counts."""
    found = defaultdict[int, _Loop](_Loop)
    reasons: list[str] = []
    for remark in filter(None, map(_REMARK.match, remarks.splitlines())):
        said = remark["said"]
        loop = found[int(remark["line"])] if remark["file"] == SOURCE else _Loop()
        if size := re.match(r"loop vectorized using (\d+) byte vectors", said, re.IGNORECASE):
            loop.width, reasons = max(loop.width, 8 * int(size[1])), []
        elif size := re.match(r"vectorized loop \(vectorization width: (\d+)", said):
            loop.width, loop.counted = max(loop.width, int(size[1])), True
        elif said.startswith("couldn't vectorize loop"):
            loop.why, reasons = loop.why or _plain(reasons), []
        elif why := re.match(r"loop not vectorized: (.*?)(?:[;.]| \[-R|$)", said):
            loop.why = loop.why or why[1]
        elif "(fold-left) reduction" in said:
            loop.in_order = True
        elif said.startswith(" "):  # g++ indents what leads to a decision, and repeats some of it afterwards
            reasons.append(said.strip())
    return {line: loop for line, loop in found.items() if loop.width or loop.why}


def _plain(reasons: Sequence[str]) -> str:
    """Empty where other loops stand in the loop: those are what matters."""
    if any(map(_NESTED.search, reasons)):
        return ""
    for pattern, plain in _WHY:
        if told := next(filter(None, map(pattern.search, reasons)), None):
            return plain.format(*told.groups()).rstrip(".; ")
    return _UNTOLD


def _holds_another(source: str, line: int) -> bool:
    """Whether a loop stands in the loop that begins at `line`: then that one is what matters."""
    text = _NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)
    rest = "".join(text.splitlines(keepends=True)[line - 1 :])
    head = _LOOP.search(rest)
    if head is None:
        return False
    depth = 0
    for place, letter in enumerate(rest[head.end() - 1 :], start=head.end() - 1):
        depth += (letter in "({") - (letter in ")}")
        if depth < 0 or (depth == 0 and letter in "};"):
            return _LOOP.search(rest, head.end(), place) is not None
    return False


def _called_in_loops(assembly: str) -> list[str]:
    """Functions of other libraries that are called between a label and a jump back to it, in order of their names."""
    labels: dict[str, int] = {}
    calls: list[tuple[int, str]] = []
    bodies: list[tuple[int, int]] = []
    for number, line in enumerate(assembly.splitlines()):
        code = line.partition("#")[0]
        if label := _LABEL.match(code):
            labels[label[1]] = number
        elif (jump := _JUMP.match(code)) and jump[1] in labels:
            bodies.append((labels[jump[1]], number))
        elif call := _CALL.match(code):
            calls.append((number, call[1]))
    names = {name for number, name in calls if any(first <= number <= last for first, last in bodies)}
    return sorted({_readable(name) for name in names if name not in labels and not _RUNTIME.match(name)})


def _readable(name: str) -> str:
    for pattern, plain in _PLAIN_NAMES:
        if found := pattern.fullmatch(name):
            return found.expand(plain)
    return name


def _at(lines: Sequence[int]) -> str:
    return f"line{'s' if len(lines) > 1 else ''} {_listed([str(line) for line in lines])}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
