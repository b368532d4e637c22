"""The `style` command: a picture in the manner of built-in styles or of paintings.

Knows arguments and files; what is done to the picture is `clavilux.arts.style`'s. torch is imported inside the command
only, so that `--help` is instant.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from clavilux.checks import number_from
from clavilux.cli.options import AsJson, Device, Quiet, Strict, check_apart, note_written
from clavilux.files import check_readable, check_target
from clavilux.image.arts import style_names

LIST = "list"  # of --like: print what there is


def style(
    ctx: typer.Context,
    picture: Annotated[Path | None, typer.Argument(help="A picture: png, jpg, webp, gif, bmp, tiff or ppm.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .png, .jpg or .webp.")] = Path("styled.png"),
    like: Annotated[
        list[str] | None,
        typer.Option(
            help='A built-in style, such as "starry night"; repeat it to mix, NAME:2 for more; list shows all.'
        ),
    ] = None,
    painting: Annotated[
        list[str] | None, typer.Option(help="A picture to paint like; repeat it to mix, a.png:2 for more of it.")
    ] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="The picture in each of the 26 built-in styles.")] = False,
    strength: Annotated[float, typer.Option(help="0 is the picture as it is, 1 all of the style.")] = 1.0,
    original_colors: Annotated[
        bool, typer.Option("--original-colors", help="Keep the hues; brightness alone is painted.")
    ] = False,
    mask: Annotated[Path | None, typer.Option(help="A picture that is white where the style goes.")] = None,
    stroke: Annotated[float, typer.Option(help="The size of strokes: 0.25 to 8, 1 is usual.")] = 1.0,
    strict: Strict = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    seed: Annotated[int | None, typer.Option(help="Kept in the file; nothing is drawn at random.")] = None,
    device: Device = "auto",
) -> None:
    """Paint a picture in a style: built in, or a painting's."""
    likes, works = like or [], painting or []
    if LIST in likes:
        _show_names(as_json)
        return
    _check(picture, output, likes, works, mask, sheet, strength)
    assert picture is not None

    from clavilux.arts import style as verb
    from clavilux.cli import display
    from clavilux.image.picture import Picture

    source = Picture.load(picture, strict=strict)
    where = None if mask is None else Picture.load(mask, strict=strict)
    started = time.perf_counter()
    if sheet:
        found = verb.sheet(source, device=device)
    else:
        found = verb.style(
            source, likes or None, works, strength=strength, original_colors=original_colors, mask=where, stroke=stroke,
            seed=seed, device=device,
        )  # fmt: skip
    elapsed_s = time.perf_counter() - started
    found.save(output)
    note_written(ctx, output)
    timings = found.timings | {"file_s": round(time.perf_counter() - started - elapsed_s, 6)}
    files = [{"sheet" if sheet else "picture": str(output)}]
    if as_json:
        display.print_json(display.picture_report([found], files, elapsed_s, timings))
    elif not quiet:
        display.show_remarks(source.remarks)
        display.show_pictures([found], files, elapsed_s, timings)


def _check(
    picture: Path | None,
    output: Path,
    likes: list[str],
    works: list[str],
    mask: Path | None,
    sheet: bool,
    strength: float,
) -> None:
    """Refuse before torch is imported what is known to be wrong."""
    if picture is None:
        raise ValueError("the picture is missing; give the path of one, or --like list for the names of styles")

    from clavilux.image import io

    number_from("strength", strength, 0, 1)
    if sheet and (likes or works):
        raise ValueError("--sheet shows all built-in styles; leave --like and --painting out")
    for name in likes:
        style_names.find(style_names.weighted(name)[0])
    read = [picture, *(Path(style_names.weighted(work)[0]) for work in works), *([mask] if mask else [])]
    for path in read:
        check_readable(path, "picture")
    io.format_of(output)
    check_target(output)
    check_apart([output], read)


def _show_names(as_json: bool) -> None:
    from clavilux.cli import display

    names = {style.name: style.words for style in style_names.STYLES}
    display.print_json({"styles": names}) if as_json else display.show_facts(names)
