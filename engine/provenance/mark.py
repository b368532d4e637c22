"""Whether tokens carry a mark: exact p-values from the groups that stand at their places.

Knows tokens and keys, and what a sum of signs is worth; how a file becomes tokens at places is `mark_scores`',
`mark_pictures`' and `mark_codecs`'. Each marked token at its place scores -log(u), u the key's number there, which is
small where the noise is large: under any key that the piece was not drawn with that is exponential, and a sum of n
gamma of shape n, whatever the piece is, as each place and group counts once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from clavilux.kernels.sample.reference import words_at
from clavilux.mark_key import MarkKey
from clavilux.marking import NONCES, Place
from clavilux.provenance.verdict import Mark

_PIECE = 1 << 18  # numbers of noise at once, 2 MiB: what a cache holds
_FEW = 8  # exponentials, below which an integral of their transform would converge slowly
_POINTS = 512  # of that integral
_BENTKUS = 0.25 / (math.erfc(1) / 2)  # 3.178, of `tail_of_signs`
_STEPS, _WIDEST = 24, 12.0  # of the search of a saddle point s, |log s| at most


def group_scores(key: int, places: Sequence[Place], num_groups: int) -> Tensor:
    """float32 [NONCES, N, G]: -log(u) of every group at N places, for every nonce of a key."""
    rows = torch.tensor([place.voice << 8 for place in places])
    ats, choices = (torch.tensor([getattr(place, name) for place in places]) for name in ("at", "choice"))
    nonces, word = torch.arange(NONCES)[:, None], torch.tensor(key)
    found = []
    for start in range(0, len(places), most := max(1, _PIECE // (NONCES * num_groups))):
        part = slice(start, start + most)
        words = words_at(word, rows[part] + nonces, ats[part], choices[part], num_groups)  # [NONCES, n, G]
        found.append(words.float().add_(0.5).mul_(2**-32).log_().neg_())
    return torch.cat(found, 1)


def best_total(scores: Tensor, groups: Sequence[int]) -> float:
    """The largest sum over tokens, of all nonces: of scores [NONCES, N, G] those of N tokens' groups."""
    chosen = torch.tensor(groups).expand(len(scores), -1)[..., None]
    return float(scores.gather(-1, chosen)[..., 0].double().sum(1).max())


def distinct(groups: Sequence[int], places: Sequence[Place]) -> tuple[list[int], list[Place]]:
    """Each group at each place once: what stands there twice has one number, and would count double."""
    pairs = list(dict.fromkeys(zip(groups, places, strict=True)))
    return [group for group, _ in pairs], [place for _, place in pairs]


def gamma_tail(total: float, shape: int) -> float:
    """P(a gamma variable of a whole shape >= total), exact to its smallest values: a sum of Poisson's terms."""
    if total <= 0 or shape < 1:
        return 1.0
    log_terms = [k * math.log(total) - total - math.lgamma(k + 1) for k in range(shape)]
    largest = max(log_terms)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(term - largest) for term in log_terms))


def weighted_tail(total: float, weights: Sequence[float]) -> float:
    """P(a sum of exponentials of mean 1, each times its weight, <= total): the left tail, to its smallest values.

    Of fewer than `_FEW` weights above 0 it is Chernoff's bound, which is never less. Else the transform is inverted
    along the line through its saddle point, where nothing cancels: right to six digits.
    """
    means = np.array([weight for weight in weights if weight > 0])
    if not len(means) or total <= 0:
        return 1.0 if total >= 0 else 0.0
    saddle, exponent = _saddle(total, means)
    if len(means) < _FEW:
        return min(1.0, math.exp(exponent) * saddle)
    spread = math.sqrt(((means / (1 + means * saddle)) ** 2).sum() + saddle**-2)
    angles = (np.arange(_POINTS) + 0.5) * (math.pi / 2 / _POINTS)  # the line from the saddle up, to infinity
    along = saddle + 1j * np.tan(angles) / spread
    logs = total * along - np.log1p(means[:, None] * along).sum(0) - np.log(along) - exponent
    area = float((np.exp(logs).real / np.cos(angles) ** 2).sum()) * (math.pi / 2 / _POINTS) / spread
    return min(1.0, math.exp(exponent) * area / math.pi)


def weighted_bound(total: float, weights: Sequence[float]) -> float:
    """Chernoff's bound on `weighted_tail`, at a tenth of its cost."""
    means = np.array([weight for weight in weights if weight > 0])
    if not len(means) or total >= means.sum():
        return 1.0
    saddle, exponent = _saddle(total, means)
    return min(1.0, math.exp(exponent) * saddle)


def _saddle(total: float, means: np.ndarray) -> tuple[float, float]:
    """(the s > 0 at which the transform of the left tail, e^(s total) / s / prod(1 + s means), is least; its log)"""
    low, high = -_WIDEST, _WIDEST  # of log s; the slope in s grows from below 0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        s = math.exp(middle)
        rising = total - float((means / (1 + means * s)).sum()) - 1 / s > 0
        low, high = (low, middle) if rising else (middle, high)
    s = math.exp((low + high) / 2)
    return s, total * s - float(np.log1p(means * s).sum()) - math.log(s)


def tail_of_signs(correlation: float) -> float:
    """A bound on P(a sum of independent fair signs, whose weights' squares sum to 1, >= correlation), for any weights.

    Hoeffding's, or V. Bentkus and D. Dzindzalieta's of 2015 ("A tight Gaussian bound for weighted sums of Rademacher
    random variables"), 3.178 times the normal tail: so a p-value holds whatever the sound or the picture is.
    """
    if correlation <= 0:
        return 1.0
    normal = math.erfc(correlation / math.sqrt(2)) / 2
    return min(1.0, math.exp(-(correlation**2) / 2), _BENTKUS * normal)


def of_tries(p: float, tries: float) -> float:
    """The p-value of the best of so many tries, by Sidak's bound."""
    return -math.expm1(tries * math.log1p(-p)) if p < 1 else 1.0


def surest_of(looks: Sequence[Mark]) -> Mark:
    """The best of several looks for one key's mark, all counted in; only of those with enough evidence, if any has."""
    able = [look for look in looks if look.enough] or looks
    best = min(able, key=lambda look: look.p)
    return replace(best, p=of_tries(best.p, len(able)))


def find_in_tokens(
    key: MarkKey, kind: str, readings: Sequence[tuple[Sequence[int], Sequence[Place]]], num_groups: int
) -> Mark:
    """The best of some readings of a piece, each the groups of its tokens and their places.

    Args:
        key: whose mark is looked for.
        kind: of tokens (`MarkedTokens.kind`).
        readings: at least one; of any lengths.
        num_groups: G.
    """
    best, tokens = 1.0, 0
    for reading in readings:
        groups, places = distinct(*reading)
        tokens = max(tokens, len(groups))
        if groups:
            scores = group_scores(key.word(kind), places, num_groups)
            best = min(best, gamma_tail(best_total(scores, groups), len(groups)))
    return Mark(key.id, of_tries(best, NONCES * len(readings)), tokens)
