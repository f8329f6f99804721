"""The first kernel of a task, without a model: its reference, operator by operator."""

from __future__ import annotations

import pickle

from evokern.evaluation.workers.apart import answer_of
from evokern.plugins import registry
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.task import Task

LANGUAGES = ("cpp",)
TIMEOUT_S = 120
"""Maximum time to trace a reference; one whose Python loops run over a size unrolls, and takes longer than that."""


def lowered(task: Task, language: str) -> Kernel:
    """The plain kernel of `task`: loops in the order of the formula, sums in double precision.

    The reference runs in a process of its own, under fake tensors: nothing is computed.

    Raises:
        EvokernError: there is no lowering into `language`, of a backward task, or of one of the operators.
    """
    if language not in LANGUAGES:
        raise EvokernError(f"there is no lowering into {language} yet; expected one of {', '.join(LANGUAGES)}")
    if task.backward:
        raise EvokernError("there is no lowering of backward tasks yet; name a kernel under `seeds:`")
    signature = registry.chosen("backends", [language])[language].signature(task)
    doing = f"{task.name}: tracing the reference"
    found = answer_of("evokern.lowering.tracing", pickle.dumps((task, signature)), TIMEOUT_S, doing)
    if "error" in found:
        raise EvokernError(f"{task.name}: {found['error']}")
    return Kernel(found["source"], language)


def first_kernel(task: Task, language: str) -> Kernel:
    """What a search begins with that has neither seeds nor models.

    Raises:
        EvokernError: there is none; says what to give instead.
    """
    try:
        return lowered(task, language)
    except EvokernError as error:
        raise EvokernError(
            f"no seed kernel for the backend {language}, and none can be made of the reference ({error}): name at "
            "least one under `seeds:`, e.g. seeds: [layernorm.cpp, layernorm_triton.py] (its suffix tells its "
            "language), or a model that writes the first kernels: --model NAME"
        ) from error
