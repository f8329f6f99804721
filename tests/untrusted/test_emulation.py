"""Arithmetic of the interpreter that must be a device's."""

from __future__ import annotations

import numpy as np
import torch

from evokern.untrusted.emulation import from_bfloat16, to_bfloat16, to_tf32


def test_bfloat16_rounds_as_torch_does():
    values = np.random.default_rng(0).standard_normal(10000).astype(np.float32)
    values[:6] = [0.0, -0.0, np.inf, -np.inf, 3.4e38, 1e-40]
    wanted = torch.from_numpy(values).bfloat16()
    assert np.array_equal(from_bfloat16(to_bfloat16(values)), wanted.float().numpy())
    assert np.isnan(from_bfloat16(to_bfloat16(np.array([np.nan], np.float32)))).all()


def test_tf32_keeps_ten_bits():
    values = np.array([1.0, 1 + 2**-10, 1 + 2**-12, np.inf, np.nan], np.float32)
    assert np.array_equal(to_tf32(values), np.array([1.0, 1 + 2**-10, 1.0, np.inf, np.nan]), equal_nan=True)
