"""What holds for every verifier that is found, an outsider's included; and for each of ours in the engine's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.plugins import registry
from evokern.plugins.protocols import Inspection, Verifier
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Status
from evokern.taskfile.settings import load
from evokern.testing.verifiers import VerifierSuite

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


class TestVerifiers(VerifierSuite):
    task, seed = SETTINGS.task, SETTINGS.seeds[0]

    @pytest.fixture
    def verifier(self, verifier):
        return verifier


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_seeds_pass(verifier, path):
    settings = load(path)
    backend = registry.chosen("backends", [settings.backend])[settings.backend]
    for seed in settings.seeds:
        verdict = verifier.verify(Child(seed, "seed", Recipe(seed)), Inspection(settings.task, backend))
        assert verdict.refusal is None, verdict.evidence


def test_ours_have_a_price():
    assert all(verifier.price_s > 0 for verifier in VERIFIERS.values())


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
