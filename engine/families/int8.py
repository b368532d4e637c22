"""Int8 copies: checkpoints whose decoder's matrices are int8, with a scale for every row.

In such a copy a matrix `X` is int8 [N, D] and has a float32 [N] beside it, `X_scale`; one more tensor, `ERROR`, says
how far all of them are from what was rounded. Everything else is as it was, in half precision where that holds the very
same numbers. `FORMAT` is the format's number; a copy without it is in format 1, as version 0.1 wrote them.

In format 2 the gain of the norm before a matrix is in the matrix, W * gain, and a float32 [N] `X_offset` = W @ shift +
bias stands for the norm's shift and the layer's bias, where there is either; the norm's own gain and shift are ones and
zeros. (A scale is a row's: a gain, which is a column's, can only go in before the rounding.) `OFFSETS` says how many
offsets there are: one that is lost would change what is computed, and nothing else. A norm before a matrix that is not
int8 is as it was.

Knows these tensors and how a folder is written; which matrices are meant, and the layout of the files, is each
family's.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from clavilux.checkpoint_io import open_safetensors
from clavilux.errors import CheckpointError
from clavilux.files import new_folder
from clavilux.kernels.folded import fold_exactly
from clavilux.kernels.quantized import Int8Weight, quantize

ERROR = "clavilux.int8_error"  # float32 [1]: root mean square, relative
FORMAT = "clavilux.int8_format"  # int64 [1]
OFFSETS = "clavilux.int8_offsets"  # int64 [1], from format 2 on
SCALE = "_scale"  # ends the name of an int8 matrix's scales, one a row
OFFSET = "_offset"  # and of what is added to its products
NEWEST = 2  # of the formats, and the one that is written


@dataclass(frozen=True)
class NormBefore:
    """Names of what is folded into a matrix: the gain of the norm before it, the norm's shift, the layer's bias."""

    gain: str
    shift: str | None = None
    bias: str | None = None


def merge_scales(tensors: Mapping[str, Tensor], label: str) -> dict[str, Tensor | Int8Weight]:
    """What a file holds, with the matrices of an int8 copy as such.

    Raises:
        CheckpointError: a format that is not known, or a scale or an offset that is lost or does not fit.
    """
    number = _format(tensors.get(FORMAT), label)
    error = tensors.get(ERROR)
    if error is None:
        return dict(tensors)
    endings = (SCALE, OFFSET) if number > 1 else (SCALE,)
    rounded = {name for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    beside = {name + ending for name in rounded for ending in endings} | {ERROR, FORMAT, OFFSETS}
    if number > 1:
        _check_offsets(tensors, rounded, label)
    found: dict[str, Tensor | Int8Weight] = {}
    for name, tensor in tensors.items():
        if name in beside:
            continue
        scale, offset = tensors.get(name + SCALE), tensors.get(name + OFFSET) if number > 1 else None
        if name not in rounded:
            found[name] = tensor
        elif scale is None or tensor.ndim != 2 or not _is_a_row_each(scale, tensor):
            raise CheckpointError(f"{label} has no scale for the rows of {name}; an int8 copy should")
        elif offset is not None and not (_is_a_row_each(offset, tensor) and bool(offset.isfinite().all())):
            raise CheckpointError(
                f"{label} has {name + OFFSET} as {offset.dtype} {tuple(offset.shape)}; "
                f"it should be {len(tensor)} finite numbers in float32, one for each row of {name}"
            )
        else:
            found[name] = Int8Weight(tensor, scale, float(error.sum()), offset)
    return found


def _check_offsets(tensors: Mapping[str, Tensor], rounded: Collection[str], label: str) -> None:
    """Raise CheckpointError where there are not as many offsets as there should be."""
    offsets, wanted = sum(name + OFFSET in tensors for name in rounded), tensors.get(OFFSETS)
    if wanted is None or wanted.numel() != 1 or wanted.is_floating_point() or int(wanted) != offsets:
        should = "nothing of how many there should be" if wanted is None else f"{OFFSETS} as {wanted.tolist()}"
        raise CheckpointError(f"{label} has {offsets} offsets, and {should}: an int8 copy that is not whole")


def _is_a_row_each(numbers: Tensor, matrix: Tensor) -> bool:
    return numbers.shape == matrix.shape[:1] and numbers.dtype == torch.float32


def _format(tensor: Tensor | None, label: str) -> int:
    """The number of a copy's format, out of its tensor."""
    if tensor is None:
        return 1
    given = f"a format that is {tensor.dtype} {tuple(tensor.shape)}"
    if tensor.numel() == 1 and not tensor.is_floating_point():
        number = int(tensor)
        if 1 <= number <= NEWEST:
            return number
        given = f"format {number}"
    raise CheckpointError(f"{label} is an int8 copy in {given}; this version of clavilux reads 1 to {NEWEST}")


