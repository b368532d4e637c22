"""When a bar's notes begin, and until when each part sounds, by the tokens that come, forced or drawn.

Knows tokens, and bars by where they begin. Does not know what may come (`grammar`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.families.aria.voices import Voices


class Sounding:
    """The end of the last note of each part, and the positions of the bar at which one began.

    Args:
        tokens: the vocabulary.
        lines: the programs of parts of which one note ends before the next one begins.
        voices: program -> its voices, which are told of its notes.
    """

    def __init__(self, tokens: ScoreTokens, lines: Collection[int], voices: Mapping[int, Voices]) -> None:
        self._tokens, self._lines, self._voices = tokens, lines, voices
        self._begun, self._unit = 0.0, 4
        self.onsets: list[int] = []
        self._position = self._program = self._pitch = 0  # that came last
        self._ends: dict[int, float] = {}  # program -> quarters from the start of the piece
        self._pitches: dict[int, float] = {}  # pitch -> the same, of those that begin in a bar or sound into it

    def open_bar(self, begun: float, unit: int) -> None:
        """A bar begins after so many quarters, in whose metre beats are so much of a whole note."""
        self._begun, self._unit = begun, unit
        self.onsets.clear()
        self._pitches = {pitch: end for pitch, end in self._pitches.items() if end > begun}

    def hear(self, token: int) -> None:
        """A token came."""
        kind, value = self._tokens.kinds[token], self._tokens.values[token]
        if kind == "Position":
            self._position = value
            self.onsets.append(value)
            for voices in self._voices.values():
                voices.move(self._begun + value / 3 / self._unit, value == 0)
        elif kind == "Program":
            self._program = value
        elif kind == "Pitch":
            self._pitch = value
        elif kind == "Duration":
            beats = self._position / 12 + self._tokens.duration_beats[token]
            end = self._ends[self._program] = self._begun + float(beats) * 4 / self._unit
            self._pitches[self._pitch] = max(end, self._pitches.get(self._pitch, 0.0))
            if self._program in self._voices:
                self._voices[self._program].begin(self._pitch, end)

    def pitches(self, position: int) -> list[int]:
        """Those that sound at a position of the bar."""
        here = self._begun + position / 3 / self._unit
        return [pitch for pitch, end in self._pitches.items() if end > here + 1e-6]

    @property
    def until(self) -> float:
        """The position of the bar up to which enough voices of each part sound."""
        until = min((voices.until for voices in self._voices.values()), default=math.inf)
        return (until - self._begun) * 3 * self._unit + 1e-6

    def leaning(self, program: int) -> Mapping[int, float]:
        """Nats to add to the logits of a part's pitches for the sake of its voices."""
        return self._voices[program].leaning if program in self._voices else {}

    def is_free(self, program: int, position: int) -> bool:
        """Whether a part may begin a note at a position of the bar: a line's last one is over, or one of its voices."""
        begins = self._begun + position / 3 / self._unit
        if program in self._voices and self._voices[program].are_full(begins):
            return False
        return program not in self._lines or self._ends.get(program, 0.0) <= begins + 1e-6
