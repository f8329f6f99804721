"""Everything that only a card can show, in one call: targets, A/A, exploits with twins, seeds, prices, a search.

    PYTHONPATH=. python3 tests/benchmarks/gpu.py --json gpu.json        # a bare machine: nothing has to be installed
    PYTHONPATH=. python3 tests/benchmarks/gpu.py --only layernorm,aa    # some parts

Parts are done in the order of their worth, and the file is written after each, so that a crash late loses little.
Nothing of the card is changed; clocks are only recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from math import log, log1p
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for place in (str(ROOT), str(HERE)):
    sys.path[:] = [known for known in sys.path if known != place]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from evokern.evaluation import judge as judging  # noqa: E402
from evokern.evaluation.judge import Judge  # noqa: E402
from evokern.evaluation.messages import Open  # noqa: E402
from evokern.evaluation.rigs.gpu.baseline import KINDS  # noqa: E402
from evokern.evaluation.rigs.gpu.nvml import Monitor  # noqa: E402
from evokern.evaluation.rigs.gpu.rig import GpuRig  # noqa: E402
from evokern.plugins.protocols import Backend, DeviceBackend  # noqa: E402
from evokern.records.kernel import Kernel  # noqa: E402
from evokern.records.outcome import HOLDER, Evaluation, Fidelity, Status  # noqa: E402
from evokern.records.task import Shape, Task, shape_label  # noqa: E402
from evokern.redteam.suite import NO_GAIN, TASK  # noqa: E402
from evokern.redteam.team import GAIN  # noqa: E402
from evokern.taskfile.settings import EvaluationSettings, load  # noqa: E402
from tests.gpu.exploits import EXPLOITS, HONEST  # noqa: E402
from tests.gpu.toolkit import Toolkit  # noqa: E402

H200_BYTES_PER_S = 4.8e12
LAYERNORM_H200_MS, LAYERNORM_BOUND_H200_MS = 0.032, 0.014
RMSNORM_LEAST = 0.85
AA_TRIES = 10
SETTINGS = EvaluationSettings(screen_ms=5, confirm_ms=10, champion_processes=2, compile_cap_s=90)
SEARCHED, SEARCH_S = "rmsnorm", 60
BUDGET_S = 380
"""No part is begun later than this."""


class Report:
    """What was found so far; on disk after each part."""

    def __init__(self, path: Path) -> None:
        self.path, self.began = path, time.monotonic()
        self.parts: dict[str, Any] = {}
        self.lines: list[str] = []

    def add(self, name: str, part: Callable[[], dict[str, Any]]) -> None:
        """Does a part, or says why it could not be done."""
        started = time.monotonic()
        if started - self.began > BUDGET_S:
            self.parts[name] = {"skipped": "no time left"}
        else:
            try:
                self.parts[name] = part()
            except Exception as error:  # whatever it is, the parts after it are worth having
                self.parts[name] = {
                    "error": f"{type(error).__name__}: {error}",
                    "trace": traceback.format_exc()[-3000:],
                }
                self.say(f"{name}: {type(error).__name__}: {str(error)[:600]}")
        self.parts[name]["took_s"] = round(time.monotonic() - started, 2)
        self.path.write_text(json.dumps(self.parts, indent=1, default=str))

    def say(self, line: str) -> None:
        """A line of the table at the end; shown at once, too."""
        self.lines.append(line)
        print(f"[{time.monotonic() - self.began:6.1f} s] {line}", flush=True)


def opened(
    task: Task,
    settings: EvaluationSettings,
    yardstick: Kernel | None = None,
    kinds: tuple[str, ...] = ("eager",),
    backend: str = "",
) -> Judge:
    """A judge for `task`, in this process; nvcc compiles its kernels unless a backend is named."""

    def rig_for(own: Backend, task: Task, settings: EvaluationSettings) -> GpuRig:
        rig = GpuRig(task, settings, own if backend and isinstance(own, DeviceBackend) else Toolkit())
        rig.kinds = kinds
        return rig

    setattr(judging, "rig_for", rig_for)  # noqa: B010
    return Judge(Open(task, settings, backend or "cpp", yardstick))


def example(name: str, **shapes: tuple[Shape, ...]) -> Task:
    """An example's task with other timed shapes."""
    from dataclasses import replace

    return replace(load(ROOT / "examples" / f"{name}.yaml").task, held_out=(), **shapes)


