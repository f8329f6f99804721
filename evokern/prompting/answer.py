"""What a model answered, read: the kernel in it, its name and idea, or what is wrong with the answer.

Forgiving about form (tags, line ends, a missing fence), strict about meaning: what could be read in two ways, or was
cut off, is not a kernel. `Answer.complaint` is then what the model is told, if it gets another try.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evokern.prompting import edits, fences
from evokern.prompting.quote import cleaned, inline, quoted
from evokern.records.completion import Flaw

LONGEST_CHARS = 200_000
"""A kernel that is longer is not read by anybody."""
IDEA_CHARS = 300
NAME_CHARS = 60

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_HEADLESS = re.compile(r"\A(.*)</(?:think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
"""The end of a thought whose beginning stood in the prompt's template: all before it was thought."""
_LABEL = re.compile(r"[\s>#*_-]*(name|idea)[*_]*[ \t]*:[*_ \t]*(.*?)[*_\s]*", re.IGNORECASE)
_DECLINED = re.compile(r"[\s>#*_-]*no change[*_]*[ \t]*:[*_ \t]*(.*)", re.IGNORECASE)
_DEFINITION = re.compile(r"\bdef\s+kernel\s*\(|\bkernel\s*\(|[;{}]")
_CODE_BEGINS = re.compile(
    r'^(?:#\s*(?:include|pragma|define|if)|//|/\*|extern "C"|static |template ?<|namespace |using |inline |constexpr '
    r"|struct |typedef |import |from \w+ import|@)",
    re.MULTILINE,
)
_NO_CODE = frozenset({"text", "txt", "console", "bash", "sh", "shell", "output", "log", "json", "yaml", "diff", "asm"})


MENDABLE = frozenset({Flaw.NO_KERNEL, Flaw.EDIT_FAILED, Flaw.UNCHANGED})
"""Flaws that a model can be told about; the others would only cost the same again."""


@dataclass(frozen=True)
class Answer:
    """One answer, read. It has a `source` or a `flaw`."""

    name: str = ""
    """A few words; empty when the model gave none."""
    idea: str = ""
    """One line: what was tried."""
    reasoning: str = ""
    """Everything that is not code."""
    source: str | None = None
    flaw: Flaw | None = None
    complaint: str = ""
    """For the model: what was expected, what came, what to do."""


def read_answer(text: str, finish: str = "stop", base: str | None = None) -> Answer:
    """Reads an answer that should hold a whole kernel, or edits of one.

    Args:
        text: what the model wrote.
        finish: why it ended; ``length`` when it ran into a limit.
        base: the kernel that edits refer to; None when there is none to edit.
    """
    plain = cleaned(text.removeprefix("\ufeff"))
    thoughts = [thought.strip() for _, thought in _THOUGHT.findall(plain)]
    plain = _THOUGHT.sub("", plain)
    if headless := _HEADLESS.match(plain):
        thoughts.append(headless[1].strip())
        plain = plain[headless.end() :]
    plain = plain.strip("\n")
    if not plain.strip():
        if finish == "length" or thoughts:
            return Answer("", "", "\n\n".join(thoughts), None, Flaw.TRUNCATED, "The answer ended before the kernel.")
        return Answer(flaw=Flaw.EMPTY, complaint="The answer was empty.")
    blocks, prose = fences.split(plain)
    bare = _unfenced(prose)
    answer = _described(prose.replace(bare, "") if bare else prose, thoughts)
    if base is not None and not blocks and (declined := _declined(plain)) is not None:
        return replace(answer, idea=declined[:IDEA_CHARS], flaw=Flaw.DECLINED)
    changes = edits.edits_in(plain) if base is not None else ()
    if changes and base is not None:
        edited = _edited(answer, base, changes)
        rewritten = _rewritten(answer, blocks, "", finish)
        return rewritten if edited.source is None and rewritten.source is not None else edited
    return _rewritten(answer, blocks, bare, finish)


def _declined(plain: str) -> str | None:
    """Why no change of the base is worth making; None where an answer does not say that there is none."""
    return next((found[1].strip() for line in plain.split("\n") if (found := _DECLINED.fullmatch(line[:2000]))), None)


