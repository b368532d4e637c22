"""The `clavilux` command: its options, and one line on stderr for whatever goes wrong.

Knows arguments, files and exit codes. Does not know how anything looks (`cli_show`) or how music is made.
torch is imported inside a command only, so that `--help` is instant.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

import clavilux
from clavilux import cli_codecs, cli_inputs, cli_jobs, cli_paint
from clavilux.cli_options import (
    Anything,
    AsJson,
    Device,
    Dtype,
    Instruments,
    Loudness,
    Output,
    Plot,
    Quiet,
    Strict,
    check_ending,
    note_written,
    numbered,
)

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio

MIDI_ENDINGS = (".mid", ".midi")


class _Commands(TyperGroup):
    """Runs a command and turns the errors that a user can cause into one line and exit code 2."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `clavilux models | head`: typer ends quietly
            raise
        except KeyboardInterrupt:
            typer.echo(f"clavilux: stopped, {_what_was_written(ctx)}", err=True)
            raise typer.Exit(130) from None
        except (ValueError, TypeError, OSError, clavilux.CheckpointError) as error:
            typer.echo(f"clavilux: {_one_line(error)}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"clavilux {version('clavilux')}")
        raise typer.Exit()


@app.callback()
def clavilux_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Music and pictures by predicting tokens: render or paint a sentence, play a MIDI file, measure a recording."""


@app.command()
def render(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help='Say "slow church organ chorale in G minor".')] = "",
    seconds: Annotated[float, typer.Option(help="Length of the song.")] = 20.0,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same song; new if not given.")] = None,
    key: Annotated[str | None, typer.Option(help='"G minor", "F#", "Bb major" ...')] = None,
    tempo: Annotated[float | None, typer.Option(help="Quarter notes a minute.")] = None,
    metre: Annotated[str | None, typer.Option(help="3/4, 4/4, 6/8 ...")] = None,
    chords: Annotated[str | None, typer.Option(help='A chord a bar, "Gm Cm D7"; or "Gm Cm | D7".')] = None,
    instrument: Instruments = None,
    style: Annotated[str | None, typer.Option(help="One of the styles that `clavilux models` lists.")] = None,
    density: Annotated[str | None, typer.Option(help="sparse, medium or dense.")] = None,
    section: Annotated[str | None, typer.Option(help="whole, opening, middle or closing.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy; higher is bolder.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens that make up p.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly the words are followed; 1 is freely.")] = None,
    melody: Annotated[Path | None, typer.Option(help="MusicGen-melody: a sound file whose tune is followed.")] = None,
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
    continue_from: Annotated[Path | None, typer.Option(help="A MIDI or sound file to carry on from.")] = None,
    anything: Anything = False,
    strict: Strict = False,
    output: Output = Path("song.wav"),
    midi: Annotated[Path | None, typer.Option(help="Also save the notes as a MIDI file.")] = None,
    plot: Plot = None,
    batch: Annotated[int, typer.Option(help="Several songs, in numbered files.", min=1)] = 1,
    loudness: Loudness = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
    model: Annotated[str, typer.Option(help="Bundled, a folder, a file or a hub id.")] = "aria",
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Write music from a sentence."""
    outputs = [numbered(output, i, batch) for i in range(1, batch + 1)]
    midis = [midi and numbered(midi, i, batch) for i in range(1, batch + 1)]
    plots = [plot and numbered(plot, i, batch) for i in range(1, batch + 1)]
    _check_outputs([*outputs], [*midis], [*plots])
    controls = {
        "key": key, "tempo": tempo, "metre": metre, "chords": chords, "instruments": instrument,
        "style": style, "density": density, "section": section, "temperature": temperature, "top_k": top_k,
        "top_p": top_p, "guidance": guidance, "melody": melody, "padding": padding, "window_s": window,
        "stride_s": stride, "continue_from": continue_from, "seed": seed, "artist": artist, "genre": genre,
        "lyrics": lyrics, "labels": labels, "song_s": song_seconds, "levels": levels, "hop": hop,
        "temperatures": temperatures, "parallel_windows": parallel_windows, "prime": prime, "prime_s": prime_seconds,
        "tokens": tokens, "job": job, "anything": anything or None,
    }  # fmt: skip
    given = {name: value for name, value in controls.items() if value is not None}

    if model == "aria":  # as the model itself does, before its weights are read
        from clavilux.composer.refusal import check_understood

        check_understood(prompt, anything)

    from clavilux import cli_show, memory

    remarks = cli_inputs.remarks_on({"--melody": melody, "--prime": prime, "--continue-from": continue_from}, strict)

    memory.check_makes(model, "music")
    memory.check_fits(model, seconds, batch, dtype, device)
    loaded = clavilux.load(model, device=device, dtype=dtype)
    cli_jobs.keep(ctx, loaded, given, model, output, loudness)
    started = time.perf_counter()
    with cli_show.progress_bar(hidden=quiet or as_json, at=lambda: getattr(loaded, "at", "")) as progress:
        songs = loaded.generate(prompt, seconds=seconds, batch=batch, progress=progress, **given)
    songs = songs if isinstance(songs, list) else [songs]
    elapsed_s = time.perf_counter() - started
    files = []
    for song, *targets in zip(songs, outputs, midis, plots, strict=True):
        files.append(_save(ctx, song, *targets, loudness))
    report = cli_show.report(songs, files, elapsed_s) | {"remarks": remarks}
    if as_json:
        cli_show.print_json(report)
    elif not quiet:
        cli_show.show_remarks(remarks)
        cli_show.show_songs(songs, files, elapsed_s)


@app.command()
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
    _check_outputs([output], [None], [plot])

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
    files = [_save(ctx, song, output, None, plot, loudness)]
    if as_json:
        cli_show.print_json(cli_show.report([song], files, elapsed_s))
    elif not quiet:
        cli_show.show_played(song, replaced, files, elapsed_s)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the bundled models and what each accepts."""
    from clavilux import cli_show, describe

    found = describe.bundled_models()
    cli_show.print_json(found) if as_json else cli_show.show_models(found)


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="A checkpoint's folder or file, or a sound, MIDI or picture file.")],
    seconds: Annotated[float, typer.Option(help="A checkpoint: the length that memory is estimated for.")] = 30.0,
    batch: Annotated[int, typer.Option(help="A checkpoint: the pieces that memory is estimated for.", min=1)] = 1,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Say what a checkpoint, a sound, a MIDI file or a picture is."""
    from clavilux import cli_show, describe

    facts = describe.describe(path, seconds, batch, strict=strict)
    cli_show.print_json(facts) if as_json else cli_show.show_facts(facts)


@app.command()
def analyze(
    file: Annotated[Path, typer.Argument(help="A sound file: wav, flac, ogg or mp3.")],
    plot: Plot = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Measure a recording: tempo, key, loudness, duration."""
    _check_outputs([], [], [plot])

    from clavilux import cli_show
    from clavilux.audio import analysis
    from clavilux.audio.clip import Audio

    clip = Audio.load(file, strict=strict)
    facts = analysis.analyze(clip).as_dict() | {"remarks": list(clip.remarks)}
    if plot:
        analysis.plot(clip, plot)
    if as_json:
        cli_show.print_json(facts)
    else:
        cli_show.show_facts(facts | {"beats_s": f"{len(facts['beats_s'])} found"})


@app.command()
def bench(
    suite: Annotated[str | None, typer.Option(help="ops, layer, steps or end-to-end; all if not given.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model's size to measure, such as musicgen-small; repeat it.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto (all that count), float32, bfloat16, float16 or int8.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Threads of the CPU.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Samples of each side; 20 if not given.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also write every sample here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw a roofline (.png, .svg, .pdf).")] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes, to see that it works.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure what a step costs here, beside torch and transformers."""
    from clavilux import cli_bench

    cli_bench.run(suite, model or [], device, dtype, threads, repeats, json, plot, quick, quiet)


_ORDER = (
    "render", "paint", "play", "resume", "align", "analyze", "encode", "decode", "quantize", "models", "info", "bench",
)  # fmt: skip
for command in (
    cli_paint.paint, cli_codecs.encode, cli_codecs.decode, cli_codecs.quantize, cli_jobs.resume, cli_jobs.align,
):  # fmt: skip
    app.command()(command)
app.registered_commands.sort(key=lambda command: _ORDER.index(command.callback.__name__))


def _check_outputs(sounds: list[Path], midis: list[Path | None], plots: list[Path | None]) -> None:
    """Find out before any work that a file cannot be written, or that two would be the same file."""
    from clavilux.audio import analysis, io

    midis, plots = [path for path in midis if path], [path for path in plots if path]
    for path in sounds:
        if path.suffix.lower() not in MIDI_ENDINGS:
            io.format_of(path)
    for path in midis:
        check_ending(path, MIDI_ENDINGS)
    for path in plots:
        check_ending(path, analysis.PICTURES)
    targets = [*sounds, *midis, *plots]
    for path in targets:
        io.check_target(path)
    if len({path.resolve() for path in targets}) < len(targets):
        raise ValueError("two of the files to write have the same name; give each its own")


def _save(ctx: typer.Context, song: Audio, output: Path, midi: Path | None, plot: Path | None, loudness: bool) -> dict:
    """Write a song's files; their paths by kind, also noted in the context in case a later one fails."""
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
    return written


def _what_was_written(ctx: typer.Context) -> str:
    return f"after writing {', '.join(ctx.obj)}" if ctx.obj else "nothing written"


def _one_program(instrument: str) -> int:
    """The General MIDI program of one instrument, named as in a prompt."""
    from clavilux.composer.instruments import DRUMS, INSTRUMENTS, instruments_named

    programs = [INSTRUMENTS[name].program for name in instruments_named(instrument)]
    if len(programs) != 1 or programs == [DRUMS]:
        raise ValueError(f"{instrument!r} should be one instrument that plays pitches, such as 'church organ'")
    return programs[0]


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{str(error.filename)!r}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split())


def main() -> None:
    """The console script."""
    app(prog_name="clavilux")
