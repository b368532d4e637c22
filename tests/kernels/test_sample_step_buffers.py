"""What a captured step has by address: settings and noise in buffers draw what numbers and made noise do."""

import pytest
import torch
from sample_steps import step_of

from clavilux.kernels.launch import noted
from clavilux.kernels.sample import gumbel

SETTINGS = [(0.7, 5, 0.9), (0.7, 0, 0.4), (1.0, 3, 1.0), (1.0, 4, 0.8), (2.0, 0, 1.0), (0.0, 0, 1.0)]


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_settings_on_the_device_count_in_place_of_numbers_of_their_kind(settings, backend):
    logits = torch.randn(2 * 12, 2, 30, generator=torch.Generator().manual_seed(3))
    words = {"step": 4, "weights": (2.0, -1.0), "backend": backend}
    temperature, top_k, top_p = settings
    expected = step_of(logits, temperature=temperature, top_k=top_k, top_p=top_p, **words)
    others = {
        "temperature": temperature if temperature in (0, 1) else 1e3,
        "top_k": 29 if top_k else 0,
        "top_p": 0.999 if top_p < 1 else 1.0,
    }
    held = torch.tensor(settings, dtype=torch.float64)
    for one, other in zip(expected, step_of(logits, settings=held, **others, **words), strict=True):
        assert torch.equal(one, other)
    if temperature == 0.7 or top_k:  # else there is nothing to tell them apart by
        assert not torch.equal(expected[1], step_of(logits, **others, **words)[1])


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("words", [{}, {"top_k": 9}, {"top_k": 9, "top_p": 0.7}], ids=str)
@pytest.mark.parametrize("step", [0, 4, 5])
def test_noise_made_beforehand_draws_the_same(words, backend, step):
    logits = torch.randn(3, 2, 40, generator=torch.Generator().manual_seed(3)) * 0.5
    keys = {"seeds": torch.tensor([5, -7, 2**62]), "rows": torch.tensor([0, 3, 2**32 - 1])}
    noise = gumbel(*keys.values(), 3, 3, 2, 40, backend=backend)  # of steps 3, 4, 5: in the rows 0, 1, 2
    noise = noise if step else gumbel(*keys.values(), 0, 3, 2, 40, backend=backend)
    given = step_of(logits, step=step, noise=noise, **keys, **words, backend=backend)
    expected = step_of(logits, step=step, **keys, **words, backend=backend)
    for one, other in zip(expected, given, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(given[1], step_of(logits, step=step, noise=noise.roll(1, 0), **keys, backend=backend)[1])


def test_one_kernel_draws_from_a_large_vocabulary_where_its_noise_is_there():
    logits, settings = torch.zeros(2, 1, 16384), torch.tensor([1.0, 9.0, 0.5], dtype=torch.float64)
    for words, kernels_started in (
        ({"noise": torch.zeros(4, 1, 1, 16384), "settings": settings}, ["sample_kernel"]),
        ({"settings": settings}, ["noise_kernel", "sample_kernel"]),
    ):
        with noted() as notes:
            step_of(logits, weights=(2.0, -1.0), top_k=9, top_p=0.5, **words)
        assert [note.kernel.__name__ for note in notes] == kernels_started
