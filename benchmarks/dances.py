"""Is a jig a jig? `python benchmarks/dances.py --scores DIR --songs DIR --model aria`

Sixty dances, each asked for by words alone (30 prompts, `composers.DANCES`, two seeds), are composed into the folder
`--songs` (what lies there is not composed again) and checked from the notes: the dance's metre, its tempo, AABB (the
second time of each part as the first, but for its end), the end on the tonic with a long note, note lengths as near to
the dance's as those of nine tenths of real tunes, and what a judge of kinds that learned from real tunes takes it for,
of each part once (`readings.printed`).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from datetime import date
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
from composers import Request, dances, file_name, silent
from corpus import Song, chosen, read_songs, settled
from judges import StyleJudge, described, recognised
from quality import commit
from readings import Reading, likeness, printed
from song_measures import ending, rhythm, rhythm_distance, usual_rhythms

from clavilux.audio.score import Score
from clavilux.families.aria.bands import habits_of
from clavilux.families.aria.controls import usual_tempi
from clavilux.families.aria.prompt import parse_prompt

METRES = {
    "jig": ((6, 8),), "slip jig": ((9, 8),), "reel": ((2, 2), (4, 4)), "hornpipe": ((2, 2), (4, 4)),
    "polka": ((2, 4),), "strathspey": ((4, 4),), "waltz": ((3, 4),), "air": ((4, 4), (3, 4), (6, 8), (2, 4)),
}  # fmt: skip
TEMPO_MARGIN = 0.06  # by which a tempo may lie outside what the words mean
SAME = 0.999  # likeness of two bars of the same notes
RANGES, LEARNED = 40, 60  # training pieces of a kind for its usual rhythm, and for the judge
CHECKS = ("metre", "tempo", "AABB", "on the tonic", "long last note", "note lengths")


def checked(score: Score, request: Request) -> dict[str, bool]:
    """What of a dance's song is as it should be, but for its note lengths."""
    metre, tempo = score.metre_at(0.0), score.tempos[0][1]
    parsed = parse_prompt(request.words)
    slowest, fastest = usual_tempi(habits_of(parsed.style or "folk"), metre, parsed)
    tune = settled(score, request.label)
    reading = Reading(replace(tune, key=score.key or tune.key))
    ends = ending(reading)
    return {
        "metre": metre in METRES[request.label],
        "tempo": slowest * (1 - TEMPO_MARGIN) <= tempo <= fastest * (1 + TEMPO_MARGIN),
        "AABB": parts_return(reading),
        "on the tonic": bool(ends["melody ends on the tonic"]),
        "long last note": bool(ends["last note is long"]),
    }


def parts_return(reading: Reading) -> bool:
    """Whether two parts of four or eight bars each come twice, but for the last bar of the first and the last two of
    the piece; another round may follow."""
    like = likeness(reading.full_bars) >= SAME
    for part in (8, 4):
        if len(like) < 4 * part:
            continue
        first = [like[bar, bar + part] for bar in range(part - 1)]
        second = [like[bar, bar + part] for bar in range(2 * part, 3 * part - 2)]
        if all(first) and all(second) and not all(like[bar, bar + 2 * part] for bar in range(part)):
            return True
    return False


def compose(model: str, requests: list[Request], folder: Path) -> None:
    """Write the songs that are not there, as long as their forms have it."""
    import clavilux

    composer = clavilux.load(model)
    for request in requests:
        path = folder / request.label / f"{file_name(request)}.mid"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with silent():
            song = composer.generate(request.words, seed=request.seed, anything=True)
        assert song.score is not None, f"{model} writes no scores"
        song.score.save_midi(path)


def measured(train: list[Song], requests: list[Request], folder: Path) -> dict[str, object]:
    """Of the songs in the folder: the share that passes each check, by dance and of all; what they are taken for."""
    labels = sorted({request.label for request in requests})
    readings = [(song.label, Reading(song.score)) for song in chosen(train, RANGES, labels)]
    usual = usual_rhythms(readings)
    far = defaultdict(list)
    for label, reading in readings:
        far[label].append(rhythm_distance(rhythm(reading), usual[label]))
    rows: dict[str, list[dict[str, bool]]] = defaultdict(list)
    songs = []
    for request in requests:
        path = folder / request.label / f"{file_name(request)}.mid"
        if not path.exists():
            continue
        score = Score.from_midi(path)
        song = Song(settled(score, request.label), request.label, path.stem)
        distance = rhythm_distance(rhythm(Reading(song.score)), usual[request.label])
        near = bool(distance <= np.percentile(far[request.label], 90))
        rows[request.label].append(checked(score, request) | {"note lengths": near})
        songs.append(song)
    if not songs:
        raise ValueError(f"{str(folder)!r} holds none of the dances; name a --model that composes them")
    judge = StyleJudge(described([printed(song) for song in chosen(train, LEARNED)]))
    every = [row for each in rows.values() for row in each]
    shares = {label: _shares(each) for label, each in [*rows.items(), ("all", every)]}
    return {
        "songs": len(songs),
        "checks": shares,
        "taken for": recognised(judge.kinds(described([printed(song) for song in songs]))),
    }


def _shares(rows: list[dict[str, bool]]) -> dict[str, float]:
    return {"songs": len(rows)} | {name: float(np.mean([row[name] for row in rows])) for name in CHECKS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--songs", type=Path, required=True, help="folder of the dances")
    parser.add_argument("--model", help="compose the dances that are not there with this model")
    parser.add_argument("--each", type=int, default=2, help="songs of each of the 30 prompts")
    parser.add_argument("--cache", type=Path, help="npz file in which the read scores are kept")
    parser.add_argument("--json", type=Path, help="write the report here")
    args = parser.parse_args()
    if args.each < 1:
        parser.error(f"--each is {args.each}; it should be 1 or more")
    requests = dances(args.each)
    if args.model:
        compose(args.model, requests, args.songs)
    report: dict[str, object] = {"date": date.today().isoformat(), "commit": commit()}
    report |= {"model": args.model or args.songs.name}
    report |= measured(read_songs(args.scores, args.cache)[0], requests, args.songs)
    print(f"{'dance':12}{'songs':>6}" + "".join(f"{name:>16}" for name in CHECKS) + f"{'taken for itself':>18}")
    for label, row in report["checks"].items():
        taken = report["taken for"].get(label)
        cells = "".join(f"{row[name]:16.2f}" for name in CHECKS)
        print(f"{label:12}{row['songs']:6}{cells}{'' if taken is None else format(taken['share'], '18.2f')}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
