"""The program as a shell meets it: exit codes, messages, and the verbs that need no archive."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from evokern.cli import main, overrides
from evokern.records.outcome import DOUBT, Evaluation, Evidence, Fidelity, Status
from evokern.taskfile.settings import Settings
from evokern.toolchain import machine
from tests.specimens import SEED, measured

Evokern = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
TASK = """\
task:
  name: copy
  reference: copy.py
  arguments: {x: "float32[N]"}
  returns: {y: "float32[N]"}
  check: [{N: 3}]
  time: [{N: 4096}]
seeds: [copy.cpp]
search: {generations: 7}
"""


@pytest.fixture
def evokern(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Evokern:
    """Runs the program in a folder with one task: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    Path("copy.yaml").write_text(TASK)
    Path("copy.py").write_text("def reference(x):\n    return x.clone()\n")
    Path("copy.cpp").write_text(SEED.source)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["evokern", *arguments])
        with pytest.raises(SystemExit) as exit:
            main()
        captured = capsys.readouterr()
        return exit.value.code if isinstance(exit.value.code, int) else 0, captured.out, captured.err

    return call


class Judge:
    """A judge that always says the same; what it was asked is in `asked`."""

    verdict = measured(2.5, fidelity=Fidelity.CHAMPION)
    asked: ClassVar[list[object]] = []
    baselines = ()
    note = ""

    def __init__(
        self, task: object, evaluation: object, yardstick: object, backend: str, *, needs_yardstick: bool
    ) -> None:
        assert not needs_yardstick, "a task's seed that fails is not the kernel's fault"
        self.asked.append(evaluation)

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def evaluate(self, kernel: object, fidelity: Fidelity) -> Evaluation:
        assert fidelity is Fidelity.CHAMPION
        return self.verdict


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> type[Judge]:
    class Fresh(Judge):
        asked: ClassVar[list[object]] = []

    monkeypatch.setattr("evokern.evaluation.client.Judge", Fresh)
    monkeypatch.setattr("evokern.plugins.registry.chosen", _without_verifiers)
    return Fresh


def _without_verifiers(folder: str, names: list[str] | None) -> dict[str, object]:
    return {} if folder == "verifiers" else {name: None for name in names or []}


def test_check_prints_the_benchmark(evokern: Evokern, judge: type[Judge]):
    code, text, _ = evokern("check", "copy.cpp", "copy.yaml", "--threads", "1", "--cache", "hot")
    assert code == 0
    assert text.startswith("copy.cpp for copy")
    assert "2.00x [1.96, 2.04] over best" in text
    (conditions,) = judge.asked
    assert (conditions.threads, conditions.cache.value) == (1, "hot")


def test_check_json_holds_the_samples(evokern: Evokern, judge: type[Judge]):
    _, text, _ = evokern("check", "copy.cpp", "copy.yaml", "--json")
    assert json.loads(text)["evaluation"]["measurements"][0]["noise_floor"] == 0.01


def test_a_kernel_that_fails_its_check_is_exit_code_1(evokern: Evokern, judge: type[Judge]):
    judge.verdict = Evaluation(Status.WRONG, Fidelity.CHAMPION, 1, 9)
    code, text, _ = evokern("check", "copy.cpp", "copy.yaml")
    assert code == 1
    assert "wrong (1 of 9 cases" in text


def test_a_speed_that_the_machine_did_not_allow_is_exit_code_3(evokern: Evokern, judge: type[Judge]):
    verdict = judge.verdict
    why = Evidence(DOUBT, "over eager: 9 threads of others want 2 cores", shape=verdict.measurements[0].shape)
    judge.verdict = replace(verdict, evidence=(why,))
    code, text, _ = evokern("check", "copy.cpp", "copy.yaml")
    assert code == 3
    assert "inconclusive [1.96, 2.04] over best" in text
    assert "9 threads of others" in text
    assert "2.00x" not in text


def test_check_of_a_kernel_that_is_not_there(evokern: Evokern):
    code, _, error = evokern("check", "nothing.cpp", "copy.yaml")
    assert code == 2
    assert error.startswith("evokern: expected a kernel file at nothing.cpp")


def test_a_mistake_in_the_yaml_is_one_message_with_its_place(evokern: Evokern):
    Path("copy.yaml").write_text(TASK.replace("generations", "generatoins"))
    code, text, error = evokern("run", "copy.yaml")
    assert (code, text) == (2, "")
    assert "copy.yaml:9" in error
    assert "did you mean 'generations'" in error
    assert "Traceback" not in error


def test_a_task_that_is_not_there(evokern: Evokern):
    code, _, error = evokern("run", "nothing.yaml")
    assert code == 2
    assert "nothing.yaml" in error


