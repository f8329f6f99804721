import torch
import torch.nn.functional as F


def reference(keys, centroids):
    scores = F.normalize(keys, dim=-1) @ F.normalize(centroids, dim=-1).mT
    assignment = scores.argmax(-1)
    member = F.one_hot(assignment, centroids.shape[1]).to(keys.dtype)
    counts = member.sum(1)[..., None]
    means = (member.mT @ keys) / counts.clamp(min=1)
    return assignment.int(), torch.where(counts > 0, means, centroids)
