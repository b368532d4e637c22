"""What a song lesson knows of its song: the score, how it is read, its form, cadences and players.

Knows scores and recordings. Does not know what is said of any of it (`song_parts`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clavilux.audio.arranging.harmonizer import harmonize
from clavilux.audio.clip import Audio
from clavilux.audio.harmony_analysis import find_key
from clavilux.audio.melodies import melody_of
from clavilux.audio.programs import program_name
from clavilux.audio.score import Score, bar_quarters
from clavilux.audio.sections import bar_likeness, letters, returns
from clavilux.audio.theory.cadences import MONODY, Cadence, find_cadences
from clavilux.audio.theory.harmony_reading import HarmonyReading
from clavilux.audio.transcribing import transcribe

FEWEST_NOTES = 4
RECORDING = "recording"  # a source of which one voice is heard, and no instrument is known
MOST_BARS = 1000
RHYTHM_STEPS = 48  # of a bar
# Lowest and highest written note that players of an instrument usually reach, as sounding MIDI pitches.
USUAL_RANGES = {
    0: (21, 108), 6: (29, 89), 10: (60, 108), 11: (53, 89), 12: (45, 96), 19: (24, 108), 21: (53, 93), 24: (40, 83),
    25: (40, 83), 32: (28, 60), 40: (55, 103), 41: (48, 91), 42: (36, 81), 43: (28, 67), 46: (24, 103), 47: (40, 60),
    48: (28, 103), 52: (41, 81), 56: (55, 82), 57: (40, 72), 58: (28, 58), 60: (34, 77), 65: (49, 80), 66: (44, 75),
    68: (58, 91), 69: (52, 81), 70: (34, 75), 71: (50, 94), 72: (74, 102), 73: (60, 96), 74: (60, 86), 105: (48, 84),
    110: (55, 96),
}  # fmt: skip


@dataclass(frozen=True)
class Player:
    """An instrument of a song: its General MIDI program (-1 for drums), its notes, lowest and highest pitch."""

    program: int
    notes: int
    low: int
    high: int

    @property
    def name(self) -> str:
        """What it is called."""
        return "drums" if self.program < 0 else program_name(self.program)


@dataclass(frozen=True, eq=False)
class SongFacts:
    """A song, read.

    Attributes:
        title: what it is called.
        score: with chords and key.
        reading: its harmony.
        cadences: in order.
        sections: (name, first bar from 1, bars).
        players: from the one with most notes on.
        implied: whether there is only a melody, whose chords are those that would fit it.
        source: "prompt", "score" or "recording".
        clip: its sound, where there was one.
    """

    title: str
    score: Score
    reading: HarmonyReading
    cadences: tuple[Cadence, ...]
    sections: tuple[tuple[str, int, int], ...]
    players: tuple[Player, ...]
    implied: bool
    source: str
    clip: Audio | None = None

    @property
    def metre(self) -> tuple[int, int]:
        """That of most bars."""
        metres = [self.score.metre_at(float(bar)) for bar in self.reading.bars]
        return max(dict.fromkeys(metres), key=metres.count)

    @property
    def beats(self) -> int:
        """Of a bar: dotted ones in 6/8, 9/8 and 12/8."""
        numerator, denominator = self.metre
        return numerator // 3 if denominator >= 8 and numerator % 3 == 0 else numerator

    @property
    def tempo(self) -> float:
        """Quarters a minute, as it begins."""
        return self.score.tempos[0][1]

    def bars(self, first: int, last: int) -> Score:
        """The bars from `first` to `last`, counted from 1."""
        starts = np.append(self.reading.bars, max(self.score.length, self.reading.bars[-1] + 1e-3))
        return self.score.slice(float(starts[first - 1]), float(starts[min(last, len(starts) - 1)]))

    def onset_shares(self) -> np.ndarray:
        """How often notes begin at each of `RHYTHM_STEPS` parts of a whole bar, the most often 1: float64 [48]."""
        starts, bars = self.score.notes["start"], self.reading.bars
        index = np.maximum(np.searchsorted(bars, starts + 1e-3, side="right") - 1, 0)
        inside = (starts - bars[index]) / bar_quarters(self.metre)
        kept = np.clip(np.round(inside[inside < 1] * RHYTHM_STEPS), 0, RHYTHM_STEPS - 1).astype(np.int64)
        counts = np.bincount(kept, minlength=RHYTHM_STEPS).astype(np.float64)
        return counts / max(counts.max(), 1.0)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "source": self.source,
            "key": str(self.reading.key),
            "metre": "{}/{}".format(*self.metre),
            "tempo": round(self.tempo, 1),
            "bars": len(self.reading.bars),
            "seconds": round(self.score.duration_s, 2),
            "form": [{"name": n, "bar": first, "bars": bars} for n, first, bars in self.sections],
            "chords": [
                {
                    "bar": span.bar, "quarter": round(span.start, 3), "chord": span.chord.name(self.reading.key),
                    "numeral": span.function.numeral, "function": span.function.role, "of": span.function.target,
                }
                for span in self.reading.spans
            ],
            "chords_are_implied": self.implied,
            "cadences": [
                {"bar": each.bar, "kind": each.kind, "numerals": list(each.numerals), "key": str(each.key)}
                for each in self.cadences
            ],
            "instruments": [
                {"name": each.name, "notes": each.notes, "lowest": each.low, "highest": each.high}
                for each in self.players if self.source != RECORDING
            ],
        }  # fmt: skip


def facts_of(score: Score, title: str, source: str, clip: Audio | None = None) -> SongFacts:
    """Read a score.

    Raises:
        ValueError: fewer than `FEWEST_NOTES` notes with a pitch, all of one pitch, or more than `MOST_BARS` bars.
    """
    pitched = score.notes[~score.notes["drum"]]
    if len(pitched) < FEWEST_NOTES or len(np.unique(pitched["pitch"])) < 2:
        count = len(pitched)
        raise ValueError(
            f"{title!r} has {count} {'note' if count == 1 else 'notes'} with a pitch and "
            f"{len(np.unique(pitched['pitch']))} of them different; a lesson needs {FEWEST_NOTES} or more, of two "
            "pitches at least"
        )
    if len(score.bar_starts()) > MOST_BARS:
        raise ValueError(
            f"{title!r} has {len(score.bar_starts()):,} bars; a lesson takes {MOST_BARS:,} or fewer, so cut it first"
        )
    if score.key is None:
        score = replace(score, key=find_key(score))
    reading = HarmonyReading(score)
    implied = reading.voices < MONODY
    if not score.chords:
        fitting = _fitting_chords(score) if implied else ()
        score = replace(score, chords=fitting or tuple((span.start, span.chord) for span in reading.spans))
        reading = HarmonyReading(score)
    return SongFacts(
        title, score, reading, tuple(find_cadences(reading)), sections_of(score), _players(score), implied, source, clip
    )


def facts_of_recording(clip: Audio, title: str) -> SongFacts:
    """Listen to a recording. ValueError as `facts_of` and `clavilux.audio.transcribing.transcribe`."""
    try:
        score = transcribe(clip)
    except ValueError as error:
        raise ValueError(f"of {title!r} a lesson hears the melody, and {error}") from None
    return facts_of(score, title, RECORDING, clip)


def _fitting_chords(score: Score) -> tuple[tuple[float, Any], ...]:
    """Chords for a melody alone, in the score's own time."""
    melody = melody_of(score)
    moved = float(score.notes["start"].min()) - float(melody.notes["start"].min())
    found = harmonize(melody.notes, melody.metres, melody.key, first=melody.first)
    return tuple((max(0.0, at + moved), chord) for at, chord in found if at + moved > -bar_quarters(melody.metre))


def sections_of(score: Score) -> tuple[tuple[str, int, int], ...]:
    """(name, first bar from 1, bars): those that the score names, else letters for what returns."""
    bars = score.bar_starts()
    if score.sections:
        first = [int(np.searchsorted(bars, at + 1e-3, side="right")) for at, _ in score.sections]
        ends = [*first[1:], len(bars) + 1]
        return tuple(
            (name, begin, end - begin)
            for (_, name), begin, end in zip(score.sections, first, ends, strict=True)
            if end > begin
        )
    found: list[list[int]] = []
    for bar, (letter, number) in enumerate(letters(returns(bar_likeness(score))), 1):
        if number == 0:
            found.append([letter, bar, 0])
        found[-1][2] += 1
    return tuple((_letter(letter), bar, count) for letter, bar, count in found)


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"A{number}"


def _players(score: Score) -> tuple[Player, ...]:
    notes = score.notes
    programs = np.where(notes["drum"], -1, notes["program"])
    found = []
    for program in np.unique(programs).tolist():
        pitches = notes["pitch"][programs == program]
        found.append(Player(program, len(pitches), int(pitches.min()), int(pitches.max())))
    return tuple(sorted(found, key=lambda each: -each.notes))
