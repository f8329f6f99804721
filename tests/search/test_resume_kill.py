"""A search killed with SIGKILL goes on as if nothing had happened; tests/benchmarks/kill.py shows it with the judge."""

from __future__ import annotations

import hashlib
import os
import random
import select
import signal
from itertools import islice
from pathlib import Path

import pytest

from evokern.archive import Archive
from evokern.loop import evolve
from evokern.records.kernel import Kernel
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Speedup, Status
from evokern.search.search import begin, resume
from evokern.taskfile.settings import Settings, load
from tests.benchmarks.kill import EXAMPLE, audit, proposals, replayed

KILLS = 5
GENERATIONS = 5


class MadeUp:
    """A judge that makes up its timings: they follow from the kernel. Screening flatters, so that most bests are not
    confirmed: what is decided between two commits then matters most. Every fifth child fails, the seed never does.
    """

    seed = load(EXAMPLE).seeds[0]

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        chance = random.Random(hashlib.sha256(f"{kernel.hash}{fidelity}".encode()).digest())
        ratio = chance.lognormvariate(0.0 if fidelity else 1.5, 0.3)
        fails = kernel != self.seed and fidelity is Fidelity.SCREEN and chance.random() < 0.2
        status = Status.WRONG if fails else Status.PASSED
        speedup = Speedup("eager", ratio, ratio, ratio, 1e6)
        timed = (Measurement({"M": 1}, Cache.COLD, 1, 1e6 / ratio, (speedup,), 0.01),)
        return Evaluation(status, fidelity, rms_error=chance.random(), measurements=timed)


@pytest.fixture
def settings() -> Settings:
    return load(
        EXAMPLE,
        {
            "search.generations": GENERATIONS,
            "search.offspring": 6,
            "search.population": 4,
            "search.verifiers": ["contract", "duplicate"],
        },
    )


def live(settings: Settings, path: Path, commits: int, delay_s: float | None) -> tuple[bool, set[int]]:
    """Forks a search, or its continuation, and kills it `delay_s` after it told of so many commits (None: never).

    Returns:
        Whether it came to its end, and the ids of the candidates that it told were committed.
    """
    reading, writing = os.pipe()
    life = os.fork()
    if life == 0:
        ended = 1
        try:
            started = path.exists() and bool(Archive(path).runs())
            search = resume(path, evaluator=MadeUp()) if started else begin(settings, path, MadeUp())
            with search:
                for record in evolve(search):
                    if isinstance(record, Candidate):
                        os.write(writing, record.id.to_bytes(4, "little"))
            ended = 0
        finally:
            os._exit(ended)
    os.close(writing)
    told = b"".join(os.read(reading, 4) for _ in range(commits))
    if delay_s is not None:
        select.select([], [], [], delay_s)
        os.kill(life, signal.SIGKILL)
    while answer := os.read(reading, 65536):
        told += answer
    _, status = os.waitpid(life, 0)
    os.close(reading)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status), {int.from_bytes(told[at : at + 4], "little") for at in range(0, len(told), 4)}


@pytest.mark.parametrize("seed", range(2))
def test_kill_9_and_resume(settings, tmp_path, seed):
    chance = random.Random(seed)
    path = tmp_path / "killed.db"
    candidates: tuple[Candidate, ...] = ()
    for _ in range(KILLS):
        _, told = live(settings, path, chance.randint(0, 9), chance.uniform(0, 0.03))
        candidates = audit(path, candidates)
        assert told <= {one.id for one in candidates}
    ended, _ = live(settings, path, 0, None)
    assert ended
    candidates = audit(path, candidates)
    with Archive(path) as archive:
        (run,) = archive.runs()
        generations = archive.history(run.id).generations
    assert [generation.number for generation in generations] == list(range(GENERATIONS + 1))
    assert replayed(settings, candidates, tmp_path / "uninterrupted.db") == proposals(candidates)


@pytest.mark.parametrize("records", range(1, 40, 6))
def test_a_search_that_ends_after_any_record_goes_on_as_if_it_had_not(settings, tmp_path, records):
    """What kill -9 between two commits amounts to, at chosen instants."""
    path = tmp_path / "stopped.db"
    with begin(settings, path, MadeUp()) as search:
        for _ in islice(evolve(search), records):
            pass
    before = audit(path, ())
    with resume(path, evaluator=MadeUp()) as search:
        for _ in evolve(search):
            pass
    candidates = audit(path, before)
    assert replayed(settings, candidates, tmp_path / "uninterrupted.db") == proposals(candidates)
