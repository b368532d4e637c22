"""The sampler's Triton kernel against the reference, and on its own: support, frequencies, noise, plan and failures."""

import math

import pytest
import torch
import triton
import triton.language as tl
from philox_vectors import VECTORS
from sample_steps import step_of

from clavilux.kernels.case_inputs import call
from clavilux.kernels.catalog import cases
from clavilux.kernels.launch import noted
from clavilux.kernels.sample import gumbel, reference, sample, sample_step
from clavilux.kernels.sample import triton as kernels
from clavilux.kernels.sample.triton import gumbel_of, words_of
from clavilux.kernels.sample.triton import sample_step as sample_step_op

OPEN = -1
GUIDANCE = {1: (1.0,), 2: (3.0, -2.0), 3: (3.0, -1.5, -0.5)}
NEAR = 1e-4  # two scores as near as this may change places: the noise is equal up to 1e-5

# The interpreter computes in NumPy, which warns where a GPU does not.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")


def whole(*values):
    return torch.tensor(values)


def draws(logits, count, **words):
    """`count` draws from logits [V], each row with a seed of its own."""
    return step_of(logits.expand(count, 1, -1).contiguous(), **words)[1][:, 0]


def gap_of(logits, step, seeds, rows, weights, temperature=1.0, top_k=0, top_p=1.0, allowed=None):
    """float32 [B, K]: by how much the best score of a draw leads the second."""
    scores = reference.guided(logits, weights)
    if allowed is not None:
        scores = scores.masked_fill(~allowed[step % len(allowed)], -torch.inf)
    if temperature > 0:
        scores = reference.kept((scores - scores.amax(-1, keepdim=True)) / temperature, top_k, top_p)
        scores = scores + gumbel(seeds, rows, step, 1, *logits.shape[1:])[0]
    best = torch.cat([scores, torch.full_like(scores[..., :1], -torch.inf)], -1).topk(2).values
    return best[..., 0] - best[..., 1]


