"""p-values: the gamma tail, tries, and that they are uniform where there is no mark."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from clavilux.mark_key import MarkKey
from clavilux.marking import Mark, MarkedTokens, Place
from clavilux.provenance import verdict
from clavilux.provenance.mark import (
    distinct,
    find_in_tokens,
    gamma_tail,
    of_tries,
    surest_of,
    tail_of_signs,
    weighted_bound,
    weighted_tail,
)
from clavilux.sampling import Sampler, SamplingSpec

KEY = MarkKey(bytes(range(32)))


@pytest.mark.parametrize("shape", [1, 7, 300])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 2.0, 6.0])
def test_the_tail_is_that_of_a_gamma_distribution(shape, ratio):
    assert gamma_tail(ratio * shape, shape) == pytest.approx(float(stats.gamma.sf(ratio * shape, shape)), rel=1e-9)


@pytest.mark.parametrize("shape", [1, 8, 300])
@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9, 1.0, 1.5])
def test_the_weighted_tail_of_equal_weights_is_that_of_a_gamma_distribution(shape, ratio):
    expected = float(stats.gamma.cdf(ratio * shape, shape))
    found, bound = weighted_tail(0.7 * ratio * shape, [0.7] * shape), weighted_bound(0.7 * ratio * shape, [0.7] * shape)
    assert bound >= expected
    if shape < 8:
        assert found == pytest.approx(min(1.0, bound), rel=1e-3) and found >= expected
    else:
        assert found == pytest.approx(expected, rel=1e-5)


def test_the_weighted_tail_of_unequal_weights():
    weights = [0.01, 0.02, 0.2, 0.5, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]
    random = np.random.default_rng(1)
    sums = random.exponential(size=(400_000, len(weights))) @ np.array(weights)
    for quantile in (0.002, 0.05, 0.5, 0.98):
        assert weighted_tail(float(np.quantile(sums, quantile)), weights) == pytest.approx(quantile, rel=0.05)
    assert weighted_tail(3.0, [0.0, 0.0]) == 1 and weighted_tail(-1.0, weights) == 0 and weighted_tail(0.0, []) == 1


def test_tries_are_counted_in():
    assert of_tries(0.0, 10) == 0 and of_tries(1.0, 10) == 1
    assert of_tries(1e-20, 256) == pytest.approx(256e-20) and of_tries(0.5, 2) == pytest.approx(0.75)


def test_what_stands_twice_at_one_place_counts_once():
    places = [Place(1), Place(1), Place(1), Place(2)]
    assert distinct([3, 3, 4, 3], places) == ([3, 4, 3], [Place(1), Place(1), Place(2)])


def drawn(mark, seed, count=60, groups=8):
    """Tokens of a flat distribution over `groups` groups, marked or not."""
    spec = SamplingSpec(seed=(seed,), mark=mark)
    sampler, logits = Sampler(spec, 1, 1, groups), torch.zeros(1, 1, groups)
    return [int(sampler.draw(logits, step)) for step in range(count)]


def p_of(tokens):
    return find_in_tokens(KEY, "toy", [(tokens, [Place(at) for at in range(len(tokens))])], 8)


def test_marked_tokens_are_found_by_their_key_alone():
    mark = Mark(KEY.word("toy"), MarkedTokens("toy", torch.arange(8)))
    for seed in (0, 12345):
        found = p_of(drawn(mark, seed))
        assert found.p < 1e-9 and (found.tokens, found.key) == (60, KEY.id)
    other = find_in_tokens(MarkKey(bytes(32)), "toy", [(drawn(mark, 0), [Place(at) for at in range(60)])], 8)
    assert other.p > 1e-3


def test_p_values_of_unmarked_tokens_are_uniform():
    # Also where all tokens are one: the key's numbers are what is random.
    found = [p_of(drawn(None, seed)).p for seed in range(60)]
    same = [([5] * 60, [Place(at) for at in range(60)])]
    found += [find_in_tokens(MarkKey(bytes([n] * 32)), "toy", same, 8).p for n in range(60)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert min(found) > 1e-4 and math.isfinite(sum(found))


def test_nothing_to_look_at_is_no_evidence():
    found = find_in_tokens(KEY, "toy", [([], [])], 8)
    assert found.p == 1 and found.tokens == 0


def test_tails_are_bounds_for_any_weights():
    assert tail_of_signs(-1) == 1 and tail_of_signs(0) == 1 and tail_of_signs(1e9) == 0
    rng = np.random.default_rng(0)
    for count in (1, 2, 9, 400):
        weights = rng.random(count)
        weights /= math.sqrt((weights**2).sum())
        sums = rng.choice([-1.0, 1.0], (20_000, count)) @ weights
        for at in (0.5, 1.0, 2.0, 3.0):
            assert (sums >= at).mean() <= tail_of_signs(at) + 0.01
    assert tail_of_signs(6.0) == pytest.approx(3.178 * 9.866e-10, rel=1e-3)


def test_the_surest_of_several_looks_counts_all_that_had_enough_evidence():
    tokens, blocks = verdict.Mark("k", 0.01, 64), verdict.Mark("k", 1e-9, 900, verdict.BLOCKS)
    best = surest_of([tokens, blocks])
    assert best.p == pytest.approx(2e-9) and (best.of, best.tokens) == (verdict.BLOCKS, 900)
    few = verdict.Mark("k", 1e-9, 5, verdict.BLOCKS)
    assert surest_of([tokens, few]) == tokens
    assert surest_of([few]) == few and not surest_of([few]).found