def source(name: str) -> Kernel:
    return Kernel((ROOT / "tests" / "gpu" / f"{name}.cu").read_text(), "toolkit")


SEEDS = tuple(
    (path.stem.removesuffix("_triton"), backend, path.name)
    for backend, pattern in (("triton", "*_triton.py"), ("cuda", "*.cu"))
    for path in sorted((ROOT / "examples").glob(pattern))
)
CLUSTERED = ("bias_gelu_residual", "int4_matmul")
UNROLLED = "selective_scan"
"""PyTorch's reference is a loop of Python there: compiling it takes longer than the cap."""
LAYERNORM = example("layernorm", time=({"M": 1, "N": 64 * 256 * 256},))
RMSNORM = example("rmsnorm", time=({"T": 16 * 1024, "D": 4096},))
TARGETS = {"layernorm": LAYERNORM, "rmsnorm": RMSNORM}


def card(report: Report) -> dict[str, Any]:
    """The card, its driver and clocks, and what its memory delivers."""
    rig = GpuRig(RMSNORM, SETTINGS, Toolkit())
    found = {**rig.facts, "bandwidth": rig.bandwidth, "torch": torch.__version__, "python": platform.python_version()}
    found["triton"] = version("triton")
    query = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw,power.limit"
    found["nvidia_smi"] = _words(["nvidia-smi", f"--query-gpu={query}", "--format=csv"])
    found["idle"] = asdict(Monitor().read())
    read, copied = (rig.bandwidth[name] / 1e12 for name in ("read", "copy"))
    report.say(f"{found['card']}, CUDA {found['cuda']}: read {read:.2f} TB/s, copy {copied:.2f} TB/s (read + written)")
    return found


def warmed(report: Report) -> dict[str, Any]:
    """torch.compile's caches, filled beforehand by processes side by side; compiling is no part of any measurement."""
    jobs = [(name, mode) for name in TARGETS for mode in ("default", "max-autotune-no-cudagraphs")]
    jobs += [(name, "default") for name, backend, _ in SEEDS if backend == "triton" and name != UNROLLED]
    processes = {
        job: subprocess.Popen([sys.executable, __file__, "--warm", *job], stderr=subprocess.PIPE, text=True)
        for job in dict.fromkeys(jobs)
    }
    ends = {}
    for job, process in processes.items():
        _, words = process.communicate(timeout=120)
        ends["/".join(job)] = process.returncode or words[-200:] if process.returncode else 0
    report.say(f"torch.compile warmed: {ends}")
    return {"ends": ends}


def warm(name: str, mode: str) -> None:
    """One of the processes of `warmed`."""
    from evokern.evaluation.numerics import inputs, reference
    from evokern.evaluation.rigs.gpu.baseline import set_precision

    shapes = (*example(name).time, *(TARGETS[name].time if name in TARGETS else ()))
    task = example(name, time=shapes)
    torch.set_grad_enabled(False)
    torch.set_default_device("cuda:0")
    set_precision(task.precision)
    function = torch.compile(reference.load(task), dynamic=False, mode=mode)
    for shape in task.time:
        function(*inputs.draw(task, shape, "normal", 0, torch.device("cuda", 0)))
    torch.cuda.synchronize()


def target(report: Report, name: str, task: Task, kernel: Kernel) -> dict[str, Any]:
    """A kernel of ours as a champion: against every baseline, in fresh processes."""
    judge = opened(task, SETTINGS, kinds=KINDS)
    try:
        began = time.monotonic()
        evaluation = judge.evaluate(kernel, Fidelity.CHAMPION)
        took_s = time.monotonic() - began
        return {
            "baselines": [asdict(one) for one in judge.baselines],
            "evaluation": asdict(evaluation),
            "evaluation_s": took_s,
            "bandwidth": judge.rig.bandwidth,
            "clocks_mhz": _clocks(judge),
            "figures": _figures(report, name, task, judge, evaluation),
        }
    finally:
        judge.close()


