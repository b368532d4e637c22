"""Guidance, temperature, top-k, top-p and the Gumbel-max draw, the specification.

The randomness is Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
every (seed, row, step, codebook, token) has a 32-bit word of its own, so nothing depends on what was drawn
before.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LARGEST_BELOW_ONE = 1 - 2**-24
OPEN = -1  # a place of a plan whose token is still to be drawn


def kind_of(temperature: float, top_k: int, top_p: float, vocabulary: int) -> tuple[str, bool, bool]:
    """What of a draw a kernel is compiled for: the temperature ("zero", "one", "any"), and which filters there are."""
    heat = "zero" if temperature == 0 else "one" if temperature == 1 else "any"
    return heat, 0 < top_k < vocabulary, top_p < 1


def philox(counter: Sequence[Tensor], key: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four 32-bit words of Philox-4x32-10 from four counter words and two key words, all int64 tensors."""
    dims = counter[0].ndim
    multipliers = torch.tensor(MULTIPLIERS, device=counter[0].device).view(2, *(1,) * dims)
    steps = torch.tensor(KEY_STEPS[::-1], device=counter[0].device).view(2, *(1,) * dims)
    # Two words at a time, half the operations: x is (c0, c2), y is (c3, c1).
    x, y = torch.stack([counter[0], counter[2]]), torch.stack([counter[3], counter[1]])
    keys = torch.stack([key[1], key[0]])
    keys = keys.view(2, *(1,) * (dims + 1 - keys.ndim), *keys.shape[1:])
    for number in range(10):
        # The product wraps in int64, but its bits are the unsigned product's.
        product = x * multipliers
        x = (product >> 32).bitwise_xor_(y).bitwise_xor_(keys + number * steps).bitwise_and_(MASK).flip(0)
        y = product.bitwise_and_(MASK)
    return x[0], y[1], x[1], y[0]


def gumbel(seeds: Tensor, rows: Tensor, step: int, num_steps: int, codebooks: int, vocabulary: int) -> Tensor:
    """float32 [num_steps, B, K, V]: token v has word v % 4 of counter (row, step, codebook, v // 4).

    In the kernel it is `noise_of`. The noise of a mark is this one's too, with the mark's key for a seed.
    """
    steps = torch.arange(step, step + num_steps, device=seeds.device).view(-1, 1, 1)
    books = torch.arange(codebooks, device=seeds.device)
    return gumbel_at(seeds.view(-1, 1), rows.view(-1, 1), steps, books, vocabulary)


def gumbel_at(seeds: Tensor, rows: Tensor, steps: Tensor, books: Tensor, vocabulary: int) -> Tensor:
    """float32 [..., V] of `gumbel` for any counters: int64 of shapes that expand to [...]."""
    # 24 bits would cut the tail; log1p(-u) keeps a small u exact; u = 1 would give -inf.
    words = words_at(seeds, rows, steps, books, vocabulary)
    minus_uniform = words.double().add_(0.5).mul_(-(2**-32)).clamp_(min=-LARGEST_BELOW_ONE)
    return minus_uniform.log1p_().neg_().log_().neg_().float()