def _described(prose: str, thoughts: Sequence[str]) -> Answer:
    """Name, idea and reasoning; without an ``Idea:`` line the first sentence is the idea."""
    labels: dict[str, str] = {}
    rest = []
    for line in prose.split("\n"):
        label = _LABEL.fullmatch(line[:2000])
        if label and label[2]:
            labels.setdefault(label[1].lower(), " ".join(label[2].split()))
        else:
            rest.append(line)
    reasoning = re.sub(r"\n{3,}", "\n\n", "\n".join(rest)).strip()
    idea = labels.get("idea") or next(iter(re.findall(r"[^\n#*>].*?(?:[.!?:](?=\s)|$)", reasoning, re.MULTILINE)), "")
    said = "\n\n".join(filter(None, [*thoughts, reasoning]))
    return Answer(labels.get("name", "")[:NAME_CHARS], idea.strip()[:IDEA_CHARS], said)


def _edited(answer: Answer, base: str, changes: Sequence[edits.Edit]) -> Answer:
    if not all(change.complete for change in changes):
        return replace(answer, flaw=Flaw.TRUNCATED, complaint="The answer ended within an edit.")
    result = edits.apply(base, changes)
    if isinstance(result, str):
        if result == base:
            return replace(answer, flaw=Flaw.UNCHANGED, complaint="The edits change nothing.")
        return replace(answer, source=_ended(result))
    told = [
        f"Edit {wrong.number} of {len(changes)} can't be made: {inline(wrong.reason, 400)}\n\n"
        + quoted("Its SEARCH part", wrong.edit.search, limit_chars=2000)
        for wrong in result
    ]
    advice = "Answer again with all edits, each matching one place of the kernel as it was given, or with all of it."
    return replace(answer, flaw=Flaw.EDIT_FAILED, complaint="\n\n".join([*told, advice]))


def _rewritten(answer: Answer, blocks: Sequence[fences.Block], bare: str, finish: str) -> Answer:
    """The last block that defines the kernel, or the `bare` code that stands in no fence."""
    written = [block for block in blocks if block.tag not in _NO_CODE and defines_kernel(block.code)]
    whole = [block for block in written if block.closed or (finish != "length" and _balanced(block.code))]
    if whole:
        return _checked(answer, whole[-1].code)
    if written or finish == "length" or any(not block.closed for block in blocks):
        return replace(answer, flaw=Flaw.TRUNCATED, complaint="The answer ended within the kernel.")
    if bare:
        return _checked(answer, bare)
    lone = [block for block in blocks if block.tag not in _NO_CODE and block.code.strip()]
    what = f"{len(lone)} code blocks without it" if lone else "no code block"
    complaint = (
        f"Expected one fenced code block that defines `kernel`, got {what}. Answer again with all of the kernel."
    )
    return replace(answer, flaw=Flaw.NO_KERNEL, complaint=complaint)


def _checked(answer: Answer, code: str) -> Answer:
    if len(code) > LONGEST_CHARS:
        complaint = f"The kernel has {len(code)} characters; {LONGEST_CHARS} are allowed."
        return replace(answer, flaw=Flaw.TOO_LONG, complaint=complaint)
    return replace(answer, source=_ended(code))


def defines_kernel(code: str) -> bool:
    """Whether `code` defines, not only declares or calls, a function named ``kernel``. One pass, whatever comes."""
    pending = False
    for mark in _DEFINITION.findall(code):
        if mark.startswith("def") or (mark == "{" and pending):
            return True
        pending = mark.startswith("kernel")
    return False


def _balanced(code: str) -> bool:
    return code.count("{") == code.count("}") and code.count("(") == code.count(")")


def _unfenced(prose: str) -> str:
    """From the first line that can only be code on, up to the last brace; empty when there is no kernel in it."""
    begin = _CODE_BEGINS.search(prose)
    if begin is None:
        return ""
    code = prose[begin.start() :]
    code = code[: code.rfind("\n}") + 2] if "\n}" in code else code
    return code if defines_kernel(code) and _balanced(code) else ""


def _ended(code: str) -> str:
    """The code with one newline at its end and none before it."""
    return code.strip("\n").rstrip() + "\n"