def _figures(report: Report, name: str, task: Task, judge: Judge, evaluation: Evaluation) -> dict[str, Any]:
    if evaluation.status is not Status.PASSED:
        report.say(f"{name}: {evaluation.status} {[asdict(one) for one in evaluation.evidence][:1]}")
        return {}
    (measured,) = evaluation.measurements
    moved = task.compulsory_bytes(measured.shape)
    latency_ms, rate = measured.latency_ns / 1e6, moved / measured.latency_ns * 1e9
    best = max(judge.rig.bandwidth.values())
    ratios = {one.baseline: [round(x, 3) for x in (one.ratio, one.low, one.high)] for one in measured.speedups}
    baselines = {
        one.name: (one.latency_ns and round(one.latency_ns / 1e6, 4)) or one.note[:60] for one in judge.baselines
    }
    figures = {
        "latency_ms": latency_ms,
        "bytes_per_s": rate,
        "of_measured_bandwidth": rate / best,
        "of_copy": rate / judge.rig.bandwidth["copy"],
        "speedups": ratios,
        "noise_floor": measured.noise_floor,
        "errors_in_units_of_the_reference": [evaluation.max_error, evaluation.rms_error],
    }
    report.say(
        f"{name} {shape_label(measured.shape)}: {latency_ms:.4f} ms, {rate / 1e12:.2f} TB/s, {rate / best:.1%} of the "
        f"best and {figures['of_copy']:.1%} of copy; baselines (ms) {baselines}; speed-ups {ratios}; "
        f"floor {measured.noise_floor:.4f}; calls {evaluation.cases_total}"
    )
    if name == "layernorm":
        scaled = LAYERNORM_H200_MS * H200_BYTES_PER_S / best
        report.say(
            f"  asked <= {LAYERNORM_H200_MS} ms on an H200 (4.8 TB/s), {scaled:.4f} ms at {best / 1e12:.2f} TB/s: "
            f"{'met' if latency_ms <= scaled else 'MISSED'}"
        )
    if name == "rmsnorm":
        met = figures["of_copy"] >= RMSNORM_LEAST
        report.say(f"  asked >= {RMSNORM_LEAST:.0%} of the copy measured beside it: {'met' if met else 'MISSED'}")
    return figures


def same(report: Report) -> dict[str, Any]:
    """A kernel against itself, ten times over: how often the ratio is within the noise floor that was stated."""
    kernel, tries = source("rmsnorm_rows"), []
    task = example("rmsnorm", time=({"T": 2048, "D": 4096},))
    judge = opened(task, SETTINGS, kernel)
    try:
        for _ in range(AA_TRIES):
            evaluation = judge.evaluate(kernel, Fidelity.CONFIRM, holder=kernel)
            (measured,) = evaluation.measurements or (None,)
            over = measured.over(HOLDER) if measured else None
            if measured is None or over is None:
                tries.append({"status": evaluation.status, "evidence": [asdict(one) for one in evaluation.evidence]})
                continue
            within = abs(log(over.ratio)) <= log1p(measured.noise_floor)
            tries.append(
                {
                    "ratio": over.ratio,
                    "low": over.low,
                    "high": over.high,
                    "floor": measured.noise_floor,
                    "within": within,
                }
            )
    finally:
        judge.close()
    good = [one for one in tries if one.get("within")]
    ratios = [one["ratio"] for one in tries if "ratio" in one]
    if ratios:
        floors = median(one["floor"] for one in tries if "floor" in one)
        report.say(
            f"A/A: {len(good)} of {len(tries)} within the floor; ratios {min(ratios):.4f}-{max(ratios):.4f}, "
            f"floor {floors:.4f}"
        )
    return {"tries": tries}


