"""A grammar of scores in which some bars stand already: what is written between them follows what came before.

Knows bars of tokens. What a new bar may hold is `clavilux.families.aria.grammar`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.families.aria.form import Bar
from clavilux.families.aria.grammar import ScoreGrammar
from clavilux.families.aria.voices import Part


class KeptBars(ScoreGrammar):
    """`ScoreGrammar` whose kept bars are forced, token by token.

    Args:
        tokens, bars, parts, tempo, playing: as for `ScoreGrammar`.
        kept: of each bar its tokens in the composer's key, the Bar token first, or None for one that is to be written.
    """

    def __init__(
        self,
        tokens: ScoreTokens,
        bars: Sequence[Bar],
        parts: Sequence[Part],
        tempo: float | None,
        kept: Sequence[Sequence[int] | None],
        playing: Sequence[frozenset[int] | None] | None = None,
    ) -> None:
        self._kept = kept
        super().__init__(tokens, bars, parts, tempo, playing)

    def _open_bar(self, tempo: float | None = None) -> None:
        super()._open_bar(tempo)
        kept = self._kept[self._index]
        if kept is not None:  # the Bar token that opens a later bar came as the end of the one before it
            self._forced = [*(kept if self._index == 0 else kept[1:]), self._bar_id]

    def advance(self, tokens: torch.Tensor) -> None:
        """Take note of the token [1] that came."""
        if self._kept[self._index] is None:
            super().advance(tokens)
            return
        kind, value = self._kinds[int(tokens[0])], self._values[int(tokens[0])]
        self._forced.pop(0)
        if kind == "Chord":
            self._chord = value
        elif kind == "Program" and value in self._silent:
            self._silent[value] = 0
        if not self._forced:  # its end
            if self._index + 1 == len(self._bars):
                self.done = True
            else:
                self._open_bar()
