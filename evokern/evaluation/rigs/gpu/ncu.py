"""What a card's own counters say of a kernel, through NVIDIA Nsight Compute (``ncu``) where it may read them.

Flags and form are those of the Nsight Compute CLI manual (command line options; console output: CSV, raw page), metrics
and stall reasons those of its profiling guide (metrics reference; warp scheduler states). Whether counters can be read
is found out by trying: drivers keep them for administrators unless told otherwise.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 120
MOST_FACTS = 6
_FORBIDDEN = "ERR_NVGPUCTRPERM"
_PLACES = ("/usr/local/cuda/bin", "/opt/nvidia/nsight-compute/bin")
_PEAK = "avg.pct_of_peak_sustained"
_TIME = "gpu__time_duration.sum"
_MEMORY, _ARITHMETIC = f"dram__throughput.{_PEAK}_elapsed", f"sm__throughput.{_PEAK}_elapsed"
_OCCUPANCY = f"sm__warps_active.{_PEAK}_active"
_HITS = {"L1": "l1tex__t_sector_hit_rate.pct", "L2": "lts__t_sector_hit_rate.pct"}
_MOVED = {"read": "dram__bytes_read.sum", "written": "dram__bytes_write.sum"}
_PIPES = {
    f"sm__inst_executed_pipe_{pipe}.{_PEAK}_active": name
    for pipe, name in (
        ("tensor", "tensor cores"), ("fma", "float32"), ("alu", "integers and logic"), ("fp64", "float64"),
        ("fp16", "float16"), ("xu", "special functions and conversions"), ("lsu", "loads and stores"),
    )
}  # fmt: skip
_STALLS = {
    f"smsp__average_warps_issue_stalled_{stall}_per_issue_active.ratio": name
    for stall, name in (
        ("long_scoreboard", "data from global or local memory"),
        ("short_scoreboard", "data from shared memory or special functions"),
        ("lg_throttle", "room in the queue to global memory"),
        ("mio_throttle", "room in the queue to shared memory and special functions"),
        ("barrier", "other warps of the block"),
        ("membar", "a memory fence"),
        ("math_pipe_throttle", "a busy arithmetic pipe"),
        ("wait", "instructions of fixed latency"),
        ("no_instruction", "their next instruction"),
        ("drain", "stores to leave before they end"),
    )
}
METRICS = (_TIME, _MEMORY, _ARITHMETIC, _OCCUPANCY, *_HITS.values(), *_MOVED.values(), *_PIPES, *_STALLS)
_LEAST_SHARE, _LEAST_STALL = 5.0, 0.5


@dataclass(frozen=True)
class Unreadable:
    """Why nothing was read."""

    reason: str


def find() -> Path | None:
    """The profiler; None where there is none."""
    found = shutil.which("ncu") or shutil.which("ncu", path=os.pathsep.join(_PLACES))
    return Path(found) if found else None


def command(tool: Path, log: Path, words: Sequence[str]) -> list[str]:
    """argv that profiles what the process `words` does between cuProfilerStart and cuProfilerStop, into the file `log`.

    Caches are empty before each kernel (ncu's default), and clocks are left as they are.
    """
    how = ("--csv", "--page", "raw", "--print-units", "base", "--profile-from-start", "off", "--clock-control", "none")
    return [str(tool), *how, "--metrics", ",".join(METRICS), "--log-file", str(log), *words]


def profile(
    tool: Path, words: Sequence[str], variables: Mapping[str, str], folder: Path
) -> tuple[str, ...] | Unreadable:
    """Runs `words` under the profiler, with its log in `folder`: facts on each kernel that they launch."""
    log = folder / "ncu.csv"
    with open(folder / "words", "wb") as said:
        process = subprocess.Popen(
            command(tool, log, words),
            env={**variables, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Unreadable(f"{tool} took more than {TIMEOUT_S} s")
    told = [file.read_text(errors="replace") for file in (log, folder / "words") if file.exists()]
    if any(_FORBIDDEN in text for text in told):
        return Unreadable(f"{_FORBIDDEN}: the driver keeps its counters for administrators")
    rows = parse(told[0].splitlines()) if code == 0 else []
    lines = [line for text in told for line in text.splitlines() if line.startswith("==ERROR==")]
    return facts(rows) if rows else Unreadable((lines or [f"{tool} ended with {code} and told nothing"])[0][:300])


@dataclass(frozen=True)
class Row:
    """One launch of one kernel."""

    kernel: str
    values: Mapping[str, float]
    """By metric, in base units; what the card does not count is left out."""


def parse(lines: Iterable[str]) -> list[Row]:
    """The launches in a log: remarks (``==PROF== ...``), a line of names, one of units, then one for each."""
    table = [row for row in csv.reader(line for line in lines if not line.startswith("==")) if row]
    if len(table) < 3 or "Kernel Name" not in table[0]:
        return []
    names = table[0]
    launches = (dict(zip(names, row, strict=False)) for row in table[2:])
    return [
        Row(
            launch["Kernel Name"].partition("(")[0],
            {name: value for name in METRICS if (value := _number(launch.get(name, ""))) is not None},
        )
        for launch in launches
        if launch.get("Kernel Name")
    ]


def facts(rows: Sequence[Row]) -> tuple[str, ...]:
    """What explains the speed of each launch, the longest first, in two lines: how busy the card is, and with what."""
    slowest = sorted(rows, key=lambda row: -row.values.get(_TIME, 0.0))
    return tuple(fact for row in slowest for fact in _facts(row))[:MOST_FACTS]


def _facts(row: Row) -> list[str]:
    known = row.values
    moved = [f"{known[name] / 1e6:.3g} MB {verb}" for verb, name in _MOVED.items() if name in known]
    hits = [f"{known[name]:.0f}% in {cache}" for cache, name in _HITS.items() if name in known]
    busy = [
        *([f"{known[_TIME] / 1e3:.3g} us with cold caches"] if _TIME in known else []),
        *([f"device memory at {known[_MEMORY]:.0f}% of its peak ({', '.join(moved)})"] if _MEMORY in known else []),
        *([f"multiprocessors at {known[_ARITHMETIC]:.0f}% of theirs"] if _ARITHMETIC in known else []),
        *([f"{known[_OCCUPANCY]:.0f}% of the warps that fit are there"] if _OCCUPANCY in known else []),
        *([f"found {', '.join(hits)}"] if hits else []),
    ]
    pipes = _most(known, _PIPES, _LEAST_SHARE, "{:.0f}%")
    stalls = _most(known, _STALLS, _LEAST_STALL, "{:.1f}")
    why = [
        *([f"pipes in use: {pipes}"] if pipes else []),
        *([f"warps that wait, for each that issues, for {stalls}"] if stalls else []),
    ]
    return [f"{row.kernel}, counted: {'; '.join(part)}" for part in (busy, why) if part]


def _most(known: Mapping[str, float], names: Mapping[str, str], least: float, form: str) -> str:
    """The three that are largest, in words."""
    found = sorted(((known[name], what) for name, what in names.items() if known.get(name, 0.0) >= least), reverse=True)
    return ", ".join(f"{what} {form.format(value)}" for value, what in found[:3])


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if value == value else None
