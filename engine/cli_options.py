"""Options that several commands have, so that they are spelled and explained alike. Knows typer only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Output = Annotated[Path, typer.Option("--output", "-o", help="Where to: .wav, .flac, .ogg, .mp3 or .mid.")]
Plot = Annotated[Path | None, typer.Option(help="Also draw the sound and the notes (.png, .svg, .pdf).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a machine-readable report and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Loudness = Annotated[
    bool, typer.Option("--loudness/--no-loudness", help="Bring the sound to -14 LUFS, peaks below -1 dBFS.")
]
Instruments = Annotated[
    list[str] | None,
    typer.Option("--instrument", help="An instrument; several by commas, or repeat it."),
]
