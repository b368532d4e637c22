"""Guidance, temperature, top-k, top-p and the Gumbel-max draw, the specification.

The randomness is Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
every (seed, row, step, codebook, token) has a 32-bit word of its own, so nothing depends on what was drawn
before.
"""

import torch

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LARGEST_BELOW_ONE = 1 - 2**-24
OPEN = -1  # a place of a plan whose token is still to be drawn


def philox(counter, key):
    """Four 32-bit words of Philox-4x32-10 from four counter words and two key words, all int64 tensors."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # The product wraps in int64, but its bits are the unsigned product's.
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (((p1 >> 32) & MASK) ^ c1 ^ k0, p1 & MASK, ((p0 >> 32) & MASK) ^ c3 ^ k1, p0 & MASK)
        k0, k1 = (k0 + KEY_STEPS[0]) & MASK, (k1 + KEY_STEPS[1]) & MASK
    return c0, c1, c2, c3


def gumbel(seeds, rows, step, num_steps, codebooks, vocabulary):
    """float32 [num_steps, B, K, V]: token v has word v % 4 of counter (row, step, codebook, v // 4)."""
    device = seeds.device
    groups = torch.arange((vocabulary + 3) // 4, device=device)
    steps = torch.arange(step, step + num_steps, device=device).view(-1, 1, 1, 1)
    books = torch.arange(codebooks, device=device).view(-1, 1)
    counter = torch.broadcast_tensors(rows.view(-1, 1, 1), steps & MASK, books, groups)
    key = ((seeds & MASK).view(-1, 1, 1), ((seeds >> 32) & MASK).view(-1, 1, 1))
    words = torch.stack(philox(counter, key), dim=-1).flatten(-2)[..., :vocabulary]
    # 24 bits would cut the tail; log1p(-u) keeps a small u exact; u = 1 would give -inf.
    uniform = ((words.double() + 0.5) * 2**-32).clamp(max=LARGEST_BELOW_ONE)
    return -torch.log(-torch.log1p(-uniform)).float()


def guided(logits, weights):
    """float32 [B, K, V]: the weighted sum of the R blocks of rows; what the first block excludes stays so."""
    blocks = logits.float().unflatten(0, (len(weights), -1))
    if tuple(weights) == (1,):
        return blocks[0]
    total = sum(weight * block for weight, block in zip(weights, blocks, strict=True))
    return total.masked_fill(blocks[0] == -torch.inf, -torch.inf)


def kept(logits, top_k, top_p):
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


def sample(logits, weights, temperature, top_k, top_p, allowed, noise):
    """int64 tokens [B, K], and the float32 score of each: not finite where nothing could be drawn."""
    scores = guided(logits, weights)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    if temperature > 0:
        # Less the largest, so that no temperature, however small, overflows.
        scores = (scores - scores.amax(-1, keepdim=True)) / temperature
        scores = kept(scores, top_k, top_p) + noise
    best = scores.max(-1)
    return best.indices, best.values


def sample_step(logits, plan, out, failed, step, seeds, rows, weights, temperature, top_k, top_p, allowed):
    """One step of a plan, as `api.sample_step` says it. It reads `step` on the host, which costs a CPU nothing."""
    now = int(step)
    codebooks, vocabulary = logits.shape[1:]
    weights = weights[min(now, len(weights) - 1)].tolist()
    noise = None if temperature == 0 else gumbel(seeds, rows, now, 1, codebooks, vocabulary)[0]
    mask = None if allowed is None else allowed[now % len(allowed)]
    tokens, scores = sample(logits, weights, temperature, top_k, top_p, mask, noise)
    known = plan[:, :, now]
    is_open, bad = known == OPEN, ~scores.isfinite()
    failed.masked_fill_((is_open & bad).any(1) & (failed < 0), now)
    out.copy_(torch.where(is_open, tokens.masked_fill_(bad, 0), known))
    known.copy_(out)
