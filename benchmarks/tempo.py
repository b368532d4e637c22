"""How often `analyze` finds the tempo: `python benchmarks/tempo.py --scores DIR --sounds DIR`.

It listens to 70 songs by aria, whose tempo was asked for and kept, and to 70 rendered scores with one tempo, out of a
training folder (MIDI files and `index.tsv`), all styles in turn. A tempo counts in quarter notes a minute, as a MIDI
file has it; what a musician would tap is told beside it: dotted quarters in 6/8, 9/8 and 12/8, halves in 2/2. Renders
are kept in `--sounds`, so that a second run measures only. `--part tune` has other songs and scores: those that the
analysis may be adjusted to.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
import torch
from quality import cases

from clavilux.audio.analysis import TEMPI, analyze, onsets_of, tempo_features
from clavilux.audio.clip import Audio
from clavilux.audio.score import NOTE, Score
from clavilux.audio.synth import SAMPLE_RATE, render_score
from clavilux.bench.machine import machine
from clavilux.training.data import read_index

NEAR = 0.04  # a tempo is found, or a multiple of it is, if it is off by less
MULTIPLES = (
    ("2", 2),
    ("1/2", 1 / 2),
    ("3", 3),
    ("1/3", 1 / 3),
    ("3/2", 3 / 2),
    ("2/3", 2 / 3),
    ("4", 4),
    ("1/4", 1 / 4),
)
SEEDS = {"test": 0, "tune": 5000}


@dataclass(frozen=True)
class Piece:
    """A sound file and what is true of it. `tempo` is in quarters a minute."""

    name: str
    source: str
    style: str
    metre: tuple[int, int]
    tempo: float

    @property
    def beat_tempo(self) -> float:
        """Beats a minute as the metre has them."""
        above, below = self.metre
        if above % 3 == 0 and above > 3:
            return self.tempo * below / 4 / 3
        return self.tempo * below / 4 if below == 2 else self.tempo


def verdict(found: float | None, true: float) -> str:
    """ "right", "x 2" and its like, or "wrong"."""
    if found is None:
        return "none"
    for name, multiple in (("right", 1), *((f"x {name}", value) for name, value in MULTIPLES)):
        if abs(found / (true * multiple) - 1) < NEAR:
            return name
    return "wrong"


def songs(count: int, part: str, seconds: float, folder: Path) -> list[Piece]:
    """aria's, in the styles, metres and tempi that it is asked for."""
    pieces, composer = [], None
    for case in cases(count, SEEDS[part]):
        piece = Piece(f"aria-{case.seed}.flac", "aria", case.style, case.metre, case.tempo)
        if not (folder / piece.name).exists():
            import clavilux

            composer = composer or clavilux.load("aria")
            wanted = {"key": str(case.key), "tempo": case.tempo, "metre": "/".join(map(str, case.metre))}
            song = composer.generate(case.style, seconds=seconds, seed=case.seed, style=case.style, **wanted)
            assert [tempo for _, tempo in song.score.tempos] == [case.tempo]
            song.save(folder / piece.name)
        pieces.append(piece)
    return pieces


def scores(count: int, part: str, seconds: float, folder: Path, sounds: Path) -> list[Piece]:
    """Rendered from the beginning. A style gives one score after the other, in an order by hash."""
    rows = [row for row in read_index(folder) if row["tempo_min"] == row["tempo_max"]]
    rows = [row for row in rows if float(row["seconds"]) >= seconds and row["style"] not in ("", "Technique")]
    rows.sort(key=lambda row: hashlib.sha256(row["file"].encode()).digest())
    turn: Counter = Counter()
    keyed = []
    for row in rows:
        keyed.append((turn[row["style"]], row["style"], row))
        turn[row["style"]] += 1
    keyed.sort(key=lambda entry: entry[:2])
    chosen = [row for _, _, row in keyed]
    pieces: list[Piece] = []
    for row in chosen[::2] if part == "test" else chosen[1::2]:
        if len(pieces) == count:
            break
        score = Score.from_midi(folder / row["file"])
        if len(score.tempos) != 1 or score.metres[0][1][0] < 2:  # 1/8 is the metre of an upbeat
            continue
        name = "score-" + row["file"].replace("/", "-").removesuffix(".mid") + ".flac"
        piece = Piece(name, row["file"], row["style"], score.metres[0][1], score.tempos[0][1])
        if not (sounds / name).exists():
            Audio(render_score(beginning(score, seconds), duration_s=seconds), SAMPLE_RATE).save(sounds / name)
        pieces.append(piece)
    return pieces


