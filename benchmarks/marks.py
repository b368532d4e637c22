"""How well a mark is found, and where it dies: `python benchmarks/marks.py --scores DIR --songs DIR --json FILE`

Looks for the public key in songs that aria drew with it, in as many of the same requests without it, in more without
it, in excerpts of real scores, and in marked songs that were edited; and for wrong keys in a few unmarked ones. Says
how often it is found at two thresholds, how often where it is not (with Clopper and Pearson's intervals of 95 %), what
choice there was (entropy), and whether songs of one request differ. `--compose N` first composes what is not there.
What was looked at is kept beside the songs, so that a run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from mark_songs import BATCH, KINDS, Made, compose, read
from measures import chord_share, scale_share, texture
from quality import commit
from scipy import stats

import clavilux
from clavilux.audio.harmony_analysis import find_chords
from clavilux.audio.score import Score
from clavilux.families.aria.chances import note_chances
from clavilux.families.aria.family import Aria
from clavilux.mark_key import PUBLIC, MarkKey
from clavilux.marking import NONCES
from clavilux.provenance.mark_scores import find_in_score
from clavilux.training.data import read_index, read_score

THRESHOLDS = (1e-3, 1e-6)
ALARMS = (1e-2, 1e-3)
EXCERPT_BARS = 8  # of real scores: as long as the songs
TAIL_BARS, WRONG_KEYS = 4, 1000
EDITED = 16  # songs whose mark is found, that are edited
LENGTHS = (0, 24, 50, 75, 100, 150, 200, 300, 500, 10**6)  # notes
TICK = 1 / 24  # of a quarter


def excerpt(score: Score, bars: int) -> Score:
    """The first bars."""
    starts = score.bar_starts()
    return score.slice(0.0, float(starts[bars])) if len(starts) > bars else score


def real_excerpts(folder: Path, count: int) -> Iterable[tuple[str, Score]]:
    """The first bars of real scores, always the same ones."""
    rows = sorted(read_index(folder), key=lambda row: hashlib.sha256(row["file"].encode()).digest())
    given = 0
    for row in rows:
        try:
            score = excerpt(read_score(folder, row), EXCERPT_BARS)
        except ValueError:
            continue
        if given < count and (~score.notes["drum"]).sum() >= 24:
            given += 1
            yield row["file"], score


@cache
def composer() -> Aria:
    """Says where notes had a choice, as it does for `clavilux verify`."""
    return clavilux.load("aria", device="cpu").family


class Kept:
    """p-values and numbers of tokens by name, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, songs: Iterable[tuple[str, Score]], key: MarkKey = PUBLIC) -> dict[str, list[float]]:
        """Those of the songs, each looked at once in all runs."""
        names = []
        for name, score in songs:
            names.append(name)
            if name not in self.found:
                mark = find_in_score(score, key, note_chances(composer(), score))
                self.found[name] = [mark.p, mark.tokens]
                if len(self.found) % 10 == 0:
                    self.save()
        self.save()
        return {name: self.found[name] for name in names}

    def save(self) -> None:
        self._path.write_text(json.dumps(self.found))


def share(hits: int, of: int) -> dict[str, float]:
    """How many, and between which bounds the true share is with 95 %."""
    bounds = stats.binomtest(hits, of).proportion_ci() if of else (0.0, 1.0)
    return {"found": hits, "of": of, "share": hits / max(of, 1), "low": float(bounds[0]), "high": float(bounds[1])}


def rates(found: Iterable[list[float]], thresholds: tuple[float, ...]) -> dict[str, dict[str, float]]:
    """Threshold -> how many p-values are at most that."""
    values = [p for p, _ in found]
    return {f"{limit:g}": share(sum(p <= limit for p in values), len(values)) for limit in thresholds}


def by_length(found: Iterable[list[float]]) -> list[dict]:
    """Detection by the number of notes."""
    rows = []
    for low, high in pairwise(LENGTHS):
        inside = [each for each in found if low <= each[1] < high]
        if inside:
            median = float(np.median([p for p, _ in inside]))
            rows.append({"notes": [low, high - 1], "median p": median, **rates(inside, THRESHOLDS)})
    return rows


