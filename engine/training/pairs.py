"""Two taught pictures in one, so that the painter learns to draw things together that no picture shows together.

The first lies at the top left, the second at the bottom right and over it. Knows the dataset; no codec and no decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clavilux.training.augment import SIDE
from clavilux.training.image_dataset import ImageDataset, floats

SMALL = 40  # pixels a side of each: five of the codec's places
COUNT = 80_000
AS_IT_IS = 3.0  # how often a picture is in its own colours, compared to each of its other hues
_NOT_PAIRED = {"symbol", "clock"}  # what is no thing
# Left out of what is taught, so that the benchmark can ask for combinations that the painter never saw.
NEVER_TOGETHER = (
    "tiger elephant", "cat horse", "rabbit bear", "zebra cow", "owl penguin", "duck eagle", "bee butterfly",
    "shark dolphin", "apple strawberry", "pizza hamburger", "banana pear", "cake doughnut", "rose tulip",
    "cactus mushroom", "bus truck", "tractor train", "castle hospital", "hat boot", "crying cowboy face",
    "angry sleepy face",
)  # fmt: skip


@dataclass(frozen=True)
class Pairs:
    """What is in the pairs, and their tokens.

    Attributes:
        tokens: int16 [N, K, T].
        rows: int64 [N, 2], the dataset's rows of the first and the second picture.
    """

    tokens: Tensor
    rows: np.ndarray

    def save(self, path: Path) -> None:
        np.savez(path, tokens=self.tokens.numpy(), rows=self.rows)

    @staticmethod
    def load(path: Path) -> Pairs:
        arrays = np.load(path)
        return Pairs(torch.from_numpy(arrays["tokens"]), arrays["rows"])


def choose(dataset: ImageDataset, count: int, random: np.random.Generator) -> np.ndarray:
    """int64 [count, 2], taught rows of pictures with different names, none of them `NEVER_TOGETHER`."""
    kinds = np.array([each["kind"] not in _NOT_PAIRED for each in dataset.about])
    rows = dataset.taught[kinds[dataset.picture[dataset.taught]]]
    drawn = random.choice(rows, (2 * count + 64, 2), p=dataset.odds(rows, AS_IT_IS))
    words, never = [set(each["words"]) for each in dataset.about], [set(each.split()) for each in NEVER_TOGETHER]

    def fit(first: int, second: int) -> bool:
        both = words[first] | words[second]
        return not words[first] & words[second] and not any(each <= both for each in never)

    return drawn[[fit(*pair) for pair in dataset.picture[drawn].tolist()]][:count]


def together(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """uint8 [64, 64, 3] of two such pictures on white; what is white in the second is taken for transparent."""
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    pixels[:SMALL, :SMALL] = _small(first)
    over, corner = _small(second), pixels[-SMALL:, -SMALL:]
    seen = np.clip((255 - over.min(-1, keepdims=True).astype(np.float32)) / 32, 0, 1)
    corner[:] = np.rint(seen * over + (1 - seen) * corner)
    return pixels


def _small(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((SMALL, SMALL), Image.Resampling.LANCZOS))


def pixels_of(dataset: ImageDataset, rows: np.ndarray) -> Tensor:
    """Pairs of the dataset's rows [B, 2] as float [B, 3, 64, 64], -1 to 1."""
    return floats(np.stack([together(dataset.pixels[first], dataset.pixels[second]) for first, second in rows]))
