"""Matrices in fewer bits: what rounding costs, and that packed products are those of the matrix they stand for."""

import pytest
import torch

from clavilux.kernels.quantized import KINDS, PackedWeight, dequantize, pack, packing_supported, quantize

needs_packing = pytest.mark.skipif(not packing_supported(), reason="this processor has no FBGEMM")


BATCHES = (1, 2, 3, 5, 7, 16, 31, 32, 33, 48)


def needs(kind):
    if not packing_supported(kind):
        pytest.skip(f"this processor has no kernels for {kind}")


def matrix(rows=48, width=64, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def test_int8_is_off_by_half_a_level_at_most_in_each_row():
    weight = matrix() * torch.logspace(-3, 3, 48)[:, None]  # rows of very different sizes
    small = quantize(weight)
    level = weight.abs().amax(1) / 127
    assert ((small.dequantized(torch.float32) - weight).abs() <= 0.5001 * level[:, None]).all()
    assert small.values.dtype == torch.int8 and small.values.abs().amax(1).eq(127).all()
    assert small.error == pytest.approx(float((dequantize(small, torch.float32) - weight).norm() / weight.norm()))


def test_rows_of_zeros_stay_zero():
    weight = matrix()
    weight[3] = 0
    assert not quantize(weight).dequantized(torch.float32)[3].any()


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float32", 1e-6), ("float16", 1e-3), ("bfloat16", 1e-2), ("int8", 2e-2)]
)
@pytest.mark.parametrize("rows", [1, 2, 3, 16, 33])
def test_a_packed_product_is_that_of_the_matrix(kind, tolerance, rows):
    needs(kind)
    weight, x = matrix(), matrix(rows, 64, seed=1)
    exact = x @ weight.T
    found = pack(weight, kind).product(x)
    assert found.dtype == (torch.bfloat16 if kind == "bfloat16" else torch.float32) and found.shape == exact.shape
    assert (found - exact).norm() <= tolerance * exact.norm()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(48, 64), (450, 150)], ids=str)
def test_a_row_has_the_same_bits_whatever_is_beside_it(kind, size):
    needs(kind)
    packed, x = pack(matrix(*size), kind), matrix(48, size[1], seed=1) * torch.logspace(-2, 2, 48)[:, None]
    together = packed.product(x)
    for rows in BATCHES:
        for first in range(0, 48, rows):
            alone = packed.product(x[first : first + rows])
            assert torch.equal(alone, together[first : first + rows]), f"{rows} rows from {first}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_zeros_gives_zeros(kind):
    needs(kind)
    assert not pack(matrix(), kind).product(torch.zeros(2, 64)).any()


@needs_packing
def test_the_error_of_packing_is_said():
    weight = matrix()
    for kind, most in (("float16", 5e-4), ("bfloat16", 4e-3), ("int8", 1e-2)):
        if not packing_supported(kind):
            continue
        packed = pack(weight, kind)
        assert isinstance(packed, PackedWeight) and packed.shape == (48, 64)
        assert 0 < packed.error < most


@needs_packing
@pytest.mark.parametrize(
    ("weight", "kind", "message"),
    [
        (matrix(), "int4", "kind is 'int4'; it should be float32, float16, bfloat16 or int8"),
        (matrix()[0], "int8", r"weight is torch.float32 \(64,\); it should be floating \[N, D\]"),
        (matrix().long(), "float16", r"weight is torch.int64 \(48, 64\); it should be floating"),
        (torch.full((2, 2), torch.nan), "int8", "weight holds NaN or infinity"),
        (torch.full((2, 2), 7e4), "float16", "a weight is 70000; float16 holds numbers up to 65504"),
    ],
)
def test_what_cannot_be_packed_is_refused(weight, kind, message):
    with pytest.raises(ValueError, match=message):
        pack(weight, kind)
