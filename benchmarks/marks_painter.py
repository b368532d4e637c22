"""Whether lumia's pictures with the mark are as good as those without: `python benchmarks/marks_painter.py PICTURES`.

Pairs of pictures of one prompt and seed, with the public key's mark and without, and of those without and the same with
the pattern of its pixels alone, by the measures of `painter` and `painter_variety`: whether the judge recognizes the
category, of the names and new combinations that `painter` asked for (--asked, a result of it); how near a picture comes
to a taught one; how far apart pictures of one prompt are, those of one nonce (seeds 256 apart) and others; whether a
color was obeyed. A difference's standard error is that of its mean over prompts: pictures of one prompt are alike.
PICTURES, --others and --run as in `painter`.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
import torch
from painter import COPY_DB, nearest_psnr
from painter_judge import described, others
from painter_variety import ASKED, SAME_DB, THINGS, apart, paint, tell
from torch import Tensor

import clavilux
from clavilux.families.lumia.seen_colors import main_colours, on_nothing
from clavilux.families.lumia.words import COLOURS
from clavilux.image import pixel_mark
from clavilux.image.arts.features import load_features
from clavilux.image.picture import Picture
from clavilux.mark_key import PUBLIC
from clavilux.marking import NONCES, PAINTED_KIND, nonce_of
from clavilux.training.image_dataset import ImageDataset


def compared(unmarked: np.ndarray, marked: np.ndarray) -> dict[str, float]:
    """The means of a measure [prompts, ...], and of its differences with their standard error over prompts."""
    by_prompt = [each.reshape(len(each), -1).mean(1) for each in (unmarked, marked)]
    apart_by = by_prompt[1] - by_prompt[0]
    error = apart_by.std(ddof=1) / len(apart_by) ** 0.5
    found = {"unmarked": by_prompt[0].mean(), "marked": by_prompt[1].mean(), "difference": apart_by.mean()}
    return {name: round(float(value), 5) for name, value in (found | {"standard_error": error}).items()}


def pairs_apart(pixels: np.ndarray, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """How far pictures of one prompt are apart, [prompts, seeds, N]: those whose seeds have one nonce, and others.

    Each float64 [prompts, pairs], in levels.
    """
    of_one: list[np.ndarray] = []
    of_other: list[np.ndarray] = []
    for a, b in itertools.combinations(range(len(seeds)), 2):
        found = of_one if nonce_of(seeds[a]) == nonce_of(seeds[b]) else of_other
        found.append(apart(pixels[:, a], pixels[:, b]))
    return np.stack(of_one, 1), np.stack(of_other, 1)


def obeyed(painted: Sequence[Picture]) -> np.ndarray:
    """bool [things, colors]: whether the color that was asked for covers most or second most."""
    right = [COLOURS.index(color) in main_colours(on_nothing(each.pixels.numpy()))
             for each, (_, color) in zip(painted, itertools.product(THINGS, ASKED), strict=True)]  # fmt: skip
    return np.array(right).reshape(len(THINGS), len(ASKED))


def floats_of(painted: Sequence[Picture]) -> Tensor:
    return torch.stack([picture.to_floats() for picture in painted])


def patterned(painted: Sequence[Picture]) -> list[Picture]:
    """The same pictures with the pattern of the public key in their pixels."""
    word = PUBLIC.word(PAINTED_KIND)
    return [Picture(pixel_mark.marked(each.pixels, word)) for each in painted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument("--others", type=Path, required=True, help="where other artists' emoji were installed")
    parser.add_argument("--run", type=Path, default=Path("runs/painter"), help="the folder of a training run")
    parser.add_argument("--asked", type=Path, required=True, help="a result of painter.py, whose prompts are asked for")
    parser.add_argument("--model", default="lumia")
    parser.add_argument("--seeds", type=int, default=6, help="from 1 on, and as many whose noise has the same nonces")
    parser.add_argument("--cache", type=Path, help="what the judge is taught with, described; made if not there")
    parser.add_argument("--json", type=Path, help="where the result goes")
    args = parser.parse_args()
    model, features = clavilux.load(args.model), load_features()
    identity = model.family.identity
    cache = args.cache or args.run / f"others-{identity['fingerprint']}.npz"
    judge = others(args.pictures, args.others, features, model.family.stage.codec, cache).judge()
    answers = json.loads(args.asked.read_text(encoding="utf-8"))["recognised"]["answers"]
    asked = [(each["prompt"], each["category"]) for each in answers if each["of"] in ("names", "new")]
    seeds = (*range(1, 1 + args.seeds), *range(1 + NONCES, 1 + NONCES + args.seeds))
    shape, wanted = (len(asked), len(seeds)), np.array([category for _, category in asked])
    dataset = ImageDataset(args.run / "pictures.npz")
    measures: dict[str, dict[str, np.ndarray]] = {}
    prompts = [f"{color} {thing}" for thing, color in itertools.product(THINGS, ASKED)]
    sides = {
        side: (paint(model, [p for p, _ in asked for _ in seeds], seeds * len(asked), mark=mark),
               paint(model, prompts, [1] * len(prompts), mark=mark))
        for side, mark in (("unmarked", False), ("marked", True))
    }  # fmt: skip
    unmarked, colored = sides["unmarked"]
    sides["pattern"] = patterned(unmarked), patterned(colored)
    for side, (painted, colored) in sides.items():
        says = judge.says(described(features, floats_of(painted))).reshape(shape)
        near = nearest_psnr(dataset, dataset.taught, floats_of(painted))[0].reshape(shape)
        pixels = np.stack([each.pixels.numpy() for each in painted]).reshape(*shape, -1)
        one, other = pairs_apart(pixels, seeds)
        same = 255 * 10 ** (-SAME_DB / 20)
        measures[side] = {
            "recognized": says == wanted[:, None], "nearest_taught_db": near, "copies": near > COPY_DB,
            "levels_apart": other, "pairs_alike": other <= same,
            "levels_apart_of_one_nonce": one, "pairs_alike_of_one_nonce": one <= same,
            "colors_obeyed": obeyed(colored),
        }  # fmt: skip
        print(side, {name: round(float(values.mean()), 4) for name, values in measures[side].items()}, flush=True)
    result = {
        "date": date.today().isoformat(), "torch": torch.__version__, "model": identity, "seeds": seeds,
        "prompts": len(asked), "pictures_a_side": len(asked) * len(seeds), "colored_a_side": len(THINGS) * len(ASKED),
        "copies_nearer_than_db": COPY_DB, "alike_within_db": SAME_DB,
    }  # fmt: skip
    result |= {name: compared(measures["unmarked"][name], measures["marked"][name]) for name in measures["marked"]}
    result["of_the_pattern_alone"] = {
        name: compared(measures["unmarked"][name], measures["pattern"][name]) for name in measures["pattern"]
    }
    tell(result, args.json)


if __name__ == "__main__":
    main()
