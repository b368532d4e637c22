"""A memory's keys and values folded into the matrices around them, for a cross-attention that is stepped many times.

While a memory stays the same, so do the products of its keys with the matrix of the queries, and of the output's matrix
with its values. Per head h and position s, with W' the queries' matrix that holds the norm's gain:

    scores = k W' / sqrt(E)    scores_out = scores Wo    values = Wc v

where Wo ends the self-attention before it and Wc the cross-attention. For x1 = x + Wo y the raw scores are then
scores x + scores_out y: they do not wait for x1. Three short matrices a row are read in place of W', Wc, k and v, which
is less while positions are few (`most_keys`). Knows matrices; what is done with them is `reference`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.quantized import Int8Weight, dequantize, rounded_once

MOST_KEYS = 64  # positions of a memory that is folded: a kernel sums over so many, whatever the memory's length


@dataclass(frozen=True, eq=False)
class FoldedMemory:
    """What a step of B rows reads of P memories.

    Position s and head h are at index s * H + h, so that heads, of which there is an even number, lie side by side.

    Attributes:
        scores: [P, S * H, D], what the residual stream before the self-attention's output is multiplied by.
        scores_out: [P, S * H, I], and what the self-attention's heads are.
        values: [P, D, S * H].
        sums: float32 [P, S * H], the sums of the rows of `scores`, for a layer norm's mean.
        start: float32 [P, S * H], added to the raw scores: the bias of Wo; or None.
        offset: float32 [P, S * H], added after the norm: its shift and the bias of the queries; or None.
        slots: int32 [B], which of the P a row reads; -1: none. Rows of one text share one.
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

    @property
    def keys(self) -> int:
        """S."""
        return self.scores.shape[1] // self.heads

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        return (part for part in vars(self).values() if isinstance(part, Tensor))

    def overwrite(self, new: "FoldedMemory") -> None:
        """Take what another one of the same shapes holds; every tensor stays in its place."""
        for held, part in zip(self.tensors(), new.tensors(), strict=True):
            held.copy_(part)


def most_keys(width: int, inner: int, heads: int, item: int, weight_item: int) -> int:
    """The longest memory that takes fewer bytes folded than as keys and values with their two matrices, for one row.

    Of one row, however many are stepped: else a row's bits would depend on the rows beside it. item and weight_item:
    bytes of a number of the memory and of the matrices.
    """
    matrices, a_key = 2 * width * inner * weight_item, (heads * (2 * width + inner) - 2 * inner) * item
    return min(MOST_KEYS, (matrices - 1) // a_key)


def fold_memory(
    keys: Tensor,
    values: Tensor,
    query: FoldedWeight,
    offset: Tensor | None,
    out: Tensor | Int8Weight,
    before: Tensor | Int8Weight,
    before_bias: Tensor | None,
) -> FoldedMemory:
    """Fold the keys and values of memories of one length, the i-th for row i.

    Args:
        keys, values: [P, H, S, E], floating; the folded matrices have their dtype. S is at most `MOST_KEYS`.
        query: [H * E, D], with the gain of the norm before it.
        offset: float32 [H * E], the bias that goes with it, or None.
        out: [D, H * E], the cross-attention's output matrix.
        before: [D, I], the output matrix of the self-attention before it.
        before_bias: [D], its bias, or None.

    Raises:
        OverflowError: a product that float16 cannot hold.
    """
    count, heads, length, size = keys.shape
    k, v = keys.float() / size**0.5, values.float()
    width, total = out.shape[0], length * heads
    matrix = dequantize(query.matrix, torch.float32).float().view(heads, size, width)
    scores = _rounded(torch.einsum("phse,hed->pshd", k, matrix).reshape(count, total, width), keys.dtype)
    exact = scores.float()  # as rounded: a mean that both products hold then cancels
    outs = dequantize(out, torch.float32).float().view(width, heads, size)
    folded = torch.einsum("dhe,phse->pdsh", outs, v).reshape(count, width, total)
    added = None
    if offset is not None:
        added = torch.einsum("phse,he->psh", k, offset.float().view(heads, size)).reshape(count, total).contiguous()
    return FoldedMemory(
        scores=scores,
        scores_out=_rounded(exact @ dequantize(before, torch.float32).float(), keys.dtype),
        values=_rounded(folded, keys.dtype),
        sums=exact.sum(2, dtype=torch.float64).float(),
        start=None if before_bias is None else exact @ before_bias.float(),
        offset=added,
        slots=torch.arange(count, dtype=torch.int32, device=keys.device),
        heads=heads,
    )


def joined(memories: Sequence[FoldedMemory], slots: Sequence[int], keys: int) -> FoldedMemory:
    """Memories of one layer and of up to `keys` positions as one, each filled up with positions to be masked.

    slots: of each row, which of them it reads; -1: none.
    """

    def parts(name: str, last: bool = False) -> Tensor | None:
        found: list[Tensor] = []
        for memory in memories:
            part = getattr(memory, name)
            if part is None:
                return None
            added = keys * memory.heads - memory.scores.shape[1]
            found.append(F.pad(part, (0, added) if last or part.ndim == 2 else (0, 0, 0, added)))
        return torch.cat(found)

    places = torch.tensor(slots, dtype=torch.int32, device=memories[0].scores.device)
    scores, scores_out, values, sums = parts("scores"), parts("scores_out"), parts("values", last=True), parts("sums")
    assert scores is not None and scores_out is not None and values is not None and sums is not None
    start, offset = parts("start"), parts("offset")
    return FoldedMemory(scores, scores_out, values, sums, start, offset, places, memories[0].heads)


def _rounded(product: Tensor, dtype: torch.dtype) -> Tensor:
    return rounded_once(product, dtype, "a memory folded into its matrices").contiguous()
