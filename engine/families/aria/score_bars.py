"""Where the bars of any score begin, and which of them can be written anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.score import Score, bar_quarters


@dataclass(frozen=True)
class ScoreBars:
    """Where the bars of a score begin (quarters, one more for the end), and which are whole ones of a metre that can
    be written.
    """

    starts: np.ndarray
    metres: tuple[tuple[int, int], ...]
    whole: tuple[bool, ...]

    @classmethod
    def of(cls, score: Score) -> ScoreBars:
        starts = score.bar_starts()
        metres = tuple(score.metre_at(start) for start in starts)
        ends = [*starts[1:].tolist(), starts[-1] + bar_quarters(metres[-1])]
        lengths = np.array(ends) - starts
        whole = tuple(
            metre in WRITTEN_METRES and abs(length - bar_quarters(metre)) < 1e-6
            for metre, length in zip(metres, lengths.tolist(), strict=True)
        )
        return cls(np.append(starts, ends[-1]), metres, whole)