FILTERS = (
    {},
    {"temperature": 0.0},
    {"temperature": 0.7, "top_k": 1},
    {"temperature": 1.3, "top_k": 5},
    {"top_p": 0.8},
    {"top_k": 20, "top_p": 0.6},
    {"top_k": 3, "allowed": True},
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("vocabulary", [1, 2, 7, 33, 257, 2049])
def test_tokens_are_the_references(vocabulary, dtype):
    generator = torch.Generator().manual_seed(vocabulary)
    near = total = 0
    for number, words in enumerate(FILTERS):
        blocks, rows, books = 1 + number % 3, 3, 2 if vocabulary < 2000 else 1
        logits = (torch.randn(blocks * rows, books, vocabulary, generator=generator) * 2).to(dtype)
        logits[0, 0, vocabulary // 2 + 1 :] = -torch.inf
        if words.get("allowed"):
            allowed = torch.rand(2, books, vocabulary, generator=generator) < 0.5
            allowed[..., 0] = True
            words = {**words, "allowed": allowed}
        keys = {
            "seeds": torch.randint(-(2**63), 2**63 - 1, (rows,), generator=generator),
            "rows": whole(0, 5, 2**32 - 1),
        }
        weights = GUIDANCE[blocks]
        expected = step_of(logits, step=number, weights=weights, backend="reference", **keys, **words)
        given = step_of(logits, step=number, weights=weights, **keys, **words)
        sure = gap_of(logits, number, weights=weights, **keys, **words) > (
            NEAR if words.get("temperature") != 0 else -1
        )
        near, total = near + int((~sure).sum()), total + sure.numel()
        for one, other in zip(expected[:2], given[:2], strict=True):
            assert torch.equal(one[sure], other[sure]), words
        assert torch.equal(expected[2], given[2])
    assert near <= 0.01 * total


@pytest.mark.parametrize("op", ["sample", "sample_step"])
def test_every_toy_case_of_the_catalog(op, compared):
    for case in cases(op, toy=True):
        if case.dtype != "bfloat16":
            made = call(case)
            expected = made.results("reference")
            for one, other in zip(expected, call(case).results("triton"), strict=True):
                assert torch.equal(one, other), case
            compared(case)


@triton.jit
def words_kernel(numbers, out):
    seed, row, step = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2)
    words = words_of(seed, row, step, tl.load(numbers + 3), tl.load(numbers + 4), 4)
    tl.store(out + tl.arange(0, 4), words.to(tl.int64))


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_philox_known_answers(counter, key, words):
    seed = key[0] | key[1] << 32
    out = torch.empty(4, dtype=torch.int64)
    words_kernel[(1,)](whole(seed - 2**64 if seed >= 2**63 else seed, *counter), out)
    assert tuple(out.tolist()) == words


@triton.jit
def gumbel_kernel(words, out, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    tl.store(out + offsets, gumbel_of(tl.load(words + offsets).to(tl.uint32)))


def test_noise_is_exact_to_2e_6_for_every_size_of_word():
    ends = [round(2 ** (eighth / 8)) for eighth in range(256)]
    words = torch.tensor([0, 2**30 - 1, 2**30, 2**31 - 1, 2**31, *ends, *(2**32 - end for end in ends)])
    words = torch.cat([words, torch.randint(2**32, (2048 - len(words),), generator=torch.Generator().manual_seed(0))])
    out = torch.empty(len(words))
    gumbel_kernel[(1,)](words, out, BLOCK=len(words))
    minus_uniform = ((words.double() + 0.5) * -(2**-32)).clamp(min=-(1 - 2**-24))
    exact = -torch.log(-torch.log1p(minus_uniform))
    assert float((out - exact).abs().max()) < 2e-6
    assert float(out.max()) > 22 and float(out.min()) < -2.8


def test_noise_is_the_references():
    seeds, rows = whole(5, -7, 2**62), whole(0, 3, 2**32 - 1)
    for step, steps, books, vocabulary in ((0, 1, 1, 1), (11, 2, 3, 10), (2**32 - 2, 2, 1, 1030)):
        given = gumbel(seeds, rows, step, steps, books, vocabulary, backend="triton")
        expected = gumbel(seeds, rows, step, steps, books, vocabulary, backend="reference")
        assert given.shape == expected.shape
        assert float((given - expected).abs().max()) < 1e-5


def chi_squared(tokens, probabilities):
    """The statistic, in standard deviations from its mean (df, variance 2 df)."""
    expected = probabilities.double() * len(tokens)
    counts = tokens.bincount(minlength=len(expected))
    assert counts[expected == 0].sum() == 0
    df = int((expected > 0).sum()) - 1
    statistic = ((counts - expected) ** 2 / expected)[expected > 0].sum()
    return (float(statistic) - df) / math.sqrt(2 * df)


def test_100_000_draws_with_the_kernels_noise_follow_the_softmax(monkeypatch):
    monkeypatch.setattr(kernels, "NOISE_BLOCK", 2**15)  # fewer programs, which an interpreter runs one by one
    logits = torch.randn(8, generator=torch.Generator().manual_seed(1)) * 2
    # Every word is a draw of its own, so that one row of many tokens serves as many rows of eight.
    noise = gumbel(whole(9), whole(0), 0, 1, 1, 8 * 100_000, backend="triton").view(-1, 8)
    assert chi_squared((logits + noise).argmax(-1), logits.softmax(0)) < 4


def test_draws_of_the_whole_kernel_follow_the_softmax():
    logits = torch.randn(5, generator=torch.Generator().manual_seed(1))
    assert chi_squared(draws(logits, 300, temperature=0.8), (logits / 0.8).softmax(0)) < 4


@pytest.mark.parametrize(
    ("logits", "words", "support"),
    [
        ((1.0, 3.0, 2.5, 2.5, 0.5, 2.5, -1.0), {"top_k": 2}, {1, 2, 3, 5}),  # ties at the boundary stay
        ((1.0, 3.0, 2.5, 2.5, 0.5, 2.5, -1.0), {"top_k": 1}, {1}),
        ((0.0, 0.0, -0.0, 0.0), {"top_k": 1}, {0, 1, 2, 3}),
        ((0.0, 0.0, 0.0, 0.0), {"top_p": 0.3}, {0, 1, 2, 3}),
        ((2.0, 2.0, -torch.inf, -torch.inf, 1.9), {"top_k": 4}, {0, 1, 4}),
        ((1.0, 2.0, 3.0, 4.0), {"top_k": 2, "allowed": (True, True, True, False)}, {1, 2}),
        ((1.0, 1.0, 3.0, 4.0), {"allowed": (True, True, False, False)}, {0, 1}),
        ((-torch.inf, -torch.inf, -1e4), {"top_p": 0.5, "top_k": 2}, {2}),
        ((5.0,), {"top_p": 0.5}, {0}),
        ((80.0, 100.0, 90.0), {"temperature": 1e-30}, {1}),
        ((0.0, 1.0, 0.5), {"temperature": 1e30, "top_p": 0.99}, {0, 1, 2}),
    ],
)
def test_the_support_is_exact(logits, words, support):
    if "allowed" in words:
        words = {**words, "allowed": torch.tensor(words["allowed"])[None, None]}
    assert set(draws(torch.tensor(logits), 40 if len(support) > 1 else 4, **words).tolist()) == support


def test_top_p_boundary():
    logits = torch.tensor([0.05, 0.4, 0.15, 0.3, 0.1]).log()
    for top_p, support in ((1e-12, {1}), (0.39, {1}), (0.41, {1, 3}), (0.69, {1, 3}), (0.71, {1, 3, 2})):
        assert set(draws(logits, 40, top_p=top_p).tolist()) == support, top_p
    assert torch.equal(draws(logits, 20, top_p=0.9999), draws(logits, 20))


def test_top_k_at_every_rank_is_the_references():
    logits = torch.randn(40, generator=torch.Generator().manual_seed(2))
    logits[20:30] = logits[:10]
    drawn = []
    for top_k in range(1, 41):
        # At this temperature all that is kept has the same odds, so a rank too many or too few would be seen.
        words = {"temperature": 1e3, "top_k": top_k, "seeds": torch.arange(3 * top_k, 3 * top_k + 3)}
        given = step_of(logits.expand(3, 1, -1), **words)[1]
        assert torch.equal(given, step_of(logits.expand(3, 1, -1), **words, backend="reference")[1])
        drawn += given.flatten().tolist()
    assert len(set(drawn)) > 20


@pytest.mark.parametrize("words", [{"top_k": 1}, {"top_k": 30}, {"top_p": 0.02}, {"top_k": 200, "top_p": 0.1}], ids=str)
def test_a_winner_that_the_filter_drops_is_followed_by_the_best_of_what_lies_above(words):
    rows, vocabulary = 24, 300
    logits = torch.randn(rows, 1, vocabulary, generator=torch.Generator().manual_seed(5)) * 0.3
    keys = {"seeds": torch.arange(rows), "rows": torch.zeros(rows, dtype=torch.int64)}
    winners = step_of(logits, **keys, backend="reference")[1]
    expected = step_of(logits, **keys, **words, backend="reference")[1]
    assert int((winners != expected).sum()) > rows // 2  # so flat are they that most winners are dropped
    assert torch.equal(step_of(logits, **keys, **words)[1], expected)


def test_greedy_takes_the_first_of_equals_and_no_noise():
    logits = torch.tensor([[[0.0, 2.0, 1.0, 2.0]], [[5.0, -torch.inf, 1.0, 2.0]]])
    for step in (0, 3):
        assert step_of(logits, step=step, temperature=0.0)[1].tolist() == [[1], [0]]
    allowed = torch.tensor([[[True, False, True, True]]])
    assert step_of(logits, temperature=0, allowed=allowed)[1].tolist() == [[3], [0]]


def test_what_the_first_block_excludes_stays_excluded():
    logits = torch.tensor([[[0.0, -torch.inf, 1.0]], [[0.0, -torch.inf, 5.0]], [[1.0, 7.0, 2.0]]])
    assert step_of(logits[:2], weights=(3.0, -2.0), temperature=0)[1].tolist() == [[0]]
    plan, out, failed = step_of(logits, weights=(3.0, -1.0, -1.0), temperature=0)
    assert out.tolist() == [[0]] and plan.tolist() == [[[0]]] and failed.tolist() == [-1]


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_known_tokens_stay_and_only_the_step_is_written(backend):
    logits = torch.full((2, 3, 5), -9.0)
    logits[..., 4] = 9.0
    plan = torch.full((2, 3, 4), OPEN)
    plan[0, 1, 2], plan[1, 2, 2], plan[1, 0, 3] = 3, 0, 1
    given, out, failed = step_of(logits, step=2, plan=plan, temperature=0, backend=backend)
    assert out.tolist() == [[4, 3, 4], [4, 4, 0]] and failed.tolist() == [-1, -1]
    assert torch.equal(given[:, :, 2], out)
    given[:, :, 2] = plan[:, :, 2]
    assert torch.equal(given, plan)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_plan_and_logits_with_strides(backend):
    logits = torch.randn(4, 3, 16)[:, :2, :9]
    plan = torch.full((6, 4, 2), OPEN).transpose(0, 2)  # [2, 4, 6], of which two codebooks
    out = torch.zeros(2, 2, dtype=torch.int64)
    failed, step = torch.full((2,), -1, dtype=torch.int32), torch.tensor([4], dtype=torch.int32)
    words = {"seeds": whole(1, 2), "rows": whole(0, 0), "weights": torch.tensor([[2.0, -1.0]]), "backend": backend}
    sample_step(logits, plan[:, :2], out, failed, step, temperature=0, **words)
    assert torch.equal(out, (2 * logits[:2] - logits[2:]).argmax(-1))
    assert torch.equal(plan[:, :2, 4], out) and int((plan != OPEN).sum()) == 4


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("words", [{}, {"temperature": 0}, {"top_k": 2, "top_p": 0.5}])
def test_what_cannot_be_drawn_is_noted(words, backend):
    logits = torch.zeros(6, 2, 5)
    logits[0, 1, 3] = torch.nan
    logits[1, 0, 3] = torch.inf
    logits[2, 1] = -torch.inf
    logits[3, 0] = torch.nan  # where the token is known
    logits[4] = torch.nan  # a row that failed before
    plan = torch.full((6, 2, 9), OPEN)
    plan[3, 0, 8] = 2
    failed = torch.tensor([-1, -1, -1, -1, 5, -1], dtype=torch.int32)
    plan, out, failed = step_of(logits, step=8, plan=plan, failed=failed, backend=backend, **words)
    assert failed.tolist() == [8, 8, 8, -1, 5, -1]
    assert [int(out[row, book]) for row, book in ((0, 1), (1, 0), (2, 1), (3, 0), (4, 0), (4, 1))] == [0, 0, 0, 2, 0, 0]
    assert torch.equal(plan[:, :, 8], out)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_nan_where_nothing_is_allowed_to_count(backend):
    logits = torch.tensor([[[torch.nan, 1.0, 2.0]]])
    allowed = torch.tensor([[[False, True, False]], [[False, False, False]]])
    for step, failure in ((0, -1), (1, 1), (2, -1)):
        _, out, failed = step_of(logits, step=step, allowed=allowed, backend=backend)
        assert out.tolist() == [[1 if failure < 0 else 0]] and failed.tolist() == [failure]


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_weights_of_each_step_and_the_last_ones_after(backend):
    logits = torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]])
    weights = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 0.5]])
    tokens = [step_of(logits, step=step, weights=weights, temperature=0, backend=backend)[1] for step in range(7)]
    assert [int(token) for token in tokens] == [0, 1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_row_is_the_same_in_any_batch(backend):
    logits = torch.randn(2 * 8, 2, 50)
    seeds, rows = torch.arange(8) * 1_000_003, torch.arange(8) % 3
    words = {"step": 6, "weights": (2.0, -1.0), "top_k": 20, "top_p": 0.95, "backend": backend}
    together = step_of(logits, seeds=seeds, rows=rows, **words)[1]
    for row in (0, 3, 7):
        alone = step_of(logits[[row, 8 + row]], seeds=seeds[[row]], rows=rows[[row]], **words)[1]
        assert torch.equal(alone[0], together[row])


def test_the_eager_sampler_draws_the_same_and_raises():
    logits = torch.randn(3 * 2, 2, 33)
    noise = gumbel(whole(3, 4), whole(0, 0), 5, 1, 2, 33)[0]
    allowed = torch.rand(2, 1, 33) < 0.6
    words = {"weights": GUIDANCE[3], "temperature": 0.9, "top_k": 12, "top_p": 0.9, "allowed": allowed}
    assert torch.equal(sample(logits, noise, **words), sample(logits, noise, **words, backend="triton"))
    logits[0, 0, allowed[0, 0].nonzero()[0, 0]] = torch.nan
    with pytest.raises(ValueError, match="no token can be drawn"):
        sample(logits, noise, **words, backend="triton")


def test_the_eager_sampler_is_one_kernel_and_takes_any_strides():
    logits = torch.randn(2, 50, 3).mT  # [2, 3, 50]
    noise = gumbel(whole(3), whole(0), 5, 1, 3, 50)[0]
    words = {"weights": GUIDANCE[2], "top_k": 12}
    expected = sample(logits, noise, **words)
    assert torch.equal(sample(logits, noise, **words, backend="triton"), expected)
    with noted() as notes:
        sample(logits, noise, **words, backend="triton")
    assert [note.kernel.__name__ for note in notes] == ["sample_kernel"]
    assert kernels._table(GUIDANCE[2], logits.device) is kernels._table(GUIDANCE[2], logits.device)


def test_the_operator_is_what_it_says_to_torch():
    step = torch.zeros(1, dtype=torch.int32)
    buffers = torch.full((2, 2, 3), OPEN), torch.zeros(2, 2, dtype=torch.int64), torch.full((2,), -1, dtype=torch.int32)
    keys = whole(1, 2), whole(0, 0), torch.tensor([[2.0, -1.0]])
    given = (torch.randn(4, 2, 9), *buffers, step, *keys, 1.0, 3, 1.0, *[None] * 5)
    torch.library.opcheck(sample_step_op, given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(4, 5)}, r"logits are torch.float32 \(4, 5\)"),
        ({"logits": torch.zeros(4, 2, 5).double()}, "logits are torch.float64"),
        ({"logits": torch.zeros(4, 2, 0)}, r"logits are torch.float32 \(4, 2, 0\)"),
        ({"logits": torch.zeros(4, 2, 65537)}, "V from 1 to 65536"),
        ({"logits": torch.zeros(3, 2, 5)}, r"logits have 3 rows; weights \(1, 2\)"),
        ({"logits": torch.zeros(4, 5, 2).mT}, r"logits have strides \(10, 1, 2\)"),
        ({"plan": torch.zeros(2, 2, 3)}, "plan is torch.float32"),
        ({"plan": torch.zeros(2, 3, 3, dtype=torch.int64)}, r"plan is torch.int64 \(2, 3, 3\)"),
        ({"out": torch.zeros(1, 2, dtype=torch.int64)}, r"out is torch.int64 \(1, 2\)"),
        ({"out": torch.zeros(2, 4, dtype=torch.int64)[:, ::2]}, r"out has strides \(4, 2\)"),
        ({"failed": torch.zeros(2, dtype=torch.int64)}, "failed is torch.int64"),
        ({"step": torch.zeros(1, dtype=torch.int64)}, "step is torch.int64"),
        ({"step": torch.zeros(2, dtype=torch.int32)}, r"step is torch.int32 \(2,\)"),
        ({"step": torch.zeros(1, dtype=torch.int32, device="meta")}, "step is on meta; the logits are on cpu"),
        ({"seeds": torch.zeros(2, dtype=torch.int32)}, "seeds is torch.int32"),
        ({"rows": torch.zeros(3, dtype=torch.int64)}, r"rows is torch.int64 \(3,\)"),
        ({"weights": torch.zeros(2)}, r"weights is torch.float32 \(2,\)"),
        ({"weights": torch.zeros(1, 2).double()}, "weights is torch.float64"),
        ({"weights": torch.zeros(1, 0)}, r"weights is torch.float32 \(1, 0\)"),
        ({"allowed": torch.ones(1, 2, 5)}, "allowed is torch.float32"),
        ({"allowed": torch.ones(1, 2, 4, dtype=torch.bool)}, r"allowed is torch.bool \(1, 2, 4\)"),
        ({"settings": torch.zeros(3)}, r"settings is torch.float32 \(3,\)"),
        ({"noise": torch.zeros(2, 2, 5)}, r"noise is torch.float32 \(2, 2, 5\); it should be .*\[any, 2, 2, 5\]"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"backend": "magic"}, "backend 'magic'"),
    ],
)
def test_sample_step_names_what_does_not_fit(change, message):
    number, key = torch.zeros(1, dtype=torch.int32), torch.zeros(2, dtype=torch.int64)
    given = {
        "logits": torch.zeros(4, 2, 5),
        "plan": torch.full((2, 2, 3), OPEN),
        "out": torch.zeros(2, 2, dtype=torch.int64),
        "failed": torch.zeros(2, dtype=torch.int32),
        "step": number,
        "seeds": key,
        "rows": key,
        "weights": torch.zeros(1, 2),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        sample_step(**given)
