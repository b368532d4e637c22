"""A folder of stems: one wav of 24 bits an instrument, at the level that it has in the song.

Knows files and levels. Does not know how stems are made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch

from clavilux.audio import io
from clavilux.audio.blocks import ArrayBlocks
from clavilux.audio.stems import difference_dbfs
from clavilux.files import PathLike, new_folder
from clavilux.stamp import Stamp

_FULL_SCALE = 1 - 2**-23


@dataclass(frozen=True)
class StemFiles:
    """What was written.

    Attributes:
        files: their paths, by the stem's name.
        gain: by which all were made softer, as a stem would have gone beyond full scale; usually 1.0.
        difference_dbfs: of the sum of the files, read back, from the song before its loudness and limiter.
    """

    files: dict[str, Path]
    gain: float
    difference_dbfs: float


def save_stems(
    folder: PathLike,
    stems: Mapping[str, torch.Tensor],
    mix: torch.Tensor,
    sample_rate: int,
    *,
    receipt: dict[str, Any] | None = None,
    stamp: Stamp | None = None,
) -> StemFiles:
    """Write stems float32 [2, N] of a song `mix` into a new folder, which is there whole or not at all; each is
    stamped.

    Raises:
        ValueError: the folder is there already and not empty, or cannot be made.
        OSError: writing failed (a full disk); nothing is left behind.
    """
    highest = max(float(samples.abs().max()) for samples in stems.values())
    gain = 1.0 if highest <= _FULL_SCALE else _FULL_SCALE / highest
    names = {name: re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") + ".wav" for name in stems}
    with new_folder(folder) as place:
        for name, samples in stems.items():
            blocks = ArrayBlocks(samples * gain)
            io.write_blocks(place / names[name], blocks, sample_rate, samples.shape[0], subtype="PCM_24")
        written = {name: torch.from_numpy(soundfile.read(place / file)[0].T) for name, file in names.items()}
        if stamp is not None:
            for file in names.values():
                stamp(place / file, file, receipt or {})
        away_db = difference_dbfs(mix.double() * gain, written)
    return StemFiles({name: Path(folder) / file for name, file in names.items()}, gain, away_db)
