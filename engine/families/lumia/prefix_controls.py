"""What conditions the bundled painter: ids of colours and of words. Knows neither prompts nor tensors."""

from __future__ import annotations

from dataclasses import dataclass

NUM_COLOURS, NUM_WORDS = 2, 6


@dataclass(frozen=True)
class PrefixControls:
    """The condition of one picture; all of it may be empty.

    Attributes:
        colours: indices in `words.COLOURS`, the one that covers most first; up to two.
        words: ids of words, in any order; up to six.
    """

    colours: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
