"""What a decoder's matrices are replaced by, so that its steps are fast; it is not to be trained or moved after that.

On a CPU they are laid out for its own products; on a GPU each norm is folded into the matrix that follows it. Knows
decoders and kinds of weights; which kind a device is given is `precision`'s.
"""

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from clavilux.decoder import Decoder
from clavilux.kernels import processor
from clavilux.kernels.folded import FoldedWeight, fold, folded
from clavilux.kernels.quantized import Int8Weight, dequantize, pack, quantize
from clavilux.layers import Norm, replace_weight

# 1,503 keys and values of MusicGen-small's 24 layers, two rows, on two cores of a Xeon: 16 ms a step in bfloat16, 27 in
# float32 and in float16, which a CPU only converts.
HALF_CACHE = processor.BFLOAT16
GPU_KINDS: Mapping[str, torch.dtype | str] = {"float16": torch.float16, "bfloat16": torch.bfloat16, "int8": "int8"}


def pack_for_cpu(decoder: Decoder, kind: str) -> float:
    """Lay the matrices of every layer and of the head out for this processor; the rest stays in float32.

    A CPU that computes with bfloat16 keeps keys and values in it, but for "float32".

    Args:
        decoder: on the CPU.
        kind: one of `clavilux.kernels.quantized.KINDS`.

    Returns:
        What it costs: the root mean square error of all of them, relative to their own.

    Raises:
        ValueError: an unknown kind, one that this processor has no kernels for, or weights it cannot hold.
    """
    decoder.placed += 1
    decoder.own_head()
    errors = _Errors()
    for linear in decoder.matrices().values():
        weight: Tensor | Int8Weight = linear.weight
        if isinstance(weight, Tensor):  # else it is of an int8 copy
            weight = weight.detach().float()
        packed = pack(weight, kind)
        replace_weight(linear, packed)
        errors.add(packed.error, weight)
    for index in decoder.spec.cross_layers:  # not rounded: they are read once a render
        kv = decoder.cross_attention(index).kv
        replace_weight(kv, pack(kv.weight.detach(), "float32"))
    if HALF_CACHE and kind != "float32":
        decoder.cache_dtype = torch.bfloat16
    return errors.joint


def pack_for_gpu(decoder: Decoder, kind: str, device: torch.device) -> float:
    """Fold every norm into the matrix that follows it, and for "int8" round all that a step reads; on `device`.

    Matrices that nothing is folded into, and "int8" does not round, stay where they are. Not folded are the matrices of
    an int8 copy in format 1, whose scales are a row's and not a column's, and those that float16 cannot hold then. In
    format 2 the gain is in the matrix already, and its norm has a gain of ones and a shift of zeros.

    Args:
        decoder: best in the dtype of its checkpoint, as the folded matrices are rounded here.
        kind: one of `GPU_KINDS`.
        device: where the matrices are to be.

    Returns:
        As `pack_for_cpu`; 0 but for "int8".
    """
    decoder.placed += 1
    errors = _Errors()
    if kind == "int8":
        decoder.own_head()
    for norm, linear in decoder.normed_linears():
        weight: Tensor | Int8Weight = linear.weight
        if isinstance(weight, Tensor):
            exact = weight.detach().to(device)
            error = _folded(norm, linear, exact, kind)
            if error is not None and kind == "int8":
                errors.add(error, exact)
        elif isinstance(weight, Int8Weight) and _does_nothing(norm):
            weight = weight.to(device)
            offset = None if linear.bias is None else linear.bias.detach().to(device).float()
            _put(norm, linear, folded(weight), offset)
            errors.add(weight.error, weight)
    if kind != "int8":
        return 0.0
    for linear in decoder.matrices().values():
        weight = linear.weight
        if isinstance(weight, Tensor):
            exact = weight.detach().to(device)
            weight = quantize(exact)
            errors.add(weight.error, exact)
        elif isinstance(weight, Int8Weight):
            weight = weight.to(device)
            errors.add(weight.error, weight)
        else:
            continue
        replace_weight(linear, weight)
    return errors.joint


def _folded(norm: Norm, linear: nn.Linear, weight: Tensor, kind: str) -> float | None:
    """Fold one; its error, or None where it cannot be folded."""
    gain, shift, bias = (
        None if part is None else part.to(weight.device) for part in (norm.weight, norm.bias, linear.bias)
    )
    try:
        matrix, offset = fold(weight, gain, shift, bias, GPU_KINDS[kind])
    except OverflowError:
        return None
    _put(norm, linear, matrix, offset)
    return matrix.error


def _does_nothing(norm: Norm) -> bool:
    """Whether a norm neither scales nor shifts what it normalizes."""
    return bool((norm.weight == 1).all()) and (norm.bias is None or not bool(norm.bias.any()))


def _put(norm: Norm, linear: nn.Linear, matrix: FoldedWeight, offset: Tensor | None) -> None:
    """A folded matrix in the place of a norm's parameters and a layer's."""
    replace_weight(linear, matrix)
    del linear.bias
    linear.bias = cast("nn.Parameter", offset)  # in float32
    norm.weight = cast("nn.Parameter", None)
    norm.bias = None


class _Errors:
    """The error of several matrices together; of each only two numbers are kept, so that it can be let go of."""

    def __init__(self) -> None:
        self._error = self._size = 0.0

    def add(self, error: float, weight: Tensor | Int8Weight) -> None:
        """One more, with what its error is relative to."""
        energy = float(dequantize(weight, torch.float32).float().square().sum())
        self._error, self._size = self._error + error**2 * energy, self._size + energy

    @property
    def joint(self) -> float:
        """Root mean square, relative."""
        return math.sqrt(self._error / self._size) if self._size else 0.0
