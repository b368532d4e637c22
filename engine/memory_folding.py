"""Which rows of a batch have their memory folded into the matrices around it, and the folding.

A step then reads three short matrices of a text instead of two of the decoder and the text's keys and values, in two
kernels instead of four. Whether a row's memory is folded depends on that row alone, so that its bits do not change with
the rows beside it; rows of one text share what is read. Knows conditionings and layers; what is folded is
`kernels.cross_step`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.kernels.backend import usual
from clavilux.kernels.cross_step import FoldedMemory, fold_memory, joined, most_keys
from clavilux.kernels.cross_step.api import MOST_HEADS
from clavilux.kernels.folded import FoldedWeight, fold
from clavilux.kernels.linear import MOST_ROWS
from clavilux.kernels.quantized import Int8Weight
from clavilux.layers import KV, Layer

MULTIPLE = 8  # of positions: texts of nearly one length are folded alike


@dataclass(frozen=True)
class Folding:
    """What is to be folded.

    Attributes:
        sources: (row, positions) of each text that is folded.
        slots: of each row, which of them it reads; -1: none.
        whole: whether no row reads a memory that is not folded.
    """

    sources: tuple[tuple[int, int], ...]
    slots: tuple[int, ...]
    whole: bool

    @property
    def keys(self) -> int:
        """Positions of the longest."""
        return max(keys for _, keys in self.sources)


def folding(layers: Sequence[Layer], given: Conditioning, rows: int, dtype: torch.dtype) -> Folding | None:
    """What is to be folded of a conditioning's memory for steps of `rows` rows; None where nothing is.

    Asks the device what rows read and which are alike.

    Args:
        layers: those with cross-attention, all of one kind.
        dtype: of keys and values.
    """
    memory, mask = given.memory, given.memory_mask
    if memory is None or not layers or usual(memory.device) != "triton" or rows > MOST_ROWS:
        return None
    most = min(_most_keys(layer, dtype) for layer in layers)
    places = torch.arange(1, memory.shape[1] + 1, device=memory.device)
    # One past the last position that each row reads; 0 where there is none.
    ends = [memory.shape[1]] * rows if mask is None else (mask * places).amax(1).tolist()
    short = [row for row, end in enumerate(ends) if 0 < end <= most]
    if not short:
        return None
    texts = memory[short, :most]
    alike = (texts[:, None] == texts[None]).flatten(2).all(2)  # [n, n]
    if mask is not None:
        alike &= (mask[short, None] == mask[None, short]).all(2)
    first = alike.int().argmax(1).tolist()  # of each, the first that is like it
    slots, found = [-1] * rows, dict[int, int]()
    sources: list[tuple[int, int]] = []
    for row, original in zip(short, first, strict=True):
        if original not in found:
            found[original] = len(sources)
            keys = min(memory.shape[1], ends[row] + -ends[row] % MULTIPLE)
            sources.append((row, keys))
        slots[row] = found[original]
    whole = all(end == 0 or slot >= 0 for end, slot in zip(ends, slots, strict=True))
    return Folding(tuple(sources), tuple(slots), whole)


def folded(layer: Layer, kv: KV, plan: Folding) -> FoldedMemory:
    """A layer's memories, folded.

    Args:
        kv: of the whole batch's memory, [B, H, S, E].
        plan: of `folding`.

    Raises:
        OverflowError: a product that float16 cannot hold.
    """
    attention, cross = layer.attention, layer.cross
    assert attention is not None and cross is not None, "what is folded ends the one and begins the other"
    query, offset = _query(layer)
    memories = []
    for row, keys in plan.sources:
        own_keys, own_values = (part[row : row + 1, :, :keys] for part in kv)
        memories.append(
            fold_memory(own_keys, own_values, query, offset, cross.out.weight, attention.out.weight, attention.out.bias)
        )
    return joined(memories, plan.slots, plan.keys)


def _query(layer: Layer) -> tuple[FoldedWeight, Tensor | None]:
    """The queries' matrix with the norm's gain in it, and the bias that goes with it."""
    cross = layer.cross
    assert cross is not None
    weight: Tensor | FoldedWeight = cross.q.weight
    if isinstance(weight, FoldedWeight):
        return weight, cross.q.bias
    return fold(weight, cross.norm.weight, cross.norm.bias, cross.q.bias, torch.float32)


def _most_keys(layer: Layer, dtype: torch.dtype) -> int:
    """How long a memory may be; 0 where the layer's matrices do not allow it."""
    attention, cross = layer.attention, layer.cross
    if attention is None or cross is None or attention.spec.heads > MOST_HEADS:
        return 0
    query: object = cross.q.weight
    matrix = query.matrix if isinstance(query, FoldedWeight) else query
    small = isinstance(matrix, Int8Weight)
    if small and not isinstance(query, FoldedWeight):
        return 0  # the norm is not in it, and its scales are its rows'
    if not all(isinstance(part, (Tensor, Int8Weight)) for part in (matrix, cross.out.weight, attention.out.weight)):
        return 0
    spec = attention.spec
    return most_keys(spec.width, spec.heads * spec.head_dim, spec.heads, dtype.itemsize, 1 if small else dtype.itemsize)
