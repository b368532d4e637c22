"""The files that `render` and `play` write: checked before any work, then written and noted.

Knows endings and paths. Does not know how a song is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from clavilux.cli.options import check_apart, check_distinct, note_written
from clavilux.files import MIDI_ENDINGS, check_ending, check_target

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio


def check_outputs(
    sounds: Collection[Path],
    midis: Collection[Path | None],
    plots: Collection[Path | None],
    read: Iterable[Path | None] = (),
) -> None:
    """Find out before any work that a file cannot be written, that two would be the same, or one of those `read`."""
    from clavilux.audio import io

    notes, figures = [path for path in midis if path], [path for path in plots if path]
    for path in sounds:
        check_ending(path, (*io.FORMATS, *MIDI_ENDINGS))
    for path in notes:
        check_ending(path, MIDI_ENDINGS)
    if figures:
        from clavilux.audio.analysis import PICTURES

        for path in figures:
            check_ending(path, PICTURES)
    targets = [*sounds, *notes, *figures]
    check_apart(targets, read)
    for path in targets:
        check_target(path)
    check_distinct(targets)


def save_song(
    ctx: typer.Context, song: Audio, output: Path, midi: Path | None, plot: Path | None, loudness: bool
) -> dict[str, str]:
    """Write a song's files; their paths by kind, also noted in the context in case a later one fails."""
    from clavilux.audio import analysis

    written = {}
    for kind, path in (("audio", output), ("midi", midi), ("plot", plot)):
        if path is None:
            continue
        if kind == "plot":
            analysis.plot(song, path)
        else:
            song.save(path, loudness=loudness)
        written[kind] = str(path)
        note_written(ctx, path)
    return written
