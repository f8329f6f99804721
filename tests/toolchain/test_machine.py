"""What the machine says of itself, and where the compiler and the cache are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from evokern.toolchain import machine


def test_a_machine_describes_itself():
    here = machine.describe()
    assert here.cores >= 1
    assert here.memory_bytes > 2**28
    assert here.python == ".".join(map(str, sys.version_info[:3]))
    assert TypeAdapter(machine.Machine).validate_json(TypeAdapter(machine.Machine).dump_json(here)) == here


def test_the_compiler_that_was_asked_for(monkeypatch, tmp_path):
    compiler = tmp_path / "my-c++"
    compiler.write_text("#!/bin/sh\necho my compiler 7\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", f"{compiler} -pipe")
    assert machine.find_compiler() == (str(compiler), "-pipe")
    assert machine.compiler_version((str(compiler),)) == "my compiler 7"
    assert machine.describe().compiler == f"{compiler} -pipe: my compiler 7"


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert machine.find_compiler() is None
    assert machine.describe().compiler is None


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert machine.cache_folder() == tmp_path / "evokern"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.cache_folder() == Path(tmp_path) / ".cache" / "evokern"


@pytest.mark.parametrize(
    ("level", "kind", "size", "sharers", "expected"),
    [
        ("1", "Data", "48K", "0", "L1 data 48K"),
        ("1", "Instruction", "32K", "0", ""),
        ("3", "Unified", "32768K", "0-3,8-11", "L3 32768K (shared by 8 cores)"),
        ("2", "Unified", "1024K", "0,8", "L2 1024K (shared by 2 cores)"),
    ],
)
def test_a_cache_as_the_system_lists_it(tmp_path, level, kind, size, sharers, expected):
    for name, value in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", sharers)):
        (tmp_path / name).write_text(f"{value}\n")
    assert machine._cache(tmp_path) == expected
    assert machine._cache(tmp_path / "missing") == ""
