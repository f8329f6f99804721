"""Calls through a storm of faults: every call ends, and the ledger equals the server's own count to the token.

    python -m tests.benchmarks.storm                      # 500 calls, 32 at a time
    python -m tests.benchmarks.storm --calls 50 --timeout 5

Of the requests 30 % meet a 429, 10 % a 500, 5 % hang, 5 % are cut off; 10 % of the answers hold no kernel and 5 % are
truncated, and those are paid for like any other. An answer that is sent at the very moment when its caller gives up is
paid for and lost, and nobody can know: a busy machine needs a longer --timeout.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from evokern.models.client import Client
from evokern.models.gateway import Desk
from evokern.models.ledger import Spending, spending
from evokern.plugins import registry
from evokern.plugins.protocols import Archive, Run
from evokern.records.completion import Message, ModelFailed, Prompt
from evokern.taskfile.settings import BudgetSettings, ModelSettings
from tests.server.server import Mischief, ModelServer

STORM = Mischief(rate_limited=0.30, broken=0.10, hung=0.05, dropped=0.05, malformed=0.10, truncated=0.05)


@dataclass(frozen=True)
class Weathered:
    """What came of the calls."""

    ends: Counter[str]
    """How the calls ended: the finishes, and ``failed``."""
    spent: Spending
    logged: Spending
    """From the archive, opened again."""
    served_tokens: int
    answered: int
    fates: Counter[str]
    """What the requests met."""


def weather(archive: Path, calls: int, at_a_time: int, timeout_s: float, seed: int = 0) -> Weathered:
    """Makes `calls` different calls through the storm."""
    open_archive = registry.discover("archives")["sqlite"]
    with ModelServer(lambda messages: "void kernel() {}\n" * 20, STORM, seed=seed) as server:
        store: Archive = open_archive(archive)
        run = Run("{}", "{}", "{}", seed)
        run = replace(run, id=store.remember(run))
        model = ModelSettings.model_validate(server.entry(timeout_s=timeout_s))
        client = Client()
        desk = Desk([model], BudgetSettings(), client, store, run)

        def ask(number: int) -> str:
            prompt = Prompt("mutate", (Message("user", f"kernel {number}, faster"),), "mutate")
            try:
                return desk.at(1, number, model.name).ask(prompt).finish.value
            except ModelFailed:
                return "failed"

        with ThreadPoolExecutor(at_a_time) as pool:
            ends = Counter(pool.map(ask, range(calls)))
        desk.close()
        store.close()
        with open_archive(archive, readonly=True) as again:
            logged = spending(one.completion for one in again.exchanges(run.id))
        fates = Counter(request.fate for request in server.requests)
        return Weathered(
            ends, desk.spent, logged, server.prompt_tokens + server.completion_tokens, server.answered, fates
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--at-a-time", type=int, default=32)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds until a request is given up")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        seen = weather(Path(folder, "a.db"), options.calls, options.at_a_time, options.timeout, options.seed)
    print(f"{options.calls} calls, {sum(seen.fates.values())} requests in {time.monotonic() - began:.1f} s")
    print("requests met:", ", ".join(f"{fate} {count}" for fate, count in seen.fates.most_common()))
    print("calls ended:", ", ".join(f"{end} {count}" for end, count in seen.ends.most_common()))
    print(f"tokens: server {seen.served_tokens}, ledger {seen.spent.tokens}, archive {seen.logged.tokens}")
    assert seen.served_tokens == seen.spent.tokens == seen.logged.tokens
    assert seen.spent == seen.logged
    assert sum(seen.ends.values()) == seen.spent.calls == options.calls
    assert seen.answered == options.calls - seen.ends["failed"]


if __name__ == "__main__":
    main()
