"""Attention of one new token a sequence over keys and values in pages (Kwon et al., 2023, arXiv:2309.06180)."""

import torch


def reference(q, kcache, vcache, table, lens):
    wide = torch.promote_types(q.dtype, torch.float32)
    heads, group = kcache.shape[2], q.shape[1] // kcache.shape[2]
    keys, values = (cache[table.long()].flatten(1, 2).to(wide) for cache in (kcache, vcache))
    queries = q.to(wide).unflatten(1, (heads, group))
    scores = torch.einsum("bhgd,bshd->bhgs", queries, keys) / q.shape[2] ** 0.5
    unseen = torch.arange(keys.shape[1], device=q.device) >= lens[:, None]
    weights = scores.masked_fill(unseen[:, None, None], float("-inf")).softmax(-1)
    return torch.einsum("bhgs,bshd->bhgd", weights, values).flatten(1, 2).to(q.dtype)