def edits() -> dict[str, Callable[[Score, np.random.Generator], Score]]:
    """What people do with a MIDI file."""

    def notes(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]):
        return lambda score, random: replace(score, notes=change(score.notes.copy(), random))

    def transposed(notes_, _):
        notes_["pitch"] += 5
        return notes_

    def grid(step: float):
        def moved(notes_, _):
            notes_["start"] = np.round(notes_["start"] / step) * step
            return notes_

        return moved

    def played(spread: float):
        def moved(notes_, random):
            notes_["start"] = np.maximum(0, notes_["start"] + random.normal(0, spread, len(notes_)))
            return notes_

        return moved

    def thinned(keep: float):
        return lambda notes_, random: notes_[random.random(len(notes_)) < keep]

    def other_program(notes_, _):
        notes_["program"] = (notes_["program"] + 3) % 112
        return notes_

    def rewritten(notes_, random):
        half = random.random(len(notes_)) < 0.5
        notes_["pitch"][half] += random.integers(-2, 3, int(half.sum())).astype(notes_["pitch"].dtype)
        return notes_

    return {
        "as it is": lambda score, _: score,
        "up a fourth": notes(transposed),
        "another tempo": lambda score, _: replace(score, tempos=((0.0, 71.0),)),
        "quantised to 16ths": notes(grid(1 / 4)),
        "quantised to 8ths": notes(grid(1 / 2)),
        "a quarter of the notes deleted": notes(thinned(0.75)),
        "half of the notes deleted": notes(thinned(0.5)),
        "its first two bars cut off": lambda score, _: score.slice(float(score.bar_starts()[2]), score.length),
        "half of the pitches changed by up to a tone": notes(rewritten),
        "onsets moved by 1/200 of a quarter": notes(played(0.005)),
        "played, onsets 1/30 of a quarter apart": notes(played(1 / 30)),
        "another instrument in the file": notes(other_program),
    }


def edited(songs: list[Made], kept: Kept) -> dict[str, dict]:
    """Edit -> detection, and the median p."""
    rows = {}
    for name, edit in edits().items():
        given = ((f"{name}: {song.name}", edit(song.score, np.random.default_rng(song.seed))) for song in songs)
        found = list(kept.of(given).values())
        rows[name] = {"median p": float(np.median([p for p, _ in found])), **rates(found, THRESHOLDS)}
    return rows


def tail(songs: list[tuple[str, Score]], folder: Path, keys: int) -> dict:
    """Wrong keys on unmarked excerpts: all p-values together, and false alarms at each threshold."""
    values: list[list[float]] = []
    for name, score in songs:
        path = folder / f"wrong-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"
        found = json.loads(path.read_text()) if path.exists() else []
        chances = note_chances(composer(), score) if len(found) < keys else None
        for number in range(len(found), keys):
            key = MarkKey(hashlib.sha256(f"wrong {number}".encode()).digest())
            found.append(find_in_score(score, key, chances).p)
            if number % 10 == 9 or number == keys - 1:
                path.write_text(json.dumps(found))
        values += [[p, 0] for p in found[:keys]]
    worst = min((p for p, _ in values), default=1.0)
    return {"files": [name for name, _ in songs], "keys": keys, "smallest p": worst, **rates(values, (*ALARMS, 1e-4))}


