"""Muon's steps: orthogonal, as large as said, the same as torch's own but for its rounding."""

import pytest
import torch

from clavilux.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(2, 24, 40), (1, 40, 24), (3, 16, 16)])
def test_singular_values_come_near_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.3 and values.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    assert ((orthogonal(matrices) * (u @ v)).sum((1, 2)) / min(shape[1:])).min() > 0.7  # the nearest orthogonal one


def test_a_step_is_that_of_torch():
    random = torch.Generator().manual_seed(1)
    start, gradients = torch.randn(12, 20, generator=random), torch.randn(3, 12, 20, generator=random)
    moved = []
    for make in (Muon, torch.optim.Muon):
        weight = torch.nn.Parameter(start.clone())
        more = {"adjust_lr_fn": "match_rms_adamw"} if make is torch.optim.Muon else {}
        optimizer = make([weight], lr=0.1, weight_decay=0.1, momentum=0.95, **more)
        for gradient in gradients:
            weight.grad = gradient
            optimizer.step()
        moved.append(weight.detach() - start)
    assert (moved[0] - moved[1]).norm() < 0.05 * moved[1].norm()


def test_a_weight_without_a_gradient_stays():
    weight = torch.nn.Parameter(torch.ones(2, 3))
    Muon([weight], lr=1.0, weight_decay=0.5).step()
    assert weight.eq(1).all()
