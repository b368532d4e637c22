"""Which past positions a layer reads, where it does not read all of them.

The sequence lies in blocks of `size` positions from 0, as the rows of a picture do: Jukebox's factorised attention
(arXiv 2005.00341, section 4) and its prime layers. Knows positions only; the ops know keys and values.
"""

from dataclasses import dataclass

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

    def __post_init__(self):
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
