"""The files that `render` and `play` write: checked before any work, then written and noted.

Knows endings and paths. Does not know how a song is made.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from clavilux.cli.options import check_apart, check_distinct, note_written, numbered
from clavilux.files import MIDI_ENDINGS, PAGE_ENDINGS, SCORE_ENDINGS, check_ending, check_new_folder, check_target

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio


def check_outputs(
    sounds: Collection[Path],
    midis: Collection[Path | None],
    plots: Collection[Path | None],
    read: Iterable[Path | None] = (),
    *,
    stems: Iterable[Path | None] = (),
    scores: Iterable[Path] = (),
    loop: bool = False,
    listen: bool = False,
) -> None:
    """Find out before any work that a file cannot be written, that two would be the same, or one of those `read`; or
    that a sound cannot be looped or played here.
    """
    from clavilux.audio import io

    notes, figures = [path for path in midis if path], [path for path in plots if path]
    folders, scores = [path for path in stems if path], list(scores)
    for path in sounds:
        if check_ending(path, (*io.FORMATS, *SCORE_ENDINGS)) in io.FORMATS and loop:
            io.check_seamless(path)
    if listen:
        _check_listening(sounds)
    for path in scores:
        if check_ending(path, (*SCORE_ENDINGS, *PAGE_ENDINGS)) in (".svg", ".png"):
            from clavilux.audio.notation.engraving import check_installed

            check_installed(path.suffix.lower())
    for path in notes:
        check_ending(path, MIDI_ENDINGS)
    if figures:
        from clavilux.audio.analysis import PICTURES

        for path in figures:
            check_ending(path, PICTURES)
    targets = [*sounds, *notes, *figures, *scores]
    check_apart(targets, read)
    for path in targets:
        check_target(path)
    for path in folders:
        check_new_folder(path)
    check_distinct([*targets, *folders])


def _check_listening(sounds: Iterable[Path]) -> None:
    from clavilux.audio import listening

    listening.find_player()
    for path in sounds:
        if path.suffix.lower() in SCORE_ENDINGS:
            raise ValueError(
                f"--listen plays sound, and {str(path)!r} would hold notes; name a .wav, .flac, .ogg or .mp3"
            )


@dataclass(frozen=True)
class SongFiles:
    """Where a song goes: its sound or notes, and what else is asked for."""

    output: Path
    midi: Path | None = None
    plot: Path | None = None
    stems: Path | None = None
    scores: tuple[Path, ...] = ()
    played: bool = False  # the MIDI file has the times of hands

    @classmethod
    def numbered(cls, files: SongFiles, count: int) -> list[SongFiles]:
        """Those of each of `count` songs."""

        def one(path: Path, number: int) -> Path:
            return numbered(path, number, count)

        return [
            cls(
                one(files.output, number),
                None if files.midi is None else one(files.midi, number),
                None if files.plot is None else one(files.plot, number),
                None if files.stems is None else one(files.stems, number),
                tuple(one(path, number) for path in files.scores),
                files.played,
            )
            for number in range(1, count + 1)
        ]

    @property
    def named_scores(self) -> list[tuple[str, Path]]:
        """Those of `scores`, by kind."""
        return [(f"score {number}" if number > 1 else "score", path) for number, path in enumerate(self.scores, 1)]

    @property
    def of_notes(self) -> list[Path]:
        """Those that only a song with notes has."""
        written = [self.output, *([self.midi] if self.midi else [])]
        notes = [path for path in written if path.suffix.lower() in SCORE_ENDINGS]
        return [*notes, *self.scores, *([self.stems] if self.stems else [])]


def check_songs(files: Collection[SongFiles], read: Iterable[Path | None], *, loop: bool, listen: bool) -> None:
    """`check_outputs` of all files of songs."""
    check_outputs(
        [each.output for each in files], [each.midi for each in files], [each.plot for each in files], read,
        stems=[each.stems for each in files], scores=[path for each in files for path in each.scores],
        loop=loop, listen=listen,
    )  # fmt: skip


def save_song(
    ctx: typer.Context, song: Audio, files: SongFiles, loudness: bool, listen: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Write a song's files; their paths by kind, also noted in the context in case a later one fails; and what was
    measured of them, in sentences without their end. Then play the sound, if it is to be listened to.
    """
    from clavilux.audio import analysis

    written = {}
    for kind, path in (("audio", files.output), ("midi", files.midi), *files.named_scores, ("plot", files.plot)):
        if path is None:
            continue
        if kind == "plot":
            analysis.plot(song, path)
        else:
            (song.as_played() if kind == "midi" and files.played else song).save(path, loudness=loudness)
        written[kind] = str(path)
        note_written(ctx, path)
    remarks = [seam_remark(song)] if song.loops else []
    if files.stems is not None:
        remarks.append(_save_stems(song, files.stems))
        written["stems"] = str(files.stems)
        note_written(ctx, files.stems)
    if listen:
        from clavilux.audio import listening

        listening.listen(files.output)
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
    said = save_stems(folder, stems, song.samples, song.sample_rate, receipt=song.receipt, stamp=song.stamp)
    softer = "" if said.gain == 1 else f", all softened by {-20 * math.log10(said.gain):.1f} dB so that none clips"
    return (
        f"{len(said.files)} stems in {str(folder)!r}{softer}; their sum differs from the song before its loudness and "
        f"limiter by at most {said.difference_dbfs:.0f} dBFS"
    )
