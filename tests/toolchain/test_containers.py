"""Limits of control groups, of both versions, as containers show them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evokern.records.errors import EvokernError
from evokern.toolchain import containers, machine


@pytest.fixture
def system(tmp_path: Path):
    """Writes the files of a system; returns its two roots."""

    def _system(**files: str) -> tuple[Path, Path]:
        for name, content in {"proc/meminfo": "MemTotal: 99 kB\nMemAvailable: 4096 kB\n", **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return tmp_path / "cgroup", tmp_path / "proc"

    return _system


def test_version_2(system):
    roots = system(
        **{
            "proc/self/cgroup": "0::/box/inner\n",
            "cgroup/box/cpu.max": "150000 100000\n",
            "cgroup/box/inner/cpu.max": "max 100000\n",
            "cgroup/box/memory.max": "3000000\n",
            "cgroup/box/memory.current": "2500000\n",
            "cgroup/box/memory.stat": "anon 5\ninactive_file 100000\n",
        }
    )
    assert containers.cpu_quota(*roots) == 2
    assert containers.free_bytes(*roots) == 600_000


def test_version_1_whose_path_leads_nowhere(system):
    roots = system(
        **{
            "proc/self/cgroup": "4:memory:/docker/1a\n1:cpu,cpuacct:/docker/1a\n",
            "cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "cgroup/memory/memory.limit_in_bytes": "2000000\n",
            "cgroup/memory/memory.usage_in_bytes": "1500000\n",
        }
    )
    assert containers.cpu_quota(*roots) == 1
    assert containers.free_bytes(*roots) == 500_000


def test_no_limits(system):
    roots = system(
        **{
            "proc/self/cgroup": "4:memory:/\n1:cpu:/\n0::/\n",
            "cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cgroup/memory/memory.usage_in_bytes": "5\n",
        }
    )
    assert containers.cpu_quota(*roots) is None
    assert containers.free_bytes(*roots) == 4096 << 10


def test_a_quota_limits_the_threads(monkeypatch):
    monkeypatch.setattr(containers, "cpu_quota", lambda: 1)
    assert machine.usable_cores() == 1


def test_no_home_works(tmp_path: Path):
    code = (
        "import pathlib; from evokern.taskfile import provenance; from evokern.toolchain import machine\n"
        "def none(*_): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = none\n"
        "print(machine.cache_folder()); assert provenance._file() is None"
    )
    bare = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env={**bare, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / f"evokern-{os.getuid()}")


def test_a_home_that_cannot_be_written_to(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc")  # not even root writes there
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert machine.cache_folder() == tmp_path / f"evokern-{os.getuid()}"
    machine.cache_folder().chmod(0o777)
    with pytest.raises(EvokernError, match="only you"):
        machine.cache_folder()
