"""What breeding needs of a model: the protocol, and the records that go to and fro.

Knows no model and no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from clavilux.mark_key import MarkKey

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio
    from clavilux.image.picture import Picture

MOST_PARENTS = 8
Numbers = tuple[float, ...]  # whole ones where a layer holds tokens


@dataclass(frozen=True)
class Genes:
    """What is inherited.

    Attributes:
        latents: numbers by layer, from those that say what is where (structure) to those that say how it looks (style).
        classes: what the model is conditioned on: shares of a generator's classes, a painter's words, a composer's
            controls. Plain JSON values.
    """

    latents: Mapping[str, Numbers]
    classes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mix:
    """How a child is mixed.

    Attributes:
        structure: each parent's share of the layers that say what is where; they sum to 1.
        style: each parent's share of the others.
        seed: of whatever else is drawn.
    """

    structure: Numbers
    style: Numbers
    seed: int = 0


class Breeder(Protocol):
    """A model whose pictures or scores are bred. The same arguments give the same genes, on every processor for
    latents; where tokens are drawn by a decoder, on processors that compute alike.
    """

    name: str  # as `load_breeder` takes it
    model_sha256: str  # of its file of weights
    makes: Literal["pictures", "music"]

    def random(self, seed: int, words: str) -> Genes:
        """Genes that have no parents; `words` say of what, "" leaves it to the seed. ValueError for words that mean
        nothing to the model.
        """

    def check(self, genes: Genes) -> None:
        """Raise ValueError for genes that this model cannot have: other layers, numbers or classes."""

    def cross(self, parents: Sequence[Genes], mix: Mix) -> Genes:
        """A child of two to eight parents; all weight on one gives this one's genes."""

    def mutate(self, genes: Genes, strength: float, seed: int) -> Genes:
        """Genes that are changed by 0 (not at all) to 1 (anew)."""

    def between(self, first: Genes, second: Genes, share: float) -> Genes:
        """Genes on the way from the first (0) to the second (1). ValueError where there is none between."""

    def slide(self, genes: Genes, sliders: Mapping[str, float]) -> Genes:
        """Genes that are moved along named directions (`directions`), each by so many deviations."""

    def directions(self) -> Sequence[str]:
        """The names of the directions; empty where the model has none."""

    def show(self, genes: Genes) -> Picture | Audio:
        """What the genes look or sound like. The same genes give the same pixels or samples."""

    def portrait(self, genes: Genes) -> Picture:
        """What stands for the genes on a sheet: the picture, or the notes of a score."""


@runtime_checkable
class DrawsTokens(Breeder, Protocol):
    """A breeder whose genes are tokens that a decoder draws, so that they can be marked."""

    def marked(self, key: MarkKey) -> Breeder:
        """The same breeder, with a key's mark in all that it draws and plays."""
