"""The terms of a VAE's bound, in nats a picture, as its formula has them.

    log p(x)  >=  ELBO  =  E_q(z|x)[log p(x|z)]  -  KL(q(z|x) || N(0, 1))

x is a picture of 8-bit numbers and p(x|z) gives each of them a probability, so the bound is of a probability too: minus
the ELBO, divided by log 2, is the bits that a code built on the model needs for the picture. Knows tensors only.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.image.latents.vae import Posterior

_HALF_STEP = 1 / 255  # of a number of a picture, where -1 to 1 has 256 of them
_EDGE = 1 - _HALF_STEP


def gaussian_kl(posterior: Posterior) -> Tensor:
    """KL(N(m, s^2) || N(0, 1)) = (m^2 + s^2 - 1 - log s^2) / 2 of every number: float [B, C, h, w], nats."""
    mean, log_variance = posterior
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def free_kl(kl: Tensor, free_bits: float) -> Tensor:
    """The mean KL of a picture where every channel has some nats free (arXiv 1606.04934): a scalar.

    A channel that says less than that is not pushed to say nothing at all, which it would never come back from.

    Args:
        kl: as `gaussian_kl` gives it.
        free_bits: of each number, averaged over a channel of the batch.
    """
    channels = kl.mean((0, 2, 3))  # [C]
    places = kl.shape[2] * kl.shape[3]
    return channels.clamp_min(free_bits * math.log(2)).sum() * places


def logistic_nats(pixels: Tensor, decoded: Tensor, log_scale: Tensor) -> Tensor:
    """-log p(x|z) of every number of a picture: float, of the same shape.

    A number x is what a logistic distribution around m with the width s gives its step of 2/255, from x - 1/255 to
    x + 1/255; the first and the last step reach to infinity. With a = (x + 1/255 - m)/s, b = (x - 1/255 - m)/s and
    f the sigmoid, f(a) - f(b) = f(a) f(-b) (1 - e^(b - a)), which loses no digits.

    Args:
        pixels: float [B, 3, H, W], -1 to 1 in steps of 2/255.
        decoded: m, of the same shape.
        log_scale: log s, a scalar.
    """
    a = (pixels + _HALF_STEP - decoded) * torch.exp(-log_scale)
    b = (pixels - _HALF_STEP - decoded) * torch.exp(-log_scale)
    inside = torch.log(-torch.expm1(-2 * _HALF_STEP * torch.exp(-log_scale)))  # log(1 - e^(b - a))
    below, above = pixels < _EDGE, pixels > -_EDGE  # not the last step, not the first one
    nats = -F.logsigmoid(a) * below - F.logsigmoid(-b) * above
    return nats - inside * (below & above)


def reconstruction_nats(pixels: Tensor, decoded: Tensor, log_scale: Tensor) -> Tensor:
    """-log p(x|z) of pictures: float [B], nats. Arguments as `logistic_nats`."""
    return logistic_nats(pixels, decoded, log_scale).sum((1, 2, 3))


def elbo(pixels: Tensor, posterior: Posterior, decoded: Tensor, log_scale: Tensor) -> Tensor:
    """The bound of pictures: float [B], nats, where `decoded` comes of one sample of the posterior."""
    return -reconstruction_nats(pixels, decoded, log_scale) - gaussian_kl(posterior).sum((1, 2, 3))
