"""The `render` command: music from a sentence.

Knows arguments and files; how music is made is the model's. torch is imported inside the command only, so that
`--help` is instant.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import clavilux
from clavilux.checkpoint import Checkpoint, find
from clavilux.cli import inputs, jobs
from clavilux.cli.options import (
    Anything,
    AsJson,
    Density,
    Device,
    Dtype,
    Instruments,
    Listen,
    Loop,
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
    Strict,
    Style,
    Temperature,
    TopK,
    TopP,
    mark_of,
)
from clavilux.cli.outputs import SongFiles, check_songs, save_song

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio
    from clavilux.families.jukebox.model import JukeboxModel
    from clavilux.music_model import MusicModel


def render(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help='Say "slow church organ chorale in G minor".')] = "",
    seconds: Annotated[
        float | None,
        typer.Option(help="Length of the song; if not given, as words or a dance's form say, else 20."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same song; new if not given.")] = None,
    key: Annotated[str | None, typer.Option(help='"G minor", "F#", "Bb major" ...')] = None,
    tempo: Annotated[float | None, typer.Option(help="Quarter notes a minute.")] = None,
    metre: Annotated[str | None, typer.Option(help="3/4, 4/4, 6/8 ...")] = None,
    chords: Annotated[str | None, typer.Option(help='A chord a bar, "Gm Cm D7"; or "Gm Cm | D7".')] = None,
    instrument: Instruments = None,
    style: Style = None,
    density: Density = None,
    drums: Annotated[str | None, typer.Option(help="Of a band: full, light, brushes, sticks or none.")] = None,
    swing: Annotated[float | None, typer.Option(help="Of a band: 0.5 is even, 0.667 a triplet's.")] = None,
    form: Annotated[
        str | None,
        typer.Option(help="AABB, AA'BA, verse-chorus, 'intro 4, verse 8' ...; free: not even the kind's own."),
    ] = None,
    bars: Annotated[int | None, typer.Option(help="How many in all; intro and outro count.")] = None,
    intro: Annotated[int | None, typer.Option(help="Bars before the form; 0 for none.")] = None,
    outro: Annotated[int | None, typer.Option(help="Bars after the form; 0 for none.")] = None,
    ritardando: Annotated[bool, typer.Option("--ritardando", help="Slow down in the last two bars.")] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Play this sheet (.txt): sections, bars, chords, tempo, players, dynamics.")
    ] = None,
    section: Annotated[str | None, typer.Option(help="whole, opening, middle or closing.")] = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly the words are followed; 1 is freely.")] = None,
    melody: Annotated[
        Path | None,
        typer.Option(help="A tune, as notes or hummed, that aria's band plays; MusicGen-melody follows it."),
    ] = None,
    padding: Annotated[str | None, typer.Option(help="MusicGen: masked, or unmasked as audiocraft has it.")] = None,
    window: Annotated[float | None, typer.Option(help="MusicGen: seconds that are seen at once.")] = None,
    stride: Annotated[float | None, typer.Option(help="MusicGen: seconds by which that window moves on.")] = None,
    artist: Annotated[str | None, typer.Option(help="Jukebox: a number, or a name that --labels knows.")] = None,
    genre: Annotated[str | None, typer.Option(help="Jukebox: as --artist; several by commas.")] = None,
    lyrics: Annotated[str | None, typer.Option(help="Jukebox: the words, or a .txt file with them.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Jukebox: a folder with lists of artists and genres.")] = None,
    song_seconds: Annotated[
        float | None, typer.Option(help="Jukebox: how long the whole song is, of which this is the beginning.")
    ] = None,
    levels: Annotated[int | None, typer.Option(help="Jukebox: how many are drawn; 1 is a quick sketch.")] = None,
    hop: Annotated[str | None, typer.Option(help="Jukebox: what share of a window is new; or one a level.")] = None,
    temperatures: Annotated[str | None, typer.Option(help="Jukebox: one a level, from the top, by commas.")] = None,
    parallel_windows: Annotated[int | None, typer.Option(help="Jukebox: parts of a level drawn at once.")] = None,
    prime: Annotated[Path | None, typer.Option(help="Jukebox: a sound file with whose first seconds to begin.")] = None,
    prime_seconds: Annotated[float | None, typer.Option(help="Jukebox: how many of them.")] = None,
    tokens: Annotated[Path | None, typer.Option(help="Jukebox: tokens of a level to begin with.")] = None,
    job: Annotated[Path | None, typer.Option(help="Jukebox: where tokens are kept; beside the song as .job.")] = None,
    continue_from: Annotated[Path | None, typer.Option(help="A file of notes or of sound to carry on from.")] = None,
    vary: Annotated[
        float | None, typer.Option(help="0 to 1: write this share of --continue-from's bars anew instead of going on.")
    ] = None,
    anything: Anything = False,
    mark: Mark = None,
    mark_key: MarkKeyFile = None,
    strict: Strict = False,
    output: Output = Path("song.wav"),
    midi: Midi = None,
    midi_timing: Annotated[
        str, typer.Option(help="Of --midi: grid, or played, with the small delays of hands.")
    ] = "grid",
    score: Scores = None,
    stems: Stems = None,
    loop: Loop = False,
    listen: Listen = False,
    soundfont: SoundFontFile = None,
    plot: Plot = None,
    batch: Annotated[int, typer.Option(help="Several songs, in numbered files.", min=1)] = 1,
    loudness: Loudness = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
    model: ModelName = "aria",
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Write music from a sentence."""
    if midi_timing not in ("grid", "played"):
        raise ValueError(f"midi timing is {midi_timing!r}; it should be grid or played")
    if midi_timing == "played" and midi is None:
        raise ValueError("--midi-timing played is of the file that --midi names; name one")
    played = midi_timing == "played"
    targets = SongFiles.numbered(SongFiles(output, midi, plot, stems, tuple(score or ()), played), batch)
    check_songs(targets, [continue_from, melody, prime, soundfont, sheet], loop=loop, listen=listen)
    controls = {
        "key": key, "tempo": tempo, "metre": metre, "chords": chords, "instruments": instrument,
        "style": style, "density": density, "section": section, "drums": drums, "swing": swing,
        "form": form, "bars": bars, "intro": intro, "outro": outro, "ritardando": ritardando or None,
        "sheet": sheet, "vary": vary,
        "temperature": temperature, "top_k": top_k,
        "top_p": top_p, "guidance": guidance, "melody": melody, "padding": padding, "window_s": window,
        "stride_s": stride, "continue_from": continue_from, "seed": seed, "artist": artist, "genre": genre,
        "lyrics": lyrics, "labels": labels, "song_s": song_seconds, "levels": levels, "hop": hop,
        "temperatures": temperatures, "parallel_windows": parallel_windows, "prime": prime, "prime_s": prime_seconds,
        "tokens": tokens, "job": job, "soundfont": soundfont, "anything": anything or None,
        "mark": mark_of(mark, mark_key),
    }  # fmt: skip
    given = {name: value for name, value in controls.items() if value is not None}
    sounds = {"--melody": melody, "--prime": prime, "--continue-from": continue_from}

    making = Making(prompt, seconds, given, sounds, targets, batch, model, device, dtype, anything, strict)
    make_songs(ctx, making, loop=loop, listen=listen, loudness=loudness, as_json=as_json, quiet=quiet)


