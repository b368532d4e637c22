"""sample: from logits to tokens, with guidance and filters; gumbel: the noise it draws with."""

from collections.abc import Sequence

import torch

from clavilux.kernels.backend import choose
from clavilux.kernels.sample import reference

IMPLEMENTATIONS = {"reference": reference.sample}
NOISE_IMPLEMENTATIONS = {"reference": reference.gumbel}


def gumbel(
    seeds: torch.Tensor,
    rows: torch.Tensor,
    step: int,
    num_steps: int,
    codebooks: int,
    vocabulary: int,
    *,
    backend: str | None = None,
) -> torch.Tensor:
    """Gumbel noise for a run of steps; many steps in one call give what single calls give.

    Args:
        seeds: int64 [B], the 64 bits of each row's key.
        rows: int64 [B], each row's number among the rows that share its seed, 0 .. 2^32 - 1.
        step: the first step, 0 .. 2^32 - 1.
        num_steps, codebooks, vocabulary: how much of it, each at least 1.
        backend: an implementation's name; None chooses by device.

    Returns:
        float32 [num_steps, B, codebooks, vocabulary].

    Raises:
        ValueError: seeds and rows that do not fit, or a number outside its range.
    """
    if seeds.ndim != 1 or seeds.shape != rows.shape or seeds.dtype != torch.int64 or rows.dtype != torch.int64:
        raise ValueError(
            f"seeds and rows are {seeds.dtype} {tuple(seeds.shape)} and {rows.dtype} "
            f"{tuple(rows.shape)}; they should be int64 [B]"
        )
    if not 0 <= step <= step + num_steps <= 2**32:
        raise ValueError(f"steps {step} to {step + num_steps} are asked for; they should be from 0 to 2^32")
    if min(num_steps, codebooks, vocabulary) < 1:
        raise ValueError(
            f"num_steps, codebooks, vocabulary are {num_steps}, {codebooks}, {vocabulary}; each should be at least 1"
        )
    run = choose(NOISE_IMPLEMENTATIONS, backend, seeds.device)
    return run(seeds, rows, step, num_steps, codebooks, vocabulary)


def sample(
    logits: torch.Tensor,
    noise: torch.Tensor | None,
    *,
    weights: Sequence[float] = (1.0,),
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    allowed: torch.Tensor | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Draw one token a row and codebook.

    In this order: the guided sum of the R blocks of rows, the `allowed` mask, temperature, top-k, top-p (of
    what top-k left), then the largest of logit + noise (Gumbel-max, an exact draw from the softmax).

    Args:
        logits: [R * B, K, V], floating; block r of B rows has weights[r]. -inf excludes a token; where the
            first block excludes one, so does the sum.
        noise: float32 [B, K, V] from `gumbel`; None where temperature is 0.
        weights: R numbers, e.g. (s, 1 - s) for guidance of scale s over conditional and unconditional rows.
        temperature: above 0; or 0 for the largest logit (the lowest id of equals).
        top_k: keep the k largest, and what equals the least of them; 0, or V and more, keeps all.
        top_p: keep the smallest set of the most probable with at least this mass, above 0; 1 keeps all.
        allowed: bool [B, K, V] or a shape that expands to it; only True tokens can be drawn.
        backend: an implementation's name; None chooses by device.

    Returns:
        int64 [B, K].

    Raises:
        ValueError: shapes that do not fit, numbers outside their range; logits with NaN or +inf where they
        count,
            or a row in which no token can be drawn.
    """
    if logits.ndim != 3 or logits.shape[0] % len(weights):
        raise ValueError(f"logits are {tuple(logits.shape)}; they should be [{len(weights)} * B, K, V]")
    expected = (logits.shape[0] // len(weights), *logits.shape[1:])
    if temperature < 0 or top_k < 0 or not 0 < top_p <= 1:
        raise ValueError(
            f"temperature, top_k, top_p are {temperature}, {top_k}, {top_p}; "
            "they should be at least 0, at least 0, and above 0 up to 1"
        )
    if temperature > 0 and (noise is None or noise.shape != expected):
        given = None if noise is None else tuple(noise.shape)
        raise ValueError(f"noise is {given}; it should be {expected}")
    if allowed is not None and allowed.dtype != torch.bool:
        raise ValueError(f"allowed is {allowed.dtype}; it should be bool")
    run = choose(IMPLEMENTATIONS, backend, logits.device)
    tokens, scores = run(logits, weights, temperature, top_k, top_p, allowed, noise)
    if not scores.isfinite().all():
        raise ValueError("no token can be drawn: the logits hold NaN or infinity, or nothing is allowed")
    return tokens
