import torch.nn.functional as F


def reference(x, weight, bias):
    return F.linear(x, weight, bias)
