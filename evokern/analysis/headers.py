"""Which files a C++ or CUDA source takes in, and whether a kernel may have them.

A header is named outright: one that a macro names could be any file. Groups that an ``#if`` leaves out count, too.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from evokern.analysis.tokens import Directive, Kind, Token, ambiguity, directives, tokens

OWN = "evokern.h"
STANDARD = frozenset(
    # The language's own, as far as arithmetic on arrays needs them: nothing that opens files or starts processes.
    "algorithm array atomic barrier bit bitset cassert cctype cfenv cfloat climits cmath compare complex concepts "  # noqa: SIM905
    "cstddef cstdint cstdlib cstring deque execution functional initializer_list iterator limits map memory mutex new "
    "numbers numeric optional queue random ranges set span stdexcept string thread tuple type_traits unordered_map "
    "unordered_set utility valarray variant vector version "
    "assert.h complex.h fenv.h float.h limits.h math.h stdalign.h stdbool.h stddef.h stdint.h stdlib.h string.h "
    "immintrin.h x86intrin.h xmmintrin.h emmintrin.h arm_neon.h arm_sve.h omp.h evokern.h".split()
)
CUDA = frozenset(
    "cuda.h cuda_runtime.h cuda_runtime_api.h cuda_fp16.h cuda_bf16.h cuda_fp8.h cuda_fp6.h cuda_fp4.h cuComplex.h "  # noqa: SIM905
    "cuda_pipeline.h cuda_awbarrier.h cuda_pipeline_primitives.h cuda_awbarrier_primitives.h cooperative_groups.h "
    "cooperative_groups/memcpy_async.h cooperative_groups/reduce.h cooperative_groups/scan.h curand_kernel.h "
    "device_launch_parameters.h device_functions.h math_constants.h math_functions.h mma.h vector_types.h "
    "vector_functions.h builtin_types.h".split()
)
_CUDA_LIBRARY = re.compile(r"(?:cuda/(?:std/)?|cub/|thrust/|cute/|cutlass/)[\w/]+(?:\.(?:h|hpp|cuh|inl))?")
_PROBES = frozenset({"__has_include", "__has_include_next", "__has_embed"})
_ASKING = frozenset({"if", "elif"})
_PRAGMAS_OF_FILES = frozenset({"dependency", "pch_preprocess", "include_alias"})
_TRIGRAPH = re.compile(r"\?\?[=/'()!<>-]")


def refused_file(source: str, language: str = "cpp") -> str:
    """What is wrong with the files that `source` names; empty when nothing is."""
    if reason := ambiguity(source):
        return reason
    if language == "cuda" and (hit := _TRIGRAPH.search(source)):
        return f"expected no trigraph, which CUDA's compilers read in different ways, got {hit[0]}"
    for directive in directives(source):
        if reason := _refused(directive, language):
            return reason
    return _probed(source, language) or _imported(source) or _pragma(source)


def _refused(directive: Directive, language: str) -> str:
    if directive.name == "embed":
        return "expected no #embed: a kernel takes no file in"
    if not re.match(r"include|import", directive.name):
        return ""
    if len(directive.tokens) == 1 and _is_allowed(directive.tokens[0], language):
        return ""
    written = "".join(token.text for token in directive.tokens)[:100]
    return f"line {directive.line}: expected {_known(language)}, got #{directive.name} {written}"


def _known(language: str) -> str:
    if language == "cuda":
        return "headers of CUDA and standard headers only (<cuda_fp16.h>, <mma.h>, <cstdint> ...)"
    return "standard headers only (<cmath>, <immintrin.h> ...)"


def _is_allowed(header: Token, language: str) -> bool:
    return header.kind is Kind.HEADER and _is_known(header.text[1:-1], header.text[0], language)


def _is_known(name: str, bracket: str, language: str) -> bool:
    if bracket == '"' and language == "cpp":
        return name == OWN
    known: AbstractSet[str] = STANDARD if language == "cpp" else STANDARD - {OWN} | CUDA
    return name in known or (language == "cuda" and _CUDA_LIBRARY.fullmatch(name) is not None)


def _probed(source: str, language: str) -> str:
    """Whether a file is there is asked of known headers only: an answer is knowledge about the machine."""
    asked = 0
    for directive in directives(source):
        for place, token in enumerate(directive.tokens):
            if token.text not in _PROBES:
                continue
            asked += 1
            behind = "".join(other.text for other in directive.tokens[place + 1 :])
            hit = re.match(r"\((?:<([^<>]+)>|\"([^\"]+)\")\)", behind)
            name = hit and (hit[1] or hit[2])
            defined = not behind.startswith("(") or directive.name not in _ASKING  # `defined(__has_include)`
            if defined and directive.name in {"if", "elif", "ifdef", "ifndef", "elifdef", "elifndef"}:
                continue
            if not name or not _is_known(name, "<" if hit and hit[1] else '"', language):
                return f"line {token.line}: expected {token.text} to name a standard header, got {behind[:60]}"
    if asked < sum(token.text in _PROBES for token in tokens(source)):
        return "expected __has_include and __has_embed in #if only"
    return ""


def _imported(source: str) -> str:
    """``import <header>;`` and ``import name;``, which C++20 reads at the beginning of a line."""
    line: list[Token] = []
    for token in (*tokens(source), Token(Kind.NEWLINE, "\n", 0)):
        if token.kind is Kind.COMMENT:
            continue
        if token.kind is not Kind.NEWLINE:
            line.append(token)
            continue
        written = [each.text for each in line if each.text != "export"][:2]
        if len(written) == 2 and written[0] == "import" and (written[1] == "<" or written[1][0] == '"'):
            return f"line {line[0].line}: expected #include of standard headers, got an import"
        line = []
    return ""


def _pragma(source: str) -> str:
    """Pragmas that open a file, as lines and as ``_Pragma("...")``."""
    written = [[token.text for token in each.tokens] for each in directives(source) if each.name == "pragma"]
    counted = [token for token in tokens(source) if token.counts]
    for operator, *behind in zip(counted, counted[1:], counted[2:], strict=False):
        if operator.text in ("_Pragma", "__pragma") and behind[0].text == "(":
            written.append(re.findall(r"\w+", behind[1].text))
    for pragma in written:
        if found := _PRAGMAS_OF_FILES.intersection(pragma):
            return f"expected no pragma that opens a file, got {', '.join(found)}"
    return ""
