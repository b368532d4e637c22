"""The mark in a sound that was played from notes: found in any recording of it, without its score.

Knows what a correlation is worth. How a sound becomes correlations is `audio.sound_mark_search`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clavilux.audio.clip import Audio
from clavilux.audio.sound_mark import pattern_of
from clavilux.audio.sound_mark_search import folds_of
from clavilux.mark_key import MarkKey
from clavilux.marking import PLAYED_KIND
from clavilux.provenance.mark import of_tries, tail_of_signs
from clavilux.provenance.verdict import CELLS, Mark


def find_in_sound(sound: Audio, keys: Sequence[MarkKey]) -> tuple[Mark, ...]:
    """What was found of each key's mark in a sound; every place and speed that was tried is counted in."""
    folds = folds_of(sound.samples, sound.sample_rate)
    best = folds.correlations(np.stack([pattern_of(key.word(PLAYED_KIND)) for key in keys]))
    return tuple(
        Mark(key.id, of_tries(tail_of_signs(each), folds.tries), folds.cells, CELLS)
        for key, each in zip(keys, best.tolist(), strict=True)
    )
