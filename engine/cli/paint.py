"""The `paint` command: a picture from a sentence.

Knows arguments and files; how a picture is made is `painting`'s. torch is imported inside the command only, so that
`--help` is instant.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import clavilux
from clavilux.checkpoint import Checkpoint, find
from clavilux.cli.options import (
    Anything,
    AsJson,
    Device,
    Dtype,
    Mark,
    MarkKeyFile,
    ModelName,
    Quiet,
    Strict,
    Temperature,
    TopK,
    TopP,
    check_apart,
    check_distinct,
    mark_of,
    note_written,
    numbered_all,
)
from clavilux.files import check_ending, check_target

if TYPE_CHECKING:
    from clavilux.image.picture import Picture
    from clavilux.image_model import ImageModel

Files = dict[str, str]
PREVIEWS = 8  # of a picture. Each decodes all that is there: on two CPU cores 16 of them take longer than the picture.


def paint(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help='Say "red apple"; some models take no words.')] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .png, .jpg or .webp.")] = Path(
        "picture.png"
    ),
    hand: Annotated[
        str | None, typer.Option(help="Whose manner, of a painter that has several: outlined, flat.")
    ] = None,
    class_id: Annotated[int | None, typer.Option("--class", help="LlamaGen: the number of an ImageNet class.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side; the model's own if not given.")] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", "--seed", help="One picture each: 3, or 1,2,3,4; new if not given.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Several pictures, where --seeds does not list them.", min=1)] = 1,
    sheet: Annotated[bool, typer.Option("--sheet", help="All pictures on one sheet, not in numbered files.")] = False,
    preview: Annotated[Path | None, typer.Option(help="A picture file that fills in while rows arrive.")] = None,
    guidance: Annotated[
        str | None, typer.Option(help='How strictly the words are followed, 1 is freely; or a schedule, "1:7.5".')
    ] = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    continue_from: Annotated[Path | None, typer.Option(help="A picture whose rows are kept; the rest is new.")] = None,
    keep: Annotated[str | None, typer.Option(help="X,Y,W,H in pixels: what is kept of --continue-from.")] = None,
    vary: Annotated[float | None, typer.Option(help="The share of --continue-from's tokens that is kept.")] = None,
    explain: Annotated[
        Path | None, typer.Option(help="Also draw how open and how surprising each place was (.png, .svg, .pdf).")
    ] = None,
    strict: Strict = False,
    anything: Anything = False,
    mark: Mark = None,
    mark_key: MarkKeyFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    model: ModelName = "lumia",
    codec: Annotated[Path | None, typer.Option(help="LlamaGen: the VQ codec's file, if not beside the model.")] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Paint a picture from a sentence."""
    drawn_with = None if seeds is None else _whole_numbers("seeds", seeds, "1,2,3,4")
    count = batch if drawn_with is None or len(drawn_with) == 1 else len(drawn_with)
    if batch not in (1, count):
        raise ValueError(f"--batch is {batch} and there are {count} seeds; leave --batch out")
    outputs = numbered_all(output, 1 if sheet else count)
    maps = numbered_all(explain, count) if explain else []
    _check_outputs([*outputs, *([preview] if preview else [])], maps, read=continue_from)
    given = {
        "class_id": class_id, "hand": hand,
        "guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p,
        "continue_from": _load_picture(continue_from, strict), "vary": vary, "anything": anything or None,
        "mark": mark_of(mark, mark_key),
        "seed": drawn_with if drawn_with is None or len(drawn_with) > 1 else drawn_with[0],
        "keep": None if keep is None else tuple(_whole_numbers("keep", keep, "0,0,128,64")),
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value is not None} | {"size": size, "batch": count}

    found = find(model)
    found.check_prompt(prompt, anything)

    from clavilux.cli import display

    _check_request(found, options, device, dtype)
    loaded = clavilux.load(found, device=device, dtype=dtype, codec=codec)
    assert isinstance(loaded, clavilux.ImageModel), "it was checked that this checkpoint makes pictures"
    started = time.perf_counter()
    with display.token_bar(hidden=quiet or as_json) as progress:
        pictures = _generate(ctx, loaded, prompt, options | {"progress": progress}, preview)
    elapsed_s = time.perf_counter() - started
    files = _save(ctx, pictures, outputs, sheet)
    timings = pictures[0].timings | {"file_s": round(time.perf_counter() - started - elapsed_s, 6)}
    if maps:
        _save_maps(ctx, loaded, prompt, pictures, maps, files)
    if as_json:
        display.print_json(display.picture_report(pictures, files, elapsed_s, timings))
    elif not quiet:
        display.show_pictures(pictures, files, elapsed_s, timings)


def _load_picture(path: Path | None, strict: bool) -> Picture | None:
    """The picture that is continued, read before the model."""
    if path is None:
        return None
    from clavilux.image.picture import Picture

    return Picture.load(path, strict=strict)


def _check_request(found: Checkpoint, options: dict[str, Any], device: str, dtype: str) -> None:
    """Refuse what the model or this machine could not do, before any weights are read."""
    from clavilux import memory
    from clavilux.cli import preflight

    memory.check_makes(found, "pictures")
    preflight.check_picture(found, options["size"], options)
    memory.check_fits(found, options["size"], options["batch"], dtype, device)


def _generate(
    ctx: typer.Context, model: ImageModel, prompt: str, options: dict[str, Any], preview: Path | None
) -> list[Picture]:
    """The pictures; while they are painted, `preview` shows them as far as they are."""
    from clavilux.image.sheet import contact_sheet

    if preview is None:
        pictures = model.generate(prompt, **options)
    else:
        rows = (options["size"] or model.family.size) // model.family.stage.codec.downsampling
        stream: Iterator[Picture | list[Picture]] = model.stream(prompt, every=max(1, rows // PREVIEWS), **options)
        for number, pictures in enumerate(stream):
            (contact_sheet(pictures) if isinstance(pictures, list) else pictures).save(preview)
            if number == 0:
                note_written(ctx, preview)
    return pictures if isinstance(pictures, list) else [pictures]


def _save(ctx: typer.Context, pictures: list[Picture], outputs: list[Path], sheet: bool) -> list[Files]:
    """Write the pictures, or the sheet of them; what was written, by kind, for each."""
    from clavilux.image.sheet import contact_sheet

    for picture, path in zip([contact_sheet(pictures)] if sheet else pictures, outputs, strict=True):
        picture.save(path)
        note_written(ctx, path)
    if sheet:
        return [{"sheet": str(outputs[0])} for _ in pictures]
    return [{"picture": str(path)} for path in outputs]


def _save_maps(
    ctx: typer.Context, model: ImageModel, prompt: str, pictures: list[Picture], maps: list[Path], files: list[Files]
) -> None:
    """Draw how open and how surprising each picture's places were; `files` notes where."""
    for picture, path, written in zip(pictures, maps, files, strict=True):
        model.explain(picture, prompt).save(path)
        note_written(ctx, path)
        written["explained"] = str(path)


def _check_outputs(pictures: list[Path], maps: list[Path], read: Path | None) -> None:
    """Find out before any work that a file cannot be written, that two would be the same, or one the file `read`."""
    from clavilux.image import io
    from clavilux.image import maps as maps_of_picture

    for path in pictures:
        io.format_of(path)
    for path in maps:
        check_ending(path, maps_of_picture.ENDINGS)
    targets = [*pictures, *maps]
    for path in targets:
        check_target(path)
    check_distinct(targets)
    check_apart(targets, [read])


def _whole_numbers(name: str, text: str, example: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--{name} is {text!r}; it should be whole numbers with commas between them, such as {example}"
        ) from None
