import torch.nn.functional as F


def reference(x, weight, mask):
    return F.conv2d(x, weight, padding=1) * mask[:, :, None, None]
