"""The weights of a codec's checkpoint: weight norm folded, checked strictly. Files are read by `checkpoint_io`.

Knows the two namings of weight norm. Does not know any codec. Every error is a CheckpointError of one sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from clavilux.checkpoint_io import check_names, listed
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


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    label: str,
    *,
    names: Mapping[str, str] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Give a module, which may stand on the meta device, exactly these tensors as float32 copies.

    Args:
        module: its `state_dict()` says which names and shapes there must be.
        tensors: by the checkpoint's names.
        label: what errors call the checkpoint.
        names: the module's names -> the checkpoint's; the same ones by default.
        skip: names in `tensors` that are not wanted.

    Raises:
        CheckpointError: missing, unexpected or misshapen tensors (all kinds named), or numbers that are not finite.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    names = {name: name for name in shapes} if names is None else names
    wanted = {names[name]: shape for name, shape in shapes.items()}
    check_names(tensors, wanted, f"{label} does not fit its config", skip)
    found = {name: tuple(tensors[name].shape) for name in wanted}
    bad = [f"{name} is {found[name]}, not {shape}" for name, shape in sorted(wanted.items()) if found[name] != shape]
    if bad:
        raise CheckpointError(f"{label} does not fit its config: {listed(bad)}")
    copies = {name: tensors[names[name]].to(torch.float32, copy=True).contiguous() for name in shapes}
    infinite = sorted(names[name] for name, tensor in copies.items() if not torch.isfinite(tensor).all())
    if infinite:
        raise CheckpointError(f"{label} holds numbers that are not finite in {listed(infinite)}")
    module.load_state_dict(copies, strict=True, assign=True)
