"""The draw of a group first, as a mark has it: exact in distribution, within filters, refused where it cannot be."""

import pytest
import torch
from chi_squared import chi_squared
from sample_steps import step_of

from clavilux.kernels.sample import gumbel, sample
from clavilux.kernels.sample.reference import guided, kept

GROUPS = torch.tensor([0, 0, 1, 1, 1, -1, 2, -1])
LOGITS = torch.tensor([0.3, -1.0, 1.5, 0.0, -0.5, 0.8, 0.1, -2.0])


def drawn(count, logits=LOGITS, groups=GROUPS, keyed=None, **words):
    seeds, rows = torch.arange(count), torch.zeros(count, dtype=torch.int64)
    noise = gumbel(seeds, rows, 0, 1, 1, len(logits))[0]
    keyed = gumbel(seeds + 10**6, rows, 0, 1, 1, 3)[0] if keyed is None else keyed.expand(count, 1, -1)
    return sample(logits.expand(count, 1, -1), noise, groups=groups[None, None], keyed=keyed, **words)[:, 0]


def test_over_all_keys_it_is_a_draw_from_the_softmax():
    counts = torch.bincount(drawn(20000), minlength=8)
    assert abs(chi_squared(counts, LOGITS.softmax(0))) < 4


def test_a_group_is_drawn_by_its_mass_and_keyed_noise_alone():
    keyed = torch.tensor([50.0, 0.0, 0.0])  # the first group wins whatever the other noise is
    counts = torch.bincount(drawn(20000, keyed=keyed), minlength=8)
    assert int(counts[2:].sum()) == 0
    assert abs(chi_squared(counts[:2], LOGITS[:2].softmax(0))) < 4


def test_what_a_filter_drops_or_is_not_allowed_never_comes():
    likely = LOGITS.topk(3).values[-1] <= LOGITS
    for words in ({"top_k": 3}, {"allowed": likely.expand(1, 1, -1)}):
        counts = torch.bincount(drawn(20000, **words), minlength=8)
        expected = LOGITS.masked_fill(~likely, -torch.inf).softmax(0)
        assert abs(chi_squared(counts, expected)) < 4


def test_tokens_of_no_group_are_drawn_as_without_groups():
    seeds, rows = torch.arange(200), torch.zeros(200, dtype=torch.int64)
    noise = gumbel(seeds, rows, 0, 1, 1, 8)[0]
    logits, none = LOGITS.expand(200, 1, -1), torch.full((1, 1, 8), -1)
    keyed = torch.zeros(200, 1, 3)
    assert torch.equal(sample(logits, noise, groups=none, keyed=keyed), sample(logits, noise))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_and_infinity_draw_nothing(bad):
    for token in (2, 5):  # in a group, and in none
        logits = LOGITS.clone()
        logits[token] = bad
        with pytest.raises(ValueError, match="no token can be drawn"):
            drawn(2, logits)
    with pytest.raises(ValueError, match="no token can be drawn"):
        drawn(2, torch.full((8,), -torch.inf))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"temperature": 0.0}, "temperature is 0"),
        ({"groups": GROUPS.int()}, "groups are torch.int32"),
        ({"keyed": torch.zeros(2)}, "from -1 to 1, as keyed has noise for 2"),
    ],
)
def test_what_cannot_be_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        drawn(2, **words)


FILTERS = (
    {},
    {"temperature": 0.7, "top_k": 1},
    {"temperature": 1.3, "top_k": 9},
    {"top_p": 0.8},
    {"top_k": 20, "top_p": 0.6},
    {"top_k": 4, "allowed": True},
)


def random_draw(words, vocabulary, dtype, rows=3, books=1, count=5):
    """(logits, noise, what else `sample` is given) of a draw with guidance and tokens of no group."""
    random = torch.Generator().manual_seed(vocabulary + len(words))
    logits = (0.5 * torch.randn(2 * rows, books, vocabulary, generator=random)).to(dtype)
    noise = gumbel(torch.arange(rows) - 9, torch.arange(rows), 4, 1, books, vocabulary)[0]
    given = words | {"weights": (3.0, -2.0)}
    if words.get("allowed"):
        given["allowed"] = torch.rand(rows, books, vocabulary, generator=random) < 0.5
        given["allowed"][..., 0] = True
    given["groups"] = torch.randint(-1, count, (1, books, vocabulary), generator=random)
    given["keyed"] = gumbel(torch.arange(rows) + 77, torch.arange(rows), 9, 1, books, count)[0]
    return logits, noise, given


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("vocabulary", [7, 257])
def test_the_kernel_draws_the_references_tokens(vocabulary, dtype):
    changed = 0
    for words in FILTERS:
        logits, noise, given = random_draw(words, vocabulary, dtype)
        expected = sample(logits, noise, backend="reference", **given)
        assert torch.equal(sample(logits, noise, backend="triton", **given), expected), words
        changed += not torch.equal(sample(logits, noise, **given | {"groups": None, "keyed": None}), expected)
        scores = guided(logits, (3.0, -2.0))
        if words.get("allowed"):
            scores = scores.masked_fill(~given["allowed"], -torch.inf)
        heat = words.get("temperature", 1.0)
        left = kept((scores - scores.amax(-1, keepdim=True)) / heat, words.get("top_k", 0), words.get("top_p", 1.0))
        assert left.gather(-1, expected[..., None]).isfinite().all()
    assert changed > 2  # else the key would say nothing


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_step_draws_as_a_call_and_without_a_place_as_without_groups(backend):
    logits, _, given = random_draw({"top_k": 9}, 33, torch.float32)
    keys = {"seeds": torch.arange(3) - 9, "rows": torch.arange(3)}
    keyed = torch.stack([given["keyed"], torch.full_like(given["keyed"], torch.nan)])
    marked = {"groups": given["groups"], "keyed": keyed}
    words = {"weights": (3.0, -2.0), "top_k": 9, "backend": backend} | keys
    noise = gumbel(*keys.values(), 4, 1, 1, 33)[0]
    assert torch.equal(step_of(logits, step=4, **marked, **words)[1], sample(logits, noise, **given))
    for one, other in zip(step_of(logits, step=5, **marked, **words), step_of(logits, step=5, **words), strict=True):
        assert torch.equal(one, other)


def test_a_step_refuses_half_of_a_mark():
    logits, _, given = random_draw({}, 7, torch.float32)
    both = {"groups": given["groups"], "keyed": given["keyed"][None]}
    for words in ({"groups": given["groups"]}, both | {"temperature": 0.0}):
        with pytest.raises(ValueError, match="groups and keyed should be given together"):
            step_of(logits, weights=(3.0, -2.0), **words)
