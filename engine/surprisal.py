"""What a model of pictures thinks: the entropy of each token's distribution, and the surprise of the token itself.

Knows probabilities and places. Does not know how a picture came about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clavilux.files import PathLike
from clavilux.image import maps
from clavilux.image.picture import Picture
from clavilux.layout import Layout
from clavilux.sampling import SamplingSpec
from clavilux.teacher_forcing import conditioning_of, forced_steps, log_probability

if TYPE_CHECKING:
    from clavilux.image_family import PictureGeneration


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
    conditioning = conditioning_of(generation, 1, sampling)
    entropy, surprise = [], []
    steps = forced_steps(
        generation.decoder, generation.prompt, generation.plan, sampling, conditioning=conditioning, layout=layout
    )
    for start, logits in steps:
        log_p = (logits / (sampling.temperature or 1.0)).log_softmax(-1)
        entropy.append(torch.special.entr(log_p.exp()).sum(-1))
        surprise.append(-log_probability(log_p, generation.plan[:, :, start : start + logits.shape[2]]))
    return _map(entropy, layout, generation.columns), _map(surprise, layout, generation.columns)


def _map(nats: list[Tensor], layout: Layout, columns: int) -> Tensor:
    """[1, K, n] of the steps, piece after piece -> bits [rows, cols] on the CPU."""
    places = layout.restore_values(torch.cat(nats, 2))[0]  # [K, rows * cols]
    return (places / math.log(2)).sum(0).view(-1, columns).cpu()
