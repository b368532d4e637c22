"""Muon: momentum whose every matrix is made orthogonal before it moves the weights.

Formula and constants: K. Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024); the step is scaled
by the root of a matrix's longer side, as in arXiv 2502.16982, times 0.2. torch's own always computes in bfloat16, which
takes thirty times as long where the processor has none; this one computes in the weights' dtype there, and all matrices
of one shape at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from clavilux.kernels.processor import AMX, BFLOAT16

STEPS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315  # singular values between 0 and 1 come near 1 in five steps


class Muon(torch.optim.Optimizer):
    """For matrices alone.

    Args:
        params: the weights, [rows, columns] each.
        lr: the learning rate, of which a weight of an orthogonal step moves about 0.2.
        momentum: of Nesterov's kind.
        weight_decay: times `lr`, as AdamW has it.
    """

    def __init__(self, params: Iterable[Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move all weights that have a gradient."""
        assert closure is None, "nothing is evaluated again"
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[weight.shape].append(weight)
            for shape, weights in by_shape.items():
                moved = torch.stack([self._momentum(each, group["momentum"]) for each in weights])
                # The iteration brings singular values near 1, not to it, so bfloat16's rounding does not matter.
                fast = moved.is_cuda or AMX or BFLOAT16
                directions = orthogonal(moved.bfloat16() if fast else moved).to(moved.dtype)
                scale = 0.2 * max(shape) ** 0.5 * group["lr"]
                for weight, direction in zip(weights, directions, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=scale)

    def _momentum(self, weight: Tensor, share: float) -> Tensor:
        assert weight.grad is not None, "asked of weights with a gradient"
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(weight.grad, 1 - share)
        return weight.grad.lerp(state["momentum"], share)


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, rows, columns] -> the same with singular values near 1, by Newton and Schulz's iteration."""
    tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if tall else matrices
    found = found / (found.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        square = found @ found.mT
        polynomial = torch.baddbmm(square, square, square, beta=_B, alpha=_C)
        found = torch.baddbmm(found, polynomial, found, beta=_A)
    return found.mT if tall else found


def optimizers_of(
    model: nn.Module, decoder: nn.Module, muon_rate: float, adam_rate: float, weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.98),
) -> list[torch.optim.Optimizer]:  # fmt: skip
    """Muon for the matrices of a decoder's layers, AdamW without decay for all other weights of its model."""
    matrices = [p for n, p in decoder.named_parameters() if p.ndim == 2 and "layers" in n]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Muon(matrices, lr=muon_rate, weight_decay=weight_decay),
        torch.optim.AdamW(others, lr=adam_rate, betas=betas, weight_decay=0.0),
    ]
