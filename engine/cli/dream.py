"""The `dream` command: a picture, a flight into it, or a sheet of what each layer sees.

Knows arguments and files; what is done to the picture is `clavilux.arts.dream`'s. torch is imported inside the command
only, so that `--help` is instant.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.cli.options import AsJson, Device, Quiet, Strict, check_apart, check_distinct, note_written
from clavilux.files import check_readable, check_target

if TYPE_CHECKING:
    from clavilux.image.arts.features import Features
    from clavilux.image.picture import Picture

LIST = "list"  # of --layers: print what there is


def dream(
    ctx: typer.Context,
    picture: Annotated[Path | None, typer.Argument(help="A picture: png, jpg, webp, gif, bmp, tiff or ppm.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to: .png, .jpg or .webp; of --zoom .gif, .webp or .mp4.")
    ] = Path("dream.png"),
    layers: Annotated[
        list[str] | None,
        typer.Option(help="What to strengthen: 10, blocks.10:3 (a channel), 4*0.5,10 (weights); list shows all."),
    ] = None,
    guide: Annotated[Path | None, typer.Option(help="A picture; what it shows is sought.")] = None,
    mask: Annotated[Path | None, typer.Option(help="A picture that is white where dreams go.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the jitter; a random one if not given.")] = None,
    size: Annotated[int | None, typer.Option(help="Make the picture's longer side this many pixels first.")] = None,
    octaves: Annotated[int, typer.Option(help="Sizes that the picture is changed at.")] = 4,
    octave_scale: Annotated[float, typer.Option(help="From one size to the next.")] = 1.4,
    iterations: Annotated[int, typer.Option(help="Steps at each size.")] = 10,
    step: Annotated[float, typer.Option(help="How far pixels move in one step.")] = 0.02,
    jitter: Annotated[int, typer.Option(help="Pixels that the picture is moved by at most before a step.")] = 16,
    tile: Annotated[int, typer.Option(help="Pixels a side that are computed at once, of larger pictures.")] = 768,
    zoom: Annotated[int | None, typer.Option(help="Frames of a flight into the dream, to an animated file.")] = None,
    zoom_by: Annotated[float, typer.Option(help="How much larger from frame to frame.")] = 1.05,
    frame_iterations: Annotated[int, typer.Option(help="Steps at each size of a frame after the first.")] = 2,
    fps: Annotated[int, typer.Option(help="Frames a second.")] = 12,
    sheet: Annotated[bool, typer.Option("--sheet", help="Small dreams of every layer on one sheet.")] = False,
    preview: Annotated[Path | None, typer.Option(help="A picture file that shows the dream while it runs.")] = None,
    features: Annotated[str, typer.Option(help="What looks: lite0, torchvision:NAME or timm:NAME.")] = "lite0",
    weights: Annotated[Path | None, typer.Option(help="A file to read its weights from.")] = None,
    strict: Strict = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="auto (float32), float32, bfloat16 or float16.")] = "auto",
) -> None:
    """Dream into a picture: what a classifier sees in it grows."""
    if layers == [LIST]:
        _show_layers(features, weights, as_json)
        return
    if picture is None:
        raise ValueError("the picture is missing; give the path of one, or --layers list for what can be dreamed of")
    _check(picture, output, guide, mask, preview, (zoom, fps, sheet, layers))

    from clavilux.arts import dream as verb
    from clavilux.arts.inputs import STOPPED
    from clavilux.cli import display
    from clavilux.image.arts.dream import DreamSpec
    from clavilux.image.picture import Picture

    spec = DreamSpec(octaves, octave_scale, iterations, step, jitter, tile)
    source = _sized(_loaded(picture, strict), size)
    verb.check_size(source)
    area = None if mask is None else Picture.load(mask, strict=strict)
    started = time.perf_counter()
    dreamer = verb.Dreamer(
        layers or 10, guide=guide, spec=spec, features=features, weights=weights, device=device, dtype=dtype
    )
    timings = {"weights_s": round(time.perf_counter() - started, 6)}
    with display.share_bar(hidden=quiet or as_json) as progress:
        if zoom is not None:
            frames = verb.zoom(
                dreamer, source, zoom, by=zoom_by, iterations=frame_iterations, seed=seed, mask=area, progress=progress
            )
            found, written = _write_frames(ctx, frames, output, fps, preview)
        elif sheet:
            found, written = verb.sheet(dreamer, source, seed, progress), {"sheet": str(output)}
        else:
            found = dreamer(source, seed, area, progress, _previewer(ctx, preview))
            written = {"picture": str(output)}
    elapsed_s = time.perf_counter() - started
    if zoom is None:
        found.save(output)
        note_written(ctx, output)
    if STOPPED in found.receipt["notes"]:
        raise KeyboardInterrupt  # says what was written, and ends as Ctrl-C does
    timings["dream_s"] = round(elapsed_s - timings["weights_s"], 6)
    if as_json:
        display.print_json(display.picture_report([found], [written], elapsed_s, timings))
    elif not quiet:
        display.show_remarks(source.remarks)
        display.show_facts(_answers(found.receipt))
        display.show_pictures([found], [written], elapsed_s, timings)


def _check(
    picture: Path,
    output: Path,
    guide: Path | None,
    mask: Path | None,
    preview: Path | None,
    asked: tuple[int | None, int, bool, list[str] | None],
) -> None:
    """Refuse before torch is imported what is known to be wrong."""
    from clavilux.image import io

    zoom, fps, sheet, layers = asked
    if sheet and (zoom is not None or layers or guide or mask or preview):
        raise ValueError("--sheet shows every layer; leave --zoom, --layers, --guide, --mask and --preview out")
    if LIST in (layers or []):
        raise ValueError("--layers list shows what there is; leave other layers out")
    read = [path for path in (picture, guide, mask) if path is not None]
    for path in read:
        check_readable(path, "picture")
    if zoom is None:
        io.format_of(output)
    else:
        from clavilux.image.animation import check_animation

        check_animation(output, fps)
    if preview is not None:
        io.format_of(preview)
    targets = [output, *([preview] if preview else [])]
    for path in targets:
        check_target(path)
    check_distinct(targets)
    check_apart(targets, read)


def _loaded(path: Path, strict: bool) -> Picture:
    """The picture, of several in a file the first, which is said."""
    from clavilux.image import io
    from clavilux.image.picture import Picture

    found, frames = Picture.load(path, strict=strict), io.num_frames(path)
    if frames > 1:
        remark = f"the file holds {frames} pictures, and the first was taken"
        if strict:
            raise ValueError(f"{str(path)!r}: {remark}.")
        found.remarks = (*found.remarks, remark)
    return found


def _sized(picture: Picture, size: int | None) -> Picture:
    """The picture, its longer side `size` pixels."""
    if size is None:
        return picture
    from clavilux.arts.dream import LARGEST, SMALLEST
    from clavilux.checks import whole_number

    scale = whole_number("size", size, SMALLEST, LARGEST) / max(picture.width, picture.height)
    found = picture.resized(*(max(1, round(side * scale)) for side in (picture.width, picture.height)))
    found.remarks = picture.remarks
    return found


def _previewer(ctx: typer.Context, path: Path | None) -> Any:
    """What saves each preview."""
    if path is None:
        return None
    noted: list[Path] = []

    def save(picture: Picture) -> None:
        picture.save(path)
        if not noted:
            note_written(ctx, path)
            noted.append(path)

    return save


def _write_frames(
    ctx: typer.Context, frames: Iterator[Picture], output: Path, fps: int, preview: Path | None
) -> tuple[Picture, dict[str, str]]:
    """Write frames as they come; where they are stopped, those that there are. The last one, and what was written."""
    from clavilux.arts.inputs import STOPPED
    from clavilux.image.animation import write_animation

    show, last, stopped = _previewer(ctx, preview), next(frames), False
    receipt = {name: value for name, value in last.receipt.items() if name != "frame"}
    with write_animation(output, fps, receipt, stamp=last.stamp) as animation:
        animation.add(last.pixels)
        try:
            for last in frames:
                animation.add(last.pixels)
                if show is not None:
                    show(last)
        except KeyboardInterrupt:
            stopped = True
        count = animation.frames
    note_written(ctx, output)
    last.receipt = receipt | {"frames": count, "fps": fps, "notes": [STOPPED] if stopped else []}
    return last, {"animation": str(output)}


def _answers(receipt: dict[str, Any]) -> dict[str, str]:
    """How strongly each layer answered before and after, at each size."""
    return {
        f"at {octave['width']} x {octave['height']}": ", ".join(
            f"{name} {before:.4g} to {after:.4g}"
            for name, before, after in zip(
                receipt["controls"]["layers"], octave["before"], octave["after"], strict=True
            )
        )
        for octave in receipt.get("octaves", ())
    }


def _show_layers(features: str, weights: Path | None, as_json: bool) -> None:
    from clavilux.arts.dream import load
    from clavilux.cli import display
    from clavilux.precision import device_named

    found: Features = load(features, weights, device_named("cpu"), "auto")
    if as_json:
        display.print_json({"features": found.name, "layers": [layer._asdict() for layer in found.layers]})
        return
    display.show_facts(
        {
            layer.name: f"{layer.words}; {layer.channels} channels, 1/{layer.reduction} of the side"
            for layer in found.layers
        }
    )
