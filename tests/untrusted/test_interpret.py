"""What Triton's interpreter computes here is what a device would, and what it can't do is no fault of a kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from evokern.backends._triton_language import FUNCTIONS
from evokern.records.task import DType, Task, Tensor

N = 64
HEAD = """import triton
import triton.language as tl
from triton.language.extra import libdevice

@triton.jit
def plus(a, b):
    return a + b

@triton.jit
def scaled(a, factor=-2.0, input=1.0):
    return a * factor * input

@triton.jit
def f(x, y, N, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < N, other=0.0)
"""
TAIL = """
    tl.store(y + at, value, mask=at < N)

def kernel(x, y, N):
    f[(1,)](x, y, N, BLOCK=64)
"""
X = np.random.default_rng(3).standard_normal(N).astype(np.float32)
ABOVE = np.abs(X)

COMPUTED: dict[str, tuple[str, Any]] = {
    "cumsum": ("value = tl.cumsum(value, 0)", np.cumsum(X)),
    "cumsum of rows, reversed": (
        "value = tl.ravel(tl.cumsum(tl.reshape(value, [8, 8]), 1, reverse=True))",
        np.cumsum(X.reshape(8, 8)[:, ::-1], 1)[:, ::-1].ravel(),
    ),
    "cumprod": ("value = tl.cumprod(value, 0)", np.cumprod(X)),
    "associative_scan": ("value = tl.associative_scan(value, 0, plus)", np.cumsum(X)),
    "reduce": ("value = value * 0 + tl.reduce(value, 0, plus)", np.full(N, X.sum())),
    "max and its place": (
        "v, i = tl.max(value, 0, return_indices=True)\n    value = value * 0 + v + i",
        np.full(N, X.max() + X.argmax()),
    ),
    "argmin": ("value = value * 0 + tl.argmin(value, 0)", np.full(N, X.argmin())),
    "sort": ("value = tl.sort(value)", np.sort(X)),
    "flip": ("value = tl.flip(value, 0)", X[::-1]),
    "gather": ("value = tl.gather(value, (at + 1) % 64, 0)", np.roll(X, -1)),
    "histogram": ("value = tl.histogram((at // 2), 64).to(tl.float32)", np.repeat([2.0, 0.0], 32)),
    "softmax": ("value = tl.softmax(value)", np.exp(X - X.max()) / np.exp(X - X.max()).sum()),
    "joined and split": ("a, b = tl.split(tl.join(value, -value))\n    value = a - b", 2 * X),
    "and of tensors": ("value = tl.where(value > 0 and value < 1, 1.0, 0.0)", ((X > 0) & (X < 1)) * 1.0),
    "or of tensors": ("value = tl.where(value > 1 or value < 0, 1.0, 0.0)", ((X > 1) | (X < 0)) * 1.0),
    "and of a constant": ("value = value if BLOCK == 64 and N == 64 else -value", X),
    "a loop variable has a type": ("for i in range(tl.program_id(0), 4, 1): value += i.to(tl.float32)", X + 6),
    "a loop of tl.range": ("for i in tl.range(0, 4, num_stages=2): value += i.to(tl.int64)", X + 6),
    "a loop wraps around": ("for i in range(65536, 65537): value = value * 0 + (i * 65536)", np.zeros(N)),
    "static_range": ("for i in tl.static_range(4): value += i", X + 6),
    "defaults": ("value = scaled(value) + scaled(value, factor=-1.0, input=3.0)", -5 * X),
    "assert does nothing": ("assert N < 3, 'a device does not look'", X),
    "device_print says nothing": ("tl.device_print('x', value)", X),
    "maximum ignores NaN": ("value = tl.maximum(value, float('nan'))", X),
    "block pointers": (
        "p = tl.make_block_ptr(x, shape=(8, 8), strides=(8, 1), offsets=(0, 0), block_shape=(8, 8), order=(1, 0))\n"
        "    value = tl.ravel(tl.trans(tl.load(tl.advance(p, (0, 4)), boundary_check=(0, 1), padding_option='zero')))",
        np.pad(X.reshape(8, 8)[:, 4:], ((0, 0), (0, 4))).T.ravel(),
    ),
    "descriptors": (
        "d = tl.make_tensor_descriptor(x, shape=[8, 8], strides=[8, 1], block_shape=[8, 8])\n"
        "    value = tl.ravel(d.load([0, 4]))",
        np.pad(X.reshape(8, 8)[:, 4:], ((0, 0), (0, 4))).ravel(),
    ),
    "descriptors by the row": (
        "for i in range(1):\n"
        "        value = tl.make_tensor_descriptor(x, [64], [1], [64]).load([i])",
        X,
    ),
}  # fmt: skip
LIBDEVICE: dict[str, Any] = {
    "tanh(value)": np.tanh(X), "expm1(value)": np.expm1(X), "log1p(tl.abs(value))": np.log1p(ABOVE),
    "erf(value)": torch.erf(torch.from_numpy(X)).numpy(), "erfc(value)": torch.erfc(torch.from_numpy(X)).numpy(),
    "pow(tl.abs(value), value)": np.power(ABOVE.astype(np.float64), X),
    "atan2(value, tl.abs(value))": np.arctan2(X, ABOVE),
    "round(value)": np.copysign(np.floor(ABOVE + 0.5), X), "rint(value)": np.rint(X),
    "hypot(value, value)": np.hypot(X, X),
    "isnan(value).to(tl.float32)": np.zeros(N), "fma(value, value, value)": X * X + X, "cbrt(value)": np.cbrt(X),
    "lgamma(tl.abs(value))": torch.lgamma(torch.from_numpy(ABOVE)).numpy(), "div_rn(value, 3.0)": X / np.float32(3),
    "exp10(value)": np.power(10.0, X), "sinh(value)": np.sinh(X), "rsqrt(tl.abs(value))": 1 / np.sqrt(ABOVE),
    "fmod(value, 0.5)": np.fmod(X, np.float32(0.5)), "copysign(tl.abs(value), value)": X, "trunc(value)": np.trunc(X),
    "float_as_int(value).to(tl.float32, bitcast=True)": X, "sinpi(value)": np.sin(np.pi * X.astype(np.float64)),
}  # fmt: skip
UNSUPPORTED = ("value = libdevice.fast_expf(value)", "value = libdevice.erfinv(value)", "value = libdevice.j0(value)")


def task(dtype: DType = DType.FLOAT32, count: str = "N") -> Any:
    made = Task(
        name="t", category="other", reference_file="t.py", reference_source="",
        arguments=(Tensor("x", dtype, (count,)),), returns=(Tensor("y", dtype, (count,)),),
        check=({"N": N},), time=({"N": N},),
    )  # fmt: skip
    return TypeAdapter(Task).dump_python(made, mode="json")


def interpret(sources: list[str], dtype: DType = DType.FLOAT32, x: Any = X, size: int = N) -> list[dict[str, Any]]:
    cases = [
        {"task": task(dtype), "source": source, "shape": {"N": size}, "inputs": {"x": x.tobytes().hex()}}
        for source in sources
    ]
    command = [sys.executable, "-m", "tests.untrusted.interpreting"]
    ended = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def bodies(*codes: str) -> list[str]:
    return [f"{HEAD}    {code}\n{TAIL}" for code in codes]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """All of the cases of this file in one process, which takes a second to load."""
    codes = {name: code for name, (code, _) in COMPUTED.items()}
    codes |= {name: f"value = libdevice.{name}" for name in LIBDEVICE} | {code: code for code in UNSUPPORTED}
    return dict(zip(codes, interpret(bodies(*codes.values())), strict=True))


@pytest.mark.parametrize("name", [*COMPUTED, *LIBDEVICE])
def test_what_is_interpreted_is_what_a_device_computes(name: str, found: dict[str, dict[str, Any]]):
    assert "failed" not in found[name], found[name]
    wanted = COMPUTED[name][1] if name in COMPUTED else LIBDEVICE[name]
    got = np.frombuffer(bytes.fromhex(found[name]["outputs"]["y"]), np.float32)
    np.testing.assert_allclose(got, np.asarray(wanted, np.float64), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("code", UNSUPPORTED)
def test_what_the_interpreter_can_t_do_is_no_fault(code: str, found: dict[str, dict[str, Any]]):
    assert found[code]["unsupported"], found[code]


def test_a_fault_of_the_kernel_is_none_of_the_interpreter_s():
    codes = ("value = tl.load(x + at + 1)", "value = value + tl.arange(0, 32)", "value = (3).to(tl.float32)")
    for one in interpret(bodies(*codes)):
        assert one["unsupported"] is False, one


@pytest.mark.parametrize("dtype", [DType.BFLOAT16, DType.FLOAT16])
def test_atomic_additions_of_16_bits_are_rounded_one_after_the_other(dtype: DType):
    kind = torch.bfloat16 if dtype is DType.BFLOAT16 else torch.float16
    x = torch.from_numpy(X).to(kind)
    source = (
        HEAD
        + "    tl.store(y + at, tl.zeros([BLOCK], tl.float32))\n    tl.atomic_add(y + at // 64, value, mask=at < 48)\n"
        + TAIL.partition("\n\n")[2]
    )
    (found,) = interpret([source.replace("mask=at < N, other=0.0", "")], dtype, x.view(torch.int16).numpy())
    assert "failed" not in found, found
    wanted = torch.zeros((), dtype=kind)
    for one in x[:48]:
        wanted = wanted + one
    got = np.frombuffer(bytes.fromhex(found["outputs"]["y"]), np.int16)
    assert got[0] == wanted.view(torch.int16).item()
    assert not got[1:].any()


def test_garbage_of_masked_lanes_survives_and_changes():
    """A lane that no load fills is seen in a maximum, in a minimum and in a sum, and is another at each load."""
    load = "tl.load(x + at, mask=at < 32)"
    codes = [f"value = value * 0 + tl.{one}({load}, 0)" for one in ("max", "min", "sum")]
    codes += [f"value = tl.where(at < 32, 0.0, {load} - {load})", f"value = value * 0 + tl.max({load} * 0 + 1, 0)"]
    results = [np.frombuffer(bytes.fromhex(one["outputs"]["y"]), np.float32) for one in interpret(bodies(*codes))]
    assert results[0][0] > 1e30
    assert results[1][0] < -1e30
    assert not abs(results[2][0]) < 1e30
    assert (results[3][32:] != 0).all()
    assert results[4][0] == 1


def test_a_size_of_one_is_a_constant_as_it_is_when_compiled():
    source = HEAD + "    value = value * 0 + (-N) // 2\n" + TAIL
    (found,) = interpret([source], x=X[:1], size=1)
    assert np.frombuffer(bytes.fromhex(found["outputs"]["y"]), np.float32)[0] == -1  # Python's, not a device's


def test_tf32_is_named():
    source = (
        HEAD + "    r = tl.arange(0, 16)\n    a = tl.load(x + (r[:, None] + r[None, :]) % 64)\n"
        "    p = tl.dot(a, a)\n    value = value * 0 + tl.sum(p)\n" + TAIL
    )
    command = [sys.executable, "-m", "tests.untrusted.interpreting"]
    case = {"task": task(), "source": source, "shape": {"N": N}, "inputs": {"x": X.tobytes().hex()}}
    ended = subprocess.run(command, input=json.dumps([case]), capture_output=True, text=True, check=False)
    assert "tl.dot rounds float32 to TF32" in ended.stderr


def test_every_function_that_a_kernel_may_say_exists():
    import triton.language as tl

    assert not [name for name in FUNCTIONS if not hasattr(tl, name)]
