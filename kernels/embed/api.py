"""embed: from the tokens of a step to the vectors that the first layer reads."""

from collections.abc import Callable, Mapping

import torch

from clavilux.kernels.backend import choose, lazy
from clavilux.kernels.embed import reference

IMPLEMENTATIONS: Mapping[str, Callable[..., torch.Tensor]] = {
    "reference": reference.embed,
    "triton": lazy("clavilux.kernels.embed.triton", "embed"),
}
FLOATING = (torch.float32, torch.float16, torch.bfloat16)


def embed(
    tokens: torch.Tensor,
    table: torch.Tensor,
    position: int | torch.Tensor,
    *,
    positions: torch.Tensor | None = None,
    additive: torch.Tensor | None = None,
    prefix: int = 0,
    blocks: int = 1,
    backend: str | None = None,
) -> torch.Tensor:
    """Look the tokens of one step up, sum over the codebooks, and add what belongs to the position.

    Args:
        tokens: int64 [B, K], 0 .. V - 1.
        table: [K * V, D], contiguous; codebook k's rows start at k * V.
        position: where the step is, counted from 0, the prefix included; or an int32 tensor [1] on the device, whose
            value is not looked at here: it must lie within `positions` and `additive`.
        positions: [P, D], contiguous: a learned or computed vector for each position; None for no such table.
        additive: [R * B, T, D], its last axis contiguous: a vector for each row and token, of token position -
            prefix; None for no such vectors.
        prefix: how many positions come before the first token.
        blocks: R, how often the rows of `tokens` are repeated, block after block (guidance).
        backend: an implementation's name; None chooses by device.

    Returns:
        [R * B, D], of the table's dtype; summed in float32.

    Raises:
        ValueError: a shape, dtype, device or stride that does not fit, or a position outside what it picks from.
    """
    _check_table(tokens, table)
    if blocks < 1:
        raise ValueError(f"blocks is {blocks}; it should be at least 1")
    if prefix < 0:
        raise ValueError(f"prefix is {prefix}; it should be 0 or more")
    rows, width = blocks * tokens.shape[0], table.shape[1]
    if positions is not None:
        _check_added(
            "positions", positions, table, positions.ndim == 2 and positions.shape[1] == width, f"[P, {width}]"
        )
        if not positions.is_contiguous():
            raise ValueError(f"positions has strides {positions.stride()}; it should be contiguous")
    if additive is not None:
        fits = additive.ndim == 3 and additive.shape[0] == rows and additive.shape[2] == width
        _check_added("additive", additive, table, fits, f"[{rows}, T, {width}]")
        if additive.stride(2) != 1:
            raise ValueError(f"additive has strides {additive.stride()}; its last axis should be contiguous")
    _check_position(position, positions, additive, prefix, table.device)
    run = choose(IMPLEMENTATIONS, backend, table.device)
    return run(tokens, table, position, positions, additive, prefix, blocks)


def _check_table(tokens: torch.Tensor, table: torch.Tensor) -> None:
    if table.ndim != 2 or table.dtype not in FLOATING:
        raise ValueError(f"table is {table.dtype} {tuple(table.shape)}; it should be floating [K * V, D]")
    if not table.is_contiguous():
        raise ValueError(f"table has strides {table.stride()}; it should be contiguous")
    if tokens.ndim != 2 or tokens.dtype != torch.int64 or tokens.shape[1] < 1:
        raise ValueError(f"tokens are {tokens.dtype} {tuple(tokens.shape)}; they should be int64 [B, K]")
    if tokens.device != table.device:
        raise ValueError(f"tokens are on {tokens.device}; the table is on {table.device}, and so should they be")
    if not len(table) or len(table) % tokens.shape[1]:
        raise ValueError(f"table has {len(table)} rows; there should be V for each of {tokens.shape[1]} codebooks")


def _check_added(name: str, values: torch.Tensor, table: torch.Tensor, fits: bool, shape: str) -> None:
    if not fits:
        raise ValueError(f"{name} is {tuple(values.shape)}; it should be {shape}")
    if values.dtype not in FLOATING:
        raise ValueError(f"{name} is {values.dtype}; it should be float32, float16 or bfloat16")
    if values.device != table.device:
        raise ValueError(f"{name} is on {values.device}; the table is on {table.device}, and so should it be")


def _check_position(
    position: int | torch.Tensor,
    positions: torch.Tensor | None,
    additive: torch.Tensor | None,
    prefix: int,
    device: torch.device,
) -> None:
    if isinstance(position, torch.Tensor):
        if position.shape != (1,) or position.dtype != torch.int32:
            raise ValueError(f"position is {position.dtype} {tuple(position.shape)}; a tensor should be int32 [1]")
        if position.device != device:
            raise ValueError(f"position is on {position.device}; the table is on {device}, and so should it be")
        return
    if position < 0:
        raise ValueError(f"position is {position}; it should be 0 or more")
    if positions is not None and position >= len(positions):
        raise ValueError(f"position is {position}; positions has {len(positions)}")
    if additive is not None and not 0 <= position - prefix < additive.shape[1]:
        raise ValueError(f"position is {position} after a prefix of {prefix}; additive has {additive.shape[1]} tokens")
