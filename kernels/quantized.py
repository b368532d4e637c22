"""Matrices in fewer bits: int8 with a scale for every output channel, and packed for a processor's own kernels.

Knows how a weight is stored and what that costs; the ops that use it are `norm_linear` and `linear_residual`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from clavilux.kernels import processor
from clavilux.kernels.steady import Product, row_counts, steady

KINDS = ("float32", "float16", "bfloat16", "int8")
LARGEST_HALF = 65504.0
LEVELS = 127  # symmetric: -127 .. 127
# Processors without VNNI add two products in 16 bits, which overflow at full range: there rows use half of it.
_ROW_LEVELS = 127 if processor.VNNI else 63
# Processors with AMX multiply tiles, by oneDNN. (Its int8 product takes 120 us for 1024 x 1024 and two rows inside a
# step, FBGEMM's 85; at eight rows they are alike.)
TILES = processor.AMX
TILE = 32  # numbers of a row that are multiplied at once
# The functions in C++ themselves: 6 us a call less than `default`, which looks for what only torch.export passes.
_product_with_halves = torch.ops.quantized.linear_dynamic_fp16.default._op
_product_of_bytes = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default._op
_product_of_onednn = torch.ops.mkldnn._linear_pointwise.default._op


@dataclass(frozen=True, eq=False)
class Int8Weight:
    """A matrix [N, D] as whole numbers and a scale a row: values[n] * scale[n].

    Attributes:
        values: int8 [N, D], contiguous.
        scale: float32 [N].
        error: the root mean square error against the matrix it was made from, relative to that matrix.
        offset: float32 [N] or None. Of a matrix in a file, into which a norm is folded: what is added to its products
            in place of the layer's bias. A decoder makes a bias of it; the ops do not look at it.
    """

    values: torch.Tensor
    scale: torch.Tensor
    error: float = 0.0
    offset: torch.Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        return self.values.shape

    @property
    def device(self) -> torch.device:
        return self.values.device

    def dequantized(self, dtype: torch.dtype) -> torch.Tensor:
        """[N, D], rounded once."""
        return (self.values.float() * self.scale[:, None]).to(dtype)

    def to(self, device: torch.device) -> "Int8Weight":
        """The same on a device."""
        offset = None if self.offset is None else self.offset.to(device)
        return replace(self, values=self.values.to(device), scale=self.scale.to(device), offset=offset)

    def slice_rows(self, first: int, last: int | None) -> "Int8Weight":
        """Rows first .. last - 1, or to the end."""
        offset = None if self.offset is None else self.offset[first:last]
        return replace(self, values=self.values[first:last], scale=self.scale[first:last], offset=offset)

    @staticmethod
    def stacked(parts: Sequence["Int8Weight"]) -> "Int8Weight":
        """The rows of several, one below the other; the error is the largest of theirs. All have an offset or none."""
        values, scale = torch.cat([part.values for part in parts]), torch.cat([part.scale for part in parts])
        offsets = [part.offset for part in parts if part.offset is not None]
        assert len(offsets) in (0, len(parts)), "a norm is folded into all the rows that read it"
        return Int8Weight(values, scale, max(part.error for part in parts), torch.cat(offsets) if offsets else None)


def quantize(weight: torch.Tensor) -> Int8Weight:
    """Round a matrix [N, D] to int8, symmetrically, with a scale for every row (output channel).

    Raises:
        ValueError: no matrix, or numbers in it that are not finite.
    """
    _check_matrix(weight)
    exact = weight.detach().float()
    scale = exact.abs().amax(1).clamp(min=1e-30) / LEVELS
    values = (exact / scale[:, None]).round().to(torch.int8)
    return Int8Weight(values, scale, _relative_error(values.float() * scale[:, None], exact))


@dataclass(frozen=True, eq=False)
class PackedWeight:
    """A matrix [N, D] laid out for a processor's own kernels, FBGEMM's or oneDNN's.

    | kind | weights | x | result | by |
    |---|---|---|---|---|
    | float32 | as they are | float32 | float32 | oneDNN, torch where that is missing |
    | float16 | half precision | float32 | float32 | FBGEMM, on x86 |
    | bfloat16 | bfloat16 | bfloat16 | bfloat16, summed in float32 | oneDNN on AMX, torch elsewhere |
    | int8 | 8 bits, a scale for every output channel | 8 bits, a scale for each row | float32 | FBGEMM, on x86 |

    A row is scaled and rounded by itself and summed in one order, so that it does not depend on the rows beside it
    (`steady`). Microseconds a product of 4096 x 1024, cold, on two cores:

    | | rows | 1 | 2 | 3 | 6 | 16 |
    |---|---|---|---|---|---|---|
    | EPYC with AVX-512 | bfloat16 `F.linear` | 533 | 541 | 582 | 647 | 891 |
    | | float32 `F.linear` | 1067 | 2177 | 2854 | 2224 | 2365 |
    | | float16, FBGEMM | 146 | 160 | 202 | 321 | 744 |
    | | int8, FBGEMM | 109 | 110 | 117 | 152 | 309 |
    | Xeon with AMX | float16, FBGEMM | 398 | 429 | 508 | 614 | 1151 |
    | | bfloat16, oneDNN | 430 | 413 | 420 | 408 | 435 |
    | | int8, FBGEMM | 227 | 240 | 279 | 319 | 419 |

    Attributes:
        kind: one of `KINDS`.
        shape: (N, D).
        error: as for `Int8Weight`, of the matrix alone.
        product: x [rows, D], float32 or bfloat16 -> a new [rows, N], bfloat16 for "bfloat16" and float32 otherwise; a
            row's bits are the same whatever rows are beside it.
    """

    kind: str
    shape: tuple[int, int]
    error: float
    product: Product

    device = torch.device("cpu")


def dequantize(weight: torch.Tensor | Int8Weight, dtype: torch.dtype) -> torch.Tensor:
    """The matrix itself, or the one that an int8 matrix stands for."""
    return weight.dequantized(dtype) if isinstance(weight, Int8Weight) else weight


def values_and_scale(weight: torch.Tensor | Int8Weight) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What a kernel reads of a matrix [N, D]: its numbers, and the scale of each row where they are int8."""
    return (weight.values, weight.scale) if isinstance(weight, Int8Weight) else (weight, None)


