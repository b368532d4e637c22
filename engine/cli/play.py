"""The `play` command: a file of notes with the bundled instruments.

Knows arguments and files; how notes become sound is `clavilux.audio.synth`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.cli.options import (
    AsJson,
    Listen,
    Loop,
    Loudness,
    Output,
    Plot,
    Quiet,
    Scores,
    SoundFontFile,
    Stems,
    Strict,
    note_written,
)
from clavilux.cli.outputs import SongFiles, check_songs, save_song
from clavilux.files import SCORE_ENDINGS

if TYPE_CHECKING:
    import numpy as np
    import torch

    from clavilux.audio.clip import Audio
    from clavilux.audio.score import Score
    from clavilux.audio.soundfont import SoundFont
    from clavilux.cli.display import Song
    from clavilux.stamp import Stamp

LONGEST_PLOT_S = 600.0  # its spectrogram and constant-Q transform are made of the whole sound at once


def play(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A MIDI, MusicXML or ABC file.")],
    instrument: Annotated[str | None, typer.Option(help="What every part but the drums is played on.")] = None,
    output: Output = Path("song.wav"),
    score: Scores = None,
    stems: Stems = None,
    loop: Loop = False,
    listen: Listen = False,
    soundfont: SoundFontFile = None,
    plot: Plot = None,
    loudness: Loudness = True,
    strict: Strict = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Play a MIDI, MusicXML or ABC file with the bundled instruments."""
    targets = SongFiles(output, None, plot, stems, tuple(score or ()))
    check_songs([targets], [file, soundfont], loop=loop, listen=listen)

    from clavilux.audio.notation.files import read_score, save_score
    from clavilux.audio.synth import SoundFont, played_s
    from clavilux.cli import display
    from clavilux.provenance.stamp import stamp_of

    tune = read_score(file, strict=strict)
    if instrument is not None:
        tune = tune.with_programs(_one_program(instrument))
    seconds = played_s(tune)
    _check_length(file, seconds, plot)
    font = SoundFont.given(soundfont) or SoundFont.bundled()
    missing = sorted({int(p) for p in tune.notes["program"][~tune.notes["drum"]]} - set(font.programs))
    replaced = {program: font.nearest(program) for program in missing}
    started = time.perf_counter()
    receipt: dict[str, Any] = {"played": file.name, "instrument": instrument, "replaced_programs": replaced}
    receipt |= {"soundfont": soundfont.name} if soundfont is not None else {}
    remarks = [*tune.remarks, *_not_held(tune, font)]
    receipt |= ({"remarks": remarks} if remarks else {}) | ({"of": tune.receipt} if tune.receipt else {})
    receipt |= {"title": tune.receipt["title"]} if tune.receipt.get("title") else {}
    stamp = stamp_of(played=file)
    song: Song
    if loop or stems is not None:
        whole = replace(_played_whole(tune, font, receipt, loop), stamp=stamp)
        files, measured = save_song(ctx, whole, targets, loudness)
        song, remarks = Played(whole.duration_s, receipt), remarks + measured
    else:
        song, files = _streamed(ctx, tune, font, seconds, output, receipt, stamp, loudness, plot, quiet or as_json)
        for kind, path in targets.named_scores:
            save_score(tune, path, title=file.stem, receipt=receipt, stamp=stamp)
            note_written(ctx, path)
            files[kind] = str(path)
    elapsed_s = time.perf_counter() - started
    if listen:
        from clavilux.audio import listening

        listening.listen(output)
    if as_json:
        display.print_json(display.report([song], [files], elapsed_s) | {"remarks": remarks})
    elif not quiet:
        display.show_remarks(remarks)
        display.show_played(song, replaced, [files], elapsed_s)


def _played_whole(score: Score, font: SoundFont, receipt: dict[str, Any], loop: bool) -> Audio:
    """A score's sound in memory, as loops and stems need it."""
    from clavilux.audio.clip import Audio
    from clavilux.audio.looping import looped
    from clavilux.audio.stems import Performance
    from clavilux.audio.synth import SAMPLE_RATE, render_score

    if loop:
        score, played, samples = looped(score, SAMPLE_RATE, font)
    else:
        samples, played = render_score(score, SAMPLE_RATE, soundfont=font), Performance.of_score(score, font)
    return Audio(samples, SAMPLE_RATE, score=score, receipt=receipt, performance=played, loops=loop)


