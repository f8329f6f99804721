"""What every backend must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.plugins.protocols import Backend, DeviceBackend
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.program import Program
from evokern.records.task import Task
from evokern.testing import specimens


class BackendSuite:
    """The conformance suite of backends: subclass it as ``Test...``, name the plug-in's class and give a kernel.

    Example:
        ```python
        class TestMine(BackendSuite):
            subject = Mine
            seed = Kernel("...", Mine.language)
        ```
    """

    subject: type[Backend]
    """The class of the backend; called without arguments."""
    seed: Kernel
    """A kernel for `task` that compiles."""
    task: Task = specimens.TASK

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend."""
        return self.subject()

    @pytest.fixture
    def kernel(self) -> Kernel:
        """A kernel that compiles."""
        return self.seed

    @pytest.fixture
    def device(self, backend: Backend) -> DeviceBackend:
        """The backend, if its kernels are device code."""
        if not isinstance(backend, DeviceBackend):
            pytest.skip("its kernels are no device code")
        return backend

    def test_it_has_what_the_contract_says(self, backend: Backend) -> None:
        assert isinstance(backend, Backend)
        assert isinstance(backend.timed, bool)
        assert backend.suffix.startswith(".")
        assert backend.language == getattr(backend, "name", None)

    def test_the_signature_names_every_argument(self, backend: Backend) -> None:
        signature = backend.signature(self.task)
        tensors = (*self.task.arguments, *self.task.returns)
        for name in ("kernel", *(argument.name for argument in tensors), *self.task.dimensions):
            assert name in signature

    def test_a_good_kernel_becomes_the_same_artefact_each_time(self, backend: Backend, kernel: Kernel) -> None:
        first, second = (backend.compile(kernel, self.task) for _ in range(2))
        assert isinstance(first, Path), first
        assert first.exists()
        assert second == first

    def test_a_profile_is_a_few_facts_that_are_the_same_each_time(self, backend: Backend, kernel: Kernel) -> None:
        first, second = (backend.profile(kernel, self.task) for _ in range(2))
        assert first == second
        assert len(first) <= 8
        assert all(fact and "\n" not in fact and len(fact) < 300 for fact in first)

    def test_what_is_no_kernel_has_no_profile(self, backend: Backend) -> None:
        assert backend.profile(Kernel("nonsense (", backend.language), self.task) == ()

    @pytest.mark.parametrize("source", ["", "nonsense (", "\0", "def kernel(): pass", "/* evokern: plan", "é" * 1000])
    def test_what_is_no_kernel_is_evidence_and_no_exception(self, backend: Backend, source: str) -> None:
        found = backend.compile(Kernel(source, backend.language), self.task)
        assert isinstance(found, Evidence)
        assert found.reason
        assert "\n" not in found.reason

    def test_a_worker_s_command_can_be_told_or_why_not(self, backend: Backend, kernel: Kernel) -> None:
        artefact = backend.compile(kernel, self.task)
        assert isinstance(artefact, Path)
        try:
            command = backend.command(artefact, self.task)
        except EvokernError as error:
            command = [str(artefact), str(error)] if "GPU" in str(error) else []
        assert str(artefact) in command
        assert all(isinstance(word, str) for word in command)

    def test_a_device_s_program_can_be_sent(self, device: DeviceBackend, kernel: Kernel) -> None:
        found = device.program(kernel, self.task, self.task.time[0], device.targets[0])
        assert isinstance(found, Program), found
        assert Program.from_bytes(found.to_bytes()) == found
        assert found.target == device.targets[0]
        assert {one.function for one in found.resources} == {launch.function for launch in found.launches}

    def test_what_is_no_kernel_has_no_program(self, device: DeviceBackend) -> None:
        broken = Kernel("nonsense (", device.language)
        assert isinstance(device.program(broken, self.task, self.task.time[0], device.targets[0]), Evidence)
