"""Files and YAML that never end, or are not what they should be, are refused at once and are not quoted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evokern.records.errors import EvokernError
from evokern.taskfile.settings import load, read_kernel
from evokern.toolchain.textfile import read_text

TASK = """\
task:
  name: scale
  reference: {reference}
  arguments: {{x: "float32[M]"}}
  returns: {{y: "float32[M]"}}
  check: [{{M: 1}}]
  time: [{{M: 4096}}]
seeds: [{seed}]
"""
REFERENCE = "def reference(x):\n    return x\n"
SEED = 'extern "C" void kernel(const float* x, float* y, int64_t M) {}\n'
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0IGtlcm5lbA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    (tmp_path / "scale.py").write_text(REFERENCE)
    (tmp_path / "seed.cpp").write_text(SEED)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "key.cpp").write_text(KEY)
    (tmp_path / "notes.cpp").write_text("the password is hunter2\n")
    (tmp_path / "binary.cpp").write_bytes(b"\x7fELF kernel hunter2 \xff")
    (tmp_path / "huge.cpp").write_text(SEED + "// hunter2\n" * 200_000)
    return tmp_path / "task.yaml"


@pytest.mark.parametrize("given", ["fifo", "/dev/zero", "/dev/urandom", ".", "huge.cpp", "binary.cpp"])
@pytest.mark.parametrize("role", ["task", "reference", "seed"])
def test_what_is_no_text_file_is_refused(task: Path, role: str, given: str):
    task.write_text(TASK.format(**{"reference": "scale.py", "seed": "seed.cpp", role: given}))
    with pytest.raises(EvokernError) as refused:
        load(task.parent / given if role == "task" else task)
    assert any(words in str(refused.value) for words in ("regular file", "folder", "KiB", "no text"))


@pytest.mark.parametrize("seed", ["key.cpp", "notes.cpp", "binary.cpp", "huge.cpp"])
def test_a_seed_that_is_no_kernel_is_not_quoted(task: Path, seed: str):
    task.write_text(TASK.format(reference="scale.py", seed=seed))
    with pytest.raises(EvokernError, match="expected a kernel file") as refused:
        load(task)
    task.write_text(TASK.format(reference="scale.py", seed="seed.cpp"))
    with pytest.raises(EvokernError, match="expected a kernel file") as named:
        read_kernel(task.parent / seed, load(task))
    assert not any(secret in f"{refused.value}{named.value}" for secret in ("hunter2", "c2Vj"))


BILLION = "a0: &a0 [x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BILLION, "aliases written out"),
        ("a: " + "[" * 20_000 + "]" * 20_000, "nest deeper"),
        ("a: " + "{b: " * 5_000 + "1" + "}" * 5_000, "nest deeper"),
        ("".join(f"{' ' * level}a:\n" for level in range(500)), "nest deeper"),
        ("a: [" + "1," * 100_000 + "]", "more than"),
        ("a: " + "9" * 5_000, "characters"),
        ("a: 0x" + "f" * 9_000, "characters"),
        ("a: " + ":".join(["59"] * 5_000), "characters"),
        ("a: 1e999", "float64 holds"),
        ("a: &a [*a]", "contains itself"),
        ("# x\n" * 100_000, "KiB"),
    ],
)
def test_bombs_are_refused(tmp_path: Path, text: str, says: str):
    file = tmp_path / "bomb.yaml"
    file.write_text(text)
    with pytest.raises(EvokernError, match=says) as refused:
        load(file)
    assert len(str(refused.value)) < 600 + len(str(file))


def test_a_reference_that_nests_too_deeply_is_refused(task: Path):
    (task.parent / "scale.py").write_text(f"{REFERENCE}\ny = {'-' * 100_000}1\n")
    task.write_text(TASK.format(reference="scale.py", seed="seed.cpp"))
    with pytest.raises(EvokernError, match=r"nests too deeply|expected Python"):
        load(task)


def test_lines_end_alike(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"a\r\nb\rc\n")
    assert read_text(tmp_path / "file") == "a\nb\nc\n"


def test_a_dimension_that_nests_too_deeply_is_refused(task: Path):
    text = TASK.format(reference="scale.py", seed="seed.cpp")
    task.write_text(text.replace("float32[M]", f"float32[{'(' * 300}M{')' * 300}]"))
    with pytest.raises(EvokernError, match="at most 500 characters"):
        load(task)
