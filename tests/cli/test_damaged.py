"""Damaged and hostile archives: every verb ends with an answer or with one clear message, never with a traceback."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import pytest

from evokern.cli import main
from evokern.plugins import registry
from evokern.plugins.protocols import Generation, Run
from evokern.records.completion import Completion, Exchange, Finish, Message, Prompt
from evokern.records.kernel import Parent
from evokern.records.outcome import Verdict
from evokern.taskfile.settings import load
from tests.cli.test_program import TASK
from tests.specimens import PARALLEL, SEED, UNROLL, passed, refused, wrong

Evokern = Callable[..., tuple[int, str, str]]
VERBS = (
    ("front",), ("show", "5"), ("show", "5", "--prompts"), ("show", "3", "--json"), ("show", "2", "--source"),
    ("diff", "2", "5"), ("diff", "2", "5", "--json"), ("lineage", "5"), ("lineage", "5", "--json"), ("insights",),
    ("front", "--json"),
)  # fmt: skip
OTHERS = (("models", "copy.db"), ("verifiers", "copy.db"), ("resume", "copy.db"))
VALUES = (
    None, "no such word", b"\xff\xfe", "[" * 100_000, '{"M": "x"}', -1, 2, 10**15, 1e308, float("inf"), -0.5,
    zlib.compress(b"x" * 10**6),
)  # fmt: skip


@pytest.fixture
def evokern(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Evokern:
    """Runs the program: exit code, standard output, standard error. A search is interrupted before it begins."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evokern.search.search.Search.__enter__", interrupted)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["evokern", *arguments])
        with pytest.raises(SystemExit) as exit:
            main()
        captured = capsys.readouterr()
        return exit.value.code if isinstance(exit.value.code, int) else 0, captured.out, captured.err

    return call


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive with rows in every table, whose tables take any value: as if its writer had been evil."""
    monkeypatch.chdir(tmp_path)
    Path("copy.yaml").write_text(TASK)
    Path("copy.py").write_text("def reference(x):\n    return x.clone()\n")
    Path("copy.cpp").write_text(SEED.source)
    settings = load(Path("copy.yaml"))
    with registry.discover("archives")["sqlite"](tmp_path / "copy.db") as archive:
        archive.remember(Run(settings.model_dump_json(), "{}", "{}", 0))
        for operator in ("insight", "mutate"):
            answer = Completion(0, "openai/one", f"said of {operator}", "Hm.", Finish.STOP, 10, 20, 5, 0.25, 1.5)
            prompt = Prompt(operator, (Message("user", "Make it faster."),), operator)
            archive.remember(Exchange(1, 1, 0, operator, prompt, answer))
        fast = passed(5, 2.5, (UNROLL, PARALLEL), (Parent(2),), rms_error=1.5, generation=2)
        fast = replace(fast, child=replace(fast.child, completions=(2,), insights=(1,)))
        audited = Verdict("contract", 0.1, doubt=0.5, cost_usd=0.1, abstention="no time")
        for candidate in (
            passed(1, 1.0, generation=0),
            replace(passed(2, 1.5, (UNROLL,), (Parent(1),)), verdicts=(audited,)),
            wrong(3, (Parent(1),)),
            refused(4),
            fast,
        ):
            archive.remember(candidate)
        archive.remember(Generation(1, 0, ((1,),), "{}", remeasured=(1,)))
    connection = sqlite3.connect(tmp_path / "copy.db")
    connection.execute("PRAGMA writable_schema = ON")
    for old, new in ((" STRICT", " "), ("STRICT,", ""), (" NOT NULL", "")):
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table'", (old, new))
    connection.commit()
    connection.close()
    return tmp_path / "copy.db"


def columns(path: Path) -> Iterator[tuple[str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table' AND m.name NOT IN ('about', '_sqlite_migrations') ORDER BY 1, 2"
    ).fetchall()
    connection.close()
    yield from rows


def spoil(path: Path, table: str, column: str, value: object, where: str = "1") -> bool:
    """Puts `value` into every row; False where even this file does not take it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    try:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))
        connection.commit()
    except sqlite3.IntegrityError:
        return False
    finally:
        connection.close()
    return True


