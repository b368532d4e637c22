"""What is wrong with a request, as far as a checkpoint's config tells: said before any weights are read.

Says what the model itself would say later, by the same functions. A request that passes may still be refused when what
it names is read: a sound to go on from, a prompt's tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clavilux.checkpoint import Checkpoint
from clavilux.families.registry import FAMILIES
from clavilux.image_family import LARGEST
from clavilux.requests import check_batch, check_seconds, check_taken, seeds_of
from clavilux.sampling import SamplingSpec, guidance_of

if TYPE_CHECKING:
    from clavilux.family import MusicModule

_DRAWING = ("temperature", "top_k", "top_p")


def check_song(
    found: Checkpoint, prompt: str, seconds: float | None, options: Mapping[str, Any], notes: Collection[Path] = ()
) -> None:
    """Refuse what `Model.generate` would refuse, and notes that a family does not write.

    Args:
        found: the model.
        prompt, seconds, options: as for `generate`.
        notes: MIDI files that are to be written.

    Raises:
        ValueError, TypeError: as `generate`; or a MIDI file is asked for and the family's pieces have no notes.
        CheckpointError: the config does not describe a model.
    """
    if notes and not found.entry.writes_notes:
        writers = ", ".join(name for name, entry in FAMILIES.items() if entry.writes_notes)
        raise ValueError(
            f"{str(min(notes))!r} would hold notes; {found.name!r} is of the family {found.family}, which makes sound "
            f"without notes (those that write notes: {writers})"
        )
    accepts = found.module.accepts_of(found.folder, found.config)
    check_taken(found.name, options, {*found.model.OPTIONS, *accepts})
    if seconds is not None:
        check_seconds(seconds)
    _check_drawing(options, options.get("guidance"))
    controls = {name: options[name] for name in accepts if options.get(name) is not None}
    cast("MusicModule", found.module).check_controls(found.folder, found.config, prompt, controls)


def check_picture(found: Checkpoint, size: int | None, options: Mapping[str, Any]) -> None:
    """Refuse what `ImageModel.generate` would refuse. Arguments and errors as `check_song`."""
    accepts = found.module.accepts_of(found.folder, found.config)
    check_taken(found.name, options, {"size", *found.model.OPTIONS, *accepts})
    _check_drawing(options, guidance_of(options.get("guidance"), 1))
    if size is not None and not 1 <= size <= LARGEST:
        raise ValueError(f"size is {size}; it should be from 1 to {LARGEST} pixels")


def _check_drawing(options: Mapping[str, Any], guidance: Any) -> None:
    given = {name: options[name] for name in _DRAWING if options.get(name) is not None}
    SamplingSpec(**given, **({} if guidance is None else {"guidance": guidance}))
    batch = check_batch(options.get("batch", 1))
    seed = options.get("seed")
    seeds_of(seed, len(seed) if isinstance(seed, (list, tuple)) else batch)
