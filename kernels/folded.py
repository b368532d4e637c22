"""A norm folded into the matrix that follows it, for inference: the matrix's columns are multiplied by its gain.

    W (g * (x - mean) / deviation + b) + bias = (W' x - mean * sums of W') / deviation + (W b + bias),   W' = W g

In bfloat16 W' is rounded once, as W was, so that the error is that of the norm and the product one after the other
(2.4e-3 of the root mean square either way). A gain folded into the rows instead would round them: 7 times the error.
Knows matrices and norms; the op that uses it is `norm_linear`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clavilux.kernels.quantized import Int8Weight, dequantize, quantize, rounded_once


@dataclass(frozen=True, eq=False)
class FoldedWeight:
    """A matrix [N, D] that takes rows before their norm; `norm_linear` is then given no gain and no shift.

    Attributes:
        matrix: [N, D], its columns multiplied by the norm's gain.
        row_sums: float32 [N], the sums of its rows as it is rounded; what a layer norm's mean is multiplied by.
    """

    matrix: Tensor | Int8Weight
    row_sums: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.matrix.shape

    @property
    def device(self) -> torch.device:
        return self.matrix.device

    @property
    def error(self) -> float:
        """Of an int8 matrix, as `Int8Weight` has it; 0 for others."""
        return self.matrix.error if isinstance(self.matrix, Int8Weight) else 0.0

    def to(self, device: torch.device) -> "FoldedWeight":
        """The same on a device."""
        return replace(self, matrix=self.matrix.to(device), row_sums=self.row_sums.to(device))


def folded(matrix: Tensor | Int8Weight) -> FoldedWeight:
    """A matrix that holds its norm's gain already."""
    return FoldedWeight(matrix, dequantize(matrix, torch.float32).sum(1, dtype=torch.float64).float())


def fold(
    weight: Tensor, gain: Tensor | None, shift: Tensor | None, bias: Tensor | None, kind: torch.dtype | str
) -> tuple[FoldedWeight, Tensor | None]:
    """The folded matrix, and the bias float32 [N] that goes with it, None where it would be 0.

    Args:
        weight: [N, D], floating; best as the checkpoint has it, since it is rounded here.
        gain: [D], the norm's; None: ones.
        shift: [D], the layer norm's bias, or None.
        bias: [N], the linear layer's, or None.
        kind: the dtype of the matrix, or "int8".

    Raises:
        OverflowError: a product that float16 cannot hold.
    """
    product, offset = fold_exactly(weight, gain, shift, bias)
    if isinstance(kind, str):
        return folded(quantize(product)), offset
    return folded(rounded_once(product, kind, "a norm's gain times its matrix")), offset


def fold_exactly(
    weight: Tensor, gain: Tensor | None, shift: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The matrix times the gain and the bias, both in float32: what is to be rounded. Arguments as `fold`."""
    exact = weight.detach().float()
    offset = None if bias is None else bias.detach().float()
    if shift is not None:
        added = (exact.double() @ shift.detach().double()).float()
        offset = added if offset is None else added + offset
    return exact if gain is None else exact * gain.detach().float(), offset
