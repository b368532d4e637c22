"""What a step reads: rows of the table, summed over codebooks, and what is added to them; the specification."""

import torch
import torch.nn.functional as F
from torch import Tensor


def embed(
    tokens: Tensor,
    table: Tensor,
    position: int | Tensor,
    positions: Tensor | None,
    additive: Tensor | None,
    prefix: int,
    blocks: int,
) -> Tensor:
    """[R * B, D] of the table's dtype; everything is summed in float32 and rounded once."""
    codebooks = tokens.shape[1]
    if codebooks == 1:
        x = F.embedding(tokens[:, 0], table).float()
    else:
        starts = torch.arange(codebooks, device=table.device) * (len(table) // codebooks)
        # A row of the table a codebook, then one sum: 8 us on a CPU for 4 x 1024, embedding_bag takes 10.
        x = F.embedding(tokens + starts, table).sum(1, dtype=torch.float32)  # [B, K, D] -> [B, D]
    if blocks > 1:
        x = x.repeat(blocks, 1)
    if additive is not None:
        x = x + at(additive, 1, position, prefix)
    if positions is not None:
        x = x + at(positions, 0, position, 0)
    return x.to(table.dtype)


def at(values: Tensor, axis: int, position: int | Tensor, offset: int) -> Tensor:
    """The slice of `values` at position - offset, the position a number or a tensor [1] on the device."""
    if isinstance(position, int):
        return values.select(axis, position - offset)
    return values.index_select(axis, position - offset).squeeze(axis)
