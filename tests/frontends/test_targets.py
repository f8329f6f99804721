"""Verbs that take a task take PyTorch code, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from evokern.cli import cli
from tests.thorough import first

CODE = """import torch


def squared_relu(x):
    return torch.relu(x).square()


def example_inputs():
    return {"x": torch.randn(8, 1024)}
"""
KERNEL = """
extern "C" void kernel(const float* x, float* y, int64_t M, int64_t N) {
    for (int64_t i = 0; i < M * N; ++i) y[i] = x[i] > 0 ? x[i] * x[i] : 0 * x[i];
}
"""
ECHO = KERNEL.replace("x[i] > 0 ? x[i] * x[i] : 0 * x[i]", "x[i]")


@pytest.mark.parametrize(("source", "code", "said"), first([(ECHO, 1, "wrong"), (KERNEL, 0, "over eager")]))
def test_a_kernel_is_checked_against_the_user_s_code(tmp_path: Path, source: str, code: int, said: str) -> None:
    (tmp_path / "act.py").write_text(CODE)
    (tmp_path / "mine.cpp").write_text(source)
    result = CliRunner().invoke(cli, ["check", str(tmp_path / "mine.cpp"), str(tmp_path / "act.py")])
    assert (result.exit_code in (0, 3)) == (code == 0), result.output
    assert said in result.output, result.output


def test_a_kernel_that_declares_nothing_is_not_tuned_for_it(tmp_path: Path) -> None:
    (tmp_path / "act.py").write_text(CODE)
    (tmp_path / "mine.cpp").write_text(KERNEL)
    result = CliRunner().invoke(cli, ["tune", str(tmp_path / "mine.cpp"), f"{tmp_path / 'act.py'}:squared_relu"])
    assert "declares nothing to tune" in str(result.exception)
