"""What the bundled painter is told: numbers of colours and of words. Knows neither prompts nor tensors."""

from __future__ import annotations

from dataclasses import dataclass

NUM_COLOURS, NUM_WORDS = 2, 6


@dataclass(frozen=True)
class PrefixControls:
    """What is said of one picture; all of it may be left unsaid.

    Attributes:
        colours: numbers in `words.COLOURS`, the one that covers most first; up to two.
        words: numbers of words, in any order; up to six.
    """

    colours: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
