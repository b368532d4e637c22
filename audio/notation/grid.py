"""Times of a score as ticks of its bars: exact where the score stands on a grid, else the nearest that can be read.

Knows quarters, bars and ticks. Does not know voices or note values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clavilux.audio.notation.values import TICKS, Metre
from clavilux.audio.score import bar_quarters

if TYPE_CHECKING:
    from clavilux.audio.score import Score

_EXACT = 0.1  # ticks; a file's own rounding is below that
# A quarter's grid in ticks, and what a finer or a rarer one must gain: sixteenths, triplets, 32nds, triplet sixteenths.
_GRIDS = ((12, 0.0), (16, 1.0), (6, 2.0), (8, 2.5))
_BAR_GRID = 12  # a bar that a cut or an upbeat has made short is so many sixteenths long


@dataclass(frozen=True)
class Bar:
    """A bar: `start` and `ticks` in ticks from the beginning, `quarter` where it begins in the score."""

    start: int
    ticks: int
    quarter: float
    metre: Metre


def bars_of(score: Score) -> list[Bar]:
    """The bars of a score; the last one is a whole one.

    A score that ends inside a bar in which nothing sounds has let its last notes ring: what follows them is no bar.
    """
    starts = score.bar_starts()
    sounding = float((score.notes["start"] + score.notes["duration"]).max()) if len(score.notes) else score.length
    if score.length < starts[-1] + bar_quarters(score.metre_at(float(starts[-1]))) - 1e-3:
        starts = starts[: max(1, int(np.searchsorted(starts, sounding - 1e-6)))]
    metres = [score.metre_at(start) for start in starts]
    ends = [*starts[1:], starts[-1] + bar_quarters(metres[-1])]
    bars, at = [], 0
    for start, end, metre in zip(starts.tolist(), ends, metres, strict=True):
        whole = round(bar_quarters(metre) * TICKS)
        ticks = round((end - start) * TICKS / _BAR_GRID) * _BAR_GRID
        ticks = whole if abs((end - start) - bar_quarters(metre)) < 1e-3 else min(whole, max(_BAR_GRID, ticks))
        bars.append(Bar(at, ticks, start, metre))
        at += ticks
    return bars


def in_ticks(score: Score, bars: list[Bar]) -> tuple[np.ndarray, np.ndarray]:
    """Where the score's notes begin and end, int64 [notes] each, in ticks from the beginning; none is empty."""
    notes = score.notes
    starts = _bar_ticks(notes["start"], bars)
    ends = _bar_ticks(notes["start"] + notes["duration"], bars)
    if all((np.abs(times - np.round(times / 2) * 2) < _EXACT).all() for times in (starts, ends)):
        first, last = (np.round(times / 2).astype(np.int64) * 2 for times in (starts, ends))
        return first, np.maximum(last, first + 2)
    return _readable(notes, starts, ends, [bar.start + bar.ticks for bar in bars])


def ticks_at(quarter: float, bars: list[Bar]) -> int:
    """The nearest tick to a time of the score."""
    return round(float(_bar_ticks(np.array([quarter]), bars)[0]))


def _bar_ticks(quarters: np.ndarray, bars: list[Bar]) -> np.ndarray:
    """Ticks from the beginning, float64: counted from the start of each bar, none beyond its end."""
    begins = np.array([bar.quarter for bar in bars])
    bar = np.clip(np.searchsorted(begins, quarters + 1e-6, side="right") - 1, 0, len(bars) - 1)
    first, ticks = np.array([(each.start, each.ticks) for each in bars], float).T
    inside = np.clip((quarters - begins[bar]) * TICKS, 0, np.where(bar < len(bars) - 1, ticks[bar], np.inf))
    return first[bar] + inside


def _readable(
    notes: np.ndarray, starts: np.ndarray, ends: np.ndarray, bar_ends: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Played times on the grid that fits each quarter of each part best; small gaps between notes are closed."""
    first, last = np.zeros(len(notes), np.int64), np.zeros(len(notes), np.int64)
    for part in np.unique(notes["part"]):
        mine = np.flatnonzero(notes["part"] == part)
        grids = _grids(starts[mine])
        first[mine] = _snapped(starts[mine], grids)
        onsets = np.unique(first[mine])
        until = _snapped(ends[mine], grids)
        later = np.searchsorted(onsets, first[mine], side="right")
        following = np.append(onsets, np.iinfo(np.int64).max)[later]
        # A note is let go a little before the next one, or the bar's end, which nobody writes.
        goals = np.union1d(onsets, bar_ends)
        goal = goals[np.minimum(np.searchsorted(goals, until), len(goals) - 1)]
        gap = goal - until
        until = np.where((gap > 0) & (gap <= 12) & (gap < until - first[mine]), goal, until)
        least = np.array([grids.get(int(at) // TICKS, 12) for at in first[mine]])
        last[mine] = np.maximum(until, np.minimum(first[mine] + least, np.maximum(following, first[mine] + 6)))
    return first, last


def _grids(starts: np.ndarray) -> dict[int, int]:
    """Quarter -> the grid on which its notes stand best."""
    found = {}
    quarter = (starts // TICKS).astype(np.int64)
    for number in np.unique(quarter):
        here = starts[quarter == number]
        costs = [(np.abs(here - np.round(here / grid) * grid).max() + cost, grid) for grid, cost in _GRIDS]
        found[int(number)] = min(costs)[1]
    return found


def _snapped(times: np.ndarray, grids: dict[int, int]) -> np.ndarray:
    grid = np.array([grids.get(int(time) // TICKS, 12) for time in times])
    return (np.round(times / grid) * grid).astype(np.int64)
