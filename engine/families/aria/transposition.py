"""The composer writes in C: its tokens and logits for those of a piece in another key.

Knows the score vocabulary. Does not know what key a piece has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clavilux.audio.codecs.remi import score_tokens


class Transposition:
    """Between tokens at their sounding pitch and the composer's.

    At the ends of the piano's range two pitches of the composer sound as one, an octave apart there: its probability is
    the sum of theirs, and pitches that none sounds as have the logit -inf.
    """

    def __init__(self, semitones: int) -> None:
        """`semitones` take the sounding pitch to the composer's."""
        tokens = score_tokens()
        self._read = torch.from_numpy(tokens.transposition(semitones))  # sounding -> composer's
        sounds_as = torch.from_numpy(tokens.transposition(-semitones))  # composer's -> sounding
        ids = torch.arange(len(tokens))
        self._silent = (sounds_as[self._read] != ids).nonzero().flatten()
        self._others = (self._read[sounds_as] != ids).nonzero().flatten()  # the composer's that sound as another does
        self._as = sounds_as[self._others]

    def to_composer(self, tokens: Tensor) -> Tensor:
        """Sounding ids int64 of any shape -> the composer's."""
        return self._read.to(tokens.device)[tokens]

    def to_sounding(self, logits: Tensor) -> Tensor:
        """Logits [..., V] of the composer's ids -> of the sounding ones."""
        sounding = logits[..., self._read.to(logits.device)]
        sounding[..., self._silent] = -torch.inf
        sounding[..., self._as] = torch.logaddexp(sounding[..., self._as], logits[..., self._others])
        return sounding
