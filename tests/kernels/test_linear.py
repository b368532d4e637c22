"""norm_linear and linear_residual against float64, written out."""

import math

import pytest
import torch

from clavilux.kernels.catalog import cases
from clavilux.kernels.linear_residual import linear_residual
from clavilux.kernels.norm_linear import norm_linear


def close(given, exact, tolerance):
    scale = exact.abs().max().clamp(min=1.0)
    assert given.shape == exact.shape
    assert (given.double() - exact).abs().max() <= tolerance * scale


def inputs(case, *sizes):
    torch.manual_seed(0)
    return [torch.randn(size).to(getattr(torch, case.dtype)) for size in sizes]


def exact_norm(x, gain, bias, norm, eps):
    if norm == "none":
        return x
    if norm == "layer":
        x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain + bias


def exact_activation(y, activation):
    if activation == "gelu":
        return y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
    if activation == "quick_gelu":
        return y / (1 + torch.exp(-1.702 * y))
    if activation == "swiglu":
        gate, value = y.chunk(2, -1)
        return gate / (1 + torch.exp(-gate)) * value
    return y


@pytest.mark.parametrize("case", cases("norm_linear", toy=True), ids=str)
def test_norm_linear(case):
    rows, width, out = (case.shape[name] for name in ("rows", "width", "out"))
    norm, activation = case.shape["norm"], case.shape["activation"]
    x, gain, shift, weight, bias = inputs(case, (rows, width), (width,), (width,), (out, width), (out,))
    if norm != "layer":
        shift = None
    given = norm_linear(x, gain, shift, weight, bias, norm=norm, eps=1e-3, activation=activation)
    assert given.dtype == x.dtype
    shift = torch.zeros(width) if shift is None else shift
    y = exact_norm(x.double(), gain.double(), shift.double(), norm, 1e-3) @ weight.double().T + bias.double()
    close(given, exact_activation(y, activation), case.tolerance)


@pytest.mark.parametrize("case", cases("linear_residual", toy=True), ids=str)
def test_linear_residual(case):
    rows, width, out = (case.shape[name] for name in ("rows", "width", "out"))
    x, weight, bias, residual = inputs(case, (rows, width), (out, width), (out,), (rows, out))
    before = residual.clone()
    exact = x.double() @ weight.double().T + bias.double() + residual.double()
    close(linear_residual(x, weight, bias, residual), exact, case.tolerance)
    close(linear_residual(x, weight, None, residual), exact - bias.double(), case.tolerance)
    assert torch.equal(before, residual)


def test_leading_dimensions_are_kept():
    x, weight = torch.randn(2, 3, 5), torch.randn(4, 5)
    assert norm_linear(x, None, None, weight, norm="layer").shape == (2, 3, 4)
    assert linear_residual(x, weight, None, torch.zeros(2, 3, 4)).shape == (2, 3, 4)


def test_both_are_differentiable():
    torch.manual_seed(0)
    x, gain, weight = (torch.randn(size, dtype=torch.double, requires_grad=True) for size in ((3, 4), (4,), (6, 4)))
    residual = torch.randn(3, 6, dtype=torch.double, requires_grad=True)
    for norm in ("layer", "rms"):
        for activation in ("none", "gelu", "quick_gelu", "swiglu"):
            assert torch.autograd.gradcheck(
                lambda x, gain, weight, norm=norm, activation=activation: norm_linear(
                    x, gain, None, weight, norm=norm, activation=activation
                ),
                (x, gain, weight),
            )
    assert torch.autograd.gradcheck(linear_residual, (x, weight, None, residual))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.zeros(4, 6)}, "weight is"),
        ({"norm": "batch"}, "norm is 'batch'"),
        ({"activation": "relu"}, "activation is 'relu'"),
        ({"norm": "rms", "norm_bias": torch.zeros(5)}, "only layer norm"),
        ({"weight": torch.zeros(3, 5), "activation": "swiglu"}, "even number"),
        ({"backend": "magic"}, "backend 'magic' does not exist for this op; it has: packed, reference, triton"),
    ],
)
def test_norm_linear_names_what_does_not_fit(change, message):
    values = {
        "x": torch.zeros(2, 5),
        "norm_weight": None,
        "norm_bias": None,
        "weight": torch.zeros(4, 5),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        norm_linear(**values)


def test_linear_residual_names_what_does_not_fit():
    x, weight = torch.zeros(2, 5), torch.zeros(4, 5)
    with pytest.raises(ValueError, match="residual is"):
        linear_residual(x, weight, None, torch.zeros(2, 5))
    with pytest.raises(ValueError, match="weight is"):
        linear_residual(x, weight.T, None, torch.zeros(2, 4))


def test_a_backend_can_be_forced():
    x, weight = torch.randn(2, 5), torch.randn(4, 5)
    assert torch.equal(norm_linear(x, None, None, weight, backend="reference"), norm_linear(x, None, None, weight))
