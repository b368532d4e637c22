"""The training piece that a score shares most with: runs of notes, in any key, at any tempo, in any note values.

Knows notes and hashes. A line (the top of all notes, and that of each program) is cut into runs of `RUN` notes; a run
is its steps in semitones and the ratios of the times between its notes, as one number. One number in `EVERY`, chosen by
itself, is kept in the index, and looked for (as in U. Manber's "Finding similar files in a large file system", 1994).
Figures that many pieces have are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clavilux.provenance.verdict import Nearest

if TYPE_CHECKING:
    from clavilux.audio.score import Score
    from clavilux.provenance.nearest_index import Index

RUN = 8  # notes
EVERY = 6  # runs, of which one is kept
BITS = 26  # of what is kept of a run's number
TOGETHER = 8  # kept runs that are one passage: about fifty notes
FEWEST = 4  # kept runs that can be compared
SIZES = {"short": 12, "medium": 50, "long": 10**9}  # kept runs of what is looked at, at most
_TICKS = 24  # of a quarter
_WIDEST = 8  # half octaves of a ratio of times


def runs(starts: np.ndarray, pitches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(number, uint32 [n]; quarter where it begins, float64 [n]) of the kept runs of a line.

    Args:
        starts: quarters, rising, float64 [N].
        pitches: int64 [N].
    """
    ticks = np.round(np.asarray(starts, dtype=np.float64) * _TICKS)
    if len(ticks) < RUN:
        return np.zeros(0, np.uint32), np.zeros(0)
    steps = np.lib.stride_tricks.sliding_window_view(np.diff(np.asarray(pitches, dtype=np.int64)), RUN - 1)
    times = np.lib.stride_tricks.sliding_window_view(np.maximum(np.diff(ticks), 1), RUN - 1)
    ratios = np.clip(np.round(2 * np.log2(times / times[:, :1])), -_WIDEST, _WIDEST).astype(np.int64)
    mixed = np.zeros(len(steps), np.uint64)
    for step, ratio in zip(steps.T, ratios.T, strict=True):
        mixed = mixed * np.uint64(0x100000001B3) + ((step + 128) * 32 + ratio + 16).astype(np.uint64)
    mixed ^= mixed >> np.uint64(33)
    mixed = (mixed * np.uint64(0xFF51AFD7ED558CCD)) >> np.uint64(20)
    chosen = mixed % np.uint64(EVERY) == 0
    return ((mixed // np.uint64(EVERY)) & np.uint64((1 << BITS) - 1)).astype(np.uint32)[chosen], np.asarray(
        starts, dtype=np.float64
    )[: len(steps)][chosen]


def lines(starts: np.ndarray, pitches: np.ndarray, programs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(starts, pitches) of the highest note at each onset: of all notes [N], then of each program, if several."""
    each = np.unique(programs)
    parts = [np.ones(len(starts), dtype=bool), *(programs == program for program in each if len(each) > 1)]
    return [_top(np.asarray(starts)[part], np.asarray(pitches)[part]) for part in parts]


def _top(starts: np.ndarray, pitches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((pitches, np.round(starts * _TICKS)))
    starts, pitches = starts[order], pitches[order].astype(np.int64)
    last = np.append(np.diff(np.round(starts * _TICKS)) > 0, True)[: len(starts)]
    return starts[last], pitches[last]


@dataclass(frozen=True)
class Passage:
    """What is shared most: with which entry, which part of a passage's runs, and where the passage begins, in quarters.

    runs: kept runs of the whole that was looked at.
    """

    entry: int
    shared: float
    quarter: float
    runs: int


def nearest_passage(index: Index, found: list[tuple[np.ndarray, np.ndarray]]) -> Passage | None:
    """The entry that shares most of a passage; None for lines that are too short.

    Args:
        index: of "scores".
        found: the runs [n] of each line, with their places [n].
    """
    best, total = None, 0
    keys, pieces = index.arrays["runs"], index.arrays["pieces"]
    for all_numbers, all_places in found:
        rare = ~np.isin(all_numbers, index.arrays["common"])
        numbers, places = all_numbers[rare], all_places[rare]
        total = max(total, len(numbers))
        if len(numbers) < FEWEST:
            continue
        first, last = (np.searchsorted(keys, numbers, side) for side in ("left", "right"))
        hits = np.zeros((len(numbers), len(index.names)), dtype=bool)
        for row, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            hits[row, pieces[low:high]] = True
        seen = np.flatnonzero(hits.any(0))
        width = min(TOGETHER, len(numbers))
        sums = np.cumsum(np.vstack([np.zeros(len(seen), int), hits[:, seen]]), axis=0)
        of_passage = sums[width:] - sums[:-width]  # [passages, entries that are seen]
        if not seen.size:
            at, entry, shared = 0, -1, 0.0
        else:
            # Of entries that share as much, the one that shares most of the whole line.
            ranked = of_passage * (len(numbers) + 1) + sums[-1]
            at, column = divmod(int(ranked.argmax()), ranked.shape[1])
            entry, shared = int(seen[column]), float(of_passage[at, column]) / width
        if best is None or shared > best.shared:
            best = Passage(entry, shared, float(places[at]), 0)
    return None if best is None else Passage(best.entry, best.shared, best.quarter, total)


def size_of(runs_: int) -> str:
    """Which of `SIZES` so many kept runs are."""
    return next(name for name, most in SIZES.items() if runs_ <= most)


def lines_of(score: Score) -> list[tuple[np.ndarray, np.ndarray]]:
    """The kept runs of each line of a score, with their places."""
    notes = score.notes[~score.notes["drum"]]
    return [runs(*line) for line in lines(notes["start"], notes["pitch"], notes["program"])]


def nearest_to_score(index: Index, score: Score) -> Nearest:
    """What a score is nearest to. ValueError for one with too few notes to tell."""
    found = nearest_passage(index, lines_of(score))
    if found is None:
        raise ValueError(f"no line of it has {FEWEST} runs that can be compared; it should have about thirty notes")
    bar = int(np.searchsorted(score.bar_starts(), found.quarter + 1e-6, side="right"))
    distance = 1 - found.shared
    rarity = index.rarity(distance, size_of(found.runs))
    if found.entry < 0:
        return Nearest("aria", "", "", "", distance, rarity, f"bar {bar}")
    source = index.source_of(found.entry)
    return Nearest("aria", index.names[found.entry], source["name"], source["licence"], distance, rarity, f"bar {bar}")
