"""What a cubin becomes when it is shown: the instructions, and what they tell of a kernel's speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.backends.cuda import Cuda
from evokern.backends.triton import Triton
from evokern.plugins.protocols import DeviceBackend
from evokern.records.kernel import Kernel
from evokern.records.program import Listing
from evokern.report import health
from evokern.toolchain import disassembly
from tests.triton_variants import EXAMPLES, seed_kernel, task_of

needs_tool = pytest.mark.skipif(disassembly.find() is None, reason="no nvdisasm, neither Triton's nor another")


def listed(backend: DeviceBackend, kernel: Kernel, target: str = "cuda:90") -> dict[str, Listing]:
    task = task_of("layernorm")
    return {one.language: one for one in backend.disassemble(kernel, task, task.time[0], target)}


@needs_tool
def test_a_triton_kernel_is_shown_as_ptx_and_as_sass():
    found = listed(Triton(), seed_kernel("layernorm"))
    assert list(found) == ["PTX", "SASS"]
    assert ".visible .entry layernorm_rows" in found["PTX"].text
    assert "LDG.E.128" in found["SASS"].text
    assert "EXIT" in found["SASS"].text
    assert str(found["SASS"]).startswith("layernorm_rows in SASS: ")
    assert "loads of global memory" in found["SASS"].fact


@needs_tool
def test_a_cuda_kernel_is_shown_as_ptx_and_as_sass():
    found = listed(Cuda(), Kernel((EXAMPLES / "layernorm.cu").read_text(), "cuda"))
    assert list(found) == ["PTX", "SASS"]
    assert ".entry" in found["PTX"].text
    assert "EXIT" in found["SASS"].text


def test_amd_s_assembly_is_shown_as_the_compiler_writes_it():
    found = listed(Triton(), seed_kernel("layernorm"), "hip:gfx942")
    assert list(found) == ["AMDGCN"]
    assert "s_endpgm" in found["AMDGCN"].text


def test_the_compiler_s_own_text_is_there_without_a_disassembler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disassembly, "find", lambda: None)
    assert list(listed(Triton(), seed_kernel("layernorm"))) == ["PTX"]


def test_what_does_not_compile_is_not_shown():
    assert listed(Triton(), Kernel("def (", "triton")) == {}
    assert listed(Cuda(), Kernel("", "cuda")) == {}


@needs_tool
def test_what_is_no_cubin_shows_nothing():
    assert disassembly.sass(b"\x7fELF and nothing else") == ()


def test_instructions_of_ptx_are_counted():
    text = """
.version 8.7
.visible .entry scale(
\t.param .u64 .ptr .global .align 16 scale_param_0
)
{
\t.reg .b32 \t%r<3>;
// %bb.0:
\tmov.u32 \t%r1, %tid.x;
\t// begin inline asm
\t@%p1 ld.global.v4.b32 { %r2, %r3, %r4, %r5 }, [ %rd1 + 0 ];
\t// end inline asm
$L__tmp0:
\tbar.sync \t0;
\tret;
}
"""
    (listing,) = disassembly.ptx("scale", text)
    assert str(listing) == "scale in PTX: 4 instructions"
    assert disassembly.ptx("scale", "") == ()


def test_a_fact_tells_widths_and_kinds():
    text = """
	.section	.text.scale,"ax",@progbits
scale:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P1 LDG.E.128 R12, desc[UR6][R16.64] ;
        /*0020*/              @!P1 LDG.E.128.CONSTANT R16, desc[UR6][R16.64+0x10] ;
        /*0030*/                   LDG.E R4, desc[UR6][R2.64] ;
        /*0040*/                   LDG.E.U16 R4, desc[UR6][R2.64] ;
        /*0050*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
        /*0060*/                   STL [R1], R4 ;
        /*0070*/                   STG.E.64 desc[UR6][R2.64], R4 ;
        /*0080*/                   NOP ;
	.section	.text.other,"ax",@progbits
        /*0000*/                   EXIT ;
"""
    scale, other = disassembly._functions(text)
    assert (scale.function, other.function) == ("scale", "other")
    assert scale.fact == (
        "8 instructions; loads of global memory: 2 of 128 bits, 1 of 32 bits, 1 of 16 bits; "
        "stores to it: 1 of 64 bits; 1 on tensor cores; 1 to a thread's own stack"
    )
    assert other.fact == "1 instructions"


def test_doctor_says_where_the_disassembler_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disassembly, "find", lambda: Path("/opt/nvdisasm"))
    assert any(one.found == "/opt/nvdisasm" and one.works for one in health._gpus(()))
    monkeypatch.setattr(disassembly, "find", lambda: None)
    (missing,) = (one for one in health._gpus(()) if one.item == "disassembler")
    assert not missing.works
    assert "pip install" in missing.advice
