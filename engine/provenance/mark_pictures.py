"""The mark in a picture: its tokens are found again by the codec that drew it, each tile of a sheet by itself.

Knows pictures and a codec that it is given. Which codec that is, the caller says.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clavilux.image.codecs import Codec
from clavilux.image.picture import Picture
from clavilux.image.sheet import GAP, LABEL_HEIGHT
from clavilux.mark_key import MarkKey
from clavilux.marking import NONCES, MarkedTokens, Place
from clavilux.provenance.mark import gamma_tail, group_scores, of_tries
from clavilux.provenance.verdict import Mark

MOST_TILES = 400
SCALES = (1, 2, 3, 4, 8)  # of a sheet that was enlarged
BRED = 2  # times that a tile of 64 pixels is enlarged for a sheet of `breed`
CROPPED = 0.75  # of a tile's side: a picture that is smaller than one, and not than this, was cut out of one
_TOGETHER = 32  # pictures that are encoded at once


@dataclass(frozen=True, eq=False)
class Reading:
    """The tokens of a picture, read in one way.

    Attributes:
        groups: int64 [N, P], the group of each token of N tiles, -1 for those that are not marked.
        in_turn: whether the tiles are pictures of a sheet, with seeds one after another.
    """

    groups: Tensor
    in_turn: bool


def readings_of(picture: Picture, codec: Codec, tokens: MarkedTokens, size: int) -> list[Reading]:
    """A picture read as a sheet of tiles of `size` pixels, where it has a sheet's measures; else whole, or as a part
    of one that was cut out of it somewhere.
    """
    tiles = tiles_of(picture, size)
    if tiles:
        return [Reading(_groups(tiles, codec, tokens), len(tiles) > 1)]
    found = [Reading(_groups([picture.resized(size, size)], codec, tokens), False)]
    wide, high = picture.width, picture.height
    if CROPPED * size <= min(wide, high) and max(wide, high) <= size and (wide, high) != (size, size):
        found += [Reading(each[None], False) for each in _groups(list(_placed(picture, size)), codec, tokens)]
    return found


def tiles_of(picture: Picture, size: int) -> list[Picture]:
    """The tiles of a sheet as `contact_sheet` makes it, of `size` pixels or enlarged for it as `breed` does, without
    those that are blank; [] where it is none.
    """
    for scale, side in itertools.product(SCALES, (size, BRED * size)):
        if picture.width % scale or picture.height % scale:
            continue
        columns, rest = divmod(picture.width // scale - GAP, side + GAP)
        if rest or columns < 1:
            continue
        for below in (0, LABEL_HEIGHT):
            rows, rest = divmod(picture.height // scale - GAP, side + below + GAP)
            if rest or rows < 1 or rows * columns > MOST_TILES:
                continue
            small = picture if scale == 1 else picture.resized(picture.width // scale, picture.height // scale)
            tiles = []
            for row in range(rows):
                top = GAP + row * (side + below + GAP)
                lefts = (GAP + column * (side + GAP) for column in range(columns))
                tiles += [Picture(small.pixels[top : top + side, left : left + side]) for left in lefts]
            tiles = [tile for tile in tiles if int(tile.pixels.min()) < 250] or tiles[:1]
            return tiles if side == size else [tile.resized(size, size) for tile in tiles]
    return []


def find_in_picture(key: MarkKey, readings: Sequence[Reading], tokens: MarkedTokens) -> Mark:
    """The best of some readings for a key: of each tile alone, and of all tiles of a sheet together.

    Each tile has a nonce of its own, and those of a sheet's seeds follow one another: then no two tiles share a number
    of the key's, and their scores sum to a gamma variable for any other key, though the tiles be alike.
    """
    places = [Place(at) for at in range(readings[0].groups.shape[1])]
    scores = group_scores(key.word(tokens.kind), places, tokens.num_groups)  # [NONCES, P, G]
    best, tries, most = 1.0, 0, 0
    for reading in readings:
        inside = reading.groups >= 0
        index = reading.groups.clamp(min=0)[:, None, :, None].expand(-1, NONCES, -1, -1)  # [N, NONCES, P, 1]
        own = scores.expand(len(index), *scores.shape).gather(-1, index)[..., 0].double()
        totals, counts = (own * inside[:, None]).sum(-1), inside.sum(1)  # [N, NONCES], [N]
        for tile, count in zip(totals, counts.tolist(), strict=True):
            best = min(best, gamma_tail(float(tile.max()), count))
        tries += NONCES * len(totals)
        if reading.in_turn and len(totals) <= NONCES:
            number, first = torch.arange(len(totals))[:, None], torch.arange(NONCES)
            together = totals.gather(1, (number + first) % NONCES).sum(0)
            best = min(best, gamma_tail(float(together.max()), int(counts.sum())))
            tries += NONCES
        most = max(most, int(counts.sum()))
    return Mark(key.id, of_tries(best, tries), most)


def _placed(picture: Picture, size: int) -> Iterator[Picture]:
    """A part of a tile at each place where it may have been, its edges drawn out to the tile's."""
    for top in range(size - picture.height + 1):
        for left in range(size - picture.width + 1):
            rows = (torch.arange(size) - top).clamp(0, picture.height - 1)
            columns = (torch.arange(size) - left).clamp(0, picture.width - 1)
            yield Picture(picture.pixels[rows][:, columns])


@torch.inference_mode()
def _groups(tiles: Sequence[Picture], codec: Codec, tokens: MarkedTokens) -> Tensor:
    """int64 [N, P]: the groups of the marked codebook's tokens."""
    found = []
    for start in range(0, len(tiles), _TOGETHER):
        pixels = torch.stack([tile.to_floats() for tile in tiles[start : start + _TOGETHER]])
        found.append(tokens.groups[codec.encode(pixels).cpu()[:, tokens.stream]])
    return torch.cat(found)
