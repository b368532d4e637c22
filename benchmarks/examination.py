"""How often `clavilux examine` is wrong: false alarms, power, confounds, ablation, confusion, time.

Three sets of hands. Openclipart's authors (Debian's openclipart-png, unpacked: the author stands in each file), without
signs, shapes, computers and cards; emoji by four artists (the icon sets that the painter's training reads); synthetic
painters: fast styles, each of other pictures. A trial takes n works of a hand as references and asks for p of one more
work of that hand, and of a work by another: how often p < .05 is a false alarm with the first, power with the second.
p is the raw one, below 40 references too, where the command says "not enough evidence".

Subjects are openclipart's folders. "Mixed": references and pictures by chance. "Separated": no reference is of the
picture's folder, and works of one folder are not compared with each other, as subfolders of a reference folder are not.

A confounded copy is a work of the references' hand, blurred, compressed, made smaller, cut, grainy or tinted. It is
"taken for another hand" where p < .05 and no confound explains it.

Each part writes its object into the file that `--json` names and keeps the others there. Measurements are kept in
`--kept`, so that a part can be stopped and run again.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from clavilux.examining import verb
from clavilux.examining.kept import Kept
from clavilux.examining.works import Measurer, Work, Works
from clavilux.files import sha256_of
from clavilux.image.examination import copies
from clavilux.image.examination.classes import classify
from clavilux.image.examination.measurements import Measured
from clavilux.image.examination.space import compare

LEFT_OUT = {"computer", "shapes", "signs_and_symbols"}  # folders of series; "cards" anywhere too
FEWEST, FEWEST_OF_FORTY = 30, 50  # works of an author who is asked with 20 references, and with 40
SIDE = 192
COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda pixels: pixels,
    "blur": lambda pixels: copies.blurred(pixels, 1.5),
    "jpeg": lambda pixels: copies.recompressed(pixels, 35),
    "resolution": lambda pixels: copies.resized(pixels, 0.5),
    "crop": lambda pixels: copies.cropped(pixels, 0.6),
    "scan": lambda pixels: copies.grainy(pixels, 4),
    "cast": lambda pixels: copies.tinted(pixels, 0.12, -0.2),
}
PAINTERS = ("primary-colors", "stained-glass", "starry-night")  # fast styles


@dataclass(frozen=True)
class Seen:
    """A work and its numbers."""

    work: Work
    measured: Measured


Hands = dict[str, list[Seen]]


@functools.cache
def authors(root: Path, most: int, fewest: int) -> dict[str, list[Work]]:
    """Of openclipart: author with so many works at least -> at most so many of them, by chance."""
    Image.MAX_IMAGE_PIXELS = None
    found = defaultdict(list)
    for path in sorted(root.rglob("*.png"), key=lambda path: path.relative_to(root).as_posix()):
        parts = path.relative_to(root).parts
        if path.is_symlink() or parts[0] in LEFT_OUT or "cards" in parts:
            continue
        with warnings.catch_warnings(), Image.open(path) as image:
            author, size = image.info.get("Author", ""), image.size
        if author and min(size) >= 32 and size[0] * size[1] <= 1 << 24:
            found[author].append((path, "/".join(parts[:-1]), size))
    hands = {}
    for author, works in found.items():
        if len(works) >= fewest:
            random.Random(1).shuffle(works)
            hands[author] = [Work(path, subject, sha256_of(path), size) for path, subject, size in works[:most]]
    return hands


def emoji(icons: Path, folder: Path, each: int) -> dict[str, list[Work]]:
    """Emoji by four artists, drawn into a folder."""
    from clavilux.training.drawings import ARTISTS, IconSet

    found = {}
    for artist in ARTISTS:
        drawn = IconSet(artist.file(icons), {})
        names = sorted(json.loads(artist.file(icons).read_text())["icons"])
        names = [name for name in names if not ("skin-tone" in name or "flag" in name)]
        chosen = [names[place] for place in np.random.default_rng(0).permutation(len(names))[:each]]
        for name in chosen:
            path = folder / artist.style / f"{name}.png"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = drawn.drawn(name)
                white = Image.new("RGBA", picture.size, "white")
                Image.alpha_composite(white, picture).convert("RGB").save(path)
        found[artist.style] = [work_of(folder / artist.style / f"{name}.png") for name in chosen]
    return found


def painters(contents: Sequence[Path], folder: Path, each: int, side: int) -> dict[str, list[Work]]:
    """Fast styles as painters, each of other pictures."""
    from clavilux.arts.style import Styler
    from clavilux.image.picture import Picture

    found = {}
    for place, name in enumerate(PAINTERS):
        styler = None
        paths = []
        for count, content in enumerate(contents[place * each : (place + 1) * each]):
            path = folder / name / f"{count}.png"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                styler = styler or Styler(name)
                source = Picture.load(content)
                factor = side / max(source.width, source.height)
                small = source.resized(max(48, round(source.width * factor)), max(48, round(source.height * factor)))
                Image.fromarray(styler(small).pixels.numpy()).save(path)
            paths.append(path)
        found[name] = [work_of(path) for path in paths]
    return found


def work_of(path: Path) -> Work:
    with Image.open(path) as image:
        return Work(path, "", sha256_of(path), image.size)


def seen(hands: dict[str, list[Work]], measurer: Measurer, most: int) -> Hands:
    return {
        name: [Seen(*pair) for pair in zip(works[:most], measurer(works[:most]), strict=True)]
        for name, works in hands.items()
    }


def p_of(references: Sequence[Seen], here: Measured, subjects: bool, groups: Sequence[str] | None = None) -> float:
    rows = verb.stacked([each.measured for each in references], here)
    chosen = rows if groups is None else {name: rows[name] for name in groups}
    return compare(chosen, [each.work.subject for each in references] if subjects else ()).p


def trial(hands: Hands, hand: str, count: int, separated: bool, generator: np.random.Generator):
    """(references, one more of that hand, one of another), or None where there are too few works."""
    works = [hands[hand][place] for place in generator.permutation(len(hands[hand]))]
    other = generator.choice([name for name in hands if name != hand])
    more = hands[other][generator.integers(len(hands[other]))]
    if not separated:
        return (works[:count], works[count], more) if len(works) > count else None
    one = works[0]
    rest = [each for each in works[1:] if each.work.subject not in (one.work.subject, more.work.subject)]
    return (rest[:count], one, more) if len(rest) >= count else None


def alarms(hands: Hands, count: int, separated: bool, trials: int, groups: Sequence[str] | None = None) -> dict:
    """False alarms and power, over hands in turn."""
    generator = np.random.default_rng(count + separated)
    same, other, by_hand = [], [], defaultdict(list)
    names = [name for name in sorted(hands) if len(hands[name]) > count]
    tries = 0
    while len(same) < trials and tries < 4 * trials:
        name = names[tries % len(names)]
        tries += 1
        found = trial(hands, name, count, separated, generator)
        if found is None:
            continue
        references, one, more = found
        same.append(p_of(references, one.measured, separated, groups))
        other.append(p_of(references, more.measured, separated, groups))
        by_hand[name].append(other[-1] < 0.05)
    return {
        "references": count, "hands": len(by_hand), "trials": len(same),
        "subjects": "separated" if separated else "mixed",
        "false_alarms": float(np.mean(np.array(same) < 0.05)), "power": float(np.mean(np.array(other) < 0.05)),
        "power_by_hand": {name: float(np.mean(each)) for name, each in by_hand.items()},
        "p_same_quantiles": np.quantile(same, np.linspace(0, 1, 21)).tolist(),
        "p_other_quantiles": np.quantile(other, np.linspace(0, 1, 21)).tolist(),
    }  # fmt: skip


def ablation(hands: Hands, count: int, trials: int) -> dict:
    names = list(next(iter(hands.values()))[0].measured.groups)
    found = {"all": alarms(hands, count, False, trials)}
    for name in names:
        found[f"{name} alone"] = alarms(hands, count, False, trials, [name])
        found[f"without {name}"] = alarms(hands, count, False, trials, [each for each in names if each != name])
    return {name: {key: each[key] for key in ("false_alarms", "power", "trials")} for name, each in found.items()}


def confounded(hands: Hands, measurer: Measurer, count: int, each: int, kind: str) -> dict:
    """Worse copies of works of the references' own hand: what is found, and what is said."""
    generator = np.random.default_rng(7)
    found_of = []
    names = sorted(hands)
    for number in range(each):
        name = names[number % len(names)]
        works = [hands[name][place] for place in generator.permutation(len(hands[name]))]
        references, one = works[:count], works[count]
        pixels = COPIES[kind](one.work.pixels())
        here = measurer.of_pixels(pixels)
        first = [each.measured for each in references]
        comparison = compare(verb.stacked(first, here))
        folder = Works(Path(name), name, tuple(each.work for each in references), ())
        found, alike = verb.explain(pixels, here, folder, first, measurer, comparison)
        found_of.append((comparison.p, [each.name for each in found], alike))
        print(kind, name, found_of[-1], flush=True)
    return {"set": "emoji", "references": count, **_rates(kind, found_of)}


