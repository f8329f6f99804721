"""A kernel is a source text; a child is a kernel with its place in the lineage; a recipe says how rewrites made it."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from evokern.records.arithmetic import Unsayable
from evokern.records.tunable import Point, Tunable, declarations, normalised

_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_SPACE_BESIDE_WORD = re.compile(r"(?<=\w) (?=[^\w\s])|(?<=[^\w\s]) (?=\w)")
_PLAN = "/* evokern: plan"  # a comment to the compiler, and half of a CUDA kernel to us
SEED = "seed"
"""The `operator` of the kernels that a user brings: generation 0."""
PYTHON_LIKE = ("triton",)
"""Languages whose kernels are Python text."""


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

        Declarations (``// evokern: ...``) are code, not comments; the order of choices behind the first means nothing.
        """
        text = normalise_python(self.source) if self.language in PYTHON_LIKE else normalise(self.source)
        return _sha256(self.language, text)

    @property
    def tunables(self) -> tuple[Tunable, ...]:
        """What the source declares, in order; nothing when it can't be read, which is what `compile` will say."""
        return _tunables(self.source)

    @property
    def point(self) -> Point:
        """Where in the space of its tunables it is: the first choice of each."""
        return tuple((tunable.name, tunable.choices[0]) for tunable in self.tunables)


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


@lru_cache(maxsize=256)
def _tunables(source: str) -> tuple[Tunable, ...]:
    try:
        return declarations(source).tunables
    except Unsayable:
        return ()


def normalise(source: str) -> str:
    """`source` without comments and with white space collapsed; ``// evokern:`` declarations stay."""
    code = _COMMENT_OR_STRING.sub(lambda hit: hit[0] if hit[0][0] in "\"'" or _PLAN in hit[0] else " ", source)
    text = "".join(f"\n{line.strip()}\n" if line.lstrip().startswith("#") else f"{line} " for line in code.split("\n"))
    lines = [_SPACE_BESIDE_WORD.sub("", re.sub(r"\s+", " ", line)).strip() for line in text.split("\n")]
    return "\n".join([*normalised(source), *filter(None, lines)])


def normalise_python(source: str) -> str:
    """As `normalise`, for Python text; text that does not parse stays as it is."""
    try:
        code = ast.unparse(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    return "\n".join([*normalised(source), code])


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
