"""Int8 copies: checkpoints whose decoder's matrices are int8, with a scale for every row.

In such a copy a matrix `X` is int8 [N, D] and has a float32 [N] beside it, `X_scale`; one more tensor, `ERROR`, says
how far all of them are from the originals. Everything else is as it was, in half precision where that holds the very
same numbers. Knows these tensors and how a folder is written; which matrices are meant, and the layout of the files, is
each family's.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from clavilux.checkpoint_io import open_safetensors
from clavilux.errors import CheckpointError
from clavilux.files import check_new_folder
from clavilux.kernels.quantized import Int8Weight, quantize

ERROR = "clavilux.int8_error"  # float32 [1]: root mean square, relative
SCALE = "_scale"  # ends the name of an int8 matrix's scales, one a row


def merge_scales(tensors: Mapping[str, Tensor], label: str) -> dict[str, Tensor | Int8Weight]:
    """What a file holds, with the matrices of an int8 copy as such; CheckpointError if a scale does not fit."""
    error = tensors.get(ERROR)
    if error is None:
        return dict(tensors)
    found: dict[str, Tensor | Int8Weight] = {}
    for name, tensor in tensors.items():
        scale = tensors.get(name + SCALE)
        if name == ERROR or name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        if tensor.dtype != torch.int8:
            found[name] = tensor
        elif scale is None or tensor.ndim != 2 or scale.shape != tensor.shape[:1] or scale.dtype != torch.float32:
            raise CheckpointError(f"{label} has no scale for the rows of {name}; an int8 copy should")
        else:
            found[name] = Int8Weight(tensor, scale, float(error.sum()))
    return found


def facts_of(path: Path) -> dict[str, Any]:
    """What `clavilux info` says of the weights, if this safetensors file is an int8 copy's: only its head is read."""
    if not path.exists():
        return {}
    with open_safetensors(path) as file:
        error = file.get_tensor(ERROR) if ERROR in set(file.keys()) else None
    return {} if error is None else {"weights": "int8", "weights_error": round(float(error.sum()), 6)}


class Rounding:
    """Turns tensors into those of an int8 copy, and keeps count of what that costs."""

    def __init__(self, matrices: Collection[str]):
        """matrices: names of those to round."""
        self._matrices, self._error, self._energy = frozenset(matrices), 0.0, 0.0

    def __call__(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a copy. Raises CheckpointError for a matrix that is int8 already or not finite."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            if name not in self._matrices:
                found[name] = _in_half_if_exact(tensor).clone()  # of a .bin, two may share their memory
                continue
            try:
                small = quantize(tensor)
            except ValueError as error:
                raise CheckpointError(f"{name} cannot be rounded to int8: {error}") from None
            energy = float(tensor.double().square().sum())
            self._error, self._energy = self._error + small.error**2 * energy, self._energy + energy
            found |= {name: small.values, name + SCALE: small.scale}
        return found

    @property
    def error(self) -> float:
        """The root mean square error of everything that was rounded, relative to it."""
        return math.sqrt(self._error / self._energy) if self._energy else 0.0

    @property
    def error_tensor(self) -> dict[str, Tensor]:
        """`ERROR`, to be saved with the tensors."""
        return {ERROR: torch.tensor([self.error])}


def _in_half_if_exact(tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill, which takes its name `path` at the end; whatever goes wrong, nothing is left.

    Raises:
        ValueError: there is something at `path` already, or it is no place for a folder.
        OSError: writing failed (a full disk).
    """
    path = Path(path)
    check_new_folder(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(path)
    except (OSError, SafetensorError, RuntimeError) as error:  # of the writers of safetensors and of PyTorch
        reason = getattr(error, "strerror", None) or (str(error).strip().splitlines() or ["?"])[0]
        raise OSError(f"Could not write {str(path)!r}: {reason}; nothing was saved.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_beside(folder: Path, target: Path, wanted: Callable[[str], bool], *, folders: bool) -> None:
    """Copy those files of a folder whose names are wanted, and the folders in it if they are asked for."""
    for item in sorted(folder.iterdir()):
        if folders and item.is_dir() and not item.name.startswith("."):
            shutil.copytree(item, target / item.name)
        elif item.is_file() and wanted(item.name):
            shutil.copyfile(item, target / item.name)
