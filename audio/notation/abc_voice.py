"""Where a voice of an ABC tune is while it is read, and what holds in it.

Knows bars, ties and broken rhythm. Does not know how music is spelled in ABC (`abc_reader`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from clavilux.audio.notation.reading import ReadBar, ReadNote
from clavilux.audio.notation.spelling import key_alters


@dataclass
class AbcVoice:
    """Where a voice is, and what holds in it."""

    number: int
    name: str = ""
    program: int = 0
    drum: bool = False
    metre: tuple[int, int] = (4, 4)
    unit: Fraction = Fraction(1, 2)  # quarters
    alters: dict[str, int] = field(default_factory=lambda: key_alters(0))
    said: dict[str, int] = field(default_factory=dict)  # accidentals of the bar, for all octaves
    ties: dict[tuple[str, int], int] = field(default_factory=dict)  # where a tie waits -> the pitch
    bars: list[ReadBar] = field(default_factory=list)
    at: Fraction = Fraction(0)
    reached: Fraction = Fraction(0)
    ending: tuple[int, ...] = ()
    velocity: int = 80
    last: tuple[list[ReadNote], Fraction] = field(default_factory=lambda: ([], Fraction(0)))
    factor: Fraction = Fraction(1)  # what a broken rhythm makes of the next note
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)  # (factor, notes left)
    opens: bool = False  # a repeat begins with the next bar

    def open(self) -> ReadBar:
        """The bar that is being read, a new one behind a bar line."""
        if not self.bars or self.bars[-1].length != 0:
            self.bars.append(ReadBar(self.metre, Fraction(0), opens_repeat=self.opens, endings=self.ending))
            self.opens, self.at, self.reached = False, Fraction(0), Fraction(0)
        return self.bars[-1]

    def advance(self, length: Fraction) -> None:
        """Go on by so many quarters."""
        self.at += length
        self.reached = max(self.reached, self.at)

    def close(self) -> None:
        """End the bar, if anything is in it."""
        self.said.clear()
        if self.bars and self.bars[-1].length == 0 and self.reached > 0:
            self.bars[-1].length = self.reached
            self.bars[-1].metre = self.metre
