"""Span: which earlier positions a layer reads, where it does not read them all."""

from dataclasses import dataclass

KINDS = ("row", "column", "previous_row", "prefix")


@dataclass(frozen=True)
class Span:
    """The keys that a query may read (Jukebox's attention patterns, arXiv 2005.00341, section 5).

    With blocks of `size` positions written under each other as rows:

    - "row": the query's own block, up to itself.
    - "column": every `size`th position before it, itself included.
    - "previous_row": the whole block before its own; nothing in the first block, where the output is 0.
    - "prefix": the first `size` positions, up to itself.

    Raises:
        ValueError: an unknown kind, or a size below 1.
    """

    kind: str
    size: int

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it should be one of {', '.join(KINDS)}")
        if type(self.size) is not int or self.size < 1:
            raise ValueError(f"size is {self.size!r}; it should be a whole number of at least 1")

    def keys(self, position: int) -> tuple[int, int, int]:
        """(start, stride, count) of the keys that the query at `position` reads."""
        block, inside = divmod(position, self.size)
        if self.kind == "row":
            return block * self.size, 1, inside + 1
        if self.kind == "column":
            return inside, self.size, block + 1
        if self.kind == "previous_row":
            return (max(0, block - 1) * self.size, 1, self.size if block else 0)
        return 0, 1, min(position + 1, self.size)
