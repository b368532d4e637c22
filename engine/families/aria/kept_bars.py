"""A grammar of scores in which some bars stand already: what is written between them follows what came before.

Knows bars of tokens. What a new bar may hold is `clavilux.families.aria.grammar`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.families.aria.form import Bar
from clavilux.families.aria.grammar import ScoreGrammar
from clavilux.families.aria.motifs import Near
from clavilux.families.aria.phrases import QUARTERS
from clavilux.families.aria.voices import Part

REPLACED = (
    4.0  # nats against a pitch where it stood before; of four bars that a tune returns two in three were the same
)


class KeptBars(ScoreGrammar):
    """`ScoreGrammar` whose kept bars are forced, token by token.

    Args:
        tokens, bars, parts, tempo, playing: as for `ScoreGrammar`.
        kept: of each bar its tokens in the composer's key, the Bar token first, or None for one that is to be written.
        before: of each bar those that stood there; what is written leans from its pitches, or where a part returns it
            would mostly be the same. () where nothing did.
    """

    def __init__(
        self,
        tokens: ScoreTokens,
        bars: Sequence[Bar],
        parts: Sequence[Part],
        tempo: float | None,
        kept: Sequence[Sequence[int] | None],
        playing: Sequence[frozenset[int] | None] | None = None,
        before: Sequence[Sequence[int]] = (),
    ) -> None:
        self._kept, self._before = kept, before
        super().__init__(tokens, bars, parts, tempo, playing)

    def _open_bar(self, tempo: float | None = None) -> None:
        super()._open_bar(tempo)
        kept = self._kept[self._index]
        if kept is not None:  # the Bar token that opens a later bar came as the end of the one before it
            self._forced = [*(kept if self._index == 0 else kept[1:]), self._bar_id]
        elif self._before:
            tokens, before = self._tokens, self._before[self._index]
            body = before[before.index(tokens.ids["Position_0"]) + 1 :]
            self._near = Near(tokens, body, range(QUARTERS), self._quarters * 3 * self._unit, REPLACED)

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
