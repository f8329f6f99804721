"""What `kill -9` costs a search with models: it is killed at random instants and resumed each time, to its end.

    python -m tests.benchmarks.kill_models               # 50 kills
    python -m tests.benchmarks.kill_models --kills 5 --life 0.5

A server on 127.0.0.1 answers; timings are made up. It must never see a request again whose answer was in the archive,
and every answer in the archive must end in the child that it was for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evokern.archive import Archive
from evokern.loop import evolve
from evokern.plugins import registry
from evokern.records.completion import Exchange, Finish
from evokern.search.search import begin, resume
from evokern.taskfile.settings import load
from tests.benchmarks.kill import EXAMPLE
from tests.benchmarks.pipeline import answers, with_ask
from tests.search.test_resume_kill import MadeUp
from tests.server.server import ModelServer

OFFSPRING = 6


@dataclass(frozen=True)
class Survived:
    """What came of a search that was killed."""

    kills: int
    requests: int
    paid: int
    """Answers in the archive at the end."""
    sent: int
    """Answers that the server sent out: those that a kill met on their way are paid for and lost."""


def survive(folder: Path, kills: int, life_s: float, generations: int, seed: int = 0) -> Survived:
    """Kills and resumes a search until it ends by itself; checks what it must."""
    chance, archive = random.Random(seed), folder / "a.db"
    met = 0
    with ModelServer(answers(load(EXAMPLE).seeds[0].source), latency_s=0.05) as server:
        answered: list[tuple[int, set[str]]] = []
        while True:
            began = len(server.requests)
            command = [sys.executable, "-m", "tests.benchmarks.kill_models", "--child", str(archive), server.url]
            with subprocess.Popen([*command, "--generations", str(generations)], cwd=Path(__file__).parents[2]) as life:
                while met == kills or len(server.requests) == began:  # it ends, or its first call comes
                    with suppress(subprocess.TimeoutExpired):
                        life.wait(0.01)
                        break
                if met < kills:
                    try:
                        life.wait(chance.uniform(0.0, life_s))
                    except subprocess.TimeoutExpired:
                        life.kill()
            assert life.returncode in (0, -9), f"a life ended with {life.returncode}"
            if life.returncode == 0:
                break
            met += 1
            answered.append((len(server.requests), {content(one) for one in paid(archive)}))
        for later, contents in answered:
            again = [request for request in server.requests[later:] if request.content in contents]
            assert not again, f"{len(again)} requests were sent again though their answers had arrived"
        log = paid(archive)
        with Archive(archive) as opened:
            used = {id for one in opened.candidates() for id in one.child.completions}
        lost = [one for one in log if one.completion.id not in used]
        assert not lost, f"{len(lost)} paid answers came to nothing"
        return Survived(met, len(server.requests), len(log), server.answered)


def paid(archive: Path) -> list[Exchange]:
    """The answers in the archive."""
    if not archive.exists():
        return []
    with Archive(archive) as opened:
        log = opened.exchanges() if opened.runs() else ()
    return [one for one in log if one.completion.finish is not Finish.FAILED]


def content(exchange: Exchange) -> str:
    """What the server calls the request."""
    turns = [{"role": message.role, "content": message.text} for message in exchange.prompt.messages]
    return hashlib.sha256(json.dumps(["test", turns]).encode()).hexdigest()


def live(archive: Path, url: str, generations: int) -> None:
    """One life: begins the search or goes on with it."""
    registry.chosen = with_ask()
    changes = {
        "models": [{"name": "openai/test", "api_base": url}],
        "search.operators": ["ask"],
        "search.verifiers": ["contract", "duplicate"],
        "search.offspring": OFFSPRING,
        "search.generations": generations,
        "search.in_flight": 3,
    }
    started = archive.exists() and bool(Archive(archive).runs())
    search = resume(archive, evaluator=MadeUp()) if started else begin(load(EXAMPLE, changes), archive, MadeUp())
    with search:
        for _ in evolve(search):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--life", type=float, default=0.5, help="a life ends at most so long after its first call, s")
    parser.add_argument("--generations", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, metavar=("ARCHIVE", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        live(Path(options.child[0]), options.child[1], options.generations)
        return
    with tempfile.TemporaryDirectory() as folder:
        seen = survive(Path(folder), options.kills, options.life, options.generations, options.seed)
    print(f"{seen.kills} kills: no request sent again whose answer had arrived, no answer of {seen.paid} lost")
    print(f"{seen.requests} requests; {seen.sent - seen.paid} answers were on their way when a kill met them")


if __name__ == "__main__":
    main()
