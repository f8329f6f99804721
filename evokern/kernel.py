"""A kernel is a source text; a child is a kernel with its place in the lineage; a recipe says how rewrites made it."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass

_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_TUNABLE = re.compile(r"^\s*(?://|#)\s*evokern:\s*(tunable|flag)\s+(\w+)\s+in\s+\{([^}\n]*)\}[ \t]*$", re.MULTILINE)
_SPACE_BESIDE_WORD = re.compile(r"(?<=\w) (?=[^\w\s])|(?<=[^\w\s]) (?=\w)")
_DECLARATION = re.compile(r"//[ \t]*evokern:[^\n]*")
_PYTHON_DECLARATION = re.compile(r"#[ \t]*evokern:[^\n]*")
SEED = "seed"
"""The `operator` of the kernels that a user brings: generation 0."""
PYTHON_LIKE = ("triton",)
"""Languages whose kernels are Python text."""


@dataclass(frozen=True)
class Tunable:
    """A parameter that a kernel declares in its source; the first choice is the default.

    ``// evokern: tunable ROWS in {1, 2, 4}`` defines the macro ``ROWS``;
    ``// evokern: flag WIDTH in {-mprefer-vector-width=512}`` adds a compiler flag.
    In Triton the comment starts with ``#``, and the tunable is a keyword-only parameter of the launch plan.
    """

    name: str
    choices: tuple[str, ...]
    is_flag: bool = False


@dataclass(frozen=True)
class Kernel:
    """A source text in a language. Two kernels with the same `hash` are the same kernel everywhere."""

    source: str
    language: str = "cpp"

    @property
    def hash(self) -> str:
        """SHA-256 of language and source (64 hex digits): the key of its artefact and of its text in the archive."""
        return _sha256(self.language, self.source)

    @property
    def normal_hash(self) -> str:
        """As `hash`, blind to comments and white space: equal for kernels that need not be judged twice.

        Declarations (``// evokern: ...``) are code, not comments.
        """
        text = normalise_python(self.source) if self.language in PYTHON_LIKE else normalise(self.source)
        return _sha256(self.language, text)

    @property
    def tunables(self) -> tuple[Tunable, ...]:
        """What the source declares, in order."""
        return tuple(
            Tunable(name, tuple(choice.strip() for choice in choices.split(",")), kind == "flag")
            for kind, name, choices in _TUNABLE.findall(self.source)
        )


@dataclass(frozen=True)
class Step:
    """One application of a rewrite: at which of its sites, and with which options."""

    rewrite: str
    site: str
    """A label of the site that survives unrelated edits, e.g. ``loop m/n``; what it means is the rewrite's business."""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        chosen = " ".join(f"{name}={value}" for name, value in self.options)
        return f"{self.rewrite}({self.site}{' ' + chosen if chosen else ''})"


@dataclass(frozen=True)
class Recipe:
    """The rewrites that lead from `origin` (a seed, or a kernel that a model wrote) to a kernel, in order."""

    origin: Kernel
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Parent:
    """A candidate that a child was made from, and its role (``base``, ``donor``, ``inspiration`` ...)."""

    id: int
    role: str = "base"


@dataclass(frozen=True)
class Child:
    """A kernel as an operator hands it over: with its parents and how it was made."""

    kernel: Kernel
    operator: str
    recipe: Recipe
    parents: tuple[Parent, ...] = ()
    idea: str = ""
    """One line: what was tried, for people and for prompts."""
    completions: tuple[int, ...] = ()
    """Ids, in the paid-for log, of the model's answers that it was made from: prompt, model and cost hang on them."""
    insights: tuple[int, ...] = ()
    """Ids, in the same log, of the lessons that the model was shown when it made this one: what they are worth."""


def normalise(source: str) -> str:
    """`source` without comments and with white space collapsed; ``// evokern:`` declarations stay."""
    code = _COMMENT_OR_STRING.sub(lambda hit: hit[0] if hit[0][0] in "\"'" else " ", source)
    text = "".join(f"\n{line.strip()}\n" if line.lstrip().startswith("#") else f"{line} " for line in code.split("\n"))
    lines = [_SPACE_BESIDE_WORD.sub("", re.sub(r"\s+", " ", line)).strip() for line in text.split("\n")]
    return "\n".join([*_DECLARATION.findall(source), *filter(None, lines)])


def normalise_python(source: str) -> str:
    """As `normalise`, for Python text; text that does not parse stays as it is."""
    try:
        code = ast.unparse(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    return "\n".join([*_PYTHON_DECLARATION.findall(source), code])


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
