"""Measure the bundled composer against real held-out scores: `python benchmarks/quality.py --scores DIR`.

DIR is the training folder (MIDI files and `index.tsv`). The pieces that training held out are the real ones;
styles with few of them borrow training pieces for their ranges. Real excerpts are as long as the renders, and
every measure is taken of both by the same code. In the column "real" each real piece is held against the
others of its style: what a perfect composer would score.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
from measures import (
    RANGED,
    SharedSequences,
    chord_share,
    empty_bars,
    excerpts,
    scale_share,
    seconds_after_last_note,
    steps_of,
    texture,
    within,
)

from clavilux.audio.frontend import decibels, mel_spectrogram
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import find_chords
from clavilux.audio.score import Score, bar_quarters
from clavilux.families.aria.styles import STYLES, style_of
from clavilux.training.data import read_index, read_score, split
from clavilux.training.labels import label_of

FEWEST_PIECES = 12  # a style with fewer held-out pieces borrows training pieces for its ranges
EXCERPTS_A_PIECE = 6
CHARTS = {
    "major": ((0, "maj"), (5, "maj"), (7, "7"), (0, "maj")),
    "minor": ((0, "min"), (5, "min"), (7, "7"), (0, "min")),
}  # asked of every fourth render; the others choose their own chords


@dataclass(frozen=True)
class Case:
    """What one render is asked for."""

    style: str
    key: Key
    tempo: float
    metre: tuple[int, int]
    chords: str | None
    seed: int


@dataclass(frozen=True)
class Excerpt:
    """A score, what is known about it, and the piece that it comes from."""

    score: Score
    key: Key
    style: str
    piece: str


def cases(count: int, seed: int = 0) -> list[Case]:
    """`count` requests over the styles, in keys, tempi and metres that each style uses."""
    rng = np.random.default_rng(seed)
    styles = [style for style in STYLES.values() if style.weight > 0]
    made = []
    for i in range(count):
        style = styles[i % len(styles)]
        metres, weights = zip(*style.metres, strict=True)
        metre = metres[rng.choice(len(metres), p=np.array(weights) / sum(weights))]
        tempo = float(round(rng.uniform(*style.tempo_in(metre))))
        mode = "minor" if rng.random() < style.minor else "major"
        tonics = (style.minor_keys if mode == "minor" else style.major_keys).split()
        key = Key.parse(f"{tonics[rng.integers(len(tonics))]} {mode}")
        chart = [Chord((key.tonic + step) % 12, quality).name(key) for step, quality in CHARTS[mode]]
        made.append(Case(style.name, key, tempo, metre, " ".join(chart) if i % 4 == 3 else None, seed + i))
    return made


def real_pieces(folder: Path) -> tuple[dict[str, list[tuple[dict, bool]]], list[dict]]:
    """Rows of each style to compare with, as (row, held out), and the rows of training."""
    train, held_out = split(row for row in read_index(folder) if label_of(row) != "drums")  # which have no key
    chosen = {style: [] for style in STYLES}
    for row in held_out:
        chosen[style_of(row)].append((row, True))
    for row in sorted(train, key=lambda row: hashlib.sha256(row["file"].encode()).digest()):
        if len(chosen[style_of(row)]) < FEWEST_PIECES:
            chosen[style_of(row)].append((row, False))
    return chosen, train


def real_excerpts(folder: Path, rows: list[dict], style: str, seconds: float) -> list[Excerpt]:
    found = []
    for row in rows:
        score = read_score(folder, row)
        parts = excerpts(score, seconds, EXCERPTS_A_PIECE)
        found += [Excerpt(part, score.key, style, row["title"]) for part in parts]
    return found


def render(model: str, asked: list[Case], seconds: float) -> list:
    """One `Audio` for each case."""
    import clavilux

    composer = clavilux.load(model)
    songs = []
    for case in asked:
        controls = {"key": str(case.key), "tempo": case.tempo, "metre": "/".join(map(str, case.metre))}
        if case.chords:
            controls["chords"] = case.chords
        songs.append(composer.generate(case.style, seconds=seconds, seed=case.seed, style=case.style, **controls))
    return songs


def exactness(case: Case, song, seconds: float) -> dict[str, bool]:
    """Whether tempo, metre, key and chords in the saved MIDI file, and the length, are what was asked."""
    with tempfile.TemporaryDirectory() as folder:
        song.save(Path(folder) / "song.mid")
        score = Score.from_midi(Path(folder) / "song.mid").merged()
    bar_s = bar_quarters(case.metre) * 60 / case.tempo
    exact = {
        "tempo": [tempo for _, tempo in score.tempos] == [case.tempo],
        "metre": [metre for _, metre in score.metres] == [case.metre],
        "key": score.key == case.key,
        "length": song.samples.shape[-1] == round(seconds * song.sample_rate)
        and seconds - bar_s < song.score.duration_s < seconds + bar_s,
    }
    if case.chords:
        chart = [Chord.parse(name) for name in case.chords.split()]
        bars = song.score.bar_starts()[: song.receipt["controls"]["bars"]]  # without the rest that rings out
        times = [time for time, _ in score.chords]
        played = [score.chords[np.searchsorted(times, bar + 1e-3, side="right") - 1][1] for bar in bars]
        exact["chords"] = played == [chart[i % len(chart)] for i in range(len(bars))]
    return exact


def harmony(excerpt: Excerpt) -> dict[str, float]:
    """Shares of notes in the key, in the chords that the score states, and in those found in its notes."""
    score, key = excerpt.score, excerpt.key
    return {
        "scale": scale_share(score, key),
        "chords": chord_share(score, score.chords),
        "found chords": chord_share(score, find_chords(score, key)),
    }


def summary(made: list[Excerpt], real: dict[str, list[Excerpt]]) -> dict:
    """Ratios to the real means of each render's own style, and shares inside the real ranges."""
    real_harmony = {style: [harmony(e) for e in group] for style, group in real.items() if group}
    real_texture = {style: [texture(e.score) for e in group] for style, group in real.items() if group}
    own_harmony = [harmony(excerpt) for excerpt in made]
    own_texture = [texture(excerpt.score) for excerpt in made]
    result = {"ratios": {}, "within": {}}
    for name in ("scale", "chords", "found chords"):
        expected = [np.nanmean([h[name] for h in real_harmony[e.style]]) for e in made]
        value, wanted = np.nanmean([h[name] for h in own_harmony]), np.mean(expected)
        result["ratios"][name] = {"made": float(value), "real": float(wanted), "ratio": float(value / wanted)}
    for name in RANGED:
        inside = [
            within([own[name]], [t[name] for t in real_texture[e.style]])
            for e, own in zip(made, own_texture, strict=True)
        ]
        result["within"][name] = {
            "made": float(np.mean(inside)),
            "real": _real_within(real, real_texture, name),
        }
    return result


