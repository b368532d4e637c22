"""From named pictures to the file that the painter is taught from: each once, 64 x 64 pixels with what is transparent.

Knows pixels; does not know where pictures come from, and not what scenes are made of them (`scenes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from clavilux.families.lumia.seen_colors import main_colours
from clavilux.training.pictures import Named

SIDE = 64
UNMIRRORED = {"clock", "symbol", "paper"}  # what holds letters or points somewhere


def build(named: Iterable[Named], path: Path, *, progress: Callable[[int], None] | None = None) -> None:
    """Write all pictures into `path`, a compressed .npz, with what they are called; those in a skin tone are left out.

    Arrays: drawings uint8 [N, 64, 64, 4]; colours int8 [N, 2], the numbers in `COLOURS` of the two that cover most, or
    -1; about, JSON, a list of the pictures' words, more, kind, source, group, file and whether they are held out.
    """
    drawings, colours, about = [], [], []
    for number, each in enumerate(each for each in named if "tone" not in each.words):
        placed = place(each.image)
        drawings.append(np.asarray(placed))
        colours.append(main_colours(placed))
        about.append(
            {name: getattr(each, name) for name in ("words", "more", "kind", "source", "group", "file", "held_out")}
        )
        if progress:
            progress(number)
    np.savez_compressed(
        path, drawings=np.stack(drawings), colours=np.array(colours, np.int8), about=json.dumps(about)
    )  # fmt: skip


def place(image: Image.Image, random: np.random.Generator | None = None, mirrors: bool = False) -> Image.Image:
    """RGBA, 64 x 64: the longer side fills 60 pixels, or a little more or less, about in the middle."""
    size = 60.0
    shift = np.zeros(2)
    if random is not None:
        size = random.uniform(52.0, 62.0)
        shift = random.uniform(-0.5, 0.5, 2) * (SIDE - size)
        if mirrors and random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = smaller(image, width, height)
    placed = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
    placed.paste(small, (round((SIDE - width) / 2 + shift[0]), round((SIDE - height) / 2 + shift[1])))
    return placed


def smaller(image: Image.Image, width: int, height: int) -> Image.Image:
    """RGBA at another size; premultiplied, so that the color of what cannot be seen does not run into the edges."""
    return image.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS).convert("RGBA")


def on_white(image: Image.Image) -> np.ndarray:
    """uint8 [H, W, 3] of RGBA."""
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.asarray(white.convert("RGB"))
