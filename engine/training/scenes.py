"""What the painter is taught: one thing or two on white, in colors, sizes and places.

Places and sizes lie on the codec's grid of 8 pixels, so that a thing elsewhere is the same tokens elsewhere, and few
pictures teach a place. The two things of a scene have places to which words belong: the first is left of the second,
above it, on it, or at another corner, which has no word. Knows the dataset; no words, no codec and no decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from clavilux.training.augment import SIDE, UNMIRRORED, on_white, smaller
from clavilux.training.image_dataset import NEVER_TOGETHER, ImageDataset
from clavilux.training.recolor import TARGETS, recolored

GRID = 8
WHOLE, MEDIUM, LARGE_HALF, HALF = 64, 48, 40, 32  # pixels a side that a thing's square has
PAIR_SHARE = 0.35  # of the scenes are of two things
RECOLORED_SHARE = 0.45  # of the things are in a color that is not their own
SIZES_SHARE = {"whole": 0.66, "medium": 0.10, "small": 0.06, "side": 0.18}  # of the scenes of one thing
PAIRS_SHARE = {"beside": 0.42, "above": 0.26, "on": 0.18, "corner": 0.14}
ARRANGEMENTS = ("whole", "medium", "small", "left", "right", "top", "bottom", "beside", "above", "on", "corner")
OWN = -1  # the color that a thing was drawn in
_COLORED_BY_NATURE = {"person", "hand", "body"}  # are not recolored
_NOT_PAIRED = {"symbol", "clock"}  # what is no thing


class Part(NamedTuple):
    """One thing of a scene: the number of its picture, its color or `OWN`, how it stands, and its square."""

    picture: int
    color: int
    mirrored: int
    size: int
    x: int
    y: int


@dataclass(frozen=True)
class Scene:
    """One thing or two, and the name of their arrangement; of two the first lies under the second."""

    parts: tuple[Part, ...]
    arrangement: str


class SceneMaker:
    """Random scenes of the pictures of a dataset that are taught, or of all that are not held out."""

    def __init__(self, dataset: ImageDataset, seed: int, rows: np.ndarray | None = None):
        self.dataset, self.random = dataset, np.random.default_rng(seed)
        self.rows = dataset.taught if rows is None else rows
        self.odds = dataset.odds(self.rows)
        things = np.array([each["kind"] not in _NOT_PAIRED or each["source"] == "shape" for each in dataset.about])
        self.things = self.rows[things[self.rows]]
        self.thing_odds = dataset.odds(self.things)
        self._words = [set(each["words"]) for each in dataset.about]
        self._never = [set(each.split()) for each in NEVER_TOGETHER]

    def scene(self) -> Scene:
        """One that was not seen before, or hardly."""
        return self.pair() if self.random.random() < PAIR_SHARE else self.single()

    def single(self) -> Scene:
        """A thing in the middle or at a side."""
        random, picture = self.random, int(self.random.choice(self.rows, p=self.odds))
        kind = str(random.choice([*SIZES_SHARE], p=[*SIZES_SHARE.values()]))
        if kind == "whole":
            size, x, y = WHOLE, 0, 0
        elif kind == "medium":
            size, (x, y) = MEDIUM, GRID * random.integers(0, 3, 2)
        elif kind == "small":
            size, x, y = HALF, 16, 16
        else:
            kind = str(random.choice(["left", "right", "top", "bottom"]))
            size = int(random.choice([LARGE_HALF, HALF]))
            far, across = SIDE - size, int(GRID * random.integers(1, (SIDE - size) // GRID))
            x, y = {"left": (0, across), "right": (far, across), "top": (across, 0), "bottom": (across, far)}[kind]
        return Scene((self._part(picture, size, int(x), int(y)),), kind)

    def pair(self) -> Scene:
        """Two things with different names, none of them `NEVER_TOGETHER`."""
        while True:
            first, second = (int(each) for each in self.random.choice(self.things, 2, p=self.thing_odds))
            both = self._words[first] | self._words[second]
            if not self._words[first] & self._words[second] and not any(each <= both for each in self._never):
                break
        random, kind = self.random, str(self.random.choice([*PAIRS_SHARE], p=[*PAIRS_SHARE.values()]))
        size = LARGE_HALF if kind == "corner" else HALF if kind == "on" else int(random.choice([LARGE_HALF, HALF]))
        far = SIDE - size
        near, other = GRID * random.integers(0, far // GRID + 1, 2)
        if kind == "on":  # about in the middle, and one near the other
            near, other = 16, int(GRID * random.integers(1, 4))
        places = {
            "beside": ((0, near), (far, other)), "above": ((near, 0), (other, far)), "on": ((near, 0), (other, far)),
            "corner": ((far, 0), (0, far)) if random.random() < 0.5 else ((0, 0), (far, far)),
        }[kind]  # fmt: skip
        parts = [self._part(row, size, int(x), int(y)) for row, (x, y) in zip((first, second), places, strict=True)]
        return Scene(tuple(parts), kind)

    def _part(self, picture: int, size: int, x: int, y: int) -> Part:
        random, about = self.random, self.dataset.about[picture]
        mirrored = int(about["kind"] not in UNMIRRORED and random.random() < 0.5)
        color = OWN
        if about["kind"] not in _COLORED_BY_NATURE and random.random() < RECOLORED_SHARE:
            color = int(random.choice(TARGETS))
            if color == self.dataset.colours[picture, 0] or recolored(self.dataset.image(picture), color) is None:
                color = OWN
        return Part(picture, color, mirrored, size, x, y)


def pixels_of(dataset: ImageDataset, scene: Scene) -> np.ndarray:
    """uint8 [64, 64, 3] on white."""
    drawn = [_drawn(dataset, part) for part in scene.parts]
    places = [(part.x, part.y) for part in scene.parts]
    if scene.arrangement == "on":
        places = _touching(drawn, places)
    whole = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
    for image, place in zip(drawn, places, strict=True):
        layer = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
        layer.paste(image, place)
        whole.alpha_composite(layer)
    return on_white(whole)


def _drawn(dataset: ImageDataset, part: Part) -> Image.Image:
    image = dataset.image(part.picture)
    if part.color != OWN:
        other = recolored(image, part.color)
        assert other is not None, "a scene asks only for colors that the picture can have"
        image = other
    if part.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image if part.size == SIDE else smaller(image, part.size, part.size)


def _touching(drawn: list[Image.Image], places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first moved down and the second moved up, by what is empty between them."""
    (x, y), (other_x, other_y) = places
    boxes = [image.getchannel("A").point(lambda value: 255 if value > 128 else 0).getbbox() for image in drawn]
    under = drawn[0].height - boxes[0][3] if boxes[0] else 0
    over = boxes[1][1] if boxes[1] else 0
    return [(x, y + under), (other_x, other_y - over)]


def to_array(scenes: list[Scene]) -> np.ndarray:
    """int16 [N, 13]: the number of the arrangement, then six numbers of each part, -1 for a part that is not there."""
    none = (-1,) * len(Part._fields)
    rows = [
        (ARRANGEMENTS.index(each.arrangement), *each.parts[0], *(each.parts[1] if len(each.parts) > 1 else none))
        for each in scenes
    ]
    return np.array(rows, np.int16)


def from_array(row: np.ndarray) -> Scene:
    """The scene of one row of `to_array`."""
    numbers, each = [int(number) for number in row], len(Part._fields)
    parts = [Part(*numbers[start : start + each]) for start in (1, 1 + each)]
    return Scene(tuple(part for part in parts if part.picture >= 0), ARRANGEMENTS[numbers[0]])
