import torch


def reference(X, Y, V):
    distances = X.square().sum(1)[:, None] + Y.square().sum(1) - 2 * X @ Y.T
    return torch.exp(-distances.clamp(min=0) / 2) @ V
