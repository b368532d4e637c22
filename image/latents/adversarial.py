"""What the two players of a GAN minimize, and the penalties on the discriminator's gradients.

Knows logits and samples; knows no network: a judge is any function from samples to one logit each. Two objectives: the
relativistic one, in which a real sample is compared with the generated one beside it (Jolicoeur-Martineau,
arXiv 1807.00734; with R1 and R2 on both kinds of samples it converges, Huang et al., arXiv 2501.05441), and the
non-saturating one (Goodfellow et al., arXiv 1406.2661), usually with R1 alone (Mescheder et al., arXiv 1801.04406).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from clavilux.checks import check_flag, number_from

Judge = Callable[[Tensor], Tensor]  # samples [B, ...] -> logits [B], each of its own sample alone


@dataclass(frozen=True)
class Objective:
    """Which game is played.

    Attributes:
        relativistic: compare each real sample with a generated one; the non-saturating loss if not.
        real_penalty: gamma of R1: half of it times the squared gradient of the logit by a real sample.
        fake_penalty: gamma of R2, the same of generated samples.

    Raises:
        ValueError: a penalty that is no number from 0 up to 1e6.
    """

    relativistic: bool = True
    real_penalty: float = 1.0
    fake_penalty: float = 1.0

    def __post_init__(self) -> None:
        check_flag("relativistic", self.relativistic)
        for name in ("real_penalty", "fake_penalty"):
            number_from(name, getattr(self, name), 0, 1e6)


class DiscriminatorLoss(NamedTuple):
    """Scalars, means over the batch.

    Attributes:
        total: what is minimized.
        game: the part about logits.
        real_slope, fake_slope: squared gradients by real and generated samples; 0 where they were not asked for.
    """

    total: Tensor
    game: Tensor
    real_slope: Tensor
    fake_slope: Tensor


def discriminator_loss(
    judge: Judge, real: Tensor, fake: Tensor, objective: Objective, *, penalties: float = 1.0
) -> DiscriminatorLoss:
    """What the discriminator minimizes. With D the judge, x real and y generated samples, s(t) = log(1 + exp(t)):

        relativistic      mean s(D(y_i) - D(x_i))          non-saturating    mean s(-D(x_i)) + mean s(D(y_i))

    and to both is added  real_penalty / 2 mean |grad D(x_i)|^2 + fake_penalty / 2 mean |grad D(y_i)|^2.

    Args:
        judge: D.
        real, fake: x and y, [B, ...]; gradients do not flow back to what made them.
        objective: which game, and how much the penalties count.
        penalties: a factor on both; 0 leaves them out, which takes a third of the time. Every n-th step with n for a
            factor costs less, and has the same mean.
    """
    asked = [gamma > 0 and penalties > 0 for gamma in (objective.real_penalty, objective.fake_penalty)]
    real, fake = (x.detach().requires_grad_(flag) for x, flag in zip((real, fake), asked, strict=True))
    of_real, of_fake = judge(real), judge(fake)
    if objective.relativistic:
        game = softplus(of_fake - of_real).mean()
    else:
        game = softplus(-of_real).mean() + softplus(of_fake).mean()
    slopes = [
        slope(logits, x) if flag else game.new_zeros(())
        for logits, x, flag in zip((of_real, of_fake), (real, fake), asked, strict=True)
    ]
    penalty = objective.real_penalty / 2 * slopes[0] + objective.fake_penalty / 2 * slopes[1]
    return DiscriminatorLoss(game + penalties * penalty, game.detach(), slopes[0].detach(), slopes[1].detach())


def generator_loss(judge: Judge, real: Tensor, fake: Tensor, objective: Objective) -> Tensor:
    """What the generator minimizes, a scalar; names as in `discriminator_loss`.

        relativistic      mean s(D(x_i) - D(y_i))          non-saturating    mean s(-D(y_i))

    Args:
        judge: D; gradients flow through it to `fake`.
        real, fake: x and y; of x the non-saturating game needs nothing.
        objective: which game.
    """
    if not objective.relativistic:
        return softplus(-judge(fake)).mean()
    with torch.no_grad():
        of_real = judge(real)
    return softplus(of_real - judge(fake)).mean()


def slope(logits: Tensor, samples: Tensor) -> Tensor:
    """Mean over the batch of |grad of a logit by its own sample|^2, a scalar with gradients of its own."""
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
