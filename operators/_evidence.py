"""What prompts say of candidates: their measurements, their failures, their sources, and what was tried from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from evokern.plugins.protocols import Context
from evokern.prompting.quote import SOURCE_CHARS, inline, quoted
from evokern.records import figures
from evokern.records.outcome import Candidate, Evidence, Measurement, Status
from evokern.records.task import Shape, Task, shape_label

PROFILE_CHARS = 2000
_TRIED_SHOWN = 10
Names = Mapping[int, str]
"""Candidate id → what prompts call it. Ids follow who was judged first; a prompt must not, so that a search that was
killed asks again what it had asked. So prompts name a kernel by its place: ``3.12`` is place 12 of generation 3."""
_ENDS = {
    Status.PASSED: "It passed.",
    Status.DUPLICATE: "It is a kernel that was known already.",
    Status.REJECTED: "It was refused before it was run.",
    Status.COMPILE_FAILED: "It did not compile.",
    Status.CRASHED: "It crashed.",
    Status.TIMED_OUT: "It did not end in time.",
    Status.WRONG: "Its results are wrong.",
    Status.CHEATED: "It was caught cheating.",
    Status.INCONCLUSIVE: "It could not be told whether it is right.",
    Status.WITHDRAWN: "It passed at first and fell when it was run beside others.",
}
"""Of every status, as a sentence."""
_KINDS = {
    "normal": "standard normal numbers",
    "rows": "each row at a scale of its own, over six decades",
    "faint": "hundredths and less, each index of the first axis at a scale of its own: a usual epsilon shows",
    "offset": "a mean of three standard deviations: differences of large sums lose digits",
    "heavy": "heavy tails: a few elements dominate every sum",
    "ties": "multiples of a half from -2 to 2, many of them equal, every fourth row constant: no unique maximum, and "
    "no variance in such a row",
    "extreme": "a hundred times standard normal, beyond what exp() holds in float32",
    "integers": "integers from -4 to 4: sums of their products are exact in any order",
}
"""What the judge draws (evaluation/inputs.py), by the name that evidence has."""
_ABOUT = "inputs: "
"""What evidence of a comparison says first in its details, before the kind."""
_HIDDEN = "it failed at a shape that is kept secret until the end; think of all shapes"


def name(candidate: Candidate) -> str:
    """What prompts call it."""
    return f"{candidate.generation}.{candidate.index}"


def names(context: Context) -> Names:
    """Of every candidate that `context` knows."""
    return {one.id: name(one) for one in (*context.parents, *context.history)}


def sheet(candidate: Candidate, title: str, context: Context) -> str:
    """A section on a passing kernel: where it comes from, how fast and how exact it is at each shape, its source."""
    lines = [f"## {title}: kernel {name(candidate)}", "", f"Made by {made_by(candidate, names(context))}."]
    evaluation = candidate.evaluation
    if evaluation is not None and candidate.speedup is not None:
        lines.append(
            f"Speed-up {figures.ratio(figures.over(evaluation, 'best'))} over the best of PyTorch, "
            f"error {figures.error(evaluation.rms_error)}; measured: {evaluation.fidelity.name.lower()}."
        )
        lines += ["", *_table(shown(evaluation.measurements), context.task)]
    return "\n".join([*lines, *_profile(candidate, context.task), "", _source(candidate)])


def shown(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Those that an operator may see."""
    return [one for one in measurements if not one.held_out]


def made_by(candidate: Candidate, known: Names) -> str:
    """The operator, the parents and the idea of a candidate, in a phrase."""
    child = candidate.child
    parents = ", ".join(known[parent.id] for parent in child.parents if parent.id in known)
    kin = f" from {parents}" if parents else ""
    steps = f" by {len(child.recipe.steps)} rewrites" if child.recipe.steps else ""
    return f"{child.operator}{kin}{steps}" + (f": {inline(child.idea)}" if child.idea else "")


def failure(candidate: Candidate, title: str, context: Context) -> str:
    """A section on a kernel that failed, with its source."""
    made = made_by(candidate, names(context))
    return f"## {title}: kernel {name(candidate)}\n\nMade by {made}.\n\n{_source(candidate)}"


def evidence(candidate: Candidate, task: Task) -> str:
    """Why it failed: each piece of evidence, with the words of compiler or worker as quoted data."""
    passed = candidate.evaluation
    share = f" It passed {passed.cases_passed} of {passed.cases_total} cases." if passed and passed.cases_total else ""
    ends = _ENDS[candidate.status] if candidate.status else "It was not judged yet."
    pieces = [f"{ends}{share}", *(_piece(one, task) for one in candidate.evidence)]
    return "\n\n".join(pieces)


def outcome(candidate: Candidate) -> str:
    """``1.35x`` or how it failed, in a word or two."""
    if candidate.speedup is not None:
        return figures.ratio(candidate.speedup)
    return candidate.status.value.replace("_", " ") if candidate.status else "not judged yet"


def reason(candidate: Candidate, task: Task) -> str:
    """Its first piece of evidence in one line; empty when it did not fail."""
    for one in candidate.evidence:
        return inline(f"{one.stage}: {one.reason}") if not _is_secret(one.shape, task) else _HIDDEN
    return ""


