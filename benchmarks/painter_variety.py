"""Measure how much the bundled painter varies, and whether it obeys colors and positions.

    python benchmarks/painter_variety.py --model lumia --json FILE --sheets FOLDER

What the pictures show is `painter`'s question; here nothing is recognized. Variety: how far apart pictures of one
prompt with different seeds are, in pixels and in what an ImageNet classifier sees, beside pictures of different
prompts, and, with --others (see `painter`), beside other artists' drawings of one name; how open the draws were, in
bits. Colors: every thing of a list is asked for in every color. Positions: one thing at a side of the picture, and two
things in two colors, one of them left, right, above, under or on the other; where the ink of each color lies says
whether that was obeyed. Needs `pip install 'clavilux[painter]'`.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
import torch
from PIL import Image
from torch import Tensor

import clavilux
from clavilux.families.lumia.seen_colors import main_colours, name_colours, on_nothing
from clavilux.families.lumia.words import COLOURS
from clavilux.image.arts.features import Features, load_features
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.training.perception import describe

SEEDS = tuple(range(1, 9))
THINGS = (
    "cat", "dog", "elephant", "horse", "rabbit", "owl", "penguin", "fish", "whale", "butterfly", "apple", "banana",
    "strawberry", "pizza", "cake", "tree", "tulip", "cactus", "mushroom", "car", "bus", "airplane", "sailboat",
    "rocket", "house", "castle", "hat", "dress", "shoe", "guitar", "key", "umbrella", "book", "clock", "chair", "bell",
    "balloon", "crown", "robot", "snowman",
)  # fmt: skip
ASKED = tuple(color for color in COLOURS if color != "white")  # the pictures lie on white
SIDES = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}
PLACED = THINGS[::4]
# Two things, each in a color, so that each can be found by its ink.
PAIRS = (
    ("red apple", "blue car"), ("blue dog", "red house"), ("green frog", "red mushroom"), ("red bird", "blue whale"),
    ("blue balloon", "green tree"), ("green hat", "blue cat"), ("red heart", "green turtle"), ("blue cup", "red book"),
)  # fmt: skip
# What stands between them -> in which direction the first should lie from the second, (right, down).
RELATIONS = {
    "left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "under": (0, 1), "on": (0, -1),
}  # fmt: skip
# The card's sheet, 64 pictures in rows of eight: names, seeds of two of them, colors, places.
CARD = (
    *((thing, 1) for thing in THINGS[:32]), *(("cat", seed) for seed in SEEDS), *(("house", seed) for seed in SEEDS),
    *((f"{color} elephant", 1) for color in ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")),
    *((f"dog {side}", 1) for side in SIDES.values()),
    ("red apple left of blue car", 1), ("green frog on red mushroom", 1), ("owl under umbrella", 1),
    ("fish above cake", 1),
)  # fmt: skip
SIDE_SHARE = 0.75  # of the ink in its half, for a thing to be at a side
PART = 0.02  # of the picture's pixels that a color covers, for its thing to be there
APART = 8.0  # pixels between the middles of two things
SAME_DB = 25.0  # two pictures as near as this are the same to the eye
TOGETHER = 64


def paint(model, prompts: Sequence[str], seeds: Sequence[int], **options) -> list[Picture]:
    """A picture of each prompt with its seed."""
    painted: list[Picture] = []
    for start in range(0, len(prompts), TOGETHER):
        part = slice(start, start + TOGETHER)
        painted += model.generate(list(prompts[part]), seed=list(seeds[part]), **options)
    return painted


def variety(pixels: np.ndarray, features: np.ndarray) -> dict[str, float]:
    """How far apart pictures of one prompt are, as means over pairs of them.

    Args:
        pixels: float [prompts, seeds, ...], 0 to 255.
        features: [prompts, seeds, C], without their mean over all pictures.

    Returns:
        levels: root of the mean square difference of pixels; `same`: the share of pairs within `SAME_DB`; features: one
        less the cosine. The same of pictures of different prompts, one seed each, with "other_" before.
    """
    flat = pixels.reshape(*pixels.shape[:2], -1)
    within = list(itertools.combinations(range(flat.shape[1]), 2))
    levels = np.concatenate([apart(flat[:, a], flat[:, b]) for a, b in within])
    turned = [np.roll(np.arange(len(flat)), shift) for shift in range(1, min(len(flat), 9))]
    other = np.concatenate([apart(flat[:, 0], flat[order, 0]) for order in turned])
    unit = features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-9)
    alike = np.concatenate([(unit[:, a] * unit[:, b]).sum(-1) for a, b in within])
    other_alike = np.concatenate([(unit[:, 0] * unit[order, 0]).sum(-1) for order in turned])
    same = 255 * 10 ** (-SAME_DB / 20)
    return {
        "levels": mean(levels), "other_levels": mean(other), "same": mean(levels <= same),
        "features": mean(1 - alike), "other_features": mean(1 - other_alike),
    }  # fmt: skip


def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root of the mean square difference along the last axis."""
    return np.sqrt(np.square(first.astype(np.float64) - second).mean(-1))


