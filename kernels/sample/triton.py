"""The sampler as one Triton kernel: a program a row and codebook, from the logits of every block to a token.

No sort, and no threshold of a filter: the winner of the draw is asked whether the filter keeps it (`drawn`). Sums that
decide are sums of integers, so that neither the block's size nor the number of warps changes a result.

One program also for 16384 logits. Its noise would be half of the work (990 of 1936 instructions a thread) and would
stand before the logits and yet not be hidden: the program needs all of a processor's registers, so it begins when the
kernel before it has left one. Many programs make it instead, for many steps at once, before they begin (`noise` of
`sample_step`). What is left is read once and goes three times through a block: for the largest, the winner, and what
lies above it. Several programs would share that, and pay two rounds through memory to agree on the largest and on the
winner.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from clavilux.kernels.launch import launch, recording, waves_of_64
from clavilux.kernels.prologue import wait
from clavilux.kernels.sample.filters import depth_of, drawn_of_group, mass_of, top_k_of, top_p_of
from clavilux.kernels.sample.reference import OPEN as _OPEN
from clavilux.kernels.sample.reference import kind_of

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
def perturbed(scores, added, noise, tokens, mask, FROM_MEMORY: tl.constexpr):
    """Scores with their noise: as added, or, to keep it out of registers, as it lies in memory."""
    if FROM_MEMORY:
        added = tl.load(noise + tokens, mask=mask, other=0.0)
    return scores + added


@triton.jit
def drawn(scores, added, noise, tokens, mask, top_k, top_p, TOP_K: tl.constexpr, TOP_P: tl.constexpr):
    """The token with the largest score + noise among those that a filter keeps; the lowest id of equals.

    A filter keeps a token by what lies above it: fewer than top_k tokens, or less than top_p of all probability, in
    units of 2^-31 of the likeliest one's. So no threshold is looked for: the largest of all is taken, and what lies
    above it is counted. If the filter drops it, it drops all that is as deep or deeper, and the largest of what lies
    above comes next. Where the filter keeps a share s of all probability, 1 + log(1/s) rounds are expected: 1.1 for
    nine tenths, 11 for one token of 16384 equal ones. The most likely token is always kept, so it ends.
    """
    FROM_MEMORY: tl.constexpr = TOP_K and TOP_P and noise is not None
    sums = perturbed(scores, added, noise, tokens, mask, FROM_MEMORY)
    token = tl.argmax(sums, 0, tie_break_left=True)
    if TOP_K or TOP_P:
        depth = depth_of(scores)
        if TOP_P:
            limit = tl.cast(top_p, tl.float64) * tl.sum(mass_of(scores), 0).to(tl.float64)
        dropped = token >= 0
        while dropped:
            own = tl.max(tl.where(tokens == token, depth.to(tl.int32), 0), 0)
            above = depth.to(tl.int32) < own
            if TOP_P:  # made anew, out of what changes: kept in registers, it would spill at 16384
                dropped = tl.sum(mass_of(tl.where(above, scores, float("-inf"))), 0).to(tl.float64) >= limit
            else:
                dropped = tl.sum(above.to(tl.int32), 0) >= top_k
            if dropped:
                if FROM_MEMORY:
                    sums = perturbed(scores, added, noise, tokens, mask, FROM_MEMORY)
                token = tl.argmax(tl.where(above, sums, float("-inf")), 0, tie_break_left=True)
    return token


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
    groups,
    keyed,
    settings,
    temperature,
    top_k,
    top_p,
    batch,
    vocabulary,
    num_groups,
    num_weights,
    num_noise,
    num_keyed,
    cycle,
    logits_row,
    logits_book,
    plan_row,
    plan_book,
    plan_step,
    allowed_step,
    allowed_row,
    allowed_book,
    groups_row,
    groups_book,
    R: tl.constexpr,
    TEMPERATURE: tl.constexpr,
    TOP_K: tl.constexpr,
    TOP_P: tl.constexpr,
    BLOCK: tl.constexpr,
    MARKED: tl.constexpr,
    DEPENDENT: tl.constexpr,
):
    """One token: argmax of top_p(top_k((guided - its largest) / temperature)) + Gumbel noise, as `reference.sample`.

    Without a plan every place is open, and OPEN itself says in `out` that nothing could be drawn. With groups, and
    keyed noise that is no NaN, the group is drawn first (a mark).
    """
    row, book = tl.program_id(0).to(tl.int64), tl.program_id(1)
    codebooks = tl.num_programs(1)
    tokens = tl.arange(0, BLOCK)
    mask = tokens < vocabulary
    # Before the wait: what was complete before the step began. Nothing in a step but this kernel writes the plan, and
    # nothing but the end of a step the clock; seeds, weights and masks are never written. The noise is most of it.
    now = tl.full([], 0, tl.int32)
    if step is not None:
        now = tl.load(step)
    known = tl.full([], OPEN, tl.int64)
    if plan is not None:
        place = plan + row * plan_row + book * plan_book + now.to(tl.int64) * plan_step
        known = tl.load(place)
    weights += tl.minimum(now, num_weights - 1) * R
    if settings is not None:
        if TEMPERATURE == "any":
            temperature = tl.load(settings).to(tl.float32)
        if TOP_K:
            top_k = tl.load(settings + 1).to(tl.int32)
        if TOP_P:
            top_p = tl.load(settings + 2).to(tl.float32)
    if allowed is not None:
        start = allowed + (now % cycle) * allowed_step + row * allowed_row + book * allowed_book
        may_come = tl.load(start + tokens, mask=mask, other=0) != 0
    if TEMPERATURE != "zero":
        if noise is None:
            added = noise_of(tl.load(seeds + row), tl.load(rows + row), now, book, 0, BLOCK)
        else:
            noise += ((now % num_noise * batch + row) * codebooks + book) * vocabulary
            added = tl.load(noise + tokens, mask=mask, other=0.0)  # unused, and not loaded, where `drawn` loads it
    wait(DEPENDENT)
    scores = guided(logits + row * logits_row + book * logits_book, weights, batch * logits_row, tokens, mask, R)
    if allowed is not None:
        scores = tl.where(may_come, scores, float("-inf"))
    # NaN counts as infinity; a row with either, or with nothing else than -inf, draws nothing.
    scores = tl.where(scores != scores, float("inf"), scores)
    largest = tl.max(scores, 0)
    bad = (largest == float("inf")) | (largest == float("-inf"))
    if TEMPERATURE == "zero":
        token = tl.argmax(scores, 0, tie_break_left=True)
    else:
        scores = tl.where(bad, 0.0, scores) - tl.where(bad, 0.0, largest)
        if TEMPERATURE != "one":
            scores = tl.div_rn(scores, tl.zeros([BLOCK], tl.float32) + tl.cast(temperature, tl.float32))
        if TOP_K and TOP_P:  # top_p counts shares of what top_k leaves
            scores = top_k_of(scores, top_k)
        marked = False
        if MARKED:
            keyed += ((now % num_keyed * batch + row) * codebooks + book) * num_groups
            first = tl.load(keyed)
            marked = first == first
        if marked:
            if TOP_K and not TOP_P:
                scores = top_k_of(scores, top_k)
            if TOP_P:
                scores = top_p_of(scores, top_p)
            own = groups + row * groups_row + book * groups_book
            token = drawn_of_group(scores, scores + added, own, keyed, tokens, mask, num_groups)
        else:
            token = drawn(scores, added, noise, tokens, mask, top_k, top_p, TOP_K, TOP_P)
    token = token.to(tl.int64)
    if plan is None:
        tl.store(out + row * codebooks + book, tl.where(bad, OPEN, token))
    else:
        token = tl.where(known == OPEN, tl.where(bad, 0, token), known)
        if known == OPEN:
            tl.store(place, token)
            # Programs of one row may race here: all write the same step.
            if bad & (tl.load(failed + row) < 0):
                tl.store(failed + row, now)
        tl.store(out + row * codebooks + book, token)


@triton.jit
def noise_kernel(seeds, rows, out, clock, step, batch, vocabulary, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr):
    """out[t, b, k] = noise of step + t, or of clock's; a program a step and row, a codebook and a block of tokens."""
    number, book, block = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    row, now = number % batch, number // batch + step
    if clock is not None:
        now += tl.load(clock)
    values = noise_of(tl.load(seeds + row), tl.load(rows + row), now, book, block * (BLOCK // 4), BLOCK)
    tokens = block * BLOCK + tl.arange(0, BLOCK)
    start = out + (number * tl.num_programs(1) + book) * vocabulary
    wait(DEPENDENT)  # `out` may lie where a kernel before this one still reads
    tl.store(start + tokens, values, mask=tokens < vocabulary)


def gumbel(seeds: Tensor, rows: Tensor, step: int, num_steps: int, codebooks: int, vocabulary: int) -> Tensor:
    """As `reference.gumbel`, within 1e-5; the noise that `sample_step` draws with, bit for bit."""
    out = torch.empty(num_steps, len(seeds), codebooks, vocabulary, device=seeds.device)
    _fill_noise(seeds.contiguous(), rows.contiguous(), out, None, step)
    return out


def _fill_noise(seeds: Tensor, rows: Tensor, out: Tensor, clock: Tensor | None, step: int) -> None:
    num_steps, batch, codebooks, vocabulary = out.shape
    grid = (num_steps * batch, codebooks, triton.cdiv(vocabulary, NOISE_BLOCK))
    launch(noise_kernel, grid, seeds, rows, out, clock, step, batch, vocabulary, BLOCK=NOISE_BLOCK)


def sample(
    logits: Tensor, weights: Sequence[float], temperature: float, top_k: int, top_p: float,
    allowed: Tensor | None, noise: Tensor | None, groups: Tensor | None = None, keyed: Tensor | None = None,
) -> tuple[Tensor, bool]:  # fmt: skip
    """As `reference.sample`: one kernel, and one copy of the tokens to the host, which waits for it."""
    batch, (codebooks, vocabulary) = logits.shape[0] // len(weights), logits.shape[1:]
    tokens = torch.empty(batch, codebooks, dtype=torch.int64, device=logits.device)
    if allowed is not None:
        allowed = allowed.expand(batch, codebooks, vocabulary)[None]
        allowed = allowed if allowed.stride(3) == 1 else allowed.contiguous()
    logits = logits if logits.stride(2) == 1 else logits.contiguous()
    noise = None if noise is None else noise.contiguous()
    table = _table(tuple(weights), logits.device)
    noise = None if noise is None else noise[None]
    if groups is not None and keyed is not None:
        groups = groups.expand(batch, codebooks, vocabulary)
        groups = groups if groups.stride(2) == 1 else groups.contiguous()
        keyed = keyed.contiguous()[None]
    _draw(
        logits, None, tokens, None, None, None, None, table, temperature, top_k, top_p, allowed, None, noise, groups,
        keyed,
    )  # fmt: skip
    return tokens, recording() or OPEN.value not in tokens.flatten().tolist()


@lru_cache(maxsize=64)
def _table(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """float32 [1, R]: a copy from the host each time would wait for the device."""
    return torch.tensor([weights], dtype=torch.float32, device=device)


@torch.library.custom_op("clavilux::sample_step", mutates_args=("plan", "out", "failed"))
def sample_step(
    logits: Tensor, plan: Tensor, out: Tensor, failed: Tensor, step: Tensor, seeds: Tensor, rows: Tensor,
    weights: Tensor, temperature: float, top_k: int, top_p: float, allowed: Tensor | None, settings: Tensor | None,
    noise: Tensor | None, groups: Tensor | None, keyed: Tensor | None,
) -> None:  # fmt: skip
    cycle = None if allowed is None else allowed[:, None].expand(-1, len(plan), -1, -1)  # [C, B, K, V]
    groups = None if groups is None else groups.expand(len(plan), -1, -1)
    _draw(
        logits, plan, out, failed, step, seeds, rows, weights, temperature, top_k, top_p, cycle, settings, noise,
        groups, keyed,
    )  # fmt: skip


@sample_step.register_fake
def _(
    logits, plan, out, failed, step, seeds, rows, weights, temperature, top_k, top_p, allowed, settings, noise, groups,
    keyed,
):  # fmt: skip
    return None


def _warps(block: int, filters: int) -> int:
    """8 scores a thread, or more; 32 for 16384 where there are 16 warps: on AMD, and for two filters, or it spills."""
    most = 16 if waves_of_64() or filters == 2 else 32
    return min(most, max(1, block // 256))


def _draw(
    logits: Tensor, plan: Tensor | None, out: Tensor, failed: Tensor | None, step: Tensor | None, seeds: Tensor | None,
    rows: Tensor | None, weights: Tensor, temperature: float, top_k: int, top_p: float, allowed: Tensor | None,
    settings: Tensor | None, noise: Tensor | None, groups: Tensor | None, keyed: Tensor | None,
) -> None:  # fmt: skip
    """allowed [C, B, K, V], noise [N, B, K, V] and keyed [M, B, K, G]: of step % C, step % N and step % M; groups
    [B, K, V].
    """
    (batch, codebooks), vocabulary = out.shape, logits.shape[2]
    block = max(128, triton.next_power_of_2(vocabulary))
    heat, by_rank, by_mass = kind_of(temperature, top_k, top_p, vocabulary)
    if noise is None and temperature > 0 and by_rank and by_mass and block > 8192:
        # The search for the rank and the making of the noise, both in one program, would not fit into its registers.
        assert seeds is not None and rows is not None
        noise = torch.empty(1, batch, codebooks, vocabulary, device=logits.device)
        _fill_noise(seeds, rows, noise, step, 0)
    cycle, strides = (1, (0, 0, 0)) if allowed is None else (len(allowed), allowed.stride()[:3])
    num_keyed, num_groups = (1, 1) if keyed is None else (len(keyed), keyed.shape[3])
    launch(
        sample_kernel, (batch, codebooks),
        logits, plan, out, failed, step, seeds, rows, weights, allowed, noise, groups, keyed, settings, temperature,
        top_k, top_p, batch, vocabulary, num_groups, len(weights), 1 if noise is None else len(noise), num_keyed, cycle,
        *logits.stride()[:2], *((0, 0, 0) if plan is None else plan.stride()), *strides,
        *((0, 0) if groups is None else groups.stride()[:2]),
        num_warps=_warps(block, 2 if groups is not None else by_rank + by_mass), R=weights.shape[1],
        TEMPERATURE=heat, TOP_K=by_rank, TOP_P=by_mass, BLOCK=block, MARKED=groups is not None,
    )  # fmt: skip
