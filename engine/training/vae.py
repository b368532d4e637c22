"""Training of a VAE on a folder of pictures: the learner of `clavilux train vae`.

Knows the bound and its terms, the optimizer, and what is measured. Does not know when a run ends or is written: that is
`picture_run`.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clavilux.image.arts import LITE0
from clavilux.image.arts.features import Features
from clavilux.image.latents import files, losses
from clavilux.image.latents.augmentation import gathered
from clavilux.image.latents.statistics import Statistics, statistics_of
from clavilux.image.latents.vae import VAE, VAESpec, to_levels, to_pixels
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.training.draws import AUGMENT, FIRST, NOISE, noise_of, pieces, random_of, rows_of, some_of
from clavilux.training.perception import perceptual_loss
from clavilux.training.picture_folder import PictureFolder
from clavilux.training.states import beginning, fill_optimizer, joined, optimizer_tensors

MEASURED, DESCRIBED = 256, 1024  # pictures at most that are measured with, and that statistics are of
TOGETHER = 64  # pictures that are encoded at once
COLUMNS, DRAWN = 8, 16  # of the sheet; pictures drawn at random on it
PERCEPTUAL = 2.0  # weight of the perceptual loss, where Lite0 is installed
SHIFT = 1 / 16  # of the side, at most
# The width of the pixels' distribution falls to a tenth within some hundred steps, and a step of Adam's moves its
# logarithm by the rate at most: with the rate of the others it lags behind, and so long the KL term counts too much.
SCALE_TIMES = 10.0
_MEASURE, _SHEET = 10**9, 10**9 + 1  # numbers of draws that are no step's


@dataclass(frozen=True)
class VAETraining:
    """How a VAE is trained.

    Attributes:
        batch: pictures a step.
        rate: of AdamW, reached after `warmup` steps; falls with the root of the steps over `slowing`.
        kl_weight: what a nat of KL counts beside one of reconstruction; with 1 the bound itself is trained.
        free_bits: as `losses.free_kl`.
        perceptual: what the difference counts that an ImageNet classifier sees; 0 looks through none.
        augment: mirror, shift, and exchange colors.
        average: decay of the averaged weights, which are what is measured and exported.
    """

    batch: int = 16
    rate: float = 2e-3
    kl_weight: float = 1.0
    free_bits: float = 0.05
    perceptual: float = 0.0
    augment: bool = True
    seed: int = 0
    warmup: int = 100
    slowing: int = 4000
    average: float = 0.998


def usual_settings() -> dict[str, Any]:
    """What a run is trained with unless told: plain JSON values, for `picture_run.settled`."""
    how = VAETraining(perceptual=PERCEPTUAL if find_spec(LITE0) else 0.0)
    return {
        "kind": "vae", "size": 64, "latent_channels": VAESpec().latent_channels, "batch": how.batch, "rate": how.rate,
        "kl_weight": how.kl_weight, "free_bits": how.free_bits, "perceptual": how.perceptual, "augment": how.augment,
        "seed": how.seed,
    }  # fmt: skip


class VAELearner:
    """A VAE, its averaged weights and its optimizer; a `picture_run.Learner`.

    Attributes:
        best: the bound on held-out pictures.
        vae, averaged: the network that takes steps, and the one of averaged weights.
    """

    best: str | None = "elbo"

    def __init__(
        self,
        pictures: PictureFolder,
        spec: VAESpec,
        training: VAETraining,
        device: torch.device | None = None,
        features: Features | None = None,
        name: str = "vae",
        licence: str | None = None,
    ):
        """A new one, of random weights.

        Args:
            pictures: of the size of `spec`.
            spec: of the network.
            training: how it is trained.
            device: where it computes; the CPU if None.
            features: what the perceptual loss looks through, on that device; needed if `training.perceptual` is not 0.
            name: what exported checkpoints are called.
            licence: of their weights, if they are to state one.
        """
        assert pictures.size == spec.size and (features is not None or not training.perceptual)
        self.pictures, self.training, self.device = pictures, training, device or torch.device("cpu")
        self.features, self.name, self.licence = features, name, licence
        with torch.random.fork_rng([]):
            torch.manual_seed(int(random_of(training.seed, FIRST, 0).integers(2**62)))
            self.vae = VAE(spec).to(self.device).to(memory_format=torch.channels_last)
        self.averaged = deepcopy(self.vae).requires_grad_(False)
        scale, *others = self.vae.parameters()
        assert scale is self.vae.log_scale
        groups = [{"params": [scale], "weight_decay": 0.0, "times": SCALE_TIMES}, {"params": others, "times": 1.0}]
        self.optimizer = torch.optim.AdamW(groups, training.rate, betas=(0.9, 0.99), weight_decay=0.01)
        self._statistics: Statistics | None = None

    def step(self, number: int) -> dict[str, float]:
        """One step on a batch; its terms in nats a picture."""
        how = self.training
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(number, how) * group["times"]
        pixels = self._pixels(rows_of(how.seed, number, how.batch, self.pictures.taught))
        if how.augment:
            pixels = augmented(pixels, random_of(how.seed, AUGMENT, number))
        posterior = self.vae.encode(pixels)
        noise = torch.randn(posterior.mean.shape, generator=noise_of(how.seed, NOISE, number)).to(self.device)
        decoded = self.vae.decode(posterior.sample(noise))
        reconstruction = losses.reconstruction_nats(pixels, decoded, self.vae.log_scale).mean()
        kl = losses.gaussian_kl(posterior)
        loss = reconstruction + how.kl_weight * losses.free_kl(kl, how.free_bits)
        found = {"reconstruction": reconstruction, "kl": kl.sum() / len(kl)}
        if self.features is not None and how.perceptual:
            found["perceptual"] = perceptual_loss(self.features, decoded.clamp(-1, 1), pixels)
            loss = loss + how.perceptual * found["perceptual"] * pixels[0].numel()
        (loss / pixels[0].numel()).backward()
        nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._average(number)
        values = {name: float(value.detach()) for name, value in found.items()}
        return {"elbo": -values["reconstruction"] - values["kl"]} | values

    @torch.no_grad()
    def _average(self, number: int) -> None:
        share = 1 - min(self.training.average, (number + 1) / (number + 10))
        for ours, theirs in zip(self.averaged.parameters(), self.vae.parameters(), strict=True):
            ours.lerp_(theirs, share)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """The bound and its terms in nats a held-out picture, and how far reconstructions are off, in dB."""
        self._statistics = None
        random = noise_of(self.training.seed, NOISE, _MEASURE)
        sums = np.zeros(3)
        rows = self._some(self.pictures.unseen, MEASURED)
        for piece in pieces(len(rows), TOGETHER):
            pixels = self._pixels(rows[piece])
            posterior = self.averaged.encode(pixels)
            noise = torch.randn(posterior.mean.shape, generator=random).to(self.device)
            decoded = self.averaged.decode(posterior.sample(noise))
            reconstruction = losses.reconstruction_nats(pixels, decoded, self.averaged.log_scale).sum()
            kl = losses.gaussian_kl(posterior).sum()
            decibels = psnr_db(self.averaged.decode(posterior.mean), pixels).sum()
            sums += [float(reconstruction), float(kl), float(decibels)]
        reconstruction_nats, kl_nats, psnr = (sums / len(rows)).tolist()
        return {
            "elbo": -reconstruction_nats - kl_nats, "reconstruction": reconstruction_nats, "kl": kl_nats,
            "psnr_db": psnr,
        }  # fmt: skip

    def state(self) -> dict[str, Tensor]:
        """As `Learner`."""
        parts = {"vae": self.vae.state_dict(), "averaged": self.averaged.state_dict()}
        parts["optimizer"] = optimizer_tensors(self.optimizer)
        return joined(parts)

    def load(self, state: dict[str, Tensor]) -> None:
        """As `Learner`."""
        self.vae.load_state_dict(beginning("vae.", state))
        self.averaged.load_state_dict(beginning("averaged.", state))
        fill_optimizer(self.optimizer, beginning("optimizer.", state))
        self._statistics = None

    @torch.no_grad()
    def sheet(self) -> Picture:
        """Held-out pictures, each with its reconstruction below it; then pictures drawn at random, below a gap."""
        pixels = self._pixels(self._some(self.pictures.unseen, 2 * COLUMNS))
        again = self.averaged.decode(self.averaged.encode(pixels).mean)
        drawn = self.averaged.decode(
            self.statistics().draw(DRAWN, noise_of(self.training.seed, NOISE, _SHEET)).to(self.device)
        )
        gap = torch.ones_like(pixels[:1])
        rows = []
        for start in range(0, len(pixels), COLUMNS):
            missing = [gap] * (COLUMNS - len(pixels[start : start + COLUMNS]))
            rows += [pixels[start : start + COLUMNS], *missing, again[start : start + COLUMNS], *missing]
        levels = to_levels(torch.cat([*rows, drawn])).permute(0, 2, 3, 1)
        return contact_sheet([Picture(each) for each in levels], COLUMNS)

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """As `Learner`: the averaged weights."""
        files.save_vae(
            folder, self.averaged, self.statistics(), name=self.name, classes=self.pictures.classes, training=training,
            licence=self.licence,
        )  # fmt: skip

    @torch.no_grad()
    def statistics(self) -> Statistics:
        """Of the latents of taught pictures, at most `DESCRIBED` of them; kept until the next measure."""
        if self._statistics is None:
            rows = self._some(self.pictures.taught, DESCRIBED)
            latents = [
                self.averaged.encode(self._pixels(rows[piece])).mean.cpu() for piece in pieces(len(rows), TOGETHER)
            ]
            latents = latents if len(rows) > 1 else 2 * latents  # a single picture has no spread
            self._statistics = statistics_of(torch.cat(latents))
        return self._statistics

    def _some(self, rows: np.ndarray, most: int) -> np.ndarray:
        """At most so many of these rows, of all classes: they are in the order of folders."""
        return np.sort(some_of(self.training.seed, most, rows))

    def _pixels(self, rows: np.ndarray) -> Tensor:
        pixels = to_pixels(torch.from_numpy(self.pictures.pixels[rows]).to(self.device))
        return pixels.contiguous(memory_format=torch.channels_last)


def rate_at(step: int, training: VAETraining) -> float:
    """The rate of a step: a line up, then the inverse root; of the step alone, so that no run needs to know its end."""
    return training.rate * min(1.0, (step + 1) / training.warmup) / math.sqrt(1 + step / training.slowing)


def augmented(pixels: Tensor, random: np.random.Generator) -> Tensor:
    """Pictures [B, 3, S, S] mirrored or not, shifted by a few pixels (their edges repeated), and every other one with
    its three colors exchanged: white, grey and black stay what they are.
    """
    count, side = len(pixels), pixels.shape[2]
    mirrored, recolored = random.random(count) < 0.5, random.random(count) < 0.5
    shifts = random.integers(-int(side * SHIFT), int(side * SHIFT) + 1, (count, 2))
    orders = random.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
    rows, columns = np.clip(np.arange(side) + shifts.T[:, :, None], 0, side - 1)  # [B, S] each; edges are repeated
    columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
    moved = gathered(pixels, torch.from_numpy(rows), torch.from_numpy(columns))
    orders[~recolored] = np.arange(3)
    exchanged = moved.gather(1, torch.from_numpy(orders).to(pixels.device)[:, :, None, None].expand_as(moved))
    return exchanged.contiguous(memory_format=torch.channels_last)


def psnr_db(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Signal-to-noise ratio of each picture, clipped, in dB of 255 steps of brightness: float [B]."""
    error = (decoded.clamp(-1, 1) - pixels).square().mean((1, 2, 3)) / 4  # of 0 to 1
    return -10 * error.clamp_min(1e-10).log10()
