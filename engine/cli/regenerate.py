"""The `regenerate` command: some bars of a piece written anew, the rest kept.

Knows arguments and files; what is written is the model's. torch is imported inside the command only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clavilux.cli.options import (
    AsJson,
    Device,
    Dtype,
    Listen,
    Loudness,
    Output,
    Plot,
    Quiet,
    Scores,
    SoundFontFile,
    Stems,
)
from clavilux.cli.outputs import SongFiles, check_songs
from clavilux.cli.render import Making, make_songs


def regenerate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A MIDI, MusicXML or ABC file.")],
    bars: Annotated[str, typer.Option(help="Which: 9-12, or 9.")],
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same bars; new if not given.")] = None,
    style: Annotated[str | None, typer.Option(help="One of the styles that `clavilux models` lists.")] = None,
    density: Annotated[str | None, typer.Option(help="sparse, medium or dense.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy; higher is bolder.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens that make up p.")] = None,
    output: Output = Path("song.mid"),
    midi: Annotated[Path | None, typer.Option(help="Also save the notes as a MIDI file.")] = None,
    score: Scores = None,
    stems: Stems = None,
    listen: Listen = False,
    soundfont: SoundFontFile = None,
    plot: Plot = None,
    loudness: Loudness = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
    model: Annotated[str, typer.Option(help="Bundled, a folder, a file or a hub id.")] = "aria",
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Write some bars of a piece anew, under their chords, and keep the rest note for note."""
    targets = [SongFiles(output, midi, plot, stems, tuple(score or ()))]
    check_songs(targets, [file, soundfont], loop=False, listen=listen)
    controls = {
        "continue_from": file, "regenerate": bars, "seed": seed, "style": style, "density": density,
        "temperature": temperature, "top_k": top_k, "top_p": top_p, "soundfont": soundfont,
    }  # fmt: skip
    given = {name: value for name, value in controls.items() if value is not None}
    making = Making("", None, given, {"FILE": file}, targets, model=model, device=device, dtype=dtype)
    make_songs(ctx, making, loop=False, listen=listen, loudness=loudness, as_json=as_json, quiet=quiet)
