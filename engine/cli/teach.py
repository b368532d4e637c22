"""The `teach` command: a song or a picture explained, as a page.

Knows arguments and files; the lesson is `clavilux.teach`'s.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from clavilux.cli.options import AsJson, Device, Quiet, check_apart, note_written
from clavilux.files import check_ending, check_target


def teach(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="A prompt; or a MIDI, MusicXML, ABC, sound or picture file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page: .html.")] = Path("lesson.html"),
    seconds: Annotated[float | None, typer.Option(help="Of a prompt: how long its song is. [default: 20]")] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same song and exercises.")] = 1,
    model: Annotated[
        str, typer.Option(help="Of a prompt: the model that makes its song, or its picture (lumia).")
    ] = "aria",
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Explain a song or a picture on a page of its own, with sounds, drawings and exercises that answer."""
    check_ending(output, (".html",))
    check_target(output)
    check_apart([output], [Path(source)] if len(source) < 200 else [])

    from clavilux.cli import display
    from clavilux.teaching.verbs import teach as verb

    started = time.perf_counter()
    lesson = verb(source, model=model, seconds=seconds, seed=seed, device=device)
    lesson.save(output)
    note_written(ctx, output)
    if as_json:
        display.print_json(lesson.as_dict() | {"files": {"page": str(output)}})
    elif not quiet:
        display.show_remarks(list(lesson.remarks))
        found = {"page": str(output), "sections": len(lesson.sections), "exercises": len(lesson.exercises)}
        display.show_facts(found | lesson.summary() | {"seconds it took": round(time.perf_counter() - started, 1)})
