"""How well the mark in pictures is found: `python benchmarks/marks_pictures.py [--model DIR]`.

Paints pictures with and without the mark, each with a key of its own, alone and as sheets of sixteen with seeds one
after another; looks for it by the model's codec, in the pixels as they are, saved again, scaled, cut and tinted. The
unmarked are looked at with keys that nothing was marked with, and so are the pictures of `--photos`. `--temperature`
tries others than the model's own: a mark lives on what is left to chance.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from marks_sound import rates, short
from PIL import Image

import clavilux
from clavilux.bench.machine import machine
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.mark_key import MarkKey
from clavilux.provenance.mark_pictures import find_in_picture, readings_of

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


def scaled(factor: int) -> Callable[[Picture], Picture]:
    """Enlarged, and back."""
    return lambda picture: picture.resized(picture.width * factor, picture.height * factor).resized(
        picture.width, picture.height
    )


def cropped(picture: Picture) -> Picture:
    """A tenth of each side cut off, at the left and at the top."""
    return Picture(picture.pixels[picture.height // 10 :, picture.width // 10 :])


def tinted(picture: Picture) -> Picture:
    """A warm cast: a tenth less blue, a twentieth more red."""
    pixels = picture.pixels.float() * torch.tensor([1.05, 1.0, 0.9])
    return Picture(pixels.round().clamp(0, 255).to(torch.uint8))


ATTACKS: dict[str, Callable[[Picture], Picture]] = {
    "png": saved(format="PNG"), "jpeg 75": saved(format="JPEG", quality=75),
    "jpeg 50": saved(format="JPEG", quality=50),
    "x4": scaled(4), "x4 and left so": lambda picture: picture.resized(picture.width * 4, picture.height * 4),
    "a tenth cut": cropped, "tinted": tinted,
}  # fmt: skip


def key_number(number: int) -> MarkKey:
    """One of many keys, always the same."""
    return MarkKey(number.to_bytes(32, "big"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="lumia", help="a checkpoint of pictures")
    parser.add_argument("--temperature", type=float, nargs="*", help="the model's own if none")
    parser.add_argument("--sheets", type=int, default=19, help="of 16 pictures")
    parser.add_argument("--first", type=int, default=0, help="number of the first sheet, and so its seeds and key")
    parser.add_argument("--add", type=Path, nargs="*", default=[], help="results of other sheets, counted in")
    parser.add_argument("--photos", type=Path, help="folder of real pictures, for the unmarked")
    parser.add_argument("--most", type=int, default=1000, help="of them")
    parser.add_argument("--keys", type=int, default=5, help="wrong keys of each unmarked picture")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    began = time.time()
    model = clavilux.load(given.model)
    family = model.family
    codec, tokens, size = family.stage.codec, family.marked, family.size

    def p_of(picture: Picture, number: int) -> float:
        return find_in_picture(key_number(number), readings_of(picture, codec, tokens, size), tokens).p

    right: dict[str, list[float]] = {}
    wrong: dict[str, list[float]] = {}
    serial = 1_000_000 * (1 + given.first)
    for path in given.add:
        earlier = json.loads(path.read_text())["p"]
        for own, theirs in ((right, earlier["right"]), (wrong, earlier["wrong"])):
            for name, ps in theirs.items():
                own.setdefault(name, []).extend(ps)
    for temperature in given.temperature or [family.sampling.temperature]:
        for number in range(given.first, given.first + given.sheets):
            prompts = [PROMPTS[number % len(PROMPTS)]] * TILES
            seeds = list(range(number * 100, number * 100 + TILES))
            pictures = model.generate(prompts, seed=seeds, temperature=temperature, mark=key_number(number))
            for name, attack in ATTACKS.items():
                ps = [p_of(attack(each), number) for each in pictures[:4]]
                right.setdefault(f"{temperature:g}, alone, {name}", []).extend(ps)
                p = p_of(attack(contact_sheet(pictures)), number)
                right.setdefault(f"{temperature:g}, sheet, {name}", []).append(p)
            for _ in range(given.keys):
                serial += 1
                wrong.setdefault("painted", []).extend(p_of(each, serial) for each in pictures)
            print(f"{temperature}: sheet {number}, {time.time() - began:.0f} s", flush=True)
    files = [] if given.photos is None else sorted(given.photos.rglob("*.png")) + sorted(given.photos.rglob("*.jpg"))
    for path in files[given.first % 7 :: max(1, len(files) // max(1, given.most))][: given.most]:
        serial += 1
        wrong.setdefault("real", []).append(p_of(Picture.load(path), serial))
    report = {
        "machine": machine(torch.device("cpu")),
        "model": family.identity,
        "marked": {name: rates(ps, (1e-3, 1e-6)) for name, ps in right.items()},
        "wrong keys": {name: rates(ps, (1e-1, 1e-2, 1e-3)) | {"least": min(ps)} for name, ps in wrong.items()},
        "p": {"right": short(right), "wrong": short(wrong)},
        "seconds": round(time.time() - began),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
