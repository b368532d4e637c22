"""Sequences longer than a decoder's context: which tokens each window holds.

A pure plan; `clavilux.loop` carries it out for `Windows`, `clavilux.families.jukebox.cascade` for `overlapping`.
"""

from dataclasses import dataclass

from clavilux.checks import is_number


@dataclass(frozen=True)
class Windows:
    """A window of `context` tokens; where it is full, its start moves on by `stride`.

    What is left in it, context - stride tokens and the new one, is read again from the window's first
    position.

    Attributes:
        context: tokens that fit (a prefix is not counted).
        stride: tokens dropped at each move, 1 .. context - keep. Large: few moves; small: long memory.
        keep: the first tokens of the sequence that stay in every window, such as a start token or controls.

    Raises:
        ValueError: a number outside its range.
    """

    context: int
    stride: int
    keep: int = 0

    def __post_init__(self) -> None:
        for name in ("context", "stride", "keep"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it should be a whole number")
        if self.keep < 0 or self.context <= self.keep:
            raise ValueError(
                f"context and keep are {self.context} and {self.keep}; there should be more context "
                "than is kept, and keep should be at least 0"
            )
        if not 1 <= self.stride <= self.context - self.keep:
            raise ValueError(f"stride is {self.stride}; it should be from 1 to {self.context - self.keep}")

    def dropped(self, num_tokens: int) -> int:
        """How many tokens after the kept ones are out of the window that holds the last of `num_tokens`."""
        excess = num_tokens - self.context
        return max(0, -(-excess // self.stride)) * self.stride

    def spans(self, num_tokens: int) -> list[tuple[int, int, int]]:
        """Every window of a sequence: (tokens dropped, first token that is new in it, end of its tokens)."""
        spans, new = [], 0
        while new < num_tokens:
            dropped = self.dropped(new + 1)
            end = min(num_tokens, dropped + self.context)
            spans.append((dropped, new, end))
            new = end
        return spans


def hop_of(fraction: float, context: int, multiple: int = 1) -> int:
    """By how many tokens windows of `context` tokens move on, a whole multiple of `multiple`.

    Args:
        fraction: of the context, above 0 up to 1: 1 is windows without overlap.

    Raises:
        ValueError: a fraction outside that range.
    """
    if not is_number(fraction) or not 0 < fraction <= 1:
        raise ValueError(f"the hop is {fraction}; it should be a fraction of the window, above 0 up to 1")
    return max(multiple, int(fraction * context) // multiple * multiple)


def overlapping(total: int, context: int, hop: int) -> list[tuple[int, int]]:
    """Windows (start, end) over `total` tokens, each `hop` after the one before, the last one moved to the end.

    Unlike those of `Windows` each is read with conditions of its own, such as where in the song it is.
    """
    if total <= context:
        return [(0, total)]
    starts = [*range(0, total - context, hop), total - context]
    return [(start, start + context) for start in starts]
