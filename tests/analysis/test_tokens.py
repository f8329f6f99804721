"""What a compiler's preprocessor takes for an include, the lexer takes for one, however the text is twisted."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from evokern.analysis.tokens import Kind, ambiguity, directives, tokens, without_comments

COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
PIECES = (
    *(
        'R"(',
        ')"',
        'u8R"x(',
        ')x"',
        'LR"',
        'uR"y"(',
        '"',
        "'",
        '\\"',
        "\\",
        "R",
        "u8",
        '"a"',
        "'b'",
        "1'",
        "0x1'R",
        "#",
    ),
    *("/*", "*/", "//", "/", "*", "\\\n", "\\ \t\n", "/\\\n*", "*\\\n/", "/\\\n/", "\n", "\n", "\n", " ", "\t", "\f"),
    *("%:", "%:%:", "??=", "??/\n", "x", "<", ">", "(", ")", "<::", ".5e+", "\u00e9", "\u00a0", "#pragma x ", "%\\\n:"),
    *("\n#define A ", "\n#define B(x) ", "\n#if 0\n", "\n#endif\n", "\n#else\n", "\n#warning ", "\r\n"),
)
SPELLINGS = (
    "#include <{}>",
    "\n#include <{}>\n",
    "\n#include <{}>",
    "\n%:include <{}>\n",
    "\n%\\\n: inc\\\nlude <{}>\n",
    "\n /* */ # /* \n */ include /**/ <{}> // x\n",
    "\n#include_next <{}>\n",
    "\n#import <{}>\n",
    '\n#include "{}"\n',
    "\n#\\ \n include <{}>\n",
    "??=include <{}>\n",
)


def source(number: int, seed: int) -> str:
    """A random text with a few includes of headers that belong to it alone."""
    drawn = random.Random(seed)
    found = []
    for place in range(drawn.randint(1, 5)):
        found += drawn.choices(PIECES, k=drawn.randint(0, 7))
        found.append(drawn.choice(SPELLINGS).format(f"h{number}_{place}.h"))
    return "".join([*found, *drawn.choices(PIECES, k=3), "\n"])


def seen_by_compiler(compiler: str, folder: Path, texts: dict[int, str]) -> dict[int, set[str]]:
    """The headers that `compiler` took in, of each text that it got through."""
    seen = {}
    for number, text in texts.items():
        file = folder / f"{number}.cpp"
        file.write_text(text, encoding="utf-8", newline="")
        for name in re.findall(r"h\d+_\d+\.h", text):
            (folder / name).write_text(f"int {name[:-2]};\n")  # #import takes files of one content for one file
        command = [compiler, "-std=c++20", "-E", "-H", "-w", "-nostdinc", "-I", ".", "-I", "again", file.name]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        if done.returncode == 0:
            seen[number] = set(
                re.findall(r"^\. \S*?(h\d+_\d+\.h)$", done.stderr.decode(errors="replace"), re.MULTILINE)
            )
    return seen


def seen_by_us(text: str) -> set[str]:
    found = set()
    for directive in directives(text):
        if directive.name in ("include", "include_next", "import"):
            found |= {token.text[1:-1] for token in directive.tokens[:1] if token.kind is Kind.HEADER}
    return found


def disagreements(folder: Path, seeds: range, compilers: list[str]) -> list[str]:
    """Texts in which a compiler sees an include that we do not, or (where nothing is left out) the other way."""
    texts = {number: source(number, seed) for number, seed in enumerate(seeds)}
    (folder / "again").mkdir(exist_ok=True)
    found, compared = [], 0
    for compiler in compilers:
        for number, theirs in seen_by_compiler(compiler, folder, texts).items():
            text, ours = texts[number], seen_by_us(texts[number])
            if ambiguity(text):
                continue
            compared += 1
            whole = "#if" not in text and "#else" not in text
            if theirs - ours or (whole and ours - theirs and "include_next" not in text):
                found.append(f"{compiler} {seeds[number]}: theirs {theirs}, ours {ours}\n{text!r}")
    assert compared > len(seeds) // 4
    return found


@pytest.mark.skipif(not COMPILERS, reason="no compiler")
def test_what_a_compiler_includes_is_seen(tmp_path: Path):
    assert disagreements(tmp_path, range(40), COMPILERS) == []


def test_a_raw_string_hides_no_include():
    text = 'const char* a = R"(")/* )";\n#include <fstream>\n// */\nconst char* b = u8R"x(\n#include <set>\n)" )x";\n'
    assert seen_by_us(text) == {"fstream"}


def test_splices_come_back_in_raw_strings():
    raw = next(token for token in tokens('auto a = R"(x\\\ny)" ;') if token.kind is Kind.RAW)
    assert raw.text == 'R"(x\\\ny)"'


def test_tokens_know_their_lines():
    assert [(token.text, token.line) for token in tokens("a\\\nb c\n/* \n */ %: d") if token.counts] == [
        ("ab", 1),
        ("c", 2),
        ("#", 4),
        ("d", 4),
    ]


def test_text_without_comments():
    text = without_comments('a\\\nsm(x); // volatile\nf("__asm");')
    assert text.split() == ["asm", "(", "x", ")", ";", "f", "(", '"__asm"', ")", ";"]


@pytest.mark.parametrize(
    "text",
    ['#define A R"(\n)"\n', "#warning x /*\n#include <a>\n*/\n", "a\rb", "a\0b", "'b'u8R\"x(\n)x\"", "\x1b[31m"],
)
def test_what_compilers_read_differently_is_named(text: str):
    assert ambiguity(text)
