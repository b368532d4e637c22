"""What one program of the sampler does with a row's scores: filters that look for a threshold, and a marked draw.

Knows no memory layout but a row's. Sums that decide are sums of integers: no order changes them.
"""

import triton
import triton.language as tl


@triton.jit
def depth_of(scores):
    """uint32: how far scores, none above 0, lie below 0, in an order that integers share: their bits less the sign."""
    return scores.to(tl.uint32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def top_k_of(scores, top_k):
    """Scores with all but the top_k largest, and what equals the least of them, at -inf; only for top_k with top_p.

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
def mass_of(scores):
    """int64: the odds of scores, none above 0, in units of 2^-31."""
    return (tl.exp(scores) * (2.0**31) + 0.5).to(tl.uint32).to(tl.int64)


@triton.jit
def top_p_of(scores, top_p):
    """Scores with all but the likeliest, up to the mass top_p, at -inf, and what equals the least of them kept.

    Looks for the greatest depth that less than that mass lies above, as `top_k_of` does for a count.
    """
    depth = depth_of(scores)
    limit = tl.cast(top_p, tl.float64) * tl.sum(mass_of(scores), 0).to(tl.float64)
    least = tl.full([], 0, tl.uint32)
    shift = tl.full([], 30, tl.int32)
    while shift >= 0:
        one = tl.full([], 1, tl.uint32) << shift.to(tl.uint32)
        above = tl.sum(mass_of(tl.where(depth < least + one, scores, float("-inf"))), 0).to(tl.float64)
        least = tl.where(above < limit, least + one, least)
        shift -= 1
    return tl.where(depth <= least, scores, float("-inf"))


@triton.jit
def drawn_of_group(scores, sums, groups, keyed, tokens, mask, num_groups):
    """The token of a marked draw, as `reference.of_drawn_group`: the group first, by its mass and the key's noise.

    scores are what the filters leave, sums those with their noise. A group after another, a sum over the block each: no
    scatter, and no order that changes a sum, as they are of integers. A token of no group is one of its own.
    """
    group = tl.load(groups + tokens, mask=mask, other=-1).to(tl.int32)
    units = (tl.exp(scores.to(tl.float64)) * (2.0**40) + 0.5).to(tl.int64)
    loose = tl.max(tl.where(group < 0, sums, float("-inf")), 0)
    best, winner = tl.full([], float("-inf"), tl.float32), tl.full([], -1, tl.int32)
    for number in range(num_groups):
        mass = tl.sum(tl.where(group == number, units, 0), 0)
        worth = tl.log(tl.maximum(mass, 1).to(tl.float64) * (2.0**-40)).to(tl.float32) + tl.load(keyed + number)
        worth = tl.where(mass > 0, worth, float("-inf"))
        winner = tl.where(worth > best, number, winner)
        best = tl.maximum(worth, best)
    comes = tl.where(best >= loose, group == winner, group < 0)
    return tl.argmax(tl.where(comes, sums, float("-inf")), 0, tie_break_left=True)
