"""A C++ source as its compiler's preprocessor reads it: translation phases 1 to 3 of the C++20 standard, [lex.phases].

Line splices go first, as g++, clang++ and NVRTC remove them (white space may stand before the newline), and come back
within raw strings. Trigraphs are no part of C++20. `tokens` gives the tokens, `directives` the lines that begin with
``#`` or ``%:``, also in groups that an ``#if`` leaves out. `ambiguity` names what compilers read in different ways.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

_SPLICE = re.compile(r"\\[ \t\v\f]*\r?\n")
_SPACE = r"[ \t\v\f\r\u0085\u00a0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""clang++ takes the spaces of Unicode for white space, also before ``#``."""
_TOKEN = re.compile(
    rf"""
      (?P<newline>\n)
    | (?P<space>{_SPACE}+)
    | (?P<comment>//[^\n]*|/\*(?s:.*?)(?:\*/|\Z))
    | (?P<raw>(?:u8|[uUL])?R")
    | (?P<string>(?:u8|[uUL])?"(?:\\.|[^"\\\n])*(?:"|\\?$|(?=\n)))
    | (?P<character>(?:u8|[uUL])?'(?:\\.|[^'\\\n])*(?:'|\\?$|(?=\n)))
    | (?P<word>[^\W\d]\w*|\$[\w$]*)
    | (?P<number>\.?\d(?:[eEpP][+-]|'\w|[\w.])*)
    | (?P<mark>%:%:|\#\#|%:|\#|<%|%>|<:(?!:[^:>])|:>
        |<=>|<<=|>>=|\.\.\.|->\*|::|[-+*/%^&|=<>!]=|<<|>>|&&|\|\||\+\+|--|->|.)
    """,
    re.VERBOSE | re.MULTILINE,
)
_HEADER = re.compile(r'<[^>\n]*>|"[^"\n]*"')
_DELIMITER = re.compile(r'[^ ()\\\t\v\f\n\r"]{0,16}\(')
_DIGRAPHS = {"%:": "#", "%:%:": "##", "<%": "{", "%>": "}", "<:": "[", ":>": "]"}
_INCLUDES = frozenset({"include", "include_next", "import"})
_TEXT = frozenset({"error", "warning"})
"""Directives whose line clang++ takes as mere text, where g++ reads tokens."""


class Kind(StrEnum):
    """What a token is."""

    NEWLINE = "newline"
    COMMENT = "comment"
    RAW = "raw"
    STRING = "string"
    CHARACTER = "character"
    WORD = "word"
    NUMBER = "number"
    MARK = "mark"
    HEADER = "header"
    """The name of a header, with its brackets or quotes, in ``#include`` only."""


_LITERALS = (Kind.RAW, Kind.STRING, Kind.CHARACTER)


@dataclass(frozen=True)
class Token:
    """A token, without the splices within it (a raw string keeps them). White space is none; comments are kept."""

    kind: Kind
    text: str
    """As written, but digraphs are written out: ``#`` for ``%:``."""
    line: int
    """Of its first character, from 1 on, in the source as written."""
    is_glued: bool = False
    """Whether it is a raw string directly behind another literal: g++ takes its prefix for that literal's suffix."""

    @property
    def counts(self) -> bool:
        """Whether it means anything to the compiler."""
        return self.kind not in (Kind.COMMENT, Kind.NEWLINE)


@dataclass(frozen=True)
class Directive:
    """A line for the preprocessor: ``#include <cmath>`` has the name ``include`` and one token behind it."""

    name: str
    tokens: tuple[Token, ...]
    line: int


@lru_cache(maxsize=64)
def tokens(source: str) -> tuple[Token, ...]:
    """The tokens of `source`, comments and newlines among them."""
    return tuple(_Lexer(source).tokens())


def directives(source: str) -> Iterator[Directive]:
    """The directives of `source` in order, comments left out."""
    for line in _lines(source):
        counted = [token for token in line if token.counts]
        if counted and counted[0].text == "#":
            name = counted[1].text if len(counted) > 1 else ""
            yield Directive(name, tuple(counted[2:]), counted[0].line)


