"""What conditions the bundled painter: ids of colours and of words. Knows neither prompts nor tensors."""

from __future__ import annotations

from dataclasses import dataclass

NUM_COLOURS, NUM_WORDS = 2, 6


@dataclass(frozen=True)
class PrefixControls:
    """The condition of one picture; all of it may be empty.

    Attributes:
        colours: indices in `words.COLOURS`, up to two: of one thing the one that covers most first; of two things with
            a word of place between them that of each, None for one of which no color is said.
        words: ids of words, in any order; up to six.
    """

    colours: tuple[int | None, ...] = ()
    words: tuple[int, ...] = ()
