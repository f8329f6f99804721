"""What a user points at: a task file, or a Python file with a function or an `nn.Module` class in it.

Nothing is executed here: candidates are found by reading the file.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from evokern.records.errors import EvokernError

PROVIDERS = ("get_inputs", "get_init_inputs", "example_inputs")
"""Functions of a file that make example inputs; they are no targets."""
_PYTHON = ".py"


@dataclass(frozen=True)
class Target:
    """A function or an `nn.Module` class of a Python file."""

    file: Path
    name: str


def is_python(text: str) -> bool:
    """Whether `text`, as given on the command line, means a Python file and not a task file."""
    return text.rpartition(":")[0].endswith(_PYTHON) or text.endswith(_PYTHON)


def parse(text: str) -> Target:
    """Reads ``FILE.py`` or ``FILE.py:NAME``.

    ``FILE.py`` alone means its only candidate.

    Raises:
        EvokernError: the file cannot be read, or names no candidate, or several; the message lists them.
    """
    path, _, name = text.rpartition(":") if not text.endswith(_PYTHON) else (text, "", "")
    file = Path(path)
    try:
        source = file.read_text(encoding="utf-8")
        known = candidates(source)
    except (OSError, UnicodeDecodeError) as error:
        raise EvokernError(f"expected a Python file at {file}: {error}") from error
    except SyntaxError as error:
        raise EvokernError(f"{file}:{error.lineno}: expected Python, {error.msg}") from error
    listed = ", ".join(f"{file}:{one}" for one in known)
    if name and name not in known:
        raise EvokernError(
            f"expected a function or an nn.Module class named {name} in {file}; found: {listed or 'none'}"
        )
    if not name and len(known) != 1:
        if not known:
            raise EvokernError(f"expected a function or an nn.Module class in {file}, found none")
        raise EvokernError(f"{file} has several candidates; name one of them: {listed}")
    return Target(file.absolute(), name or known[0])


def candidates(source: str) -> list[str]:
    """The functions and `nn.Module` classes of a file that may be meant, in order.

    Modules that another candidate of the file builds are parts, not candidates. Where there is a module and a
    provider of its inputs, functions are helpers.

    Raises:
        SyntaxError: `source` is not Python.
    """
    tree = ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    modules = [name for name in classes if _is_module(name, classes)]
    used = {name for owner in modules for name in _names(classes[owner]) if name != owner}
    tops = [name for name in modules if name not in used]
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    provided = any(name in functions for name in PROVIDERS)
    helpers = {name for node in tree.body if isinstance(node, ast.FunctionDef) for name in _names(node)}
    own = [name for name in functions if name not in PROVIDERS and not name.startswith("_") and name not in helpers]
    if tops and provided:
        return tops
    return [*tops, *own]


def _is_module(name: str, classes: dict[str, ast.ClassDef], depth: int = 0) -> bool:
    bases = [ast.unparse(base) for base in classes[name].bases]
    return any(
        base.split(".")[-1] == "Module"
        or (base in classes and depth < len(classes) and _is_module(base, classes, depth + 1))
        for base in bases
    )


def _names(node: ast.AST) -> set[str]:
    """Every name that is read inside `node`, but for a function's own."""
    own = getattr(node, "name", "")
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)} - {own}
