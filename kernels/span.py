"""Which past positions a layer reads, where it does not read all of them, and what of them a cache has to hold.

The sequence lies in blocks of `size` positions from 0, as the rows of a picture do: Jukebox's factorised attention
(arXiv 2005.00341, section 4) and its prime layers. Knows positions and slots only; the ops know keys and values.

A cache of T slots holds what a later position can still read, in the order in which it is read: for "row" and
"previous_row" position p lies at p % T (a ring of one block, or of two), for "column" the slots of a column lie side
by side, and for "prefix" what comes after it is not kept.
"""

from dataclasses import dataclass
from typing import overload

import torch

KINDS = ("row", "column", "previous_row", "prefix")


@dataclass(frozen=True)
class Span:
    """What a position reads of the positions up to its own.

    Attributes:
        kind: "row": its own block. "column": those at its own place in every block. "previous_row": the whole block
            before its own, and nothing in the first block. "prefix": the first `size` positions.
        size: positions of a block, or of the prefix.

    Raises:
        ValueError: a kind that does not exist, or a size below 1.
    """

    kind: str
    size: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it should be one of {', '.join(KINDS)}")
        if type(self.size) is not int or self.size < 1:
            raise ValueError(f"size is {self.size!r}; it should be a whole number, at least 1")

    def keys(self, position: int) -> tuple[int, int, int]:
        """What the query at `position` reads: the first position, the stride, how many; (0, 1, 0) for nothing."""
        size = self.size
        if self.kind == "row":
            return position - position % size, 1, position % size + 1
        if self.kind == "column":
            return position % size, size, position // size + 1
        if self.kind == "previous_row":
            return (position // size * size - size, 1, size) if position >= size else (0, 1, 0)
        return 0, 1, min(position + 1, size)

    def most(self, positions: int) -> int:
        """The most keys that any query among so many positions reads, its own included."""
        return -(-positions // self.size) if self.kind == "column" else min(self.size, positions)

    def reads(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Whether the query at each position reads the key at each, broadcast; bool. The same as `keys` says."""
        size = self.size
        if self.kind == "previous_row":
            return keys // size == queries // size - 1
        same = {"row": keys // size == queries // size, "column": keys % size == queries % size, "prefix": keys < size}
        return same[self.kind] & (keys <= queries)

    def num_slots(self, positions: int) -> int:
        """How many slots a cache needs for so many positions."""
        blocks = {"row": 1, "column": -(-positions // self.size), "previous_row": 2, "prefix": 1}
        return blocks[self.kind] * self.size

    @overload
    def slot(self, position: int, num_slots: int) -> int: ...

    @overload
    def slot(self, position: torch.Tensor, num_slots: int) -> torch.Tensor: ...

    def slot(self, position: int | torch.Tensor, num_slots: int) -> int | torch.Tensor:
        """Where a position, or a tensor of them, lies in a cache of so many slots; beyond its end: it is not kept."""
        if self.kind == "column":
            return position % self.size * (num_slots // self.size) + position // self.size
        return position if self.kind == "prefix" else position % num_slots

    def slots_read(self, position: int, num_slots: int) -> tuple[int, int]:
        """What the query at `position` reads of a cache: the first slot, and how many from there on."""
        first, _, count = self.keys(position)
        return self.slot(first, num_slots), count

    def reads_slots(self, position: torch.Tensor, num_slots: int) -> torch.Tensor:
        """bool [num_slots]: the same for a position in a tensor [1] that is not asked for its value."""
        at = torch.arange(num_slots, device=position.device)
        if self.kind == "prefix":
            return (at <= position) & (at < self.size)
        if self.kind == "column":
            columns = num_slots // self.size
            return (at // columns == position % self.size) & (at % columns <= position // self.size)
        start = position - position % self.size
        if self.kind == "row":
            start = start % num_slots
            return (at >= start) & (at <= start + position % self.size)
        block = (start - self.size) % num_slots
        return (start > 0) & (at >= block) & (at < block + self.size)

    def fits_cache(self, num_slots: int) -> bool:
        """Whether a cache can have so many slots."""
        least = 2 * self.size if self.kind == "previous_row" else self.size
        return num_slots >= least and (self.kind == "prefix" or num_slots % self.size == 0)