def rounded_once(product: torch.Tensor, dtype: torch.dtype, what: str) -> torch.Tensor:
    """A product in a dtype. Raises OverflowError, which says `what` it is of, where float16 cannot hold it."""
    if dtype == torch.float16 and product.numel() and float(product.abs().max()) > LARGEST_HALF:
        raise OverflowError(f"{what} reaches {float(product.abs().max()):.3g}")
    return product.to(dtype)


def packing_supported(kind: str = "float16") -> bool:
    """Whether this processor has the kernels: float16 and int8 take an x86 one with FBGEMM."""
    return kind in KINDS and (processor.FBGEMM or kind in ("float32", "bfloat16"))


def pack(weight: torch.Tensor | Int8Weight, kind: str) -> PackedWeight:
    """Lay a matrix [N, D] out for this processor.

    Args:
        weight: floating, on the CPU; or rounded already.
        kind: one of `KINDS`.

    Raises:
        ValueError: an unknown kind, a processor without the kernels, no matrix, or numbers it cannot hold.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it should be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if not packing_supported(kind):
        raise ValueError(f"weights cannot be packed as {kind} on this processor; that takes an x86 one with FBGEMM")
    if not isinstance(weight, Int8Weight):
        _check_matrix(weight)
    if kind == "int8":
        small = weight if isinstance(weight, Int8Weight) else quantize(weight)
        return PackedWeight(kind, _size(small.values), small.error, _bytes(small))
    exact = dequantize(weight, torch.float32).detach().float().contiguous()
    if kind == "float16":
        largest = float(exact.abs().max())
        if largest > LARGEST_HALF:
            raise ValueError(f"a weight is {largest:g}; float16 holds numbers up to {LARGEST_HALF:g}")
    rounded = exact.to(getattr(torch, kind))
    product, shape = _PRODUCTS[kind](rounded), _size(exact)
    if (kind, shape) not in _ROW_COUNTS:
        _ROW_COUNTS[kind, shape] = row_counts(product, shape[1])
    steadied = steady(product, shape[1], _ROW_COUNTS[kind, shape])
    return PackedWeight(kind, shape, _relative_error(rounded.float(), exact), steadied)


def _float32(exact: Tensor) -> Product:
    if not processor.ONEDNN:
        return lambda x: linear(x.float(), exact)
    packed = torch.ops.mkldnn._reorder_linear_weight(exact, None)
    return lambda x: _product_of_onednn(x.float(), packed, None, "none", [], "")


def _float16(halves: Tensor) -> Product:
    packed = torch.ops.quantized.linear_prepack_fp16(halves.float(), None)
    return lambda x: _product_with_halves(x.float(), packed)


def _bfloat16(halves: Tensor) -> Product:
    if not TILES:  # without them oneDNN has nothing faster
        return lambda x: linear(x.bfloat16(), halves)
    # A width that fills no tile is summed in another order.
    missing = -halves.shape[1] % TILE
    packed = torch.ops.mkldnn._reorder_linear_weight(pad(halves, (0, missing)), None)

    def product(x: Tensor) -> Tensor:
        x = pad(x.bfloat16(), (0, missing)) if missing else x.bfloat16()
        return _product_of_onednn(x, packed, None, "none", [], "")

    return product


# By kind and shape: what a library does for one matrix it does for every other, and looking takes 25 products or more.
_ROW_COUNTS: dict[tuple[str, tuple[int, int]], list[int]] = {}
_PRODUCTS: Mapping[str, Callable[[Tensor], Product]] = {"float32": _float32, "float16": _float16, "bfloat16": _bfloat16}


def _bytes(rounded: Int8Weight) -> Product:
    with warnings.catch_warnings():
        # PyTorch means to remove this type of tensor one day; FBGEMM's int8 kernels can be reached no other way, and
        # without AMX oneDNN's took 167 us at one row and 10 ms at sixteen where these take 102 and 249.
        warnings.simplefilter("ignore")
        zeros = torch.zeros(len(rounded.scale), dtype=torch.int64)
        tensor = torch._make_per_channel_quantized_tensor(rounded.values, rounded.scale.double(), zeros, 0)
        packed = torch.ops.quantized.linear_prepack(tensor, None)

    def product(x: Tensor) -> Tensor:
        x = x.float()
        largest = _largest(x)
        return _product_of_bytes(x / largest, 1 / _ROW_LEVELS, _ROW_LEVELS + 1, packed).mul_(largest)

    return product


def _size(matrix: Tensor) -> tuple[int, int]:
    outs, width = matrix.shape
    return outs, width


def _largest(x: Tensor) -> Tensor:
    # 3 us for 2 x 4096, where the infinity norm takes 23
    return x.abs().amax(1, True).clamp_(min=1e-30)


def _check_matrix(weight: Tensor) -> None:
    if weight.ndim != 2 or not weight.is_floating_point() or not weight.numel():
        raise ValueError(f"weight is {weight.dtype} {tuple(weight.shape)}; it should be floating [N, D]")
    if not all(extreme.isfinite() for extreme in weight.aminmax()):  # the extremes carry NaN along; 25 times as fast
        raise ValueError("weight holds NaN or infinity; it should be finite")


def _relative_error(given: Tensor, exact: Tensor) -> float:
    return float((given - exact).norm() / exact.norm().clamp(min=1e-30))
