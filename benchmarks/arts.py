"""Seconds, memory and numbers of dream and style: `python benchmarks/arts.py --json results.json`.

Every case of time and memory is a process of its own; seconds are of one picture, after the weights are loaded, and
its peak memory is the most that the process held, Python and torch in it. Photographs are scikit-learn's two and, where
scikit-image is importable, its cat, cup and astronaut; or those of `--photos`. Paintings are the last of these in
built-in styles, free of anybody's rights, or those of `--paintings`. `--only PART` measures one part again and keeps
the others of the file; each says when it was measured, and how busy the machine was. `--quick` shows that it runs. On a
CPU, under Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import arts_numbers
import torch
from torch import Tensor

from clavilux.bench.machine import machine
from clavilux.files import check_ending, check_target, write_json
from clavilux.image.arts import fine_style, style_names
from clavilux.image.arts.dream import DreamSpec
from clavilux.image.arts.features import load_features
from clavilux.image.arts.style import Blend, FastStyle
from clavilux.image.picture import Picture

SIDES = (512, 1024, 2048)
BUILT_IN = ("starry-night", "stained-glass", "mosaic")  # what paintings are made with, in turns
MODES = (
    "load torch and features", "fast, built in", "fast, a painting", "fine", "fine, content .02",
    "fine, optimized at 1,024 px", "dream", "dream, in tiles", "dream, a frame of a zoom",
)  # fmt: skip
PARTS = ("seconds", "style", "dream", "style_peers", "seams", "content_kept")
Call = Callable[[], object]


def prepared(mode: str, photo: Picture, painting: Picture, side: int) -> Call:
    """What a case times; weights are loaded when this returns."""
    if mode.startswith("load"):
        features = load_features()
        return lambda: features.layers
    if mode.startswith("fast"):
        named = Blend([(style_names.find(BUILT_IN[0]), 1.0)])
        fast = FastStyle(named if mode == "fast, built in" else Blend(paintings=[(painting.pixels, 1.0)]))
        return lambda: fast(photo.pixels)
    if mode.startswith("fine"):
        content = 0.02 if ".02" in mode else 0.25
        manner = fine_style.Manner(content=content, size=1024 if "1,024" in mode else side)
        fine = fine_style.FineStyle(load_features(), [(painting.pixels, 1.0)], manner)
        return lambda: fine(photo.pixels)
    if mode.endswith("zoom"):
        return arts_numbers.zoom_frames(photo)
    return arts_numbers.dreaming(photo, DreamSpec(tile=512) if mode == "dream, in tiles" else None)


def measures(mode: str, side: int) -> bool:
    """Whether a mode says something at this size that another does not say there."""
    at = {
        "fine, optimized at 1,024 px": side > 1024,
        "dream, in tiles": side == 1024,
        "fine, content .02": side <= 1024,
    }
    return at.get(mode, side == SIDES[0] or not mode.startswith("load"))


def case(mode: str, side: int, repeats: int, photo: Path, painting: Path) -> None:
    """One case, in this process: prints its JSON."""
    scaled = Picture.load(photo).fit(side)
    run = prepared(mode, scaled, Picture.load(painting), side)
    samples = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        samples.append(round(time.perf_counter() - started, 3))
    status = Path("/proc/self/status").read_text()  # getrusage's peak would have the parent's in it
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    print(json.dumps({"mode": mode, "side": side, "samples_s": samples, "peak_bytes": peak}))


def measured(mode: str, side: int, repeats: int, photo: Path, painting: Path) -> dict[str, Any]:
    """One case in a process of its own. RuntimeError where it fails: a failure is no measurement."""
    arguments = [
        "--case", mode, "--side", str(side), "--repeats", str(repeats), "--photo", str(photo),
        "--painting", str(painting),
    ]  # fmt: skip
    run = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{mode} at {side} px ended with {run.returncode}: {run.stderr.strip()[-400:]}")
    found = json.loads(run.stdout.splitlines()[-1])
    median = sorted(found["samples_s"])[len(found["samples_s"]) // 2]
    print(f"{mode:28} {side:5} px {median:8.2f} s {found['peak_bytes'] / 2**20:7.0f} MiB", flush=True)
    return found | {"median_s": median}


def photographs(folder: Path | None) -> dict[str, Picture]:
    """By name, in the order of names."""
    if folder is not None:
        return {path.stem: Picture.load(path) for path in sorted(folder.iterdir()) if path.is_file()}
    from sklearn.datasets import load_sample_images

    samples = load_sample_images()
    found = {Path(name).stem: Picture(pixels) for name, pixels in zip(samples.filenames, samples.images, strict=True)}
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return found
    folder = Path(spec.origin).parent / "data"  # read from there: its own reader needs more packages
    return found | {name: Picture.load(folder / f"{name}.png") for name in ("chelsea", "coffee", "astronaut")}


def paintings_of(photos: dict[str, Picture], folder: Path | None) -> dict[str, Picture]:
    """By name: of a folder, or other photographs in built-in styles, one a style."""
    if folder is not None:
        return photographs(folder)
    found = {}
    for number, (name, photo) in enumerate(reversed(photos.items())):
        like = BUILT_IN[number % len(BUILT_IN)]
        styled: Tensor = FastStyle(Blend([(style_names.find(like), 1.0)]))(photo.pixels)
        found[f"{name} in {like}"] = Picture(styled)
    return dict(list(found.items())[: len(BUILT_IN)])


def pairs_of(photos: dict[str, Picture], paintings: dict[str, Picture], count: int) -> list[tuple[str, str]]:
    """(photograph, painting), no photograph with a painting that was made of it; all photographs have their turn."""
    every = [(photo, painting) for painting in paintings for photo in photos if not painting.startswith(f"{photo} in")]
    taken, turns = list[tuple[str, str]](), dict.fromkeys((*photos, *paintings), 0)
    while every and len(taken) < count:
        pair = min(every, key=lambda each: turns[each[0]] + turns[each[1]])
        every.remove(pair)
        taken.append(pair)
        for name in pair:
            turns[name] += 1
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of pictures")
    parser.add_argument("--paintings", type=Path, help="a folder of pictures")
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3, help="of the fast modes; the others run once")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure again")
    parser.add_argument("--quick", action="store_true", help="64 px and two pairs, to see that it works")
    parser.add_argument("--pictures", type=Path, help="a folder for what the pairs and the peers made")
    parser.add_argument("--json", type=Path, help="write everything here")
    for name in ("--case", "--side", "--photo", "--painting"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        case(options.case, int(options.side), options.repeats, Path(options.photo), Path(options.painting))
        return
    if options.json:
        check_ending(options.json, (".json",))
        check_target(options.json)
    if options.quick:
        options.sides, options.pairs, options.repeats = [64], 2, 1
    photos = photographs(options.photos)
    paintings = paintings_of(photos, options.paintings)
    side = 64 if options.quick else 512
    photo, painting = pairs_of(photos, paintings, 1)[0]
    parts: dict[str, Call] = {
        "seconds": lambda: seconds(photos[photo], paintings[painting], options.sides, options.repeats),
        "style": lambda: pairs(photos, paintings, side, options.pairs, options.pictures),
        "dream": lambda: arts_numbers.dream_rows(photos[photo], side, options.pictures),
        "style_peers": lambda: arts_numbers.style_peers(photos[photo], paintings[painting], side, options.pictures),
        "seams": lambda: arts_numbers.seams(photos[photo], paintings[painting], 256 if options.quick else 1024),
        "content_kept": lambda: arts_numbers.content_scale(photos, paintings),
    }
    report: dict[str, Any] = {"measured": {}}
    if options.only and options.json and options.json.exists():
        report = json.loads(options.json.read_text())
    for part in options.only or parts:
        began = machine(torch.device("cpu"))
        report[part] = parts[part]()
        report["measured"][part] = began | {"photo": photo, "painting": painting}
        if options.json:
            write_json(report, options.json)


def seconds(photo: Picture, painting: Picture, sides: list[int], repeats: int) -> list[dict[str, Any]]:
    """Every mode at every size, each in a process."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "photo.png", Path(folder) / "painting.png"
        for path, picture in zip(paths, (photo, painting), strict=True):
            picture.save(path)
        for side in sides:
            for mode in MODES:
                if measures(mode, side):
                    found.append(measured(mode, side, repeats if mode.startswith(("fast", "load")) else 1, *paths))
    return found


def pairs(
    photos: dict[str, Picture], paintings: dict[str, Picture], side: int, count: int, folder: Path | None
) -> list[dict[str, Any]]:
    """What fine style makes of each pair."""
    found = []
    for photo, painting in pairs_of(photos, paintings, count):
        rows = arts_numbers.style_rows(photos[photo], paintings[painting], side, folder, f"{photo}, {painting}")
        found.append({"photo": photo, "painting": painting, "side": side} | rows)
    return found


if __name__ == "__main__":
    main()
