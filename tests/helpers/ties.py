"""Codes of two residual quantizers: they may differ where two vectors are equally near, and nowhere else.

An encoder sums in another order on another processor, so that its latents are off by a few roundings. Where two vectors
of a codebook are nearly as near as each other, that decides; everything after it in that frame follows from it.
"""

from contextlib import contextmanager

import torch

# Of a latent's length: what ten layers of sums in another order were seen to differ by (2e-6), with room.
LATENT_ROUNDING = 1e-5
MOST_TIES = 0.005  # of the frames


@contextmanager
def recorded(codec):
    """Yield a function that gives the latents [B, D, T] of the one `codec.encode` that was called within."""
    quantizer, calls = codec.quantizer, []

    def encode(latent, codebooks):
        calls.append(latent)
        return type(quantizer).encode(quantizer, latent, codebooks)

    def latents(batch):  # chunks of a long sound are rows of one call
        return torch.cat([part for latent in calls for part in latent.chunk(len(latent) // batch)], dim=2)

    quantizer.encode = encode
    try:
        yield latents
    finally:
        del quantizer.encode


def check_codes(found, expected, latents, codebooks):
    """Assert that codes [B, K, T] are equal but for ties of the first codebook that they differ in.

    Args:
        latents: [B, D, T], what was quantized.
        codebooks: K tensors [V, D].
    """
    assert found.shape == expected.shape
    rest = latents.transpose(1, 2).double()  # [B, T, D]
    same = torch.ones(rest.shape[:2], dtype=torch.bool)
    for ours, theirs, vectors in zip(found.unbind(1), expected.unbind(1), codebooks, strict=False):
        vectors = vectors.double()
        for b, t in ((ours != theirs) & same).nonzero().tolist():
            x, one, two = rest[b, t], vectors[ours[b, t]], vectors[theirs[b, t]]
            margin = ((x - one).square().sum() - (x - two).square().sum()).abs()
            # A latent off by e moves the margin by 2 e |one - two|; float32 rounds squares of this size.
            moved = 2 * LATENT_ROUNDING * x.norm() * (one - two).norm()
            rounded = 8 * torch.finfo(torch.float32).eps * (x.norm() + vectors.norm(dim=1).max()).square()
            assert margin <= moved + rounded, f"row {b}, frame {t}: {ours[b, t]} is not {theirs[b, t]} by {margin:.2g}"
        same &= ours == theirs
        rest = rest - vectors[theirs]
    assert (~same).sum() <= max(1, MOST_TIES * same.numel()), f"{int((~same).sum())} of {same.numel()} frames differ"
