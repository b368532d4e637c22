"""A memory's keys and values folded into the matrices around them, for a cross-attention that is stepped many times.

While a memory stays the same, so do the products of its keys with the matrix of the queries, and of the output's matrix
with its values. Per head h and position s, with W' the queries' matrix that holds the norm's gain:

    scores = k W' / sqrt(E)    scores_out = scores Wo    values = Wc v

where Wo ends the self-attention before it and Wc the cross-attention. For x1 = x + Wo y the raw scores are then
scores x + scores_out y: they do not wait for x1. Three short matrices a row are read in place of W', Wc, k and v, which
is less while positions are few (`bytes_read`). Knows matrices; what is done with them is `reference`'s.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.quantized import Int8Weight, dequantize, rounded_once


@dataclass(frozen=True, eq=False)
class FoldedMemory:
    """What a step reads of the memory of a batch of B rows, P of which have a position to read.

    Position s and head h are at index s * H + h, so that heads, of which there is an even number, lie side by side.

    Attributes:
        scores: [P, S * H, D], what the residual stream before the self-attention's output is multiplied by.
        scores_out: [P, S * H, I], and what the self-attention's heads are.
        values: [P, D, S * H].
        sums: float32 [P, S * H], the sums of the rows of `scores`, for a layer norm's mean.
        start: float32 [P, S * H], added to the raw scores: the bias of Wo; or None.
        offset: float32 [P, S * H], added after the norm: its shift and the bias of the queries; or None.
        slots: int32 [B], which of the P a row reads; -1: none.
        heads: H.
    """

    scores: Tensor
    scores_out: Tensor
    values: Tensor
    sums: Tensor
    start: Tensor | None
    offset: Tensor | None
    slots: Tensor
    heads: int


def bytes_read(width: int, inner: int, keys: int, heads: int, rows: int, readable: int, item: int) -> tuple[int, int]:
    """Bytes of matrices, keys and values that a step's cross-attention reads: folded, and as it is.

    Both without the self-attention's own output, which is the same; `rows` attend, `readable` of them to something.
    """
    folded = readable * keys * heads * (2 * width + inner)
    return folded * item, (2 * width * inner + 2 * rows * keys * inner) * item


def fold_memory(
    keys: Tensor,
    values: Tensor,
    query: FoldedWeight,
    offset: Tensor | None,
    out: Tensor | Int8Weight,
    before: Tensor | Int8Weight,
    before_bias: Tensor | None,
    readable: Tensor | None = None,
) -> FoldedMemory:
    """Fold the keys and values of a memory.

    Args:
        keys, values: [B, H, S, E], floating; the folded matrices have their dtype.
        query: [H * E, D], with the gain of the norm before it.
        offset: float32 [H * E], the bias that goes with it, or None.
        out: [D, H * E], the cross-attention's output matrix.
        before: [D, I], the output matrix of the self-attention before it.
        before_bias: [D], its bias, or None.
        readable: bool [B], rows that have a position to read; None: all.

    Raises:
        OverflowError: a product that float16 cannot hold.
    """
    batch, heads, length, size = keys.shape
    which = list(range(batch)) if readable is None else [row for row, some in enumerate(readable.tolist()) if some]
    k, v = keys[which].float() / size**0.5, values[which].float()
    width, total = out.shape[0], length * heads
    matrix = dequantize(query.matrix, torch.float32).float().view(heads, size, width)
    scores = _rounded(torch.einsum("phse,hed->pshd", k, matrix).reshape(len(which), total, width), keys.dtype)
    exact = scores.float()  # as rounded: a mean that both products hold then cancels
    outs = dequantize(out, torch.float32).float().view(width, heads, size)
    folded = torch.einsum("dhe,phse->pdsh", outs, v).reshape(len(which), width, total)
    added = None
    if offset is not None:
        added = (
            torch.einsum("phse,he->psh", k, offset.float().view(heads, size)).reshape(len(which), total).contiguous()
        )
    slots = torch.full((batch,), -1, dtype=torch.int32)
    slots[which] = torch.arange(len(which), dtype=torch.int32)
    return FoldedMemory(
        scores=scores,
        scores_out=_rounded(exact @ dequantize(before, torch.float32).float(), keys.dtype),
        values=_rounded(folded, keys.dtype),
        sums=exact.sum(2, dtype=torch.float64).float(),
        start=None if before_bias is None else exact @ before_bias.float(),
        offset=added,
        slots=slots.to(keys.device),
        heads=heads,
    )


def _rounded(product: Tensor, dtype: torch.dtype) -> Tensor:
    return rounded_once(product, dtype, "a memory folded into its matrices").contiguous()
