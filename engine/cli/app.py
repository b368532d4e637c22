"""The `clavilux` command and its options.

Knows arguments and files. Does not know what is said when something goes wrong (`errors`), how anything looks
(`display`) or how music is made. torch is imported inside a command only, so that `--help` is instant.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from clavilux.cli import breed, errors, interrupt, keys
from clavilux.cli.codecs import decode, encode, quantize
from clavilux.cli.dream import dream
from clavilux.cli.examine import examine
from clavilux.cli.help import Command
from clavilux.cli.jobs import align, resume
from clavilux.cli.options import AsJson, Plot, Quiet, Strict
from clavilux.cli.outputs import check_outputs
from clavilux.cli.paint import paint
from clavilux.cli.play import play
from clavilux.cli.regenerate import regenerate
from clavilux.cli.render import render
from clavilux.cli.signing import signs
from clavilux.cli.style import style
from clavilux.cli.teach import teach
from clavilux.cli.train import train
from clavilux.cli.verify import verify

if TYPE_CHECKING:
    from typer._click import Context  # typer's own copy of click; older ones use click itself


class _Commands(TyperGroup):
    """Runs a command, and ends in one sentence and an exit code (`errors`) whatever happens in it."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, windows_expand_args: bool = True, **extra: Any,
    ) -> NoReturn:  # fmt: skip
        options = extra | {"standalone_mode": False, "windows_expand_args": windows_expand_args}
        debug = "--debug" in (sys.argv[1:] if args is None else args)
        if debug:  # anywhere in the line, as it is added to a line that failed
            args = [argument for argument in (sys.argv[1:] if args is None else args) if argument != "--debug"]
        try:
            code = super().main(args, prog_name, complete_var, **options)
        except Exception as error:
            sys.exit(errors.show(error, debug))
        sys.exit(code or 0)

    def invoke(self, ctx: Context) -> Any:
        try:
            if signal.getsignal(signal.SIGINT) is interrupt.stop:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(f"clavilux: stopped, {_what_was_written(ctx)}", err=True)
            raise typer.Exit(errors.STOPPED) from None


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
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error too; may stand anywhere in the line.")
    ] = False,
) -> None:
    """Music and pictures by predicting tokens: render or paint a sentence, play a MIDI file, measure a recording."""


def models(as_json: AsJson = False) -> None:
    """List the bundled models and what each accepts."""
    from clavilux.cli import display
    from clavilux.cli.info import bundled_models

    found = bundled_models()
    display.print_json(found) if as_json else display.show_models(found)


def info(
    path: Annotated[Path, typer.Argument(help="A checkpoint's folder or file, or one of sound, notes or a picture.")],
    seconds: Annotated[float, typer.Option(help="A checkpoint: the length that memory is estimated for.")] = 30.0,
    batch: Annotated[int, typer.Option(help="A checkpoint: the pieces that memory is estimated for.", min=1)] = 1,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Say what a checkpoint, a sound, a score or a picture is."""
    from clavilux.cli import display
    from clavilux.cli.info import describe

    facts = describe(path, seconds, batch, strict=strict)
    display.print_json(facts) if as_json else display.show_facts(facts)


def analyze(
    file: Annotated[Path, typer.Argument(help="A sound file: wav, flac, ogg or mp3.")],
    plot: Plot = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Measure a recording: tempo, key, loudness, duration."""
    check_outputs([], [], [plot])

    from clavilux.audio import analysis
    from clavilux.audio.clip import Audio
    from clavilux.cli import display

    clip = Audio.load(file, strict=strict)
    facts = analysis.analyze(clip).as_dict() | {"remarks": list(clip.remarks)}
    if plot:
        analysis.plot(clip, plot)
    if as_json:
        display.print_json(facts)
    else:
        display.show_facts(facts | {"beats_s": f"{len(facts['beats_s'])} found"})


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
    from clavilux.cli.bench import run

    run(suite, model or [], device, dtype, threads, repeats, json, plot, quick, quiet)


# In the order of `clavilux --help`.
for command in (
    signs(render),
    signs(paint),
    signs(dream),
    signs(style),
    signs(regenerate),
    signs(play),
    signs(resume),
    align,
    analyze,
    examine,
    encode,
    signs(decode),
    quantize,
    models,
    info,
    verify,
    teach,
    bench,
):
    app.command(cls=Command)(command)
app.add_typer(breed.app, name="breed")
app.add_typer(keys.app, name="keys")
app.add_typer(train, name="train")


def _what_was_written(ctx: Context) -> str:
    return f"after writing {', '.join(ctx.obj)}" if ctx.obj else "nothing written"


def main() -> None:
    """Run the command line of this process; `clavilux.__main__` is where it begins."""
    for stream in (sys.stdout, sys.stderr):  # a terminal in cp1252 or ASCII cannot show every name
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app(prog_name="clavilux")
