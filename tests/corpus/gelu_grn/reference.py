import torch.nn.functional as F


def reference(x, gamma, beta):
    y = F.gelu(x)
    norm = y.square().sum((1, 2), keepdim=True).sqrt()
    norm = norm / (norm.mean(-1, keepdim=True) + 1e-6)
    return (gamma * norm + 1) * y + beta
