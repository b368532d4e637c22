"""sample: from logits to tokens, with guidance and filters; gumbel: the noise it draws with; sample_step: both in one.

`sample` and `gumbel` are for a call at a time and raise; `sample_step` is for a captured step and asks the device for
nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from clavilux.kernels.backend import choose, lazy
from clavilux.kernels.launch import recording
from clavilux.kernels.sample import reference

IMPLEMENTATIONS: Mapping[str, Callable[..., tuple[torch.Tensor, bool]]] = {
    "reference": reference.sample,
    "triton": lazy("clavilux.kernels.sample.triton", "sample"),
}
NOISE_IMPLEMENTATIONS: Mapping[str, Callable[..., torch.Tensor]] = {
    "reference": reference.gumbel,
    "triton": lazy("clavilux.kernels.sample.triton", "gumbel"),
}
STEP_IMPLEMENTATIONS: Mapping[str, Callable[..., None]] = {
    "reference": reference.sample_step,
    "triton": lazy("clavilux.kernels.sample.triton", "sample_step"),
}
LARGEST_VOCABULARY = 65536  # one program holds a row's scores
LARGEST_MARKED = 4096  # and with a mark their odds too: for 8192 a compiler put 56 bytes a thread on the stack
NOISE_AHEAD = 8192  # tokens from which on a GPU a step's noise is half of its draw's work, and better made beforehand
FLOATING = (torch.float32, torch.float16, torch.bfloat16)


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
        num_steps: how many steps, at least 1.
        codebooks: K, at least 1.
        vocabulary: V, at least 1.
        backend: an implementation's name; None chooses by device.

    Returns:
        float32 [num_steps, B, K, V].

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
    groups: torch.Tensor | None = None,
    keyed: torch.Tensor | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Draw one token a row and codebook.

    In this order: the guided sum of the R blocks of rows, the `allowed` mask, temperature, top-k, top-p (of
    what top-k left), then the largest of logit + noise (Gumbel-max, an exact draw from the softmax). With groups the
    group of the token is drawn first, by all its probability and the keyed noise (a mark).

    Args:
        logits: [R * B, K, V], floating; block r of B rows has weights[r]. -inf excludes a token; where the
            first block excludes one, so does the sum.
        noise: float32 [B, K, V] from `gumbel`; None where temperature is 0.
        weights: R numbers, e.g. (s, 1 - s) for guidance of scale s over conditional and unconditional rows.
        temperature: above 0; or 0 for the largest logit (the lowest id of equals).
        top_k: keep the k largest, and what equals the least of them; 0, or V and more, keeps all.
        top_p: keep the smallest set of the most probable with at least this mass, above 0; 1 keeps all.
        allowed: bool [B, K, V] or a shape that expands to it; only True tokens can be drawn.
        groups: int64 [B, K, V] or a shape that expands to it: the group of each token, 0 .. G - 1, or -1 for one that
            is drawn as without groups. Not where temperature is 0. No GPU has run the kernel with groups yet.
        keyed: float32 [B, K, G], Gumbel noise of the groups; given with them.
        backend: an implementation's name; None chooses by device.

    Returns:
        int64 [B, K].

    Raises:
        ValueError: shapes that do not fit, numbers outside their range; logits with NaN or +inf where they count, or a
            row in which no token can be drawn.
    """
    if logits.ndim != 3 or logits.shape[0] % len(weights):
        raise ValueError(f"logits are {tuple(logits.shape)}; they should be [{len(weights)} * B, K, V]")
    expected = (logits.shape[0] // len(weights), *logits.shape[1:])
    _check_numbers(temperature, top_k, top_p)
    if temperature > 0 and (noise is None or noise.shape != expected or noise.dtype != torch.float32):
        given = None if noise is None else f"{noise.dtype} {tuple(noise.shape)}"
        raise ValueError(f"noise is {given}; it should be float32 {expected}")
    if allowed is not None and allowed.dtype != torch.bool:
        raise ValueError(f"allowed is {allowed.dtype}; it should be bool")
    _check_devices(logits, noise=noise, allowed=allowed, groups=groups, keyed=keyed)
    if groups is not None:
        _check_groups(groups, keyed, expected, temperature)
    largest = LARGEST_VOCABULARY if groups is None else LARGEST_MARKED
    run = choose(IMPLEMENTATIONS, backend, logits.device, fits=expected[2] <= largest)
    tokens, complete = run(logits, weights, temperature, top_k, top_p, allowed, noise, groups, keyed)
    if not complete:
        raise ValueError("no token can be drawn: the logits hold NaN or infinity, or nothing is allowed")
    return tokens


def sample_step(
    logits: torch.Tensor,
    plan: torch.Tensor,
    out: torch.Tensor,
    failed: torch.Tensor,
    step: torch.Tensor,
    *,
    seeds: torch.Tensor,
    rows: torch.Tensor,
    weights: torch.Tensor,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    allowed: torch.Tensor | None = None,
    settings: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
    groups: torch.Tensor | None = None,
    keyed: torch.Tensor | None = None,
    backend: str | None = None,
) -> None:
    """Draw one step of a plan and write it there, without asking the device for a value: a step can be captured.

    Draws as `sample` does, with the noise `gumbel(seeds, rows, step, 1, K, V)`. A place of the plan that holds OPEN
    (-1) takes the token; `out` takes what then stands there, known or drawn. Where an open place can draw nothing, as
    where `sample` would raise, it takes token 0, and `failed` the step if it is still -1.

    Args:
        logits: [R * B, K, V], float32, float16 or bfloat16, V up to 65536; the last axis contiguous.
        plan: int64 [B, K, S], written in place.
        out: int64 [B, K], contiguous, written.
        failed: int32 [B], -1 before the first step; written in place.
        step: int32 [1], on the device: 0 .. S - 1. Its value is not looked at here.
        seeds: int64 [B], contiguous, as for `gumbel`.
        rows: int64 [B], contiguous, as for `gumbel`.
        weights: float32 [W, R], contiguous: the blocks' weights at each step, the last row for all that come after it.
        temperature: as for `sample`; a number, which a captured step keeps.
        top_k: the same.
        top_p: the same.
        allowed: bool [C, K, V], contiguous: row step % C says which tokens can be drawn. None for all.
        settings: float64 [3], contiguous: temperature, top_k and top_p to draw with. The numbers then say only what
            kind of draw it is (`kind_of`), and these have to be of that kind. None for the numbers themselves.
        noise: float32 [N, B, K, V], contiguous: row step % N is what `gumbel` gives for the step, there before the step
            begins. None: it is made in the call, which takes longer where V is above `NOISE_AHEAD`.
        groups: int64 [1, K, V], contiguous, V up to 4096: the group of each token, -1 .. G - 1, as for `sample`; their
            values are not looked at here. Not where temperature is 0.
        keyed: float32 [M, B, K, G], contiguous, given with groups: row step % M is the groups' noise at the step; NaN
            where a row's token is drawn as without groups.
        backend: an implementation's name; None chooses by device.

    Raises:
        ValueError: a shape, dtype, device or stride that does not fit, or a number outside its range.
    """
    _check_numbers(temperature, top_k, top_p)
    if logits.ndim != 3 or logits.dtype not in FLOATING or not 1 <= logits.shape[2] <= LARGEST_VOCABULARY:
        raise ValueError(
            f"logits are {logits.dtype} {tuple(logits.shape)}; they should be float32, float16 or bfloat16 "
            f"[R * B, K, V], V from 1 to {LARGEST_VOCABULARY}"
        )
    if logits.stride(2) != 1:
        raise ValueError(f"logits have strides {logits.stride()}; their last axis should be contiguous")
    _check("weights", weights, torch.float32, (None, None))
    rows_of_logits, codebooks, vocabulary = logits.shape
    if rows_of_logits % weights.shape[1]:
        raise ValueError(f"logits have {rows_of_logits} rows; weights {tuple(weights.shape)} say R * B of them")
    batch = rows_of_logits // weights.shape[1]
    _check("plan", plan, torch.int64, (batch, codebooks, None), contiguous=False)
    _check("out", out, torch.int64, (batch, codebooks))
    _check("failed", failed, torch.int32, (batch,))
    _check("step", step, torch.int32, (1,))
    _check("seeds", seeds, torch.int64, (batch,))
    _check("rows", rows, torch.int64, (batch,))
    if allowed is not None:
        _check("allowed", allowed, torch.bool, (None, codebooks, vocabulary))
    if settings is not None:
        _check("settings", settings, torch.float64, (3,))
    if noise is not None:
        _check("noise", noise, torch.float32, (None, batch, codebooks, vocabulary))
    if (groups is None) != (keyed is None) or (groups is not None and temperature == 0):
        raise ValueError("groups and keyed should be given together, and not where temperature is 0")
    if groups is not None and keyed is not None:
        if vocabulary > LARGEST_MARKED:
            raise ValueError(f"groups are given for {vocabulary} tokens; {LARGEST_MARKED} are the most in a step")
        _check("groups", groups, torch.int64, (1, codebooks, vocabulary))
        _check("keyed", keyed, torch.float32, (None, batch, codebooks, None))
    tensors = {"plan": plan, "out": out, "failed": failed, "step": step, "seeds": seeds, "rows": rows}
    marks = {"groups": groups, "keyed": keyed}
    _check_devices(logits, **tensors, weights=weights, allowed=allowed, settings=settings, noise=noise, **marks)
    run = choose(STEP_IMPLEMENTATIONS, backend, logits.device)
    run(
        logits, plan, out, failed, step, seeds, rows, weights, float(temperature), top_k, float(top_p), allowed,
        settings, noise, groups, keyed,
    )  # fmt: skip


def _check_groups(
    groups: torch.Tensor, keyed: torch.Tensor | None, expected: tuple[int, ...], temperature: float
) -> None:
    if temperature == 0:
        raise ValueError("groups are given and temperature is 0: what is always the likeliest token has no mark")
    fits = groups.ndim == 3 and all(a in (1, b) for a, b in zip(groups.shape, expected, strict=True))
    if groups.dtype != torch.int64 or not fits:
        raise ValueError(f"groups are {groups.dtype} {tuple(groups.shape)}; they should be int64 {expected}")
    if keyed is None or keyed.ndim != 3 or keyed.shape[:2] != expected[:2] or keyed.dtype != torch.float32:
        given = None if keyed is None else f"{keyed.dtype} {tuple(keyed.shape)}"
        raise ValueError(f"keyed is {given}; it should be float32 ({expected[0]}, {expected[1]}, G)")
    if not recording() and not -1 <= int(groups.min()) <= int(groups.max()) < keyed.shape[2]:
        raise ValueError(
            f"groups are from {int(groups.min())} to {int(groups.max())}; they should be from -1 to "
            f"{keyed.shape[2] - 1}, as keyed has noise for {keyed.shape[2]}"
        )


def _check_numbers(temperature: float, top_k: int, top_p: float) -> None:
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; it should be a number, 0 or more")
    if top_k < 0:
        raise ValueError(f"top_k is {top_k}; it should be 0 (keep all) or more")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it should be above 0, up to 1 (keep all)")


def _check(
    name: str, tensor: torch.Tensor, dtype: torch.dtype, shape: Sequence[int | None], contiguous: bool = True
) -> None:
    """Shape with None for any length from 1."""
    fits = tensor.ndim == len(shape) and all(
        length >= 1 if wanted is None else length == wanted for length, wanted in zip(tensor.shape, shape, strict=True)
    )
    if tensor.dtype != dtype or not fits:
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}; it should be {dtype} [{lengths}]")
    if contiguous and not tensor.is_contiguous():
        raise ValueError(f"{name} has strides {tensor.stride()}; it should be contiguous")


def _check_devices(logits: torch.Tensor, **tensors: torch.Tensor | None) -> None:
    for name, tensor in tensors.items():
        if tensor is not None and tensor.device != logits.device:
            raise ValueError(f"{name} is on {tensor.device}; the logits are on {logits.device}, and so should it be")
