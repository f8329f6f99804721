"""What becomes of kernels that are honest, wrong, broken or sly: through the client, as the engine meets the judge."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from evokern.evaluation.client import Judge
from evokern.evaluation.messages import REPLY, Judged
from evokern.evaluation.timing.timing import DUEL_PAIRS
from evokern.evaluation.workers.interrupted import AGAIN
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import HOLDER, Cache, Evaluation, Evidence, Fidelity, Status
from evokern.records.task import DType, Scalar, Task, Tensor
from evokern.taskfile.settings import EvaluationSettings
from tests.thorough import first

REFERENCE = """
import os
import torch

def reference(x, weight, eps):
    assert "SECRET_KEY" not in os.environ, "the judge sees the engine's environment"
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight
"""

TASK = Task(
    name="rmsnorm-small",
    category="normalization",
    reference_file="rmsnorm.py",
    reference_source=REFERENCE,
    arguments=(
        Tensor("x", DType.FLOAT32, ("M", "N")),
        Tensor("weight", DType.FLOAT32, ("N",)),
        Scalar("eps", DType.FLOAT32, 1e-5),
    ),
    returns=(Tensor("y", DType.FLOAT32, ("M", "N")),),
    check=({"M": 1, "N": 1}, {"M": 3, "N": 127}, {"M": 8, "N": 64}),
    time=({"M": 512, "N": 1024},),
    held_out=({"M": 37, "N": 301},),
)

HEAD = "void kernel(const float* x, const float* weight, float eps, float* y, int64_t M, int64_t N)"
HONEST = f"""
extern "C" {HEAD} {{
    for (int64_t m = 0; m < M; ++m) {{
        double squares = 0;
        for (int64_t n = 0; n < N; ++n) squares += double(x[m * N + n]) * x[m * N + n];
        const double scale = 1 / std::sqrt(squares / N + eps);
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = x[m * N + n] * scale * weight[n];
    }}
}}
"""
SETTINGS = EvaluationSettings(screen_ms=5, confirm_ms=20, champion_processes=2, compile_cap_s=0.2)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    os.environ["SECRET_KEY"] = "sk-1"
    try:
        with Judge(TASK, SETTINGS, Kernel(HONEST)) as judge:
            yield judge
    finally:
        del os.environ["SECRET_KEY"]


def screened(judge: Judge, source: str) -> Evaluation:
    return judge.evaluate(Kernel(source), Fidelity.SCREEN)


def edited(old: str, new: str) -> str:
    assert old in HONEST
    return HONEST.replace(old, new)


def before(statements: str, globals: str = "") -> str:
    """The honest kernel with `statements` before its loop."""
    return globals + edited("    for (int64_t m = 0; m", f"    {statements}\n    for (int64_t m = 0; m")


def test_an_honest_kernel_passes_and_is_timed_against_every_rival(judge: Judge) -> None:
    evaluation = screened(judge, HONEST)
    assert evaluation.status is Status.PASSED, evaluation.evidence
    assert evaluation.cases_passed == evaluation.cases_total > 20
    assert evaluation.max_error is not None
    assert evaluation.max_error < 8
    (measurement,) = evaluation.measurements
    assert measurement.latency_ns > 0
    assert {speedup.baseline for speedup in measurement.speedups} == {"yardstick", "eager"}
    assert sum(speedup.direct for speedup in measurement.speedups) == 1
    assert evaluation.speedup("eager") is not None


def test_identical_code_scores_one_within_the_noise_floor(judge: Judge) -> None:
    found = [judge.evaluate(Kernel(HONEST), Fidelity.CHAMPION).measurements[0] for _ in range(3)]
    scores = [(speedup.ratio, m.noise_floor) for m in found if (speedup := m.over("yardstick"))]
    assert sum(abs(math.log(ratio)) <= math.log1p(floor) for ratio, floor in scores) >= 2, scores


def test_much_more_work_is_slower(judge: Judge) -> None:
    more = edited(
        "double squares = 0;",
        "volatile double idle = 0; for (int i = 0; i < 10000; ++i) idle += i;\n double squares = 0;",
    )
    evaluation = screened(judge, more)
    assert evaluation.status is Status.PASSED
    yardstick = evaluation.measurements[0].over("yardstick")
    assert yardstick is not None
    assert yardstick.high < 1


def test_a_confirmed_kernel_has_more_pairs_from_fresh_processes(judge: Judge) -> None:
    evaluation = judge.evaluate(Kernel(HONEST), Fidelity.CONFIRM)
    assert evaluation.status is Status.PASSED
    assert len(evaluation.measurements[0].speedups[0].candidate_samples_ns) > 6


def test_a_confirmed_kernel_has_a_profile_and_one_that_is_screened_costs_none(judge: Judge) -> None:
    screened, confirmed = (judge.evaluate(Kernel(HONEST), one) for one in (Fidelity.SCREEN, Fidelity.CONFIRM))
    assert screened.evidence == ()
    told = [(one.reason, one.shape) for one in confirmed.profile]
    assert any("vectorised" in reason and shape is None for reason, shape in told)
    shares = {tuple(shape.items()): reason for reason, shape in told if shape}
    assert list(shares) == [tuple(one.shape.items()) for one in confirmed.measurements]
    for one in confirmed.measurements:
        assert f"at {TASK.compulsory_bytes(one.shape) / one.latency_ns:.3g} GB/s" in shares[tuple(one.shape.items())]
    assert all("at which memory is read" in reason for reason in shares.values())
    assert [one.contention for one in screened.measurements] == [None]
    assert all(one.contention is not None and one.contention > 0 for one in confirmed.measurements)


def test_a_confirmed_kernel_meets_the_one_that_leads_in_several_processes(judge: Judge) -> None:
    # Some times slower, on any machine: what is hopelessly slow counts the pair that warms up, too.
    idle = "volatile double idle = 0; for (int i = 0; i < 1000; ++i) idle += i;\n double squares = 0;"
    slower = Kernel(edited("double squares = 0;", idle))
    won = judge.evaluate(Kernel(HONEST), Fidelity.CONFIRM, slower).measurements[0].over(HOLDER)
    lost = judge.evaluate(slower, Fidelity.CONFIRM, Kernel(HONEST)).measurements[0].over(HOLDER)
    assert won is not None
    assert lost is not None
    processes = [len(one.candidate_samples_ns) / DUEL_PAIRS for one in (won, lost)]
    assert processes[0] in (3, 4, 5), "far faster in three that agree"
    assert processes[1] == 2, "slower in two"
    fallen = judge.evaluate(Kernel(HONEST), Fidelity.CONFIRM, Kernel(before("std::abort();")))
    assert fallen.status is Status.PASSED
    assert fallen.measurements[0].over(HOLDER) is None


def test_a_champion_meets_every_baseline_and_the_held_out_shapes(judge: Judge) -> None:
    evaluation = judge.evaluate(Kernel(HONEST), Fidelity.CHAMPION)
    assert evaluation.status is Status.PASSED, evaluation.evidence
    assert [measurement.held_out for measurement in evaluation.measurements] == [False, True]
    for measurement in evaluation.measurements:
        assert [speedup.baseline for speedup in measurement.speedups] == ["yardstick", "eager"]
        assert all(speedup.direct for speedup in measurement.speedups)


def test_the_baselines_say_when_torch_compile_did_not_finish(judge: Judge) -> None:
    eager, compiled = judge.baselines
    assert eager.name == "eager"
    assert eager.latency_ns is not None
    assert compiled.latency_ns is None
    assert compiled.note.startswith("did not finish within 0.2 s")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (edited("n < N; ++n) y", "n < N / 8 * 8; ++n) y"), "never written"),
        (edited("n < N; ++n) squares", "n < N / 8 * 8; ++n) squares"), "outside the error"),
        (edited("/ N + eps", "/ N"), ""),
        (edited("double squares = 0;", "_Float16 squares = 0;"), ""),
        (edited("* scale * weight[n]", "* scale"), ""),
        (HONEST.replace("m < M; ++m", "m < M - (M > 1); ++m"), "never written"),
        (before("if (M == 3 && N == 127) y[M * N] = 0;"), "outside the bounds of y"),
    ],
    ids=["tail-unwritten", "tail-unread", "no-eps", "half-precision", "no-weight", "last-row", "past-the-end"],
)
def test_wrong_outputs_are_refused_with_the_place(judge: Judge, source: str, reason: str) -> None:
    evaluation = screened(judge, source)
    assert evaluation.status is Status.WRONG
    assert evaluation.cases_passed < evaluation.cases_total
    assert not evaluation.measurements
    evidence = evaluation.evidence[0]
    assert reason in evidence.reason
    assert evidence.shape in TASK.check
    assert evidence.output == "y"
    assert evidence.seed is not None


def test_threads_that_collide_are_caught_in_the_checks(judge: Judge) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("threads collide where there are two cores")
    shared = "#pragma omp parallel for\nfor (int64_t n = 0; n < N; ++n) squares"  # no reduction: a lost sum
    evaluation = screened(judge, edited("for (int64_t n = 0; n < N; ++n) squares", shared))
    assert evaluation.status is Status.WRONG
    assert evaluation.evidence[0].stage == "check"
    reduced = shared.replace("for\n", "for reduction(+ : squares)\n")
    assert screened(judge, edited("for (int64_t n = 0; n < N; ++n) squares", reduced)).status is Status.PASSED


def test_a_kernel_that_is_right_at_the_declared_shapes_only_is_refused_at_a_drawn_one(judge: Judge) -> None:
    known = " || ".join(f"(M == {s['M']} && N == {s['N']})" for s in (*TASK.check, *TASK.time, *TASK.held_out))
    for fidelity in (Fidelity.SCREEN, Fidelity.CHAMPION):
        evaluation = judge.evaluate(Kernel(before(f"if (!({known})) return;")), fidelity)
        assert evaluation.status is Status.WRONG
        drawn = evaluation.evidence[0].shape
        assert drawn is not None
        assert drawn not in (*TASK.check, *TASK.time, *TASK.held_out)
        assert 1 <= drawn["M"] <= 8
        assert 1 <= drawn["N"] <= 127


@pytest.mark.parametrize(
    ("source", "stage", "reason"),
    [
        (before("const_cast<float*>(x)[0] = 0;"), "check", "SIGSEGV"),
        (before("y[M * N + 4096] = 0;"), "check", "SIGSEGV"),
        (before("std::abort();"), "check", "SIGABRT"),
        (before("_exit(0);", "#include <unistd.h>\n"), "check", "exited with status 0"),
        (before("", "__attribute__((constructor)) static void early() { __builtin_trap(); }\n"), "load", "SIGILL"),
        (
            before("", "#include <unistd.h>\n__attribute__((constructor)) static void early() { _exit(0); }\n"),
            "load",
            "0",
        ),
    ],
    ids=["writes-input", "guard-page", "abort", "exit", "crash-in-constructor", "exit-in-constructor"],
)
def test_a_kernel_that_ends_its_process_has_crashed(judge: Judge, source: str, stage: str, reason: str) -> None:
    evaluation = screened(judge, source)
    assert evaluation.status is Status.CRASHED
    (evidence,) = evaluation.evidence
    assert evidence.stage == stage
    assert reason in evidence.reason
    assert (evidence.shape in TASK.check) == (stage == "check")


def test_last_words_are_quoted_without_control_characters(judge: Judge) -> None:
    source = before('std::fprintf(stderr, "PASS \\033[2J row %d\\n", 7); std::abort();')
    (evidence,) = screened(judge, source).evidence
    assert evidence.detail == "PASS [2J row 7\n"


def test_a_flood_of_words_neither_hangs_nor_refuses_a_kernel(judge: Judge) -> None:
    source = before('for (int i = 0; i < 9999; ++i) std::puts("verbose verbose verbose"); std::fflush(stdout);')
    assert screened(judge, source).status is Status.PASSED


def test_what_a_wrong_kernel_said_is_quoted(judge: Judge) -> None:
    source = before('y[0] = 1.0f; std::puts("left early"); std::fflush(stdout); return;')
    evaluation = screened(judge, source)
    assert evaluation.status is Status.WRONG
    assert evaluation.evidence[0].detail.endswith("left early")


def test_an_endless_loop_is_killed(judge: Judge) -> None:
    evaluation = screened(judge, before("for (volatile int idle = 0;;) ++idle;"))
    assert evaluation.status is Status.TIMED_OUT
    assert "2 s" in evaluation.evidence[0].reason


def test_remembering_results_by_address_is_wrong(judge: Judge) -> None:
    cache = "#include <map>\n#include <vector>\nstatic std::map<const float*, std::vector<float>> seen;\n"
    source = before("if (seen.count(x)) { std::copy(seen[x].begin(), seen[x].end(), y); return; }", cache)
    source = source[: source.rindex("}")] + "    seen[x] = std::vector<float>(y, y + M * N);\n}\n"
    evaluation = screened(judge, source)
    assert evaluation.status is Status.WRONG
    assert evaluation.evidence[0].shape == TASK.time[0]


def test_a_kernel_that_is_right_on_tame_rows_only_is_refused_by_every_screen(judge: Judge) -> None:
    tame = edited("squares += double(x[m * N + n]) * x[m * N + n]", "squares += TAME(double(x[m * N + n]))")
    tame = "#define TAME(value) (N < 1024 ? value * value : std::min(value * value, 64.0))\n" + tame
    for fidelity in (Fidelity.SCREEN, Fidelity.SCREEN, Fidelity.SCREEN, Fidelity.CONFIRM, Fidelity.CHAMPION):
        evaluation = judge.evaluate(Kernel(tame), fidelity)
        assert evaluation.status is Status.WRONG
        assert evaluation.evidence[0].shape == TASK.time[0]
        assert "inputs: normal" not in evaluation.evidence[0].detail


def test_a_kernel_that_does_not_compile_is_answered_with_the_compilers_words(judge: Judge) -> None:
    evaluation = screened(judge, HONEST.replace("squares +=", "squarse +="))
    assert evaluation.status is Status.COMPILE_FAILED
    assert "squarse" in evaluation.evidence[0].detail


def test_one_thread_hot_and_without_a_yardstick() -> None:
    settings = replace_settings(threads=1, cache=Cache.HOT)
    with Judge(TASK, settings) as judge:
        evaluation = judge.evaluate(Kernel(HONEST), Fidelity.SCREEN)
    (measurement,) = evaluation.measurements
    assert (measurement.threads, measurement.cache) == (1, Cache.HOT)
    assert [(speedup.baseline, speedup.direct) for speedup in measurement.speedups] == [("eager", True)]


def replace_settings(**changes: object) -> EvaluationSettings:
    return EvaluationSettings(**{**SETTINGS.model_dump(), **changes})


def test_a_reference_that_raises_is_an_error_that_says_so() -> None:
    broken = replace(TASK, reference_source="def reference(x, weight, eps):\n    return x.no_such_method()\n")
    with pytest.raises(EvokernError, match="no_such_method"):
        Judge(broken, SETTINGS)


def test_a_wrong_yardstick_is_an_error_that_names_the_shape() -> None:
    with pytest.raises(EvokernError, match=r"yardstick at M=.*mend the seed"):
        Judge(TASK, SETTINGS, Kernel(edited("* weight[n]", "")))


@pytest.mark.parametrize(
    ("seed", "says"),
    first(
        [
            (edited("* weight[n]", ""), "wrong at M="),
            (HONEST.replace("squares +=", "squarse +="), "does not compile"),
        ]
    ),
)
def test_who_asks_about_one_kernel_is_told_of_a_broken_yardstick_and_gets_an_answer(seed: str, says: str) -> None:
    settings = replace_settings(threads=1, cache=Cache.HOT)
    with Judge(TASK, settings, Kernel(seed), needs_yardstick=False) as judge:
        assert says in judge.note
        evaluation = judge.evaluate(Kernel(HONEST), Fidelity.SCREEN)
    assert evaluation.status is Status.PASSED
    assert [over.baseline for over in evaluation.measurements[0].speedups] == ["eager"]


def test_a_judge_that_dies_is_an_error_and_not_a_hang() -> None:
    with Judge(TASK, SETTINGS) as judge:
        os.kill(judge.process_id, signal.SIGABRT)
        with pytest.raises(EvokernError, match="SIGABRT"):
            judge.evaluate(Kernel(HONEST), Fidelity.SCREEN)


def test_what_the_judge_says_survives_json_even_when_it_is_infinite() -> None:
    evidence = Evidence("check", "off", shape={"M": 1}, index=(0, 1), expected=1.0, got=-math.inf)
    said = Judged(Evaluation(Status.WRONG, Fidelity.SCREEN, 1, 2, math.inf, 2.0, (evidence,)))
    assert REPLY.validate_json(REPLY.dump_json(said)) == said


def kill_workers(judge: Judge, runs: int) -> None:
    """As somebody outside does: ends that many runners of kernels, each soon after it came up."""
    seen: set[str] = set()
    end = time.monotonic() + 60
    while len(seen) < runs and time.monotonic() < end:
        for child in Path(f"/proc/{judge.process_id}/task/{judge.process_id}/children").read_text().split():
            with suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
                is_kernel = "/runner-" in words[0] and "/empty-" not in words[1]
                if child not in seen and is_kernel:
                    os.kill(int(child), signal.SIGKILL)
                    seen.add(child)
        time.sleep(0.002)


@pytest.mark.parametrize(("kills", "status"), [(1, Status.PASSED), (AGAIN + 1, Status.CRASHED)])
def test_a_candidate_that_somebody_else_kills_is_judged_again(kills: int, status: Status) -> None:
    """Without a yardstick, whose runner would be one, too."""
    with Judge(TASK, SETTINGS) as judge, ThreadPoolExecutor() as pool:
        killing = pool.submit(kill_workers, judge, kills)
        evaluation = screened(judge, HONEST)
        killing.result()
    assert evaluation.status is status, evaluation.evidence
    if status is Status.CRASHED:
        assert evaluation.evidence[0].reason.endswith(f"{AGAIN + 1} times in a row")


def test_a_judge_that_somebody_else_kills_is_replaced() -> None:
    with Judge(TASK, SETTINGS) as judge:
        os.kill(judge.process_id, signal.SIGKILL)
        assert screened(judge, HONEST).status is Status.PASSED