def test_options_beat_the_yaml_and_what_is_left_out_does_not(evokern: Evokern, monkeypatch: pytest.MonkeyPatch):
    seen: list[Settings] = []

    def begin(settings: Settings, archive: Path) -> None:
        seen.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("evokern.search.search.begin", begin)
    code, _, error = evokern(
        "run", "copy.yaml", "--offspring", "3", "--time", "60", "--evaluations", "50", "--seed", "9", "--cache", "hot",
        "--threads", "1", "--islands", "3", "--population", "5", "--model", "openai/a", "--model", "openai/b",
        "--usd", "2", "--tokens", "1000", "--calls", "30", "--device-time", "90", "--replay", "old.db",
    )  # fmt: skip
    assert code == 130
    assert "interrupted" in error
    (settings,) = seen
    search, budget = settings.search, settings.budget
    assert (search.generations, search.offspring, search.seed, search.islands, search.population) == (7, 3, 9, 3, 5)
    assert (budget.time_s, budget.evaluations, budget.device_s) == (60.0, 50, 90.0)
    assert (budget.usd, budget.tokens, budget.calls) == (2.0, 1000, 30)
    assert [model.name for model in settings.models] == ["openai/a", "openai/b"]
    assert settings.replay == "old.db"
    assert (settings.evaluation.cache.value, settings.evaluation.threads) == ("hot", 1)


def test_the_default_archive_needs_no_folder_to_be_made(evokern: Evokern, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evokern.search.search.Search.__enter__", interrupted)
    code, _, error = evokern("run", "copy.yaml")
    assert code == 130, error
    assert Path("archives/copy.db").exists()
    code, _, error = evokern("run", "copy.yaml", "--archive", "nowhere/copy.db")
    assert code == 2
    assert "mkdir -p nowhere" in error


def test_an_impossible_option_names_itself(evokern: Evokern):
    code, _, error = evokern("run", "copy.yaml", "--generations", "-1")
    assert code == 2
    assert "generations" in error


@pytest.mark.parametrize(
    "slip",
    [
        ("search: {generations: 7}", "search: {operators: [mutat]}", "no plug-in 'mutat' in operators"),
        ("search: {generations: 7}", "search: {verifiers: [foo]}", "no plug-in 'foo' in verifiers"),
        ("search: {generations: 7}", "backend: fortran", "no plug-in 'fortran' in backends; there are cpp"),
        ("task:", "backward: true\ntask:", "backward: unknown key; it belongs under `task:`"),
        ("task:", "task:\n  seeds: [copy.cpp]", "task.seeds: unknown key; it belongs at the top level"),
    ],
)
def test_a_slip_leaves_no_run_behind(evokern: Evokern, slip: tuple[str, str, str]):
    old, new, says = slip
    Path("copy.yaml").write_text(TASK.replace(old, new, 1))
    code, _, err = evokern("run", "copy.yaml", "--archive", "copy.db")
    assert (code, says in err, Path("copy.db").exists()) == (2, True, False), err


def test_resume_hands_over_generation_and_overrides(evokern: Evokern, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[object, ...]] = []

    def resume(*arguments: object) -> None:
        seen.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("evokern.search.search.resume", resume)
    evokern("resume", "a.db", "--from-generation", "4", "--generations", "90")
    assert seen == [(Path("a.db"), 4, {"search.generations": 90})]


def test_there_is_no_generation_before_the_first(evokern: Evokern):
    code, _, error = evokern("resume", "a.db", "--from-generation", "-1")
    assert code == 2
    assert "--from-generation" in error


def test_resume_of_nothing_says_how_to_begin(evokern: Evokern):
    code, _, error = evokern("resume", "nothing.db")
    assert code == 2
    assert "evokern run" in error
    assert not Path("nothing.db").exists()


def test_wrong_usage_is_exit_code_2(evokern: Evokern):
    code, _, error = evokern("fornt")
    assert code == 2
    assert "fornt" in error


def test_every_option_that_overrides_is_a_setting():
    for key in overrides.KEYS.values():
        *sections, name = key.split(".")
        fields = Settings.model_fields
        for section in sections:
            fields = fields[section].annotation.model_fields
        assert name in fields


def test_doctor_finds_what_works(evokern: Evokern):
    code, text, _ = evokern("doctor")
    assert code == 0
    assert "C++20 with OpenMP" in text
    assert "MISSING" not in text


def test_doctor_without_a_compiler_says_how_to_get_one(evokern: Evokern, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "find_compiler", lambda: None)
    code, text, _ = evokern("doctor", "--json")
    assert code == 1
    (finding,) = [finding for finding in json.loads(text) if finding["item"] == "C++ compiler"]
    assert "apt install g++" in finding["advice"]


def test_doctor_tries_the_compiler_instead_of_trusting_it(evokern: Evokern, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "false")
    code, text, _ = evokern("doctor")
    assert code == 1
    assert "MISSING" in text


def test_schema_describes_a_task_file(evokern: Evokern):
    _, text, _ = evokern("schema")
    assert {"task", "seeds", "search", "budget", "evaluation"} <= set(json.loads(text)["properties"])