def _streamed(
    ctx: typer.Context, score: Score, font: SoundFont, seconds: float, output: Path, receipt: dict[str, Any],
    stamp: Stamp, loudness: bool, plot: Path | None, hidden: bool,
) -> tuple[Played, dict[str, str]]:  # fmt: skip
    """A score's notes, or its sound however long it is, written to a file; and its plot."""
    if output.suffix.lower() in SCORE_ENDINGS:
        from clavilux.audio.notation.files import save_score

        save_score(score, output, title=Path(receipt["played"]).stem, receipt=receipt, stamp=stamp)
        note_written(ctx, output)
        song, samples = Played(seconds, receipt), None
    else:
        song, samples = _play_to(ctx, score, font, seconds, output, receipt, stamp, loudness, plot is not None, hidden)
    files = {"audio": str(output)}
    if plot is not None:
        _plot(ctx, score, samples, font, plot)
        files["plot"] = str(plot)
    return song, files


@dataclass(frozen=True)
class Played:
    """What is said of a song that was written while it was played, and is nowhere in memory."""

    duration_s: float
    receipt: dict[str, Any]
    sample_rate: int = 44100


def _not_held(score: Score, font: SoundFont) -> list[str]:
    """Remarks on drums without a kit, and on bank selects that no instrument of the SoundFont answers."""
    from clavilux.audio.notes import BANK

    asked = {int(select) for select in score.controls["value"][score.controls["kind"] == BANK]} - {0}
    missing = sorted(select for select in asked if not any(font.bank(program, select) for program in font.programs))
    named = ", ".join(f"{select >> 7}/{select & 127}" for select in missing)
    remarks = [f"banks that the SoundFont does not have are played as bank 0: {named}"] if missing else []
    if score.notes["drum"].any() and not font.has_drums:
        remarks.append("the SoundFont holds no drum kit, so the drums are silent")
    return remarks


def _check_length(file: Path, seconds: float, plot: Path | None) -> None:
    """Raise a ValueError for what would take hours, or gigabytes for its plot."""
    from clavilux.requests import LONGEST_S

    if seconds > LONGEST_S:
        raise ValueError(f"{str(file)!r} lasts {seconds:,.0f} s; play takes at most {LONGEST_S:,.0f} s")
    if plot is not None and seconds > LONGEST_PLOT_S:
        raise ValueError(f"{str(file)!r} lasts {seconds:,.0f} s; --plot draws at most {LONGEST_PLOT_S:,.0f} s of sound")


def _play_to(
    ctx: typer.Context,
    score: Score,
    font: SoundFont,
    seconds: float,
    output: Path,
    receipt: dict[str, Any],
    stamp: Stamp,
    loudness: bool,
    keep: bool,
    hidden: bool,
) -> tuple[Played, list[torch.Tensor] | None]:
    """Write the sound of a score piece by piece; and the pieces, if they are to be kept for the plot."""
    from clavilux.audio import saving
    from clavilux.audio.synth import SAMPLE_RATE, stream_score
    from clavilux.cli import display

    saving.check_room(output, seconds, SAMPLE_RATE, 2)
    kept: list[torch.Tensor] | None = [] if keep else None
    done, at = 0, ""

    def pieces(progress: Callable[[float, float], None]) -> Iterator[np.ndarray]:
        nonlocal done, at
        for piece in stream_score(score, SAMPLE_RATE, None, font):
            done += piece.shape[1]
            progress(min(done / SAMPLE_RATE, seconds), seconds)
            if kept is not None:
                kept.append(piece)
            yield piece.numpy()
        at = "(now to its loudness)" if loudness else ""
        progress(seconds, seconds)

    with display.progress_bar(hidden=hidden, at=lambda: at) as progress:
        count = saving.save_stream(
            output, pieces(progress), SAMPLE_RATE, 2, loudness=loudness, receipt=receipt, stamp=stamp
        )
    note_written(ctx, output)
    return Played(count / SAMPLE_RATE, receipt, SAMPLE_RATE), kept


def _plot(ctx: typer.Context, score: Score, samples: list[torch.Tensor] | None, font: SoundFont, plot: Path) -> None:
    import torch

    from clavilux.audio import analysis
    from clavilux.audio.clip import Audio
    from clavilux.audio.synth import SAMPLE_RATE, render_score

    sound = render_score(score, SAMPLE_RATE, soundfont=font) if samples is None else torch.cat(samples, dim=1)
    analysis.plot(Audio(sound, SAMPLE_RATE, score=score), plot)
    note_written(ctx, plot)


def _one_program(instrument: str) -> int:
    """The General MIDI program of one instrument, named as in a prompt."""
    from clavilux.families.aria.instruments import DRUMS, INSTRUMENTS, instruments_named

    programs = [INSTRUMENTS[name].program for name in instruments_named(instrument)]
    if len(programs) != 1 or programs == [DRUMS]:
        raise ValueError(f"{instrument!r} should be one instrument that plays pitches, such as 'church organ'")
    return programs[0]
