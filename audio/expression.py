"""Controllers as sound hears them: a part's volume, pan, bend, soft pedal and bank at each sample.

Knows `CONTROL` records with times in seconds. Does not know notes or files. What a block of samples gets depends on
the block's place alone, so pieces of a stream are the whole, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clavilux.audio.notes import BANK, BEND, EXPRESSION, PAN, REST, SOFT, VOLUME

STEP = 128  # samples over which a change is spread, at most as many early: 3 ms, short enough for an attack
SOFT_GAIN = 10 ** (-4 / 20)  # of the notes that begin under the soft pedal
_DOWN = 64
_LOOKED_AT = 1 << 20  # samples at once


class PartExpression:
    """The controllers of one part.

    Args:
        controls: `CONTROL` records of the part, in the order of time; their times in seconds.
        sample_rate: Hz.
    """

    def __init__(self, controls: np.ndarray, sample_rate: int) -> None:
        self._steps = {}
        for kind in (VOLUME, EXPRESSION, PAN, BEND, SOFT, BANK):
            own = controls[controls["kind"] == kind]
            if len(own):
                at = np.round(own["time"] * sample_rate).astype(np.int64)
                self._steps[kind] = at, np.append(float(REST[kind]), own["value"])

    def gain(self, begin: int, count: int) -> np.ndarray | float:
        """Amplitudes of `count` samples from `begin` on, float32 [count], or one for all; General MIDI's square law,
        1 at the volume 100 that it begins with.
        """
        volume, expression = self._smooth(VOLUME, begin, count), self._smooth(EXPRESSION, begin, count)
        gain = (volume / REST[VOLUME] * (expression / REST[EXPRESSION])) ** 2
        return gain if isinstance(gain, float) else gain.astype(np.float32)

    def pan(self, begin: int, count: int) -> np.ndarray | float:
        """-1 left .. 1 right, float64 [count] or one for all; 0 leaves an instrument in its seat."""
        pan = (self._smooth(PAN, begin, count) - 64) / 63
        return max(-1.0, pan) if isinstance(pan, float) else np.maximum(-1.0, pan)

    def bend(self, begin: int, count: int) -> np.ndarray:
        """Cents of `count` samples from `begin` on, float64 [count]."""
        return np.full(count, 100 * self._smooth(BEND, begin, count))

    def is_bent(self, begin: int, count: int) -> bool:
        """Whether `bend` gives other cents than 0."""
        if BEND not in self._steps:
            return False
        starts = range(begin, begin + count, _LOOKED_AT)
        return any(self._points(BEND, at, min(_LOOKED_AT, begin + count - at)).any() for at in starts)

    def at(self, kind: int, sample: int) -> float:
        """Where a control stands when a note begins."""
        if kind not in self._steps:
            return float(REST[kind])
        at, values = self._steps[kind]
        return float(values[np.searchsorted(at, sample, side="right")])

    def soft_gain(self, sample: int) -> float:
        return SOFT_GAIN if self.at(SOFT, sample) >= _DOWN else 1.0

    def _smooth(self, kind: int, begin: int, count: int) -> np.ndarray | float:
        """A control at each sample [count], or its one value there; changes lie within a step of `STEP` samples."""
        if kind not in self._steps:
            return float(REST[kind])
        points = self._points(kind, begin, count)
        if (points == points[0]).all():
            return float(points[0])
        return np.interp(np.arange(begin, begin + count), (begin // STEP + np.arange(len(points))) * STEP, points)

    def _points(self, kind: int, begin: int, count: int) -> np.ndarray:
        """A control where steps meet: at the last such place up to `begin`, and on to the first one behind."""
        at, values = self._steps[kind]
        first, last = begin // STEP, (begin + count - 1) // STEP
        edges = np.maximum(np.arange(first, last + 2) * STEP, STEP)  # nothing is faded at the start of all
        return values[np.searchsorted(at, edges)]


@dataclass(frozen=True)
class NoteBend:
    """The bend of a note that begins at the sample `start` (`clavilux.audio.sampler.Bend`)."""

    moves: PartExpression
    start: int

    def is_none(self, count: int) -> bool:
        return not self.moves.is_bent(self.start, count)

    def cents(self, first: int, count: int) -> np.ndarray:
        return self.moves.bend(self.start + first, count)


def part_expressions(controls: np.ndarray, sample_rate: int) -> dict[int, PartExpression]:
    """Part -> its controllers, for the parts that have any."""
    return {
        int(part): PartExpression(controls[controls["part"] == part], sample_rate)
        for part in np.unique(controls["part"])
    }
