"""Answers as models write them, nasty ones included."""

from __future__ import annotations

import pytest

from evokern.prompting.answer import LONGEST_CHARS, MENDABLE, read_answer
from evokern.records.completion import Flaw

KERNEL = 'extern "C" void kernel(const float* x, float* y, int64_t N) {\n    y[0] = x[0];\n}\n'
OTHER = KERNEL.replace("y[0] = x[0]", "y[1] = x[1]")
HELPER = "static float twice(float v) {\n    return 2 * v;\n}\n"
SIGNATURE = 'extern "C" void kernel(const float* x, float* y, int64_t N);\n'


def fenced(code: str, tag: str = "cpp", fence: str = "```") -> str:
    return f"{fence}{tag}\n{code}{fence}\n"


READ_WHOLE = {
    "plain": fenced(KERNEL),
    "no tag": fenced(KERNEL, ""),
    "another language's tag": fenced(KERNEL, "python"),
    "upper case tag": fenced(KERNEL, "C++"),
    "tag with attributes": fenced(KERNEL, 'cpp title="kernel.cpp"'),
    "tildes": fenced(KERNEL, fence="~~~"),
    "four backticks": fenced(KERNEL, fence="````"),
    "CRLF": fenced(KERNEL).replace("\n", "\r\n"),
    "old Mac line ends": fenced(KERNEL).replace("\n", "\r"),
    "byte order mark": "\ufeff" + fenced(KERNEL),
    "zero-width and no-break spaces": fenced(KERNEL.replace(" = ", "\u00a0=\u200b ")),
    "indented in a list": "1. The kernel:\n\n" + "".join(f"   {line}\n" for line in fenced(KERNEL).splitlines()),
    "prose around": f"Here it is.\n\n{fenced(KERNEL)}\nIt copies.",
    "a helper's block first": fenced(HELPER) + "and\n" + fenced(KERNEL),
    "the signature quoted first": f"You asked for\n\n{fenced(SIGNATURE)}\nso:\n\n{fenced(KERNEL)}",
    "a draft first": f"First try:\n\n{fenced(OTHER)}\nBetter:\n\n{fenced(KERNEL)}",
    "output afterwards": fenced(KERNEL) + fenced("calling kernel(x, y) { ok }\n", "text"),
    "never closed": "```cpp\n" + KERNEL,
    "never closed, then another block": "```cpp\n" + KERNEL + fenced("make\n", "bash"),
    "no fence": KERNEL,
    "no fence, prose around": f"The kernel follows.\n\n{KERNEL}\nThat is all.",
    "thoughts with a draft": f"<think>Maybe\n{fenced(OTHER)}\nno.</think>\n{fenced(KERNEL)}",
    "complete, though it ran into the limit": fenced(KERNEL) + "And furthermore",
}


@pytest.mark.parametrize("text", READ_WHOLE.values(), ids=READ_WHOLE)
def test_the_kernel_is_found(text: str) -> None:
    answer = read_answer(text, "length" if "furthermore" in text else "stop")
    assert answer.source == KERNEL, answer
    assert answer.flaw is None


@pytest.mark.parametrize(
    "comment",
    ["// ```\n", "/* as in\n```\nx\n```\n*/\n", "/*\n```cpp\n*/\n", 'const char* s = "/*";\n', "/* ` */ // /* `\n"],
)
def test_fences_inside_comments_are_code(comment: str) -> None:
    assert read_answer(f"Look:\n\n{fenced(comment + KERNEL)}\nDone.").source == comment + KERNEL