def _rates(kind: str, found: list) -> dict:
    low = [each for each in found if each[0] < 0.05]
    explained = [each for each in low if each[2] is not None and each[2] >= 0.05]
    return {
        "copies": len(found), "p_below_05": len(low) / len(found),
        "reported": sum(kind in names for _, names, _ in found) / len(found),
        "another_reported": sum(bool(set(names) - {kind}) for _, names, _ in found) / len(found),
        "explained_of_those_below": len(explained) / len(low) if low else None,
        "taken_for_another_hand": (len(low) - len(explained)) / len(found),
    }  # fmt: skip


def confusion(hands: Hands, separated: bool) -> dict:
    """Of several folders, one a hand: how often a work that was left out is taken for its own hand's."""
    works = [(number, each) for number, name in enumerate(sorted(hands)) for each in hands[name]]
    rows = verb.stacked([each.measured for _, each in works], works[0][1].measured)
    subjects = [each.work.subject if separated else "" for _, each in works]
    found = classify(rows, [number for number, _ in works], subjects, sorted(hands))
    told = {"subjects": "separated" if separated else "mixed", "works": len(works), "right": found.right}
    return {**told, "chance": 1 / len(hands), "names": list(found.names), "confusion": found.confusion.tolist()}


def timing(folder: Path) -> dict:
    """The command with 40 references of 1,000 x 1,000 pixels, its start and the page of it: by cores, new and kept."""
    generator = np.random.default_rng(0)
    (folder / "timed").mkdir(parents=True, exist_ok=True)
    asked = {
        "as they are": lambda pixels: pixels,
        "blurred": lambda pixels: copies.blurred(pixels, 3),
        "half the size, JPEG": lambda pixels: copies.recompressed(copies.resized(copies.blurred(pixels, 3), 0.5), 20),
    }
    for name in (*asked, *range(40)):
        small = Image.fromarray(generator.integers(0, 256, (12, 12, 3), np.uint8))
        rough = np.asarray(small.resize((1000, 1000), Image.Resampling.NEAREST))
        noisy = np.clip(rough + generator.normal(0, 6, (1000, 1000, 1)), 0, 255).astype(np.uint8)
        path = folder / f"{name}.png" if name in asked else folder / "timed" / f"{name}.png"
        Image.fromarray(asked[name](noisy) if name in asked else noisy).save(path)
    found = {}
    for name in asked:
        for cores in (1, 2):
            shutil.rmtree(folder / "data", ignore_errors=True)
            for state in ("new", "kept"):
                found[f"{name}, {state}, {cores} cores"] = _timed(folder, f"{name}.png", cores)
    return {**found, "cores": os.cpu_count(), "load_average": os.getloadavg()[0]}


