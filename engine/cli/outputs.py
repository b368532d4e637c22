"""The files that `render` and `play` write: checked before any work, then written and noted.

Knows endings and paths. Does not know how a song is made.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from clavilux.cli.options import check_apart, check_distinct, note_written
from clavilux.files import MIDI_ENDINGS, SCORE_ENDINGS, check_ending, check_new_folder, check_target

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio


def check_outputs(
    sounds: Collection[Path],
    midis: Collection[Path | None],
    plots: Collection[Path | None],
    read: Iterable[Path | None] = (),
    *,
    stems: Iterable[Path | None] = (),
    loop: bool = False,
) -> None:
    """Find out before any work that a file cannot be written, that two would be the same, or one of those `read`."""
    from clavilux.audio import io

    notes, figures = [path for path in midis if path], [path for path in plots if path]
    folders = [path for path in stems if path]
    for path in sounds:
        if check_ending(path, (*io.FORMATS, *SCORE_ENDINGS)) in io.FORMATS and loop:
            io.check_seamless(path)
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
    for path in folders:
        check_new_folder(path)
    check_distinct([*targets, *folders])


def save_song(
    ctx: typer.Context,
    song: Audio,
    output: Path,
    midi: Path | None,
    plot: Path | None,
    loudness: bool,
    stems: Path | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Write a song's files; their paths by kind, also noted in the context in case a later one fails; and what was
    measured of them, in sentences without their end.
    """
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
    remarks = [seam_remark(song)] if song.loops else []
    if stems is not None:
        remarks.append(_save_stems(song, stems))
        written["stems"] = str(stems)
        note_written(ctx, stems)
    return written, remarks


def seam_remark(loop: Audio) -> str:
    """How long a loop is, and how its end meets its beginning."""
    from clavilux.audio.looping import seam_of

    bars = 0 if loop.score is None else len(loop.score.bar_starts())
    return (
        f"a loop of {bars} bars, {loop.samples.shape[1]:,} samples; the wave bends at the seam by "
        f"{seam_of(loop.samples).relative_db:.0f} dB of what it does at most elsewhere"
    )


def _save_stems(song: Audio, folder: Path) -> str:
    from clavilux.audio.stem_files import save_stems

    stems = {name: stem.samples for name, stem in song.stems().items()}
    said = save_stems(folder, stems, song.samples, song.sample_rate)
    softer = "" if said.gain == 1 else f", all softened by {-20 * math.log10(said.gain):.1f} dB so that none clips"
    return (
        f"{len(said.files)} stems in {str(folder)!r}{softer}; their sum differs from the song before its loudness and "
        f"limiter by at most {said.difference_dbfs:.0f} dBFS"
    )
