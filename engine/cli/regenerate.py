"""The `regenerate` command: some bars of a piece written anew, the rest kept.

Knows arguments and files; what is written is the model's. torch is imported inside the command only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clavilux.cli.options import (
    AsJson,
    Density,
    Device,
    Dtype,
    Listen,
    Loudness,
    Mark,
    MarkKeyFile,
    Midi,
    ModelName,
    Output,
    Plot,
    Quiet,
    Scores,
    SoundFontFile,
    Stems,
    Style,
    Temperature,
    TopK,
    TopP,
    mark_of,
)
from clavilux.cli.outputs import SongFiles, check_songs
from clavilux.cli.render import Making, make_songs


def regenerate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A MIDI, MusicXML or ABC file.")],
    bars: Annotated[str, typer.Option(help="Which: 9-12, or 9.")],
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same bars; new if not given.")] = None,
    style: Style = None,
    density: Density = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    mark: Mark = None,
    mark_key: MarkKeyFile = None,
    output: Output = Path("song.mid"),
    midi: Midi = None,
    score: Scores = None,
    stems: Stems = None,
    listen: Listen = False,
    soundfont: SoundFontFile = None,
    plot: Plot = None,
    loudness: Loudness = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
    model: ModelName = "aria",
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Write some bars of a piece anew, under their chords, and keep the rest note for note."""
    targets = [SongFiles(output, midi, plot, stems, tuple(score or ()))]
    check_songs(targets, [file, soundfont], loop=False, listen=listen)
    controls = {
        "continue_from": file, "regenerate": bars, "seed": seed, "style": style, "density": density,
        "temperature": temperature, "top_k": top_k, "top_p": top_p, "soundfont": soundfont,
        "mark": mark_of(mark, mark_key),
    }  # fmt: skip
    given = {name: value for name, value in controls.items() if value is not None}
    making = Making("", None, given, {"FILE": file}, targets, model=model, device=device, dtype=dtype)
    make_songs(ctx, making, loop=False, listen=listen, loudness=loudness, as_json=as_json, quiet=quiet)
