"""Loops: whole bars of a score as sound that joins its own beginning.

What still rings at the end is added to the beginning, which is what a loop sounds like from its second round on: the
seam is a place like any other. Knows bars, seconds and levels. Does not know files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from clavilux.audio.loudness import normalize
from clavilux.audio.score import bar_quarters
from clavilux.audio.stems import Performance
from clavilux.audio.synth import SAMPLE_RATE

if TYPE_CHECKING:
    from clavilux.audio.score import Score
    from clavilux.audio.soundfont import SoundFont

LONGEST_LOOP_S = 600.0  # three rounds of it are levelled in memory at once


def whole_bars(score: Score) -> Score:
    """The score up to the end of its last bar that is whole; a piece that begins with an upbeat has its own length.

    Raises:
        ValueError: no bar is whole.
    """
    last = float(score.bar_starts()[-1])
    whole = last + bar_quarters(score.metre_at(last))
    if score.length >= whole - 1e-6:
        return score.slice(0.0, whole)
    if last <= 0:
        length = f"{score.length:g} quarters of {whole:g}"
        raise ValueError(f"a loop needs a whole bar, and the piece ends within its first one ({length})")
    return score.slice(0.0, last)


class Looped(NamedTuple):
    """A loop: its bars, how they are played, and their sound, float32 [2, N]."""

    score: Score
    performance: Performance
    samples: torch.Tensor


def looped(
    score: Score, sample_rate: int = SAMPLE_RATE, soundfont: SoundFont | None = None, mark: int | None = None
) -> Looped:
    """The whole bars of a score as a loop.

    Args:
        score: with at least one whole bar.
        sample_rate: Hz.
        soundfont: whose instruments play; the bundled one if None.
        mark: 64 bits of a key whose mark the sound carries; None: none.

    Returns:
        N is the bars' seconds to the nearest sample, and they sound at the level of the instruments.

    Raises:
        ValueError: no whole bar, or more than `LONGEST_LOOP_S` of them.
    """
    score = whole_bars(score)
    if score.duration_s > LONGEST_LOOP_S:
        raise ValueError(f"the bars last {score.duration_s:,.0f} s; a loop may have {LONGEST_LOOP_S:,.0f}")
    length = max(1, round(score.duration_s * sample_rate))
    played = Performance.of_score(score, soundfont, mark)
    return Looped(score, played, played.around(sample_rate, length))


def leveled_loop(samples: torch.Tensor, sample_rate: int, target_lufs: float) -> torch.Tensor:
    """A loop at a loudness: the middle of three rounds, so that the limiter too is in the midst of its work at both
    ends.
    """
    length = samples.shape[1]
    return normalize(samples.repeat(1, 3), sample_rate, target_lufs=target_lufs)[:, length : 2 * length]


@dataclass(frozen=True)
class Seam:
    """How the end of a loop meets its beginning: how far a straight line through the two samples before misses the
    next, at the seam and, at most, elsewhere; and the share of places that miss by more than the seam.
    """

    step: float
    largest_elsewhere: float
    share_larger: float

    @property
    def relative_db(self) -> float:
        """The seam against the largest elsewhere, in dB; -inf for no step at all."""
        if not self.step:
            return -math.inf
        return 20 * math.log10(self.step / self.largest_elsewhere) if self.largest_elsewhere else math.inf


def seam_of(samples: torch.Tensor) -> Seam:
    """Measure the seam of a loop, float [C, N]."""
    data = samples.double().numpy()
    around = np.concatenate([data[:, -2:], data], axis=1)
    misses = np.abs(np.diff(around, 2, axis=1)).max(axis=0)  # [N]; the first two reach over the seam
    seam, elsewhere = float(misses[:2].max()), misses[2:]
    largest = float(elsewhere.max(initial=0.0))
    return Seam(seam, largest, float((elsewhere > seam).mean()) if len(elsewhere) else 0.0)