def attacked(report: Report) -> dict[str, Any]:
    """Every exploit, then its twin under the same judge: what an attack left behind would hurt the twin."""
    judge = opened(TASK, EvaluationSettings(screen_ms=5, compile_cap_s=60), Kernel(HONEST, "toolkit"))
    found = []
    try:
        for exploit in EXPLOITS:
            began = time.monotonic()
            attack = judge.evaluate(Kernel(exploit.source, "toolkit"), Fidelity.SCREEN)
            middle = time.monotonic()
            twin = judge.evaluate(Kernel(exploit.twin, "toolkit"), Fidelity.SCREEN)
            outcome = _outcome(attack)
            reason = attack.evidence[0].reason if attack.evidence else ""
            held = outcome in exploit.expected and exploit.evidence in reason
            fair = twin.status is Status.PASSED
            told = twin.evidence[0].reason if twin.evidence else ""
            found.append(
                {
                    "name": exploit.name,
                    "outcome": outcome,
                    "reason": reason,
                    "held": held,
                    "fair": fair,
                    "twin": told,
                    "attack_s": middle - began,
                    "twin_s": time.monotonic() - middle,
                    "ratios": [
                        one.ratio for m in attack.measurements for one in m.speedups if one.baseline == "yardstick"
                    ],
                }
            )
            if not (held and fair):
                report.say(f"  exploit {exploit.name}: {outcome} ({reason}); twin {twin.status} ({told})")
    finally:
        judge.close()
    held, fair = sum(one["held"] for one in found), sum(one["fair"] for one in found)
    price = median(one["twin_s"] for one in found)
    report.say(f"exploits: {held} of {len(found)} held, {fair} twins passed; an honest screen takes {price:.2f} s")
    return {"found": found}


def _outcome(evaluation: Evaluation) -> str:
    if evaluation.status is not Status.PASSED:
        return evaluation.status.value
    gains = [over.low for timed in evaluation.measurements if (over := timed.over("yardstick"))]
    return "gain" if max(gains) > GAIN else NO_GAIN


def seeds(report: Report) -> dict[str, Any]:
    """The examples' seeds through the backends that users have."""
    return {
        file: confirmed(report, file, name, Kernel((ROOT / "examples" / file).read_text(), backend))
        for name, backend, file in SEEDS
    }


def clusters(report: Report) -> dict[str, Any]:
    """Seeds in clusters of two blocks. Triton does not reduce over the clusters of one dimension that others have."""
    found = {}
    for name in CLUSTERED:
        source = (ROOT / "examples" / f"{name}_triton.py").read_text()
        source = source.replace("num_warps=4):", "num_warps=4, num_ctas=2):")
        source = source.replace("=num_warps)", "=num_warps, num_ctas=num_ctas)")
        found[name] = confirmed(report, f"{name} in clusters of 2", name, Kernel(source, "triton"))
    return found


def confirmed(report: Report, label: str, name: str, kernel: Kernel) -> dict[str, Any]:
    """What a user's judge says of a kernel, counters included; an error says nothing of the next kernel."""
    began = time.monotonic()
    kinds = ("eager",) if name == UNROLLED else ("eager", "compile")
    try:
        judge = opened(example(name), SETTINGS, None, kinds, kernel.language)
        try:
            evaluation = judge.evaluate(kernel, Fidelity.CONFIRM)
        finally:
            judge.close()
    except Exception as error:
        report.say(f"  {label}: {type(error).__name__}: {str(error)[:300]}")
        return {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-3000:]}
    ratios = {one.baseline: round(one.ratio, 2) for timed in evaluation.measurements for one in timed.speedups}
    latencies = [round(timed.latency_ns / 1e6, 4) for timed in evaluation.measurements]
    failed = () if evaluation.status is Status.PASSED else evaluation.evidence[:1]
    told = [f"{one.reason} {one.detail[:200]}" for one in failed]
    told += [one.reason[:400] for one in evaluation.profile if "count" in one.reason]
    took_s = time.monotonic() - began
    report.say(f"  {label}: {evaluation.status} {latencies} ms, speed-ups {ratios} ({took_s:.0f} s) {'; '.join(told)}")
    return asdict(evaluation)


