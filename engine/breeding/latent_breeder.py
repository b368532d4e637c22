"""A breeder whose genes are normally distributed numbers by layer: what the GAN and the VAE have in common.

Knows layers, of which the first say what is where. What the numbers look like is a subclass's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clavilux.breeding import arithmetic
from clavilux.breeding.breeder import Genes, Mix
from clavilux.checks import is_number, short

if TYPE_CHECKING:
    from clavilux.image.picture import Picture

LARGEST = 100.0  # of a latent, in deviations


class LatentBreeder:
    """`Breeder` without `show`.

    Attributes:
        layers: how many numbers each layer has, in order.
        num_structure: how many of the layers, from the first on, are structure.
        class_names: what its genes may be conditioned on.
    """

    makes: Literal["pictures"] = "pictures"

    def __init__(
        self,
        name: str,
        model_sha256: str,
        layers: Mapping[str, int],
        num_structure: int,
        class_names: Sequence[str] = (),
    ) -> None:
        self.name, self.model_sha256 = name, model_sha256
        self.layers, self.num_structure, self.class_names = dict(layers), num_structure, tuple(class_names)

    def check(self, genes: Genes) -> None:
        """As `Breeder.check`."""
        counts = {layer: len(numbers) for layer, numbers in genes.latents.items()}
        if counts != self.layers:
            raise ValueError(f"the genome has the layers {short(counts)}; {self.name} has {short(self.layers)}")
        if max(abs(number) for numbers in genes.latents.values() for number in numbers) > LARGEST:
            raise ValueError(f"a latent of the genome is beyond {LARGEST:g} deviations; most are within 3")
        if self.class_names and not genes.classes:
            raise ValueError(f"the genome has no class; {self.name} has {_listed(self.class_names)}")
        for name, share in genes.classes.items():
            if name not in self.class_names:
                raise ValueError(f"the genome has the class {short(name)}; {self.name} has {_listed(self.class_names)}")
            if not is_number(share) or not 0 <= share <= 1:
                raise ValueError(f"the genome's share of {name} is {short(share)}; it should be from 0 to 1")

    def random(self, seed: int, words: str = "") -> Genes:
        """As `Breeder.random`: every layer on its own."""
        drawn = {
            layer: arithmetic.rounded(arithmetic.normals(seed, place, count))
            for place, (layer, count) in enumerate(self.layers.items())
        }
        return Genes(drawn, self.chosen_class(seed, words))

    def chosen_class(self, seed: int, words: str) -> dict[str, float]:
        """The class that words name, or one by the seed; {} where there are none. ValueError."""
        words = words.strip()
        if words and words not in self.class_names:
            raise ValueError(f"{words!r} is no class of {self.name}; it has {_listed(self.class_names)}")
        if not self.class_names:
            return {}
        drawn = int(arithmetic.uniforms(seed, len(self.layers), 1)[0] * len(self.class_names))
        return {words or self.class_names[drawn]: 1.0}

    def cross(self, parents: Sequence[Genes], mix: Mix) -> Genes:
        """As `Breeder.cross`: each layer is mixed by its kind's shares, and so are the classes by the structure's."""
        latents = {}
        for place, layer in enumerate(self.layers):
            weights = mix.structure if place < self.num_structure else mix.style
            vectors = [np.array(parent.latents[layer]) for parent in parents]
            latents[layer] = arithmetic.rounded(arithmetic.mixed(vectors, weights))
        return Genes(latents, mixed_classes([parent.classes for parent in parents], mix.structure))

    def mutate(self, genes: Genes, strength: float, seed: int) -> Genes:
        """As `Breeder.mutate`: every layer is turned towards noise; the classes stay."""
        changed = {}
        for place, (layer, count) in enumerate(self.layers.items()):
            noise = arithmetic.normals(seed, place, count)
            changed[layer] = arithmetic.rounded(arithmetic.turned(np.array(genes.latents[layer]), noise, strength))
        return Genes(changed, genes.classes)

    def between(self, first: Genes, second: Genes, share: float) -> Genes:
        """As `Breeder.between`: spherically, layer by layer."""
        latents = {
            layer: arithmetic.rounded(
                arithmetic.slerp(np.array(first.latents[layer]), np.array(second.latents[layer]), share)
            )
            for layer in self.layers
        }
        return Genes(latents, mixed_classes([first.classes, second.classes], (1 - share, share)))

    def directions(self) -> Sequence[str]:
        """None: a subclass may know some."""
        return ()

    def slide(self, genes: Genes, sliders: Mapping[str, float]) -> Genes:
        """As `Breeder.slide`."""
        raise ValueError(f"{self.name} has no genes to slide")

    def place_of(self, gene: str) -> int:
        """Which of `directions` a name or a number means. ValueError."""
        names = list(self.directions())
        if gene in names:
            return names.index(gene)
        if gene.isascii() and gene.isdigit() and 1 <= int(gene) <= len(names):
            return int(gene) - 1
        some = f"{', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"
        raise ValueError(f"{self.name} has no gene {gene!r}; it has {some or 'none'} (1 to {len(names)})")

    def show(self, genes: Genes) -> Picture:
        """As `Breeder.show`."""
        raise NotImplementedError

    def portrait(self, genes: Genes) -> Picture:
        """As `Breeder.portrait`."""
        return self.show(genes)


def mixed_classes(classes: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> dict[str, float]:
    """Shares of classes, mixed; those of which nothing is left are left out."""
    found: dict[str, float] = {}
    for each, weight in zip(classes, weights, strict=True):
        for name, share in each.items():
            found[name] = found.get(name, 0.0) + weight * share
    shares = {name: round(share, arithmetic.PLACES) for name, share in sorted(found.items())}
    return {name: share for name, share in shares.items() if share}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
