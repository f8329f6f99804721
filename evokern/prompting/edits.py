"""SEARCH/REPLACE edits: how a model changes a few lines of a long kernel without writing all of it again.

    <<<<<<< SEARCH
    lines of the kernel as they are
    =======
    lines to put there instead
    >>>>>>> REPLACE

Every edit refers to the kernel as it was given. It must match in one place: to the letter, else up to white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise

_OPEN = re.compile(r"[ \t]*<{5,9} ?SEARCH[ \t]*")
_MIDDLE = re.compile(r"[ \t]*={5,9}[ \t]*")
_CLOSE = re.compile(r"[ \t]*>{5,9} ?REPLACE[ \t]*")


@dataclass(frozen=True)
class Edit:
    """Put `replace` where `search` is."""

    search: str
    replace: str
    complete: bool = True
    """False when the text ended before the edit did."""


@dataclass(frozen=True)
class Mismatch:
    """An edit that can't be made."""

    number: int
    """Counted from 1, in the order of the answer."""
    edit: Edit
    reason: str


def edits_in(text: str) -> tuple[Edit, ...]:
    """Every edit that `text` (newlines are ``\\n``) holds, wherever it stands."""
    found: list[Edit] = []
    search: list[str] | None = None
    replace: list[str] | None = None
    for line in text.split("\n"):
        if _OPEN.fullmatch(line):
            if search is not None:
                found.append(Edit("\n".join(search), "\n".join(replace or ()), complete=False))
            search, replace = [], None
        elif search is None:
            continue
        elif replace is None and _MIDDLE.fullmatch(line):
            replace = []
        elif replace is not None and _CLOSE.fullmatch(line):
            found.append(Edit("\n".join(search), "\n".join(replace)))
            search = replace = None
        else:
            (search if replace is None else replace).append(line)
    if search is not None:
        found.append(Edit("\n".join(search), "\n".join(replace or ()), complete=False))
    return tuple(found)


def apply(source: str, edits: Sequence[Edit]) -> str | tuple[Mismatch, ...]:
    """`source` after all of `edits`, or why not: then nothing is changed."""
    places: list[tuple[int, int, int, str]] = []
    wrong: list[Mismatch] = []
    for number, edit in enumerate(edits, start=1):
        found = list(_places(source, edit.search))
        if len(found) == 1:
            start, end = found[0]
            places.append((start, end, number, _indented(source[start:end], edit)))
        elif not edit.search.strip():
            wrong.append(Mismatch(number, edit, "its SEARCH part is empty; name the lines that it replaces"))
        elif found:
            reason = f"its SEARCH part matches in {len(found)} places; include the lines around the one that is meant"
            wrong.append(Mismatch(number, edit, reason))
        else:
            wrong.append(Mismatch(number, edit, f"its SEARCH part matches nowhere{_nearest(source, edit.search)}"))
    places.sort()
    for before, after in pairwise(places):
        if after[0] < before[1]:
            reason = f"it overlaps edit {before[2]}; make one edit of the two"
            wrong.append(Mismatch(after[2], edits[after[2] - 1], reason))
    if wrong:
        return tuple(sorted(wrong, key=lambda mismatch: mismatch.number))
    pieces, at = [], 0
    for start, end, _, text in places:
        pieces += [source[at:start], text]
        at = end
    return "".join([*pieces, source[at:]])


def _places(source: str, search: str) -> Iterator[tuple[int, int]]:
    """Where whole lines of `source` are `search`; when none are, where it is found up to white space."""
    wanted = search.strip("\n")
    if not wanted.strip():
        return
    exact = [hit.span(1) for hit in re.finditer(rf"^(?=({re.escape(wanted)})(?:\n|\Z))", source, re.MULTILINE)]
    if exact:
        yield from exact
        return
    letters = [(place, letter) for place, letter in enumerate(source) if not letter.isspace()]
    dense, sought = "".join(letter for _, letter in letters), "".join(wanted.split())
    hit = dense.find(sought)
    while hit >= 0:
        start, end = letters[hit][0], letters[hit + len(sought) - 1][0] + 1
        if not (_cuts_a_word(source, start) or _cuts_a_word(source, end)):
            line = source.rfind("\n", 0, start) + 1
            yield (line if source[line:start].isspace() else start), end
        hit = dense.find(sought, hit + 1)


def _cuts_a_word(source: str, place: int) -> bool:
    return place > 0 and re.fullmatch(r"\w\w", source[place - 1 : place + 1]) is not None


def _indented(replaced: str, edit: Edit) -> str:
    """The edit's replacement, moved to the indent of what it replaces if its own SEARCH part was written at another."""
    text = edit.replace.strip("\n")
    wanted, written = _indent(replaced), _indent(edit.search.strip("\n"))
    lines = text.split("\n")
    if wanted == written or not all(line.startswith(written) for line in lines if line.strip()):
        return text
    return "\n".join(wanted + line.removeprefix(written) if line.strip() else "" for line in lines)


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip(" \t"))]


def _nearest(source: str, search: str) -> str:
    """The line of `source` that is most like the first of `search`, for a model that misremembers it."""
    first = next(line.strip() for line in search.split("\n") if line.strip())
    lines = {line.strip(): number for number, line in enumerate(source.split("\n"), start=1)}
    close = get_close_matches(first[:200], [line for line in lines if len(line) <= 200], n=1, cutoff=0.6)
    return f"; line {lines[close[0]]} is the most like its first line: {close[0]}" if close else ""