def loops(seconds: float, sounds: Path) -> list[Piece]:
    """Plain chords in quarters over a bass, which songs and scores have few of; to adjust to, with the others."""
    pieces = []
    for program, tempo in itertools.product((0, 19, 24, 48, 52), (52.0, 63.0, 76.0, 88.0, 108.0, 120.0, 132.0, 152.0)):
        tonic, third = int(tempo) % 12, 3 + (int(tempo) // 4) % 2
        notes = []
        for bar in range(math.ceil(seconds * tempo / 240)):
            root = 48 + tonic + (0, 5, 7, 0)[bar % 4]
            notes.append((4 * bar, 3.8, root - 12, 85, program, False))
            chord = [root + step for step in (12, 12 + third, 19)]
            notes += [
                (4 * bar + beat, 0.9, key, 90 - 20 * (beat > 0), program, False) for beat in range(4) for key in chord
            ]
        piece = Piece(f"loop-{program}-{tempo:g}.flac", "loop", "loop", (4, 4), tempo)
        if not (sounds / piece.name).exists():
            score = Score(np.array(notes, NOTE), tempos=((0.0, tempo),))
            Audio(render_score(score, duration_s=seconds), SAMPLE_RATE).save(sounds / piece.name)
        pieces.append(piece)
    return pieces


def beginning(score: Score, seconds: float) -> Score:
    """As much of a score as sounds in that time."""
    return score.slice(0, min(score.length, float(score.quarters_at(seconds))))


def measure(pieces: list[Piece], sounds: Path) -> list[dict]:
    rows = []
    for piece in pieces:
        clip = Audio.load(sounds / piece.name)
        started = time.perf_counter()
        found = analyze(clip).tempo_bpm
        rows.append(
            asdict(piece)
            | {"found": found, "verdict": verdict(found, piece.tempo), "beat": verdict(found, piece.beat_tempo)}
            | {"seconds": time.perf_counter() - started}
        )
    return rows


def counts(rows: list[dict], of: str) -> dict[str, int]:
    """Right, each multiple, wrong and none, in this order."""
    found = Counter(row[of] for row in rows)
    order = ["right", *(f"x {name}" for name, _ in MULTIPLES), "wrong", "none"]
    return {name: found[name] for name in order if found[name]}


def fit(pieces: list[Piece], sounds: Path) -> list[float]:
    """The weights of `tempo_features` with which the true tempi are likeliest: a softmax over all tempi, with a little
    decay of the weights as a share of what their features spread over."""
    features = [tempo_features(onsets_of(Audio.load(sounds / piece.name))) for piece in pieces]
    away = np.log(TEMPI) - np.log([[piece.tempo] for piece in pieces])  # [pieces, tempi]
    wanted = torch.softmax(torch.from_numpy(-0.5 * (away / 0.012) ** 2), 1)
    features = torch.from_numpy(np.stack(features))  # [pieces, tempi, features]
    spread = features.flatten(0, 1).std(0)
    weights = torch.zeros_like(spread, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        likely = torch.log_softmax(features / spread @ weights, 1)
        value = -(wanted * likely).sum(1).mean() + 0.001 * weights.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return [round(weight, 2) for weight in (weights / spread).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--sounds", type=Path, required=True, help="folder in which the renders are kept")
    parser.add_argument("--count", type=int, default=70)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--part", choices=sorted(SEEDS), default="test")
    parser.add_argument("--fit", action="store_true", help="give the analysis' weights for these renders, and stop")
    parser.add_argument("--json", type=Path, help="write the report here")
    args = parser.parse_args()
    args.sounds.mkdir(parents=True, exist_ok=True)
    groups = {
        "songs by aria": songs(args.count, args.part, args.seconds, args.sounds),
        "rendered scores": scores(args.count, args.part, args.seconds, args.scores, args.sounds),
    }
    if args.part == "tune":
        groups["loops of chords"] = loops(args.seconds, args.sounds)
    if args.fit:
        print(fit([piece for pieces in groups.values() for piece in pieces], args.sounds))
        return
    report = {"what": __doc__.splitlines()[0], "machine": machine(torch.device("cpu"))}
    report |= {"seconds": args.seconds, "part": args.part}
    for name, pieces in groups.items():
        rows = measure(pieces, args.sounds)
        report[name] = {"quarters": counts(rows, "verdict"), "beats": counts(rows, "beat"), "pieces": rows}
        for of in ("quarters", "beats"):
            print(f"{name}, {len(rows)}, tempo in {of}: {report[name][of]}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
