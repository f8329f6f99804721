"""A SwiGLU block: three matrix products and what lies between them, five operators of PyTorch."""

import torch
import torch.nn.functional as F


def reference(x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)