@dataclass(frozen=True)
class Making:
    """What is made, of what and where to: as the options of `render` have it."""

    prompt: str
    seconds: float | None
    given: dict[str, Any]
    sounds: dict[str, Path | None]
    targets: list[SongFiles]
    batch: int = 1
    model: str = "aria"
    device: str = "auto"
    dtype: str = "auto"
    anything: bool = False
    strict: bool = False


def make_songs(
    ctx: typer.Context, making: Making, *, loop: bool, listen: bool, loudness: bool, as_json: bool, quiet: bool
) -> None:
    """Check all that can be checked, make the songs, write their files and say what was done."""
    prompt, seconds, given, sounds, targets = (
        making.prompt, making.seconds, making.given, making.sounds, making.targets
    )  # fmt: skip
    inputs.check(sounds)
    found = find(making.model)
    found.check_prompt(prompt, making.anything)
    notes = [path for each in targets for path in (each.of_notes or [each.output] * loop)]
    _check_request(found, prompt, seconds, given | {"batch": making.batch}, notes, making.device, making.dtype)
    remarks = inputs.remarks_on(sounds, making.strict)
    loaded = _load(found, making.device, making.dtype)
    jobs.keep(ctx, found, given, making.model, targets[0].output, loudness)
    options = {"seconds": seconds, "batch": making.batch, **given}
    songs, elapsed_s = _generate(loaded, prompt, options, quiet or as_json)
    saving_since = time.perf_counter()
    if loop:
        songs = [song.loop() for song in songs]
    saved = [save_song(ctx, song, each, loudness, listen) for song, each in zip(songs, targets, strict=True)]
    files, remarks = [written for written, _ in saved], remarks + [remark for _, said in saved for remark in said]
    timings = songs[0].timings | {"file_s": round(time.perf_counter() - saving_since, 6)}
    _report(songs, files, elapsed_s, timings, remarks, as_json, quiet)


def _check_request(
    found: Checkpoint, prompt: str, seconds: float | None, options: dict[str, Any], notes: list[Path],
    device: str, dtype: str,
) -> None:  # fmt: skip
    """Refuse what the model or this machine could not do, before any weights are read."""
    from clavilux import memory
    from clavilux.cli import preflight
    from clavilux.requests import USUAL_S

    memory.check_makes(found, "music")
    preflight.check_song(found, prompt, seconds, options, notes)
    memory.check_fits(found, USUAL_S if seconds is None else seconds, options["batch"], dtype, device)


def _load(found: Checkpoint, device: str, dtype: str) -> MusicModel | JukeboxModel:
    loaded = clavilux.load(found, device=device, dtype=dtype)
    assert not isinstance(loaded, clavilux.ImageModel), "it was checked that this checkpoint makes music"
    return loaded


def _generate(
    loaded: MusicModel | JukeboxModel, prompt: str, options: dict[str, Any], hidden: bool
) -> tuple[list[Audio], float]:
    """The songs, and the seconds that making them took; `hidden`: without a progress bar."""
    from clavilux.cli import display

    started = time.perf_counter()
    with display.progress_bar(hidden, at=lambda: getattr(loaded, "at", "")) as progress:
        songs = loaded.generate(prompt, progress=progress, **options)
    return songs if isinstance(songs, list) else [songs], time.perf_counter() - started


def _report(
    songs: list[Audio],
    files: list[dict[str, str]],
    elapsed_s: float,
    timings: dict[str, float],
    remarks: list[str],
    as_json: bool,
    quiet: bool,
) -> None:
    from clavilux.cli import display

    report = display.report(songs, files, elapsed_s, timings) | {"remarks": remarks}
    if as_json:
        display.print_json(report)
    elif not quiet:
        display.show_remarks(remarks)
        display.show_songs(songs, files, elapsed_s, timings)
