"""Reads a YAML file into plain data and remembers where each value stood, so that an error can point at it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path as FilePath
from typing import TypeAlias

import yaml

from evokern.records.errors import EvokernError
from evokern.toolchain.textfile import read_text

Data: TypeAlias = dict[str, "Data"] | list["Data"] | str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top of the file to a value: ``("task", "time", 0, "M")``."""

_TEXT = "tag:yaml.org,2002:str"
_SCALARS = {_TEXT, *(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null"))}
_TEXT_TO_US = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "merge", "value")}
_NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float")}
MOST_BYTES = 256 << 10
"""Of a task file."""
MOST_VALUES, MOST_DEPTH, MOST_DIGITS = 20_000, 64, 64
"""Of a task file, with its aliases written out; of a number."""
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""``1e-3`` is a number to everyone but YAML 1.1, which PyYAML follows and which asks for ``1.0e-3``."""


@dataclass
class Document:
    """The data of one YAML file, and the line and column of everything in it."""

    file: FilePath
    data: Data = None
    marks: dict[Path, str] = field(default_factory=dict)

    def has(self, path: Path) -> bool:
        """Whether the data have a value at `path`."""
        here: Data = self.data
        for step in path:
            match here, step:
                case dict(), str() if step in here:
                    here = here[step]
                case list(), int() if step < len(here):
                    here = here[step]
                case _:
                    return False
        return True

    def where(self, path: Path) -> str:
        """``file:line:column`` of the value at `path`, or of its closest parent that the file has."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, f"{self.file}:1:1")

    def error(self, path: Path, message: str) -> EvokernError:
        """An error that names the place of `path`; the caller raises it."""
        where, key = self.where(path), ".".join(map(str, path)) or "the file"
        return EvokernError(f"{where}: {message}" if where == _option(key) else f"{where}: {key}: {message}")

    def override(self, values: Mapping[str, object]) -> None:
        """Replaces values by dotted key (``{"search.generations": 5}``): what was asked for elsewhere beats the file.

        Raises:
            EvokernError: a part of a key names a value that has no keys of its own.
        """
        for dotted, value in values.items():
            path: Path = tuple(dotted.split("."))
            target = self.data
            for depth, key in enumerate(path[:-1]):
                if isinstance(target, dict):
                    target = target.setdefault(str(key), {})
                if not isinstance(target, dict):
                    raise self.error(path[: depth + 1], f"expected a section that has keys, to set {dotted}")
            if isinstance(target, dict):
                target[str(path[-1])] = _plain(value)
            self.marks[path] = _option(dotted)


def _option(dotted: str) -> str:
    """Where a value stood that no file has."""
    return f"option {dotted}"


def read(file: FilePath) -> Document:
    """Reads `file`.

    Raises:
        EvokernError: it can't be read, is no YAML, repeats a key or holds something that is no plain data.
    """
    try:
        text = read_text(file, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise EvokernError(f"{file}: expected a readable YAML file in UTF-8: {error}") from error
    document = Document(file)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise EvokernError(f"{place}: expected YAML: {error.problem or error.context}; mend the syntax here") from error
    except yaml.YAMLError as error:
        raise EvokernError(f"{file}: expected YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise EvokernError(
            f"{file}:1:1: expected keys such as `task:` at the top, got {node.tag if node else 'nothing'}"
        )
    if (found := _written_out(node, {}, frozenset())) > MOST_VALUES:
        raise EvokernError(
            f"{file}: expected at most {MOST_VALUES} values, got {found:.3g} with aliases written out; use fewer"
        )
    document.marks[()] = _place(node, document)
    document.data = _build(node, (), document, ())
    return document


class _Loader(yaml.SafeLoader):
    """Stops at what is too deep or too much before it is read to its end."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth, self._values = self._depth + 1, self._values + 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"values nest deeper than {MOST_DEPTH} levels", problem_mark=mark)
        if self._values > MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"there are more than {MOST_VALUES} values", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _written_out(node: yaml.Node, known: dict[int, int], above: frozenset[int]) -> int:
    """How many values `node` holds with its aliases written out; an alias of what holds it is left to `_build`."""
    if id(node) in above:
        return 1
    if id(node) not in known:
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else []
        inner = inner or (node.value if isinstance(node, yaml.SequenceNode) else [])
        known[id(node)] = 1 + sum(_written_out(part, known, above | {id(node)}) for part in inner)
    return known[id(node)]


def _build(node: yaml.Node, path: Path, document: Document, above: tuple[yaml.Node, ...]) -> Data:
    if node in above:
        raise document.error(path, "expected plain data, got an alias that contains itself; write the value out")
    match node:
        case yaml.MappingNode():
            mapping: dict[str, Data] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    document.marks[path] = _place(key, document)
                    raise document.error(path, "expected a plain word as a key, got a list or a mapping")
                name = key.value  # as written: `on:` and `1:` are names here, not a bool and a number
                inner = (*path, name)
                if name in mapping:
                    first, document.marks[inner] = document.where(inner), _place(key, document)
                    raise document.error(inner, f"the key is given twice (first at {first}); remove one of them")
                document.marks[inner] = _place(key, document)
                mapping[name] = _build(value, inner, document, (*above, node))
            return mapping
        case yaml.SequenceNode():
            document.marks.update({(*path, i): _place(item, document) for i, item in enumerate(node.value)})
            return [_build(item, (*path, i), document, (*above, node)) for i, item in enumerate(node.value)]
        case _:
            return _scalar(node, path, document)


def _scalar(node: yaml.Node, path: Path, document: Document) -> Data:
    text = str(node.value)
    if node.tag in _NUMBERS and len(text) > MOST_DIGITS:
        raise document.error(path, f"expected a number of at most {MOST_DIGITS} characters, got {len(text)}")
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if plain and node.tag == _TEXT and _EXPONENT.fullmatch(text):
        if not isfinite(float(text)):
            raise document.error(path, f"expected a number that float64 holds, got {text[:MOST_DIGITS]}")
        return float(text)
    if plain and node.tag in _TEXT_TO_US:
        return text
    if node.tag not in _SCALARS:
        raise document.error(
            path, f"expected text, a number, true or false, got the YAML tag {node.tag}; remove the tag"
        )
    try:
        value: Data = yaml.SafeLoader("").construct_object(node)
    except (ValueError, yaml.YAMLError) as error:
        raise document.error(path, f"expected a value, got {text[:MOST_DIGITS]!r}: {error}") from error
    return value


def _place(node: yaml.Node, document: Document) -> str:
    return f"{document.file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _plain(value: object) -> Data:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float) or value is None else str(value)