def ambiguity(source: str) -> str:
    """What compilers read in different ways; empty when there is nothing of that kind."""
    if hit := re.search(r"[\0-\b\x0e-\x1f\x7f]|\r(?!\n)", source):
        number = source.count("\n", 0, hit.start()) + 1
        return f"line {number}: expected text, got the control character {ord(hit[0]):#04x}"
    for line in _lines(source):
        counted = [token for token in line if token.counts]
        if glued := [token for token in counted if token.is_glued]:
            return f"line {glued[0].line}: expected white space between a literal and a raw string behind it"
        if not counted or counted[0].text != "#":
            continue
        place = f"line {counted[0].line}"
        if any(token.kind is Kind.RAW and "\n" in token.text for token in counted):
            return f"{place}: expected a directive on one line, got a raw string with a newline in it"
        is_text = len(counted) > 1 and counted[1].text in _TEXT
        if is_text and any(token.kind is Kind.COMMENT and "\n" in token.text for token in line):
            return f"{place}: expected #{counted[1].text} on one line, got a comment with a newline in it"
    return ""


def without_comments(source: str) -> str:
    """`source` without comments and splices, its lines apart: for who looks for text in code."""
    pieces = []
    for token in tokens(source):
        pieces.append(" " if token.kind is Kind.COMMENT else token.text)
        pieces.append("" if token.kind is Kind.NEWLINE else " ")
    return "".join(pieces)


def _lines(source: str) -> Iterator[list[Token]]:
    line: list[Token] = []
    for token in tokens(source):
        if token.kind is Kind.NEWLINE:
            yield line
            line = []
        else:
            line.append(token)
    yield line


class _Lexer:
    """Finds tokens in the source without splices; it knows where each character stood, for raw strings."""

    def __init__(self, source: str) -> None:
        self.source = source.removeprefix("\ufeff")
        self.newlines = [hit.start() for hit in re.finditer("\n", self.source)]
        pieces, self.starts, self.origins, end, length = [], [0], [0], 0, 0
        for hit in _SPLICE.finditer(self.source):
            pieces.append(self.source[end : hit.start()])
            length += hit.start() - end
            end = hit.end()
            self.starts.append(length)
            self.origins.append(end)
        self.text = "".join([*pieces, self.source[end:]])

    def origin(self, offset: int) -> int:
        """Where a character of the spliced text stands in the source."""
        piece = bisect_right(self.starts, offset) - 1
        return self.origins[piece] + offset - self.starts[piece]

    def spliced(self, origin: int) -> int:
        """Where the first character that is left from `origin` on stands in the spliced text."""
        piece = bisect_right(self.origins, origin) - 1
        limit = self.starts[piece + 1] if piece + 1 < len(self.starts) else len(self.text)
        return min(self.starts[piece] + origin - self.origins[piece], limit)

    def tokens(self) -> Iterator[Token]:
        offset, literal_end = 0, -1
        begun: list[Token] = []
        while offset < len(self.text):
            start = offset
            token, offset = self._header(offset) if _expects_header(begun) else (None, offset)
            if token is None:
                token, offset = self._next(offset)
            if token is None:
                continue
            yield replace(token, is_glued=True) if token.kind is Kind.RAW and start == literal_end else token
            if token.kind in _LITERALS:
                literal_end = offset
            if token.kind is Kind.NEWLINE:
                begun = []
            elif token.counts and len(begun) < 3:
                begun.append(token)

    def _header(self, offset: int) -> tuple[Token | None, int]:
        hit = _HEADER.match(self.text, offset)
        return (None, offset) if hit is None else (self._token(Kind.HEADER, hit[0], offset), hit.end())

    def _next(self, offset: int) -> tuple[Token | None, int]:
        hit = _TOKEN.match(self.text, offset)
        if hit is None or hit.lastgroup is None:  # nothing: a backslash in front of the last newline
            return None, offset + 1
        if hit.lastgroup == "space":
            return None, hit.end()
        if hit.lastgroup == "raw":
            return self._raw(offset, hit.end())
        text = _DIGRAPHS.get(hit[0], hit[0]) if hit.lastgroup == "mark" else hit[0]
        return self._token(Kind(hit.lastgroup), text, offset), hit.end()

    def _raw(self, offset: int, behind_quote: int) -> tuple[Token, int]:
        """A raw string from the source as written; one that never ends takes the rest, which no compiler accepts."""
        start = self.origin(behind_quote - 1) + 1
        opened = _DELIMITER.match(self.source, start)
        if opened is None:
            return self._token(Kind.RAW, self.text[offset:], offset), len(self.text)
        closing = f'){opened[0][:-1]}"'
        found = self.source.find(closing, opened.end())
        end = len(self.source) if found < 0 else found + len(closing)
        return self._token(Kind.RAW, self.source[self.origin(offset) : end], offset), self.spliced(end)

    def _token(self, kind: Kind, text: str, offset: int) -> Token:
        return Token(kind, text, bisect_left(self.newlines, self.origin(offset)) + 1)


def _expects_header(line: list[Token]) -> bool:
    return len(line) == 2 and line[0].text == "#" and line[1].text in _INCLUDES