def words_at(seeds: Tensor, rows: Tensor, steps: Tensor, books: Tensor, vocabulary: int) -> Tensor:
    """int64 [..., V], 0 .. 2^32 - 1: the word of each token; u = (word + 0.5) / 2^32 makes the noise."""
    groups = torch.arange((vocabulary + 3) // 4, device=seeds.device)
    parts = (part[..., None] for part in (rows, steps & MASK, books))
    counter = torch.broadcast_tensors(*parts, groups)
    key = ((seeds & MASK)[..., None], ((seeds >> 32) & MASK)[..., None])
    return torch.stack(philox(counter, key), dim=-1).flatten(-2)[..., :vocabulary]


def fair_signs(word: int, count: int) -> Tensor:
    """float32 [count], each 1 or -1: the bits of Philox's first words under a key of 64 bits."""
    counter = torch.arange(-(-count // 32))
    zeros = torch.zeros_like(counter)
    key = (torch.tensor(word & MASK), torch.tensor((word >> 32) & MASK))
    words = philox((counter, zeros, zeros, zeros), key)[0]
    bits = (words[:, None] >> torch.arange(32)) & 1
    return (1 - 2 * bits.flatten()[:count]).float()


def guided(logits: Tensor, weights: Sequence[float]) -> Tensor:
    """float32 [B, K, V]: the weighted sum of the R blocks of rows; what the first block excludes stays so."""
    blocks = logits.float().unflatten(0, (len(weights), -1))
    if tuple(weights) == (1,):
        return blocks[0]
    total = weights[0] * blocks[0]
    for weight, block in zip(weights[1:], blocks[1:], strict=True):
        total = total + weight * block
    return total.masked_fill(blocks[0] == -torch.inf, -torch.inf)


def kept(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Logits with all but the top-k, then all but the smallest set of mass top_p, at -inf; ties are kept."""
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1:
        ordered = logits.sort(-1, descending=True).values
        mass = ordered.softmax(-1)
        # Those that less than top_p comes before; at least one, also where the mass is NaN.
        count = (mass.cumsum(-1) - mass < top_p).sum(-1, keepdim=True).clamp(min=1)
        logits = logits.masked_fill(logits < ordered.gather(-1, count - 1), -torch.inf)
    return logits


def of_drawn_group(scores: Tensor, noise: Tensor, groups: Tensor, keyed: Tensor) -> Tensor:
    """Scores [B, K, V] with all tokens at -inf but those of one group, drawn by its probability with the keyed noise.

    Gumbel-max in two steps: first over groups, each with its whole mass, then over the tokens of the one that won. To
    who does not know the key it is a draw from the softmax, whatever the groups. A token of no group (-1) is a group of
    its own, with its own noise. Sums of integers, in units of 2^-40 of the likeliest token: no order changes them.
    """
    named = groups >= 0
    index = groups.clamp(min=0).expand(scores.shape)
    units = (scores.double().exp() * 2.0**40).round().long().masked_fill(~named, 0)
    mass = torch.zeros(keyed.shape, dtype=torch.int64, device=scores.device).scatter_add_(-1, index, units)
    worth = ((mass.double() * 2.0**-40).log().float() + keyed).gather(-1, index)
    worth = torch.where(named, worth, scores + noise)
    return scores.masked_fill(worth < worth.amax(-1, keepdim=True), -torch.inf)


def draw(
    logits: Tensor,
    weights: Sequence[float],
    temperature: float,
    top_k: int,
    top_p: float,
    allowed: Tensor | None,
    noise: Tensor | None,
    groups: Tensor | None = None,
    keyed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """int64 tokens [B, K], and the float32 score of each: not finite where nothing could be drawn."""
    scores = guided(logits, weights)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    if temperature > 0:
        # Less the largest, so that no temperature, however small, overflows.
        scores = (scores - scores.amax(-1, keepdim=True)) / temperature
        assert noise is not None  # the api asks for it
        scores = kept(scores, top_k, top_p)
        if groups is not None:
            assert keyed is not None  # the api asks for it
            scores = of_drawn_group(scores, noise, groups, keyed)
        scores = scores + noise
    best = scores.max(-1)
    return best.indices, best.values


def sample(
    logits: Tensor,
    weights: Sequence[float],
    temperature: float,
    top_k: int,
    top_p: float,
    allowed: Tensor | None,
    noise: Tensor | None,
    groups: Tensor | None = None,
    keyed: Tensor | None = None,
) -> tuple[Tensor, bool]:
    """int64 tokens [B, K], and whether every one of them could be drawn: what `api.sample` asks for."""
    tokens, scores = draw(logits, weights, temperature, top_k, top_p, allowed, noise, groups, keyed)
    return tokens, bool(scores.isfinite().all())


def sample_step(
    logits: Tensor, plan: Tensor, out: Tensor, failed: Tensor, step: Tensor, seeds: Tensor, rows: Tensor,
    weights: Tensor, temperature: float, top_k: int, top_p: float, allowed: Tensor | None, settings: Tensor | None,
    noise: Tensor | None, groups: Tensor | None = None, keyed: Tensor | None = None,
) -> None:  # fmt: skip
    """One step of a plan, as `api.sample_step` says it. It reads `step` on the host, which costs a CPU nothing."""
    now = int(step)
    if settings is not None:
        temperature, rank, top_p = settings.tolist()
        top_k = int(rank)
    codebooks, vocabulary = logits.shape[1:]
    weights_now: list[float] = weights[min(now, len(weights) - 1)].tolist()
    if temperature == 0:
        added = None
    elif noise is not None:
        added = noise[now % len(noise)]
    else:
        added = gumbel(seeds, rows, now, 1, codebooks, vocabulary)[0]
    mask = None if allowed is None else allowed[now % len(allowed)]
    if groups is not None and keyed is not None:
        keyed = keyed[now % len(keyed)]
        groups = groups.masked_fill(keyed[..., :1].isnan(), -1)
    tokens, scores = draw(logits, weights_now, temperature, top_k, top_p, mask, added, groups, keyed)
    known = plan[:, :, now]
    is_open, bad = known == OPEN, ~scores.isfinite()
    failed.masked_fill_((is_open & bad).any(1) & (failed < 0), now)
    out.copy_(torch.where(is_open, tokens.masked_fill_(bad, 0), known))
    known.copy_(out)
