"""Load a model: a source is found, its family reads it, and the model that its registry entry names stands around it.

Knows no family: what differs between them is in `families.registry`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from clavilux.checkpoint import Checkpoint, find
from clavilux.precision import check, device_named

if TYPE_CHECKING:
    import torch

    from clavilux.families.jukebox.model import JukeboxModel
    from clavilux.family import CodecApartModule
    from clavilux.image_model import ImageModel
    from clavilux.model import Model
    from clavilux.music_model import MusicModel


@overload
def load(source: Literal["aria"], device: str = "auto", dtype: str = "auto") -> MusicModel: ...


@overload
def load(source: Literal["lumia"], device: str = "auto", dtype: str = "auto") -> ImageModel: ...


@overload
def load(
    source: str | Path | Checkpoint, device: str = "auto", dtype: str = "auto", *, codec: str | Path | None = None
) -> MusicModel | ImageModel | JukeboxModel: ...


def load(
    source: str | Path | Checkpoint, device: str = "auto", dtype: str = "auto", *, codec: str | Path | None = None
) -> Model:
    """Load a model.

    Args:
        source: a bundled model's name ("aria"), a folder, a file that is part of one, a hub id ("owner/name"), or one
            file in it and what it needs ("owner/name/c2i_B_256.pt"); or what `clavilux.checkpoint.find` gave for one.
        device: "auto" (a CUDA or ROCm GPU where there is one, else the CPU), "cpu", "cuda", "cuda:1", "mps".
        dtype: what the decoder computes in: "auto" (chosen by device and size), "float32", "bfloat16", "float16" or
            "int8"; `clavilux.precision.prepare` has the table.
        codec: a file or folder with the codec, where it does not lie beside the model (LlamaGen).

    Returns:
        A `MusicModel`, an `ImageModel` or a `JukeboxModel`, in eval mode.

    Raises:
        CheckpointError: nothing is there, or it is damaged or of an unknown family.
        ValueError: an unknown device or dtype, a codec for a model that has its own, or an extra that this checkpoint
            needs and that is not installed.
    """
    from clavilux.graph_cache import GRAPHS

    check(dtype)
    found = find(source)
    if codec is not None and not found.entry.codec_apart:
        raise ValueError(f"a codec is given; a model of the family {found.family!r} has its own")

    def read(device: torch.device) -> Any:
        if codec is None:
            return found.module.load(found.folder, found.config, device, dtype)
        apart = cast("CodecApartModule", found.module)
        return apart.load(found.folder, found.config, device, dtype, codec=codec)

    target = device_named(device)
    return found.model(GRAPHS.with_room(lambda: read(target)), read)
