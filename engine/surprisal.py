"""What a model of pictures thinks: the entropy of each token's distribution, and the surprise of the token itself.

Knows probabilities and places. Does not know how a picture came about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.files import PathLike
from clavilux.image import maps
from clavilux.image.picture import Picture
from clavilux.layout import OPEN, Layout
from clavilux.sampling import SamplingSpec

if TYPE_CHECKING:
    from clavilux.image_family import PictureGeneration

_TOGETHER = 64  # steps read at once: 16,384 tokens with guidance take 8 MiB of logits


@dataclass(eq=False, repr=False)
class SurprisalMaps:
    """A picture and two maps of it, in bits, a value for each place of the token grid.

    Where a place has tokens of several codebooks, their bits are summed.

    Attributes:
        picture: of the model's size.
        entropy: float32 [rows, cols] on the CPU, that of the distribution from which each token is drawn; 0 is certain.
        surprise: float32 [rows, cols] on the CPU, -log2 of the probability of the token that stands there.
    """

    picture: Picture
    entropy: Tensor
    surprise: Tensor

    def save(self, path: PathLike) -> None:
        """Draw the maps beside the picture.

        Args:
            path: .png, .svg or .pdf; written beside it first, then renamed.

        Raises:
            ValueError: another ending, or a place where nothing can be written.
            OSError: writing failed; nothing is left behind.
        """
        maps.draw(path, self.picture, {"entropy, bits": self.entropy, "surprise, bits": self.surprise})

    def __repr__(self) -> str:
        entropy, surprise = float(self.entropy.mean()), float(self.surprise.mean())
        return f"SurprisalMaps(entropy {entropy:.2f}, surprise {surprise:.2f} bits a place)"


@torch.inference_mode()
def surprisal_maps(generation: PictureGeneration, sampling: SamplingSpec, layout: Layout) -> tuple[Tensor, Tensor]:
    """Entropy and surprise in bits, float32 [rows, cols] each, of a picture whose tokens are all known.

    The distribution is the one that is drawn from, with guidance and temperature (0 counts as 1), before top_k and
    top_p cut it.

    Args:
        generation: its plan holds every token.
        sampling: temperature and guidance.
        layout: the stage's.
    """
    blocks = [generation.conditioning]
    if len(sampling.weights) > 1:
        assert generation.unconditional is not None, "the model was asked for guidance"
        blocks += [generation.unconditional] * (len(sampling.weights) - 1)
    decoder, rows = generation.decoder, len(blocks)
    steps = generation.plan.to(generation.prompt.device)  # [1, K, S]
    capacity = generation.conditioning.num_prefix + generation.prompt.shape[2] + steps.shape[2] - 1
    state = decoder.new_state(rows, Conditioning.stack(blocks), max(1, capacity))
    pieces = [decoder.prefill(generation.prompt.repeat(rows, 1, 1), state)[:, :, None]]  # [R, K, 1, V]
    found = [_bits(pieces.pop(), steps[:, :, :1], sampling, 0)]
    for start in range(1, steps.shape[2], _TOGETHER):
        read = steps[:, :, start - 1 : min(start + _TOGETHER, steps.shape[2]) - 1]
        logits = decoder(read.repeat(rows, 1, 1), state)  # [R, K, T, V]
        found.append(_bits(logits, steps[:, :, start : start + _TOGETHER], sampling, start))
    placed = layout.arrange(torch.full((1, layout.codebooks, generation.num_tokens), OPEN))[0] == OPEN  # [K, S]
    entropy, surprise = (
        torch.cat(bits, dim=1).cpu()[placed].view(layout.codebooks, -1, generation.columns).sum(0)
        for bits in zip(*found, strict=True)
    )
    return entropy, surprise


def _bits(logits: Tensor, tokens: Tensor, sampling: SamplingSpec, start: int) -> tuple[Tensor, Tensor]:
    """Entropy and surprise [K, T] of the steps from `start` on, of logits [R, K, T, V] and tokens [1, K, T]."""
    table = sampling.table
    weights = [table[min(step, len(table) - 1)] for step in range(start, start + logits.shape[2])]
    mixed = torch.einsum("rktv,tr->ktv", logits.float(), logits.new_tensor(weights, dtype=torch.float32))
    log_p = (mixed / (sampling.temperature or 1.0)).log_softmax(-1)
    entropy = torch.special.entr(log_p.exp()).sum(-1)
    index = tokens[0].clamp(max=log_p.shape[-1] - 1)  # a layout's special ids are no codec's; their bits are dropped
    surprise = -log_p.gather(-1, index[..., None])[..., 0]
    return entropy / math.log(2), surprise / math.log(2)
