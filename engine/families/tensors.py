"""The tensors of foreign checkpoints under our names, checked against what the config promises.

Knows maps from names to names, and how a decoder is made of tensors. Does not know any family; files are read by
`clavilux.checkpoint_io`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from clavilux.checkpoint_io import open_safetensors, read_tensors, unwrapped_names
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.errors import CheckpointError
from clavilux.families import int8
from clavilux.kernels.quantized import Int8Weight, dequantize
from clavilux.strict_weights import Shapes, check

_SAMPLED = 1024  # elements of each tensor that a fingerprint reads


@dataclass(frozen=True)
class Rows:
    """Rows first .. last - 1 of a tensor in a file; all of them by default."""

    name: str
    first: int = 0
    last: int | None = None


Weight = Tensor | Int8Weight
W = TypeVar("W", bound=Weight)  # where all that comes out is of the kind that went in
NameMap = Mapping[str, tuple[Rows, ...]]


def read_folder(folder: Path) -> dict[str, Weight]:
    """Every tensor of a folder in the transformers layout. CheckpointError as `checkpoint_io.read_tensors`."""
    return int8.merge_scales(read_tensors(folder), f"the checkpoint {str(folder)!r}")


def read_weights(path: Path, shapes: Shapes) -> dict[str, Tensor]:
    """The tensors of a file of our own. CheckpointError as `checkpoint_io.read_tensors`, or as `check`."""
    tensors = read_tensors(path)
    check(tensors, shapes, repr(str(path)))
    return tensors


def under(tensors: Mapping[str, W], prefix: str) -> dict[str, W]:
    """Those whose names begin with `prefix`, by the rest of their names."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def not_rounded(tensors: Mapping[str, Weight], label: str) -> dict[str, Tensor]:
    """Tensors of which an int8 copy rounds none. Raises CheckpointError, with the file's label, for one that is."""
    plain = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}
    rounded = sorted(tensors.keys() - plain.keys())
    if rounded:
        raise CheckpointError(f"{label} has {rounded[0]} in int8; only the decoder's matrices may be")
    return plain


def mapped(tensors: Mapping[str, Weight], names: NameMap) -> dict[str, Weight]:
    """Tensors under our names: the rows of one or more of the file's, one below the other."""
    return {ours: _stacked([_rows(tensors[part.name], part) for part in parts]) for ours, parts in names.items()}


def _rows(weight: Weight, part: Rows) -> Weight:
    return (
        weight.slice_rows(part.first, part.last) if isinstance(weight, Int8Weight) else weight[part.first : part.last]
    )


def _stacked(pieces: list[Weight]) -> Weight:
    if len(pieces) == 1:
        return pieces[0]
    rounded = [piece for piece in pieces if isinstance(piece, Int8Weight)]
    if len(rounded) == len(pieces):
        num_offsets = sum(piece.offset is not None for piece in rounded)
        if num_offsets not in (0, len(rounded)):
            raise CheckpointError(
                f"an int8 copy has {num_offsets} of the {len(rounded)} offsets that one matrix of the decoder is made "
                "of; it should have all or none"
            )
        return Int8Weight.stacked(rounded)
    return torch.cat([dequantize(piece, torch.float32) for piece in pieces])


def decoder_of(spec: DecoderSpec, weights: dict[str, Weight]) -> Decoder:
    """A decoder that holds these tensors themselves: nothing is drawn or copied, so a big model loads in seconds."""
    return Decoder.from_weights(spec, weights)


def fingerprint(tensors: Mapping[str, Weight]) -> str:
    """16 hex digits that distinguish checkpoints: of all names and shapes, and the first elements of each tensor.

    A hash of every byte takes 10 s on the largest models, each time they are loaded.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        weight = tensors[name]
        tensor = weight.values if isinstance(weight, Int8Weight) else weight
        sample = tensor.flatten()[:_SAMPLED].contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {sample.dtype}".encode())
        digest.update(sample.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def count_elements(folder: Path) -> dict[str, int] | None:
    """How many elements each tensor has, out of the heads of safetensors files; None where there are no such files.

    Raises:
        CheckpointError: a damaged file.
    """
    elements: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with open_safetensors(path) as file:
            for name, theirs in unwrapped_names(file.keys()).items():
                elements[name] = math.prod(file.get_slice(theirs).get_shape())
    return elements or None
