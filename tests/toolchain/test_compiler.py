"""What happens when the compiler is missing, hangs, floods, or has no place to write."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evokern.records.errors import EvokernError
from evokern.records.outcome import Evidence
from evokern.toolchain import compiler
from tests.processes import is_gone


@pytest.fixture
def prelude(tmp_path, monkeypatch) -> Path:
    """A small prelude, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "evokern.h").write_text("#pragma once\n#include <cstdint>\n")
    return tmp_path / "evokern.h"


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Makes $CXX a shell script."""

    def _pretend(script: str) -> None:
        compiler.launcher()  # made by a real one
        path = tmp_path / "c++"
        path.write_text(f'#!/bin/sh\ncase "$1" in --version) echo clang, it says; exit;; esac\n{script}\n')
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))

    return _pretend


def build(prelude: Path, source: str = "int answer() { return 42; }\n") -> Path | Evidence:
    return compiler.shared_library(source, ("-O1",), prelude)


def test_artefacts_and_nothing_else_stay(prelude, tmp_path):
    artefact = build(prelude)
    assert isinstance(artefact, Path)
    left = sorted(path.name for path in artefact.parent.iterdir())
    assert [name for name in left if not name.startswith(("prelude-", "launcher-"))] == [artefact.name]


def test_what_failed_leaves_nothing(prelude, tmp_path):
    assert isinstance(build(prelude, "no c++"), Evidence)
    assert not list((tmp_path / "cache").rglob("*.so"))
    assert not list((tmp_path / "cache").rglob("at-work-*"))


def test_another_prelude_makes_another_artefact(prelude):
    first = build(prelude)
    prelude.write_text(prelude.read_text() + "#include <cmath>\n")
    assert build(prelude) != first


def test_no_compiler(prelude, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EvokernError, match=r"no no-such-compiler, as CXX says.*apt install g"):
        build(prelude)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EvokernError, match="expected a C\\+\\+ compiler, found none"):
        build(prelude)


def test_a_compiler_that_takes_too_long(prelude, pretend, monkeypatch):
    monkeypatch.setattr(compiler, "WALL_LIMIT_S", 0.2)
    pretend("exec sleep 60")
    evidence = build(prelude)
    assert isinstance(evidence, Evidence)
    assert "took more than" in evidence.reason


def test_a_compiler_that_burns_the_processor(prelude, pretend, monkeypatch):
    compiler.launcher()  # takes more
    monkeypatch.setattr(compiler, "CPU_LIMIT_S", 1)
    pretend("while :; do :; done")
    evidence = build(prelude)
    assert isinstance(evidence, Evidence)
    assert "1 s of processor time" in evidence.reason


def test_a_compiler_that_writes_without_end(prelude, pretend, monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "OUTPUT_LIMIT_BYTES", 100_000)
    pretend("yes error: flood; exit 1")
    evidence = build(prelude)
    assert isinstance(evidence, Evidence)
    assert len(evidence.detail) <= compiler.QUOTED_BYTES


def test_a_full_disk_is_no_fault_of_the_kernel(prelude, pretend):
    pretend("echo 'fatal error: No space left on device'; exit 1")
    with pytest.raises(EvokernError, match="no space left"):
        build(prelude)


def test_control_characters_are_not_quoted(prelude, pretend):
    pretend("printf 'error: \\033[31mred\\033[0m\\n'; exit 1")
    evidence = build(prelude)
    assert isinstance(evidence, Evidence)
    assert "\033" not in evidence.detail


def test_the_compiler_sees_no_secrets(prelude, pretend, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "secret-value")
    pretend("env; echo error: that was all; exit 1")
    evidence = build(prelude)
    assert isinstance(evidence, Evidence)
    assert "LC_ALL=C" in evidence.detail
    assert "secret-value" not in evidence.detail


def test_a_cache_that_cannot_be_written(prelude, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EvokernError, match="set XDG_CACHE_HOME"):
        build(prelude)


def test_own_sources_are_rebuilt_when_a_header_changes(prelude, tmp_path):
    (tmp_path / "tool.cpp").write_text('#include "answer.h"\nint main() { return ANSWER; }\n')
    codes = []
    for answer in (3, 4):
        (tmp_path / "answer.h").write_text(f"#define ANSWER {answer}\n")
        codes.append(
            os.waitstatus_to_exitcode(os.system(str(compiler.compile_native(tmp_path / "tool.cpp", shared=False))))
        )
    assert codes == [3, 4]
    (tmp_path / "tool.cpp").write_text("no c++")
    with pytest.raises(EvokernError, match=r"can't compile evokern's tool\.cpp"):
        compiler.compile_native(tmp_path / "tool.cpp", shared=True)


def test_what_a_killed_process_left_is_swept(prelude, tmp_path):
    first = build(prelude)
    assert isinstance(first, Path)
    for name, age_s in (("at-work-old", 7200), ("at-work-new", 0)):
        (first.parent / name).mkdir()
        os.utime(first.parent / name, times=(time.time() - age_s,) * 2)
    compiler._made.cache_clear()
    build(prelude)
    assert not (first.parent / "at-work-old").exists()
    assert (first.parent / "at-work-new").exists()


def test_a_precompiled_prelude_is_made_once_for_a_set_of_flags(prelude, monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "PRELUDES_KEPT", 2)
    for flags in (("-O1",), ("-O1", "-mavx"), ("-O1", "-mavx2"), ("-O1",)):
        assert isinstance(compiler.shared_library(f"// {flags}\nint one() {{ return 1; }}\n", flags, prelude), Path)
    assert len(list((tmp_path / "cache").rglob("prelude-*/evokern.h.?ch"))) == 2


def test_no_compiler_outlives_who_started_it(tmp_path):
    """Neither the compiler nor what it started lives on after a SIGKILL to the process that waits for it."""
    started = tmp_path / "started"
    script = tmp_path / "c++"
    words = ("#!/bin/sh", 'case "$1" in --version) exit;; esac', "sleep 600 &", f'echo "$$ $!" > {started}.new')
    script.write_text("\n".join((*words, f"mv {started}.new {started}", "wait", "")))
    script.chmod(0o755)
    (tmp_path / "own.cpp").write_text("int main() {}\n")
    code = """if True:
        import pathlib, sys
        from evokern.toolchain import compiler
        compiler.compile_native(pathlib.Path(sys.argv[1]), shared=False)
    """
    environment = {**os.environ, "CXX": str(script), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    engine = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "own.cpp")], env=environment)
    while not started.exists():
        assert engine.poll() is None
        time.sleep(0.01)
    engine.kill()
    engine.wait()
    for pid in started.read_text().split():
        assert is_gone(int(pid))


@pytest.mark.parametrize("kills", [1, 2, 3])
def test_a_compiler_that_somebody_else_kills_is_started_again(prelude, pretend, tmp_path, monkeypatch, kills):
    """It ends by SIGKILL `kills` times; memory is not short, so the third time is the source's own matter."""
    count = tmp_path / "cache" / "count"
    count.parent.mkdir(exist_ok=True)
    (tmp_path / "own.cpp").write_text("int main() {}\n")
    pretend(f'echo . >>{count}; [ $(wc -l <{count}) -le {kills} ] && kill -KILL $$; exec /usr/bin/env g++ "$@"')
    if kills <= compiler.KILLS:
        assert compiler.compile_native(tmp_path / "own.cpp", shared=False).exists()
    else:
        with pytest.raises(EvokernError, match="killed 3 times in a row"):
            compiler.compile_native(tmp_path / "own.cpp", shared=False)


def test_a_compiler_that_runs_out_of_memory_again_and_again_stops_the_run(prelude, pretend, tmp_path, monkeypatch):
    (tmp_path / "own.cpp").write_text("int main() {}\n")
    pretend("kill -KILL $$")
    ended = iter(range(10))
    monkeypatch.setattr(compiler.machine, "memory_kills", lambda: next(ended))
    with pytest.raises(EvokernError, match="because memory ran out"):
        compiler.compile_native(tmp_path / "own.cpp", shared=False)