def _real_within(real: dict[str, list[Excerpt]], measured: dict[str, list[dict]], name: str) -> float:
    """Each real piece's excerpts against the ranges of the other pieces of its style: mean over styles."""
    shares = []
    for style, values in measured.items():
        pieces = np.array([excerpt.piece for excerpt in real[style]])
        column = np.array([value[name] for value in values])
        if len(set(pieces)) < 2:
            continue
        shares.append(np.mean([within([v], column[pieces != piece]) for v, piece in zip(column, pieces, strict=True)]))
    return float(np.mean(shares)) if shares else float("nan")


def shared_with_training(folder: Path, rows: list[dict], groups: dict[str, list[Excerpt]]) -> dict:
    """Steps of the top voice in the longest run that each score shares with a training piece."""
    shared = SharedSequences([steps_of(Score.from_midi(folder / row["file"]).merged()) for row in rows])
    result = {}
    for name, group in groups.items():
        runs = [shared.longest(steps_of(excerpt.score)) for excerpt in group]
        lengths = [len(steps_of(excerpt.score)) for excerpt in group]
        if runs:
            worst = int(np.argmax(runs))
            result[name] = {
                "median": float(np.median(runs)), "worst": runs[worst],
                "worst of steps": lengths[worst], "worst piece": group[worst].piece,
            }  # fmt: skip
    return result


def measure(folder: Path, model: str | None, count: int, seconds: float) -> tuple[dict, list, dict]:
    """The report, the rendered songs and each style's real excerpts; without a `model` real pieces only."""
    chosen, train = real_pieces(folder)
    real, held_out = {}, []
    for style, rows in chosen.items():
        groups = [[row for row, out in rows if out is kept] for kept in (True, False)]
        parts = [real_excerpts(folder, group, style, seconds) for group in groups]
        held_out += parts[0]
        real[style] = parts[0] + parts[1]
    report = {
        "date": date.today().isoformat(), "commit": commit(), "machine": platform.machine(),
        "seconds": seconds, "renders": count if model else 0,
        "real": {s: {"held out": sum(out for _, out in rows), "training": sum(not out for _, out in rows),
                     "excerpts": len(real[s])} for s, rows in chosen.items()},
    }  # fmt: skip
    songs, made = [], held_out
    if model:
        asked = cases(count)
        songs = render(model, asked, seconds)
        made = [Excerpt(s.score, c.key, c.style, f"render {c.seed}") for c, s in zip(asked, songs, strict=True)]
        exact = [exactness(case, song, seconds) for case, song in zip(asked, songs, strict=True)]
        names = dict.fromkeys(name for row in exact for name in row)
        report["exact"] = {n: float(np.mean([row[n] for row in exact if n in row])) for n in names}
    report |= summary(made, real)
    report["empty bars"] = {
        "made": float(np.mean([empty_bars(e.score) > 0 for e in made])),
        "real": float(np.mean([empty_bars(e.score) > 0 for e in held_out])),
    }
    tails = [seconds_after_last_note(e.score) for e in made]
    report["seconds after the last note"] = {"median": float(np.median(tails)), "worst": max(tails)}
    groups = {"made": made, "real": held_out} if model else {"real": held_out}
    report["shared with training"] = shared_with_training(folder, train, groups)
    return report, songs, real


