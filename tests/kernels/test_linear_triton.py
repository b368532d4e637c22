"""The Triton kernels of norm_linear and linear_residual, under the interpreter or on a GPU, against float64."""

import pytest
import torch

from clavilux.kernels.backend import using
from clavilux.kernels.case_inputs import call
from clavilux.kernels.catalog import Case, cases
from clavilux.kernels.folded import FoldedWeight, fold
from clavilux.kernels.launch import noted
from clavilux.kernels.linear_residual import linear_residual
from clavilux.kernels.norm_linear import norm_linear
from clavilux.kernels.quantized import Int8Weight, quantize

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOY = [
    case
    for op in ("norm_linear", "linear_residual")
    for case in cases(op, toy=True)
    # Triton's interpreter computes wrongly in bfloat16, and says nothing.
    if case.shape["rows"] <= 16 and (DEVICE == "cuda" or case.dtype != "bfloat16")
]


def doubled(value):
    if isinstance(value, Int8Weight):
        return value.values.double() * value.scale.double()[:, None]
    if isinstance(value, FoldedWeight):
        return FoldedWeight(doubled(value.matrix), value.row_sums.double())
    return value.double() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("case", TOY, ids=str)
def test_error_is_at_most_twice_that_of_torch(case, compared):
    given = call(case, DEVICE)
    exact = given.function(*(doubled(value) for value in given.arguments), **given.words, backend="reference")
    ours, torchs = given("triton"), given("reference")
    assert ours.dtype == torchs.dtype and ours.shape == torchs.shape
    scale = exact.abs().max().clamp(min=1.0)
    error, usual = ((y.double() - exact).abs().max() / scale for y in (ours, torchs))
    assert error <= max(2 * usual, case.tolerance / 4), (float(error), float(usual))
    compared(case)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_a_row_has_the_same_bits_in_any_batch(norm, dtype):
    words = {"width": 1040, "out": 40, "norm": norm, "activation": "gelu", "folded": norm != "none"}
    given = call(Case("norm_linear", "batch", {"rows": 16, **words}, dtype), DEVICE)
    x, *rest = given.arguments
    residual, weight = torch.randn_like(x[:, :40]), rest[2] if norm == "none" else rest[2].matrix
    if DEVICE == "cpu":  # the interpreter's products are NumPy's, in an order of their own: sums that are exact
        x.random_(-4, 5)
        weight.random_(-4, 5)

    def both(rows):
        one = norm_linear(x[rows], *rest, **given.words, backend="triton")
        return torch.cat([one, linear_residual(x[rows], weight, None, residual[rows], backend="triton")], 1)

    together = both(slice(0, 16))
    for size in range(1, 16):
        for start in (0, 16 - size):
            assert torch.equal(both(slice(start, start + size)), together[start : start + size])


@pytest.mark.parametrize("sigmas", [0, 1, 10, 30])
@pytest.mark.parametrize("dtype", [torch.float16, *([torch.bfloat16] if DEVICE == "cuda" else [])])
def test_a_folded_norm_errs_as_little_as_the_norm_and_the_product_apart(dtype, sigmas):
    torch.manual_seed(sigmas)
    width = 600
    x = (torch.randn(3, width, device=DEVICE) + sigmas).to(dtype)
    weight = torch.randn(40, width, device=DEVICE) / width**0.5
    gain, shift = 1 + 0.2 * torch.randn(width, device=DEVICE), 0.1 * torch.randn(width, device=DEVICE)
    exact = norm_linear(x.double(), gain.double(), shift.double(), weight.double(), backend="reference")
    ours = norm_linear(x, None, None, *fold(weight, gain, shift, None, dtype), backend="triton")
    usual = norm_linear(x, gain.to(dtype), shift.to(dtype), weight.to(dtype), backend="reference")
    error, most = ((y.double() - exact).square().mean().sqrt() for y in (ours, usual))
    assert error <= 1.5 * most, (float(error), float(most))


@pytest.mark.parametrize("activation", ["none", "swiglu"])
def test_int8_weights_are_those_dequantised(activation):
    torch.manual_seed(0)
    x, weight = torch.randn(3, 150, device=DEVICE), torch.randn(44, 150, device=DEVICE)
    small = quantize(weight)
    assert 1e-3 < small.error < 1e-2
    given = norm_linear(x, None, None, small, norm="rms", activation=activation, backend="triton")
    plain = norm_linear(x, None, None, small.dequantized(x.dtype), norm="rms", activation=activation)
    torch.testing.assert_close(given, plain, rtol=1e-4, atol=1e-4)
    residual = torch.randn(3, 44, device=DEVICE)
    given = linear_residual(x, small, None, residual, backend="triton")
    torch.testing.assert_close(given, residual + x @ small.dequantized(x.dtype).T, rtol=1e-4, atol=1e-4)


def test_many_rows_and_other_dtypes_are_left_to_torch():
    x, weight = torch.zeros(17, 32, device=DEVICE), torch.zeros(16, 32, device=DEVICE)
    with pytest.raises(ValueError, match="not made for"):
        norm_linear(x, None, None, weight, backend="triton")
    with pytest.raises(ValueError, match="not made for"):
        linear_residual(x[:2].double(), weight.double(), None, x[:2, :16].double(), backend="triton")


def test_one_launch_whose_blocks_do_not_depend_on_the_rows():
    weight = torch.empty(1024, 4096, dtype=torch.bfloat16)
    seen = []
    for rows in (1, 2, 5, 8, 9, 16):
        x = torch.empty(rows, 4096, dtype=torch.bfloat16)
        with noted() as launches:
            norm_linear(x, None, None, weight, backend="triton")
        assert len(launches) == 1
        seen.append({name: launches[0].constants[name] for name in ("BN", "S", "BK", "EVEN")})
        assert launches[0].constants["R"] == (8 if rows <= 8 else 16)
    assert all(constants == seen[0] for constants in seen)


def test_products_that_want_a_gradient_are_left_to_torch():
    x = torch.randn(2, 32, device=DEVICE, requires_grad=True)
    weight = torch.randn(16, 32, device=DEVICE, requires_grad=True)
    with using("triton"):
        norm_linear(x, None, None, weight).sum().backward()
        linear_residual(x, weight, None, torch.zeros(2, 16, device=DEVICE)).sum().backward()
    assert x.grad.abs().min() > 0 and weight.grad.abs().min() > 0
    with torch.no_grad(), using("triton"), noted() as launches:
        norm_linear(x, None, None, weight)
    assert len(launches) == 1
