"""float16 times weights of four bits with a scale a group (Frantar et al., 2024, arXiv:2408.11743)."""

import torch


def reference(a, packed, scale):
    wide = torch.promote_types(a.dtype, torch.float32)
    shifts = 4 * torch.arange(8, device=a.device, dtype=torch.int32)
    weights = ((packed[:, None, :] >> shifts[None, :, None]) & 15).flatten(0, 1) - 8
    scales = scale.repeat_interleave(weights.shape[0] // scale.shape[0], 0)
    return (a.to(wide) @ (weights.to(a.dtype) * scales).to(wide)).to(a.dtype)
