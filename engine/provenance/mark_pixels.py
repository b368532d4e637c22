"""The mark in the pixels of a picture: found in any copy of it, also enlarged, cut out or saved with losses.

Knows what a correlation is worth. How a picture becomes correlations is `image.pixel_mark_search`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from clavilux.image.picture import Picture
from clavilux.image.pixel_mark import pattern_of
from clavilux.image.pixel_mark_search import folds_of
from clavilux.mark_key import MarkKey
from clavilux.marking import PAINTED_KIND
from clavilux.provenance.mark import of_tries, tail_of_signs
from clavilux.provenance.mark_pictures import tiles_of
from clavilux.provenance.verdict import BLOCKS, FEWEST, Mark

LUMIA = 64  # pixels a side of lumia's pictures
SIZES = (32, LUMIA, 256, 384, 512)  # of what the families usually paint


def find_in_pixels(picture: Picture, keys: Sequence[MarkKey], size: int) -> list[Mark]:
    """What was found of each key's mark in the pixels of a picture, or of a sheet with tiles of `size` pixels.

    Every size and place that was tried is counted in: a corner, where most pictures begin, as half of all tries.
    """
    tiles = [tile.pixels.numpy() for tile in tiles_of(picture, size)]
    folds = folds_of(picture.pixels.numpy(), sorted({*SIZES, size}), FEWEST[BLOCKS], tiles)
    found = []
    for key in keys:
        best = folds.correlations(pattern_of(key.word(PAINTED_KIND)).numpy())
        looks = [
            (of_tries(tail_of_signs(correlation), tries), blocks)
            for (correlation, blocks), tries in zip(best, folds.tries, strict=True)
        ]
        p, blocks = min(looks)
        found.append(Mark(key.id, of_tries(p, len(looks)), blocks, BLOCKS))
    return found
