"""Prompts as Markdown files with named slots: ``{task}`` is replaced by what the slot `task` holds.

A slot is a lower-case word in braces, without spaces. All other braces stay as they are, so that code can stand in a
template as it is. Slots are filled in one pass: braces inside a value mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from evokern.records.errors import EvokernError
from evokern.toolchain.textfile import read_text

OPEN_FOLDERS = ("categories", "languages")
"""Where a user may add templates that are not built in."""
_SLOT = re.compile(r"\{([a-z][a-z_]*)\}")


@dataclass(frozen=True)
class Template:
    """One prompt file."""

    name: str
    """Its path below the folder of prompts, without ``.md``: ``mutate``, ``categories/normalization``."""
    text: str

    @property
    def slots(self) -> frozenset[str]:
        """The names of its slots."""
        return frozenset(_SLOT.findall(self.text))

    def fill(self, slots: Mapping[str, str]) -> str:
        """The text with every slot replaced; empty sections leave no more than one empty line.

        Raises:
            EvokernError: the template has a slot that nobody fills.
        """
        if unknown := sorted(self.slots - set(slots)):
            raise EvokernError(
                f"prompt {self.name}.md: no slot {{{unknown[0]}}}; there are {', '.join(sorted(slots))} "
                "(to write braces around a word, put spaces inside them)"
            )
        pieces = _SLOT.split(self.text)
        pieces[1::2] = [slots[name].strip("\n") for name in pieces[1::2]]
        return _without_gaps(pieces)


def template(name: str, folder: Path, overrides: Mapping[str, str]) -> Template:
    """The template `name`: the user's own if `overrides` has one, else the file in `folder`.

    Raises:
        EvokernError: neither has it.
    """
    if name in overrides:
        return Template(name, overrides[name])
    try:
        return Template(name, (folder / f"{name}.md").read_text(encoding="utf-8"))
    except OSError as error:
        raise EvokernError(f"expected a prompt at {folder / name}.md: {error}") from error


def own_templates(folder: Path, built_in: Path) -> dict[str, str]:
    """A user's templates: name → text. Checked before anything is paid for.

    A template replaces the built-in one of its name. One that replaces none is a language's or a category's, or stands
    in a folder of its own, for an operator of another package.

    Raises:
        EvokernError: no such folder, a name that replaces nothing, or a slot that the built-in template does not have.
    """
    if not folder.is_dir():
        raise EvokernError(f"expected a folder of prompts at {folder}; make it, or leave the key out")
    known, found = _names(built_in), {}
    for name in _names(folder):
        own = found[name] = Template(name, _text(folder / f"{name}.md"))
        room = name.rpartition("/")[0]
        if name in known:
            slots = template(name, built_in, {}).slots
            own.fill(dict.fromkeys(slots, ""))
        elif room in {other.rpartition("/")[0] for other in known} - set(OPEN_FOLDERS):
            close = get_close_matches(name, known, n=1)
            advice = f"did you mean {close[0]}.md? " if close else ""
            raise EvokernError(
                f"{folder / name}.md replaces no prompt; {advice}(there are {', '.join(f'{one}.md' for one in known)})"
            )
    return {name: own.text for name, own in found.items()}


def _names(folder: Path) -> list[str]:
    """The templates below `folder`, sorted."""
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.md"))


def _without_gaps(pieces: list[str]) -> str:
    """The pieces joined; an empty value takes the empty line before it along. Values themselves stay untouched."""
    text = ""
    for index, piece in enumerate(pieces):
        own_words = index % 2 == 0
        if own_words and text.endswith("\n\n") and piece.startswith("\n\n"):
            piece = piece.lstrip("\n")
        text += piece
    return text.strip("\n") + "\n"


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except (OSError, ValueError) as error:
        raise EvokernError(f"expected a prompt at {file}: {error}") from error
