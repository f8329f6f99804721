"""Before a kernel may lead: other numbers of threads, and builds that stop at undefined behaviour and at races.

The judge measures with one number of threads. A kernel that counts on it, or whose threads race, can be right there and
wrong for whoever uses it. So it meets the check cases again alone, and with more threads than there are cores, which
also makes races more likely to show. The judge's buffers end at guard pages; in the strict build AddressSanitizer
guards memory of the kernel's own, where it is installed. A champion meets ThreadSanitizer, too, which is told in which
order OpenMP's library lets threads do things (native/order.h), or it would accuse every kernel; kernels that it would
not understand all the same (locks, tasks, fences) don't meet it. Sanitizers need address space without end: there, the
judge watches how much memory the process takes.
"""

from __future__ import annotations

from dataclasses import replace

from evokern.evaluation.bench import Bench
from evokern.evaluation.numerics.correctness import Tally
from evokern.evaluation.rivals import CANDIDATE
from evokern.evaluation.workers.worker import Fallen
from evokern.plugins.protocols import Strictness
from evokern.records.kernel import Kernel
from evokern.records.outcome import Fidelity

TIMEOUT_NS = 20_000_000_000
"""Of several calls. Threads that are more than the cores wait for each other at every barrier: an honest kernel that
takes 0.1 s alone took 2 s beside a busy process."""


def strictness(fidelity: Fidelity) -> tuple[Strictness, ...]:
    """The strict builds that a kernel meets; races are looked for in champions only, since that takes longest."""
    return (Strictness.BEHAVIOUR, Strictness.RACES) if fidelity is Fidelity.CHAMPION else (Strictness.BEHAVIOUR,)


def demand(bench: Bench, kernel: Kernel, fidelity: Fidelity) -> None:
    """Puts `kernel` through the check cases under each condition that its rig knows.

    Raises:
        Fallen: it was wrong or crashed; the evidence names the condition.
    """
    cases = [(shape, bench.bank.checks(shape)) for shape in bench.checked]
    for condition, start in bench.rig.conditions(kernel, strictness(fidelity)):
        try:
            with start(CANDIDATE) as worker:
                bench.check(worker, cases, Tally(), timeout_ns=TIMEOUT_NS)
        except Fallen as fall:
            reason = f"{condition}: {fall.evidence.reason}"
            raise Fallen(CANDIDATE, fall.status, replace(fall.evidence, reason=reason)) from fall
