"""embed as a Triton kernel: one program a row of the result and block of columns."""

import torch
import triton
import triton.language as tl

from clavilux.kernels.launch import launch
from clavilux.kernels.prologue import wait

BLOCK = 512


@triton.jit
def embed_kernel(
    tokens,
    table,
    position,
    number,
    positions,
    additive,
    out,
    batch,
    vocabulary,
    width,
    prefix,
    token_row,
    token_book,
    additive_row,
    additive_token,
    K: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPENDENT: tl.constexpr,
):
    """out[r] = sum over k of table[k * V + tokens[r % B, k]] + additive[r, position - prefix] + positions[position]."""
    wait(DEPENDENT)
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < width
    total = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(K):
        token = tl.load(tokens + (row % batch) * token_row + k * token_book)  # int64: K * V * D may pass 2^31
        values = tl.load(table + (k * vocabulary + token) * width + columns, mask=mask, other=0.0)
        total += values.to(tl.float32)
    place = tl.full([], number, tl.int64)
    if position is not None:  # on the device, where the step is captured
        place = tl.load(position).to(tl.int64)
    if additive is not None:
        start = additive + row * additive_row + (place - prefix) * additive_token
        total += tl.load(start + columns, mask=mask, other=0.0).to(tl.float32)
    if positions is not None:
        total += tl.load(positions + place * width + columns, mask=mask, other=0.0).to(tl.float32)
    tl.store(out + row * width + columns, total.to(out.dtype.element_ty), mask=mask)


def embed(
    tokens: torch.Tensor,
    table: torch.Tensor,
    position: int | torch.Tensor,
    positions: torch.Tensor | None,
    additive: torch.Tensor | None,
    prefix: int,
    blocks: int,
) -> torch.Tensor:
    """The op as `api.embed` calls it: a position is a tensor or a number, which one schema cannot say."""
    number, tensor = (0, position) if isinstance(position, torch.Tensor) else (position, None)
    return embed_op(tokens, table, tensor, number, positions, additive, prefix, blocks)


@torch.library.custom_op("clavilux::embed", mutates_args=())
def embed_op(
    tokens: torch.Tensor,
    table: torch.Tensor,
    position: torch.Tensor | None,
    number: int,
    positions: torch.Tensor | None,
    additive: torch.Tensor | None,
    prefix: int,
    blocks: int,
) -> torch.Tensor:
    batch, codebooks = tokens.shape
    width = table.shape[1]
    out = table.new_empty(blocks * batch, width)
    block = min(BLOCK, triton.next_power_of_2(width))
    row, token = (0, 0) if additive is None else additive.stride()[:2]
    launch(
        embed_kernel, (len(out), triton.cdiv(width, block)),
        tokens, table, position, number, positions, additive, out,
        batch, len(table) // codebooks, width, prefix, *tokens.stride(), row, token,
        num_warps=4, K=codebooks, BLOCK=block,
    )  # fmt: skip
    return out


@embed_op.register_fake
def _(tokens, table, position, number, positions, additive, prefix, blocks):
    return table.new_empty(blocks * len(tokens), table.shape[1])
