"""Breeding with a VAE: its latents in principal components, and photographs through its encoder.

Its genes are normally distributed: how far a picture lies along the leading components of the training pictures'
latents, in deviations, in two layers; and what no component holds, which pictures that are drawn have none of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clavilux.breeding import arithmetic
from clavilux.breeding.breeder import Genes
from clavilux.breeding.gene_names import gene_names
from clavilux.breeding.latent_breeder import LatentBreeder
from clavilux.files import PathLike
from clavilux.image.latents.files import LoadedVAE, load_vae
from clavilux.image.picture import Picture

BROAD = 16  # leading components: the structure
DETAIL = "detail"
FARTHEST = 50.0  # of a photograph along a component, in deviations: what is beyond stays detail


def load(name: str, folder: Path, model_sha256: str) -> VAEBreeder:
    """As `clavilux.breeding.models.BREEDERS` has it. CheckpointError."""
    return VAEBreeder(name, model_sha256, load_vae(folder))


class VAEBreeder(LatentBreeder):
    """`Breeder` of a VAE."""

    def __init__(self, name: str, model_sha256: str, loaded: LoadedVAE) -> None:
        self._vae, self._statistics = loaded.vae, loaded.statistics
        components = self._statistics.components.flatten(1).double()  # [K, N]
        self._mean = self._statistics.mean.flatten().double()
        self._basis = components
        self._lengths = components.norm(dim=1).clamp_min(1e-12)  # the deviations along each
        channels, rows, columns = loaded.vae.spec.latent_shape
        self._scale = self._statistics.scale.expand(channels, rows, columns).flatten().double().clamp_min(1e-12)
        broad = min(BROAD, len(components))
        self._parts = {f"components 1 to {broad}": broad}
        if len(components) > broad:
            self._parts[f"components {broad + 1} to {len(components)}"] = len(components) - broad
        super().__init__(name, model_sha256, self._parts | {DETAIL: len(self._mean)}, 1)
        self._genes = gene_names(loaded.config, len(components))

    def random(self, seed: int, words: str = "") -> Genes:
        """As `Breeder.random`: of the Gaussian of the training pictures' latents, without detail."""
        found = super().random(seed, words)
        return Genes(dict(found.latents) | {DETAIL: (0.0,) * len(self._mean)}, found.classes)

    def mutate(self, genes: Genes, strength: float, seed: int) -> Genes:
        """As `Breeder.mutate`; detail fades, as what is drawn has none."""
        detail = arithmetic.turned(np.array(genes.latents[DETAIL]), np.zeros(len(self._mean)), strength)
        changed = super().mutate(genes, strength, seed)
        return Genes(dict(changed.latents) | {DETAIL: arithmetic.rounded(detail)}, changed.classes)

    def directions(self) -> Sequence[str]:
        """The components, the strongest first."""
        return self._genes

    def slide(self, genes: Genes, sliders: Mapping[str, float]) -> Genes:
        """As `Breeder.slide`."""
        moved = self._coordinates(genes)
        for name, by in sliders.items():
            moved[self.place_of(name)] += by
        return Genes(self._layered(moved) | {DETAIL: genes.latents[DETAIL]}, genes.classes)

    @torch.inference_mode()
    def encode(self, path: PathLike) -> Genes:
        """The genes of a photograph: its middle square, as the encoder's mean has it. ValueError."""
        pixels = Picture.load(path).fit(self._vae.spec.size).to_floats()
        latents = self._vae.encode(pixels[None]).mean[0].flatten().double() - self._mean
        along = self._basis @ latents / self._lengths.square()
        coordinates = np.round(np.clip(along.numpy(), -FARTHEST, FARTHEST), arithmetic.PLACES)
        rest = latents - torch.from_numpy(coordinates) @ self._basis
        return Genes(self._layered(coordinates) | {DETAIL: arithmetic.rounded((rest / self._scale).numpy())})

    @torch.inference_mode()
    def show(self, genes: Genes) -> Picture:
        """As `Breeder.show`."""
        return Picture.from_floats(self._vae.decode(self.latents(genes)[None])[0])

    def latents(self, genes: Genes) -> Tensor:
        """float [C, h, w], as the decoder takes them."""
        along = torch.from_numpy(self._coordinates(genes)) @ self._basis
        detail = torch.tensor(genes.latents[DETAIL], dtype=torch.float64) * self._scale
        return (self._mean + along + detail).float().view(self._vae.spec.latent_shape)

    def _coordinates(self, genes: Genes) -> np.ndarray:
        """float64 [K]."""
        return np.concatenate([np.array(genes.latents[part], np.float64) for part in self._parts])

    def _layered(self, coordinates: np.ndarray) -> dict[str, Any]:
        """Layers of float64 [K]."""
        found, at = {}, 0
        for part, count in self._parts.items():
            found[part] = arithmetic.rounded(coordinates[at : at + count])
            at += count
        return found