def test_any_value_in_any_column(path: Path, evokern: Evokern):
    """Verbs and values take turns: a column meets a third of the values, each value a third of the columns."""
    whole = path.read_bytes()
    verbs, values = cycle(VERBS), cycle(VALUES)
    for table, column in columns(path):
        for value in islice(values, len(VALUES) // 3 + 1):
            if spoil(path, table, column, value):
                check(evokern, (*next(verbs), "--archive", "copy.db"), (table, column, value))
            path.write_bytes(whole)


@pytest.mark.parametrize("column", ["settings", "task", "machine", "seed", "parent", "id"])
def test_any_value_in_what_a_run_was_started_with(path: Path, evokern: Evokern, column: str):
    whole = path.read_bytes()
    verbs = cycle(OTHERS)
    for value in (*VALUES, "null", "{}", '{"task": {"category": []}}', 0):
        if spoil(path, "runs", column, value):
            check(evokern, next(verbs), (column, value))
        path.write_bytes(whole)


def check(evokern: Evokern, arguments: tuple[str, ...], what: object) -> None:
    try:
        code, text, error = evokern(*arguments)
    except Exception as escaped:
        raise AssertionError(f"{arguments} with {what}") from escaped
    assert code in (0, 2, 130), (arguments, what)
    assert "Traceback" not in text + error
    if code == 2:
        assert error.startswith("evokern: "), (arguments, what)
        assert len(error) < 5000, (arguments, what)


def test_flipped_bytes(path: Path, evokern: Evokern):
    whole = path.read_bytes()
    verbs = cycle((*((*verb, "--archive", "copy.db") for verb in VERBS), *OTHERS[:2]))
    for place in range(0, len(whole), 4999):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        check(evokern, next(verbs), place)
    path.write_bytes(whole)


def test_what_is_damaged_is_named_and_the_rest_is_read(path: Path, evokern: Evokern):
    spoil(path, "evaluations", "status", "unheard of", "child = 2")
    code, text, error = evokern("front", "--archive", "copy.db")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == ["id", "5", "1"]
    assert "candidate 2 is damaged and left out" in error
    assert "'unheard of'" in error
    code, text, error = evokern("show", "2", "--archive", "copy.db")
    assert (code, text) == (2, "")
    assert "candidate 2 is damaged and can't be read" in error


def test_a_search_does_not_continue_from_a_part(path: Path, evokern: Evokern):
    spoil(path, "speedups", "ratio", -1.0, "id = 1")
    code, _, error = evokern("resume", "copy.db")
    assert code == 2
    assert "candidate 1" in error
    assert "--source" in error


def test_little_bytes_that_hold_very_many_are_refused(path: Path, evokern: Evokern):
    bomb = _bomb(256 << 20)
    assert len(bomb) < 1 << 20
    spoil(path, "speedups", "candidate_samples_ns", bomb, "id = 1")
    spoil(path, "sources", "compressed", bomb, "id = 2")
    code, _, error = evokern("front", "--archive", "copy.db")
    assert code == 0
    assert "which no evokern wrote" in error


def _bomb(size: int) -> bytes:
    packing = zlib.compressobj(9)
    return b"".join(packing.compress(b"\0" * (1 << 20)) for _ in range(size >> 20)) + packing.flush()


@pytest.mark.parametrize("parent", [1, 2, 7])
def test_a_line_of_runs_without_an_end(path: Path, evokern: Evokern, parent: int):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(
        "INSERT INTO runs SELECT 2, started_at, seed, ?, 0, settings, task, machine FROM runs", (parent,)
    )
    connection.execute("UPDATE runs SET parent = 2, branched_at = 0 WHERE id = 1")
    connection.commit()
    connection.close()
    for verb in (("front",), ("show", "5"), ("insights",)):
        check(evokern, (*verb, "--archive", "copy.db"), parent)


def test_what_would_act_by_itself_is_refused(path: Path, evokern: Evokern):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TRIGGER t AFTER INSERT ON children BEGIN DELETE FROM runs; END")
    connection.close()
    code, _, error = evokern("front", "--archive", "copy.db")
    assert code == 2
    assert "trigger t" in error
