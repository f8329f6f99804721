import torch
import torch.nn.functional as F


def reference(a, b, tau):
    similarity = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau
    own = torch.arange(len(a))
    forth = F.cross_entropy(similarity, own, reduction="none")
    back = F.cross_entropy(similarity.T, own, reduction="none")
    rows = (forth + back) / 2
    return rows.mean(), rows
