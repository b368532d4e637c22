"""Matrices in fewer bits: what rounding costs, and that packed products are those of the matrix they stand for."""

import pytest
import torch

from clavilux.kernels.weights import KINDS, PackedWeight, dense, pack, packing_supported, quantise

needs_packing = pytest.mark.skipif(not packing_supported(), reason="this processor has no FBGEMM")


def matrix(rows=48, width=64, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def test_int8_is_off_by_half_a_level_at_most_in_each_row():
    weight = matrix() * torch.logspace(-3, 3, 48)[:, None]  # rows of very different sizes
    small = quantise(weight)
    level = weight.abs().amax(1) / 127
    assert ((small.dequantised(torch.float32) - weight).abs() <= 0.5001 * level[:, None]).all()
    assert small.values.dtype == torch.int8 and small.values.abs().amax(1).eq(127).all()
    assert small.error == pytest.approx(float((dense(small, torch.float32) - weight).norm() / weight.norm()))


def test_rows_of_zeros_stay_zero():
    weight = matrix()
    weight[3] = 0
    assert not quantise(weight).dequantised(torch.float32)[3].any()


@needs_packing
@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 1e-3), ("int8", 2e-2)])
@pytest.mark.parametrize("rows", [1, 2, 3, 16, 33])
def test_a_packed_product_is_that_of_the_matrix(kind, tolerance, rows):
    weight, x = matrix(), matrix(rows, 64, seed=1)
    exact = x @ weight.T
    found = pack(weight, kind).apply(x)
    assert found.dtype == torch.float32 and found.shape == exact.shape
    assert (found - exact).norm() <= tolerance * exact.norm()


@needs_packing
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_whatever_is_beside_it(kind):
    packed, x = pack(matrix(), kind), matrix(16, 64, seed=1) * torch.logspace(-2, 2, 16)[:, None]
    together = packed.apply(x)
    for row in range(16):
        assert torch.equal(packed.apply(x[row : row + 1])[0], together[row])


@needs_packing
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_zeros_gives_zeros(kind):
    assert not pack(matrix(), kind).apply(torch.zeros(2, 64)).any()


@needs_packing
def test_the_error_of_packing_is_said():
    weight = matrix()
    for kind, most in (("float16", 5e-4), ("int8", 1e-2)):
        packed = pack(weight, kind)
        assert isinstance(packed, PackedWeight) and packed.shape == (48, 64)
        assert 0 < packed.error < most


@needs_packing
@pytest.mark.parametrize(
    ("weight", "kind", "message"),
    [
        (matrix(), "int4", "kind is 'int4'; it should be float16 or int8"),
        (matrix()[0], "int8", r"weight is torch.float32 \(64,\); it should be floating \[N, D\]"),
        (matrix().long(), "float16", r"weight is torch.int64 \(48, 64\); it should be floating"),
        (torch.full((2, 2), torch.nan), "int8", "weight holds NaN or infinity"),
        (torch.full((2, 2), 7e4), "float16", "a weight is 70000; float16 holds numbers up to 65504"),
    ],
)
def test_what_cannot_be_packed_is_refused(weight, kind, message):
    with pytest.raises(ValueError, match=message):
        pack(weight, kind)
