"""What is made of the profiler's words: of a log in the form that the Nsight Compute CLI manual describes (console
output, ``--csv --page raw``), and of stand-ins for the program, since there is no card here that it could read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evokern.evaluation.judge import Judge
from evokern.evaluation.rigs.gpu import ncu
from evokern.records.outcome import Fidelity
from evokern.report import health
from tests.evaluation.gpu.stand_in import Verdict

LOG = (Path(__file__).parent / "ncu.csv").read_text()
STAND_IN = """#!{python}
import subprocess, sys
words = sys.argv[1:]
log, child = words[words.index("--log-file") + 1], words[words.index("--log-file") + 2 :]
assert words[words.index("--profile-from-start") + 1] == "off"
said = subprocess.run(child, stderr=subprocess.PIPE, text=True, check=True).stderr
lines = open({recorded!r}).read().splitlines(keepends=True)
launches = [lines[6].replace("moments", f"watched {{line.split()[4]}} blocks") for line in said.splitlines()]
open(log, "w").writelines([*lines[:6], *launches])
"""
FORBIDDEN = """#!/bin/sh
echo "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters"
exit 1
"""


def put(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `text` the machine's profiler."""
    tool = tmp_path / "ncu"
    tool.write_text(text)
    tool.chmod(0o755)
    monkeypatch.setattr(ncu, "find", lambda: tool)
    return tool


def test_a_log_becomes_facts_and_the_longest_launch_is_first():
    slow, slow_waits, quick, quick_waits = ncu.facts(ncu.parse(LOG.splitlines()))
    assert slow == (
        "normalise, counted: 9.22 us with cold caches; device memory at 68% of its peak (4.2 MB read, 4.19 MB "
        "written); multiprocessors at 24% of theirs; 71% of the warps that fit are there; found 33% in L1, 52% in L2"
    )
    assert slow_waits == (
        "normalise, counted: pipes in use: float32 21%, loads and stores 18%; warps that wait, for each that issues, "
        "for data from global or local memory 31.8, data from shared memory or special functions 2.2, "
        "other warps of the block 0.6"
    )
    assert quick.startswith("moments, counted: 4.7 us")
    assert "short" not in quick_waits
    assert all(len(fact) < 300 for fact in (slow, slow_waits, quick, quick_waits))


@pytest.mark.parametrize(
    "text", ["", "==PROF== nothing was launched\n", '"ID","Kernel Name"\n', "no,table\nat,all\n1,2\n"]
)
def test_what_is_no_log_has_no_launches(text: str):
    assert ncu.parse(text.splitlines()) == []


def test_every_metric_of_the_log_is_asked_for(tmp_path: Path):
    words = ncu.command(Path("ncu"), tmp_path / "log", ["python", "launcher"])
    asked = words[words.index("--metrics") + 1].split(",")
    assert {name for row in ncu.parse(LOG.splitlines()) for name in row.values} <= set(asked)
    assert words[-2:] == ["python", "launcher"]


def test_a_profiler_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tool = put("#!/bin/sh\necho '==ERROR== no such metric'\nexit 1\n", tmp_path, monkeypatch)
    assert ncu.profile(tool, ["true"], {}, tmp_path) == ncu.Unreadable("==ERROR== no such metric")


def test_a_confirmed_kernel_is_launched_once_below_the_profiler(
    judge: Judge, judged: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recorded = str(Path(__file__).parent / "ncu.csv")
    put(STAND_IN.format(python=sys.executable, recorded=recorded), tmp_path, monkeypatch)
    monkeypatch.setattr(judge.rig, "uncounted", None)
    facts = [one.reason for one in judged("in_clusters", Fidelity.CONFIRM).profile]
    assert [fact.partition(",")[0] for fact in facts if "counted" in fact] == ["watched 4 blocks"] * 2
    assert any("a call by itself takes" in fact for fact in facts)
    assert not any("counted" in one.reason for one in judged("in_clusters", Fidelity.SCREEN).profile), "too dear"


def test_counters_that_only_administrators_may_read_are_asked_for_once(
    judge: Judge, judged: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tool = put(FORBIDDEN, tmp_path, monkeypatch)
    monkeypatch.setattr(judge.rig, "uncounted", None)
    told = [one.reason for one in judged("honest", Fidelity.CONFIRM).profile if "counters" in one.reason]
    assert told == [
        "the card's own counters can't be read: ERR_NVGPUCTRPERM: the driver keeps its counters for administrators"
    ]
    tool.unlink()
    assert not any("counters" in one.reason for one in judged("honest", Fidelity.CONFIRM).profile), "tried once"


def test_doctor_says_where_the_profiler_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ncu, "find", lambda: Path("/opt/ncu"))
    assert any(one.found == "/opt/ncu" and one.works for one in health._gpus(("a card",)))
    monkeypatch.setattr(ncu, "find", lambda: None)
    (missing,) = (one for one in health._gpus(("a card",)) if one.item == "ncu")
    assert "Nsight Compute" in missing.advice
    assert not [one for one in health._gpus(()) if one.item == "ncu"], "nothing to profile without a card"
