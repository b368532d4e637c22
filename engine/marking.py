"""A mark in the draw: which tokens share a group, and the keyed noise that the group of a token is drawn with.

Who has the key can tell, from the groups at their places alone, that a piece was drawn with it; to anyone else each
draw is one from the model's own distribution: distortion-free in that sense, as S. Aaronson's keyed Gumbel noise of
2022, over groups of tokens ("Hidden in Plain Tokens", arXiv 2605.25967). Two things keep pieces apart: the noise hangs
on the place, which no piece has twice, and on a nonce of the seed, so that another seed gives another piece.

Knows no secret (`mark_key`), no codec and no file: a family says its groups, a grammar its places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from clavilux.kernels.sample.reference import gumbel_at
from clavilux.layout import Layout

NONCES = 256  # of a key: a detector tries them all, which costs it 5.5 nats of its evidence
PLACES_TOGETHER = 64  # whose noise is made at once
TICKS = 24  # of a quarter, in which an onset is counted
SCORE_KIND = "score"  # pitches by their class, whoever composes
PLAYED_KIND = "played"  # no tokens: the sound of notes, which has a mark of its own (`audio.sound_mark`)
PAINTED_KIND = "painted"  # the same of pictures: their pixels (`image.pixel_mark`), beside their tokens
MOST_CHOICES = 4  # marked draws at one place of one voice
GROUPS = 64  # of a codec's tokens
_ROUNDS = 30  # of k-means


class Place(NamedTuple):
    """Where a marked token stands, so that it is found again: not which step drew it.

    Attributes:
        at: in the piece, 0 .. 2^32 - 1: the number of a codec's frame, or a note's onset in `TICKS`.
        voice: 0 .. 2^24 - 1, of those that have a token at one place.
        choice: 0 .. MOST_CHOICES - 1, of the tokens of that voice there.
    """

    at: int
    voice: int = 0
    choice: int = 0


@dataclass(frozen=True, eq=False)
class MarkedTokens:
    """Which tokens of a family are marked.

    Attributes:
        kind: of tokens; keys of two kinds have nothing in common.
        groups: int64 [V], the group of each id of the decoder's, 0 .. G - 1; -1 for those that are not marked.
        stream: which of the K tokens of a step is marked.
        stride: steps from one frame to the next.
        delay: the step of frame 0.
    """

    kind: str
    groups: Tensor
    stream: int = 0
    stride: int = 1
    delay: int = 0

    @classmethod
    def of_codec(cls, kind: str, vectors: Tensor, layout: Layout) -> MarkedTokens:
        """The first codebook of a codec, in clusters of its vectors [V, E]: those survive where tokens do not."""
        delays = getattr(layout, "delays", (0,))
        return cls(kind, clusters_of(vectors, GROUPS), 0, layout.steps_per_frame, delays[0])

    @property
    def num_groups(self) -> int:
        """G."""
        return int(self.groups.max()) + 1


@dataclass(frozen=True, eq=False)
class Mark:
    """What the sampler needs to mark what it draws.

    Attributes:
        key: 64 bits, as an int64: of a secret and a kind of tokens (`mark_key.MarkKey.word`). Never shown: who has it
            can look for the mark of such tokens, and draw it.
        tokens: which are marked.
        starts: the place of frame 0, for all rows or one a row.
        nonces: one a row; None: those of the seeds (`nonce_of`).
    """

    key: int = field(repr=False)
    tokens: MarkedTokens
    starts: tuple[int, ...] = (0,)
    nonces: tuple[int, ...] | None = None

    def places(self, step: int, batch: int) -> list[Place | None]:
        """Where each row's token of a step stands, where no grammar says it."""
        frame, within = divmod(step - self.tokens.delay, self.tokens.stride)
        if within or frame < 0:
            return [None] * batch
        starts = self.starts * batch if len(self.starts) == 1 else self.starts
        return [Place(start + frame) for start in starts]


def nonce_of(seed: int, row: int = 0) -> int:
    """The nonce of a row, 0 .. NONCES - 1: no two of NONCES seeds in a row have the same."""
    return (seed + row) % NONCES


class KeyedNoise:
    """The noise of a key's groups at each place, kept for a run of places.

    It is `gumbel`'s, with the key for a seed, the nonce and the voice for a row, the place for a step, the choice for a
    codebook and the group for a token. Always made on the host: the same on every device.
    """

    MOST_KEPT = 256

    def __init__(self, key: int, num_groups: int) -> None:
        self._key, self.num_groups = key, num_groups
        self._blocks: dict[tuple[int, int, int], Tensor] = {}

    def at(self, nonce: int, place: Place) -> Tensor:
        """float32 [G]."""
        row, block, choice = nonce | place.voice << 8, place.at // PLACES_TOGETHER, place.choice
        if (row, block, choice) not in self._blocks:
            if len(self._blocks) >= self.MOST_KEPT:
                self._blocks.clear()
            ats = torch.arange(PLACES_TOGETHER) + block * PLACES_TOGETHER
            self._blocks[row, block, choice] = noise_at(
                self._key, torch.tensor(row), ats, torch.tensor(choice), self.num_groups
            )
        return self._blocks[row, block, choice][place.at % PLACES_TOGETHER]

    def rows(self, nonces: Sequence[int], places: Sequence[Place | None]) -> Tensor:
        """float32 [B, G], zeros for a row without a place."""
        pairs = zip(nonces, places, strict=True)
        return torch.stack([torch.zeros(self.num_groups) if p is None else self.at(nonce, p) for nonce, p in pairs])


def noise_at(key: int, rows: Tensor, ats: Tensor, choices: Tensor, num_groups: int) -> Tensor:
    """float32 [..., G], the keyed noise; rows: nonce + 256 * voice. int64 of shapes that expand to [...]."""
    return gumbel_at(torch.tensor(key), rows, ats, choices, num_groups)


def clusters_of(vectors: Tensor, count: int) -> Tensor:
    """int64 [V]: the cluster of each of the vectors [V, E], by k-means from `count` of them, far apart.

    Always the same for the same vectors; fewer clusters than `count` where some come out empty.
    """
    points = vectors.detach().cpu().double()
    centers = points[:1]
    while len(centers) < min(count, len(points)):  # the one farthest from those that are there
        farthest = int(torch.cdist(points, centers).amin(1).argmax())
        centers = torch.cat([centers, points[farthest : farthest + 1]])
    for _ in range(_ROUNDS):
        nearest = torch.cdist(points, centers).argmin(1)
        sums = torch.zeros_like(centers).index_add_(0, nearest, points)
        counts = torch.bincount(nearest, minlength=len(centers))
        centers = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centers)
    return torch.cdist(points, centers).argmin(1).unique(return_inverse=True)[1]
