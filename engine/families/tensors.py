"""The tensors of foreign checkpoints under our names, checked against what the config promises.

Knows maps from names to names, and how a decoder is made of tensors. Does not know any family; files are read by
`clavilux.audio.codecs.weights`, which runs no code.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..audio.codecs import weights as files
from ..decoder import Decoder, DecoderSpec
from ..errors import CheckpointError
from ..kernels.weights import Int8Weight, dense
from . import int8

_NAMED = 5  # names that an error lists
_SAMPLED = 1024  # numbers of each tensor that a fingerprint reads


@dataclass(frozen=True)
class Rows:
    """Rows first .. last - 1 of a tensor in a file; all of them by default."""

    name: str
    first: int = 0
    last: int | None = None


Weight = Tensor | Int8Weight
NameMap = Mapping[str, tuple[Rows, ...]]
Shapes = Mapping[str, tuple[int, ...]]


def read_folder(folder: Path) -> dict[str, Weight]:
    """Every tensor of a folder in the transformers layout. CheckpointError as `audio.codecs.weights.read_tensors`."""
    try:
        tensors = files.read_tensors(folder)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    return int8.joined(tensors, f"the checkpoint {str(folder)!r}")


def read_torch(path: Path) -> dict[str, Any]:
    """A PyTorch file of plain values and tensors. CheckpointError as `audio.codecs.weights.read_torch`."""
    try:
        return files.read_torch(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def check(tensors: Mapping[str, Weight], wanted: Shapes, label: str, others: Iterable[str] = ()) -> None:
    """Raise CheckpointError, naming what differs, unless there is exactly `wanted`, all finite, and some of `others`.

    Args:
        tensors: by the names of the file.
        wanted: names and shapes that there should be.
        label: what the error calls the file.
        others: names that may be there as well; they are not read.
    """
    missing = sorted(set(wanted) - set(tensors))
    extra = sorted(set(tensors) - set(wanted) - set(others))
    if missing or extra:
        named = (("lacks", missing), ("has", extra))
        differences = " and ".join(f"{word} {_listed(names)}" for word, names in named if names)
        raise CheckpointError(f"{label} does not fit its config: it {differences}")
    shapes = {name: tuple(tensors[name].shape) for name in wanted}
    bad = [f"{name} is {shapes[name]}, not {shape}" for name, shape in sorted(wanted.items()) if shapes[name] != shape]
    if bad:
        raise CheckpointError(f"{label} does not fit its config: {_listed(bad)}")
    infinite = [name for name in sorted(wanted) if not _is_finite(tensors[name])]
    if infinite:
        raise CheckpointError(f"{label} holds numbers that are not finite in {_listed(infinite)}")


def under(tensors: Mapping[str, Weight], prefix: str) -> dict[str, Weight]:
    """Those whose names begin with `prefix`, by the rest of their names."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def mapped(tensors: Mapping[str, Weight], names: NameMap) -> dict[str, Weight]:
    """Tensors under our names: the rows of one or more of the file's, one below the other."""
    return {ours: _stacked([_rows(tensors[part.name], part) for part in parts]) for ours, parts in names.items()}


def _rows(weight: Weight, part: Rows) -> Weight:
    return weight.rows(part.first, part.last) if isinstance(weight, Int8Weight) else weight[part.first : part.last]


def _stacked(pieces: list[Weight]) -> Weight:
    if len(pieces) == 1:
        return pieces[0]
    if all(isinstance(piece, Int8Weight) for piece in pieces):
        return Int8Weight.stacked(pieces)
    return torch.cat([dense(piece, torch.float32) for piece in pieces])


def decoder_of(spec: DecoderSpec, weights: dict[str, Weight]) -> Decoder:
    """A decoder that holds these tensors themselves: nothing is drawn or copied, so a big model loads in seconds."""
    return Decoder.from_weights(spec, weights)


def fingerprint(tensors: Mapping[str, Weight]) -> str:
    """16 hex digits that tell checkpoints apart: of all names and shapes, and the first numbers of each tensor.

    A hash of every byte takes 10 s on the largest models, each time they are loaded.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].values if isinstance(tensors[name], Int8Weight) else tensors[name]
        sample = tensor.flatten()[:_SAMPLED].contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {sample.dtype}".encode())
        digest.update(sample.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def count_numbers(folder: Path) -> dict[str, int] | None:
    """How many numbers each tensor has, out of the heads of safetensors files; None where there are no such files.

    Raises:
        CheckpointError: a damaged file.
    """
    numbers: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118
                    numbers[name] = math.prod(file.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{str(path)!r} is damaged: {error}") from None
    return numbers or None


def _is_finite(weight: Weight) -> bool:
    tensor = weight.scale if isinstance(weight, Int8Weight) else weight
    # The extremes carry NaN along. This takes 0.1 ns a number; isfinite takes 2.5 ns, 10 s for a big model.
    return tensor.numel() == 0 or all(torch.isfinite(extreme) for extreme in tensor.aminmax())


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
