"""Gaussians around points, summed at other points: what kernel methods do most (Charlier et al., 2021, JMLR 22(74))."""

import torch


def reference(x, y, b):
    squares = (x[:, None] - y[None]).square().sum(2)
    return torch.exp(-squares / 2) @ b
