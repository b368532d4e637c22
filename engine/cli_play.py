"""The `play` command: a MIDI file with the bundled instruments.

Knows arguments and files; how notes become sound is `clavilux.audio.synth`'s.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from clavilux.cli_options import AsJson, Loudness, Output, Plot, Quiet
from clavilux.cli_outputs import check_outputs, save_song


def play(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A MIDI file.")],
    instrument: Annotated[str | None, typer.Option(help="What every part but the drums is played on.")] = None,
    output: Output = Path("song.wav"),
    plot: Plot = None,
    loudness: Loudness = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Play a MIDI file with the bundled instruments."""
    check_outputs([output], [None], [plot])

    from clavilux import cli_show
    from clavilux.audio.clip import Audio
    from clavilux.audio.score import Score
    from clavilux.audio.synth import SAMPLE_RATE, SoundFont, render_score

    score = Score.from_midi(file)
    if instrument is not None:
        score = score.with_programs(_one_program(instrument))
    font = SoundFont.bundled()
    missing = sorted({int(p) for p in score.notes["program"][~score.notes["drum"]]} - set(font.programs))
    replaced = {program: font.nearest(program) for program in missing}
    started = time.perf_counter()
    receipt = {"played": file.name, "instrument": instrument, "replaced_programs": replaced}
    song = Audio(render_score(score, SAMPLE_RATE), SAMPLE_RATE, score=score, receipt=receipt)
    elapsed_s = time.perf_counter() - started
    files = [save_song(ctx, song, output, None, plot, loudness)]
    if as_json:
        cli_show.print_json(cli_show.report([song], files, elapsed_s))
    elif not quiet:
        cli_show.show_played(song, replaced, files, elapsed_s)


def _one_program(instrument: str) -> int:
    """The General MIDI program of one instrument, named as in a prompt."""
    from clavilux.composer.instruments import DRUMS, INSTRUMENTS, instruments_named

    programs = [INSTRUMENTS[name].program for name in instruments_named(instrument)]
    if len(programs) != 1 or programs == [DRUMS]:
        raise ValueError(f"{instrument!r} should be one instrument that plays pitches, such as 'church organ'")
    return programs[0]
