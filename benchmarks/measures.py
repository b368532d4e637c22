"""What is measured on a score, real or generated alike, and how the two are compared.

Knows notes, bars, chords and shared note sequences. Does not know where scores come from (`quality` does).
"""

from __future__ import annotations

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import chord_grid
from clavilux.audio.score import Score, bar_quarters

RANGED = ("polyphony", "pitch range", "notes a second", "notes a bar", "pitch-class entropy")
FEWEST_NOTES_FOR_RANGE = 5


def pitched(score: Score) -> np.ndarray:
    return score.notes[~score.notes["drum"]]


def scale_share(score: Score, key: Key) -> float:
    """Share of sounding time whose pitch class is in the key's scale, 0..1 (NaN without notes)."""
    notes = pitched(score)
    inside = np.isin(notes["pitch"] % 12, list(key.scale))
    total = notes["duration"].sum()
    return float(notes["duration"][inside].sum() / total) if total else float("nan")


def chord_share(score: Score, chords: tuple[tuple[float, Chord], ...]) -> float:
    """Share of the notes that begin on a strong beat that belong to the chord there, 0..1.

    Strong beats are where chords may change (`chord_grid`). Notes count by their time up to the next of them.
    NaN if no note begins on one.
    """
    grid, _ = chord_grid(score)
    notes = pitched(score)
    beat = np.maximum(np.searchsorted(grid, notes["start"] + 0.02, side="right") - 1, 0)
    on_beat = np.abs(notes["start"] - grid[beat]) < 0.02
    notes, beat = notes[on_beat], beat[on_beat]
    if not len(notes) or not chords:
        return float("nan")
    until = np.append(grid[1:], max(score.length, grid[-1] + 0.02))[beat]
    weight = np.minimum(notes["duration"], until - notes["start"])
    members = np.zeros((len(chords), 12), dtype=bool)
    for row, (_, chord) in enumerate(chords):
        members[row, list(chord.pitch_classes)] = True
    at = np.searchsorted([time for time, _ in chords], notes["start"] + 0.02, side="right") - 1
    inside = members[np.maximum(at, 0), notes["pitch"] % 12]
    return float((weight * inside).sum() / weight.sum())


def texture(score: Score) -> dict[str, float]:
    """The measures of `RANGED`.

    polyphony: mean number of notes that sound at once
    pitch range: semitones from the 10th to the 90th percentile of an instrument's notes, mean of instruments
    notes a second, notes a bar: all notes, over the whole length
    pitch-class entropy: bits, of sounding time over the 12 pitch classes
    """
    notes = pitched(score)
    spans = []
    for program in np.unique(notes["program"]):
        pitches = notes["pitch"][notes["program"] == program]
        if len(pitches) >= FEWEST_NOTES_FOR_RANGE:
            low, high = np.percentile(pitches, (10, 90))
            spans.append(high - low)
    time = np.bincount(notes["pitch"] % 12, weights=notes["duration"], minlength=12)
    share = time[time > 0] / max(time.sum(), 1e-9)
    return {
        "polyphony": float(score.notes["duration"].sum() / score.length),
        "pitch range": float(np.mean(spans)) if spans else float("nan"),
        "notes a second": len(score.notes) / score.duration_s,
        "notes a bar": len(score.notes) / len(score.bar_starts()),
        "pitch-class entropy": float(-(share * np.log2(share)).sum()),
    }


def empty_bars(score: Score) -> int:
    """The number of bars in which no note sounds; a last bar that the length cuts short is not a bar."""
    starts = score.bar_starts()
    ends = np.append(starts[1:], score.length)
    if ends[-1] - starts[-1] < bar_quarters(score.metre_at(starts[-1])) - 1e-3:
        starts, ends = starts[:-1], ends[:-1]
    note_starts, note_ends = score.notes["start"], score.notes["start"] + score.notes["duration"]
    begun = np.searchsorted(note_starts, ends - 1e-3)  # notes that begin before each bar's end
    ended = np.searchsorted(np.sort(note_ends), starts + 1e-3)  # notes over before its start
    return int((begun <= ended).sum())


def seconds_after_last_note(score: Score) -> float:
    """From the end of the last note to the end of the score."""
    return score.duration_s - float(score.seconds_at((score.notes["start"] + score.notes["duration"]).max()))


