"""Which device a task is judged on."""

from __future__ import annotations

from dataclasses import replace

from evokern.evaluation.cpu import CpuRig
from evokern.evaluation.gpu import rig as card
from evokern.evaluation.rig import Rig
from evokern.protocols import Backend, DeviceBackend
from evokern.settings import EvaluationSettings
from evokern.task import Task


def rig_for(backend: Backend, task: Task, settings: EvaluationSettings) -> Rig:
    """The device that kernels of `backend` run on here: a card where there is one and the language is for it.

    Raises:
        EvokernError: there is a card, and it does not work.
    """
    if isinstance(backend, DeviceBackend) and card.is_there():
        return card.GpuRig(task, settings, backend)
    return CpuRig(task if backend.timed else replace(task, time=(), held_out=()), settings, backend)
