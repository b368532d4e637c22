"""The sampler: Philox against published vectors, exact support, chi-squared, edges."""

import math

import pytest
import torch
from chi_squared import chi_squared
from philox_vectors import VECTORS

from clavilux.kernels.catalog import cases
from clavilux.kernels.sample import gumbel, reference, sample


def noise_of(seeds, steps, codebooks, vocabulary, step=0):
    seeds = torch.tensor(seeds)
    return gumbel(seeds, torch.zeros_like(seeds), step, steps, codebooks, vocabulary)


def draws(logits, count, **words):
    """`count` draws from logits [V]: as many rows of one batch, each with a seed of its own."""
    noise = gumbel(torch.arange(count), torch.zeros(count, dtype=torch.int64), 0, 1, 1, len(logits))[0]
    return sample(logits.expand(count, 1, -1), noise, **words)[:, 0]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_philox_known_answers(counter, key, words):
    given = reference.philox([torch.tensor(word) for word in counter], [torch.tensor(word) for word in key])
    assert tuple(int(word) for word in given) == words


def test_counter_is_row_step_codebook_token():
    seeds, rows = torch.tensor([5, 5, -7]), torch.tensor([0, 3, 1])
    noise = gumbel(seeds, rows, 11, 2, 3, 10)
    assert noise.shape == (2, 3, 3, 10) and noise.dtype == torch.float32
    for step, row, book, token in ((0, 0, 0, 0), (1, 1, 2, 9), (0, 2, 1, 6)):
        counter = [torch.tensor(word) for word in (int(rows[row]), 11 + step, book, token // 4)]
        seed = int(seeds[row])
        key = [torch.tensor(seed & 0xFFFFFFFF), torch.tensor((seed >> 32) & 0xFFFFFFFF)]
        uniform = (int(reference.philox(counter, key)[token % 4]) + 0.5) / 2**32
        expected = -math.log(-math.log1p(-uniform))
        assert float(noise[step, row, book, token]) == pytest.approx(expected, abs=1e-6)


def test_noise_in_one_call_equals_noise_step_by_step():
    seeds, rows = torch.tensor([1, 2]), torch.tensor([0, 0])
    block = gumbel(seeds, rows, 100, 16, 2, 37)
    for step in range(16):
        assert torch.equal(block[step], gumbel(seeds, rows, 100 + step, 1, 2, 37)[0])
    assert torch.equal(block[:, 1:], gumbel(seeds[1:], rows[1:], 100, 16, 2, 37))  # a row does not know the others
    assert torch.equal(block[..., :20], gumbel(seeds, rows, 100, 16, 2, 20))


def test_noise_is_gumbel():
    noise = noise_of([3], 64, 1, 4096).flatten().double()
    assert noise.isfinite().all()
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(noise.var()) == pytest.approx(math.pi**2 / 6, abs=0.03)
    for x in (-1.0, 0.0, 1.0, 3.0, 6.0):
        share = math.exp(-math.exp(-x))
        assert float((noise <= x).double().mean()) == pytest.approx(share, abs=4 * math.sqrt(share / len(noise)))


def test_extreme_words_give_finite_noise(monkeypatch):
    words = torch.tensor([0, 1, 2**32 - 1, 2**32 - 2])
    monkeypatch.setattr(reference, "philox", lambda counter, key: [w.expand(counter[0].shape) for w in words])
    noise = noise_of([0], 1, 1, 4).flatten()
    assert noise.isfinite().all()
    assert noise.argmax() == 0
    assert noise.max() > 20 and noise.min() < -2.5


def test_draws_follow_the_softmax():
    torch.manual_seed(0)
    logits = torch.randn(17) * 1.5
    for temperature in (0.5, 1.0, 2.0):
        counts = draws(logits, 40_000, temperature=temperature).bincount(minlength=17).double()
        assert chi_squared(counts, (logits.double() / temperature).softmax(0)) < 4


def test_top_k_keeps_ties_and_nothing_else():
    logits = torch.tensor([1.0, 3.0, 2.0, 2.0, 0.5, 2.0, -1.0])
    for top_k, support in (
        (1, {1}),
        (2, {1, 2, 3, 5}),
        (3, {1, 2, 3, 5}),
        (4, {1, 2, 3, 5}),
        (5, {0, 1, 2, 3, 5}),
    ):
        drawn = draws(logits, 4000, top_k=top_k)
        assert set(drawn.tolist()) == support
        masked = torch.full_like(logits, -torch.inf)
        masked[list(support)] = logits[list(support)]
        if len(support) > 1:
            assert chi_squared(drawn.bincount(minlength=7).double(), masked.double().softmax(0)) < 4


def test_top_k_of_the_vocabulary_and_more_keeps_all():
    logits = torch.randn(9, generator=torch.Generator().manual_seed(0))
    plain = draws(logits, 500)
    for top_k in (0, 9, 10, 10_000):
        assert torch.equal(plain, draws(logits, 500, top_k=top_k))


def test_top_p_keeps_the_smallest_set_with_that_mass():
    probabilities = torch.tensor([0.05, 0.4, 0.15, 0.3, 0.1])
    logits = probabilities.log()
    for top_p, support in (
        (0.01, {1}),
        (0.39, {1}),
        (0.41, {1, 3}),
        (0.69, {1, 3}),
        (0.71, {1, 3, 2}),
        (0.94, {1, 3, 2, 4}),
        (0.999, {0, 1, 2, 3, 4}),
    ):
        drawn = draws(logits, 4000, top_p=top_p)
        assert set(drawn.tolist()) == support, top_p
        kept = torch.zeros(5).double()
        kept[list(support)] = probabilities[list(support)].double()
        if len(support) > 1:
            assert chi_squared(drawn.bincount(minlength=5).double(), kept / kept.sum()) < 4
    assert torch.equal(draws(logits, 500), draws(logits, 500, top_p=1.0))


def test_top_p_keeps_ties_and_follows_top_k_and_temperature():
    assert set(draws(torch.zeros(4), 2000, top_p=0.3).tolist()) == {0, 1, 2, 3}
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    # Of the three that top-k leaves, the first two have 7/9 of the mass.
    assert set(draws(logits, 2000, top_k=3, top_p=0.75).tolist()) == {0, 1}
    assert set(draws(logits, 2000, top_p=0.75).tolist()) == {0, 1, 2}
    assert set(draws(logits, 2000, top_p=0.75, temperature=0.2).tolist()) == {0}


def test_greedy_takes_the_largest_and_the_first_of_equals():
    logits = torch.tensor([[[0.0, 2.0, 1.0, 2.0]], [[5.0, -torch.inf, 1.0, 2.0]]])
    assert sample(logits, None, temperature=0).tolist() == [[1], [0]]
    allowed = torch.tensor([True, False, True, True])
    assert sample(logits, None, temperature=0, allowed=allowed).tolist() == [[3], [0]]


def test_tiny_and_huge_temperatures():
    logits = torch.tensor([80.0, 100.0, 90.0])
    assert set(draws(logits, 200, temperature=1e-30).tolist()) == {1}
    counts = draws(logits, 9000, temperature=1e30).bincount(minlength=3).double()
    assert chi_squared(counts, torch.full((3,), 1 / 3).double()) < 4


def test_allowed_is_the_exact_support():
    torch.manual_seed(0)
    logits = torch.randn(8)
    allowed = torch.tensor([False, True, False, True, True, False, False, True])
    drawn = draws(logits, 6000, allowed=allowed)
    exact = logits.double().masked_fill(~allowed, -torch.inf).softmax(0)
    assert chi_squared(drawn.bincount(minlength=8).double(), exact) < 4
    # What is not allowed does not count among the top-k either.
    assert set(draws(torch.arange(8.0), 500, allowed=allowed, top_k=2).tolist()) == {4, 7}


def test_all_but_one_masked():
    for temperature in (0, 1.0):
        for words in ({}, {"top_k": 3}, {"top_p": 0.5}):
            logits = torch.full((6,), -torch.inf)
            logits[4] = -1e4
            assert set(draws(logits, 50, temperature=temperature, **words).tolist()) == {4}
            allowed = torch.arange(6) == 2
            assert set(draws(torch.zeros(6), 50, temperature=temperature, allowed=allowed, **words).tolist()) == {2}


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_logits_that_are_not_numbers_are_an_error(bad, temperature):
    logits = torch.zeros(2, 1, 5)
    logits[1, 0, 3] = bad
    for words in ({}, {"top_k": 2}, {"top_p": 0.5}):
        with pytest.raises(ValueError, match="NaN or infinity"):
            sample(logits, noise_of([1, 2], 1, 1, 5)[0], temperature=temperature, **words)


def test_nothing_to_draw_is_an_error():
    noise = noise_of([1], 1, 1, 5)[0]
    for logits, allowed in (
        (torch.full((1, 1, 5), -torch.inf), None),
        (torch.zeros(1, 1, 5), torch.zeros(5, dtype=torch.bool)),
    ):
        for temperature in (0, 1.0):
            with pytest.raises(ValueError, match="nothing is allowed"):
                sample(logits, noise, allowed=allowed, temperature=temperature)


@pytest.mark.parametrize("case", cases("sample", toy=True), ids=str)
def test_guidance_is_the_weighted_sum_of_the_blocks(case):
    torch.manual_seed(0)
    blocks, rows, books, vocabulary = (case.shape[n] for n in ("blocks", "rows", "codebooks", "vocabulary"))
    logits = torch.randn(blocks * rows, books, vocabulary).to(getattr(torch, case.dtype))
    weights = (3.0, -1.5, -0.5)[:blocks]
    noise = noise_of(list(range(rows)), 1, books, vocabulary)[0]
    total = sum(w * part.float() for w, part in zip(weights, logits.split(rows), strict=True))
    given = sample(logits, noise, weights=weights, top_k=case.shape.get("top_k", 0))
    assert given.dtype == torch.int64
    assert torch.equal(given, sample(total, noise, top_k=case.shape.get("top_k", 0)))


def test_guidance_with_excluded_tokens():
    logits = torch.tensor([[[0.0, -torch.inf, 1.0]], [[0.0, -torch.inf, 5.0]]])
    assert sample(logits, None, weights=(3.0, -2.0), temperature=0).tolist() == [[0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 5)}, "logits are"),
        ({"logits": torch.zeros(3, 1, 5), "weights": (2.0, -1.0)}, "logits are"),
        ({"noise": None}, "noise is None"),
        ({"noise": torch.zeros(2, 1, 4)}, "noise is"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"allowed": torch.ones(5)}, "allowed is torch.float32"),
        ({"backend": "magic"}, "backend 'magic'"),
    ],
)
def test_sample_names_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        sample(**{"logits": torch.zeros(2, 1, 5), "noise": torch.zeros(2, 1, 5), **change})


def test_gumbel_names_what_does_not_fit():
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="int64"):
        gumbel(one.float(), one, 0, 1, 1, 5)
    with pytest.raises(ValueError, match="steps"):
        gumbel(one, one, 2**32, 1, 1, 5)
    with pytest.raises(ValueError, match="at least 1"):
        gumbel(one, one, 0, 1, 1, 0)
