"""The end of a self-attention and the cross-attention after it, on a folded memory; the specification."""

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.kernels.cross_step.memory import FoldedMemory
from clavilux.kernels.quantized import Int8Weight, dequantize


def cross_step(
    x: Tensor,
    y: Tensor,
    weight: Tensor | Int8Weight,
    bias: Tensor | None,
    memory: FoldedMemory,
    mask: Tensor | None,
    out_bias: Tensor | None,
    norm: str,
    eps: float,
) -> Tensor:
    """The specification of `api.cross_step`."""
    stream = x + F.linear(y, dequantize(weight, y.dtype), bias)
    result = stream if out_bias is None else stream + out_bias
    rows = (memory.slots >= 0).nonzero()[:, 0]
    slots = memory.slots[rows].long()
    wide = torch.promote_types(x.dtype, torch.float32)
    raw = memory.scores[slots].to(wide) @ x[rows].to(wide)[:, :, None]
    raw = (raw + memory.scores_out[slots].to(wide) @ y[rows].to(wide)[:, :, None])[:, :, 0]  # [P, S * H]
    if memory.start is not None:
        raw = raw + memory.start[slots]
    read = stream[rows].to(wide)
    if norm == "layer":
        mean = read.mean(1, keepdim=True)
        raw, read = raw - mean * memory.sums[slots], read - mean
    scores = raw * torch.rsqrt(read.square().mean(1, keepdim=True) + eps)
    if memory.offset is not None:
        scores = scores + memory.offset[slots]
    scores = scores.view(len(rows), raw.shape[1] // memory.heads, memory.heads)  # [P, S, H]
    if mask is not None:
        scores = scores.masked_fill(~mask[rows][:, :, None], -torch.inf)
    shares = scores.softmax(1).nan_to_num()  # not a number where a row's mask is all False: it adds nothing
    added = (memory.values[slots].to(wide) @ shares.view(*raw.shape, 1))[:, :, 0]
    return result.index_put((rows,), (result[rows].to(wide) + added).to(result.dtype))
