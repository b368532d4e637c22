"""The `style` command: a picture, or moving pictures, in the manner of built-in styles or of paintings.

Knows arguments and files; what is done to them is `clavilux.arts`'s. torch is imported inside the command only, so that
`--help` is instant.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from clavilux.checks import number_from
from clavilux.cli.options import AsJson, Device, Quiet, Strict, check_apart, note_written
from clavilux.files import check_readable, check_target
from clavilux.image.arts import style_names

LIST = "list"  # of --like: print what there is


def style(
    ctx: typer.Context,
    picture: Annotated[
        Path | None, typer.Argument(help="A picture; or a video, an animated gif or webp, a folder of frames.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to: .png, .jpg, .webp; what moves: .webp, .gif, .mp4 or a new folder."
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            help='A built-in style, such as "starry night"; repeat it to mix, NAME:2 for more; list shows all.'
        ),
    ] = None,
    painting: Annotated[
        list[str] | None, typer.Option(help="A picture to paint like; repeat it to mix, a.png:2 for more of it.")
    ] = None,
    fine: Annotated[
        bool, typer.Option("--fine", help="Step by step until it has the paintings' strokes: slower, truer to them.")
    ] = False,
    content: Annotated[
        float | None, typer.Option(help="--fine: how much forms count; 0.02 dissolves faces.  [default: 0.25]")
    ] = None,
    smoothness: Annotated[
        float | None, typer.Option(help="--fine: how far roughness is held down, 0 to 1000.  [default: 6]")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="--fine: the side of a square of as many pixels as are painted at most.  [default: 1024]"),
    ] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="The picture in each of the 26 built-in styles.")] = False,
    strength: Annotated[float, typer.Option(help="0 is the picture as it is, 1 all of the style.")] = 1.0,
    original_colors: Annotated[
        bool, typer.Option("--original-colors", help="Keep the hues; brightness alone is painted.")
    ] = False,
    mask: Annotated[Path | None, typer.Option(help="A picture that is white where the style goes.")] = None,
    stroke: Annotated[float, typer.Option(help="The size of strokes: 0.25 to 8, 1 is usual.")] = 1.0,
    steady: Annotated[
        float | None, typer.Option(help="What moves: 0 to 1, the higher the less it flickers.  [default: 0.8]")
    ] = None,
    preview: Annotated[Path | None, typer.Option(help="What moves: a picture file that shows the last frame.")] = None,
    strict: Strict = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    seed: Annotated[int | None, typer.Option(help="Kept in the file; nothing is drawn at random.")] = None,
    device: Device = "auto",
) -> None:
    """Paint a picture or a video in a style: built in, or a painting's."""
    likes, works = like or [], painting or []
    if LIST in likes:
        _show_names(as_json)
        return
    if picture is None:
        raise ValueError("the picture is missing; give the path of one, or --like list for the names of styles")
    number_from("strength", strength, 0, 1)
    for name in likes:
        style_names.find(style_names.weighted(name)[0])
    if sheet and (likes or works or fine):
        raise ValueError("--sheet shows all built-in styles; leave --like, --painting and --fine out")
    if fine and (likes or not works):
        raise ValueError("--fine looks at paintings: give --painting, and leave --like out")
    given = {"content": content, "smoothness": smoothness, "size": size}
    fine_options = {name: value for name, value in given.items() if value is not None}
    if fine_options and not fine:
        raise ValueError(f"--{next(iter(fine_options))} is for --fine; leave it out, or add --fine")
    read = [*(Path(style_names.weighted(work)[0]) for work in works), *([mask] if mask else [])]
    for path in read:
        check_readable(path, "picture")
    moves = _moves(picture, output, sheet)
    output = output or Path("styled.webp" if moves else "styled.png")
    check_apart([output, *([preview] if preview else [])], [picture, *read])
    for option, value in (("--steady", steady), ("--preview", preview)):
        if value is not None and not moves:
            raise ValueError(f"{option} is for what moves: a video, an animated gif or webp, a folder of frames")

    options: dict[str, Any] = {
        "strength": strength, "original_colors": original_colors, "mask": mask, "stroke": stroke, "seed": seed,
        "device": device,
    }  # fmt: skip
    if moves:
        if fine:
            raise ValueError("--fine is for one picture; leave it out, or give a single frame")
        options |= {} if steady is None else {"steady": steady}
        _style_frames(ctx, picture, output, likes or None, works, options, preview, as_json, quiet)
    else:
        options |= fine_options
        kind = "sheet" if sheet else "fine" if fine else "fast"
        _style_picture(ctx, picture, output, kind, likes, works, options, strict, as_json, quiet)


