"""A small task that suites use where an author names none: ``y = x * factor``, and a C++ kernel for it."""

from __future__ import annotations

from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Candidate, Evaluation, Fidelity, Status
from evokern.records.task import DType, Scalar, Task, Tensor

TASK = Task(
    name="scale",
    category="elementwise",
    reference_file="scale.py",
    reference_source="def reference(x, factor):\n    return x * factor\n",
    arguments=(Tensor("x", DType.FLOAT32, ("M", "N")), Scalar("factor", DType.FLOAT32, 1.5)),
    returns=(Tensor("y", DType.FLOAT32, ("M", "N")),),
    check=({"M": 3, "N": 5},),
    time=({"M": 64, "N": 1024},),
)
"""``x: (M, N) float32``, ``factor: float32`` → ``y: (M, N) float32``."""
SEED = Kernel(
    """extern "C" void kernel(const float* x, float factor, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = x[m * N + n] * factor;
        }
    }
}
"""
)
"""A kernel for `TASK`."""
NO_KERNELS = ("", "}", "\0", "nonsense (", "int kernel;", "def kernel(): pass", "/* evokern: plan", "é" * 1000)
"""Source texts that are no kernel in any language."""


def seed_child(kernel: Kernel) -> Child:
    """`kernel` as a user brings it."""
    return Child(kernel, "seed", Recipe(kernel))


def candidate(kernel: Kernel, number: int = 1, status: Status = Status.PASSED) -> Candidate:
    """`kernel` as a seed that was judged, with the id `number`."""
    judged = (Evaluation(status, Fidelity.SCREEN),)
    return Candidate(1, 0, number - 1, 0, seed_child(kernel), evaluations=judged, id=number)
