"""Words of others (kernels, models, archives, task files) never act on a terminal and never hide: in every verb."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evokern.cli import main
from evokern.cli.terminal import legible_output
from evokern.plugins import registry
from evokern.plugins.protocols import Generation, Run
from evokern.prompting.quote import cleaned, is_visible, legible
from evokern.records.completion import Completion, Exchange, Finish, Message, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe, Step
from evokern.records.outcome import Candidate, Evaluation, Evidence, Fidelity, Status, Verdict
from evokern.taskfile.settings import load
from tests.cli.test_program import TASK
from tests.specimens import SEED, measured

HIDDEN = (
    "\x1b]0;pwned\x07\x1b[31m\x00\x08\x7f\x9b\r\u200b\u200d\u2060\ufeff\u00ad\u202a\u202e\u2066\u2069\u061c\u200e"
    "\u2028\u2029\u115f\u3164\u2800\u034f\ufe0f\U000e0041\U000e0100\u180e\ufff9\ue000\U0010ffff"
)
EVIL = f"a{HIDDEN}b"
VERBS = (
    ("front",), ("front", "--json"), ("show", "1"), ("show", "2"), ("show", "2", "--source"),
    ("show", "2", "--prompts"), ("show", "2", "--json"), ("show", "3"), ("diff", "1", "2"),
    ("diff", "1", "2", "--json"), ("lineage", "2"), ("lineage", "2", "--json"), ("insights",), ("insights", "--json"),
)  # fmt: skip
Evokern = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evokern(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Evokern:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["evokern", *arguments])
        with pytest.raises(SystemExit) as exit:
            main()
        captured = capsys.readouterr()
        return exit.value.code if isinstance(exit.value.code, int) else 0, captured.out, captured.err

    return call


def is_clean(text: str) -> bool:
    return all(letter in "\n\t" or is_visible(letter) for letter in text)


def fill(path: Path) -> None:
    """Such words in every field of text."""
    kernel = Kernel(f"// {EVIL}\n{SEED.source}", "cpp")
    step = Step(EVIL, EVIL, ((EVIL, EVIL),))
    evidence = Evidence(EVIL, EVIL, EVIL, {EVIL: 3}, 1, EVIL, (1,), 0.5, 0.25)
    with registry.discover("archives")["sqlite"](path) as archive:
        settings = load(Path("copy.yaml")).model_dump_json()
        archive.remember(Run(settings, json.dumps({"name": EVIL, "category": EVIL}), json.dumps({EVIL: EVIL}), 0))
        for operator in ("insight", EVIL):
            prompt = Prompt(operator, (Message(EVIL, EVIL),), EVIL)
            answer = Completion(0, f"openai/{EVIL}", EVIL, EVIL, Finish.STOP, 1, 1, 1, 0.1, 1.0)
            archive.remember(Exchange(1, 0, 0, operator, prompt, answer, EVIL))
        verdict = Verdict(EVIL, 0.1, abstention=EVIL)
        seed = Child(SEED, EVIL, Recipe(SEED), (), EVIL)
        timed = measured(1.5)
        timing = timed.measurements[0]
        speedups = (*timing.speedups, replace(timing.speedups[0], baseline=EVIL))
        timed = replace(timed, measurements=(replace(timing, shape={EVIL: 8}, speedups=speedups),))
        profile = replace(timed, evidence=(Evidence("profile", EVIL),))
        archive.remember(Candidate(1, 0, 0, 0, seed, (verdict,), (profile,)))
        child = Child(kernel, EVIL, Recipe(SEED, (step,)), (Parent(1, EVIL),), EVIL, (2,), (1,))
        archive.remember(Candidate(1, 1, 0, 0, child, (verdict,), (measured(2.5),)))
        refusal = Verdict(EVIL, 0.1, Status.REJECTED, evidence)
        archive.remember(Candidate(1, 1, 1, 0, replace(child, kernel=Kernel(EVIL)), (refusal,)))
        wrong = Evaluation(Status.WRONG, Fidelity.SCREEN, 1, 2, evidence=(evidence,))
        archive.remember(Candidate(1, 1, 2, 0, replace(child, kernel=Kernel(EVIL + "2")), (), (wrong,)))
        archive.remember(Generation(1, 0, ((1,),), "{}", EVIL))


@pytest.fixture
def task(tmp_path: Path) -> None:
    (tmp_path / "copy.yaml").write_text(TASK)
    (tmp_path / "copy.py").write_text("def reference(x):\n    return x.clone()\n")
    (tmp_path / "copy.cpp").write_text(SEED.source)


def test_every_verb_that_reads(evokern: Evokern, task: None):
    fill(Path("evil.db"))
    for verb in VERBS:
        code, text, error = evokern(*verb, "--archive", "evil.db")
        assert code == 0, (verb, error)
        assert "\\u202e" in text or verb == ("front",), verb
        assert is_clean(text + error), verb
        if "--json" in verb:
            json.loads(text)
    for verb in (("models", "evil.db"), ("verifiers", "evil.db"), ("verifiers", "evil.db", "--json")):
        code, text, error = evokern(*verb)
        assert code == 0, (verb, error)
        assert is_clean(text + error), verb


def test_json_means_what_it_meant(evokern: Evokern, task: None):
    fill(Path("evil.db"))
    _, text, _ = evokern("show", "2", "--json", "--archive", "evil.db")
    assert json.loads(text)["candidate"]["child"]["idea"] == EVIL


@pytest.mark.parametrize("place", ["name: copy", "reference: copy.py", "float32[N]", "generations: 7", "N: 3", "seeds"])
def test_messages_about_a_task_file(evokern: Evokern, task: None, place: str):
    hidden = "".join(f"\\U{ord(letter):08x}" for letter in HIDDEN if ord(letter) < 0xD800 or ord(letter) > 0xDFFF)
    key, _, value = place.partition(": ")
    words = f'{key}: "{value}{hidden}"' if value else place.replace("N]", "N\u202e]")
    text = Path("copy.yaml").read_text()
    assert place in text
    Path("copy.yaml").write_text(
        text.replace(place, words) if place != "seeds" else text.replace("copy.cpp]", f'"{hidden}"]')
    )
    code, out, error = evokern("check", "copy.cpp", "copy.yaml")
    assert code == 2
    assert is_clean(out + error)


def test_wrong_usage(evokern: Evokern):
    for arguments in (
        ("front", "--archive", EVIL.replace("\0", "")),
        (f"fro{EVIL}",),
        ("show", EVIL),
        ("resume", "\udc80"),
    ):
        code, out, error = evokern(*arguments)
        assert code == 2
        assert is_clean(out + error), arguments


def test_what_a_reader_may_see_is_kept():
    words = "x = 日本 🦙 ü\t½\n→ …\u00a0\u3000"
    assert legible(words) == words
    assert cleaned("日本 🦙 ü\tx\n") == "日本 🦙 ü\tx\n"
    assert cleaned(EVIL) == "a\nb\n\nb" or is_clean(cleaned(EVIL))


def test_a_stream_of_bytes_keeps_what_its_encoding_holds(capsys: pytest.CaptureFixture[str]):
    with legible_output():
        sys.stdout.write("a\udc80b\u202e")
    assert capsys.readouterr().out == "a\\udc80b\\u202e"
