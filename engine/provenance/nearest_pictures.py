"""The training picture that a picture looks most like: what is on its white ground, small and square, compared by eye.

Knows pixels. A fingerprint is the picture cut to what is not white, on a square, at 8 x 8 places of brightness and
4 x 4 of each of the two differences of colour: size, place, format and grain of a picture change little of it. A detail
of a picture is not looked for, nor the same drawing in another colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from clavilux.provenance.verdict import Nearest

if TYPE_CHECKING:
    from clavilux.provenance.nearest_index import Index

LUMA, CHROMA = 8, 4  # places a side
LENGTH = LUMA**2 + 2 * CHROMA**2
SIDE = 64  # pixels of a picture on lumia's sheets
SIZE = "picture"  # of strangers: pictures have one
_WHITE = 32  # levels below white that are still the ground, as JPEG leaves it
_LONGEST = 256  # pixels, before the ground is looked for
_TOGETHER = 16


def fingerprint(pixels: np.ndarray) -> np.ndarray:
    """uint8 [LENGTH] of a picture uint8 [H, W, 3]."""
    image = Image.fromarray(pixels)
    image.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BOX)
    ink = (np.asarray(image).min(2) < 255 - _WHITE).nonzero()
    if len(ink[0]):
        image = image.crop((int(ink[1].min()), int(ink[0].min()), int(ink[1].max()) + 1, int(ink[0].max()) + 1))
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    bands = square.convert("YCbCr").split()
    sides = zip(bands, (LUMA, CHROMA, CHROMA), strict=True)
    small = [band.resize((side, side), Image.Resampling.BOX) for band, side in sides]
    return np.concatenate([np.asarray(band).reshape(-1) for band in small])


def distances(index: Index, prints: np.ndarray) -> np.ndarray:
    """float32 [n, N]: root mean square differences, in levels of 255, of fingerprints [n, LENGTH] from the index's."""
    known = index.arrays["prints"].astype(np.float32)
    found = [
        np.sqrt(((known[None] - part[:, None].astype(np.float32)) ** 2).mean(2))
        for part in np.array_split(prints, -(-len(prints) // _TOGETHER))
    ]
    return np.concatenate(found)


def nearest_to_pictures(index: Index, tiles: list[np.ndarray]) -> Nearest:
    """What the nearest of some pictures uint8 [H, W, 3], the tiles of a sheet, is nearest to."""
    apart = distances(index, np.stack([fingerprint(tile) for tile in tiles]))
    tile, entry = np.unravel_index(int(apart.argmin()), apart.shape)
    far, source = float(apart[tile, entry]), index.source_of(int(entry))
    where = f"picture {tile + 1} of the sheet" if len(tiles) > 1 else ""
    name, rarity = index.names[int(entry)], index.rarity(far, SIZE)
    return Nearest("lumia", name, source["name"], source["licence"], far, rarity, where)
