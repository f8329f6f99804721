"""The cache stays below a limit: the builds that were not used for longest go, files of one build together."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from evokern.cli import cli
from evokern.records.errors import EvokernError
from evokern.toolchain import cached, compiler, confinement

DAYS = 86_400.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for age, name in enumerate(("new", "recent", "old", "oldest")):
        for suffix in ("so", "remarks"):
            file = tmp_path / "evokern" / "cpp" / "toolchain" / f"{name}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x" * 8192)
            used = time.time() - (3 * age * DAYS + 60)
            os.utime(file, (used, used))
    (tmp_path / "evokern" / "baselines").mkdir()
    (tmp_path / "evokern" / "baselines" / "note.txt").write_text("did not finish")
    return tmp_path / "evokern"


def left(folder: Path) -> set[str]:
    return {file.name for file in folder.rglob("*.*")}


def test_what_was_not_used_for_longest_goes_first_and_whole(folder: Path) -> None:
    size = next(shelf.bytes for shelf in cached.shelves() if shelf.name == "cpp")
    assert cached.prune(size) == 0
    assert cached.prune(size // 2 + 1) == size // 2
    assert left(folder) == {"new.so", "new.remarks", "recent.so", "recent.remarks", "note.txt"}


def test_builds_of_the_last_days_and_notes_stay_whatever_the_limit(folder: Path) -> None:
    cached.prune(0)
    assert left(folder) == {"new.so", "new.remarks", "note.txt"}


def test_a_build_that_is_asked_for_is_not_removed_though_nobody_notes_who_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge holds the path of its seed for as long as it lives, and somebody else's process removes old builds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler._made.cache_clear()
    built = compiler.compile_native(confinement.LAUNCHER, "-O1", shared=False)
    old = time.time() - 30 * DAYS
    os.utime(built, (old, old))
    assert compiler.compile_native(confinement.LAUNCHER, "-O1", shared=False) == built
    cached.prune(0)
    assert built.exists()
    os.utime(built, (old, old))
    cached.prune(0)
    assert not built.exists()
    compiler._made.cache_clear()


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("5g", 5_000_000_000), ("0", 0), ("1.5kB", 1500), ("", 8 << 30)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cached.LIMIT_VARIABLE, raising=False)
    assert cached.limit(text) == size


@pytest.mark.parametrize("text", ["much", "-1GB", "nan", "inf", "5 apples", "GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(EvokernError, match="expected a size such as"):
        cached.limit(text)


def test_the_verb_shows_and_removes(folder: Path) -> None:
    shown = CliRunner().invoke(cli, ["cache", "--json"], catch_exceptions=False)
    assert {one["name"]: one["files"] for one in json.loads(shown.output)} == {"cpp": 8, "baselines": 1}
    removed = CliRunner().invoke(cli, ["cache", "--limit", "0"], catch_exceptions=False)
    assert "removed" in removed.output
    assert len(left(folder)) == 3