def likeness(songs: list[Made]) -> dict[str, float]:
    """Mean share of notes (onset and pitch) that two songs of one request have in common, for seeds with the same
    nonce and for others."""
    of = {song.seed: {(round(float(n["start"]) / TICK), int(n["pitch"])) for n in song.score.notes} for song in songs}
    kind = {song.seed: song.kind for song in songs}
    found: dict[bool, list[float]] = {True: [], False: []}
    for a, b in combinations(of, 2):
        if kind[a] == kind[b]:
            both = len(of[a] & of[b]) / max(1, len(of[a] | of[b]))
            found[(a - b) % NONCES == 0].append(both)
    return {
        "pairs": len(found[False]), "shared": _mean(found[False]),
        "most": max(found[False], default=float("nan")),
        "pairs of one nonce": len(found[True]), "shared, one nonce": _mean(found[True]),
        "most, one nonce": max(found[True], default=float("nan")),
    }  # fmt: skip


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def choice(songs: list[Made], found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Kind -> nats of choice in the groups, a note, and what the detector has of them."""
    rows = {}
    for number, (words, *_) in enumerate(KINDS):
        own = [song for song in songs if song.kind == number and song.name in found]
        if own:
            notes = sum(found[song.name][1] for song in own)
            evidence = [-np.log(max(found[song.name][0], 1e-300)) for song in own]
            rows[words] = {
                "songs": len(own), "notes a song": notes / len(own),
                "nats of choice a note": sum(song.entropy for song in own) / notes,
                "median -ln p": float(np.median(evidence)),
                **rates([found[song.name] for song in own], THRESHOLDS),
            }  # fmt: skip
    return rows


def paired(marked: list[Made], plain: list[Made]) -> dict[str, dict[str, float]]:
    """Measure -> its means with and without the mark, over requests that were made both ways, and how many standard
    errors of the paired difference lie between them.
    """
    without = {song.seed: song for song in plain}
    both = [(song, without[song.seed]) for song in marked if song.seed in without]
    rows = [[_described(song) for song in pair] for pair in both]
    found = {}
    for name in rows[0][0] if rows else ():
        values = np.array([[side[name] for side in row] for row in rows])
        values = values[np.isfinite(values).all(1)]
        error = (values[:, 0] - values[:, 1]).std(ddof=1) / len(values) ** 0.5
        means = values.mean(0).tolist()
        found[name] = {
            "pairs": len(values), "marked": means[0], "unmarked": means[1],
            "standard error": float(error), "errors apart": float((means[0] - means[1]) / max(error, 1e-12)),
        }  # fmt: skip
    return found


def _described(song: Made) -> dict[str, float]:
    score = song.score
    assert score.key is not None, "aria's songs have a key"
    return {
        "notes": float(len(score.notes)), "in the scale": scale_share(score, score.key),
        "in found chords": chord_share(score, find_chords(score, score.key)), **texture(score),
    }  # fmt: skip


def plot(path: Path, groups: dict[str, list[float]]) -> None:
    """The share of p-values up to each: on the diagonal where they are uniform, below it where they are cautious."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 5), layout="constrained")
    limits = np.logspace(-4, 0, 200)
    axes.plot(limits, limits, color="0.6", linewidth=0.8, label="uniform")
    for name, values in groups.items():
        ordered = np.sort(values)
        label = f"{name} ({len(values):,})"
        axes.step(limits, np.searchsorted(ordered, limits, side="right") / len(ordered), label=label)
    axes.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1.1), xlabel="p", ylabel="share of p-values <= p")
    axes.legend()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def measured(args: argparse.Namespace) -> dict:
    """The report; every part of it is printed as it is done."""
    report: dict = {
        "date": date.today().isoformat(), "commit": commit(), "machine": platform.processor() or platform.machine(),
        "key": PUBLIC.id, "kinds": [words for words, *_ in KINDS],
    }  # fmt: skip
    kept = {name: Kept(args.songs / f"p-{name}.json") for name in ("marked", "plain", "real", "edited")}
    marked, plain = (list(read(args.songs / name)) for name in ("marked", "plain"))
    found = kept["marked"].of((song.name, song.score) for song in marked)
    report["marked"] = {"songs": len(marked), **rates(found.values(), THRESHOLDS)}
    report["marked by length"] = by_length(list(found.values()))
    report["choice"] = choice(marked, found)
    note(args, report, "marked songs")
    unmarked = kept["plain"].of((song.name, song.score) for song in plain)
    report["unmarked by aria"] = {"songs": len(plain), **rates(unmarked.values(), ALARMS)}
    report["quality"] = paired(marked, plain)
    note(args, report, "unmarked songs")
    plainly = [song for song in marked if found[song.name][0] <= THRESHOLDS[0]]
    report["edited"] = edited(plainly[:EDITED], kept["edited"])
    note(args, report, "edits")
    real = kept["real"].of(real_excerpts(args.scores, args.real))
    report["real"] = {"scores": len(real), **rates(real.values(), ALARMS)}
    report["likeness"] = {"marked": likeness(marked), "unmarked": likeness(plain)}
    note(args, report, "real scores")
    short = [(song.name, excerpt(song.score, TAIL_BARS)) for song in plain[::BATCH][: args.tail // 2]]
    short += [(name, excerpt(score, TAIL_BARS)) for name, score in real_excerpts(args.scores, args.tail - len(short))]
    report["wrong keys"] = tail(short, args.songs, args.wrong_keys)
    note(args, report, "wrong keys")
    if args.plot:
        groups = {"unmarked songs": unmarked, "real scores": real, "marked songs": found}
        plot(args.plot, {name: [p for p, _ in each.values()] for name, each in groups.items()})
    return report


def note(args: argparse.Namespace, report: dict, done: str) -> None:
    print(f"{done} are looked at", flush=True)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--songs", type=Path, required=True, help="folder of the songs, marked/ and plain/")
    parser.add_argument("--compose", type=int, nargs=2, metavar=("MARKED", "PLAIN"), help="compose so many first")
    parser.add_argument("--real", type=int, default=1000, help="excerpts of real scores")
    parser.add_argument("--tail", type=int, default=8, help="unmarked files on which wrong keys are tried")
    parser.add_argument("--wrong-keys", type=int, default=WRONG_KEYS, help="so many on each")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--plot", type=Path, help="draw the p-values here")
    args = parser.parse_args()
    for name, count in zip(("marked", "plain"), args.compose or (), strict=False):
        compose(args.songs / name, count, name == "marked")
    print(json.dumps(measured(args), indent=2))


if __name__ == "__main__":
    main()