FLAWED = {
    "nothing": ("", "stop", Flaw.EMPTY),
    "white space": (" \n\t\n", "stop", Flaw.EMPTY),
    "nothing, at the limit": ("", "length", Flaw.TRUNCATED),
    "thoughts only": ("<think>Well, a kernel that", "stop", Flaw.TRUNCATED),
    "prose only": ("I would unroll the loop by hand.", "stop", Flaw.NO_KERNEL),
    "prose cut off": ("I would unroll the", "length", Flaw.TRUNCATED),
    "a signature only": (fenced(SIGNATURE), "stop", Flaw.NO_KERNEL),
    "two helpers": (fenced(HELPER) + fenced(HELPER), "stop", Flaw.NO_KERNEL),
    "only a shell block": (fenced("make kernel() {}\n", "bash"), "stop", Flaw.NO_KERNEL),
    "an empty block": (fenced(""), "stop", Flaw.NO_KERNEL),
    "cut off within the kernel": ("```cpp\n" + KERNEL[:-3], "length", Flaw.TRUNCATED),
    "cut off, and nobody says so": ("```cpp\n" + KERNEL[:-3], "stop", Flaw.TRUNCATED),
    "cut off at a balanced place": ("```cpp\n" + KERNEL, "length", Flaw.TRUNCATED),
    "far too long": (fenced(KERNEL + "// more\n" * (LONGEST_CHARS // 8)), "stop", Flaw.TOO_LONG),
}


@pytest.mark.parametrize(("text", "finish", "flaw"), FLAWED.values(), ids=FLAWED)
def test_what_holds_no_whole_kernel_says_why(text: str, finish: str, flaw: Flaw) -> None:
    answer = read_answer(text, finish)
    assert answer.source is None
    assert answer.flaw is flaw
    assert answer.complaint
    assert (flaw in MENDABLE) is (flaw is Flaw.NO_KERNEL)


@pytest.mark.parametrize("text", ["```cpp\n" * 100_000, "kernel(" * 200_000, "(){" * 300_000, "`" * 500_000])
def test_giant_nonsense_is_refused(text: str) -> None:
    assert read_answer(text).source is None


def edit(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


ONE, TWO = "        y[n] += 1;", "        y[n] += 2;"
LOOP = "    for (int64_t n = 0; n < N; ++n) {"
LOOPS = (
    'extern "C" void kernel(const float* x, float* y, int64_t N) {\n'
    "    for (int64_t n = 0; n < N; ++n) {\n"
    "\ty[n] = x[n];\n"
    "    }\n"
    "    for (int64_t n = 0; n < N; ++n) {\n"
    "        y[n] += 1;\n"
    "    }\n"
    "}\n"
)

EDITED = {
    "one line": (edit(ONE, TWO), LOOPS.replace("+= 1", "+= 2")),
    "in a fence": (fenced(edit(ONE, TWO)), LOOPS.replace("+= 1", "+= 2")),
    "CRLF": (edit(ONE, TWO).replace("\n", "\r\n"), LOOPS.replace("+= 1", "+= 2")),
    "tab for spaces": (edit("        y[n] = x[n];", "        y[n] = 0;"), LOOPS.replace("= x[n]", "= 0")),
    "spaces within": (edit("        y[ n ]+=1 ;", TWO), LOOPS.replace("+= 1", "+= 2")),
    "indent forgotten": (edit("y[n] += 1;", "y[n] += 2;\ny[n] += 3;"),
                         LOOPS.replace(ONE, "        y[n] += 2;\n        y[n] += 3;")),
    "lines joined": (edit("    for (int64_t n = 0; n < N; ++n) { y[n] += 1;", "    for (;;) {"),
                     LOOPS.replace("    for (int64_t n = 0; n < N; ++n) {\n        y[n] += 1;", "    for (;;) {")),
    "deletion": (edit(ONE, ""), LOOPS.replace(ONE, "")),
    "two edits, in any order": (edit(ONE, TWO) + edit("\ty[n] = x[n];", "\ty[n] = 0;"),
                                LOOPS.replace("+= 1", "+= 2").replace("= x[n]", "= 0")),
    "short marks": (f"<<<<< SEARCH\n{ONE}\n=====\n{TWO}\n>>>>> REPLACE", LOOPS.replace("+= 1", "+= 2")),
    "a whole kernel instead": (fenced(KERNEL), KERNEL),
    "an edit that fails beside a whole kernel": (edit("nothing like it", "") + fenced(KERNEL), KERNEL),
    "braces in what is replaced": (edit(ONE, "        y[n] += \\1{N};"), LOOPS.replace("+= 1", "+= \\1{N}")),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), EDITED.values(), ids=EDITED)
def test_edits_are_made_where_they_match(text: str, expected: str) -> None:
    answer = read_answer(f"Name: better\n\n{text}", base=LOOPS)
    assert answer.source == expected, answer
    assert answer.name == "better"


UNEDITED = {
    "matches twice": (edit(LOOP, "for (;;) {"), Flaw.EDIT_FAILED, "2 places"),
    "matches twice up to white space": (edit(LOOP[4:], "for (;;) {"), Flaw.EDIT_FAILED, "2 places"),
    "matches nowhere": (edit("        y[n] += 7;", ""), Flaw.EDIT_FAILED, "line 6"),
    "only inside of a word": (edit("nel(const float* x, float* y, int64_t N) {", ""), Flaw.EDIT_FAILED, "nowhere"),
    "empty SEARCH": (edit("", "int z;"), Flaw.EDIT_FAILED, "empty"),
    "overlap": (edit("        y[n] += 1;\n    }", "}") + edit("    }\n}", "}}"), Flaw.EDIT_FAILED, "overlaps edit 1"),
    "one of two fails": (edit(ONE, "z") + edit("nowhere", ""), Flaw.EDIT_FAILED, "Edit 2 of 2"),
    "no change": (edit(ONE, ONE), Flaw.UNCHANGED, "nothing"),
    "cut off": (edit(ONE, TWO)[:-10], Flaw.TRUNCATED, "within an edit"),
    "second one cut off": (edit(ONE, "z") + "<<<<<<< SEARCH\n\ty", Flaw.TRUNCATED, "within an edit"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "flaw", "reason"), UNEDITED.values(), ids=UNEDITED)
def test_edits_that_cannot_be_made_change_nothing_and_say_why(text: str, flaw: Flaw, reason: str) -> None:
    answer = read_answer(text, base=LOOPS)
    assert answer.source is None
    assert answer.flaw is flaw
    assert reason in answer.complaint


def test_edits_without_a_kernel_to_edit_are_no_kernel() -> None:
    assert read_answer(edit("a", "b")).flaw is Flaw.NO_KERNEL


@pytest.mark.parametrize(
    ("text", "name", "idea"),
    [
        ("Name: row_blocks\nIdea: Four rows at a time.\n", "row_blocks", "Four rows at a time."),
        ("**Name:** Row blocks\n**Idea**: four rows\n", "Row blocks", "four rows"),
        ("- name: a\n- idea: b\n", "a", "b"),
        ("## Idea: b\n", "", "b"),
        ("I keep four rows in flight. Then I add.\n", "", "I keep four rows in flight."),
        ("", "", ""),
        (f"Idea: {'x' * 5000}\n", "", "x" * 300),
    ],
)
def test_name_and_idea_are_kept_on_one_line(text: str, name: str, idea: str) -> None:
    answer = read_answer(text + fenced("// Name: not this\n" + KERNEL))
    assert (answer.name, answer.idea) == (name, idea)


def test_a_name_inside_the_code_is_code() -> None:
    assert read_answer(fenced("// Name: trap\n" + KERNEL)).name == ""


def test_reasoning_holds_thoughts_and_prose_but_no_code() -> None:
    answer = read_answer(f"<think>rows first</think>Name: a\n\nThe loop is bound by memory.\n\n{fenced(KERNEL)}\nSo.")
    assert answer.reasoning == "rows first\n\nThe loop is bound by memory.\n\nSo."


@pytest.mark.parametrize("tag", ["think", "THINK", "reasoning"])
def test_a_thought_whose_beginning_is_missing_is_thought(tag: str) -> None:
    draft = '```cpp\nextern "C" void kernel() { draft(); }\n```'
    final = 'Idea: the final one.\n```cpp\nextern "C" void kernel() { final(); }\n```'
    answer = read_answer(f"Let me see.\n{draft}\nNo.\n</{tag}>\n\n{final}")
    assert answer.source == 'extern "C" void kernel() { final(); }\n'
    assert answer.idea == "the final one."
    assert read_answer(f"Let me see.\n{draft}\n</{tag}>\n").source is None
