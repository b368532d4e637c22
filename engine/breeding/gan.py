"""Breeding with a GAN: a z a layer, so that structure and style have parents of their own, and the classes' shares.

Its genes are normally distributed. A picture that is drawn has the same z in every layer, as in training; crossing
parts them. Sliders go along the principal components of the generator's styles (Härkönen et al., "GANSpace", arXiv
2004.02546), found without labels; how far they are moved is a layer of its own, `genes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clavilux.breeding import arithmetic
from clavilux.breeding.breeder import Genes, Mix
from clavilux.breeding.gene_names import gene_names
from clavilux.breeding.latent_breeder import LatentBreeder
from clavilux.image.latents.gan_files import LoadedGAN, load_gan
from clavilux.image.latents.statistics import statistics_of
from clavilux.image.picture import Picture

GENES, MOST_GENES = "genes", 16
STYLES = 4096  # whose principal components are taken


def load(name: str, folder: Path, model_sha256: str) -> GANBreeder:
    """As `clavilux.breeding.models.BREEDERS` has it. CheckpointError."""
    return GANBreeder(name, model_sha256, load_gan(folder))


class GANBreeder(LatentBreeder):
    """`Breeder` of a GAN."""

    def __init__(self, name: str, model_sha256: str, loaded: LoadedGAN) -> None:
        self._model, self._generator = loaded.model, loaded.model.generator
        spec = self._generator.spec
        self._zs = tuple(f"layer {number}" for number in range(1, spec.layers + 1))
        count = min(MOST_GENES, spec.width)
        structure = sum(spec.blocks[:-1]) or max(1, spec.layers // 2)  # the layers of the coarser resolutions
        sizes = dict.fromkeys(self._zs, spec.noise) | {GENES: count}
        super().__init__(name, model_sha256, sizes, structure, loaded.classes)
        self._names = gene_names(loaded.config, count)

    def random(self, seed: int, words: str = "") -> Genes:
        """As `Breeder.random`: one z for all layers; a class by its name, or by the seed."""
        z = arithmetic.rounded(arithmetic.normals(seed, 0, self._generator.spec.noise))
        return Genes(dict.fromkeys(self._zs, z) | {GENES: (0.0,) * self.layers[GENES]}, self.chosen_class(seed, words))

    def cross(self, parents: Sequence[Genes], mix: Mix) -> Genes:
        """As `LatentBreeder.cross`; sliders are averaged, by the structure's shares."""
        found = super().cross(parents, mix)
        sliders = np.array(mix.structure) @ np.array([parent.latents[GENES] for parent in parents])
        return replace(found, latents=dict(found.latents) | {GENES: arithmetic.rounded(sliders)})

    def mutate(self, genes: Genes, strength: float, seed: int) -> Genes:
        """As `Breeder.mutate`: every layer is turned towards the same noise, so that those that are alike stay so."""
        noise = arithmetic.normals(seed, 0, self._generator.spec.noise)
        turned = {
            layer: arithmetic.rounded(arithmetic.turned(np.array(genes.latents[layer]), noise, strength))
            for layer in self._zs
        }
        return Genes(turned | {GENES: genes.latents[GENES]}, genes.classes)

    def between(self, first: Genes, second: Genes, share: float) -> Genes:
        """As `LatentBreeder.between`; sliders go straight."""
        found = super().between(first, second, share)
        sliders = (1 - share) * np.array(first.latents[GENES]) + share * np.array(second.latents[GENES])
        return replace(found, latents=dict(found.latents) | {GENES: arithmetic.rounded(sliders)})

    def directions(self) -> Sequence[str]:
        """Principal components of the styles, the strongest first."""
        return self._names

    def slide(self, genes: Genes, sliders: Mapping[str, float]) -> Genes:
        """As `Breeder.slide`."""
        moved = np.array(genes.latents[GENES])
        for name, by in sliders.items():
            moved[self.place_of(name)] += by
        return replace(genes, latents=dict(genes.latents) | {GENES: arithmetic.rounded(moved)})

    @torch.inference_mode()
    def show(self, genes: Genes) -> Picture:
        """As `Breeder.show`."""
        return Picture.from_floats(self._model(self.styles(genes)[None])[0])

    def styles(self, genes: Genes) -> Tensor:
        """float [layers, width], as the generator takes them."""
        z = torch.tensor([genes.latents[layer] for layer in self._zs], dtype=torch.float32)
        shares = torch.tensor([genes.classes.get(name, 0.0) for name in self.class_names])
        styles = self._styles(z, shares.expand(len(z), -1))
        moved = torch.tensor(genes.latents[GENES], dtype=torch.float32)
        return styles + moved @ self._components if moved.any() else styles

    def _styles(self, z: Tensor, shares: Tensor) -> Tensor:
        """float [B, noise] and shares [B, classes] -> styles [B, width]: `Generator.style`, of mixtures of classes."""
        embedding = self._generator.embedding
        return self._generator.mapped(z, None if embedding is None else shares @ embedding.weight)

    @cached_property
    def _components(self) -> Tensor:
        """float [genes, width]: how the styles of pictures differ, each as long as their deviation along it."""
        noise, classes = self._generator.spec.noise, len(self.class_names)
        z = torch.from_numpy(arithmetic.normals(0, 0, STYLES * noise)).float().view(STYLES, noise)
        shares = torch.eye(classes)[torch.arange(STYLES) % classes] if classes else torch.empty(STYLES, 0)
        with torch.inference_mode():
            styles = self._styles(z, shares)
        return statistics_of(styles[:, :, None, None], self.layers[GENES]).components.flatten(1)
