"""What device code may say: nothing that tells an interpreter from a compiler, and all that honest code says."""

from __future__ import annotations

import pytest

from evokern.backends._triton_module import device_functions
from evokern.records.outcome import Evidence

MODULE = """import triton
import triton.language as tl
from triton.language.extra import libdevice

{before}

@triton.jit
def add(a, b):
    return a + b

@triton.jit
def f(x, y, N, BLOCK: tl.constexpr{more}):
    pid = tl.program_id(0)
    at = pid * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < N, other=0.0)
    {code}
    tl.store(y + at, value, mask=at < N)
"""


def functions(code: str = "pass", before: str = "", more: str = "") -> object:
    return device_functions(MODULE.format(code=code, before=before, more=more))


@pytest.mark.parametrize(
    "code",
    [
        "N = N * (pid.handle is None)",
        "if isinstance(pid.handle, tl.core.ir.value): N = N * 0",
        "if isinstance(BLOCK, tl.constexpr): N = N * 0",
        "if hasattr(pid, 'data'): N = N * 0",
        "if getattr(pid, 'handle', None): N = N * 0",
        "if pid.type == tl.int32: N = N * 0",
        "if BLOCK.value: N = N * 0",
        "if pid.__class__: N = N * 0",
        "if f.__name__ == 'f': N = N * 0",
        "if f'{pid}' == '[0]': N = N * 0",
        "if '%s' % pid == '[0]': N = N * 0",
        "if '{}'.format(pid) == '[0]': N = N * 0",
        "if str(pid) == '[0]': N = N * 0",
        "if repr(pid) == '[0]': N = N * 0",
        "if '0' in pid: N = N * 0",
        "if pid is value: N = N * 0",
        "if pid.dtype.name == 'int32': N = N * 0",
        "if tl.core.is_builtin(tl.load): N = N * 0",
        "if tl.tensor: N = N * 0",
        "if tl.standard: N = N * 0",
        "if tl.math.core: N = N * 0",
        "if triton.runtime.interpreter: N = N * 0",
        "if triton.knobs.runtime.interpret: N = N * 0",
        "if tl.target_info.is_cuda(): N = N * 0",
        "if tl.extra.cuda.smid(): N = N * 0",
        "if libdevice.core: N = N * 0",
        "if interpreter_builder: N = N * 0",
        "if np.float32: N = N * 0",
        "tl.static_print(pid)",
        "print(pid)",
        "value = tl.inline_asm_elementwise('nop;', '=r', [value], tl.float32, True, 1)",
        "value = tl.load(x + at, _semantic=None)",
        "value = tl.load(*at)",
        "value = tl.load(**at)",
        "value = (lambda v: v)(value)",
        "value = [v for v in at][0](value)",
        "value = pid(value)",
        "tl = value",
        "range = value",
        "value[0] = 1",
        "value.handle = 1",
        "try: N = pid.x\n    except AttributeError: N = 0",
        "with pid: pass",
        "raise pid",
        "global N",
        "del value",
        "import os",
        "(N := 0)",
        "def g(): pass",
        "async def g(): pass",
        "match pid:\n        case 0: pass",
        "value = {1: value}",
        "value = {value}",
        "value = b'0'",
        "value = ...",
        "value = 1j",
    ],
)
def test_what_tells_an_interpreter_from_a_compiler_is_refused(code: str):
    found = functions(code)
    assert isinstance(found, Evidence), code
    assert found.stage == "plan"
    assert "expected" in found.reason


@pytest.mark.parametrize(
    ("before", "more"),
    [
        ("import triton.runtime.interpreter as i", ""),
        ("from triton.language import core", ""),
        ("from triton.language.extra import module_finder", ""),
        ("from triton.language import *", ""),
        ("FORM = tl.constexpr('%s')", ""),
        ("A = tl.load", ""),
        ("A = triton.knobs", ""),
        ("A = [1]", ""),
        ("tl = 1", ""),
        ("", ", EXTRA=tl.core"),
        ("", ", EXTRA=[]"),
        ("", ", EXTRA: tl.int64 = 1"),
        ("", ", *more"),
        ("", ", tl=1"),
    ],
)
def test_modules_constants_and_parameters_are_on_the_list_too(before: str, more: str):
    assert isinstance(functions(before=before, more=more), Evidence)


