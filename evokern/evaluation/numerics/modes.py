"""A mode in which each operator of PyTorch is seen, without what only `torch.compile` needs of one."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Seeing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Base of modes under which references run; never compiled, so that nothing guards them against the compiler.

    PyTorch wraps a mode's `__torch_dispatch__` otherwise, which imports the whole of `torch._dynamo` at the first call
    (3 s in each judge) and takes longer at each.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