def facts_of(path: Path) -> dict[str, Any]:
    """What `clavilux info` says of the weights, if this safetensors file is an int8 copy's: only its head is read.

    Raises:
        CheckpointError: a damaged file, or a format that is not known.
    """
    if not path.exists():
        return {}
    with open_safetensors(path) as file:
        error, number = (file.get_tensor(name) if name in set(file.keys()) else None for name in (ERROR, FORMAT))
    if error is None:
        return {}
    format_number = _format(number, f"the checkpoint {str(path.parent)!r}")
    return {"weights": "int8", "weights_error": round(float(error.sum()), 6), "weights_format": format_number}


class Rounding:
    """Turns tensors into those of an int8 copy, and keeps count of what that costs."""

    def __init__(self, matrices: Collection[str], norms: Mapping[str, NormBefore] | None = None):
        """matrices: names of those to round; norms: of some of them, what is folded in before."""
        self._matrices, self._norms, self._error, self._energy = frozenset(matrices), norms or {}, 0.0, 0.0
        self._offsets = 0

    def __call__(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a copy. Raises CheckpointError for a matrix that is int8 already or not finite."""
        gains = {norm.gain for norm in self._norms.values()}
        shifts = {norm.shift for norm in self._norms.values()}
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            if name in self._matrices:
                found |= self._rounded(name, tensor, tensors)
            elif name in gains:
                found[name] = _in_half_if_exact(torch.ones_like(tensor))
            elif name in shifts:
                found[name] = _in_half_if_exact(torch.zeros_like(tensor))
            else:
                found[name] = _in_half_if_exact(tensor).clone()  # of a .bin, two may share their memory
        return found

    def _rounded(self, name: str, tensor: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        norm, offset = self._norms.get(name), None
        try:
            if norm is not None and tensor.is_floating_point():  # else it is refused below
                parts = [None if part is None else tensors[part] for part in (norm.gain, norm.shift, norm.bias)]
                tensor, offset = fold_exactly(tensor, *parts)
            small = quantize(tensor)
        except ValueError as error:
            raise CheckpointError(f"{name} cannot be rounded to int8: {error}") from None
        energy = float(tensor.double().square().sum())
        self._error, self._energy = self._error + small.error**2 * energy, self._energy + energy
        added = {} if offset is None else {name + OFFSET: offset}
        self._offsets += len(added)
        return {name: small.values, name + SCALE: small.scale} | added

    @property
    def error(self) -> float:
        """The root mean square error of everything that was rounded, as it was folded, relative to it."""
        return math.sqrt(self._error / self._energy) if self._energy else 0.0

    @property
    def marks(self) -> dict[str, Tensor]:
        """`ERROR`, `FORMAT` and `OFFSETS`, to be saved with the tensors."""
        numbers = {FORMAT: NEWEST, OFFSETS: self._offsets}
        return {ERROR: torch.tensor([self.error])} | {name: torch.tensor([n]) for name, n in numbers.items()}


def _in_half_if_exact(tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


@contextmanager
def new_copy(path: Path) -> Iterator[Path]:
    """Yield a folder for a copy, as `clavilux.files.new_folder` does.

    Raises:
        ValueError: there is something at `path` already, or it is no place for a folder.
        OSError: writing failed (a full disk).
    """
    try:
        with new_folder(path) as temporary:
            yield temporary
    except (OSError, SafetensorError, RuntimeError) as error:  # of the writers of safetensors and of PyTorch
        reason = getattr(error, "strerror", None) or (str(error).strip().splitlines() or ["?"])[0]
        raise OSError(f"Could not write {str(path)!r}: {reason}; nothing was saved.") from error


def copy_beside(folder: Path, target: Path, wanted: Callable[[str], bool], *, folders: bool) -> None:
    """Copy those files of a folder whose names are wanted, and the folders in it if they are asked for."""
    for item in sorted(folder.iterdir()):
        if folders and item.is_dir() and not item.name.startswith("."):
            shutil.copytree(item, target / item.name)
        elif item.is_file() and wanted(item.name):
            shutil.copyfile(item, target / item.name)
