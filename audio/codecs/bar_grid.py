"""The grid of onsets that a bar of score tokens may hold, and scores brought onto it.

Knows which metres are written, and as what. Does not know tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clavilux.audio.score import Score, bar_quarters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# What a bar of each metre is written as. Half-note metres share the quarter metres' finer grid.
WRITTEN_METRES = {
    **{m: m for m in ((2, 4), (3, 4), (4, 4), (5, 4), (6, 4), (3, 8), (6, 8), (9, 8), (12, 8))},
    (2, 2): (4, 4),
    (3, 2): (6, 4),
}
# Onsets that notation uses, in twelfths of a beat: sixteenths and triplet eighths; sixteenths in x/8.
_GRID = {4: (0, 3, 4, 6, 8, 9), 8: (0, 6)}


def grid_quarters(metre: tuple[int, int]) -> np.ndarray:
    """Onsets a bar may hold, in quarter notes from its start, ascending."""
    beats, unit = WRITTEN_METRES[metre]
    steps = [beat + twelfth / 12 for beat in range(beats) for twelfth in _GRID[unit]]
    return np.array(steps) * 4 / unit


def regular_bars(score: Score) -> Score:
    """The score with every bar a full bar of a metre that tokens can write. Pickups and bars that a repeat
    splits become whole bars of the piece's commonest metre, silent before their notes.

    Raises ValueError for a bar longer than that.
    """
    starts = np.append(score.bar_starts(), score.length)
    metres = [score.metre_at(start) for start in starts[:-1]]
    lengths = np.diff(starts)
    whole = [
        metre in WRITTEN_METRES and abs(length - bar_quarters(metre)) < 1e-3
        for metre, length in zip(metres, lengths, strict=True)
    ]
    usual = [metre for metre, full in zip(metres, whole, strict=True) if full]
    if not usual:
        raise ValueError(f"no whole bar of a known metre among {sorted(set(metres))}")
    common = max(set(usual), key=usual.count)
    kept = [metre if full else common for metre, full in zip(metres, whole, strict=True)]
    new_lengths = np.array([bar_quarters(metre) for metre in kept])
    if (lengths > new_lengths + 1e-3).any():
        raise ValueError(f"a bar of {lengths.max():g} quarters does not fit into {common[0]}/{common[1]}")
    new_starts = np.concatenate([[0.0], np.cumsum(new_lengths)])
    offsets = new_starts[1:] - starts[1:]  # a short bar moves to the end of its whole bar

    def moved(times: ArrayLike) -> np.ndarray:
        return (
            times
            + offsets[np.clip(np.searchsorted(starts, np.asarray(times) + 1e-6, side="right") - 1, 0, len(kept) - 1)]
        )

    notes = score.notes.copy()
    notes["start"] = moved(notes["start"])
    changes = [i for i in range(len(kept)) if i == 0 or kept[i] != kept[i - 1]]
    return replace(
        score,
        notes=notes,
        tempos=((0.0, score.tempos[0][1]),),
        metres=tuple((float(new_starts[i]), kept[i]) for i in changes),
        chords=tuple((float(moved(q)) if q > 0 else 0.0, chord) for q, chord in score.chords),
        length=float(new_starts[-1]),
    )


def snap_to_grid(score: Score) -> np.ndarray:
    """The score's notes with starts and ends on their bar's nearest grid onset; one a pitch and onset."""
    notes = score.merged().notes.copy()
    grid = _absolute_grid(score)
    starts = grid[_nearest(grid, notes["start"])]
    ends = grid[_nearest(grid, notes["start"] + notes["duration"])]
    following = grid[np.minimum(np.searchsorted(grid, starts, side="right"), len(grid) - 1)]
    notes["start"], notes["duration"] = starts, np.maximum(ends, following) - starts
    notes = notes[notes["duration"] > 0]
    notes = notes[np.lexsort((-notes["duration"], notes["pitch"], notes["program"], notes["drum"], notes["start"]))]
    same = np.ones(len(notes), dtype=bool)
    for field in ("start", "drum", "program", "pitch"):
        same[1:] &= notes[field][1:] == notes[field][:-1]
    same[:1] = False
    return notes[~same]


def _absolute_grid(score: Score) -> np.ndarray:
    """Every grid onset of the piece and of one bar after it, in quarters."""
    starts = score.bar_starts()
    metres = list(score.metres)
    pieces, at = [], 0
    for start in starts:
        while at + 1 < len(metres) and metres[at + 1][0] <= start + 1e-6:
            at += 1
        pieces.append(start + grid_quarters(metres[at][1]))
    end = starts[-1] + bar_quarters(metres[at][1])
    pieces.append(end + grid_quarters(metres[at][1]))
    return np.unique(np.round(np.concatenate(pieces), 6))


def _nearest(grid: np.ndarray, times: np.ndarray) -> np.ndarray:
    right = np.clip(np.searchsorted(grid, times), 1, len(grid) - 1)
    return right - (times - grid[right - 1] <= grid[right] - times)
