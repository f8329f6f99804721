"""What a newcomer's task file gets wrong is told in words of people, at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.records.errors import EvokernError
from evokern.taskfile.settings import load
from evokern.toolchain import machine
from tests.cli.test_program import TASK
from tests.specimens import SEED


@pytest.mark.parametrize(
    "slip",
    [
        ("check: [{N: 3}]", "check: [{N: 0}]", "task.check.0.N: expected a number greater than 0, got 0"),
        ("check: [{N: 3}]", "check: {N: 3}", "task.check: expected a list: [one, two]"),
        ("check: [{N: 3}]", "check: [3]", "task.check.0: expected keys with values, such as {M: 4, N: 8}, got 3"),
        ("check: [{N: 3}]", "check: []", "task.check: expected at least 1 item, got []"),
        ("check: [{N: 3}]", f"check: [{{N: {10**400}}}]", "task.check.0.N: expected a number of at most 64 characters"),
        ("check: [{N: 3}]", f"check: [{{N: {10**15}}}]", "expected a size of at most"),
        (
            "check: [{N: 3}]",
            f"check: [{{N: {2**45}}}]",
            "tensors that a machine can hold, got x of 1.41e+14 bytes",
        ),
        ("search: {generations: 7}", "search: quick", "search: expected keys with values, got 'quick' (text)"),
        ("search: {generations: 7}", "budget: {time: 60}", "budget.time: unknown key; did you mean 'time_s'?"),
        ("search: {generations: 7}", "budget: {device: 60}", "budget.device: unknown key; did you mean 'device_s'?"),
        ('{x: "float32[N]"}\n  returns', "{x: [1]}\n  returns", "arguments.x: expected text, a number, true or false"),
        ("search: {generations: 7}", "evaluation: {threads: 999}", "expected at most 2 threads"),
    ],
)
def test_a_slip_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slip: tuple[str, str, str]):
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    old, new, says = slip
    assert old in TASK
    (tmp_path / "copy.yaml").write_text(TASK.replace(old, new, 1))
    (tmp_path / "copy.py").write_text("def reference(x):\n    return x.clone()\n")
    (tmp_path / "copy.cpp").write_text(SEED.source)
    with pytest.raises(EvokernError) as caught:
        load(tmp_path / "copy.yaml")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
