"""What may not lead although the judge's own number of threads makes it right, and the honest twins that may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from evokern.backends import cpp
from evokern.backends.cpp import sanitized
from evokern.evaluation import steadiness
from evokern.evaluation.client import Judge
from evokern.evaluation.judge import Judge as Inner
from evokern.evaluation.messages import Open
from evokern.evaluation.workers import worker
from evokern.plugins.protocols import Strictness
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evaluation, Evidence, Fidelity, Status
from evokern.taskfile.settings import EvaluationSettings, load
from evokern.toolchain import compiler
from tests.thorough import first

SETTINGS = load(Path(__file__).parents[1] / "corpus" / "hpc_axpy" / "task.yaml")
QUICK = EvaluationSettings(threads=2, screen_ms=2, confirm_ms=4, compile_cap_s=0.2)
SIGNATURE = 'extern "C" void kernel(float a, const float* x, const float* y, float* out, int64_t N)'
HALVES = f"""
#include <omp.h>
{SIGNATURE} {{
#pragma omp parallel
    {{
        const int64_t half = omp_get_thread_num(), size = (N + DIVISOR - 1) / (DIVISOR);
        for (int64_t n = half * size; n < (half + 1) * size && n < N; ++n) out[n] = a * x[n] + y[n];
    }}
}}
"""
OVERFLOWS = f"""
{SIGNATURE} {{
    volatile int next = 2147483600;
    for (int64_t n = 0; n < N; ++n) {{
        next = STEP;
        out[n] = a * x[n] + y[n];
    }}
}}
"""
BEHIND_A_VECTOR = f"""
{SIGNATURE} {{
    std::vector<float> scaled;
    scaled.reserve(N + 1);
    scaled.resize(N);
    for (int64_t n = 0; STEP; ++n) scaled[n] = n < N ? a * x[n] : 0.0f;
    for (int64_t n = 0; n < N; ++n) out[n] = scaled[n] + y[n];
}}
"""
OWN_MEMORY = f"""
{SIGNATURE} {{
    const int64_t room = N / 4 * 4 + 4;
    float* scaled = TAKE;
#pragma omp parallel for
    for (int64_t n = 0; n < room + WRITTEN_BEHIND; ++n)
        scaled[n] = n < N ? a * x[n] : 0.0f;
    for (int64_t n = 0; n < N; ++n) out[n] = scaled[n] + y[n];
    volatile float last = scaled[READ];
    GIVE;
    last = READ_LATER;
}}
"""
"""What the C library gives has room for two more elements: to write behind it does no harm, nor does reading."""
HONEST = {
    "TAKE": "new float[room]",
    "WRITTEN_BEHIND": "0",
    "READ_LATER": "0.0f",
    "READ": "room - 1",
    "GIVE": "delete[] scaled",
}
MALLOC = {"TAKE": "static_cast<float*>(malloc(room * 4))", "GIVE": "free(scaled)"}
ALIGNED = {"TAKE": "static_cast<float*>(std::aligned_alloc(64, (room + 15) / 16 * 64))", "GIVE": "free(scaled)"}
VECTOR = {
    "TAKE": "nullptr; std::vector<float> owner; owner.reserve(room + 1); owner.resize(room); scaled = owner.data()",
    "GIVE": "owner.clear()",
}
OWN_BUGS = {
    "behind new": ({"WRITTEN_BEHIND": "1"}, "heap-buffer-overflow", 7),
    "behind malloc": ({**MALLOC, "WRITTEN_BEHIND": "1"}, "heap-buffer-overflow", 7),
    "read behind": ({"READ": "room"}, "heap-buffer-overflow", 9),
    "read before": ({"READ": "-1"}, "heap-buffer-overflow", 9),
    "after free": ({"READ_LATER": "scaled[0]"}, "heap-use-after-free", 11),
    "behind a vector by pointer": ({**VECTOR, "WRITTEN_BEHIND": "1"}, "container-overflow", 7),
    "behind an array by pointer": (
        {
            "TAKE": "nullptr; float here[64]; float* volatile place = here; scaled = new float[room]",
            "READ_LATER": "place[64]",
        },
        "stack-buffer-overflow",
        11,
    ),
}
GRABS = f"""
#include <sys/mman.h>
#include <unistd.h>
__attribute__((no_sanitize("address"))) bool grabs() {{
HOW
}}
{SIGNATURE} {{
    for (int64_t n = 0; n < N; ++n) out[n] = a * x[n] + y[n];
#ifdef __SANITIZE_ADDRESS__
    if (grabs()) out[0] += 1;
#endif
}}
"""
TWICE = f"""
{SIGNATURE} {{
    float total = 0;
#pragma omp parallel
    {{
#pragma omp for schedule(dynamic, 64)
        for (int64_t n = 0; n < N; ++n) out[n] = a * x[n];
#pragma omp for reduction(+ : total)
        for (int64_t n = 0; n < N; ++n) total += x[n];
#pragma omp critical
        total += 1;
#pragma omp barrier
        ORDER
        volatile float seen = total;
    }}
#pragma omp parallel for
    for (int64_t n = 0; n < N; ++n) out[N - 1 - n] += y[N - 1 - n];
}}
"""
LOCKED = "#pragma omp critical\n    total += 1;\n#pragma omp barrier\n"
RACES = {"without": "total += 1;\n#pragma omp barrier\n", "beyond": f"{LOCKED}total += 1;"}
needs_sanitizer = pytest.mark.skipif(
    not sanitized(compiler.ADDRESSES), reason="no AddressSanitizer here; `evokern doctor` tells"
)
needs_threads = pytest.mark.skipif(not sanitized(compiler.THREADS), reason="no ThreadSanitizer here")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(SETTINGS.task, QUICK, SETTINGS.seeds[0]) as opened:
        yield opened


def judged(judge: Judge, source: str, **words: str) -> tuple[Evaluation, Evaluation]:
    """Screened, and confirmed."""
    for word, text in words.items():
        source = source.replace(word, text)
    kernel = Kernel(source)
    return judge.evaluate(kernel, Fidelity.SCREEN), judge.evaluate(kernel, Fidelity.CONFIRM)


def confirmed_here(source: str) -> Evaluation:
    """By a judge in this process."""
    with closing(Inner(Open(SETTINGS.task, QUICK, "cpp", SETTINGS.seeds[0]))) as judge:
        return judge.evaluate(Kernel(source), Fidelity.CONFIRM)


def test_a_kernel_for_two_threads_only_can_not_lead(judge: Judge):
    screened, confirmed = judged(judge, HALVES, DIVISOR="2")
    assert screened.status is Status.PASSED
    assert confirmed.status is Status.WRONG
    assert confirmed.evidence[-1].reason.startswith("with 1 thread: ")


def test_one_that_asks_for_their_number_may(judge: Judge):
    assert [one.status for one in judged(judge, HALVES, DIVISOR="omp_get_num_threads()")] == [Status.PASSED] * 2


@pytest.mark.parametrize(
    ("source", "wrong", "right"),
    [(OVERFLOWS, "next + 1", "int(unsigned(next) + 1u)"), (BEHIND_A_VECTOR, "n <= N", "n < N")],
    ids=["overflow", "behind a vector"],
)
def test_undefined_behaviour_that_did_no_harm_yet_can_not_lead(judge: Judge, source: str, wrong: str, right: str):
    screened, confirmed = judged(judge, source, STEP=wrong)
    assert screened.status is Status.PASSED
    assert confirmed.status is Status.CRASHED
    assert confirmed.evidence[-1].reason.startswith("in a build that stops at undefined behaviour: killed by SIG")
    assert [one.status for one in judged(judge, source, STEP=right)] == [Status.PASSED] * 2


@needs_sanitizer
@pytest.mark.parametrize(("bug", "found", "line"), OWN_BUGS.values(), ids=list(OWN_BUGS))
def test_what_leaves_its_own_memory_can_not_lead(judge: Judge, bug: dict[str, str], found: str, line: int):
    screened, confirmed = judged(judge, OWN_MEMORY, **HONEST | bug)
    assert screened.status is Status.PASSED
    assert confirmed.status is Status.CRASHED
    evidence = confirmed.evidence[-1]
    assert evidence.reason.startswith("in a build that stops at undefined behaviour: ")
    assert re.search(rf"SUMMARY: AddressSanitizer: {found} (\./)?kernel\.cpp:{line} in kernel", evidence.detail), (
        evidence.detail
    )


@pytest.mark.parametrize("twin", [{}, MALLOC, ALIGNED, VECTOR], ids=["new", "malloc", "aligned", "vector"])
def test_what_stays_in_it_may(judge: Judge, twin: dict[str, str]):
    assert [one.status for one in judged(judge, OWN_MEMORY, **HONEST | twin)] == [Status.PASSED] * 2


@needs_sanitizer
@pytest.mark.parametrize(
    "how",
    first(
        [
            "for (int i = 0; i < 64; ++i) memset(new char[1 << 26], 1, 1 << 26); return true;",
            "for (auto* p = (volatile char*)(9L << 40); p < (char*)(10L << 40); p += 2 << 20) *p; return true;",
        ]
    ),
    ids=["heap", "page tables"],
)
def test_who_grabs_memory_where_addresses_have_no_limit_is_stopped(monkeypatch: pytest.MonkeyPatch, how: str):
    monkeypatch.setattr(worker, "ROOM_BYTES", 1 << 30)
    fallen = confirmed_here(GRABS.replace("HOW", how)).evidence[-1]
    assert "MiB of memory; killed" in fallen.reason, fallen


@needs_sanitizer
def test_memory_that_is_not_counted_can_not_be_had_there(judge: Judge):
    """Shared memory of its own, or of a file that took the number of one of the judge's."""
    how = """
        void* own = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return own != MAP_FAILED || close(5) == 0 || close(6) == 0;
    """
    assert [one.status for one in judged(judge, GRABS, HOW=how)] == [Status.PASSED] * 2


