"""Which device a task is judged on."""

from __future__ import annotations

from dataclasses import replace

from evokern.evaluation.rigs.cpu import CpuRig
from evokern.evaluation.rigs.gpu import rig as card
from evokern.evaluation.workers.rig import Rig
from evokern.plugins.protocols import Backend, DeviceBackend
from evokern.records.task import Task
from evokern.taskfile.settings import EvaluationSettings


def rig_for(backend: Backend, task: Task, settings: EvaluationSettings) -> Rig:
    """The device that kernels of `backend` run on here: a card where there is one and the language is for it.

    Raises:
        EvokernError: there is a card, and it does not work.
    """
    if isinstance(backend, DeviceBackend) and card.is_there():
        return card.GpuRig(task, settings, backend)
    return CpuRig(task if backend.timed else replace(task, time=(), held_out=()), settings, backend)
