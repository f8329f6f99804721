"""The shipped suite, run over every backend that is found, and what only several backends or our examples can show."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.plugins.protocols import Backend, DeviceBackend
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel
from evokern.records.program import Program
from evokern.records.task import Task
from evokern.taskfile.settings import load
from evokern.testing.backends import BackendSuite

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


class TestBackends(BackendSuite):
    task = TASK

    @pytest.fixture(params=list(BACKENDS))
    def backend(self, request):
        return BACKENDS[request.param]

    @pytest.fixture
    def kernel(self, backend):
        return seed(backend)


def test_suffixes_tell_languages_apart():
    suffixes = [backend.suffix for backend in BACKENDS.values()]
    assert len(set(suffixes)) == len(suffixes)


@backends
def test_ours_tell_something_of_a_good_kernel(backend: Backend):
    assert backend.profile(seed(backend), TASK)


@devices
def test_shapes_that_differ_share_what_is_compiled(backend: DeviceBackend):
    programs = [backend.program(seed(backend), TASK, {"M": m, "N": 1024}, backend.targets[0]) for m in (32, 64)]
    one, other = (program for program in programs if isinstance(program, Program))
    assert one.modules == other.modules
    assert one.launches[0].grid != other.launches[0].grid
