def reference(x, weight, eps):
    wide = x.float()
    mean = wide.mean((2, 3, 4), keepdim=True)
    variance = wide.var((2, 3, 4), correction=0, keepdim=True)
    return ((wide - mean) / (variance + eps) ** 0.5 * weight[:, :, None, None]).to(x.dtype)
