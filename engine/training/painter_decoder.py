"""Training of the painter's decoder: the tokens of scenes, drawn one after another from what is said of them.

Knows tokens, controls and losses; no pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from clavilux.conditioning import Conditioning
from clavilux.decoder import DecoderSpec
from clavilux.families.lumia.family import Parts, layout_of
from clavilux.families.lumia.prefix_controls import PrefixControls
from clavilux.image.codecs.residual import ResidualVQSpec
from clavilux.training.image_dataset import Clock, ImageDataset, Report, autocast, save_state, train_loop
from clavilux.training.muon import optimizers_of
from clavilux.training.painter_files import State, painter_spec
from clavilux.training.tokens import CaptionSampler, ScenePool

UNSEEN_BATCHES = 4


@dataclass(frozen=True)
class TrainSpec:
    """How the decoder is trained."""

    batch: int = 48
    muon_rate: float = 0.005
    adam_rate: float = 3e-3
    weight_decay: float = 0.08
    warmup_share: float = 0.003
    decay_share: float = 0.5  # of the run, at its end, in which the rate falls to zero
    averaged: float = 0.999  # of the average of the weights is kept at each step
    books: tuple[float, ...] = (1.0, 0.8, 0.5, 0.3)  # what each codebook's loss counts
    disturbed: float = 0.5  # of the pictures are read with wrong tokens among theirs,
    wrong: float = 0.3  # up to this share of them
    plain: float = 0.5  # of what is shown are single things, whole and in their own colors: what is asked for most
    seed: int = 0


class DecoderRun:
    """Training of the decoder in a run's folder, going on from where it stopped."""

    def __init__(
        self, pool: ScenePool, unseen: ScenePool, dataset: ImageDataset, words: list[str], path: Path, spec: TrainSpec,
        seconds: float, decoder: DecoderSpec | None = None, compiled: bool = False,
    ):  # fmt: skip
        torch.manual_seed(spec.seed)
        self.spec, self.path, self.words = spec, path, words
        self.layout = layout_of(ResidualVQSpec())
        self.train = CaptionSampler(pool, dataset, words, spec.seed, spec.plain)
        others = CaptionSampler(unseen, dataset, words, spec.seed + 1)
        self.unseen = [others.batch(spec.batch) for _ in range(UNSEEN_BATCHES)]
        self.model = Parts(decoder or painter_spec(ResidualVQSpec()), len(self.words))
        self.nats = torch.compile(self._nats, dynamic=False, fullgraph=True) if compiled else self._nats
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.optimizers = optimizers_of(
            self.model, self.model.decoder, spec.muon_rate, spec.adam_rate, spec.weight_decay
        )
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.step, self.clock = 0, Clock(seconds)
        # (step, seconds spent, nats a token of each codebook in training, the same held out)
        self.log: list[tuple[int, float, list[float], list[float]]] = []
        if self.path.exists():
            self._resume(torch.load(self.path, weights_only=True))

    def begin(self, state: State) -> None:
        """Take these weights, before the first step."""
        self.model.load_state_dict(state)
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def _resume(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.log = state["step"], state["log"]
        self.clock = Clock(self.clock.seconds, state["spent_s"])
        self.train.random = np.random.default_rng(self.spec.seed + self.step)

    def checkpoint(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "spent_s": self.clock.spent_s,
            "log": self.log,
            "spec": asdict(self.spec),
        }
        save_state(state, self.path)

    def losses(self, tokens: Tensor, controls: list[PrefixControls], read: Tensor | None = None) -> Tensor:
        """Mean nats a token of each codebook, [K]. What is read, [B, K, T], are the tokens, unless it is given."""
        special = self.layout.special
        assert special is not None, "the layout of this family begins with it"
        steps = self.layout.arrange(tokens)  # [B, K, S]
        start = steps.new_full((*steps.shape[:2], 1), special)
        read = torch.cat([start, self.layout.arrange(tokens if read is None else read)[:, :, :-1]], dim=2)
        wanted = torch.where(steps == special, -100, steps)
        # For the gradient's sake: a step takes 0.70 s with plain products, 0.95 s with the fused attention (two cores).
        with autocast(), sdpa_kernel(SDPBackend.MATH):
            nats = self.nats(read, wanted, self.model.conditioner(controls))
        return nats.view(steps.shape).sum((0, 2)) / (len(tokens) * tokens.shape[2])

    def _nats(self, read: Tensor, wanted: Tensor, prefix: Tensor) -> Tensor:
        """Of each id, flat."""
        logits = self.model.decoder(read, conditioning=Conditioning(prefix=prefix))  # [B, K, S, V]
        return cross_entropy(logits.flatten(0, 2).float(), wanted.flatten(), reduction="none")

    def train_step(self, share: float) -> np.ndarray:
        """One step at `share` (0 to 1) of the run: warm-up, the full rate, at last a straight line to zero."""
        factor = min(1.0, share / self.spec.warmup_share, (1.0 - share) / self.spec.decay_share) + 1e-3
        groups = (group for optimizer in self.optimizers for group in optimizer.param_groups)
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * factor
        tokens, controls = self.train.batch(self.spec.batch)
        losses = self.losses(tokens, controls, disturbed(tokens, self.spec.disturbed, self.spec.wrong))
        (losses * torch.tensor(self.spec.books)).mean().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._follow()
        return losses.detach().numpy()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average of the weights, which is what is exported, towards them: faster at the beginning."""
        share = max(1 - self.spec.averaged, 1 / (self.step + 10))
        for name, tensor in self.model.state_dict().items():
            self.average[name].lerp_(tensor, share)

    @torch.no_grad()
    def measure(self) -> list[float]:
        """Nats a token of each codebook, of pictures that are held out."""
        return torch.stack([self.losses(*batch) for batch in self.unseen]).mean(0).tolist()

    def go(self, report: Report, between: Callable[[], None]) -> None:
        """Train until the time is spent; `between` is called after each checkpoint."""

        def report_losses(losses: list[np.ndarray]) -> None:
            nats = " ".join(f"{value:.3f}" for value in np.mean(losses[-50:], 0))
            left = (self.clock.seconds - self.clock.spent_s) / 60
            report(f"decoder step {self.step}, {left:.0f} min of the processor left  nats {nats}")

        def measure(losses: list[np.ndarray]) -> None:
            self._measure_and_save(losses, report)
            between()

        self.clock = Clock(self.clock.seconds, self.clock.spent_s)  # what came before the first step does not count
        if losses := train_loop(self.clock, self.train_step, report_losses, measure):
            measure(losses)

    def _measure_and_save(self, recent: list[np.ndarray], report: Report) -> None:
        train = np.mean(recent[-200:], 0).tolist()
        self.log.append((self.step, self.clock.spent_s, train, self.measure()))
        report("held out " + " ".join(f"{value:.3f}" for value in self.log[-1][3]))
        self.checkpoint()


def disturbed(tokens: Tensor, pictures_share: float, wrong: float) -> Tensor:
    """Tokens [B, K, T], in a share of the pictures with wrong ones among them: what another has at that place.

    A decoder that has only ever read right tokens trusts them more than its prefix, and is lost after its first wrong
    one. `wrong` is the largest share of a picture's tokens.
    """
    chosen = torch.rand(len(tokens), 1, 1) < pictures_share
    share = torch.rand(len(tokens), 1, 1) * wrong * chosen
    return torch.where(torch.rand(tokens.shape) < share, tokens.roll(1, 0), tokens)
