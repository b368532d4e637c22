"""What several commands have: options, so that they are spelled and explained alike, and how files are numbered.

Knows typer only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from os.path import realpath
from pathlib import Path
from typing import Annotated

import typer

Output = Annotated[
    Path, typer.Option("--output", "-o", help="Where to: .wav, .flac, .ogg, .mp3; notes: .mid, .musicxml, .abc.")
]
Temperature = Annotated[float | None, typer.Option(help="0 is greedy; higher is bolder.")]
TopK = Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens only.")]
TopP = Annotated[float | None, typer.Option(help="Draw from the likeliest tokens that make up p.")]
ModelName = Annotated[str, typer.Option(help="Bundled, a folder, a file or a hub id.")]
Style = Annotated[str | None, typer.Option(help="One of the styles that `clavilux models` lists.")]
Density = Annotated[str | None, typer.Option(help="sparse, medium or dense.")]
Midi = Annotated[Path | None, typer.Option(help="Also save the notes as a MIDI file.")]
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
SoundFontFile = Annotated[
    Path | None, typer.Option("--soundfont", help="Play on the instruments of this SoundFont (.sf2, .sf3).")
]
Stems = Annotated[
    Path | None, typer.Option(help="Also a new folder with a .wav of 24 bits an instrument, which sum to the song.")
]
Loop = Annotated[bool, typer.Option("--loop", help="Whole bars whose end joins their beginning, for going round.")]
Scores = Annotated[
    list[Path] | None,
    typer.Option("--score", help="Also the score: .svg, .png, .musicxml, .abc, .mid; its chords: .txt. Repeat it."),
]
Listen = Annotated[bool, typer.Option("--listen", help="Then play it on the sound card, by a player such as aplay.")]
Strict = Annotated[bool, typer.Option("--strict", help="A damaged or shortened file is an error, not a remark.")]
Anything = Annotated[
    bool, typer.Option("--anything", help="Bundled models: make one even where none of the words is understood.")
]
Mark = Annotated[
    bool | None,
    typer.Option("--mark/--no-mark", help="A mark by which anyone can tell that Clavilux drew it. [default: mark]"),
]
MarkKeyFile = Annotated[
    Path | None,
    typer.Option("--mark-key", help="Instead a mark of your own: the file of its key, made if not there."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16 or int8.")]


def mark_of(mark: bool | None, key: Path | None) -> bool | Path | None:
    """What `generate` takes for --mark/--no-mark and --mark-key. ValueError where they contradict each other."""
    if key is None:
        return mark
    if mark is False:
        raise ValueError("both --no-mark and --mark-key are given; take one of them")
    from clavilux.mark_key import key_of

    key_of(key)  # a bad file is said, and a new one made, before any work
    return key


def numbered(path: Path, number: int, of: int) -> Path:
    """`song.wav` for one song; `song-1.wav`, `song-2.wav` ... for several."""
    return path if of == 1 else path.with_stem(f"{path.stem}-{number}")


def numbered_all(path: Path, count: int) -> list[Path]:
    """The files of `count` songs or pictures, as `numbered`."""
    return [numbered(path, number, count) for number in range(1, count + 1)]


def note_written(ctx: typer.Context, path: Path | str) -> None:
    """Note a file in the context, in case what comes later is stopped."""
    ctx.find_root().ensure_object(list).append(str(path))


def check_apart(written: Iterable[Path], read: Iterable[Path | None]) -> None:
    """Raise ValueError where a file to be written is one that is read: it would be gone."""
    names = {realpath(path) for path in read if path is not None}  # `Path.resolve` fails for links that go round
    for path in written:
        if realpath(path) in names:
            raise ValueError(f"{str(path)!r} would take the place of the file that is read; give it another name")


def check_distinct(written: Collection[Path]) -> None:
    """Raise ValueError where two of the files to be written are one."""
    if len({realpath(path) for path in written}) < len(written):
        raise ValueError("two of the files to write have the same name; give each its own")
