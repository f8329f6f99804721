import torch


def reference(words, signs, exponents):
    bits = (words[:, :, None] >> torch.arange(31, -1, -1, dtype=torch.int32)) & 1
    bits = bits.flatten(1)
    at = torch.zeros(len(words), 1, dtype=torch.int64)
    decoded = []
    for _ in range(signs.shape[1]):
        one, two, three = (bits.gather(1, (at + i).clamp(max=bits.shape[1] - 1)) for i in range(3))
        symbol = one * (1 + two * (1 + three))
        decoded.append(exponents[symbol[:, 0]])
        at = at + 1 + one + one * two
    exponent = torch.stack(decoded, 1)
    halves = ((signs & 128) << 8) | (exponent << 7) | (signs & 127)
    return torch.where(halves >= 32768, halves - 65536, halves).to(torch.int16).view(torch.bfloat16)
