"""A kernel of ours, whose noise is the machine's: a run's noise floor is what two processes of it score.

It comes with the judge, so that no candidate has a say in what counts as noise. It reads every input and writes every
output on all threads, as often as takes about as long as the calls that the floor is for.
"""

from __future__ import annotations

from math import log2

from evokern.records.kernel import Kernel
from evokern.records.task import Shape, Task

LEAST_WORK, MOST_WORK = 2.0**-10, 2.0**20
LEAST_ONCE_NS = 1000.0
"""What a pass takes at least, barrier and all: a shorter reading is noise, and would ask for far too much work."""

_BODY = """
static void evokern_pass(int64_t part, int64_t parts, const void* const* inputs, void* const* outputs) {{
    static const int64_t read[] = {{{read}}}, written[] = {{{written}}};
    uint64_t sum = 0;
    for (int i = 0; i < {inputs}; ++i) {{
        const uint64_t* words = static_cast<const uint64_t*>(inputs[i]);
        for (int64_t j = read[i] * part / parts; j < read[i] * (part + 1) / parts; ++j) sum += words[j];
    }}
    for (int i = 0; i < {outputs}; ++i) {{
        uint64_t* words = static_cast<uint64_t*>(outputs[i]);
        for (int64_t j = written[i] * part / parts; j < written[i] * (part + 1) / parts; ++j) words[j] = sum + j;
    }}
}}
{signature} {{
    const void* inputs[] = {{{sources}nullptr}};
    void* outputs[] = {{{targets}nullptr}};
    #pragma omp parallel
    {{
        const int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
        for (int pass = 0; pass < {passes}; ++pass) {{
            evokern_pass(part, parts, inputs, outputs);
            #pragma omp barrier
        }}
    }}
}}
"""


def kernel(task: Task, signature: str, shape: Shape, work: float) -> Kernel:
    """The C++ kernel at `shape`.

    Args:
        signature: of the task's kernels (`Backend.signature`).
        work: how often it goes through its tensors; below 1 only through such a part of each.
    """
    part = min(1.0, work)
    read = [int(tensor.bytes(shape) * part) // 8 for tensor in task.inputs]
    written = [int(tensor.bytes(shape) * part) // 8 for tensor in task.returns]
    return Kernel(
        _BODY.format(
            read=", ".join(map(str, read)) or "0",
            written=", ".join(map(str, written)),
            inputs=len(read),
            outputs=len(written),
            signature=signature,
            sources="".join(f"{tensor.name}, " for tensor in task.inputs),
            targets="".join(f"{tensor.name}, " for tensor in task.returns),
            passes=max(1, round(work)),
        )
    )


def work_for(wanted_ns: float, once_ns: float) -> float:
    """How often a kernel of ours that takes `once_ns` goes through its tensors to take about `wanted_ns`.

    It is a power of two, so that the builds of many judges are the same few.
    """
    return float(min(MOST_WORK, max(LEAST_WORK, 2.0 ** round(log2(wanted_ns / max(LEAST_ONCE_NS, once_ns))))))