@pytest.mark.parametrize(
    "code",
    [
        "'words for people: 100 % {of} them'",
        "value = value.to(y.dtype.element_ty)",
        "value = value.to(tl.float32, bitcast=True)",
        "value = -value if N > 3 else +value",
        "value = tl.where((at < N) & ~(at >= 3), value, float('-inf'))",
        "value = libdevice.tanh(value) + tl.extra.libdevice.expm1(value) + tl.math.exp2(value)",
        "value = tl.reduce(value, 0, add) + tl.associative_scan(value, 0, add)",
        "value = tl.max(value, axis=0, keep_dims=True)",
        "value, index = tl.max(value, 0, return_indices=True)",
        "for i in tl.static_range(0, 4, 1): value += i",
        "for i in tl.range(0, N, BLOCK, num_stages=3, flatten=True): value += i",
        "for i in range(0, tl.cdiv(N, BLOCK)): value += i",
        "while tl.atomic_cas(y, 0, 1) == 1: pass",
        "tl.atomic_add(y + at, value, mask=at < N, sem='relaxed', scope='gpu')",
        "p = tl.make_block_ptr(x, shape=(N,), strides=(1,), offsets=(0,), block_shape=(BLOCK,), order=(0,))",
        "d = tl.make_tensor_descriptor(x, [N, N], [N, 1], [16, 16])\n    value = d.load([0, 0]).T",
        "value = value[:, None] * value[None, :]",
        "value = tl.load(x + at, eviction_policy='evict_last', cache_modifier='.cg')",
        "value = tl.dot(value, value, input_precision='tf32x3', out_dtype=tl.float32)",
        "tl.device_assert(pid < N, 'no more than {N} of 100 % programs')",
        "tl.static_assert(BLOCK >= 16, 'too small')",
        "tl.multiple_of(at, 16)",
        "assert N > 3, 'a few'",
        "C: tl.constexpr = BLOCK // 2",
        "if N is not None and BLOCK == 64: value += 1",
        "if value.dtype == tl.float32: value += 1",
        "a, b = tl.split(tl.join(value, value))",
        "value += triton.cdiv(BLOCK, 2) + triton.next_power_of_2(BLOCK) + min(BLOCK, 3) + int(3.0)",
        "value = tl.rand(0, at) + tl.randn(0, at)",
        "offsets = [at + 1, at + 2]",
        "tl.debug_barrier()",
        "value = value.sum(0) + value.max(0)",
        "value += len(x.shape)",
        "pass\n    if pid > 3: return",
    ],
)
def test_what_honest_kernels_say_is_on_the_list(code: str):
    found = functions(code)
    assert not isinstance(found, Evidence), found


@pytest.mark.parametrize(
    ("before", "more"),
    [
        ("LOG2E: tl.constexpr = 1.4426950408889634", ""),
        ("LOG2E = tl.constexpr(1.4426950408889634)\nTWICE = 2 * LOG2E", ""),
        ("KIND = tl.float32", ""),
        ("MODE = tl.constexpr('evict-first.2')", ""),
        ("LEAST = float('-inf')", ""),
        ("", ", factor=-1.5"),
        ("", ", factor: float = 2.0, n: int = -1, flag: tl.constexpr = True"),
        ("", ", input=0"),
        ("", ", scale: 'tl.tensor' = None"),
        ("from triton.language.extra.cuda.libdevice import tanh", ""),
        ("from triton.language.extra import libdevice as lib", ""),
        ("from triton import cdiv, jit, language", ""),
        ("from triton.language import load, float16", ""),
    ],
)
def test_annotations_defaults_and_imports_are_no_fault(before: str, more: str):
    found = functions(before=before, more=more)
    assert not isinstance(found, Evidence), found
