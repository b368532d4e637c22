"""When notes sound: swing, exact, and the small differences of hands, drawn by a seed.

Knows notes and times. Does not know styles.
"""

from __future__ import annotations

import hashlib

import numpy as np

_SPREAD_MS = 5.0  # standard deviation of a hand's time; drummers of the Groove MIDI Dataset keep within 4 to 10
_MOST_MS = 15.0
_ON = 1e-4  # of a quarter: the second of two notes is straight


def swung(times: np.ndarray, swing: float, pair: float = 1.0) -> np.ndarray:
    """Positions in quarters with the second half of each pair begun at `swing` of it.

    0.5 changes nothing. Quarters of a pair move in proportion; what stands elsewhere, as triplets do, stays.

    Args:
        times: quarters from a beat.
        swing: where the second of two notes falls, as a share of their pair.
        pair: its length in quarters; 1 swings eighths, 0.5 sixteenths.
    """
    times = np.asarray(times, dtype=np.float64)
    pairs = np.floor(times / pair + _ON)
    inside = times / pair - pairs
    straight = np.abs(inside * 4 - np.round(inside * 4)) < 4 * _ON
    late = np.where(inside < 0.5 + _ON, inside * 2 * swing, swing + (inside - 0.5) * 2 * (1 - swing))
    return np.where(straight, (pairs + late) * pair, times)


def swing_notes(notes: np.ndarray, swing: float, pair: float = 1.0, origin: float = 0.0) -> np.ndarray:
    """Notes with starts and ends swung; `origin` is a beat. They keep at least a thirty-second."""
    if swing == 0.5 or not len(notes):
        return notes
    notes = notes.copy()
    ends = swung(notes["start"] + notes["duration"] - origin, swing, pair) + origin
    notes["start"] = swung(notes["start"] - origin, swing, pair) + origin
    notes["duration"] = np.maximum(ends - notes["start"], 1 / 8)
    return notes


def offset_s(seed: int, *what: object) -> float:
    """A hand's seconds early or late for one stroke, the same for the same seed and stroke everywhere."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    # The sum of four uniform numbers is near enough to normal, and the same on every machine.
    drawn = sum(int.from_bytes(digest[4 * i : 4 * i + 4], "big") for i in range(4)) / 2**32
    return float(np.clip((drawn - 2.0) * 3**0.5 * _SPREAD_MS, -_MOST_MS, _MOST_MS)) / 1000
