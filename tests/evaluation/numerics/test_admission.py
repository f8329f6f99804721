"""A task must be able to tell right from wrong before kernels are judged by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evokern.evaluation.judge import Judge
from evokern.evaluation.messages import Open
from evokern.evaluation.numerics import admission
from evokern.evaluation.numerics.bank import Bank
from evokern.records.errors import EvokernError
from evokern.records.task import DType, Shape, Task, Tensor
from evokern.redteam.suite import TASK as RMS_NORM
from evokern.taskfile.settings import EvaluationSettings, load

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def task(
    expression: str, returns: DType = DType.FLOAT32, takes: DType = DType.FLOAT32, time: Shape | None = None
) -> Task:
    """y[M] = `expression` of x[M, N]."""
    return Task(
        name="task",
        category="reduction",
        reference_file="task.py",
        reference_source=f"import torch\n\ndef reference(x):\n    return {expression}\n",
        arguments=(Tensor("x", takes, ("M", "N")),),
        returns=(Tensor("y", returns, ("M",)),),
        check=({"M": 1, "N": 1}, {"M": 5, "N": 33}, {"M": 33, "N": 64}),
        time=(time or {"M": 256, "N": 512},),
    )


def admit(task: Task) -> None:
    admission.admit(task, Bank(task, len(task.time)))


@pytest.mark.parametrize("name", ["layernorm", "rmsnorm"])
def test_the_examples_are_admitted(name: str):
    """With fewer rows where they are timed; the judge admits them whole."""
    whole = load(EXAMPLES / f"{name}.yaml").task
    rows = next(iter(whole.time[0]))
    admit(replace(whole, time=({**whole.time[0], rows: 64},)))


@pytest.mark.parametrize(
    "honest",
    [
        RMS_NORM,
        task("x.sum(-1)"),
        task("x.amax(-1)"),
        task("(x.double().sum(-1)).to(torch.float64)", DType.FLOAT64),
        task("x.argmax(-1)", DType.INT64),
        task("(x > 0).any(-1)", DType.BOOL, time={"M": 256, "N": 2}),
        task("x.sum(-1)", DType.INT64, DType.INT64),
        task("x.sum(-1)", DType.BFLOAT16, DType.BFLOAT16),
        task("x[:, 0] * 1", DType.FLOAT16, DType.FLOAT16),
    ],
    ids=["rms-norm", "sum", "max", "float64", "argmax", "bool", "integers", "bfloat16", "copy"],
)
def test_tasks_that_can_tell_are_admitted(honest: Task):
    if honest.name == "task" and "x[:, 0]" in honest.reference_source:
        honest = replace(honest, check=({"M": 5, "N": 1}, {"M": 64, "N": 1}), time=({"M": 256, "N": 1},))
    admit(honest)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("x.sum(-1) * 0", "x changed no output"),
        ("(x.mean(-1) > 50).float()", "tell the right answer from|x changed no output"),
        ("torch.ones(len(x)) + (x.sum(-1) > 1e9)", "tell the right answer from|x changed no output"),
    ],
    ids=["constant", "almost-constant", "ones"],
)
def test_tasks_that_cannot_tell_are_refused(expression: str, complaint: str):
    with pytest.raises(EvokernError, match=complaint):
        admit(task(expression))


def test_a_task_that_is_blind_only_where_it_is_timed_is_refused():
    blind = task("torch.where(torch.tensor(len(x) < 256), x.sum(-1), torch.ones(len(x)))")
    with pytest.raises(EvokernError, match="M=256 N=512 to tell the right answer from"):
        admit(blind)


def test_a_judge_that_refuses_its_task_leaves_no_process_behind():
    with pytest.raises(EvokernError, match="x changed no output"):
        Judge(Open(task("x.sum(-1) * 0"), EvaluationSettings(), "cpp", None))
    lists = Path("/proc/self/task").glob("*/children")
    children = [Path(f"/proc/{pid}/cmdline") for listed in lists for pid in listed.read_text().split()]
    assert not [child for child in children if b"evaluation.baseline" in child.read_bytes()]


def test_an_input_that_does_not_matter_is_named():
    idle = Tensor("spare", DType.FLOAT32, ("N",))
    source = RMS_NORM.reference_source.replace("x, weight, eps", "x, weight, spare, eps")
    x, weight, eps = RMS_NORM.arguments
    with pytest.raises(EvokernError, match="but spare changed no output"):
        admit(replace(RMS_NORM, arguments=(x, weight, idle, eps), reference_source=source))


def test_admission_is_paid_once(monkeypatch: pytest.MonkeyPatch):
    admit(RMS_NORM)
    monkeypatch.setattr(admission, "mutants", lambda *_: pytest.fail("tried again"))
    admit(RMS_NORM)


def test_an_output_that_hides_lower_precision_is_admitted_only_beside_one_that_shows_it():
    """1 + x / 10000 is the same to the last bits whatever precision x has."""
    x, hiding, showing = Tensor("x", DType.FLOAT32, ("M", "N"), 0.0, 1.0), "1 + 1e-4 * x.mean(-1)", "x.logsumexp(-1)"
    blind = replace(task(hiding), arguments=(x,))
    with pytest.raises(EvokernError, match=r"to tell the right answer from arithmetic in (still )?lower precision"):
        admit(blind)
    seeing = task(f"{hiding}, {showing}")
    admit(replace(seeing, arguments=(x,), returns=(*seeing.returns, Tensor("z", DType.FLOAT32, ("M",)))))


LINEAR = """import torch.nn.functional as F
def reference(x, w, b{more}):
    return F.linear(x, w, b)
"""


@pytest.mark.parametrize("more", ["", ", spare"], ids=["whole", "ignored"])
def test_a_bias_need_not_matter_to_its_own_gradient_and_what_the_forward_ignores_is_refused(more: str):
    kinds = {"x": ("M", "K"), "w": ("N", "K"), "b": ("N",)} | ({"spare": ("N",)} if more else {})
    arguments = tuple(Tensor(name, DType.FLOAT32, dims) for name, dims in kinds.items())
    returns = tuple(Tensor(f"grad_{name}", DType.FLOAT32, dims) for name, dims in kinds.items())
    backward = replace(
        task(""),
        reference_source=LINEAR.format(more=more),
        arguments=(*arguments, Tensor("grad_y", DType.FLOAT32, ("M", "N"))),
        returns=returns,
        backward=True,
        check=({"M": 1, "K": 1, "N": 1}, {"M": 3, "K": 5, "N": 7}),
        time=({"M": 64, "K": 64, "N": 64},),
    )
    if not more:
        return admit(backward)
    with pytest.raises(EvokernError, match="grad_spare"):
        admit(backward)
    return None


def test_a_mean_that_hides_lower_precision_is_refused_with_the_remedy_that_works():
    p, t = (Tensor(name, DType.FLOAT32, ("M", "N")) for name in "pt")
    source = "def reference(p, t):\n    rows = (p - t).square().mean(1)\n    return rows.mean()\n"
    shapes = {"check": ({"M": 1, "N": 8}, {"M": 3, "N": 33}), "time": ({"M": 4096, "N": 64},)}
    loss = Tensor("loss", DType.FLOAT32, ())
    alone = replace(task(""), reference_source=source, arguments=(p, t), returns=(loss,), **shapes)
    with pytest.raises(EvokernError, match=r"return rows\.mean\(\), rows"):
        admit(alone)
    both = source.replace("return rows.mean()", "return rows.mean(), rows")
    admit(replace(alone, reference_source=both, returns=(loss, Tensor("rows", DType.FLOAT32, ("M",)))))
