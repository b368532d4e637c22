"""The mark in a sound that a neural codec decoded: its tokens are found again by that codec.

Knows sounds and a codec that it is given. Which codec that is, the caller says.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clavilux.audio.clip import Audio
from clavilux.audio.codecs import NeuralCodec
from clavilux.audio.codecs.encode_clip import encode_clip
from clavilux.mark_key import MarkKey
from clavilux.marking import NONCES, MarkedTokens, Place
from clavilux.provenance.mark import gamma_tail, group_scores, of_tries
from clavilux.provenance.verdict import Mark

CERTAIN = 1e-7  # a p-value that nothing else has to be tried for
MOST_FRAMES = 1500  # that are looked at: 30 s of EnCodec's 50 a second
LATEST = 500  # frames that may have been cut off before the first
ALIGNMENTS = 4  # places within a frame where a cut sound may begin


def find_in_codec_sound(sound: Audio, key: MarkKey, codec: NeuralCodec, tokens: MarkedTokens) -> Mark:
    """What was found of a key's mark in a sound: from its beginning, else as cut off anywhere in its first frames."""
    frame = codec.hop
    clip = sound.resample(codec.sample_rate)
    groups = _groups(clip, codec, tokens)
    best = _best(groups, key, tokens, 1)
    found = Mark(key.id, of_tries(best, 2 * NONCES), int((groups >= 0).sum()))
    if found.p < CERTAIN or clip.samples.shape[1] < 2 * frame:
        return found
    for alignment in range(ALIGNMENTS):
        moved = Audio(clip.samples[:, alignment * frame // ALIGNMENTS :], clip.sample_rate)
        best = min(best, _best(_groups(moved, codec, tokens), key, tokens, LATEST))
    return Mark(key.id, of_tries(best, NONCES * (1 + ALIGNMENTS * LATEST)), found.tokens)


def _best(groups: Tensor, key: MarkKey, tokens: MarkedTokens, starts: int) -> float:
    """The least p-value of int64 [T] over nonces and the places 0 .. starts - 1 of its first frame."""
    inside = torch.nonzero(groups >= 0)[:, 0]
    if not len(inside):
        return 1.0
    least = 1.0
    for first in range(0, starts, 100):  # the noise of some places is held at once
        count = min(100, starts - first)
        places = [Place(first + at) for at in range(count + int(inside[-1]))]
        scores = group_scores(key.word(tokens.kind), places, tokens.num_groups)  # [NONCES, n, G]
        for start in range(count):
            own = scores[:, inside + start, groups[inside]].double().sum(1)
            least = min(least, gamma_tail(float(own.max()), len(inside)))
    return least


@torch.inference_mode()
def _groups(clip: Audio, codec: NeuralCodec, tokens: MarkedTokens) -> Tensor:
    """int64 [T]: the groups of the marked codebook's tokens, -1 for those that are not marked."""
    return tokens.groups[encode_clip(codec, clip).tokens[0, tokens.stream].cpu()[:MOST_FRAMES]]
