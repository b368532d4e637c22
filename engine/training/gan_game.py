"""The game of a GAN, step by step: two players, the averaged generator, augmentation that follows what is learned.

Knows samples [B, C, H, W] with or without classes; not whether they are latents or pixels, nor where they come from.
Whatever is drawn at random follows from the seed and the number of the step, so that a game can stop anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from clavilux.image.latents.adversarial import Objective, discriminator_loss, generator_loss
from clavilux.image.latents.augmentation import adapted, augmented, overfitting
from clavilux.image.latents.gan import Discriminator, DiscriminatorSpec, Generator, GeneratorSpec
from clavilux.training.draws import noise_of
from clavilux.training.states import beginning, fill_optimizer, joined, optimizer_tensors

PLAY, JUDGE = 16, 17  # streams of random numbers
BETAS = (0.0, 0.99)  # of Adam: what the other player did some steps ago is no direction
ADAPT_EVERY = 8  # steps
TOGETHER = 64  # samples that are made or judged at once
JUDGED = 64  # pictures of each kind that the probability of augmentation is adapted by
RISING = 0.05  # of the pictures so far is the longest half-life: a new game forgets its beginning
_NETWORKS = ("generator", "discriminator", "averaged")
Real = tuple[Tensor, Tensor | None]  # samples and their classes
Draw = Callable[[int, torch.Generator], Real]  # the real samples of a step


@dataclass(frozen=True)
class GameSpec:
    """How a game is played.

    Attributes:
        batch: samples of each kind in a step.
        rate: of both players' Adam.
        objective: which game.
        penalty_every: steps; the penalties count as many times as much then.
        mixing: how often the styles of a sample are of two: the first layers' of one, the others' of another.
        half_life: pictures after which what the averaged generator was counts half.
        augmented_over: pictures in which the probability of augmentation can go from 0 to 1; 0 for no augmentation.
        seed: of weights and of all that is drawn.
    """

    batch: int = 32
    rate: float = 1e-3
    objective: Objective = Objective()
    penalty_every: int = 4
    mixing: float = 0.5
    half_life: int = 10_000
    augmented_over: int = 100_000
    seed: int = 0


class Game:
    """Two players, and the generator's average, which is what is kept.

    Attributes:
        generator, discriminator: the players.
        averaged: the generator with weights averaged over the past steps.
        probability: of augmentation, now.
    """

    def __init__(
        self,
        generator: GeneratorSpec,
        discriminator: DiscriminatorSpec,
        spec: GameSpec,
        draw: Draw,
        held_out: Real,
        device: torch.device | None = None,
    ):
        """A new game.

        Args:
            generator, discriminator: sizes.
            spec: how it is played.
            draw: the real samples [batch, ...] of a step, on the CPU.
            held_out: real samples that are never drawn, on the CPU.
            device: where it is played; the CPU if None.
        """
        self.spec, self.draw, self.held_out = spec, draw, held_out
        self.device = device or torch.device("cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed)
            self.generator = Generator(generator).to(self.device)
            self.discriminator = Discriminator(discriminator).to(self.device)
        self.averaged = deepcopy(self.generator).requires_grad_(False)
        self._theirs, self._ours = (
            torch.optim.Adam(player.parameters(), lr=spec.rate, betas=BETAS)
            for player in (self.discriminator, self.generator)
        )
        self.probability = 0.0

    def step(self, number: int) -> dict[str, float]:
        """Both players move once; their losses by name."""
        spec, random = self.spec, noise_of(self.spec.seed, PLAY, number)
        real, classes = self._here(*self.draw(number, random))
        with torch.no_grad():
            fake = self.generator(self._styles(classes, random))
        penalized = number % spec.penalty_every == 0
        judged = discriminator_loss(
            self._judge(classes, random), real, fake, spec.objective, penalties=spec.penalty_every if penalized else 0
        )
        self._move(self._theirs, judged.total)
        fake = self.generator(self._styles(classes, random))
        self.discriminator.requires_grad_(False)  # spares a third of its part
        loss = generator_loss(self._judge(classes, random), real, fake, spec.objective)
        self._move(self._ours, loss)
        self.discriminator.requires_grad_(True)
        self._average(number)
        if spec.augmented_over and number % ADAPT_EVERY == 0:
            self._adapt(real, classes, number)
        losses = {"discriminator": float(judged.game), "generator": float(loss.detach())}
        return losses | {"augmentation": self.probability}

    @torch.no_grad()
    def samples(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """What the averaged generator makes of z [B, noise], on the CPU: [B, C, H, W]."""
        z, classes = self._here(z, classes)
        styles = self.averaged.styles(z, classes)
        return torch.cat([self.averaged(part) for part in styles.split(TOGETHER)])

    @torch.no_grad()
    def judged(self, samples: Tensor, classes: Tensor | None = None) -> Tensor:
        """Logits [B] of samples [B, C, H, W] as they are."""
        samples, classes = self._here(samples, classes)
        labels = [None] * len(samples) if classes is None else classes.split(TOGETHER)
        pairs = zip(samples.split(TOGETHER), labels, strict=False)
        return torch.cat([self.discriminator(*pair) for pair in pairs])

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, by name."""
        parts = {name: getattr(self, name).state_dict() for name in _NETWORKS}
        parts |= {"ours": optimizer_tensors(self._ours), "theirs": optimizer_tensors(self._theirs)}
        return joined(parts) | {"probability": torch.tensor(self.probability, dtype=torch.float64)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name in _NETWORKS:
            getattr(self, name).load_state_dict(beginning(f"{name}.", state))
        fill_optimizer(self._ours, beginning("ours.", state))
        fill_optimizer(self._theirs, beginning("theirs.", state))
        self.probability = float(state["probability"])

    def _here(self, samples: Tensor, classes: Tensor | None) -> Real:
        return samples.to(self.device), None if classes is None else classes.to(self.device)

    def _styles(self, classes: Tensor | None, random: torch.Generator) -> Tensor:
        """New styles [batch, layers, width] of the step's classes."""
        sizes, count = self.generator.spec, self.spec.batch
        z = torch.randn(2, count, sizes.noise, generator=random).to(self.device)
        first, second = (self.generator.styles(each, classes) for each in z)
        mixed = torch.rand(count, generator=random) < self.spec.mixing
        start = torch.randint(1, sizes.layers, (count,), generator=random)
        others = mixed[:, None] & (torch.arange(sizes.layers) >= start[:, None])  # [batch, layers]
        return torch.where(others[:, :, None].to(self.device), second, first)

    def _judge(self, classes: Tensor | None, random: torch.Generator) -> Callable[[Tensor], Tensor]:
        return lambda samples: self.discriminator(augmented(samples, self.probability, random), classes)

    @staticmethod
    def _move(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _average(self, number: int) -> None:
        seen = (number + 1) * self.spec.batch
        decay = 0.5 ** (self.spec.batch / min(self.spec.half_life, RISING * seen))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.generator.parameters()), 1 - decay)

    @torch.no_grad()
    def _adapt(self, real: Tensor, classes: Tensor | None, number: int) -> None:
        """The probability of augmentation rises while unseen pictures are taken for generated ones."""
        random = noise_of(self.spec.seed, JUDGE, number)
        samples, labels = self.held_out
        rows = torch.randperm(len(samples), generator=random)[:JUDGED]
        fake = self.generator(self._styles(classes, random))
        unseen = self.judged(samples[rows], None if labels is None else labels[rows])
        measured = overfitting(self.judged(real, classes), unseen, self.judged(fake, classes))
        rate = ADAPT_EVERY * self.spec.batch / self.spec.augmented_over
        self.probability = adapted(self.probability, measured, rate)
