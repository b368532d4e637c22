"""Melodies: one voice out of a score, on bars, with its metre, key, tempo and phrases.

Knows notes and bars. Does not know sound (`transcribing`), chords or bands.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clavilux.audio.harmony import Key
from clavilux.audio.harmony_analysis import find_key
from clavilux.audio.midi_tracks import plural
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.programs import program_name
from clavilux.audio.score import Score, bar_quarters

FEWEST_NOTES = 4
MOST_BARS = 1000
_LEGATO = 0.35  # of a note's length: what sounds into the next by less is one voice's, played without a gap
_PHRASES = (8, 4, 2)  # bars; the longest of which there are two is a section
_ALIKE = 0.75  # of a section's time: with so much the same as an earlier one it has that one's name
_DENOMINATORS = (4, 8, 16)


@dataclass(frozen=True, eq=False)
class Melody:
    """A melody.

    Attributes:
        notes: `PART_NOTE` records of one voice, in quarters from the first bar's start.
        metres: of each bar.
        first: the bar with which phrases begin: 1 after a pickup, else 0.
        key, tempo: the tempo in quarters a minute.
        remarks: what was left out or found, sentences without their end.
    """

    notes: np.ndarray
    metres: tuple[tuple[int, int], ...]
    first: int
    key: Key
    tempo: float
    remarks: tuple[str, ...] = ()

    @property
    def metre(self) -> tuple[int, int]:
        """The metre of most bars."""
        return max(dict.fromkeys(self.metres), key=self.metres.count)

    def bar_starts(self) -> np.ndarray:
        """Quarters, float64 [bars]."""
        lengths = [bar_quarters(metre) for metre in self.metres]
        return np.array(list(itertools.accumulate(lengths[:-1], initial=0.0)))

    def sections(self) -> list[tuple[str, int]]:
        """(name, bars) of its parts in order: "pickup", then A, B, C, A 2 and so on; what returns has the same name."""
        bars = len(self.metres) - self.first
        length = next((each for each in _PHRASES if bars >= 2 * each), bars)
        counts = [length] * (bars // length)
        if bars % length:
            if bars % length * 2 <= length and len(counts) > 1:
                counts[-1] += bars % length
            else:
                counts.append(bars % length)
        found = [("pickup", 1)] if self.first else []
        heads: list[tuple[str, int, int]] = []  # name, first bar, bars
        at = self.first
        for count in counts:
            same = next((name for name, bar, size in heads if size == count and self._alike(bar, at, count)), None)
            name = same or _name(len({head[0] for head in heads}))
            heads.append((name, at, count))
            found.append((name, count))
            at += count
        return found

    def _alike(self, first: int, second: int, count: int) -> bool:
        """Whether so many bars from two bars on sound mostly alike."""
        if self.metres[first : first + count] != self.metres[second : second + count]:
            return False
        a, b = self._sounding(first, count), self._sounding(second, count)
        return float((a == b).mean()) >= _ALIKE

    def _sounding(self, bar: int, count: int) -> np.ndarray:
        """The pitch in each 16th of some bars, 0 where nothing sounds: int64 [16ths]."""
        starts = np.append(self.bar_starts(), np.inf)
        begin = starts[bar]
        steps = np.arange(round(sum(bar_quarters(metre) for metre in self.metres[bar : bar + count]) * 4))
        at = begin + steps / 4 + 1 / 8
        pitches = np.zeros(len(steps), dtype=np.int64)
        for note in self.notes:
            pitches[(at >= note["start"]) & (at < note["start"] + note["duration"])] = note["pitch"]
        return pitches


def _name(number: int) -> str:
    """A, B, C, then A 2 and so on: what a band plays in one goes by its letter."""
    turn, letter = divmod(number, 3)
    return "ABC"[letter] + (f" {turn + 1}" if turn else "")


def melody_of(
    score: Score, *, key: Key | None = None, tempo: float | None = None, metre: tuple[int, int] | None = None
) -> Melody:
    """The melody of a score: of several parts that which lies highest, of several notes at once the upper.

    Pitches, order and lengths stay as they are; empty bars before the first note go.

    Args:
        score: with notes.
        key, tempo, metre: to hold instead of the score's own; a key that it does not name is found in its notes.

    Raises:
        ValueError: no notes with a pitch, fewer than `FEWEST_NOTES`, more than `MOST_BARS` bars, or a bar whose length
            no metre has.
    """
    notes = score.notes[~score.notes["drum"]]
    if not len(notes):
        raise ValueError("the melody has no notes with a pitch; give a file in which a tune is played")
    remarks = [f"of the melody: {remark}" for remark in score.remarks]
    notes = _highest_part(notes, remarks)
    upper = top_line(notes)
    if len(upper) < len(notes):
        remarks.append(f"the melody is the upper line: {plural(len(notes) - len(upper), 'note')} under it are left out")
    notes = upper
    if len(notes) < FEWEST_NOTES:
        raise ValueError(f"the melody has {plural(len(notes), 'note')}; it should have {FEWEST_NOTES} or more")
    if tempo is None and len({each for _, each in score.tempos}) > 1:
        remarks.append(f"the melody's tempo changes, and {score.tempos[0][1]:g} quarters a minute are held")
    starts, metres = _bars(score, metre)
    if starts[0] < 0:
        notes["start"] -= starts[0]
    skipped = int(np.searchsorted(np.cumsum([bar_quarters(each) for each in metres]), notes["start"].min() + 1e-6,
                                  side="right"))  # fmt: skip
    notes["start"] -= sum(bar_quarters(each) for each in metres[:skipped])
    kept = _as_many_as_needed(metres[skipped:], notes)
    named = score.key or (find_key(replace(score, notes=notes, length=0.0)) if key is None else None)
    settled = key or named
    assert settled is not None, "one of them is there"
    pickup = len(kept) > 1 and float(notes["start"].min()) > bar_quarters(kept[0]) / 2 - 1e-6
    return Melody(notes, kept, int(pickup), settled, float(tempo or score.tempos[0][1]), tuple(remarks))


def _highest_part(notes: np.ndarray, remarks: list[str]) -> np.ndarray:
    """The notes of one part; the one that lies highest, by its notes' middle, of those that play at least a third as
    much as the busiest.
    """
    parts = sorted(set(notes[["program", "part"]].tolist()))
    if len(parts) < 2:
        return notes.copy()
    by_part = {each: notes[(notes["program"] == each[0]) & (notes["part"] == each[1])] for each in parts}
    busiest = max(map(len, by_part.values()))
    usable = {each: own for each, own in by_part.items() if 3 * len(own) >= busiest}
    best = max(usable, key=lambda each: (float(np.median(usable[each]["pitch"])), -each[1]))
    remarks.append(f"the melody is the highest of {len(parts)} parts, {program_name(best[0])}")
    return by_part[best].copy()


def top_line(notes: np.ndarray) -> np.ndarray:
    """One voice, the upper one of `PART_NOTE` records.

    A note that begins under a higher one which goes on is left out, others end where the next begins.
    """
    notes = notes[np.lexsort((-notes["pitch"], notes["start"]))]
    kept: list[int] = []
    for index, note in enumerate(notes):
        if kept:
            before = notes[kept[-1]]
            rest = float(before["start"] + before["duration"] - note["start"])
            together = note["start"] - before["start"] < 1 / 32
            over = rest > _LEGATO * float(note["duration"]) and before["pitch"] > note["pitch"]
            if together or over:
                continue
            before["duration"] = min(before["duration"], note["start"] - before["start"])
        kept.append(index)
    return notes[kept].astype(PART_NOTE)


def _bars(score: Score, metre: tuple[int, int] | None) -> tuple[list[float], list[tuple[int, int]]]:
    """(where bars begin, the metre of each) of a score; a short first bar is the end of a whole one, so that it begins
    before 0.
    """
    if metre is not None:
        count = int(np.ceil(score.length / bar_quarters(metre) - 1e-6))
        return [index * bar_quarters(metre) for index in range(count)], [metre] * count
    starts = score.bar_starts().tolist()
    own = [score.metre_at(start) for start in starts]
    ends = [*starts[1:], starts[-1] + bar_quarters(own[-1])]
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    if len(starts) > 1 and lengths[0] < bar_quarters(own[1]) - 1e-6:
        starts[0] -= bar_quarters(own[1]) - lengths[0]
        own[0], lengths[0] = own[1], bar_quarters(own[1])
    metres = [
        each if abs(bar_quarters(each) - length) < 1e-6 else _metre_of(length, index)
        for index, (each, length) in enumerate(zip(own, lengths, strict=True))
    ]
    return starts, metres


def _metre_of(length: float, bar: int) -> tuple[int, int]:
    for denominator in _DENOMINATORS:
        beats = length * denominator / 4
        if beats >= 1 and abs(beats - round(beats)) < 1e-6:
            return round(beats), denominator
    raise ValueError(f"bar {bar + 1} of the melody lasts {length:g} quarters, which no metre does; give metre")


def _as_many_as_needed(metres: Sequence[tuple[int, int]], notes: np.ndarray) -> tuple[tuple[int, int], ...]:
    """The bars up to that in which the last note begins, and on while it sounds for an eighth or more."""
    ends = np.cumsum([bar_quarters(each) for each in metres])
    last = float((notes["start"] + notes["duration"]).max())
    count = min(len(metres), int(np.searchsorted(ends, last - 0.5, side="right")) + 1)
    if count > MOST_BARS:
        raise ValueError(f"the melody has {count} bars; it should have {MOST_BARS} or fewer")
    notes["duration"] = np.minimum(notes["duration"], ends[count - 1] - notes["start"])
    return tuple(metres[:count])
