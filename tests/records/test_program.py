"""What the trusted launcher executes: written and read back exactly, and nothing else is believed."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest

from evokern.records.errors import EvokernError
from evokern.records.program import (
    CType,
    Launch,
    NullPointer,
    NumberValue,
    Program,
    Resources,
    ScratchPointer,
    TensorPointer,
    checked,
)

LAUNCH = Launch(
    module=1,
    function="layernorm_rows",
    grid=(33, 1, 1),
    block_threads=(128, 1, 1),
    shared_bytes=16,
    parameters=(
        TensorPointer("x"),
        ScratchPointer(0),
        NumberValue(CType.FLOAT32, 1e-5),
        NumberValue(CType.INT64, 2**40),
        NumberValue(CType.BOOL, True),
        NullPointer(),
    ),
)
PROGRAM = Program("cuda:90", (b"one", b"another"), (LAUNCH,), (4096,), (Resources("layernorm_rows", 32, 0, 16),))


def forged(**changes: object) -> bytes:
    """`PROGRAM` with other words in its header."""
    content = PROGRAM.to_bytes()
    (length,) = struct.unpack_from("<I", content, 8)
    header = json.loads(content[12 : 12 + length]) | changes
    text = json.dumps(header, separators=(",", ":")).encode()
    return content[:8] + struct.pack("<I", len(text)) + text + content[12 + length :]


def test_a_program_comes_back_as_it_was():
    assert Program.from_bytes(PROGRAM.to_bytes()) == PROGRAM


def test_numbers_are_packed_as_the_device_reads_them():
    assert NumberValue(CType.INT32, -1).packed == b"\xff\xff\xff\xff"
    assert NumberValue(CType.FLOAT64, 1.0).packed == struct.pack("<d", 1.0)
    assert NumberValue(CType.BOOL, True).packed == b"\x01"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"evokern1",
        b"\x80\x04pickle" * 10,
        PROGRAM.to_bytes()[:-1],
        PROGRAM.to_bytes() + b"more",
        forged(module_bytes=[3, 10**6]),
        forged(target="cuda:90; rm"),
        forged(secrets="none"),
        forged(launches=[]),
        forged(scratch_bytes=[]),
        forged(scratch_bytes=[1 << 60]),
    ],
)
def test_other_bytes_are_refused(content: bytes):
    with pytest.raises(EvokernError, match="expected a program"):
        Program.from_bytes(content)


@pytest.mark.parametrize(
    "launch",
    [
        replace(LAUNCH, module=2),
        replace(LAUNCH, function="a name"),
        replace(LAUNCH, grid=(0, 1, 1)),
        replace(LAUNCH, grid=(1, 1 << 16, 1)),
        replace(LAUNCH, block_threads=(1024, 2, 1)),
        replace(LAUNCH, cluster_blocks=2),
        replace(LAUNCH, grid=(32, 1, 1), cluster_blocks=16),
        replace(LAUNCH, shared_bytes=1 << 20),
        replace(LAUNCH, parameters=(ScratchPointer(1),)),
        replace(LAUNCH, parameters=(NumberValue(CType.INT32, 2**31),)),
        replace(LAUNCH, parameters=(NumberValue(CType.INT32, 0.5),)),
        replace(LAUNCH, parameters=(NumberValue(CType.INT32, True),)),
    ],
)
def test_a_launch_beyond_its_limits_is_refused(launch: Launch):
    with pytest.raises(EvokernError, match="expected a program that can be launched"):
        checked(replace(PROGRAM, launches=(launch,)))
    with pytest.raises(EvokernError, match="expected a program"):
        Program.from_bytes(replace(PROGRAM, launches=(launch,)).to_bytes())


def test_clusters_are_launched_where_they_are_known():
    clustered = replace(LAUNCH, grid=(32, 1, 1), cluster_blocks=2)
    for target in ("cuda:90", "cuda:100"):
        checked(replace(PROGRAM, target=target, launches=(clustered,)))
    for target in ("cuda:80", "hip:gfx942"):
        with pytest.raises(EvokernError, match="launches clusters on"):
            checked(replace(PROGRAM, target=target, launches=(clustered,)))


def test_a_block_takes_no_more_shared_memory_than_its_target_has():
    for target, most in (("cuda:90", 232_448), ("cuda:80", 166_912), ("hip:gfx942", 65_536)):
        checked(replace(PROGRAM, target=target, launches=(replace(LAUNCH, shared_bytes=most),)))
        with pytest.raises(EvokernError, match=f"takes {most + 1} bytes of shared memory a block, of {most}"):
            checked(replace(PROGRAM, target=target, launches=(replace(LAUNCH, shared_bytes=most + 1),)))