def commit() -> str:
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return result.stdout.strip() or "unknown"


def show(report: dict) -> None:
    made = "made" if report["renders"] else "held out"
    print(f"{report['renders']} renders of {report['seconds']:g} s, commit {report['commit']}, {report['date']}")
    for name, share in report.get("exact", {}).items():
        print(f"  {name + ' exact':34}{share:8.3f}")
    print(f"  {'':34}{made:>8}{'real':>8}{'ratio':>8}")
    labels = {
        "scale": "notes in the key's scale",
        "chords": "strong-beat notes in the chord",
        "found chords": "the same, chords found anew",
    }
    for name, row in report["ratios"].items():
        print(f"  {labels[name]:34}{row['made']:8.3f}{row['real']:8.3f}{row['ratio']:8.3f}")
    for name, row in report["within"].items():
        print(f"  {name + ' within 10-90 %':34}{row['made']:8.3f}{row['real']:8.3f}")
    row = report["empty bars"]
    print(f"  {'scores with an empty bar':34}{row['made']:8.3f}{row['real']:8.3f}")
    row = report["seconds after the last note"]
    print(f"  seconds after the last note: median {row['median']:.2f}, worst {row['worst']:.2f}")
    for name, row in report["shared with training"].items():
        print(
            f"  top-voice steps shared, {name + ':':10} median {row['median']:g}, worst {row['worst']} "
            f"of {row['worst of steps']} ({row['worst piece']})"
        )


def plot(path: Path, songs: list, real: dict[str, list[Excerpt]], asked: list[Case], seconds: float) -> None:
    """Three real and three generated scores of the same styles: piano rolls beside mel spectrograms."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from clavilux.audio.synth import render_score

    figure, axes = pyplot.subplots(3, 4, figsize=(22, 11), layout="constrained")
    for row, style in zip(axes, ("chorale", "art song", "ragtime"), strict=True):
        i = next(i for i, case in enumerate(asked) if case.style == style)
        example = real[style][len(real[style]) // 2]
        sound = render_score(example.score, songs[i].sample_rate, duration_s=seconds)
        draw_roll(row[0], example.score, f"real {style}: {example.piece[:44]}")
        _draw_mel(row[1], sound, songs[i].sample_rate)
        draw_roll(row[2], songs[i].score, f"generated {style} in {asked[i].key}, {asked[i].tempo:g}/min")
        _draw_mel(row[3], songs[i].samples, songs[i].sample_rate)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def draw_roll(axes, score: Score, title: str) -> None:
    start = score.seconds_at(score.notes["start"])
    end = score.seconds_at(score.notes["start"] + score.notes["duration"])
    colours = [f"C{p % 10}" for p in score.notes["program"].tolist()]
    axes.barh(score.notes["pitch"], end - start, left=start, height=0.8, color=colours)
    for bar in score.seconds_at(score.bar_starts()).tolist():
        axes.axvline(bar, color="0.85", linewidth=0.6, zorder=0)
    axes.set(title=title, xlabel="seconds", ylabel="MIDI pitch")


def _draw_mel(axes, samples, sample_rate: int) -> None:
    mel = mel_spectrogram(samples.mean(0), sample_rate, num_mels=96, f_max=8000)
    extent = (0, samples.shape[1] / sample_rate, 0, 96)
    axes.imshow(decibels(mel, range_db=80).numpy(), origin="lower", aspect="auto", extent=extent, vmin=-80)
    axes.set(xlabel="seconds", ylabel="mel band")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--model", default="aria")
    parser.add_argument("--renders", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--real-only", action="store_true", help="measure held-out pieces only, without a model")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--plot", type=Path, help="write a picture of real and generated scores here")
    args = parser.parse_args()
    if args.renders < 3 or args.seconds <= 0:
        parser.error("at least 3 renders of more than 0 seconds are needed")
    model = None if args.real_only else args.model
    report, songs, real = measure(args.scores, model, args.renders, args.seconds)
    show(report)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")
    if args.plot and songs:
        plot(args.plot, songs, real, cases(args.renders), args.seconds)


if __name__ == "__main__":
    main()
