"""Matrices in fewer bits: int8 with a scale for every output channel, and packed for an x86 processor's own kernels.

Knows how a weight is stored and what that costs; the ops that use it are `norm_linear` and `linear_residual`.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch

KINDS = ("float16", "int8")
LARGEST_HALF = 65504.0
LEVELS = 127  # symmetric: -127 .. 127
# Processors without VNNI add two products in 16 bits, which overflow at full range: there rows use half of it.
_ROW_LEVELS = 127 if torch.cpu._is_vnni_supported() else 63
# The functions in C++ themselves: 6 us a call less than `default`, which looks for what only torch.export passes.
_product_with_halves = torch.ops.quantized.linear_dynamic_fp16.default._op
_product_of_bytes = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default._op


@dataclass(frozen=True, eq=False)
class Int8Weight:
    """A matrix [N, D] as whole numbers and a scale a row: values[n] * scale[n].

    Attributes:
        values: int8 [N, D], contiguous.
        scale: float32 [N].
        error: the root mean square error against the matrix it was made from, relative to that matrix.
    """

    values: torch.Tensor
    scale: torch.Tensor
    error: float = 0.0

    @property
    def shape(self) -> torch.Size:
        return self.values.shape

    @property
    def device(self) -> torch.device:
        return self.values.device

    def dequantised(self, dtype: torch.dtype) -> torch.Tensor:
        """[N, D], rounded once."""
        return (self.values.float() * self.scale[:, None]).to(dtype)


def quantise(weight: torch.Tensor) -> Int8Weight:
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
    """A matrix [N, D] laid out for FBGEMM, which multiplies it with float32 rows.

    "float16" holds it in half precision and sums in float32. "int8" holds a scale for every output channel, and scales
    each row of x to 8 bits as well: by itself, so that a row does not depend on the rows beside it.

    Measured on two cores of an EPYC with AVX-512, 4096 x 1024, cold, microseconds a product:

    | rows | 1 | 2 | 3 | 6 | 16 |
    |---|---|---|---|---|---|
    | bfloat16 `F.linear` | 533 | 541 | 582 | 647 | 891 |
    | float32 `F.linear` | 1067 | 2177 | 2854 | 2224 | 2365 |
    | float16 here | 146 | 160 | 202 | 321 | 744 |
    | int8 here | 109 | 110 | 117 | 152 | 309 |

    Attributes:
        kind: "float16" or "int8".
        shape: (N, D).
        error: as for `Int8Weight`, of the matrix alone.
    """

    kind: str
    shape: tuple[int, int]
    error: float
    handle: Any

    device = torch.device("cpu")

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """x [rows, D] float32 -> a new [rows, N] float32; a row's bits are the same whatever rows are beside it."""
        if self.kind == "float16":
            return _product_with_halves(x, self.handle)
        largest = x.abs().amax(1, True).clamp_(min=1e-30)  # 3 us for 2 x 4096, where the infinity norm takes 23
        y = _product_of_bytes(x / largest, 1 / _ROW_LEVELS, _ROW_LEVELS + 1, self.handle)
        return y.mul_(largest)


def dense(weight: torch.Tensor | Int8Weight, dtype: torch.dtype) -> torch.Tensor:
    """The matrix itself, or the one that an int8 matrix stands for."""
    return weight.dequantised(dtype) if isinstance(weight, Int8Weight) else weight


def packing_supported() -> bool:
    """Whether this processor has the kernels: x86 with FBGEMM."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def pack(weight: torch.Tensor, kind: str) -> PackedWeight:
    """Lay a matrix [N, D] out for this processor.

    Args:
        weight: float32, on the CPU.
        kind: "float16" or "int8".

    Raises:
        ValueError: an unknown kind, a processor without the kernels, no matrix, or numbers it cannot hold.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it should be {' or '.join(KINDS)}")
    if not packing_supported():
        raise ValueError("weights cannot be packed on this processor; FBGEMM needs an x86 one")
    _check_matrix(weight)
    exact = weight.detach().float().contiguous()
    if kind == "int8":
        return _packed_int8(exact)
    largest = float(exact.abs().max())
    if largest > LARGEST_HALF:
        raise ValueError(f"a weight is {largest:g}; float16 holds numbers up to {LARGEST_HALF:g}")
    error = _relative_error(exact.half().float(), exact)
    return PackedWeight(kind, tuple(exact.shape), error, torch.ops.quantized.linear_prepack_fp16(exact, None))


def _packed_int8(exact):
    rounded = quantise(exact)
    with warnings.catch_warnings():
        # PyTorch means to remove this type of tensor one day; FBGEMM's int8 kernels can be reached no other way, and
        # oneDNN's took 167 us at one row and 10 ms at sixteen where these take 102 and 249.
        warnings.simplefilter("ignore")
        zeros = torch.zeros(len(exact), dtype=torch.int64)
        tensor = torch._make_per_channel_quantized_tensor(rounded.values, rounded.scale.double(), zeros, 0)
        handle = torch.ops.quantized.linear_prepack(tensor, None)
    return PackedWeight("int8", tuple(exact.shape), rounded.error, handle)


def _check_matrix(weight):
    if weight.ndim != 2 or not weight.is_floating_point() or not weight.numel():
        raise ValueError(f"weight is {weight.dtype} {tuple(weight.shape)}; it should be floating [N, D]")
    if not weight.isfinite().all():
        raise ValueError("weight holds NaN or infinity; it should be finite")


def _relative_error(given, exact):
    return float((given - exact).norm() / exact.norm().clamp(min=1e-30))
