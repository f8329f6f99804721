"""Which problems of a public benchmark become tasks? A row a problem: what was found, or why not.

    python -m tests.benchmarks.intake CHECKOUT intake.jsonl              # KernelBench, levels 1 to 3
    python -m tests.benchmarks.intake CHECKOUT intake.jsonl --levels 1   # one level
    python -m tests.benchmarks.intake CHECKOUT intake.jsonl --print      # the table in Markdown

CHECKOUT is a folder with ``KernelBench/level1/*.py`` and so on. Rows that are there are not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from evokern.frontends.reading import trace
from evokern.frontends.target import parse
from evokern.records.errors import EvokernError


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--levels", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--print", action="store_true")
    given = parser.parse_args()
    known = rows(given.table)
    if given.print:
        print(markdown(known))
        return
    names = {row["problem"] for row in known}
    for level in given.levels:
        files = sorted((given.checkout / "KernelBench" / f"level{level}").glob("*.py"), key=number)
        for file in files:
            problem = f"level{level}/{file.name}"
            if problem in names:
                continue
            row = {"problem": problem, **taken_in(file)}
            with given.table.open("a") as table:
                table.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def number(file: Path) -> tuple[int, str]:
    """Problems begin with their number."""
    first = file.name.split("_")[0]
    return (int(first) if first.isdigit() else 10**6, file.name)


def taken_in(file: Path) -> dict[str, Any]:
    """What one problem becomes."""
    started = time.monotonic()
    try:
        found = trace(parse(f"{file}:Model"), {})
    except EvokernError as error:
        return {"refused": str(error), "took_s": round(time.monotonic() - started, 1)}
    return {
        "free": {one.name: one.size for one in found.dimensions},
        "fixed": len(found.fixed),
        "check": found.check,
        "time": found.time[0],
        "scaled": found.time[0] != found.asked,
        "took_s": round(time.monotonic() - started, 1),
    }


def rows(table: Path) -> list[dict[str, Any]]:
    """Those that are there."""
    return [json.loads(line) for line in table.read_text().splitlines()] if table.exists() else []


def markdown(found: list[dict[str, Any]]) -> str:
    """The rows as a table, and how many became tasks."""
    lines = ["| problem | free sizes | fixed | timed | s |", "|---|---|---|---|---|"]
    for row in found:
        if "refused" in row:
            cells = (row["problem"], "refused: " + row["refused"].replace("|", "/"), "", "", row["took_s"])
        else:
            free = " ".join(f"{name}={size}" for name, size in row["free"].items())
            timed = "scaled down" if row["scaled"] else "as asked"
            cells = (row["problem"], free, row["fixed"], timed, row["took_s"])
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    made = sum("refused" not in row for row in found)
    return "\n".join([*lines, "", f"{made} of {len(found)} problems became tasks."])


if __name__ == "__main__":
    main()
