"""Hints fit the task: nothing of products for a norm, nothing of streaming stores for a small result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evokern.plugins.protocols import Conditions
from operators._angles import fitting
from operators._brief import angles
from tests.specimens import task

LANGUAGES = ["cpp", "cuda", "triton"]
PRODUCT = ("tl.dot", "ensor cores")
STREAMS = ("treaming stores", ".cs", "evict_first")


def told(language: str, category: str, elements: int) -> str:
    given = replace(task(), category=category, time=({"N": elements},))
    conditions = replace(Conditions(), language=language)
    points = [
        one for heading in ("First kernels", "Improvements") for one in fitting(angles(heading, conditions), given)
    ]
    assert len(points) > 10
    assert all(one.strip() for one in points)
    return "\n".join(points)


def has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("category", ["normalization", "softmax", "reduction", "elementwise", "memory"])
def test_no_product_is_proposed_to_what_has_none(language: str, category: str) -> None:
    assert not has(told(language, category, 1 << 20), PRODUCT)


@pytest.mark.parametrize("language", LANGUAGES)
def test_streaming_stores_are_for_large_results(language: str) -> None:
    assert not has(told(language, "reduction", 256), STREAMS)


def test_what_fits_stays() -> None:
    assert has(told("triton", "matmul", 1 << 20), PRODUCT)
    assert has(told("triton", "elementwise", 1 << 20), STREAMS)
    assert has(told("cpp", "elementwise", 1 << 20), STREAMS)


def test_a_task_of_an_unknown_category_is_told_by_its_reference() -> None:
    points = angles("Improvements", replace(Conditions(), language="triton"))
    given = replace(task(), category="quantisation", time=({"N": 1 << 20},))
    assert not has(chr(10).join(fitting(points, given)), PRODUCT)
    product = replace(given, reference_source="def reference(x, w):\n    return x @ w\n")
    assert fitting(points, product) == points
