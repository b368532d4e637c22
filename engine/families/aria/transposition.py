"""The composer writes in C: its tokens and logits for those of a piece in another key.

Knows tables of ids. Does not know what they mean (`formats`) or what key a piece has.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Transposition:
    """Between tokens at their sounding pitch and the composer's.

    At the ends of the piano's range two pitches of the composer sound as one, an octave apart there: its probability is
    the sum of theirs, and pitches that none sounds as have the logit -inf.
    """

    def __init__(self, read: np.ndarray, sounds_as: np.ndarray) -> None:
        """`read` [V] takes sounding ids to the composer's, `sounds_as` [V] those to the sounding ones."""
        self._read, composers = torch.from_numpy(np.array(read)), torch.from_numpy(np.array(sounds_as))
        ids = torch.arange(len(self._read))
        self._silent = (composers[self._read] != ids).nonzero().flatten()
        self._others = (self._read[composers] != ids).nonzero().flatten()  # the composer's that sound as another does
        self._as = composers[self._others]

    def to_composer(self, tokens: Tensor) -> Tensor:
        """Sounding ids int64 of any shape -> the composer's."""
        return self._read.to(tokens.device)[tokens]

    def to_sounding(self, logits: Tensor) -> Tensor:
        """Logits [..., V] of the composer's ids -> of the sounding ones."""
        sounding = logits[..., self._read.to(logits.device)]
        sounding[..., self._silent] = -torch.inf
        sounding[..., self._as] = torch.logaddexp(sounding[..., self._as], logits[..., self._others])
        return sounding
