"""What soft verifiers are told: the task, the kernel with its lines numbered, and what became of its parents.

All that comes from programs is quoted data. Held-out shapes never get here.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from evokern.plugins.protocols import Inspection
from evokern.prompting.quote import SOURCE_CHARS, inline, quoted
from evokern.prompting.template import Template, template
from evokern.records.kernel import Child, Kernel
from evokern.records.outcome import Candidate, Status
from evokern.records.task import Scalar, shape_label

PROMPTS = Path(__file__).parent / "prompts"
_OVERRIDES = "verifiers/"
"""Below this folder of a user's own prompts are those that replace ours."""
_DIFFERENCE_CHARS = 6_000
_PLAN = (
    "In the launch plan `cdiv`, `next_power_of_2`, `min`, `max`, `empty` and the task's dimensions are known; the plan "
    "is parsed, not executed. The choice of each declared tunable is a number there."
)
_DECLARED = {
    "cpp": "Included before the kernel: `<algorithm> <array> <bit> <cmath> <cstddef> <cstdint> <cstdlib> <cstring> "
    "<limits> <memory> <numeric> <type_traits> <utility> <vector> <omp.h> <immintrin.h>`. The types `float16` and "
    "`bfloat16` are defined. Each declared tunable is a macro.",
    "cuda": "Declared before the kernel: `int32_t`, `int64_t` and their like, `min`, `max` and the functions of CUDA's "
    f"device library. Each declared tunable is a macro. {_PLAN}",
    "triton": f"The source imports `triton` and `triton.language` itself, and nothing else. {_PLAN}",
}
"""What a kernel of each language may use without declaring it."""


def named(name: str, inspection: Inspection) -> str:
    """A template that only asks for an answer, filled; the user's own if there is one."""
    return _template(name, inspection).fill({"answer": _template("answer", inspection).text})


def system(inspection: Inspection) -> str:
    """The first message of every conversation."""
    task = inspection.task
    lines = [f"{inline(task.name)}, of the category {inline(task.category)}.", ""]
    for argument in task.arguments:
        kind = f"{argument.dtype} = {argument.value}" if isinstance(argument, Scalar) else (
            f"{argument.dtype}[{', '.join(argument.dims)}]")  # fmt: skip
        lines.append(f"- argument `{argument.name}: {kind}`")
    lines += [f"- output `{one.name}: {one.dtype}[{', '.join(one.dims)}]`" for one in task.returns]
    lines += [
        "",
        f"Shapes: {', '.join(map(shape_label, (*task.check, *task.time)))}, and others that nobody knows yet.",
    ]
    about = "The reference, in PyTorch" + (": the kernel computes its gradients" if task.backward else "")
    slots = {
        "task": "\n".join(lines),
        "reference": quoted(about, task.reference_source, "python", SOURCE_CHARS),
        "signature": f"```\n{inspection.backend.signature(task)}\n```",
        "declared": _DECLARED.get(inspection.backend.language, ""),
    }
    return _template("system", inspection).fill(slots)


def question(name: str, child: Child, inspection: Inspection) -> str:
    """What the verifier `name` asks about `child`."""
    slots = {
        "kernel": _numbered(child.kernel),
        "parents": _parents(child, inspection),
        "answer": _template("answer", inspection).text,
    }
    return _template(name, inspection).fill(slots)


def _template(name: str, inspection: Inspection) -> Template:
    prompts = inspection.prompts.items()
    own = {key.removeprefix(_OVERRIDES): text for key, text in prompts if key.startswith(_OVERRIDES)}
    return template(name, PROMPTS, own)


def _numbered(kernel: Kernel) -> str:
    lines = kernel.source.rstrip("\n").split("\n")
    text = "\n".join(f"{number:>4} | {line}" for number, line in enumerate(lines, start=1))
    return quoted("The kernel, its lines numbered", text, kernel.language, SOURCE_CHARS)


def _parents(child: Child, inspection: Inspection) -> str:
    """What became of the kernels that it was made from, and what was changed in the first that is known."""
    known = {one.id: one for one in inspection.history}
    parents = [known[parent.id] for parent in child.parents if parent.id in known]
    if not parents:
        return ""
    told = [f"- kernel {one.generation}.{one.index}: {_outcome(one, inspection)}" for one in parents]
    old, new = parents[0].child.kernel.source, child.kernel.source
    changes = "\n".join(difflib.unified_diff(old.split("\n"), new.split("\n"), lineterm="", n=1))
    what = f"What was changed since kernel {parents[0].generation}.{parents[0].index}"
    return "\n".join(["It was made from", "", *told, "", quoted(what, changes, "diff", _DIFFERENCE_CHARS)])


def _outcome(candidate: Candidate, inspection: Inspection) -> str:
    """``passed``, or how it failed; of held-out shapes nothing is told."""
    if candidate.status is Status.PASSED:
        return "the judge passed it"
    hidden = [one for one in candidate.evidence if one.shape is not None and one.shape in inspection.task.held_out]
    said = [] if hidden else [inline(f"{one.stage}: {one.reason}") for one in candidate.evidence[:1]]
    status = candidate.status.value.replace("_", " ") if candidate.status else "not judged yet"
    return " ".join([status, *said])