def excerpts(score: Score, seconds: float, most: int) -> list[Score]:
    """Up to `most` parts of `seconds`, evenly spread, each from a bar's start; silent ones are left out."""
    bars = score.bar_starts()
    starts_s = score.seconds_at(bars)
    fits = bars[starts_s + seconds <= score.duration_s + 1e-6]
    if not len(fits):
        return []
    room = max(1, int(score.duration_s / seconds))
    chosen = fits[np.unique(np.linspace(0, len(fits) - 1, min(most, room)).astype(int))]
    parts = [score.slice(float(at), float(score.quarters_at(score.seconds_at(at) + seconds))) for at in chosen]
    return [part for part in parts if len(part.notes)]


def within(values: list[float], reference: list[float]) -> float:
    """Share of values from the 10th to the 90th percentile of the reference; NaN values count as outside."""
    low, high = np.nanpercentile(reference, (10, 90))
    return float(np.mean([low - 1e-9 <= value <= high + 1e-9 for value in values]))


def steps_of(score: Score) -> np.ndarray:
    """The top voice as steps (int64): change of pitch and time to the next onset, 1/12 of a quarter apart."""
    notes = pitched(score)
    if len(notes) < 2:
        return np.empty(0, np.int64)
    times = np.round(notes["start"] * 12).astype(np.int64)
    onset, first = np.unique(times, return_index=True)
    top = np.maximum.reduceat(notes["pitch"].astype(np.int64), first)
    return (np.diff(top) + 128) * 4096 + np.minimum(np.diff(onset), 4095)


class SharedSequences:
    """The longest run of top-voice steps that a score shares with any of a set of pieces, in any key.

    Runs of one length are compared by a polynomial hash modulo 2**64, so each length costs one sort.
    """

    def __init__(self, pieces: list[np.ndarray]):
        pieces = [piece for piece in pieces if len(piece)]
        self._prefix = _hash_prefixes(np.concatenate([np.empty(0, np.int64), *pieces]))
        self._owner = np.repeat(np.arange(len(pieces)), np.array([len(p) for p in pieces], dtype=np.int64))
        self._known: dict[int, np.ndarray] = {}

    def _hashes(self, length: int) -> np.ndarray:
        """Sorted hashes of all runs of `length` steps inside one piece."""
        if length not in self._known:
            hashes = _window_hashes(self._prefix, length)
            inside = self._owner[: len(hashes)] == self._owner[length - 1 :]
            self._known[length] = np.sort(hashes[inside])
        return self._known[length]

    def longest(self, steps: np.ndarray) -> int:
        """Steps in the longest shared run."""
        prefix = _hash_prefixes(steps)
        longest = 0
        # A run of n shared steps contains one of n - 1, so the bits of the answer are found from the highest
        # down; scores then try the same few lengths.
        for bit in reversed(range(len(steps).bit_length())):
            length = longest + 2**bit
            known, asked = self._hashes(length), _window_hashes(prefix, length)
            if len(known) and len(asked):
                at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
                longest = length if (known[at] == asked).any() else longest
        return longest


_BASE = 6364136223846793005  # Knuth's multiplier for 64 bits


def _mixed(steps: np.ndarray) -> np.ndarray:
    """Spread small numbers over 64 bits (the finaliser of splitmix64)."""
    x = steps.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hash_prefixes(steps: np.ndarray) -> np.ndarray:
    """prefix[n] = sum of steps[i] * base**i for i < n, modulo 2**64: [len + 1]."""
    powers = np.cumprod(np.full(len(steps), _BASE, dtype=np.uint64)) if len(steps) else np.empty(0, np.uint64)
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(steps) * powers, dtype=np.uint64)])


def _window_hashes(prefix: np.ndarray, length: int) -> np.ndarray:
    """A hash of each run of `length` steps, the same wherever the run stands."""
    count = len(prefix) - length
    if count <= 0:
        return np.empty(0, np.uint64)
    inverse = pow(_BASE, -1, 2**64)
    back = np.cumprod(np.full(count, inverse, dtype=np.uint64))
    return (prefix[length:] - prefix[:-length]) * back
