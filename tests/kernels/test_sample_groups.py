"""The draw of a group first, as a mark has it: exact in distribution, within filters, refused where it cannot be."""

import pytest
import torch
from chi_squared import chi_squared

from clavilux.kernels.sample import gumbel, sample

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
        ({"backend": "triton"}, "backend 'triton' does not exist for this op"),
    ],
)
def test_what_cannot_be_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        drawn(2, **words)
