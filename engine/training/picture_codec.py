"""Training of the painter's codec: pictures to tokens and back.

Knows pixels and losses; no words, and no decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.image.arts.features import load_features
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.training.image_dataset import Clock, ImageDataset, Report, autocast, floats, save_state, train_loop
from clavilux.training.perception import perceptual_loss
from clavilux.training.scenes import SceneMaker, pixels_of

DEAD = 0.15  # how seldom a batch has a vector that is given up; there are about two places to a vector


@dataclass(frozen=True)
class CodecSpec:
    """How the codec is trained."""

    batch: int = 16
    rate: float = 2e-3
    plain_share: float = 0.12  # of the run comes first, without a quantiser: colours are learned late through one
    warmup_share: float = 0.02
    perceptual: float = 0.7
    perceptual_every: int = 2  # steps: it costs as much as all the rest
    edges: float = 1.0
    commitment: float = 0.25
    decay: float = 0.98  # of the codebooks' moving averages
    moved: int = 2  # pixels that pictures are moved by at most while the tokens are learned, off the grid of the scenes
    fewer_books: float = 0.15  # of the batches are painted from the first codebooks alone
    seed: int = 0


class CodecRun:
    """Training of the codec; with `painting` only what paints is taught on, and the tokens stay as they are.

    Then what is shown is what the painter is taught to draw, so that it is painted as well as can be.
    """

    def __init__(self, dataset: ImageDataset, path: Path, spec: CodecSpec, seconds: float, painting: bool = False):
        torch.manual_seed(spec.seed)
        self.painting = painting
        self.dataset, self.path, self.spec = dataset, path, spec
        self.codec = ResidualVQ(ResidualVQSpec()).to(memory_format=torch.channels_last)
        self.codec.codebook.requires_grad_(False)
        self.features = load_features()
        self.counts = torch.zeros(self.codec.codebook.shape[:2])
        self.sums = torch.zeros_like(self.codec.codebook)
        learns = self.codec.decoder if self.painting else self.codec
        learned = [p for p in learns.parameters() if p.ndim != 3]  # the codebooks move by themselves
        self.optimizer = torch.optim.AdamW(learned, lr=spec.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.random = np.random.default_rng(spec.seed)
        self.rows = dataset.taught if painting else np.flatnonzero(~dataset.held_out)
        self.step, self.clock, self.seen = 0, Clock(seconds), 0.0
        self.log: list[tuple[int, float, float]] = []  # (step, seconds spent, dB of held-out pictures)
        if path.exists():
            self._resume(torch.load(path, weights_only=True))
        self.maker = SceneMaker(dataset, spec.seed + self.step, self.rows)
        held_out = np.flatnonzero(dataset.held_out)
        self.test = dataset.batch(held_out[:: max(1, len(held_out) // 192)][:192])

    def _resume(self, state: dict[str, Any]) -> None:
        self.codec.load_state_dict(state["codec"])
        self.counts, self.sums = state["counts"], state["sums"]
        if state["painting"] == self.painting:
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.log = state["step"], state["log"]
            self.clock = Clock(self.clock.seconds, state["spent_s"])
        self.random = np.random.default_rng(self.spec.seed + self.step + 1)

    def checkpoint(self) -> None:
        state = {
            "codec": self.codec.state_dict(), "counts": self.counts, "sums": self.sums, "step": self.step,
            "optimizer": self.optimizer.state_dict(), "spent_s": self.clock.spent_s, "log": self.log,
            "painting": self.painting,
        }  # fmt: skip
        save_state(state, self.path)

    def go(self, report: Report) -> None:
        """Train until the time is spent."""

        def report_losses(losses: list[tuple[float, float]]) -> None:
            used = float((self.counts > 0.1).float().mean())
            values = "  ".join(f"{value:.4f}" for value in np.mean(losses[-50:], 0))
            report(f"codec step {self.step}  {self.clock.spent_s:.0f} s  {values}  books used {used:.2f}")

        def measure_and_save(begins: str) -> None:
            self.log.append((self.step, self.clock.spent_s, self.measure()))
            report(f"{begins}held out {self.log[-1][2]:.2f} dB")
            self.checkpoint()

        train_loop(self.clock, self.train_step, report_losses, lambda losses: measure_and_save(""))
        measure_and_save("codec: ")

    def train_step(self, share: float) -> tuple[float, float]:
        spec = self.spec
        for group in self.optimizer.param_groups:
            group["lr"] = spec.rate * (min(1.0, share / spec.warmup_share) * (1 - share) + 1e-2)
        pixels = self._pixels()
        with autocast():
            with torch.set_grad_enabled(not self.painting):
                latent = self.codec.latent(pixels)
            tokens, asked = self.codec.nearest(latent)
            books = self.codec.codebooks
            if self.random.random() < spec.fewer_books:
                books = int(self.random.integers(1, books))
            quantized = self.codec.lookup(tokens[:, :books])
            if not self.painting:
                quantized = latent if share < spec.plain_share else latent + (quantized - latent).detach()
            painted = self.codec.decode_latent(quantized)
            looks = self.step % spec.perceptual_every == 0
            seen = perceptual_loss(self.features, painted, pixels) if looks else torch.zeros(())
        plain = (painted.float() - pixels).abs().mean()
        loss = colour_loss(painted.float(), pixels) + spec.edges * edge_loss(painted.float(), pixels)
        loss = loss + spec.perceptual * seen.float()
        if not self.painting:
            if share >= spec.plain_share:
                loss = loss + spec.commitment * self._commitment(tokens, asked)
            self._move_codebooks(tokens, asked.detach())
        loss.backward()
        nn.utils.clip_grad_norm_(self.codec.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.seen = float(seen.detach()) if looks else self.seen
        return float(plain.detach()), self.seen

    def _pixels(self) -> Tensor:
        """A batch of scenes."""
        pixels = [pixels_of(self.dataset, self.maker.scene()) for _ in range(self.spec.batch)]
        if not self.painting and (far := self.spec.moved):
            pixels = [np.roll(each, self.random.integers(-far, far + 1, 2), (0, 1)) for each in pixels]
        return floats(np.stack(pixels))

    def _commitment(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """How far the latent lies from what it was quantized to, summed over what each codebook left."""
        codebook = self.codec.codebook
        chosen = torch.stack([F.embedding(tokens[:, k], codebook[k]) for k in range(len(codebook))], 1)
        return (asked - chosen.permute(0, 1, 4, 2, 3).detach()).square().mean((0, 2, 3, 4)).sum()

    @torch.no_grad()
    def _move_codebooks(self, tokens: Tensor, asked: Tensor) -> None:
        """Each vector moves to the mean of what it was chosen for; one that is no longer chosen starts elsewhere."""
        codebook, vocabulary = self.codec.codebook, self.codec.vocabulary
        for k in range(len(codebook)):
            places = asked[:, k].permute(0, 2, 3, 1).flatten(0, 2)  # [B * rows * cols, E]
            chosen = tokens[:, k].flatten()
            self.counts[k].lerp_(torch.bincount(chosen, minlength=vocabulary).float(), 1 - self.spec.decay)
            sums = torch.zeros_like(codebook[k]).index_add_(0, chosen, places)
            self.sums[k].lerp_(sums, 1 - self.spec.decay)
            dead = self.counts[k] < DEAD
            if dead.any():  # most places are plain white: it starts where the error is large
                error = (places - F.embedding(chosen, codebook[k])).square().sum(1) + 1e-12
                found = places[torch.multinomial(error, int(dead.sum()), replacement=int(dead.sum()) > len(places))]
                self.sums[k][dead], self.counts[k][dead] = found, 1.0
            codebook.data[k] = self.sums[k] / self.counts[k][:, None]

    def measure(self) -> float:
        """Mean signal-to-noise ratio of held-out pictures, in dB, of 255 steps of brightness."""
        with autocast():
            painted = self.codec.decode(self.codec.encode(self.test)).float()
        error = (painted - self.test).square().mean((1, 2, 3)) / 4  # of 0 to 1
        return float((-10 * error.clamp_min(1e-10).log10()).mean())


def colour_loss(painted: Tensor, real: Tensor) -> Tensor:
    """How far pixels are apart, absolute and squared; what is not common to all three colours counts twice more."""
    difference = painted - real
    hue = difference - difference.mean(1, keepdim=True)
    return difference.abs().mean() + difference.square().mean() + 2 * hue.abs().mean() + 2 * hue.square().mean()


def edge_loss(painted: Tensor, real: Tensor) -> Tensor:
    """How far the differences of neighbouring pixels are apart: blur costs more than a wrong shade."""
    difference = painted - real
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
