"""What holds for every verifier that is found, an outsider's included; and for each of ours in the engine's place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Inspection, Verifier
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Status, Verdict
from evokern.taskfile.settings import load

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SETTINGS = load(next(path for path in EXAMPLES if path.stem == "layernorm"))
BACKEND = registry.chosen("backends", ["cpp"])["cpp"]
VERIFIERS = registry.chosen("verifiers", None)


def child(source: str) -> Child:
    kernel = Kernel(source)
    return Child(kernel, "seed", Recipe(kernel))


@pytest.fixture(params=sorted(VERIFIERS))
def verifier(request) -> Verifier:
    return VERIFIERS[request.param]


def test_it_is_a_verifier(verifier):
    assert isinstance(verifier, Verifier)
    assert verifier.price_s > 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_seeds_pass(verifier, path):
    settings = load(path)
    backend = registry.chosen("backends", [settings.backend])[settings.backend]
    for seed in settings.seeds:
        verdict = verifier.verify(Child(seed, "seed", Recipe(seed)), Inspection(settings.task, backend))
        assert verdict.refusal is None, verdict.evidence
        assert verdict.evidence is None
        assert verdict.verifier == verifier.name
        assert verdict.price_s >= 0


@pytest.mark.parametrize("source", ["", "}", "\0", "int kernel;", "é" * 50, "#include\n"])
def test_no_source_makes_it_raise(verifier, source):
    verdict = verifier.verify(child(source), Inspection(SETTINGS.task, BACKEND))
    assert isinstance(verdict, Verdict)
    assert (verdict.refusal is None) == (verdict.evidence is None)
    assert verdict.refusal is not Status.PASSED


def test_several_threads_may_ask_at_once(verifier):
    sources = [SETTINGS.seeds[0].source, "int x;"] * 4
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda s: verifier.verify(child(s), Inspection(SETTINGS.task, BACKEND)), sources))
    assert [verdict.refusal for verdict in verdicts] == [verdicts[0].refusal, verdicts[1].refusal] * 4


def test_a_known_duplicate_names_the_earlier_one():
    source = SETTINGS.seeds[0].source
    known = {Kernel(source).normal_hash: 17}
    twin = child("// another comment\n" + source.replace("++m", "++m "))
    verdict = VERIFIERS["duplicate"].verify(twin, Inspection(SETTINGS.task, BACKEND, known))
    assert verdict.refusal is Status.DUPLICATE
    assert verdict.evidence is not None
    assert "candidate 17" in verdict.evidence.reason
    other = child(source.replace("++m", "m += 1"))
    assert VERIFIERS["duplicate"].verify(other, Inspection(SETTINGS.task, BACKEND, known)).refusal is None


def test_what_does_not_compile_carries_the_compilers_words():
    broken = child(SETTINGS.seeds[0].source.replace("double sum", "duoble sum"))
    verdict = VERIFIERS["compile"].verify(broken, Inspection(SETTINGS.task, BACKEND))
    assert verdict.refusal is Status.COMPILE_FAILED
    assert verdict.evidence is not None
    assert "'duoble' was not declared" in verdict.evidence.reason


def test_the_cheapest_come_first():
    own = [verifier for verifier in VERIFIERS.values() if not getattr(verifier, "needs_model", False)]
    ordered = sorted(own, key=lambda verifier: verifier.price_s)
    assert [verifier.name for verifier in ordered] == ["duplicate", "contract", "renamed", "resources", "compile"]
