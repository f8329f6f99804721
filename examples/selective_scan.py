"""The selective scan of Mamba (Gu and Dao, 2023, arXiv:2312.00752): a state of N numbers for each of D channels."""

import torch
from torch.nn.functional import silu, softplus


def reference(u, delta, A, Bm, Cm, skip, z, dbias):
    delta = softplus(delta + dbias[:, None])
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    drive = torch.einsum("bdl,bnl,bdl->bdln", delta, Bm, u)
    state, outputs = torch.zeros_like(decay[:, :, 0]), []
    for t in range(u.shape[2]):
        state = decay[:, :, t] * state + drive[:, :, t]
        outputs.append(torch.einsum("bdn,bn->bd", state, Cm[:, :, t]))
    return (torch.stack(outputs, 2) + u * skip[:, None]) * silu(z)
