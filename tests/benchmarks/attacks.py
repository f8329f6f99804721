"""Does the judge hold against every attack of tests/attacks, whoever runs it and whatever else runs?

    python -m tests.benchmarks.attacks table.jsonl                        # root and an ordinary user, idle and busy
    python -m tests.benchmarks.attacks table.jsonl --only arming floor    # some cases
    python -m tests.benchmarks.attacks table.jsonl --repeats 3 --timed    # again, for the kinds that would gain time
    python -m tests.benchmarks.attacks table.jsonl --print                # the table in Markdown

A row a case and condition is appended as soon as it is known; rows that are there are not made again, so that the
benchmark goes on where it stopped. As root every condition is tried; as an ordinary user only those of that user.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evokern.records.errors import EvokernError
from evokern.records.outcome import Fidelity
from tests.attacks.cases import CASES, face
from tests.benchmarks.reproduce import loaded

NOBODY = 65534
ROOT = Path(__file__).parents[2]
TIMEOUT_S = 1200
FIDELITIES = {"screen": Fidelity.SCREEN, "confirm": Fidelity.CONFIRM, "check": Fidelity.CHAMPION}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--fidelity", nargs="*", choices=FIDELITIES, default=["check"])
    parser.add_argument("--users", nargs="*", choices=["root", "user"], default=["root", "user"])
    parser.add_argument("--busy", nargs="*", type=int, default=[0, 2])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--timed", action="store_true", help="only the kinds that would gain time")
    parser.add_argument("--print", action="store_true", help="print the table and stop")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(*given.one)))
        return
    if given.print:
        print(markdown(rows(given.table)))
        return
    known = {key(row) for row in rows(given.table)}
    for case in CASES:
        if (given.only and case.name not in given.only) or (given.timed and not case.timed):
            continue
        for fidelity in given.fidelity:
            for user in given.users if os.geteuid() == 0 else ["user"]:
                for busy in given.busy:
                    for repeat in range(given.repeats):
                        condition = {
                            "case": case.name,
                            "fidelity": fidelity,
                            "user": user,
                            "busy": busy,
                            "repeat": repeat,
                        }
                        if key(condition) in known:
                            continue
                        row = condition | measured(case.name, fidelity, user, busy)
                        with given.table.open("a") as table:
                            table.write(json.dumps(row) + "\n")
                        print(json.dumps(row), flush=True)


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a row another one."""
    return tuple(row[name] for name in ("case", "fidelity", "user", "busy", "repeat"))


def rows(table: Path) -> list[dict[str, Any]]:
    """Those that are there."""
    return [json.loads(line) for line in table.read_text().splitlines()] if table.exists() else []


def one(name: str, fidelity: str) -> dict[str, Any]:
    """Faces one case in this process."""
    (case,) = [case for case in CASES if case.name == name]
    try:
        return asdict(face(case, FIDELITIES[fidelity]))
    except EvokernError as error:
        return {"held": False, "fair": False, "attack": f"the judge gave up: {error}", "twin": ""}


def measured(name: str, fidelity: str, user: str, busy: int) -> dict[str, Any]:
    """Faces one case in a process of its own, as `user`, beside `busy` processes that compute."""
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.benchmarks.attacks", "-", "--one", name, fidelity]
    with tempfile.TemporaryDirectory() as home, loaded(busy):
        os.chmod(home, 0o777)
        environment = dict(os.environ)
        if user == "user" and os.geteuid() == 0:
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
            environment |= {"HOME": home, "XDG_CACHE_HOME": home, "XDG_STATE_HOME": home, "TMPDIR": home}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    took = {"took_s": round(time.monotonic() - started)}
    try:
        return json.loads(done.stdout.splitlines()[-1]) | took
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return {
            "held": False,
            "fair": False,
            "attack": f"no answer, exit code {done.returncode}: {last}",
            "twin": "",
        } | took


def markdown(found: list[dict[str, Any]]) -> str:
    """The rows as a table, those that do not hold first."""
    kinds = {case.name: case.kind for case in CASES}
    lines = [
        "| case | kind | at | user | busy | held | twin passed | attack | twin |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(found, key=lambda row: (row["held"] and row["fair"], *map(str, key(row)))):
        cells = (row["case"], kinds.get(row["case"], ""), row["fidelity"], row["user"], row["busy"])
        verdict = ("yes" if row["held"] else "**no**", "yes" if row["fair"] else "**no**")
        words = (str(row["attack"]).replace("|", "/"), str(row["twin"]).replace("|", "/"))
        lines.append("| " + " | ".join(map(str, (*cells, *verdict, *words))) + " |")
    held, fair = (sum(bool(row[name]) for row in found) for name in ("held", "fair"))
    return "\n".join([*lines, "", f"{held} of {len(found)} attacks held nothing; {fair} of {len(found)} twins passed."])


if __name__ == "__main__":
    main()