def at_side(pixels: np.ndarray, side: str) -> bool:
    """Whether most of the ink of a picture on white, uint8 [H, W, 3], lies in the half of that name."""
    seen = np.asarray(on_nothing(pixels).getchannel("A")) > 128
    height, width = seen.shape
    halves = {
        "left": seen[:, : width // 2], "right": seen[:, width // 2 :], "top": seen[: height // 2],
        "bottom": seen[height // 2 :],
    }  # fmt: skip
    return bool(seen.sum() >= PART * seen.size and halves[side].sum() >= SIDE_SHARE * seen.sum())


def middle_of(pixels: np.ndarray, color: str) -> np.ndarray | None:
    """(x, y) of the middle of what has a color; None where that is less than `PART` of the picture."""
    seen = np.asarray(on_nothing(pixels).getchannel("A")) > 128
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV"))
    names = name_colours(hsv.reshape(-1, 3)).reshape(seen.shape)
    rows, columns = np.nonzero(seen & (names == COLOURS.index(color)))
    return np.array([columns.mean(), rows.mean()]) if len(rows) >= PART * seen.size else None


def related(pixels: np.ndarray, first: str, second: str, relation: str) -> tuple[bool, bool]:
    """(whether both colors are there, and whether the first lies where the relation says from the second)."""
    ours, theirs = middle_of(pixels, first), middle_of(pixels, second)
    if ours is None or theirs is None:
        return False, False
    return True, bool((ours - theirs) @ np.array(RELATIONS[relation]) >= APART)


def measure_variety(model, features: Features, options: dict) -> tuple[dict, list[Picture]]:
    prompts = [thing for thing in THINGS for _ in SEEDS]
    painted = paint(model, prompts, SEEDS * len(THINGS), **options)
    pixels = np.stack([picture.pixels.numpy() for picture in painted])
    found = described(features, painted)
    shape = (len(THINGS), len(SEEDS))
    result = variety(pixels.reshape(*shape, -1), (found - found.mean(0)).reshape(*shape, -1))
    bits = [float(model.explain(picture).entropy.mean()) for picture in painted[:: len(SEEDS)]]
    result |= {"entropy_bits_a_place": mean(bits), "entropy_bits_a_place_median": round(float(np.median(bits)), 3)}
    return result, painted


def measure_colors(model, options: dict) -> tuple[dict, list[Picture]]:
    """Of every thing in every color, one seed each: whether it covers most or second most."""
    cases = [(color, thing) for thing in THINGS for color in ASKED]
    painted = paint(model, [" ".join(case) for case in cases], [1] * len(cases), **options)
    of_color, of_thing = defaultdict(list), defaultdict(list)
    for (color, thing), picture in zip(cases, painted, strict=True):
        right = COLOURS.index(color) in main_colours(on_nothing(picture.pixels.numpy()))
        of_color[color].append(right)
        of_thing[thing].append(right)
    every = {name: mean(right) for name, right in of_thing.items()}
    result = {
        "obeyed": mean(list(every.values())), "worst_things": dict(sorted(every.items(), key=lambda each: each[1])[:8]),
        "of_color": {name: mean(right) for name, right in of_color.items()},
    }  # fmt: skip
    return result, painted


def measure_positions(model, options: dict) -> tuple[dict, list[Picture]]:
    sides = [(thing, side, seed) for thing in PLACED for side in SIDES for seed in SEEDS[:2]]
    pairs = [(*pair, relation, seed) for pair in PAIRS for relation in RELATIONS for seed in SEEDS[:2]]
    prompts = [f"{thing} {SIDES[side]}" for thing, side, _ in sides]
    prompts += [f"{first} {relation} {second}" for first, second, relation, _ in pairs]
    painted = paint(model, prompts, [each[-1] for each in (*sides, *pairs)], **options)
    at, there, obeyed = defaultdict(list), [], defaultdict(list)
    for (_, side, _), picture in zip(sides, painted, strict=False):
        at[side].append(at_side(picture.pixels.numpy(), side))
    for (first, second, relation, _), picture in zip(pairs, painted[len(sides) :], strict=True):
        both, right = related(picture.pixels.numpy(), first.split()[0], second.split()[0], relation)
        there.append(both)
        obeyed[relation].append(right)
    sides_right, pairs_right = ([right for each in of.values() for right in each] for of in (at, obeyed))
    result = {
        "at_a_side": mean(sides_right), "sides": {name: mean(right) for name, right in at.items()},
        "both_colors_there": mean(there), "relation_obeyed": mean(pairs_right),
        "relations": {name: mean(right) for name, right in obeyed.items()},
    }  # fmt: skip
    return result, painted


def measure_artists(pictures_folder: Path, folder: Path, features: Features) -> dict[str, float]:
    """The variety of other artists' drawings of one name: what lies between copies and other things."""
    from painter_judge import ARTISTS, Drawn

    from clavilux.training import pictures
    from clavilux.training.augment import on_white, place

    drawn: dict[str, list[Picture]] = defaultdict(list)
    for where in ARTISTS.values():
        for named in pictures.emoji(pictures_folder, Drawn(folder / "node_modules" / where)):
            if named.file in THINGS:
                drawn[named.file].append(Picture(torch.from_numpy(on_white(place(named.image)).copy())))
    whole = [each for each in drawn.values() if len(each) == len(ARTISTS)]
    every = [picture for each in whole for picture in each]
    pixels = np.stack([picture.pixels.numpy() for picture in every])
    found = described(features, every)
    shape = (len(whole), len(ARTISTS))
    return variety(pixels.reshape(*shape, -1), (found - found.mean(0)).reshape(*shape, -1)) | {"names": len(whole)}


@torch.no_grad()
def described(features: Features, painted: list[Picture]) -> np.ndarray:
    """float32 [N, C] of what Lite0 sees in pictures."""
    pixels: Tensor = torch.stack([picture.to_floats() for picture in painted])
    return torch.cat([describe(features, part).float() for part in pixels.split(32)]).numpy()


def mean(values) -> float:
    return round(float(np.mean(values)), 4)


def tell(result: dict, path: Path | None) -> None:
    """Print what was measured, and write it into a file where one is given."""
    text = json.dumps(result, indent=1)
    if path:
        path.write_text(text + "\n", encoding="utf-8")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lumia")
    parser.add_argument("--pictures", type=Path, help="folder with the unpacked Debian packages, for --others")
    parser.add_argument("--others", type=Path, help="where other artists' emoji were installed")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--json", type=Path, help="where the result goes")
    parser.add_argument("--sheets", type=Path, help="a folder for sheets of the pictures")
    args = parser.parse_args()
    asked = {"guidance": args.guidance, "temperature": args.temperature, "top_k": args.top_k}
    options = {name: value for name, value in asked.items() if value is not None}
    model, features = clavilux.load(args.model), load_features()
    result: dict = {"date": date.today().isoformat(), "torch": torch.__version__, "model": model.family.identity}
    result |= {"options": options, "seeds": SEEDS}
    result["variety"], of_seeds = measure_variety(model, features, options)
    result["colors"], in_colors = measure_colors(model, options)
    result["positions"], placed = measure_positions(model, options)
    if args.others and args.pictures:
        result["variety_of_artists"] = measure_artists(args.pictures, args.others, features)
    if args.sheets:
        args.sheets.mkdir(parents=True, exist_ok=True)
        for name, painted, columns in (("seeds", of_seeds, 24), ("colors", in_colors, 20), ("positions", placed, 20)):
            contact_sheet(painted, columns=columns).save(args.sheets / f"{name}.png")
        contact_sheet(paint(model, *zip(*CARD, strict=True), **options), columns=8).save(args.sheets / "card.png")
    tell(result, args.json)


if __name__ == "__main__":
    main()