@pytest.mark.thorough
def test_where_there_is_no_sanitizer_the_build_is_strict_without(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cpp, "sanitized", lambda flag: False)
    assert confirmed_here(OVERFLOWS.replace("STEP", "int(unsigned(next) + 1u)")).status is Status.PASSED
    fallen = confirmed_here(OVERFLOWS.replace("STEP", "next + 1")).evidence[-1]
    assert fallen.reason.endswith("killed by SIGILL before it was done")


def test_a_sanitizer_that_the_compiler_does_not_know_does_not_work():
    assert not sanitized("-fsanitize=nonsense")


def test_each_condition_gets_the_patience_for_threads_that_are_more_than_the_cores():
    given = []
    condition = ("alone", lambda _: nullcontext())
    rig = SimpleNamespace(conditions=lambda *_: [condition, condition])
    bench = SimpleNamespace(rig=rig, checked=(), check=lambda *_, timeout_ns: given.append(timeout_ns))
    steadiness.demand(bench, SETTINGS.seeds[0], Fidelity.CONFIRM)
    assert given == [steadiness.TIMEOUT_NS] * 2


@pytest.mark.parametrize("kernel", SETTINGS.seeds, ids=lambda kernel: kernel.language)
def test_the_seed_may(judge: Judge, kernel: Kernel):
    assert judge.evaluate(kernel, Fidelity.CHAMPION).status is Status.PASSED


