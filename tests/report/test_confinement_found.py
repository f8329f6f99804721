"""What `evokern doctor` says of how well kernels are confined."""

from __future__ import annotations

import pytest

from evokern.report import health
from evokern.toolchain.confinement import Confinement


@pytest.mark.parametrize(
    ("reached", "mark"),
    [
        (Confinement(own_user=True, powerless=True, landlock=6, filtered=True), "ok"),
        (Confinement(own_user=True, powerless=True, landlock=0, filtered=True), "-"),
        (Confinement(own_user=True, powerless=True, landlock=6, filtered=False), "MISSING"),
    ],
)
def test_only_full_confinement_is_ok(reached: Confinement, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.confinement, "examine", lambda _: reached)
    (finding,) = health._confinement()
    assert finding.mark == mark
    assert bool(finding.advice) == (mark != "ok")
