"""Records as a search would leave them, for tests of what reads records."""

from __future__ import annotations

from evokern.records.kernel import Child, Kernel, Parent, Recipe, Step
from evokern.records.outcome import (
    Cache,
    Candidate,
    Evaluation,
    Evidence,
    Fidelity,
    Measurement,
    Speedup,
    Status,
    Verdict,
)
from evokern.records.task import DType, Task, Tensor

SEED = Kernel('extern "C" void kernel(const float* x, float* y, int64_t N) {\n    y[0] = x[0];\n}\n')
UNROLL = Step("unroll", "loop n", (("factor", "4"),))
PARALLEL = Step("parallelise", "loop m", (("schedule", "static"),))


def task() -> Task:
    """y = copy of x."""
    x, y = Tensor("x", DType.FLOAT32, ("N",)), Tensor("y", DType.FLOAT32, ("N",))
    return Task(
        name="copy",
        category="memory",
        reference_file="copy.py",
        reference_source="def reference(x):\n    return x.clone()\n",
        arguments=(x,),
        returns=(y,),
        check=({"N": 3},),
        time=({"N": 4096},),
    )


def measured(speedup: float, rms_error: float = 1.0, fidelity: Fidelity = Fidelity.CONFIRM) -> Evaluation:
    """A pass at one shape, `speedup` over eager, a little less over compile, with a tight interval."""
    speedups = tuple(
        Speedup(name, value, value * 0.98, value * 1.02, 2e6, candidate_samples_ns=(1e6,), baseline_samples_ns=(2e6,))
        for name, value in (("eager", speedup), ("compile", speedup / 1.25))
    )
    timing = Measurement({"N": 4096}, Cache.COLD, 2, 2e6 / speedup, speedups, noise_floor=0.01)
    return Evaluation(Status.PASSED, fidelity, 9, 9, 2 * rms_error, rms_error, measurements=(timing,), judge_s=0.5)


def passed(
    id: int,
    speedup: float,
    steps: tuple[Step, ...] = (),
    parents: tuple[Parent, ...] = (),
    rms_error: float = 1.0,
    generation: int = 1,
    run: int = 1,
) -> Candidate:
    """A kernel that passed; its source tells its steps, so that no two recipes share one."""
    kernel = Kernel(SEED.source + "".join(f"int step_{number}; // {step}\n" for number, step in enumerate(steps)))
    child = Child(kernel, "mutate" if parents else "seed", Recipe(SEED, steps), parents)
    return Candidate(run, generation, id, 0, child, (Verdict("compile", 0.2),), (measured(speedup, rms_error),), id=id)


def wrong(id: int, parents: tuple[Parent, ...] = (), generation: int = 1, run: int = 1) -> Candidate:
    """A kernel that computed something else."""
    evidence = Evidence(
        "check", "output y differs", shape={"N": 3}, seed=7, output="y", index=(2,), expected=1.5, got=0.0
    )
    kernel = Kernel(SEED.source + f"int wrong_{id};\n")
    child = Child(kernel, "mutate", Recipe(SEED, (UNROLL,)), parents)
    failure = Evaluation(Status.WRONG, Fidelity.SCREEN, 4, 9, evidence=(evidence,))
    return Candidate(run, generation, id, 0, child, (Verdict("compile", 0.2),), (failure,), id=id)


def refused(id: int, generation: int = 1, run: int = 1) -> Candidate:
    """A kernel that the compiler refused."""
    evidence = Evidence("compile", "expected ';' before '}'", "kernel.cpp:2: error: expected ';'\n    2 | }")
    child = Child(Kernel(SEED.source + f"int refused_{id}\n"), "mutate", Recipe(SEED))
    verdict = Verdict("compile", 0.3, Status.COMPILE_FAILED, evidence)
    return Candidate(run, generation, id, 0, child, (verdict,), id=id)
