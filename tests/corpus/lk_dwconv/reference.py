import torch.nn.functional as F


def reference(x, weight, bias):
    return F.conv2d(x, weight[:, None], bias, padding=6, groups=len(weight))
