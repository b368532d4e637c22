"""Are a composer's songs music of their kind? `python benchmarks/songs.py --scores DIR --songs DIR --model aria`

Every held-out piece (at most 16 of a kind) has a twin: a song of the same kind, metre, tempo, length and key, asked of
the composer in words. Twins are written into the folder `--songs`, and what lies there already is not composed again;
without `--model` the folder is measured as it is, so that any composer's songs can be. In the column "real" stand
held-out pieces, measured by the same code. What is measured: the kind as a judge of notes hears it, a judge that tells
real from made (`judges`), rhythm, form, melody, accompaniment and endings (`song_measures`), and copying. Of tunes each
part is read once, as print has it (`readings.printed`).
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
from composers import compose, dances, file_name, read_folder, twin
from corpus import LABELS, TUNES, Song, chosen, first_bars, read_songs
from judges import (
    Described,
    StyleJudge,
    apart,
    described,
    nearest,
    part_of,
    recognised,
    recognised_across,
    two_samples,
)
from measures import SharedSequences, steps_of, within
from quality import commit
from readings import Reading, printed
from song_measures import ending, scalars, usual_rhythms

from clavilux.audio.score import Score

EACH = 16  # held-out pieces, and so twins, of a kind
LEARNED = 100  # training pieces of a kind that the judge of kinds learns from
RANGES = 40  # training pieces of a kind whose 10 to 90 % is the range of a measure
FORM_BARS = 32
GROUPS = {
    "tunes": TUNES,
    "hymns": ("hymn",),
    "others": tuple(label for label in LABELS if label not in (*TUNES, "hymn")),
}
ROLLS = (6, 4)


def measured(
    train: list[Song],
    held_out: list[Song],
    made: list[Song],
    named: list[Song],
    learned: int,
    note: Callable[[str, dict], None],
) -> dict:
    """Everything that is measured of `made`, beside the held-out pieces that they are twins of (all of them, if these
    songs are twins of none); of `named`, asked for by name alone, the kinds that they are taken for. `note` is told
    what is done, and what is known by then: the quick measures come first."""
    names = {song.name for song in made}
    twins = [song for song in held_out if _stem(song) in names] or held_out
    sides = {"real": twins, "made": made}
    report: dict = {"songs": len(made), "held out": len(twins), "learned of a kind": learned}
    note(f"{len(made)} songs beside {len(twins)} held-out pieces", report)
    report["measures"] = compared(_ranges(train, made), twins, made)
    report["endings"] = {side: _means([ending(Reading(song.score)) for song in each]) for side, each in sides.items()}
    note("form, melody, rhythm, accompaniment and endings are measured", report)
    report["copying"] = copying(train, sides)
    note("copies are looked for", report)
    held, ours = described([_renamed(song) for song in held_out]), described(made)
    stems = {_stem(song) for song in twins}
    real = part_of(held, np.array([i for i, passage in enumerate(held.passages) if passage.name in stems]))
    report["two samples"] = _two_samples(train, twins, real, ours)
    note("real and made are told apart", report)
    known = described(chosen(train, learned))
    report["kinds"] = _kinds(known, held, ours, described(named) if named else None)
    note("kinds are judged", report)
    return report


def _stem(song: Song) -> str:
    return file_name(twin(song))


def _renamed(song: Song) -> Song:
    """The song under the name that its twin has, so that the two stay together."""
    return Song(song.score, song.label, _stem(song))


def _kinds(known: Described, held_out: Described, made: Described, named: Described | None) -> dict:
    judge = StyleJudge(known)
    return {
        "real": recognised(judge.kinds(held_out)),
        "real, in training": recognised_across(known),
        "made": recognised(judge.kinds(made)),
        "by name alone": recognised(judge.kinds(named)) if named is not None else {},
    }


def _two_samples(train: list[Song], twins: list[Song], real: Described, made: Described) -> dict:
    pairs = nearest([_renamed(song) for song in twins], train)
    others = described([Song(other.score, other.label, song.name) for song, other in pairs])
    return {
        "made": two_samples(real, made, GROUPS),
        "real": two_samples(real, others, GROUPS),  # real pieces where made ones stood: this should be chance
        "apart": apart(real, made),
    }


def _ranges(train: list[Song], made: list[Song]) -> dict[str, tuple[np.ndarray, list[dict[str, float]]]]:
    """For each label of `made`: the usual rhythm, and every measure of training pieces."""
    labels = sorted({song.label for song in made})
    readings = [(song.label, Reading(first_bars(song, FORM_BARS).score)) for song in chosen(train, RANGES, labels)]
    usual = usual_rhythms(readings)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for label, reading in readings:
        rows[label].append(scalars(reading, usual[label]))
    return {label: (usual[label], rows[label]) for label in rows}


def compared(ranges: dict, real: list[Song], made: list[Song]) -> dict[str, dict[str, float]]:
    """Measure -> means of real and made, and the shares of songs inside the range of training pieces of their kind."""
    sides = {}
    for side, songs in (("real", real), ("made", made)):
        known = [song for song in songs if song.label in ranges]
        sides[side] = [
            (song.label, scalars(Reading(first_bars(song, FORM_BARS).score), ranges[song.label][0])) for song in known
        ]
    found = {}
    for name in sides["made"][0][1]:
        row = {}
        for side, values in sides.items():
            answered = [(label, value[name]) for label, value in values if not np.isnan(value[name])]
            inside = [_inside(value, [r[name] for r in ranges[label][1]]) for label, value in answered]
            row[side] = _mean([value for _, value in answered])
            row[f"{side} within"] = _mean([share for share in inside if not np.isnan(share)])
        found[name] = row
    return found


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _inside(value: float, reference: list[float]) -> float:
    """1 where a value is in the range; NaN where fewer than five training pieces have an answer."""
    return within([value], reference) if np.sum(~np.isnan(reference)) >= 5 else float("nan")


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def copying(train: list[Song], groups: dict[str, list[Song]]) -> dict[str, dict[str, object]]:
    """The longest run of top-voice steps, in any key, that songs share with a training piece."""
    shared = SharedSequences([steps_of(song.score) for song in train])
    found: dict[str, dict[str, object]] = {}
    for name, songs in groups.items():
        steps = [steps_of(first_bars(song, FORM_BARS).score) for song in songs]
        runs = [shared.longest(each) for each in steps]
        worst = int(np.argmax(runs))
        found[name] = {
            "median": float(np.median(runs)), "worst": runs[worst], "worst of": len(steps[worst]),
            "worst song": songs[worst].name,
            "half or more": float(np.mean([run * 2 >= max(len(s), 1) for run, s in zip(runs, steps, strict=True)])),
        }  # fmt: skip
    return found


def show(report: dict) -> None:
    kinds = report["kinds"]
    print(f"{'kind taken for itself':28}{'real':>12}{'trained on':>12}{'made':>12}   made is taken for")
    for label in LABELS:
        rows = [kinds[side].get(label) for side in ("real", "real, in training", "made")]
        cells = [f"{row['share']:.2f} of {row['songs']}" if row else "" for row in rows]
        wrong = ", ".join(f"{k} {n}" for k, n in rows[2]["taken for"].items()) if rows[2] else ""
        print(f"{label:28}{cells[0]:>12}{cells[1]:>12}{cells[2]:>12}   {wrong}")
    print(f"\n{'told from real':28}{'accuracy':>12}{'std. error':>12}{'real':>8}{'made':>8}")
    for side in ("made", "real"):
        for group, row in report["two samples"][side].items():
            label = f"{side}, {group}"
            print(f"{label:28}{row['accuracy']:12.3f}{row['standard error']:12.3f}{row['real']:8}{row['made']:8}")
    for name, row in report["two samples"]["apart"].items():
        print(f"  {name:26}{row['real']:12.3f}{row['made']:12.3f}{row['deviations']:+8.2f} deviations")
    print(f"\n{'measure':32}{'real':>8}{'made':>8}   within 10-90 %: real    made")
    for name, row in report["measures"].items():
        print(f"{name:32}{row['real']:8.3f}{row['made']:8.3f}{row['real within']:22.2f}{row['made within']:8.2f}")
    for name in report["endings"]["made"]:
        print(f"{name:32}{report['endings']['real'][name]:8.3f}{report['endings']['made'][name]:8.3f}")
    for side, row in report["copying"].items():
        print(
            f"steps shared, {side}: median {row['median']:g}, worst {row['worst']} of {row['worst of']}"
            f" ({row['worst song']}); half or more in {row['half or more']:.3f}"
        )
    for label, row in kinds["by name alone"].items():
        print(f"asked by name alone: {label:12}{row['share']:.2f} of {row['songs']}   {row['taken for']}")


def sheet(path: Path, folder: Path) -> int:
    """Piano rolls of up to 24 songs of a folder, a kind after another, in one picture; how many there are."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from quality import draw_roll

    groups = [sorted(each.glob("*.mid")) for each in sorted(folder.iterdir()) if each.is_dir()]
    rounds = [group[i] for i in range(max(map(len, groups))) for group in groups if i < len(group)]
    files = sorted(rounds[: ROLLS[0] * ROLLS[1]])
    figure, axes = pyplot.subplots(*ROLLS, figsize=(26, 24), layout="constrained")
    for place, file in zip(axes.flat, files, strict=False):
        draw_roll(place, Score.from_midi(file).merged(), f"{file.parent.name}: {file.stem[:40]}")
    for place in list(axes.flat)[len(files) :]:
        place.set_axis_off()
    figure.savefig(path, dpi=75)
    pyplot.close(figure)
    return len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--songs", type=Path, required=True, help="folder of the composer's songs")
    parser.add_argument("--model", help="compose the songs that are not there with this model")
    parser.add_argument("--each", type=int, default=EACH, help="held-out pieces of a kind that get a twin")
    parser.add_argument("--learned", type=int, default=LEARNED, help="training pieces of a kind for its judge")
    parser.add_argument("--dances", type=int, default=0, help="ask for every dance by name alone, so many times")
    parser.add_argument("--cache", type=Path, help="npz file in which the read scores are kept")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--sheet", type=Path, help="write piano rolls of 24 songs here")
    args = parser.parse_args()
    if args.each < 1 or args.dances < 0:
        parser.error("--each should be 1 or more and --dances 0 or more")
    read = read_songs(args.scores, args.cache)
    extra = args.songs.with_name(args.songs.name + "-dances")
    report = {"date": date.today().isoformat(), "commit": commit(), "machine": platform.machine()}
    report["model"] = args.model or args.songs.name
    if args.model:
        requests = [twin(song) for song in chosen(read[1], args.each)]
        report["unknown words"] = compose(args.model, requests, args.songs)
        if args.dances:
            compose(args.model, dances(args.dances), extra)
    made, named = read_folder(args.songs), read_folder(extra) if args.dances else []

    def note(text: str, so_far: dict) -> None:
        print(text, flush=True)
        if args.json:
            args.json.write_text(json.dumps(report | so_far, indent=2) + "\n")

    train, held_out, made, named = ([printed(song) for song in songs] for songs in (*read, made, named))
    report |= measured(train, held_out, made, named, args.learned, note)
    show(report)
    if args.sheet:
        print(f"{sheet(args.sheet, args.songs)} piano rolls in {args.sheet}")


if __name__ == "__main__":
    main()
