"""PyTorch's switches for a whole process: a reference that turns one changes its own speed, or every bound."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from evokern.records.errors import EvokernError


@contextmanager
def left_alone(name: str, when: str) -> Iterator[None]:
    """Holds what runs within to leaving every switch as it was.

    Args:
        name: the reference's file.
        when: what it does here, for the message: ``when it is loaded``.

    Raises:
        EvokernError: one was changed; it is put back first where the threads are concerned.
    """
    before = _switches()
    yield
    after = _switches()
    changed = [switch for switch in before if before[switch] != after[switch]]
    if not changed:
        return
    torch.set_num_threads(int(str(before["the number of threads"])))
    told = ", ".join(f"{switch} from {before[switch]} to {after[switch]}" for switch in changed)
    raise EvokernError(
        f"{name}: reference changes how PyTorch computes {when}: {told}; take such switches out of the reference (set "
        "`evaluation: {threads: ...}` or the task's `precision` instead)"
    )


def _switches() -> dict[str, object]:
    return {
        "the number of threads": torch.get_num_threads(),
        "the number of threads between operations": torch.get_num_interop_threads(),
        "the cores": len(os.sched_getaffinity(0)),
        "the default dtype": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "gradients": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "denormal numbers": _keeps_denormals(sys.float_info.min),
        "oneDNN": torch.backends.mkldnn.enabled,
        "NNPACK": torch.backends.nnpack.enabled() if hasattr(torch.backends.nnpack, "enabled") else None,
        "cuDNN": torch.backends.cudnn.enabled,
        "cuDNN's benchmark": torch.backends.cudnn.benchmark,
    }


def _keeps_denormals(least: float) -> bool:
    """Asks the processor, not PyTorch: whoever watches the reference's operations must not see one of ours."""
    return least / 2 > 0
