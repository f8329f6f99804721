import torch.nn.functional as F


def reference(logits, target):
    rows = F.cross_entropy(logits, target, reduction="none")
    return rows.mean(), rows
