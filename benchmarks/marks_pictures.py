"""How well the mark in pictures is found: `python benchmarks/marks_pictures.py [--model DIR]`.

Paints pictures with the mark, sixteen with a key of its own, and looks for it in their pixels and by the model's codec
in their tokens, alone and as sheets of sixteen with seeds one after another: as they are, saved again, scaled, cut and
tinted. Pictures without it (painted, those of `--photos`, crops of its photographs, made ones) are looked at with the
public key, and with many wrong ones. `--temperature` tries others than the model's own: a mark in tokens lives on what
is left to chance.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from marks_sound import rates, short
from PIL import Image, ImageFilter

import clavilux
from clavilux.bench.machine import machine
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.image_model import ImageModel
from clavilux.mark_key import PUBLIC, MarkKey
from clavilux.provenance.mark import surest_of
from clavilux.provenance.mark_pictures import find_in_picture, readings_of
from clavilux.provenance.mark_pixels import find_in_pixels

PROMPTS = (
    "red apple", "blue bird", "sun", "house", "tree", "cat", "green car", "flower", "star", "fish", "umbrella", "boat",
    "mushroom", "crown", "guitar", "snowman",
)  # fmt: skip
TILES = 16  # of a sheet


def saved(**how: object) -> Callable[[Picture], Picture]:
    """Saved by Pillow, and read again."""

    def attack(picture: Picture) -> Picture:
        file = io.BytesIO()
        Image.fromarray(picture.pixels.numpy()).save(file, **how)
        return Picture(np.array(Image.open(file).convert("RGB")))

    return attack


def scaled(factor: float) -> Callable[[Picture], Picture]:
    """Enlarged or made smaller, and left so."""
    return lambda picture: picture.resized(round(picture.width * factor), round(picture.height * factor))


def and_back(factor: int) -> Callable[[Picture], Picture]:
    """Enlarged, and as large as before."""
    return lambda picture: scaled(factor)(picture).resized(picture.width, picture.height)


def cropped(picture: Picture) -> Picture:
    """A tenth of each side cut off, at the left and at the top."""
    return Picture(picture.pixels[picture.height // 10 :, picture.width // 10 :])


def on_page(picture: Picture) -> Picture:
    """Enlarged four times, somewhere on a white page."""
    shown = scaled(4)(picture).pixels
    page = torch.full((shown.shape[0] + 300, shown.shape[1] + 500, 3), 255, dtype=torch.uint8)
    page[113 : 113 + shown.shape[0], 207 : 207 + shown.shape[1]] = shown
    return Picture(page)


def made_by(change: Callable[[Image.Image], Image.Image]) -> Callable[[Picture], Picture]:
    """What Pillow makes of it."""
    return lambda picture: Picture(np.array(change(Image.fromarray(picture.pixels.numpy())).convert("RGB")))


def noisy(picture: Picture) -> Picture:
    """White noise, 8 levels of 255 strong."""
    noise = np.random.default_rng(0).normal(0, 8, picture.pixels.shape)
    return Picture((picture.pixels.numpy() + noise).round().clip(0, 255).astype(np.uint8))


def colored(red: float, green: float, blue: float) -> Callable[[Picture], Picture]:
    """Each color times so much."""
    factors = torch.tensor([red, green, blue])
    return lambda picture: Picture((picture.pixels * factors).round().clamp(0, 255).to(torch.uint8))


JPEG_75 = saved(format="JPEG", quality=75)
ATTACKS: dict[str, Callable[[Picture], Picture]] = {
    "png": saved(format="PNG"), "jpeg 75": JPEG_75, "jpeg 50": saved(format="JPEG", quality=50),
    "webp 80": saved(format="WEBP"), "gif": saved(format="GIF"), "x4 and back": and_back(4), "x4": scaled(4),
    "x4, jpeg 75": lambda picture: JPEG_75(scaled(4)(picture)),
    "x2.3, jpeg 75": lambda picture: JPEG_75(scaled(2.3)(picture)), "x0.75": scaled(0.75), "a tenth cut": cropped,
    "x4, a tenth cut": lambda picture: cropped(scaled(4)(picture)), "x4, on a page": on_page,
    "tinted": colored(1.05, 1.0, 0.9), "darker by 15 %": colored(0.85, 0.85, 0.85),
    "lighter by 10 %": colored(1.1, 1.1, 1.1),
    "grey": made_by(lambda image: image.convert("L")), "16 colors": made_by(lambda image: image.quantize(16)),
    "noise of 8 levels": noisy, "blurred by a pixel": made_by(lambda image: image.filter(ImageFilter.GaussianBlur(1))),
    "x0.5": scaled(0.5), "mirrored": lambda picture: Picture(picture.pixels.flip(1)),
    "a quarter turned": lambda picture: Picture(picture.pixels.rot90()),
    "turned by 2 degrees": made_by(lambda image: image.rotate(2, Image.Resampling.BICUBIC, fillcolor="white")),
}  # fmt: skip


def key_number(number: int) -> MarkKey:
    """One of many keys, always the same."""
    return MarkKey(number.to_bytes(32, "big"))


def made(rng: np.random.Generator, number: int) -> Picture:
    """Noise, stripes, shades, letters or a dotted screen: what a pattern could be mistaken for."""
    height, width = rng.integers(40, 200, 2)
    y, x = np.mgrid[:height, :width]
    kinds = (
        lambda: rng.integers(0, 256, (height, width, 3)),
        lambda: np.repeat((np.sin(x * rng.uniform(0.1, 3) + y * rng.uniform(0, 3)) * 100 + 128)[..., None], 3, 2),
        lambda: np.stack([x * rng.uniform(0, 3) + y * rng.uniform(0, 2)] * 3, 2) % 256,
        lambda: np.repeat(np.where(rng.random((height // 4 + 1, width // 3 + 1)) < 0.3, 0, 255).repeat(4, 0)
                          .repeat(3, 1)[:height, :width, None], 3, 2),
        lambda: np.repeat((255 * (rng.random((height, width)) < (x + y) / (height + width)))[..., None], 3, 2),
    )  # fmt: skip
    return Picture(np.clip(kinds[number % len(kinds)](), 0, 255).astype(np.uint8))


def crop_of(rng: np.random.Generator, photo: Picture) -> Picture:
    """A part of a photograph, 64 to 256 pixels a side."""
    side = min(int(rng.integers(64, 257)), photo.width, photo.height)
    top, left = rng.integers(0, photo.height - side + 1), rng.integers(0, photo.width - side + 1)
    return Picture(photo.pixels[top : top + side, left : left + side])


def unmarked(given: argparse.Namespace, model: ImageModel) -> Iterator[tuple[str, Picture]]:
    """(kind, picture)"""
    rng = np.random.default_rng(given.first)
    for number in range(given.sheets):
        seeds = list(range(50_000 + number * 100, 50_000 + number * 100 + TILES))
        for picture in model.generate(list(PROMPTS), seed=seeds, mark=False):
            yield "painted", picture
    for folder in given.photos:
        files = [path for ending in ("png", "jpg", "jpeg") for path in sorted(folder.rglob(f"*.{ending}"))]
        for path in files[given.first % 7 :: max(1, len(files) // given.most)][: given.most]:
            yield "drawn by people", Picture.load(path)
    photos = [Picture.load(path) for path in given.crops]
    for number in range(given.most if photos else 0):
        yield "photographs", crop_of(rng, photos[number % len(photos)])
    for number in range(given.made):
        yield "made", made(rng, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="lumia", help="a checkpoint of pictures")
    parser.add_argument("--temperature", type=float, nargs="*", help="the model's own if none")
    parser.add_argument("--sheets", type=int, default=19, help="of 16 pictures, with the mark, and as many without")
    parser.add_argument("--alone", type=int, default=TILES, help="pictures of a sheet whose pixels are looked at alone")
    parser.add_argument("--coded", type=int, default=1, help="of these, whose tokens are read too")
    parser.add_argument("--first", type=int, default=0, help="number of the first sheet, and so its seeds and key")
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of real pictures, for the unmarked")
    parser.add_argument("--crops", type=Path, nargs="*", default=[], help="photographs of which parts are looked at")
    parser.add_argument("--most", type=int, default=150, help="of them, of each folder, and of parts")
    parser.add_argument("--made", type=int, default=100, help="made pictures, for the unmarked")
    parser.add_argument("--keys", type=int, default=50, help="wrong keys of each unmarked picture")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    began = time.time()
    model = clavilux.load(given.model)
    assert isinstance(model, ImageModel)
    family = model.family
    codec, tokens, size = family.stage.codec, family.marked, family.size

    def looks(picture: Picture, key: MarkKey, coded: bool) -> dict[str, float]:
        found = {"pixels": find_in_pixels(picture, [key], size)[0]}
        if coded:
            found["tokens"] = find_in_picture(key, readings_of(picture, codec, tokens, size), tokens)
            found["both"] = surest_of(list(found.values()))
        return {name: mark.p for name, mark in found.items()}

    right: dict[str, list[float]] = {}
    change: list[float] = []
    for temperature in given.temperature or [family.sampling.temperature]:
        for number in range(given.first, given.first + given.sheets):
            prompts = [PROMPTS[number % len(PROMPTS)]] * TILES
            seeds, key = list(range(number * 100, number * 100 + TILES)), key_number(number)
            pictures = model.generate(prompts, seed=seeds, temperature=temperature, mark=key)
            sheet = contact_sheet(pictures)
            for each in pictures:
                error = (each.pixels.double() - model.decode(each.tokens).pixels).square().mean()
                change.append(10 * math.log10(255**2 / float(error)))
            for name, attack in ATTACKS.items():
                shown = [("alone", each, index < given.coded) for index, each in enumerate(pictures[: given.alone])]
                for how, picture, coded in [*shown, ("sheet", sheet, True)]:
                    for what, p in looks(attack(picture), key, coded).items():
                        right.setdefault(f"{temperature:g}, {how}, {name}, {what}", []).append(p)
            print(f"{temperature}: sheet {number}, {time.time() - began:.0f} s", flush=True)
    public: dict[str, list[float]] = {}
    wrong: dict[str, list[float]] = {}
    serial = 1_000_000 * (1 + given.first)
    for kind, picture in unmarked(given, model):
        keys = [key_number(serial + number) for number in range(given.keys)]
        serial += given.keys
        first, *others = (mark.p for mark in find_in_pixels(picture, [PUBLIC, *keys], size))
        for name in (kind, "all"):
            public.setdefault(name, []).append(first)
            wrong.setdefault(name, []).extend(others)
    report = {
        "machine": machine(torch.device("cpu")),
        "model": family.identity,
        "psnr_db": {"median": float(np.median(change)), "least": min(change), "most": max(change)},
        "marked": {name: rates(ps, (1e-3, 1e-6)) for name, ps in right.items()},
        "unmarked, public key": {name: rates(ps, (0.5, 0.1, 1e-2, 1e-3)) | {"least": min(ps)}
                                 for name, ps in public.items()},
        "unmarked, wrong keys": {name: rates(ps, (0.5, 0.1, 1e-2, 1e-3, 1e-6)) | {"least": min(ps)}
                                 for name, ps in wrong.items()},
        "p": {"right": short(right), "public": short(public)},
        "seconds": round(time.time() - began),
    }  # fmt: skip
    text = json.dumps(report, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    del report["p"]
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
