"""The dtype that a decoder computes in, and what stands around it: what each device offers, and what packing costs.

Knows devices and kinds of weights; does not know any family.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from clavilux.decoder import Decoder
from clavilux.half_decoding import DecodesInHalf
from clavilux.kernels import huge_pages, processor
from clavilux.kernels.quantized import LEVELS, Int8Weight, packing_supported
from clavilux.packing import GPU_KINDS, HALF_CACHE, pack_for_cpu, pack_for_gpu

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Of a weight at the peak of loading, for estimates; "auto": on a CPU, float32 with what is packed beside it.
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "auto": 6}
WORDS = ("auto", *DTYPES, "int8")
# Parameters from which on a step is products and little else. On two cores of a Xeon with AMX a step of MusicGen-small
# (420 M) takes 54 ms with bfloat16 and 57 with float16 at two rows, 59 and 91 at eight; a song by aria (2.8 M) takes
# 1.7 s and 1.2 s.
LARGE = 50_000_000
_LARGEST_HALF = torch.finfo(torch.float16).max


def prepare(module: nn.Module, decoder: Decoder, device: torch.device, dtype: str) -> dict[str, str | float]:
    """Move a loaded module to its device, in the dtype that it will compute in; for inference only.

    | dtype | on an x86 CPU | on another CPU | on a GPU |
    |---|---|---|---|
    | auto | float16, where it fits; bfloat16 for large decoders on AMX | float32 | bfloat16 |
    | float32 | float32 weights and arithmetic | the same | as it says |
    | float16 | float16 weights, float32 arithmetic * | float16 throughout | float16 |
    | bfloat16 | bfloat16 weights and products, the rest in float32 * | the same | as it says |
    | int8 | int8 weights and activations * | not available | int8 weights, bfloat16 arithmetic |

    * With keys and values in bfloat16, where the processor computes in it. A decoder whose matrices are int8 already
    (`clavilux quantize`) is taken as int8 by auto. On a CPU a row's bits do not depend on its batch, but for float16
    throughout. On a GPU every norm is folded into the matrix after it (`clavilux.packing`), except in float32.

    Args:
        module: holds the decoder, and whatever conditions it.
        decoder: the one whose steps are to be fast.
        device: where to.
        dtype: one of `WORDS`.

    Returns:
        {"dtype": the one that was settled on}; for int8 also {"weights_error": relative, root mean square}.

    Raises:
        ValueError: an unknown dtype, or one that this device has no kernels for.
    """
    check(dtype)
    module.eval().requires_grad_(False)
    rounded = [part for part in decoder.modules() if isinstance(getattr(part, "weight", None), Int8Weight)]
    if dtype == "auto":
        dtype = usual(decoder.num_parameters, device, bool(rounded))
        if dtype == "float16" and not _fits_half(decoder):
            dtype = "float32"
    packs = device.type == "cpu" and packing_supported(dtype)
    if dtype == "int8" and not packs and device.type != "cuda":
        raise ValueError(f"int8 has no kernels on this {device.type}; float32, bfloat16 and float16 do")
    if dtype != "int8":
        _expand(rounded, torch.float32 if packs else DTYPES[dtype])
    facts: dict[str, str | float] = {"dtype": dtype}
    if packs:
        module.to(device=device, dtype=torch.float32)
        error = pack_for_cpu(decoder, dtype)
        if decoder.num_parameters >= LARGE:  # it takes a second, which a small model's steps do not win back
            huge_pages.collapse()
    else:
        error = pack_for_gpu(decoder, dtype, device) if device.type == "cuda" and dtype in GPU_KINDS else 0.0
        module.to(device=device, dtype=torch.bfloat16 if dtype == "int8" else DTYPES[dtype])
    return facts | ({"weights_error": round(error, 6)} if dtype == "int8" else {})


def place_codec(codec: nn.Module, device: torch.device, dtype: str) -> None:
    """Move a codec to its device, in float32; what decodes in float16 where `halves`. For inference only.

    float16 has a smaller error than bfloat16 (`clavilux.half_decoding` has the numbers and what its range costs).
    """
    codec.eval().requires_grad_(False).to(device=device, dtype=torch.float32)
    if halves(device, dtype) and isinstance(codec, DecodesInHalf):
        codec.decode_in_half()


def text_dtype(device: torch.device, dtype: str) -> torch.dtype:
    """What a text encoder computes in: bfloat16 where `halves`, as T5's activations leave float16's range."""
    return torch.bfloat16 if halves(device, dtype) else torch.float32


def halves(device: torch.device, dtype: str) -> bool:
    """Whether what stands around the decoder computes in 16 bits: on a GPU, unless float32 is asked for."""
    return device.type == "cuda" and dtype != "float32"


def around_bytes(dtype: str) -> tuple[int, int]:
    """Bytes of a parameter beside the decoder and of a number that a codec computes, for estimates; dtype as `BYTES`.

    Of what stands in 16 bits on a GPU some is float32 still: a codec's encoder, and the matrices that T5 sums by.
    """
    return (4, 4) if dtype in ("auto", "float32") else (3, 2)


def _expand(linears: list[nn.Module], dtype: torch.dtype) -> None:
    """Give the layers of an int8 copy plain matrices again, those of format 2 with the gains in them. ValueError."""
    for linear in linears:
        weight = cast("Int8Weight", linear.weight)
        largest = LEVELS * float(weight.scale.max())
        if dtype == torch.float16 and largest > _LARGEST_HALF:
            raise ValueError(f"a weight is {largest:g}; float16 holds numbers up to {_LARGEST_HALF:g}")
        del linear.weight
        linear.weight = nn.Parameter(weight.dequantized(dtype), requires_grad=False)


def step_bytes(dtype: str) -> int:
    """At most, of a key's or a value's number, for estimates; dtype as `BYTES` has it."""
    return max(2, min(BYTES[dtype], 4))


def check(dtype: str) -> None:
    """Raise ValueError for what is no dtype."""
    if dtype not in WORDS:
        raise ValueError(f"the dtype is {dtype!r}; it should be {', '.join(WORDS[:-1])} or {WORDS[-1]}")


def usual(num_parameters: int, device: torch.device, rounded: bool = False) -> str:
    """What "auto" stands for, weights that fit float16 assumed; `rounded`: the matrices are int8 already."""
    if device.type == "cuda":
        return "int8" if rounded else "bfloat16"
    if device.type != "cpu" or not packing_supported():
        return "float32"
    if rounded:
        return "int8"
    if num_parameters >= LARGE and processor.AMX:
        return "bfloat16"
    return "float16"


def held_bytes(dtype: str, device: torch.device) -> tuple[int, int, int]:
    """Bytes of a number in the matrices, in the other weights, and in keys and values, as `prepare` leaves them."""
    if device.type == "cpu" and packing_supported(dtype):
        return BYTES[dtype], 4, 2 if HALF_CACHE and dtype != "float32" else 4
    if dtype == "int8":
        return 1, 2, 2
    return (DTYPES[dtype].itemsize,) * 3


def _fits_half(decoder: Decoder) -> bool:
    return all(p.numel() == 0 or float(p.abs().max()) <= _LARGEST_HALF for p in decoder.parameters())


def device_named(name: str) -> torch.device:
    """The device of that name. Raises ValueError for one that is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"the device {name!r} is not available; auto, cpu, cuda and mps are names") from None
    return device