def search(report: Report) -> dict[str, Any]:
    """`evokern run` with no model: what rewrites and tuning make of a seed in a minute; the archive is kept."""
    archive = report.path.with_suffix(".db")
    archive.unlink(missing_ok=True)
    began = time.monotonic()
    words = ["run", str(ROOT / "examples" / f"{SEARCHED}.yaml"), "--archive", str(archive), "--backend", "triton"]
    ran = _evokern(*words, "--time", str(SEARCH_S))
    report.say(f"search of {SEARCHED}: exit {ran.returncode} after {time.monotonic() - began:.0f} s")
    for line in (ran.stdout + ran.stderr[-1000:]).strip().splitlines()[-30:]:
        report.say(f"  {line}")
    return {
        "run": ran.stdout,
        "errors": ran.stderr[-3000:],
        "front": _evokern("front", "--archive", str(archive), "--json").stdout,
    }


def _evokern(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line, from this checkout."""
    command = [sys.executable, "-c", "from evokern.cli import main; main()", *words]
    ours = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": ours})


def prices(report: Report) -> dict[str, Any]:
    """What the machinery costs: a launcher's start, a window, a screen."""
    judge = opened(example("rmsnorm", time=({"T": 2048, "D": 4096},)), SETTINGS, source("rmsnorm_rows"))
    starts, windows = [], []
    try:
        artefact = judge.rig.artefact(source("rmsnorm_rows"))
        for _ in range(3):
            began = time.monotonic()
            worker = judge.bench.runner("candidate", artefact)
            starts.append(time.monotonic() - began)
            for _ in range(6):
                began = time.monotonic()
                judge.bench.alone(worker, judge.task.time[0])
                windows.append(time.monotonic() - began)
            worker.close()
        began = time.monotonic()
        screen = judge.evaluate(source("rmsnorm_rows"), Fidelity.SCREEN)
        screen_s = time.monotonic() - began
    finally:
        judge.close()
    report.say(
        f"prices: launcher {median(starts):.3f} s, window of one call {1e3 * median(windows):.1f} ms, screen "
        f"{screen_s:.2f} s with {screen.cases_total} calls"
    )
    return {"launcher_s": starts, "window_s": windows, "screen_s": screen_s}


def _clocks(judge: Judge) -> dict[str, Any]:
    readings = list(judge.rig.readings)
    sm, memory = [one.sm_mhz for one in readings], [one.memory_mhz for one in readings]
    reasons = sorted({one.reasons for one in readings})
    return {
        "sm": [min(sm, default=0), max(sm, default=0)],
        "memory": [min(memory, default=0), max(memory, default=0)],
        "reasons": reasons,
        "readings": len(readings),
    }


def _words(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)


def main() -> int:
    """Runs the parts; the exit code."""
    parts: dict[str, Callable[[Report], dict[str, Any]]] = {
        "card": card,
        "warmed": warmed,
        "layernorm": lambda report: target(report, "layernorm", LAYERNORM, source("layernorm_split")),
        "rmsnorm": lambda report: target(report, "rmsnorm", RMSNORM, source("rmsnorm_rows")),
        "exploits": attacked,
        "prices": prices,
        "seeds": seeds,
        "clusters": clusters,
        "aa": same,
        "search": search,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="the file to write")
    parser.add_argument("--only", default=",".join(parts), help="parts, separated by commas")
    parser.add_argument("--warm", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("expected a CUDA card that PyTorch can use, found none: nothing to measure here", file=sys.stderr)
        return 2
    if options.warm:
        warm(*options.warm)
        return 0
    torch.set_grad_enabled(False)
    report = Report(options.json)
    for name in options.only.split(","):
        report.add(name, lambda part=parts[name]: part(report))
    print("\n" + "\n".join(report.lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
