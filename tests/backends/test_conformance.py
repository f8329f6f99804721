"""What every backend keeps to, over all that `discover` returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.plugins.protocols import Backend, DeviceBackend
from evokern.plugins.registry import discover
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.program import Program
from evokern.records.task import Task
from evokern.taskfile.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"
BACKENDS: dict[str, Backend] = {name: plugin() for name, plugin in discover("backends").items()}
DEVICES = {name: backend for name, backend in BACKENDS.items() if isinstance(backend, DeviceBackend)}
TASK: Task = load(EXAMPLES / "layernorm.yaml").task

backends = pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
devices = pytest.mark.parametrize("backend", DEVICES.values(), ids=list(DEVICES))


def seed(backend: Backend) -> Kernel:
    """The LayerNorm of the examples in the backend's language."""
    (file,) = [path for path in EXAMPLES.glob(f"layernorm*{backend.suffix}") if path.name != TASK.reference_file]
    return Kernel(file.read_text(), backend.language)


def test_suffixes_tell_languages_apart():
    suffixes = [backend.suffix for backend in BACKENDS.values()]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.startswith(".") for suffix in suffixes)


@backends
def test_it_has_what_the_protocol_says(backend: Backend):
    assert isinstance(backend, Backend)
    assert isinstance(backend.timed, bool)
    assert BACKENDS[backend.name] is backend  # type: ignore[attr-defined]


@backends
def test_the_signature_names_every_argument(backend: Backend):
    signature = backend.signature(TASK)
    for name in ("kernel", "x", "weight", "bias", "eps", "y", "M", "N"):
        assert name in signature


@backends
def test_a_good_kernel_becomes_the_same_artefact_each_time(backend: Backend):
    first, second = (backend.compile(seed(backend), TASK) for _ in range(2))
    assert isinstance(first, Path), first
    assert first.exists()
    assert second == first


@backends
def test_a_profile_is_a_few_facts_that_are_the_same_each_time(backend: Backend):
    first, second = (backend.profile(seed(backend), TASK) for _ in range(2))
    assert first == second
    assert 1 <= len(first) <= 8
    assert all(fact and "\n" not in fact and len(fact) < 300 for fact in first)


@backends
def test_what_is_no_kernel_has_no_profile(backend: Backend):
    assert backend.profile(Kernel("nonsense (", backend.language), TASK) == ()


@backends
@pytest.mark.parametrize("source", ["", "nonsense (", "\0", "def kernel(): pass", "/* evokern: plan", "é" * 1000])
def test_what_is_no_kernel_is_evidence_and_no_exception(backend: Backend, source: str):
    found = backend.compile(Kernel(source, backend.language), TASK)
    assert isinstance(found, Evidence)
    assert found.reason
    assert "\n" not in found.reason


@backends
def test_a_worker_s_command_can_be_told_or_why_not(backend: Backend):
    artefact = backend.compile(seed(backend), TASK)
    assert isinstance(artefact, Path)
    try:
        command = backend.command(artefact, TASK)
    except EvokernError as error:
        command = [str(artefact), str(error)] if "GPU" in str(error) else []
    assert str(artefact) in command
    assert all(isinstance(word, str) for word in command)


@devices
def test_a_device_s_program_can_be_sent(backend: DeviceBackend):
    found = backend.program(seed(backend), TASK, TASK.time[0], backend.targets[0])
    assert isinstance(found, Program), found
    assert Program.from_bytes(found.to_bytes()) == found
    assert found.target == backend.targets[0]
    assert {one.function for one in found.resources} == {launch.function for launch in found.launches}


@devices
def test_shapes_that_differ_share_what_is_compiled(backend: DeviceBackend):
    programs = [backend.program(seed(backend), TASK, {"M": m, "N": 1024}, backend.targets[0]) for m in (32, 64)]
    one, other = (program for program in programs if isinstance(program, Program))
    assert one.modules == other.modules
    assert one.launches[0].grid != other.launches[0].grid


@devices
def test_what_is_no_kernel_has_no_program(backend: DeviceBackend):
    found = backend.program(Kernel("nonsense (", backend.language), TASK, TASK.time[0], backend.targets[0])
    assert isinstance(found, Evidence)
