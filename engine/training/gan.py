"""Training of a GAN on a folder of pictures: the learner of `clavilux train gan`.

Knows what the two players play with, a VAE's latents of the pictures or their pixels, and what is measured. How they
play is `gan_game`'s; when a run ends or is written is `picture_run`'s.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clavilux.image.arts import LITE0
from clavilux.image.arts.features import Features, load_features
from clavilux.image.latents import gan_files
from clavilux.image.latents.adversarial import Objective
from clavilux.image.latents.augmentation import overfitting
from clavilux.image.latents.files import LoadedVAE
from clavilux.image.latents.gan import COARSEST, DiscriminatorSpec, GeneratorSpec
from clavilux.image.latents.gan_files import PictureGenerator
from clavilux.image.latents.kernel_distance import kernel_distance
from clavilux.image.latents.vae import Posterior, to_levels, to_pixels
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.training.draws import noise_of, pieces, rows_of, some_of
from clavilux.training.gan_game import Game, GameSpec, Real
from clavilux.training.perception import describe
from clavilux.training.picture_folder import PictureFolder

MEASURED = 256  # pictures of each kind at most that are measured with
TOGETHER = 64  # pictures that are encoded or made at once
COLUMNS, SHOWN = 8, 64  # of the sheet
SHEET, MEASURE = 18, 19  # streams of random numbers
# Channels at 4, 8, 16 ... patches a side, and residual blocks: of latents, and of pixels, which are many more.
LATENT_TOWERS, LATENT_BLOCKS = (128, 64, 40, 24), 3
PIXEL_TOWERS, PIXEL_BLOCKS = (112, 80, 48, 24, 16), 1


@dataclass(frozen=True)
class GANTraining:
    """How a GAN is trained.

    Attributes:
        batch: pictures of each kind in a step.
        rate: of both players' Adam.
        penalty: gamma of R1, and of R2 in the relativistic game.
        relativistic: which game; with pixels the non-saturating one is usual.
        mirror: show pictures mirrored as often as not.
        augment: change what the discriminator sees as far as it learns pictures by heart.
        seed: of weights and draws.
    """

    batch: int = 32
    rate: float = 1e-3
    penalty: float = 1.0
    relativistic: bool = True
    mirror: bool = True
    augment: bool = True
    seed: int = 0

    def game(self) -> GameSpec:
        """The game that this means."""
        objective = Objective(self.relativistic, self.penalty, self.penalty if self.relativistic else 0.0)
        over = GameSpec().augmented_over if self.augment else 0
        return GameSpec(self.batch, self.rate, objective, augmented_over=over, seed=self.seed)


def usual_settings(pixels: bool) -> dict[str, Any]:
    """What a run is trained with unless told: plain JSON values, for `picture_run.settled`; without size and VAE."""
    how = GANTraining(relativistic=not pixels)
    return {
        "kind": "gan", "pixels": pixels, "batch": how.batch, "rate": how.rate, "penalty": how.penalty,
        "mirror": how.mirror, "augment": how.augment, "seed": how.seed,
    }  # fmt: skip


def features_if_there(device: torch.device) -> Features | None:
    """What KID is measured on; None where the extra is not installed that has it."""
    return load_features(device=device) if find_spec(LITE0) else None


def specs(channels: int, size: int, classes: int, *, pixels: bool) -> tuple[GeneratorSpec, DiscriminatorSpec]:
    """The usual sizes for samples [channels, size, size].

    Raises:
        ValueError: a size that is not 4, 8, 16 and so on.
    """
    towers, blocks = (PIXEL_TOWERS, PIXEL_BLOCKS) if pixels else (LATENT_TOWERS, LATENT_BLOCKS)
    sides = [2 * COARSEST << level for level in range(len(towers))]  # patches of 2 x 2
    if size not in sides:
        raise ValueError(f"a GAN's samples have {size} places a side; it should be one of {', '.join(map(str, sides))}")
    count = sides.index(size) + 1
    # The discriminator is the smaller: it is run five times where the generator is run twice, and large it wins early.
    narrower = tuple(max(8, width * 3 // 4 // 8 * 8) for width in towers[:count])
    return (
        GeneratorSpec(channels, towers[:count], (blocks,) * count, classes),
        DiscriminatorSpec(channels, narrower, (max(1, blocks - 1),) * count, classes),
    )


class LatentSamples:
    """What a VAE says of all pictures, plain and mirrored: real samples of a game.

    A sample is drawn of a picture's Gaussian, less the mean of latents and over their scale.
    """

    def __init__(self, pictures: PictureFolder, loaded: LoadedVAE, training: GANTraining, device: torch.device):
        vae, self._statistics = loaded.vae.to(device), loaded.statistics
        views = [pictures.pixels, pictures.pixels[..., ::-1]] if training.mirror else [pictures.pixels]
        found = [
            [
                torch.stack(vae.encode(pixels_of(view[rows], device))).cpu().half()
                for rows in pieces(len(view), TOGETHER)
            ]
            for view in views
        ]
        self._latents = torch.stack([torch.cat(view, 1) for view in found])  # [views, 2, N, C, h, w]

    def __call__(self, rows: np.ndarray, random: torch.Generator) -> Tensor:
        """float [B, C, h, w] of rows [B], each perhaps mirrored."""
        view = torch.randint(len(self._latents), (len(rows),), generator=random)
        posterior = Posterior(*self._latents[view, :, torch.from_numpy(rows)].float().unbind(1))
        return self._scaled(posterior.sample(torch.randn(posterior.mean.shape, generator=random)))

    def plain(self, rows: np.ndarray) -> Tensor:
        """float [B, C, h, w]: the middles of the Gaussians of rows [B]."""
        return self._scaled(self._latents[0, 0, torch.from_numpy(rows)].float())

    def _scaled(self, latents: Tensor) -> Tensor:
        return (latents - self._statistics.mean) / self._statistics.scale


class PixelSamples:
    """The pictures themselves, perhaps mirrored: real samples of a game."""

    def __init__(self, pictures: PictureFolder, training: GANTraining):
        self._pixels, self._mirror = pictures.pixels, training.mirror

    def __call__(self, rows: np.ndarray, random: torch.Generator) -> Tensor:
        """float [B, 3, S, S] of rows [B]."""
        mirrored = torch.rand(len(rows), generator=random) < (0.5 if self._mirror else 0.0)
        pixels = self.plain(rows)
        return torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)

    def plain(self, rows: np.ndarray) -> Tensor:
        """float [B, 3, S, S] of rows [B]."""
        return pixels_of(self._pixels[rows], torch.device("cpu"))


class GANLearner:
    """A game on the pictures of a folder; a `picture_run.Learner`.

    Attributes:
        best: none: the last state counts, since neither player's loss says how good pictures are.
        game: the players.
        model: the averaged generator, and what makes pixels of what it makes.
    """

    best: str | None = None

    def __init__(
        self,
        pictures: PictureFolder,
        training: GANTraining,
        loaded: LoadedVAE | None = None,
        device: torch.device | None = None,
        features: Features | None = None,
        name: str = "gan",
        licence: str | None = None,
    ):
        """A new one, of random weights.

        Args:
            pictures: of the VAE's size.
            training: how it is trained.
            loaded: the VAE whose latents are made; pixels if None.
            device: where it computes; the CPU if None.
            features: what KID is measured on, on that device; it is not measured if None.
            name: what exported checkpoints are called.
            licence: of their weights, if they are to state one.
        """
        self.pictures, self.training, self.loaded = pictures, training, loaded
        self.device, self.features = device or torch.device("cpu"), features
        self.name, self.licence = name, licence
        self.classes = pictures.classes if len(pictures.classes) > 1 else ()
        self._labels = torch.from_numpy(pictures.labels)
        self.samples: PixelSamples | LatentSamples = (
            PixelSamples(pictures, training)
            if loaded is None
            else LatentSamples(pictures, loaded, training, self.device)
        )
        unseen = pictures.unseen
        held_out = self.samples.plain(unseen)
        sizes = specs(held_out.shape[1], held_out.shape[2], len(self.classes), pixels=loaded is None)
        self.game = Game(*sizes, training.game(), self._draw, (held_out, self._classes_of(unseen)), self.device)
        statistics = None if loaded is None else loaded.statistics
        decoder = None if loaded is None else loaded.vae.decoder
        self.model = PictureGenerator(self.game.averaged, decoder, statistics).to(self.device)
        self._real: Tensor | None = None

    def step(self, number: int) -> dict[str, float]:
        """As `Learner`."""
        return self.game.step(number)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """How far the discriminator knows taught pictures by heart; KID against held-out ones, on Lite0's features."""
        unseen, taught = (
            some_of(self.training.seed, MEASURED, rows) for rows in (self.pictures.unseen, self.pictures.taught)
        )
        fake, classes = self._made(MEASURED, MEASURE)
        seen, never_seen = (
            self.game.judged(self.samples.plain(rows), self._classes_of(rows)) for rows in (taught, unseen)
        )
        found = {"overfitting": overfitting(seen, never_seen, self.game.judged(fake, classes))}
        if self.features is not None and len(unseen) > 3:
            if self._real is None:
                self._real = self._described(self.pictures.pixels[unseen])
            made = torch.cat([to_levels(self.model.decoded(part.to(self.device))) for part in fake.split(TOGETHER)])
            found["kid_lite0"] = kernel_distance(self._described(made.cpu().numpy()), self._real, subsets=2).distance
        return found

    def state(self) -> dict[str, Tensor]:
        """As `Learner`."""
        return self.game.state()

    def load(self, state: dict[str, Tensor]) -> None:
        """As `Learner`."""
        self.game.load(state)

    @torch.no_grad()
    def sheet(self) -> Picture:
        """Samples of the averaged generator, always of the same z."""
        fake, _ = self._made(SHOWN, SHEET)
        levels = to_levels(self.model.decoded(fake.to(self.device))).permute(0, 2, 3, 1).cpu()
        return contact_sheet([Picture(each) for each in levels], COLUMNS)

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """As `Learner`: the averaged generator, with the VAE's decoder."""
        kept = deepcopy(self.model)  # what is trained stays as it is, whenever it is exported
        kept.generator.settle()
        made_with = None if self.loaded is None else self.loaded.vae.spec
        gan_files.save_gan(
            folder, kept, made_with, name=self.name, classes=self.classes, training=training, licence=self.licence
        )

    def _draw(self, number: int, random: torch.Generator) -> Real:
        rows = rows_of(self.training.seed, number, self.training.batch, self.pictures.taught)
        return self.samples(rows, random), self._classes_of(rows)

    def _classes_of(self, rows: np.ndarray) -> Tensor | None:
        return self._labels[rows] if self.classes else None

    def _made(self, count: int, stream: int) -> Real:
        """Samples of the averaged generator, of classes as often as they are among the taught pictures."""
        z = torch.randn(count, self.game.averaged.spec.noise, generator=noise_of(self.training.seed, stream, 0))
        classes = self._classes_of(rows_of(self.training.seed, 1, count, self.pictures.taught))
        return self.game.samples(z, classes), classes

    def _described(self, levels: np.ndarray) -> Tensor:
        """uint8 [B, 3, S, S] -> features float [B, 1280] on the CPU."""
        assert self.features is not None
        parts = [
            describe(self.features, pixels_of(levels[rows], self.device)) for rows in pieces(len(levels), TOGETHER)
        ]
        return torch.cat(parts).cpu()


def pixels_of(levels: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [B, 3, S, S] -> float, -1 to 1, laid out so in memory: of other layouts convolutions round otherwise.

    Pictures that were just read lie with their colors innermost, and those of a run that goes on do not.
    """
    return to_pixels(torch.from_numpy(np.ascontiguousarray(levels)).to(device))
