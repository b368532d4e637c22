"""The mark in a sound that was played from notes: found in any recording of it, without its score.

Knows what a correlation is worth. How a sound becomes correlations is `audio.sound_mark_search`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clavilux.audio.clip import Audio
from clavilux.audio.sound_mark import pattern_of
from clavilux.audio.sound_mark_search import folds_of
from clavilux.mark_key import MarkKey
from clavilux.marking import PLAYED_KIND
from clavilux.provenance.mark import of_tries
from clavilux.provenance.verdict import CELLS, Mark

_BENTKUS = 0.25 / (math.erfc(1) / 2)  # 3.178


def tail_of_signs(correlation: float) -> float:
    """A bound on P(a sum of independent fair signs, whose weights' squares sum to 1, >= correlation), for any weights.

    Hoeffding's, or V. Bentkus and D. Dzindzalieta's of 2015 ("A tight Gaussian bound for weighted sums of Rademacher
    random variables"), 3.178 times the normal tail: so the p-value holds whatever the sound is.
    """
    if correlation <= 0:
        return 1.0
    normal = math.erfc(correlation / math.sqrt(2)) / 2
    return min(1.0, math.exp(-(correlation**2) / 2), _BENTKUS * normal)


def find_in_sound(sound: Audio, keys: Sequence[MarkKey]) -> tuple[Mark, ...]:
    """What was found of each key's mark in a sound; every place and speed that was tried is counted in."""
    folds = folds_of(sound.samples, sound.sample_rate)
    best = folds.correlations(np.stack([pattern_of(key.word(PLAYED_KIND)) for key in keys]))
    return tuple(
        Mark(key.id, of_tries(tail_of_signs(each), folds.tries), folds.cells, CELLS)
        for key, each in zip(keys, best.tolist(), strict=True)
    )
