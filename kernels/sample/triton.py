"""The sampler as one Triton kernel: a program a row and codebook, from the logits of every block to a token.

No sort: the least value that a filter keeps is found bit by bit, from the scores' own bits. Sums that decide are sums
of integers, so that neither the block's size nor the number of warps changes a result.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from clavilux.kernels.launch import launch
from clavilux.kernels.prologue import wait
from clavilux.kernels.sample.reference import OPEN as _OPEN

OPEN = tl.constexpr(_OPEN)
NOISE_BLOCK = 1024


@triton.jit
def words_of(seed, row, step, codebook, first, BLOCK: tl.constexpr):
    """uint32 [BLOCK] of Philox-4x32-10: tokens 4 * first and on; v has word v % 4 of (row, step, codebook, v // 4)."""
    groups = (first + tl.arange(0, BLOCK // 4)).to(tl.uint32)
    a, b, c, d = tl.philox(seed, row.to(tl.uint32), step.to(tl.uint32), codebook.to(tl.uint32), groups, n_rounds=10)
    return tl.reshape(tl.join(tl.join(a, c), tl.join(b, d)), [BLOCK])


@triton.jit
def log1p_of(f):
    """log(1 + f), f from 2^-0.5 - 1 to 2^0.5 - 1, to a relative 1.1e-7: f - f^2 / 2 + f^3 * a minimax polynomial."""
    p = -0.14350403 + f * 0.089180129
    p = -0.16565603 + f * (0.14876977 + f * p)
    p = 0.33333858 + f * (-0.25001748 + f * (0.19965395 + f * p))
    return f + f * f * (f * p - 0.5)


@triton.jit
def parts_of(x):
    """e and f with x = 2^e * (1 + f), x a normal number above 0, 1 + f from 2^-0.5 to 2^0.5."""
    bits = x.to(tl.int32, bitcast=True)
    e = (bits - 0x3F3504F3) >> 23  # the bits of 2^-0.5
    return e.to(tl.float32), (bits - (e << 23)).to(tl.float32, bitcast=True) - 1


@triton.jit
def gumbel_of(words):
    """-log(-log(1 - u)), u = (word + 0.5) * 2^-32, where 1 - u is at least 2^-24; good to 2e-6, far tails included.

    1 - u is made of the word's complement, and a small u is taken as it is: both keep all their digits. The logarithm
    is our own, of a dozen operations: a device's is either coarse near 1, or a call with a branch.
    """
    LN_2: tl.constexpr = 0.6931471805599453
    u = (words.to(tl.float32) + 0.5) * (2.0**-32)
    e, f = parts_of(tl.maximum(((words ^ 0xFFFFFFFF).to(tl.float32) + 0.5) * (2.0**-32), 2.0**-24))
    f = tl.where(u < 0.25, -u, f)  # where e is 0
    e, f = parts_of(-(e * LN_2 + log1p_of(f)))
    return -(e * LN_2 + log1p_of(f))


@triton.jit
def noise_of(seed, row, step, codebook, first, BLOCK: tl.constexpr):
    """float32 [BLOCK], what is added to the scores: the place for whatever biases or keys the draw of each token."""
    return gumbel_of(words_of(seed, row, step, codebook, first, BLOCK))


@triton.jit
def guided(logits, weights, block, offsets, mask, R: tl.constexpr):
    """float32 [V]: the weighted sum of the R blocks of rows; -inf where the first has it, and beyond the vocabulary."""
    first = tl.load(logits + offsets, mask=mask, other=float("-inf")).to(tl.float32)
    total = first * tl.load(weights)
    for r in tl.static_range(1, R):
        total += tl.load(logits + r * block + offsets, mask=mask, other=0.0).to(tl.float32) * tl.load(weights + r)
    return tl.where(first == float("-inf"), float("-inf"), total)


@triton.jit
def depth_of(scores):
    """uint32: how far scores, none above 0, lie below 0, in an order that integers share: their bits less the sign."""
    return scores.to(tl.uint32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def top_k_of(scores, top_k):
    """Scores with all but the top_k largest, and what equals the least of them, at -inf.

    Looks for the greatest depth that fewer than top_k lie above, bit by bit from the highest. Two bits a round, with
    three counts in an int64, is fewer rounds but more work: a count alone is one `redux` a warp.
    """
    depth = depth_of(scores)
    least = tl.full([], 0, tl.uint32)
    shift = tl.full([], 30, tl.int32)
    while shift >= 0:
        one = tl.full([], 1, tl.uint32) << shift.to(tl.uint32)
        count = tl.sum((depth < least + one).to(tl.int32), 0)
        # Exactly top_k lie above: no need to look closer. Of 31 rounds about half are left.
        found = count == top_k
        least = tl.where(found, least + one - 1, tl.where(count < top_k, least + one, least))
        shift = tl.where(found, -1, shift - 1)
    return tl.where(depth <= least, scores, float("-inf"))


@triton.jit
def top_p_of(scores, top_p):
    """Scores with all but the smallest set of the largest that has a probability of top_p at -inf; ties are kept.

    The same search by probability, in units of 2^-31, with a count in the upper part of the same sum.
    """
    depth = depth_of(scores)
    odds = tl.exp(scores)
    mass = (odds / tl.sum(odds, 0) * (2.0**31) + 0.5).to(tl.uint32)
    target = (top_p * (2.0**31)).to(tl.int64)
    least = tl.full([], 0, tl.uint32)
    low = tl.full([], 0, tl.int64)  # how many lie above least, and above least + one of the last round
    high = tl.full([], 1 << 20, tl.int64)
    shift = tl.full([], 30, tl.int32)
    while shift >= 0:
        one = tl.full([], 1, tl.uint32) << shift.to(tl.uint32)
        above = tl.sum(tl.where(depth < least + one, mass.to(tl.int64) + (1 << 40), 0), 0)
        count = above >> 40
        go = (above & 0xFFFFFFFFFF) < target
        low, high = tl.where(go, count, low), tl.where(go, high, count)
        least = tl.where(go, least + one, least)
        # One token at the most is left between them, and it belongs to the set: what lies above it is too little.
        found = high - low <= 1
        least = tl.where(found, least + one - 1, least)
        shift = tl.where(found, -1, shift - 1)
    return tl.where(depth <= least, scores, float("-inf"))


@triton.jit
def sample_kernel(
    logits,
    plan,
    out,
    failed,
    step,
    seeds,
    rows,
    weights,
    allowed,
    noise,
    temperature,
    top_k,
    top_p,
    batch,
    vocabulary,
    num_weights,
    cycle,
    logits_row,
    logits_book,
    plan_row,
    plan_book,
    plan_step,
    allowed_step,
    allowed_row,
    allowed_book,
    R: tl.constexpr,
    GREEDY: tl.constexpr,
    TOP_K: tl.constexpr,
    TOP_P: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPENDENT: tl.constexpr,
):
    """One token: argmax of top_p(top_k((guided - its largest) / temperature)) + Gumbel noise, as `reference.sample`."""
    wait(DEPENDENT)
    row, book = tl.program_id(0).to(tl.int64), tl.program_id(1)
    codebooks = tl.num_programs(1)
    now = tl.load(step)
    tokens = tl.arange(0, BLOCK)
    mask = tokens < vocabulary
    weights += tl.minimum(now, num_weights - 1) * R
    scores = guided(logits + row * logits_row + book * logits_book, weights, batch * logits_row, tokens, mask, R)
    if allowed is not None:
        start = allowed + (now % cycle) * allowed_step + row * allowed_row + book * allowed_book
        scores = tl.where(tl.load(start + tokens, mask=mask, other=0) != 0, scores, float("-inf"))
    # NaN counts as infinity; a row with either, or with nothing else than -inf, draws nothing.
    scores = tl.where(scores != scores, float("inf"), scores)
    largest = tl.max(scores, 0)
    bad = (largest == float("inf")) | (largest == float("-inf"))
    if not GREEDY:
        scores = tl.where(bad, 0.0, scores) - tl.where(bad, 0.0, largest)
        scores = tl.div_rn(scores, tl.zeros([BLOCK], tl.float32) + tl.cast(temperature, tl.float32))
        if TOP_K:
            scores = top_k_of(scores, top_k)
        if TOP_P:
            scores = top_p_of(scores, tl.cast(top_p, tl.float32))
        if noise is not None:
            scores += tl.load(noise + (row * codebooks + book) * vocabulary + tokens, mask=mask, other=0.0)
        else:
            scores += noise_of(tl.load(seeds + row), tl.load(rows + row), now, book, 0, BLOCK)
    token = tl.where(bad, 0, tl.argmax(scores, 0, tie_break_left=True)).to(tl.int64)
    place = plan + row * plan_row + book * plan_book + now.to(tl.int64) * plan_step
    known = tl.load(place)
    if known == OPEN:
        tl.store(place, token)
        # Programs of one row may race here: all write the same step.
        if bad & (tl.load(failed + row) < 0):
            tl.store(failed + row, now)
    tl.store(out + row * codebooks + book, tl.where(known == OPEN, token, known))


@triton.jit
def noise_kernel(seeds, rows, out, step, batch, vocabulary, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr):
    """out[t, b, k] = noise of step + t; a program a step and row, a codebook and a block of tokens."""
    wait(DEPENDENT)
    number, book, block = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    row, now = number % batch, number // batch + step
    values = noise_of(tl.load(seeds + row), tl.load(rows + row), now, book, block * (BLOCK // 4), BLOCK)
    tokens = block * BLOCK + tl.arange(0, BLOCK)
    start = out + (number * tl.num_programs(1) + book) * vocabulary
    tl.store(start + tokens, values, mask=tokens < vocabulary)


def gumbel(seeds: Tensor, rows: Tensor, step: int, num_steps: int, codebooks: int, vocabulary: int) -> Tensor:
    """As `reference.gumbel`, within 1e-5; the noise that `sample_step` draws with, bit for bit."""
    out = torch.empty(num_steps, len(seeds), codebooks, vocabulary, device=seeds.device)
    grid = (num_steps * len(seeds), codebooks, triton.cdiv(vocabulary, NOISE_BLOCK))
    launch(
        noise_kernel, grid, seeds.contiguous(), rows.contiguous(), out, step, len(seeds), vocabulary, BLOCK=NOISE_BLOCK
    )
    return out


def sample(
    logits: Tensor, weights: Sequence[float], temperature: float, top_k: int, top_p: float,
    allowed: Tensor | None, noise: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `reference.sample`, but for the scores: 0, or NaN in a row where nothing could be drawn."""
    batch, (codebooks, vocabulary) = logits.shape[0] // len(weights), logits.shape[1:]
    device = logits.device
    plan = torch.full((batch, codebooks, 1), OPEN.value, device=device)
    tokens, failed = torch.empty_like(plan[..., 0]), torch.full((batch,), -1, dtype=torch.int32, device=device)
    step = torch.zeros(1, dtype=torch.int32, device=device)
    if allowed is not None:
        allowed = allowed.expand(batch, codebooks, vocabulary).contiguous()[None]
    weight_table = torch.tensor([weights], dtype=torch.float32, device=device)
    noise = None if noise is None else noise.contiguous()
    _draw(logits, plan, tokens, failed, step, None, None, weight_table, temperature, top_k, top_p, allowed, noise)
    return tokens, torch.where(failed < 0, 0.0, torch.nan)[:, None].expand_as(tokens)


@torch.library.custom_op("clavilux::sample_step", mutates_args=("plan", "out", "failed"))
def sample_step(
    logits: Tensor, plan: Tensor, out: Tensor, failed: Tensor, step: Tensor, seeds: Tensor, rows: Tensor,
    weights: Tensor, temperature: float, top_k: int, top_p: float, allowed: Tensor | None,
) -> None:  # fmt: skip
    cycle = None if allowed is None else allowed[:, None].expand(-1, len(plan), -1, -1)  # [C, B, K, V]
    _draw(logits, plan, out, failed, step, seeds, rows, weights, temperature, top_k, top_p, cycle, None)


@sample_step.register_fake
def _(logits, plan, out, failed, step, seeds, rows, weights, temperature, top_k, top_p, allowed):
    return None


def _warps(block: int) -> int:
    """16 scores a thread, 32 for 16384. Beyond, all spill; 32 warps least (72 bytes at 32768), but HIP has only 16."""
    return 32 if block > 16384 and torch.version.hip is None else min(16, max(1, block // 512))


def _draw(
    logits: Tensor, plan: Tensor, out: Tensor, failed: Tensor, step: Tensor, seeds: Tensor | None, rows: Tensor | None,
    weights: Tensor, temperature: float, top_k: int, top_p: float, allowed: Tensor | None, noise: Tensor | None,
) -> None:  # fmt: skip
    (batch, codebooks), vocabulary = out.shape, logits.shape[2]
    block = max(128, triton.next_power_of_2(vocabulary))
    cycle, strides = (1, (0, 0, 0)) if allowed is None else (len(allowed), allowed.stride()[:3])
    launch(
        sample_kernel, (batch, codebooks),
        logits, plan, out, failed, step, seeds, rows, weights, allowed, noise, temperature, top_k, top_p,
        batch, vocabulary, len(weights), cycle, *logits.stride()[:2], *plan.stride(), *strides,
        num_warps=_warps(block), R=weights.shape[1], GREEDY=temperature == 0,
        TOP_K=0 < top_k < vocabulary, TOP_P=top_p < 1, BLOCK=block,
    )  # fmt: skip