def _moves(picture: Path, output: Path | None, sheet: bool) -> bool:
    """Whether moving pictures are made: of an animated picture its first frame is styled where the output stands still.

    Raises:
        ValueError: a video or a folder would be one picture, or a picture is to be moving.
    """
    from clavilux.image import frames

    still, ending = (".png", ".jpg", ".jpeg"), "" if output is None else output.suffix.lower()
    whole = picture.is_dir() or picture.suffix.lower() in frames.VIDEOS
    if not whole:
        check_readable(picture, "picture")
    moving = whole or frames.is_moving(picture)
    if whole and (sheet or ending in still):
        raise ValueError(f"{str(picture)!r} is many pictures; -o should end in .webp, .gif or .mp4, or be a new folder")
    if not moving and output is not None and ending in (".gif", ".mp4"):
        raise ValueError(f"{str(picture)!r} is one picture; -o should end in .png, .jpg or .webp, not {ending}")
    return moving and not sheet and ending not in still


def _style_picture(
    ctx: typer.Context,
    picture: Path,
    output: Path,
    kind: str,
    likes: list[str],
    works: list[str],
    options: dict[str, Any],
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """One picture; `kind` is sheet, fast or fine."""
    from clavilux.image import io

    io.format_of(output)
    check_target(output)

    from clavilux.arts import style as verb
    from clavilux.cli import display
    from clavilux.image import frames
    from clavilux.image.picture import Picture

    source = Picture.load(picture, strict=strict)
    if options["mask"] is not None:
        options |= {"mask": Picture.load(options["mask"], strict=strict)}
    started = time.perf_counter()
    if kind == "sheet":
        found = verb.sheet(source, device=options["device"])
    elif kind == "fast":
        found = verb.style(source, likes or None, works, **options)
    else:
        with display.step_bar(hidden=quiet or as_json) as progress:
            found = verb.style(source, None, works, **options, fine=True, progress=progress)
    elapsed_s = time.perf_counter() - started
    if frames.is_moving(picture):
        found.receipt["notes"].append(
            "the picture moves: its first frame was taken; a .gif or .webp would hold them all"
        )
    found.save(output)
    note_written(ctx, output)
    timings = found.timings | {"file_s": round(time.perf_counter() - started - elapsed_s, 6)}
    files = [{"sheet" if kind == "sheet" else "picture": str(output)}]
    if as_json:
        display.print_json(display.picture_report([found], files, elapsed_s, timings))
    elif not quiet:
        display.show_remarks(source.remarks)
        display.show_pictures([found], files, elapsed_s, timings)


def _style_frames(
    ctx: typer.Context,
    source: Path,
    output: Path,
    likes: list[str] | None,
    works: list[str],
    options: dict[str, Any],
    preview: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Every frame of a video, of an animated picture or of a folder."""
    if preview is not None:
        from clavilux.image import io

        io.format_of(preview)
        check_target(preview)

    from clavilux.arts import style_frames
    from clavilux.cli import display
    from clavilux.cli.uptime import process_seconds

    started = time.perf_counter()
    with display.frame_bar(hidden=quiet or as_json) as bar:
        found = style_frames.style_frames(
            source, output, likes, works, **options, preview=preview,
            progress=lambda done, total: bar(done, max(done, total or 0)),
        )  # fmt: skip
    elapsed_s = time.perf_counter() - started
    for path in (output, *([preview] if preview else [])):
        note_written(ctx, path)
    files = {"frames": str(output)} | ({"preview": str(preview)} if preview else {})
    facts = {"files": files} | found.facts()
    if as_json:
        display.print_json(facts | {"elapsed_s": elapsed_s, "process_s": process_seconds()})
    elif not quiet:
        display.show_frames(facts, elapsed_s)


def _show_names(as_json: bool) -> None:
    from clavilux.cli import display

    names = {style.name: style.words for style in style_names.STYLES}
    display.print_json({"styles": names}) if as_json else display.show_facts(names)