def lines(candidates: Iterable[Candidate], context: Context) -> str:
    """Candidates, each in one line of a list."""
    known, found = names(context), []
    for one in candidates:
        speaks = one.status not in (Status.PASSED, Status.DUPLICATE)  # a duplicate's evidence is the id of its twin
        why = reason(one, context.task) if speaks else ""
        told = f"- {name(one)}: {outcome(one)}, {made_by(one, known)}" + (f" ({why})" if why else "")
        found.append(told)
    return "\n".join(found)


def tried(candidates: Sequence[Candidate], title: str, context: Context) -> str:
    """A list of what was tried lately; empty when nothing was."""
    return f"## {title}\n\n{lines(candidates[-_TRIED_SHOWN:], context)}" if candidates else ""


def comparison(parents: Sequence[Candidate], task: Task) -> str:
    """Latency and error of several kernels side by side, shape by shape, and which of them is ahead where."""
    columns = " | ".join(f"kernel {name(one)}" for one in parents)
    rows = [f"| shape | {columns} | ahead |", "|" + "---|" * (len(parents) + 2)]
    for shape in task.time:
        values = [_latency_ns(one, shape) for one in parents]
        rows.append(_compared(shape_label(shape), parents, values, figures.latency))
    errors = [one.evaluation.rms_error if one.evaluation else None for one in parents]
    return "\n".join(["## Side by side", "", *rows, _compared("error", parents, errors, figures.error)])


def _latency_ns(candidate: Candidate, shape: Shape) -> float | None:
    measured = shown(candidate.evaluation.measurements) if candidate.evaluation else []
    return next((one.latency_ns for one in measured if one.shape == shape), None)


def _compared(
    label: str, parents: Sequence[Candidate], values: Sequence[float | None], written: Callable[[float], str]
) -> str:
    """A row of the comparison: the smallest value is ahead, unless it looks the same as another."""
    cells = ["-" if value is None else written(value) for value in values]
    known = [(value, name(one)) for value, one in zip(values, parents, strict=True) if value is not None]
    least = min(known, default=None)
    is_ahead = least is not None and len(known) > 1 and cells.count(written(least[0])) == 1
    ahead = f"kernel {least[1]}" if least is not None and is_ahead else "-"
    return f"| {label} | {' | '.join(cells)} | {ahead} |"


def lessons(context: Context, count: int) -> str:
    """The latest `count` insights as quoted data; empty when there are none."""
    if not context.insights or not count:
        return ""
    text = "\n\n".join(one.text for one in context.insights[-count:])
    return "## Lessons of this search so far\n\n" + quoted("Drawn by a model from the log", text, "markdown")


def _source(candidate: Candidate) -> str:
    kernel = candidate.child.kernel
    return quoted(f"Source of kernel {name(candidate)}", kernel.source, kernel.language, SOURCE_CHARS)


def _profile(candidate: Candidate, task: Task) -> list[str]:
    """What explains its speed, as quoted data: compilers name what the kernel names. Nothing when nobody asked yet."""
    known = candidate.evaluation.profile if candidate.evaluation else ()
    facts = [f"- {figures.fact(one)}" for one in known if not _is_secret(one.shape, task)]
    return ["", quoted("What explains its speed", "\n".join(facts), "text", PROFILE_CHARS)] if facts else []


def _table(measurements: Sequence[Measurement], task: Task) -> list[str]:
    """Shape by shape: latency, speed-ups with interval, and how fast the compulsory bytes went through."""
    baselines = sorted({one.baseline for measured in measurements for one in measured.speedups} & {"eager", "compile"})
    rows = ["| shape | latency | bytes moved at | " + "".join(f"over {one} | " for one in baselines).rstrip()]
    rows.append("|" + "---|" * (3 + len(baselines)))
    for measured in measurements:
        over = {one.baseline: figures.Ratio(one.ratio, one.low, one.high) for one in measured.speedups}
        ratios = "".join(f"{figures.ratio(over.get(one))} | " for one in baselines)
        rate = task.compulsory_bytes(measured.shape) / measured.latency_ns
        label = shape_label(measured.shape)
        rows.append(f"| {label} | {figures.latency(measured.latency_ns)} | {rate:.3g} GB/s | {ratios}".rstrip())
    return rows


def _piece(one: Evidence, task: Task) -> str:
    if _is_secret(one.shape, task):
        return _HIDDEN.capitalize() + "."
    where = [f"at {shape_label(one.shape)}"] if one.shape else []
    if one.output:
        where.append(f"in output `{one.output}`{list(one.index) if one.index is not None else ''}")
    if one.expected is not None or one.got is not None:
        where.append(f"expected {one.expected}, got {one.got}")
        where += filter(None, [figures.allowance(one)])
    said = f"Stage {inline(one.stage)}: {inline(one.reason)}{' (' + ', '.join(where) + ')' if where else ''}."
    kind, printed = _kind(one.detail)
    said += (
        f" The inputs were of the kind `{kind}`: {_KINDS[kind]}. A `range:` of the task narrows them." if kind else ""
    )
    return f"{said}\n\n{quoted('What was printed', printed)}" if printed.strip() else said


def _kind(detail: str) -> tuple[str, str]:
    """The kind of inputs that `detail` begins with, if it is a known one, and the rest."""
    first, _, rest = detail.partition("\n")
    kind = first.removeprefix(_ABOUT)
    return (kind, rest) if first.startswith(_ABOUT) and kind in _KINDS else ("", detail)


def _is_secret(shape: Shape | None, task: Task) -> bool:
    return shape is not None and shape in task.held_out and shape not in (*task.check, *task.time)
