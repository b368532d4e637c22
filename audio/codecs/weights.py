"""Weight norm in a codec's checkpoint, folded: both of its namings. Does not know any codec."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clavilux.errors import CheckpointError

_NORMS = ((".weight_g", ".weight_v"), (".parametrizations.weight.original0", ".parametrizations.weight.original1"))


def fold_weight_norm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with every pair of magnitude g and direction v as one `.weight` = g v / |v|.

    The norm is over all dimensions but the first, for transposed convolutions too (arXiv 1602.07868, as PyTorch has
    it with `dim=0`). Both namings are known: `weight_g`/`weight_v` and `parametrizations.weight.original0`/`1`.

    Raises:
        CheckpointError: one of a pair is missing, or their shapes do not belong together.
    """
    plain = dict(tensors)
    for name in tensors:
        for g_ending, v_ending in _NORMS:
            if name.endswith((g_ending, v_ending)):
                stem = name.removesuffix(g_ending).removesuffix(v_ending)
                if stem + g_ending in plain or stem + v_ending in plain:
                    pair = plain.pop(stem + g_ending, None), plain.pop(stem + v_ending, None)
                    plain[stem + ".weight"] = _folded(stem, *pair)
    return plain


def _folded(stem: str, g: Tensor | None, v: Tensor | None) -> Tensor:
    if g is None or v is None:
        raise CheckpointError(
            f"{stem} has only the {'direction' if g is None else 'magnitude'} of its weight norm, not both"
        )
    if v.ndim < 2 or g.shape != (v.shape[0], *[1] * (v.ndim - 1)):
        raise CheckpointError(f"{stem} has a weight norm of magnitude {tuple(g.shape)} and direction {tuple(v.shape)}")
    g, v = g.float(), v.float()
    return v * (g / torch.linalg.vector_norm(v, dim=tuple(range(1, v.ndim)), keepdim=True))
