"""Fenced code blocks in what a model wrote: as Markdown has them, and as models write them.

Kinder than CommonMark where code would be lost: a fence inside a ``/* comment */`` does not end its block, and a fence
with a tag inside an open block begins a new one, since its author forgot to close the first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<tag>[^`\s]*)[^`]*")
_COMMENT_MARK = re.compile(r"//|/\*|\*/|\"(?:\\.|[^\"\\])*\"")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    tag: str
    """The word behind the opening fence, lower case; empty when there is none."""
    code: str
    closed: bool
    """False when the text ended, or another block began, before its closing fence."""


def split(text: str) -> tuple[tuple[Block, ...], str]:
    """The fenced blocks of `text` (newlines are ``\\n``), and all that stands outside of them."""
    blocks: list[Block] = []
    prose: list[str] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    in_comment = False
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line)
        if opened is None:
            if fence:
                opened, lines, in_comment = fence, [], False
            else:
                prose.append(line)
        elif fence is None or in_comment or not _alike(opened, fence):
            lines.append(line.removeprefix(opened["indent"]))
            in_comment = _comment_goes_on(line, in_comment)
        elif fence["tag"]:
            blocks.append(_block(opened, lines, closed=False))
            opened, lines = fence, []
        else:
            blocks.append(_block(opened, lines, closed=True))
            opened = None
    if opened is not None:
        blocks.append(_block(opened, lines, closed=False))
    return tuple(blocks), "\n".join(prose)


def _alike(opened: re.Match[str], fence: re.Match[str]) -> bool:
    """Whether `fence` can end the block that `opened` began: of the same marks, and as many at least."""
    return fence["marks"].startswith(opened["marks"])


def _block(opened: re.Match[str], lines: list[str], closed: bool) -> Block:
    return Block(opened["tag"].lower(), "\n".join(lines), closed)


def _comment_goes_on(line: str, in_comment: bool) -> bool:
    """Whether a block comment is open behind `line`; one whose end never comes is found out by the compiler."""
    for mark in _COMMENT_MARK.findall(line):
        if in_comment:
            in_comment = mark != "*/"
        elif mark == "//":
            return False
        else:
            in_comment = mark == "/*"
    return in_comment
