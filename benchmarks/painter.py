"""Measure the bundled painter: `python benchmarks/painter.py PICTURES --others OTHERS --run runs/painter`.

A judge, a linear layer on ImageNet features, says what a picture shows. It is taught with real pictures that the
painter never saw: the same emoji by three other artists, as they are and as the painter's codec renders them. What it
says of real emoji of the names that the painter is asked for stands beside, and of real emoji recolored. Then: colours
as asked, the codec against JPEG, and how near samples are to taught pictures.

PICTURES is the folder that training reads, --run the folder of the training run, whose pictures are read, and OTHERS
holds the other artists' emoji: `npm install --prefix OTHERS emoji-datasource-twitter@16.0.0 emojione@2.2.7
openmoji@17.0.0` (CC-BY 4.0, CC-BY 4.0, CC-BY-SA 4.0). Needs what training does: `pip install 'clavilux[painter]'`.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
import torch
from jpeg import jpeg_at
from painter_judge import Judge, Others, category, described, others, share, through
from torch import Tensor

import clavilux
from clavilux.families.lumia.seen_colors import main_colours, on_nothing
from clavilux.families.lumia.words import COLOURS, words_of
from clavilux.image.arts.features import Features, load_features
from clavilux.image.latents.vae import to_levels
from clavilux.image.sheet import contact_sheet
from clavilux.training.augment import on_white
from clavilux.training.drawings import style_of
from clavilux.training.image_dataset import NEVER_TOGETHER, ImageDataset, floats
from clavilux.training.recolor import recolored

SEEDS = (1, 2, 3, 4)
NUM_NAMES = 60
TOGETHER = 64  # pictures painted side by side
SETS = ("names", "coloured", "new")
# Things in colours that emoji do not have them in; the painter was taught them recolored.
COLOURED = (
    ("blue apple", "food"), ("purple banana", "food"), ("blue strawberry", "food"), ("green pizza", "food"),
    ("pink elephant", "animal"), ("blue dog", "animal"), ("green cat", "animal"), ("purple elephant", "animal"),
    ("green penguin", "bird"), ("orange dolphin", "fish"), ("purple butterfly", "bug"), ("blue bee", "bug"),
    ("green taxi", "vehicle"), ("purple bus", "vehicle"), ("purple house", "building"), ("blue guitar", "tool"),
    ("green hospital", "building"), ("green dress", "clothing"), ("blue tulip", "plant"), ("purple cactus", "plant"),
)  # fmt: skip
# Two things of one category each; see `NEVER_TOGETHER`.
NEW = tuple(zip(NEVER_TOGETHER, (
    "animal", "animal", "animal", "animal", "bird", "bird", "bug", "fish", "food", "food", "food", "food", "plant",
    "plant", "vehicle", "vehicle", "building", "clothing", "face", "face",
), strict=True))  # fmt: skip
COPY_DB = 20.0  # as near as this to a taught picture counts as a copy


@dataclass(frozen=True)
class Case:
    """A prompt, what its pictures should show, and of which of `SETS` it is."""

    prompt: str
    category: str
    of: str
    number: int | None = None  # of the real picture of that name


class Real:
    """Real pictures, the emoji that are taught and what is held out: features, categories, and which are strangers."""

    def __init__(self, dataset: ImageDataset, features: Features, cache: Path):
        emoji = np.array([each["source"] == "emoji" for each in dataset.about])
        taught = np.isin(np.arange(len(emoji)), dataset.taught)
        self.rows = np.flatnonzero((emoji & taught) | dataset.held_out)
        self.about = [dataset.about[number] for number in self.rows]
        self.pixels = dataset.batch(self.rows)
        self.category = np.array([category(each["kind"]) for each in self.about])
        self.taught = taught[self.rows]
        groups = {each["group"] for each, shown in zip(dataset.about, taught, strict=True) if shown}
        self.strange = np.array([each["group"] not in groups for each in self.about])
        if not cache.exists():
            np.save(cache, described(features, self.pixels))
        self.features = np.load(cache)
        if len(self.features) != len(self.rows):
            raise SystemExit(f"{cache} was made of other pictures; remove it")


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


def check_new(dataset: ImageDataset) -> None:
    """Stop where a pair of things is the name of a taught picture."""
    for number in dataset.taught:
        about = dataset.about[number]
        for prompt, _ in NEW:
            if set(words_of(prompt)) <= {*about["words"]}:
                raise SystemExit(f"{prompt!r} is not new: {about['file']!r} is taught")


def recolored_real(real: Real, features: Features) -> dict[str, np.ndarray]:
    """Features [1, 1280] of real emoji of the coloured things, recolored, by their prompts; of those that can be."""
    found = {}
    for prompt, _ in COLOURED:
        color, thing = prompt.split()
        for row in np.flatnonzero(real.taught):
            if thing in real.about[row]["words"] and len(real.about[row]["words"]) <= 2 and prompt not in found:
                changed = recolored(on_nothing(levels(real.pixels[row])), COLOURS.index(color))
                if changed is not None:
                    found[prompt] = described(features, floats(on_white(changed)[None]))
    return found


def by_hand(dataset: ImageDataset, features: Features, real: Real, chosen: list[Case], judge: Judge) -> dict:
    """What the judge is right of among the taught drawings of the 60 names, of each hand: (share, drawings)."""
    wanted = {frozenset(real.about[case.number]["words"]): case.category for case in chosen if case.number is not None}
    found: dict[str, list[int]] = defaultdict(list)
    for row in dataset.taught.tolist():
        if frozenset(dataset.about[row]["words"]) in wanted:
            found[style_of(dataset.about[row]["source"])].append(row)
    result = {}
    for hand, rows in found.items():
        says = judge.says(described(features, dataset.batch(np.array(rows))))
        right = [wanted[frozenset(dataset.about[row]["words"])] == said for row, said in zip(rows, says, strict=True)]
        result[hand] = [share(right), len(rows)]
    return result


def paint(model, chosen: list[Case], **options) -> Tensor:
    """Pixels float [cases, seeds, 3, 64, 64], -1 to 1."""
    rows, painted = [(case.prompt, seed) for case in chosen for seed in SEEDS], []
    for start in range(0, len(rows), TOGETHER):
        prompts, seeds = zip(*rows[start : start + TOGETHER], strict=True)
        painted += model.generate(list(prompts), seed=list(seeds), **options)
    return torch.stack([picture.to_floats() for picture in painted]).unflatten(0, (len(chosen), len(SEEDS)))


def recognised(
    real: Real,
    drawn: Others,
    judge: Judge,
    coded: dict[int, np.ndarray],
    changed: dict[str, np.ndarray],
    chosen: list[Case],
    found: np.ndarray,
) -> dict:
    """What the judge says of the samples, and the shares that are right.

    Args:
        real, drawn: the real pictures, and the judge's.
        judge: taught with all of those.
        coded: features [1, 1280] of the real pictures of the names that went through the codec, by their numbers.
        changed: as `recolored_real`.
        chosen: the prompts.
        found: features of the samples, [cases, seeds, 1280].
    """
    answers = []
    for case, features in zip(chosen, found, strict=True):
        answer: dict = {"prompt": case.prompt, "of": case.of, "category": case.category}
        answer["says"] = judge.says(features).tolist()
        if case.number is not None:
            answer["says_of_real"] = judge.says(real.features[[case.number]]).tolist()
            answer["says_of_coded"] = judge.says(coded[case.number]).tolist()
        if case.prompt in changed:
            answer["says_of_recolored"] = judge.says(changed[case.prompt]).tolist()
        answers.append(answer)
    result: dict = {of: share_right(answers, {of}) for of in SETS}
    result["names_and_new"] = share_right(answers, {"names", "new"})
    any_right = [each["category"] in each["says"] for each in answers if each["of"] == "names"]
    result["names_with_a_recognised_sample"] = share(any_right)
    another, each_as_much = drawn.between_artists()
    common = Counter(case.category for case in chosen if case.of == "names").most_common(1)[0]
    result["judge"] = {
        "pictures": int((~drawn.coded).sum()), "right_of_another_artist": another,
        "right_of_another_artist_mean_of_categories": each_as_much,
        "right_of_real_names": share_right(answers, {"names"}, "says_of_real"),
        "right_of_real_recolored": share_right(
            [each for each in answers if "says_of_recolored" in each], {"coloured"}, "says_of_recolored"
        ),
        "right_of_real_names_through_the_codec": share_right(answers, {"names"}, "says_of_coded"),
        "right_of_all_real": share(judge.says(real.features[real.taught]) == real.category[real.taught]),
        "chance": {"always": common[0], "names": round(common[1] / NUM_NAMES, 4)},
    }  # fmt: skip
    return result | {"categories": sorted(set(drawn.category.tolist())), "answers": answers}


def share_right(answers: list[dict], sets: set[str], by: str = "says") -> float:
    return share([says == each["category"] for each in answers if each["of"] in sets for says in each[by]])


def colours_right(chosen: list[Case], painted: Tensor) -> float:
    """How many samples of coloured things have their colour as the one that covers most, or second most."""
    right = []
    for case, row in zip(chosen, painted, strict=True):
        if case.of == "coloured":
            right += [
                COLOURS.index(case.prompt.split()[0]) in main_colours(on_nothing(levels(sample))) for sample in row
            ]
    return share(right)


def levels(pixels: Tensor) -> np.ndarray:
    """uint8 [H, W, 3] of float [3, H, W]."""
    return ((pixels.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def nearest(dataset: ImageDataset, real: Real, painted: Tensor, found: np.ndarray) -> dict:
    """The taught picture, as it is or mirrored, that is nearest to each sample in pixels, and that in features.

    Of features only emoji are asked. Beside it the same of real pictures that are strangers to what is taught: how near
    pictures come without copying.
    """
    rows, strangers = dataset.taught, real.strange
    ours, ours_row = nearest_psnr(dataset, rows, painted.flatten(0, 1))
    theirs, _ = nearest_psnr(dataset, rows, real.pixels[torch.from_numpy(strangers)])
    likeness, like = nearest_features(real, found.reshape(-1, found.shape[-1]))
    held, _ = nearest_features(real, real.features[strangers])
    return {
        "psnr_db": quartiles(ours), "psnr_db_of_strangers": quartiles(theirs),
        "copies": {"nearer_than_db": COPY_DB, "share": share(ours > COPY_DB), "of_strangers": share(theirs > COPY_DB)},
        "likeness": quartiles(likeness), "likeness_of_strangers": quartiles(held),
        "pixels": [dataset.about[row]["file"] for row in ours_row],
        "features": [real.about[row]["file"] for row in like],
        "rows": ours_row.tolist(),
    }  # fmt: skip


def nearest_psnr(dataset: ImageDataset, among: np.ndarray, pictures: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(dB, row in the dataset) of the taught picture, as it is or mirrored, that is nearest in pixels."""
    flat = pictures.flatten(1)
    lengths = flat.square().sum(1)
    best, rows = torch.full((len(flat),), torch.inf), torch.zeros(len(flat), dtype=torch.int64)
    for part in np.array_split(among, max(1, len(among) // 1000)):
        as_they_are = dataset.batch(part)
        for other in (as_they_are.flatten(1), as_they_are.flip(3).flatten(1)):
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


def codec_quality(model, dataset: ImageDataset) -> dict:
    """PSNR of held-out pictures through the codec, and through JPEG of as many bytes, its tables not counted."""
    codec = model.family.stage.codec
    pixels = dataset.batch(np.flatnonzero(dataset.held_out))
    tokens = codec.encode(pixels)
    error = (codec.decode(tokens) - pixels).square().mean((1, 2, 3)) / 4
    size = tokens[0].numel() * np.log2(codec.vocabulary) / 8
    jpeg = [jpeg_at(levels, size) for levels in to_levels(pixels).permute(0, 2, 3, 1).numpy()]
    small = [each for each in jpeg if each is not None]
    return {
        "pictures": len(pixels), "bytes": size, "psnr_db": float((-10 * error.log10()).mean()),
        "jpeg_psnr_db": float(np.mean([db for db, _ in small])), "jpeg_bytes": float(np.mean([n for _, n in small])),
        "pictures_that_jpeg_brings_to_this_size": len(small),
    }  # fmt: skip


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


def save_sheets(folder: Path, dataset: ImageDataset, painted: Tensor, rows: list[int]) -> None:
    """All samples, four of a prompt beside each other; and each first sample beside the nearest taught picture."""
    from clavilux.image.picture import Picture

    folder.mkdir(parents=True, exist_ok=True)
    samples = painted.flatten(0, 1)
    contact_sheet([Picture.from_floats(each) for each in samples], columns=16).save(folder / "samples.png")
    pairs = [each for index in range(0, len(samples), len(SEEDS))
             for each in (samples[index], dataset.batch(np.array([rows[index]]))[0])]  # fmt: skip
    contact_sheet([Picture.from_floats(each) for each in pairs], columns=16).save(folder / "nearest.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument("--others", type=Path, required=True, help="where other artists' emoji were installed")
    parser.add_argument("--run", type=Path, default=Path("runs/painter"), help="the folder of a training run")
    parser.add_argument("--model", default="lumia")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--json", type=Path, help="where the result goes")
    parser.add_argument("--sheets", type=Path, help="a folder for sheets of the samples")
    args = parser.parse_args()
    model = clavilux.load(args.model)
    result: dict = {"date": date.today().isoformat(), "machine": platform.processor(), "torch": torch.__version__}
    result["seconds"] = seconds_a_picture(model)
    dataset, features = ImageDataset(args.run / "pictures.npz"), load_features()
    real = Real(dataset, features, args.run / "real.npy")
    codec = model.family.stage.codec
    drawn = others(
        args.pictures, args.others, features, codec, args.run / f"others-{model.family.identity['fingerprint']}.npz"
    )
    check_new(dataset)
    chosen = cases(real)
    numbers = [case.number for case in chosen if case.number is not None]
    coded = described(features, through(codec, real.pixels[numbers]))
    options = {"guidance": args.guidance, "temperature": args.temperature, "top_k": args.top_k}
    painted = paint(model, chosen, **{name: value for name, value in options.items() if value is not None})
    found = described(features, painted.flatten(0, 1)).reshape(len(chosen), len(SEEDS), -1)
    result |= {
        "model": model.family.identity,
        "options": options,
        "seeds": SEEDS,
        "codec": codec_quality(model, dataset),
    }
    judge = drawn.judge()
    of_codec, changed = dict(zip(numbers, coded[:, None], strict=True)), recolored_real(real, features)
    result["recognised"] = recognised(real, drawn, judge, of_codec, changed, chosen, found)
    result["recognised"]["judge"]["right_of_real_by_hand"] = by_hand(dataset, features, real, chosen, judge)
    result["recognised"]["colour"] = colours_right(chosen, painted)
    result["nearest"] = nearest(dataset, real, painted, found)
    if args.sheets:
        save_sheets(args.sheets, dataset, painted, result["nearest"]["rows"])
    text = json.dumps(result, indent=1)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    summary = {name: value for name, value in result["recognised"].items() if name not in ("answers", "categories")}
    print(json.dumps({"seconds": result["seconds"], "codec": result["codec"], "recognised": summary}, indent=1))
    print(json.dumps({k: v for k, v in result["nearest"].items() if k not in ("rows", "pixels", "features")}, indent=1))


if __name__ == "__main__":
    main()