def _timed(folder: Path, picture: str, cores: int) -> dict:
    given = ["examine", picture, "--reference", "timed", "-o", "page.html", "--json"]
    environment = {**os.environ, "CLAVILUX_DATA": str(folder / "data")}
    environment.pop("OMP_NUM_THREADS", None)  # as the command is called
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-m", "clavilux", *given], cwd=folder, check=True, capture_output=True, env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, range(cores)),
    ).stdout  # fmt: skip
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = json.loads(told)
    names = [each["name"] for each in said["confounds"]]
    return {"wall_s": wall, "cpu_s": cpu, "verdict": said["verdict"], "confounds": names}


def plot(found: dict, path: Path) -> None:
    """Calibration: how often p of one more of the same hand is below each level; and power."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    same, other = figure.subplots(1, 2)
    levels = np.linspace(0, 1, 21)
    for name, row in found.items():
        if "p_same_quantiles" in row:
            same.plot(row["p_same_quantiles"], levels, lw=1.3, label=f"{name}: {row['references']} references")
            other.plot(row["p_other_quantiles"], levels, lw=1.3)
    for axes, title in ((same, "one more of the same hand"), (other, "a work by another hand")):
        axes.plot([0, 1], [0, 1], color="#888888", lw=0.8, ls="--")
        axes.axvline(0.05, color="#c2401f", lw=0.8)
        axes.set(title=title, xlabel="p", ylabel="share of trials with p at most this", xlim=(0, 1), ylim=(0, 1))
    same.legend(fontsize=6)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--openclipart", type=Path, help="usr/share/openclipart/png of the unpacked package")
    parser.add_argument("--icons", type=Path, help="the folder that the icon sets were installed into")
    parser.add_argument("--kept", type=Path, required=True, help="a folder for measurements and drawn pictures")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--plot", type=Path, help="a .png of calibration and power")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=20, help="of each kind")
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    given = parser.parse_args()
    found = json.loads(given.json.read_text()) if given.json.exists() else {}
    kept = Kept(given.kept / "measured")
    for part in given.parts:
        started = time.process_time()
        found[part] = PARTS[part](given, kept)
        found.setdefault("cpu_s", {})[part] = round(time.process_time() - started, 1)
        given.json.write_text(json.dumps(found, indent=1) + "\n")
        print(part, json.dumps(found[part])[:600], flush=True)
    if given.plot:
        plot(found, given.plot)


def _authors(given: argparse.Namespace, kept: Kept, fewest: int = FEWEST) -> Hands:
    return seen(authors(given.openclipart, 42, fewest), Measurer(SIDE, verb._layers(), kept), 42)


def _part_authors(given: argparse.Namespace, kept: Kept, count: int, separated: bool) -> dict:
    if count > 20:
        return alarms(_authors(given, kept, FEWEST_OF_FORTY), count, separated, given.trials)
    hands = {name: works[:30] for name, works in _authors(given, kept).items()}
    return alarms(hands, count, separated, given.trials)


def _emoji(given: argparse.Namespace, kept: Kept) -> tuple[Hands, Measurer]:
    measurer = Measurer(128, verb._layers(), kept)
    return seen(emoji(given.icons, given.kept / "emoji", 85), measurer, 85), measurer


def _part_emoji(given: argparse.Namespace, kept: Kept, count: int) -> dict:
    return alarms(_emoji(given, kept)[0], count, False, given.trials)


def _part_painters(given: argparse.Namespace, kept: Kept) -> dict:
    others = [path for path in sorted(given.openclipart.rglob("*.png")) if _is_content(path, given.openclipart)]
    order = np.random.default_rng(3).permutation(len(others))
    contents = [others[place] for place in order]
    hands = painters(contents, given.kept / "painters", 85, 160)
    return alarms(seen(hands, Measurer(128, verb._layers(), kept), 85), 80, False, given.trials)


def _is_content(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return not path.is_symlink() and parts[0] in {"food", "animals", "people", "tools"} and path.stat().st_size < 60_000


def _part_confounds(given: argparse.Namespace, kept: Kept, kind: str) -> dict:
    hands, measurer = _emoji(given, kept)
    return confounded(hands, measurer, 20, given.copies, kind)


def _part_ablation(given: argparse.Namespace, kept: Kept) -> dict:
    hands = {name: works[:30] for name, works in _authors(given, kept).items()}
    return {"references": 20, **ablation(hands, 20, given.trials)}


PARTS: dict[str, Callable[[argparse.Namespace, Kept], object]] = {
    "authors, mixed": lambda given, kept: _part_authors(given, kept, 20, False),
    "authors, separated": lambda given, kept: _part_authors(given, kept, 20, True),
    "authors, 40": lambda given, kept: _part_authors(given, kept, 40, False),
    "emoji, 20": lambda given, kept: _part_emoji(given, kept, 20),
    "emoji, 40": lambda given, kept: _part_emoji(given, kept, 40),
    "emoji, 80": lambda given, kept: _part_emoji(given, kept, 80),
    "painters, 80": _part_painters,
    **{f"confounds, {kind}": (lambda given, kept, kind=kind: _part_confounds(given, kept, kind)) for kind in COPIES},
    "ablation": _part_ablation,
    "confusion, mixed": lambda given, kept: confusion(_authors(given, kept), False),
    "confusion, separated": lambda given, kept: confusion(_authors(given, kept), True),
    "timing": lambda given, kept: timing(given.kept / "timing"),
}  # fmt: skip


if __name__ == "__main__":
    main()
