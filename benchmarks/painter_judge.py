"""The judge of the bundled painter's pictures: what it is taught with, and how it tells what a picture shows.

Knows other artists' emoji, features and categories; knows no painter. `painter`'s head says where the emoji come from.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from resvg_py import svg_to_bytes
from torch import Tensor

from clavilux.image.arts.features import Features
from clavilux.image.codecs.residual import ResidualVQ
from clavilux.training import pictures
from clavilux.training.augment import UNMIRRORED, on_white, place
from clavilux.training.image_dataset import autocast, floats
from clavilux.training.perception import describe
from clavilux.training.pictures import cut

_CODES = re.compile(r"[0-9a-fA-F]+(-[0-9a-fA-F]+)*")
# Kinds that ImageNet features tell apart badly, or that have few pictures, count as one.
_SAME = {"aircraft": "vehicle", "ship": "vehicle", "reptile": "animal", "furniture": "tool", "place": "building",
         "toy": "game", "party": "game", "drink": "food", "fruit": "food", "heart": "symbol", "clock": "tool",
         "paper": "tool", "music": "tool", "body": "hand"}  # fmt: skip
# Other artists' emoji: where their packages have them, in files named by the numbers of the characters.
ARTISTS = {
    "Twemoji": "emoji-datasource-twitter/img/twitter/64",
    "EmojiOne": "emojione/assets/png_128x128",
    "OpenMoji": "openmoji/color/svg",
}
# Of the ridge: of 0.1, 0.3, 1 and 3 the best on real emoji of artists that it does not know, by the categories' mean.
STRENGTH = 0.3


def category(kind: str) -> str:
    return _SAME.get(kind, kind)


class Drawn:
    """Emoji as an artist drew them, in files named by the numbers of the characters."""

    def __init__(self, folder: Path):
        paths = (path for path in folder.glob("*") if path.suffix in (".png", ".svg"))
        self._paths = {self._sequence(path.stem): path for path in paths if _CODES.fullmatch(path.stem)}
        if not self._paths:
            raise SystemExit(f"there are no emoji in {str(folder)!r}; see --help for where they come from")

    @staticmethod
    def _sequence(codes: str) -> str:
        return "".join(chr(int(code, 16)) for code in codes.lower().split("-") if code not in ("200d", "fe0f"))

    def image(self, sequence: str) -> Image.Image | None:
        path = self._paths.get(sequence.replace("\u200d", ""))
        if path is None:
            return None
        data = path.read_bytes() if path.suffix == ".png" else svg_to_bytes(svg_path=str(path), width=128)
        return cut(Image.open(io.BytesIO(data)).convert("RGBA"))


@dataclass(frozen=True)
class Others:
    """Features [N, 1280] of other artists' emoji, their categories, who drew them, and which went through the codec."""

    features: np.ndarray
    category: np.ndarray
    artist: np.ndarray
    coded: np.ndarray

    def judge(self, rows: np.ndarray | slice = slice(None)) -> Judge:
        return Judge(self.features[rows], self.category[rows])

    def between_artists(self) -> tuple[float, float]:
        """How often a judge that does not know an artist is right of this artist's pictures, as they are.

        Of all pictures, and as the mean over the categories.
        """
        right = np.zeros(len(self.category), bool)
        for artist in ARTISTS:
            of = self.artist == artist
            right[of] = self.judge(~of).says(self.features[of]) == self.category[of]
        right, wanted = right[~self.coded], self.category[~self.coded]
        each = [right[wanted == name].mean() for name in np.unique(wanted)]
        return share(right), share(each)


def others(pictures_folder: Path, folder: Path, features: Features, codec: ResidualVQ, cache: Path) -> Others:
    """Describe the other artists' emoji, of skin's tones only the plain one; takes minutes, unless it was done.

    Each counts twice: as it is, and moved, scaled, perhaps mirrored and rendered by the codec.
    """
    if not cache.exists():
        random = np.random.default_rng(0)
        pixels, moved, categories, artists = [], [], [], []
        for artist, where in ARTISTS.items():
            for named in pictures.emoji(pictures_folder, Drawn(folder / "node_modules" / where)):
                if "tone" not in named.words:
                    pixels.append(on_white(place(named.image)))
                    moved.append(on_white(place(named.image, random, named.kind not in UNMIRRORED)))
                    categories.append(category(named.kind))
                    artists.append(artist)
        found = [described(features, floats(np.stack(pixels)))]
        found.append(described(features, through(codec, floats(np.stack(moved)))))
        coded = np.arange(2 * len(pixels)) >= len(pixels)
        np.savez(cache, features=np.concatenate(found), category=np.array(2 * categories),
                 artist=np.array(2 * artists), coded=coded)  # fmt: skip
    return Others(**np.load(cache))


def through(codec: ResidualVQ, pixels: Tensor) -> Tensor:
    return codec.decode(codec.encode(pixels))


@torch.no_grad()
def described(features: Features, pixels: Tensor) -> np.ndarray:
    """float32 [N, 1280] of pixels [N, 3, 64, 64]."""
    with autocast():
        return torch.cat([describe(features, part).float() for part in pixels.split(64)]).numpy()


class Judge:
    """Ridge regression from features to categories, each of which counts as much as any other.

    The prompts are spread over the categories; emoji are not: a third of them are persons and tools.
    """

    def __init__(self, features: np.ndarray, categories: np.ndarray):
        self.names, wanted, count = np.unique(categories, return_inverse=True, return_counts=True)
        weights = (len(wanted) / len(count) / count)[wanted, None].astype(np.float32)  # [N, 1], of mean 1
        self.mean, self.spread = features.mean(0), features.std(0) + 1e-3
        inputs = self._inputs(features)  # [N, 1281]
        weighted = (weights * inputs).T / len(inputs)
        both = weighted @ inputs + STRENGTH * np.eye(inputs.shape[1])
        self.weight = np.linalg.solve(both, weighted @ np.eye(len(self.names))[wanted])

    def says(self, features: np.ndarray) -> np.ndarray:
        return self.names[(self._inputs(features) @ self.weight).argmax(1)]

    def _inputs(self, features: np.ndarray) -> np.ndarray:
        scaled = (features - self.mean) / self.spread
        return np.concatenate([scaled, np.ones((len(scaled), 1), scaled.dtype)], 1)


def share(right) -> float:
    return round(float(np.mean(right)), 4)
