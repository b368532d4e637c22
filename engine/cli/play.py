"""The `play` command: a MIDI file with the bundled instruments.

Knows arguments and files; how notes become sound is `clavilux.audio.synth`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.cli.options import AsJson, Loudness, Output, Plot, Quiet, Strict, note_written
from clavilux.cli.outputs import check_outputs
from clavilux.files import MIDI_ENDINGS

if TYPE_CHECKING:
    import numpy as np
    import torch

    from clavilux.audio.score import Score
    from clavilux.audio.soundfont import SoundFont

LONGEST_PLOT_S = 600.0  # its spectrogram and constant-Q transform are made of the whole sound at once


def play(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A MIDI file.")],
    instrument: Annotated[str | None, typer.Option(help="What every part but the drums is played on.")] = None,
    output: Output = Path("song.wav"),
    plot: Plot = None,
    loudness: Loudness = True,
    strict: Strict = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Play a MIDI file with the bundled instruments."""
    check_outputs([output], [None], [plot], [file])

    from clavilux.audio.score import Score
    from clavilux.audio.synth import SoundFont, played_s
    from clavilux.cli import display

    score = Score.from_midi(file, strict=strict)
    if instrument is not None:
        score = score.with_programs(_one_program(instrument))
    seconds = played_s(score)
    _check_length(file, seconds, plot)
    font = SoundFont.bundled()
    missing = sorted({int(p) for p in score.notes["program"][~score.notes["drum"]]} - set(font.programs))
    replaced = {program: font.nearest(program) for program in missing}
    started = time.perf_counter()
    receipt: dict[str, Any] = {"played": file.name, "instrument": instrument, "replaced_programs": replaced}
    remarks = [*score.remarks, *_banks_not_held(score, font)]
    receipt |= {"remarks": remarks} if remarks else {}
    if output.suffix.lower() in MIDI_ENDINGS:
        score.save_midi(output)
        note_written(ctx, output)
        song, samples = Played(seconds, receipt), None
    else:
        song, samples = _play_to(ctx, score, seconds, output, receipt, loudness, plot is not None, quiet or as_json)
    files = {"audio": str(output)}
    if plot is not None:
        _plot(ctx, score, samples, plot)
        files["plot"] = str(plot)
    elapsed_s = time.perf_counter() - started
    if as_json:
        display.print_json(display.report([song], [files], elapsed_s))
    elif not quiet:
        display.show_played(song, replaced, [files], elapsed_s)


@dataclass(frozen=True)
class Played:
    """What is said of a song that was written while it was played, and is nowhere in memory."""

    duration_s: float
    receipt: dict[str, Any]
    sample_rate: int = 44100


def _banks_not_held(score: Score, font: SoundFont) -> list[str]:
    """A remark on bank selects that no instrument of the SoundFont answers."""
    from clavilux.audio.notes import BANK

    asked = {int(select) for select in score.controls["value"][score.controls["kind"] == BANK]} - {0}
    missing = sorted(select for select in asked if not any(font.bank(program, select) for program in font.programs))
    named = ", ".join(f"{select >> 7}/{select & 127}" for select in missing)
    return [f"banks that the SoundFont does not have are played as bank 0: {named}"] if missing else []


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
    seconds: float,
    output: Path,
    receipt: dict[str, Any],
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
        for piece in stream_score(score, SAMPLE_RATE):
            done += piece.shape[1]
            progress(min(done / SAMPLE_RATE, seconds), seconds)
            if kept is not None:
                kept.append(piece)
            yield piece.numpy()
        at = "(now to its loudness)" if loudness else ""
        progress(seconds, seconds)

    with display.progress_bar(hidden=hidden, at=lambda: at) as progress:
        count = saving.save_stream(output, pieces(progress), SAMPLE_RATE, 2, loudness=loudness, receipt=receipt)
    note_written(ctx, output)
    return Played(count / SAMPLE_RATE, receipt, SAMPLE_RATE), kept


def _plot(ctx: typer.Context, score: Score, samples: list[torch.Tensor] | None, plot: Path) -> None:
    import torch

    from clavilux.audio import analysis
    from clavilux.audio.clip import Audio
    from clavilux.audio.synth import SAMPLE_RATE, render_score

    sound = render_score(score, SAMPLE_RATE) if samples is None else torch.cat(samples, dim=1)
    analysis.plot(Audio(sound, SAMPLE_RATE, score=score), plot)
    note_written(ctx, plot)


def _one_program(instrument: str) -> int:
    """The General MIDI program of one instrument, named as in a prompt."""
    from clavilux.families.aria.instruments import DRUMS, INSTRUMENTS, instruments_named

    programs = [INSTRUMENTS[name].program for name in instruments_named(instrument)]
    if len(programs) != 1 or programs == [DRUMS]:
        raise ValueError(f"{instrument!r} should be one instrument that plays pitches, such as 'church organ'")
    return programs[0]
