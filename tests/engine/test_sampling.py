"""Settings, seeds and rows. The draw itself is tested with its op."""

import pytest
import torch

from clavilux.sampling import Sampler, SamplingSpec


def drawn(spec, batch, steps, logits=None, codebooks=2, vocabulary=50):
    sampler = Sampler(spec, batch, codebooks, vocabulary)
    logits = torch.zeros(batch * len(spec.weights), codebooks, vocabulary) if logits is None else logits
    return torch.stack([sampler.draw(logits, step) for step in steps], dim=2)


def test_the_same_seed_gives_the_same_tokens_and_another_does_not():
    one, same, other = (drawn(SamplingSpec(seed=seed), 3, range(20)) for seed in (7, 7, 8))
    assert torch.equal(one, same)
    assert (one != other).float().mean() > 0.9


def test_rows_of_one_seed_differ_and_do_not_depend_on_the_batch():
    three, one = drawn(SamplingSpec(seed=7), 3, range(20)), drawn(SamplingSpec(seed=7), 1, range(20))
    assert torch.equal(three[:1], one)
    assert (three[0] != three[1]).any() and (three[1] != three[2]).any()


def test_a_row_with_its_own_seed_gets_the_same_tokens_anywhere():
    together = drawn(SamplingSpec(seed=(11, 7, 7)), 3, range(20))
    alone = drawn(SamplingSpec(seed=7), 1, range(20))
    assert torch.equal(together[1], alone[0]) and torch.equal(together[2], alone[0])
    assert not torch.equal(together[0], alone[0])


def test_noise_of_any_step_in_any_order():
    spec = SamplingSpec(seed=3)
    forward = Sampler(spec, 2, 1, 30)
    backward = Sampler(spec, 2, 1, 30)
    steps = [0, 1, 63, 64, 65, 200, 2**32 - 1]
    one = {step: forward.noise(step).clone() for step in steps}
    for step in reversed(steps):
        assert torch.equal(one[step], backward.noise(step))


def test_noise_blocks_of_any_size_give_the_same(monkeypatch):
    one = drawn(SamplingSpec(seed=3), 2, range(70))
    monkeypatch.setattr(Sampler, "STEPS_AT_A_TIME", 1)
    assert torch.equal(one, drawn(SamplingSpec(seed=3), 2, range(70)))


def test_big_noise_is_not_made_all_at_once():
    sampler = Sampler(SamplingSpec(), 4, 8, 16384)
    sampler.noise(5)
    assert sampler._block.numel() * 4 <= 2**24


def test_codebooks_and_steps_are_drawn_apart():
    tokens = drawn(SamplingSpec(), 1, range(30))
    assert not torch.equal(tokens[:, 0], tokens[:, 1])
    assert len(set(tokens[0, 0].tolist())) > 10


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), (1, 2**64 - 1)])
def test_seeds_of_64_bits(seed):
    batch = len(seed) if isinstance(seed, tuple) else 1
    assert drawn(SamplingSpec(seed=seed), batch, range(2)).shape == (batch, 2, 2)


def test_seeds_that_differ_in_the_high_half_only():
    one, two = drawn(SamplingSpec(seed=5), 1, range(20)), drawn(SamplingSpec(seed=5 + 2**32), 1, range(20))
    assert (one != two).float().mean() > 0.9


def test_guidance_scale_and_weights():
    assert SamplingSpec().weights == (1.0,)
    assert SamplingSpec(guidance=3.0).weights == (3.0, -2.0)
    assert SamplingSpec(guidance=(1.5, 1.0, -1.5)).weights == (1.5, 1.0, -1.5)
    torch.manual_seed(0)
    logits = torch.randn(6, 2, 50)
    guided = drawn(SamplingSpec(guidance=3.0), 3, range(3), logits)
    plain = drawn(SamplingSpec(), 3, range(3), 3.0 * logits[:3] - 2.0 * logits[3:])
    assert torch.equal(guided, plain)


def test_greedy_needs_no_noise():
    sampler = Sampler(SamplingSpec(temperature=0), 1, 1, 4)
    assert sampler.draw(torch.tensor([[[0.0, 1.0, 3.0, 2.0]]]), 0).item() == 2
    assert sampler._block is None


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"temperature": -0.1}, ValueError, "temperature is -0.1"),
        ({"temperature": float("nan")}, ValueError, "temperature is nan"),
        ({"temperature": float("inf")}, ValueError, "temperature is inf"),
        ({"temperature": "hot"}, TypeError, "temperature is 'hot'"),
        ({"temperature": True}, TypeError, "temperature is True"),
        ({"top_k": -1}, ValueError, "top_k is -1"),
        ({"top_k": 2.5}, TypeError, "top_k is 2.5"),
        ({"top_p": 0.0}, ValueError, "top_p is 0.0"),
        ({"top_p": 1.1}, ValueError, "top_p is 1.1"),
        ({"top_p": float("nan")}, ValueError, "top_p is nan"),
        ({"guidance": float("inf")}, ValueError, "guidance is inf"),
        ({"guidance": ()}, ValueError, "guidance is empty"),
        ({"guidance": None}, TypeError, "guidance is None"),
        ({"seed": 1.5}, TypeError, "seed is 1.5"),
        ({"seed": None}, TypeError, "seed is None"),
        ({"seed": True}, TypeError, "seed is True"),
        ({"seed": 2**64}, ValueError, "seed is"),
        ({"seed": ()}, ValueError, "seed is empty"),
        ({"seed": (1, "2")}, TypeError, "seed is '2'"),
    ],
    ids=str,
)
def test_settings_name_what_is_wrong(values, error, message):
    with pytest.raises(error, match=message):
        SamplingSpec(**values)


def test_a_seed_for_each_row():
    with pytest.raises(ValueError, match="2 seeds; there should be one for each of 3 rows"):
        Sampler(SamplingSpec(seed=(1, 2)), 3, 1, 10)