@needs_threads
@pytest.mark.parametrize("order", RACES.values(), ids=list(RACES))
def test_a_race_that_did_no_harm_yet_is_no_champion(judge: Judge, order: str):
    kernel = Kernel(TWICE.replace("ORDER", order))
    assert judge.evaluate(kernel, Fidelity.CONFIRM).status is Status.PASSED
    raced = judge.evaluate(kernel, Fidelity.CHAMPION)
    assert raced.status is Status.CRASHED
    assert raced.evidence[-1].reason.startswith("in a build that stops at races: ")
    assert re.search(r"SUMMARY: ThreadSanitizer: data race (\./)?kernel\.cpp:\d+ in kernel", raced.evidence[-1].detail)


@needs_threads
def test_threads_that_openmp_keeps_apart_are_champions(judge: Judge):
    assert judge.evaluate(Kernel(TWICE.replace("ORDER", LOCKED)), Fidelity.CHAMPION).status is Status.PASSED


@needs_threads
@pytest.mark.parametrize(
    "text", ["omp_lock_t lock; omp_init_lock(&lock);", "std::atomic_thread_fence(std::memory_order_acq_rel);"]
)
def test_what_the_sanitizer_would_not_understand_does_not_meet_it(text: str):
    source = "#include <atomic>\n" + TWICE.replace("float total = 0;", f"float total = 0; {text}").replace("ORDER", "")
    built = cpp.Cpp().compile_strictly(Kernel(source), SETTINGS.task, Strictness.RACES)
    assert isinstance(built, Evidence)
    assert "does not understand" in built.reason
