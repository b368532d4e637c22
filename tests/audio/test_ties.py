"""The comparison of codes that the parity tests use: it lets a tie pass, and nothing else."""

import pytest
import torch
from ties import check_codes

VECTORS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0]])


def codes_of(latents):
    first = torch.cdist(latents.transpose(1, 2), VECTORS[None]).argmin(2)
    return torch.stack([first, torch.zeros_like(first)], dim=1)


def test_a_tie_passes_and_what_follows_from_it():
    latents = torch.tensor([[[1e-7, 0.9], [1.0, 0.1]]])  # [1, 2, 2]: as near to the first vector as to the second
    expected = codes_of(latents)
    found = expected.clone()
    found[0, :, 0] = torch.tensor([1 - expected[0, 0, 0], 2])
    check_codes(found, expected, latents, [VECTORS, VECTORS])


@pytest.mark.parametrize(("book", "code"), [(0, 1), (0, 2), (1, 1)])
def test_another_code_does_not(book, code):
    latents = torch.tensor([[[0.2, 0.9], [1.0, 0.1]]])
    expected = codes_of(latents)
    found = expected.clone()
    found[0, book, 0] = code
    with pytest.raises(AssertionError, match="row 0, frame 0"):
        check_codes(found, expected, latents, [VECTORS, VECTORS])


def test_many_ties_are_a_fault():
    latents = torch.tensor([[[0.0] * 40, [1.0] * 40]])
    expected = codes_of(latents)
    found = expected.clone()
    found[0, 0, :3] = 1 - expected[0, 0, :3]
    with pytest.raises(AssertionError, match="3 of 40 frames differ"):
        check_codes(found, expected, latents, [VECTORS, VECTORS])
