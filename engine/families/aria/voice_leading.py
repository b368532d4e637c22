"""Where the voices of a hymn lead: their registers, how each goes on, what is over the bass, and which chords follow.

A composer that reads its own notes strays from the hymns that it was taught: its basses lie half an octave too high,
its voices stay where they are, and five times as many of them as real ones move in parallel fifths or octaves. What is
added to its logits was found by writing twins of hymns again and again, until they did all this as often as those do:
`hymns.json`, written by `benchmarks/hymn_leanings.py`. Knows pitches and chords. Does not know tokens (`leaning`) or
when notes end (`voices`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clavilux.audio.harmony import Chord

APART = 6.0  # semitones from the middle of its register at which a voice has lost half a nat
PARALLEL = 8.0  # nats against a pitch with which two voices move in parallel fifths or octaves
WINDOW = 16  # chords in which a pitch of a voice is too frequent when it is there more often than `USUAL`
USUAL = 4
_PERFECT = (0, 7)  # semitones between two voices, in any octave
# Of a move: none, then a step, a third, a fourth or fifth, and more, each on in the direction of the last move or back.
_SIZES = (2, 4, 7)


@dataclass(frozen=True)
class Leanings:
    """What is added to logits, in nats, of voices from the lowest to the highest.

    Attributes:
        middles: pitches in the middle of the registers.
        at_bars: semitones by which the bass's middle is higher where a bar begins.
        full: for a voice where one is missing.
        moves: of each voice, for the nine kinds of moves (`kind_of_move`).
        crowded: of each voice, for each time that a pitch came more often than is usual.
        over_bass: for the twelve intervals above the lowest voice, in any octave.
        chord_moves: for the twelve intervals from one chord's root up to the next one's.
        roots: for the twelve roots above the tonic.
        qualities: for the qualities of chords.
    """

    middles: tuple[float, ...]
    at_bars: float
    full: float
    moves: tuple[tuple[float, ...], ...]
    crowded: tuple[float, ...]
    over_bass: tuple[float, ...]
    chord_moves: tuple[float, ...]
    roots: tuple[float, ...]
    qualities: Mapping[str, float]

    @classmethod
    def read(cls, path: Path) -> Leanings:
        """Of a file as `benchmarks/hymn_leanings.py` writes it."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            tuple(found["middles"]), found["at_bars"], found["full"], tuple(map(tuple, found["moves"])),
            tuple(found["crowded"]), tuple(found["over_bass"]), tuple(found["chord_moves"]), tuple(found["roots"]),
            found["qualities"],
        )  # fmt: skip

    def moved(self, shift: int) -> Leanings:
        """The same in a key that is so many semitones higher."""
        return replace(self, middles=tuple(middle + shift for middle in self.middles))

    def of_chord(self, chord: Chord, last: Chord | None) -> float:
        """For a chord in C after the last one."""
        moved = 0.0 if last is None else self.chord_moves[(chord.root - last.root) % 12]
        return moved + self.roots[chord.root] + self.qualities.get(chord.quality, 0.0)


HYMNS = Leanings.read(Path(__file__).with_name("hymns.json"))


class VoiceLeading:
    """The lines of voices so far, and where they lean."""

    def __init__(self, leanings: Leanings) -> None:
        self._leanings, self._middles = leanings, leanings.middles
        self._lines: list[list[int]] = [[] for _ in self._middles]
        self._upward = [0] * len(self._middles)  # the direction in which each moved last: 1 or -1; 0 before any move

    def hear(self, pitches: Sequence[int]) -> None:
        """Take note of what sounded together, the lowest first; nothing is known of it where a voice is missing."""
        if not pitches or len(pitches) != len(self._middles):
            return
        for voice, (line, pitch) in enumerate(zip(self._lines, pitches, strict=True)):
            if line and pitch != line[-1]:
                self._upward[voice] = 1 if pitch > line[-1] else -1
            line.append(pitch)

    def leaning(self, sounding: Sequence[int], begins_bar: bool) -> dict[int, float]:
        """Nats to add to the logits of pitches, while others sound, the lowest first. Which voice a pitch is says the
        number of those below it.
        """
        found: dict[int, float] = {}
        bounds = zip([-1, *sounding], [*sounding, 128], self._middles, strict=False)
        for voice, (below, above, middle) in enumerate(bounds):
            centre = middle + (self._leanings.at_bars if begins_bar and voice == 0 else 0.0)
            for pitch in range(below + 1, above):
                found[pitch] = self._of_voice(voice, pitch, sounding[:voice]) - ((pitch - centre) / APART) ** 2 / 2
        return found

    def _of_voice(self, voice: int, pitch: int, lower: Sequence[int]) -> float:
        leanings, line = self._leanings, self._lines[voice]
        found = leanings.full + (leanings.over_bass[(pitch - lower[0]) % 12] if lower else 0.0)
        if line:
            found += leanings.moves[voice][kind_of_move(pitch - line[-1], self._upward[voice])]
            found -= leanings.crowded[voice] * max(0, line[-WINDOW:].count(pitch) - USUAL)
            found -= PARALLEL * self._is_parallel(voice, pitch, lower)
        return found

    def _is_parallel(self, voice: int, pitch: int, lower: Sequence[int]) -> bool:
        """Whether a voice would move as a lower one does, a fifth or octaves above it as before."""
        was = self._lines[voice][-1]
        return pitch != was and any(
            other != line[-1] and (was - line[-1]) % 12 == (pitch - other) % 12 in _PERFECT
            for other, line in zip(lower, self._lines, strict=False)
        )


def kind_of_move(semitones: int, upward: int) -> int:
    """Which of the nine kinds a move is, after one upward (1), downward (-1) or none (0)."""
    if semitones == 0:
        return 0
    size = next((i for i, most in enumerate(_SIZES) if abs(semitones) <= most), len(_SIZES))
    return 1 + 2 * size + (semitones * upward < 0)
