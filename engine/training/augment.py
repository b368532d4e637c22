"""From named pictures to what the painter is taught with: 64 x 64 pixels on white, in several variants.

A variant is shifted and scaled a little, mirrored where that changes no meaning, and in some of them all hues are
turned: together with the colours that are then seen in it, that teaches what "a blue apple" is. The codec is taught all
of them, the decoder those that lie in place. Knows pixels; does not know where pictures come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from clavilux.families.lumia.seen_colors import main_colours
from clavilux.training.pictures import Named

SIDE = 64
PLAIN, TURNED = 6, 6  # variants in the picture's own colours, and with its hues turned
IN_PLACE = 5  # more with turned hues, that lie where the picture as it is does
VARIANTS_OF_A_TONE = 3  # pictures that differ in the skin's tone alone are many
_UNMIRRORED = {"clock", "symbol", "paper"}  # what holds letters or points somewhere
_COLOURED_BY_NATURE = {"person", "hand", "body"}  # hues are not turned


def build(named: Iterable[Named], path: Path, *, seed: int = 0, progress: Callable[[int], None] | None = None) -> None:
    """Write all variants of all pictures into `path`, an .npz, with what they are called.

    Arrays: pixels uint8 [N, 64, 64, 3]; picture int32 [N], which picture's variant it is; colours int8 [N, 2], the
    numbers in `COLOURS` of the two that cover most, or -1; turned bool [N]; placed bool [N], neither shifted nor
    mirrored; about, JSON, a list of the pictures' words, more, kind, source, group, file and whether they are held out.
    """
    random = np.random.default_rng(seed)
    pixels, picture, colours, turned, placed, about = [], [], [], [], [], []
    for number, each in enumerate(named):
        for image, turn, lies in variants(each, random):
            pixels.append(on_white(image))
            colours.append(main_colours(image))
            turned.append(turn)
            placed.append(lies)
            picture.append(number)
        about.append(
            {name: getattr(each, name) for name in ("words", "more", "kind", "source", "group", "file", "held_out")}
        )
        if progress:
            progress(number)
    np.savez(
        path, pixels=np.stack(pixels), picture=np.array(picture, np.int32), colours=np.array(colours, np.int8),
        turned=np.array(turned), placed=np.array(placed), about=json.dumps(about),
    )  # fmt: skip


def variants(named: Named, random: np.random.Generator) -> Iterator[tuple[Image.Image, bool, bool]]:
    """(RGBA, whether hues are turned, whether it lies in place) of each variant; the first is the picture as it is."""
    toned = "tone" in named.words
    plain = VARIANTS_OF_A_TONE if toned else PLAIN
    mirrors = named.kind not in _UNMIRRORED
    for index in range(plain):
        image = place(named.image) if index == 0 else place(named.image, random, mirrors)
        yield image, False, index == 0
    if toned or named.kind in _COLOURED_BY_NATURE or _grey(named.image):
        return
    for index in range(TURNED):
        # Sixths of the circle, so that the colours come up about equally often.
        angle = (index + 0.5 + random.uniform(-0.4, 0.4)) / (TURNED + 1)
        yield turn_hues(place(named.image, random, mirrors), angle), True, False
    for index in range(IN_PLACE):
        yield turn_hues(place(named.image), (index + 1) / (IN_PLACE + 1)), True, True


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
    # Premultiplied, so that the colour of what cannot be seen does not run into the edges.
    small = image.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS).convert("RGBA")
    placed = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
    placed.paste(small, (round((SIDE - width) / 2 + shift[0]), round((SIDE - height) / 2 + shift[1])))
    return placed


def turn_hues(image: Image.Image, angle: float) -> Image.Image:
    """All hues turned by a part of the circle, 0 to 1."""
    hue, saturation, value = image.convert("RGB").convert("HSV").split()
    hue = hue.point([round((i + angle * 256) % 256) % 256 for i in range(256)])
    turned = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    turned.putalpha(image.getchannel("A"))
    return turned


def on_white(image: Image.Image) -> np.ndarray:
    """uint8 [H, W, 3] of RGBA."""
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.asarray(white.convert("RGB"))


def _grey(image: Image.Image) -> bool:
    """Whether a picture has hardly any colour, so that there is no hue to turn."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    saturation = np.asarray(small.convert("RGB").convert("HSV"))[..., 1][np.asarray(small.getchannel("A")) > 128]
    return bool((saturation > 64).mean() < 0.1) if len(saturation) else True
