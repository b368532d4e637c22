"""Where a hymn's voices lean: finds what `engine/families/aria/hymns.json` holds.

    python benchmarks/hymn_leanings.py --scores DIR --songs DIR --rounds 12 --json engine/families/aria/hymns.json

Twins (`composers.twin`) of `EACH` hymns that training saw are composed, and their voices measured beside those hymns:
registers, kinds of moves, intervals over the bass, chords and how they follow each other, and how often no voice is
missing. What is rarer than in the hymns gets more nats, by a share of the logarithm of the two frequencies; with these
the next round is composed, by other seeds. What is written is the mean of the last half of the rounds. A round takes
about a minute. Held-out pieces have no part in it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import checkout  # noqa: F401  before clavilux
import numpy as np
from composers import compose, file_name, read_folder, twin
from corpus import Song, chosen, read_songs
from readings import NEAR, Reading

from clavilux.audio.harmony import QUALITIES
from clavilux.families.aria.voice_leading import HYMNS, WINDOW, Leanings, kind_of_move
from clavilux.families.aria.voices import HYMN

EACH = 50
VOICES = 4
STEP = 0.5  # of the logarithm of two frequencies
MOST = 3.0  # nats


@dataclass(frozen=True)
class Measured:
    """Frequencies in songs: arrays as in `Leanings`, `registers` in semitones, `full` the share of chords with all."""

    registers: np.ndarray
    first_bass: float
    full: float
    moves: np.ndarray
    crowded: np.ndarray
    over_bass: np.ndarray
    chord_moves: np.ndarray
    roots: np.ndarray
    qualities: np.ndarray


def measured(songs: list[Song]) -> Measured:
    moves, over_bass = np.ones((VOICES, 9)), np.ones(12)
    chord_moves, roots, qualities = np.ones(12), np.ones(12), np.ones(len(QUALITIES))
    registers, bass, full, crowded = [], [], [], []
    for song in songs:
        reading = Reading(song.score)
        chords = list(_sounding(reading))
        full += [len(pitches) >= VOICES for _, pitches, _ in chords]
        for at_bar, pitches, _ in chords:
            bass.append((at_bar, pitches[0]))
            for pitch in pitches[1:]:
                over_bass[(pitch - pitches[0]) % 12] += 1
        whole = [chord for chord in chords if len(chord[1]) == VOICES]
        registers += [pitches for _, pitches, _ in whole]
        for voice in range(VOICES):
            line = [pitches[voice] for _, pitches, _ in whole]
            windows = [line[i : i + WINDOW] for i in range(0, len(line) - WINDOW, WINDOW // 2)]
            crowded += [(voice, max(Counter(window).values())) for window in windows]
            for move in _moves([(pitches[voice], begun[voice]) for _, pitches, begun in whole]):
                moves[voice, move] += 1
        found = reading.chords
        for (time, chord), following in zip(found, [*found[1:], (reading.score.length, None)], strict=True):
            span = following[0] - time
            roots[(chord.root - reading.key.tonic) % 12] += span
            qualities[list(QUALITIES).index(chord.quality)] += span
            if following[1] is not None:
                chord_moves[(following[1].root - chord.root) % 12] += 1
    first, others = ([pitch for at_bar, pitch in bass if at_bar is side] for side in (True, False))
    return Measured(
        registers=np.mean(registers, axis=0),
        first_bass=float(np.mean(first) - np.mean(others)),
        full=float(np.mean(full)),
        moves=moves / moves.sum(axis=1, keepdims=True),
        crowded=np.array([np.mean([n for v, n in crowded if v == voice]) for voice in range(VOICES)]),
        **{
            name: counts / counts.sum()
            for name, counts in (
                ("over_bass", over_bass), ("chord_moves", chord_moves), ("roots", roots), ("qualities", qualities),
            )
        },
    )  # fmt: skip


def _sounding(reading: Reading) -> Iterable[tuple[bool, list[int], list[bool]]]:
    """At each onset: whether a bar begins, the pitches that sound, the lowest first, and which of them begin."""
    notes, ends = reading.notes, reading.notes["start"] + reading.notes["duration"]
    for time in np.unique(notes["start"]):
        here = notes[(notes["start"] < time + NEAR) & (ends > time + NEAR)]
        here = here[np.argsort(here["pitch"], kind="stable")]
        at_bar = bool(np.abs(reading.bars - time).min() < NEAR)
        yield at_bar, here["pitch"].tolist(), (np.abs(here["start"] - time) < NEAR).tolist()


def _moves(line: list[tuple[int, bool]]) -> Iterable[int]:
    """The kinds of a voice's moves to notes that begin."""
    upward = 0
    for (last, _), (pitch, begins) in pairwise(line):
        if begins:
            yield kind_of_move(pitch - last, upward)
        if pitch != last:
            upward = 1 if pitch > last else -1


def nearer(leanings: Leanings, real: Measured, made: Measured) -> Leanings:
    """`leanings` changed towards those by which made songs would be as real ones."""

    def changed(name: str, floor: float) -> np.ndarray:
        ratio = np.log((getattr(real, name) + floor) / (getattr(made, name) + floor))
        return np.clip(np.array(getattr(leanings, name)) + STEP * ratio, -MOST, MOST)

    odds = [side.full / (1 - side.full) for side in (real, made)]
    ratio = np.log((real.qualities + 0.01) / (made.qualities + 0.01))
    held = np.array([leanings.qualities.get(quality, 0.0) for quality in QUALITIES])
    return Leanings(
        middles=tuple(np.array(leanings.middles) + 0.8 * STEP * (real.registers - made.registers)),
        at_bars=leanings.at_bars + 2 * STEP * (real.first_bass - made.first_bass),
        full=leanings.full + STEP * float(np.log(odds[0] / odds[1])),
        moves=tuple(map(tuple, changed("moves", 0.002))),
        crowded=tuple(np.maximum(0, np.array(leanings.crowded) + 0.3 * STEP * (made.crowded - real.crowded))),
        over_bass=tuple(changed("over_bass", 0.002)),
        chord_moves=tuple(changed("chord_moves", 0.01)),
        roots=tuple(changed("roots", 0.01)),
        qualities=dict(zip(QUALITIES, np.clip(held + STEP * ratio, -MOST, MOST), strict=True)),
    )


def mean(all_leanings: list[Leanings]) -> dict[str, object]:
    """The means of all, to a hundredth of a nat."""
    rows = [asdict(each) for each in all_leanings]
    found: dict[str, object] = {
        name: np.round(np.mean([row[name] for row in rows], axis=0), 2).tolist()
        for name in rows[0]
        if name != "qualities"
    }
    values = {quality: float(np.mean([row["qualities"].get(quality, 0.0) for row in rows])) for quality in QUALITIES}
    return found | {"qualities": {quality: round(value, 2) for quality, value in values.items() if abs(value) >= 0.005}}


def text_of(found: dict[str, object]) -> str:
    """JSON with one list a line."""
    rows = []
    for name, value in found.items():
        if name == "moves":
            rows.append(f'"{name}": [\n' + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n]")
        else:
            rows.append(f'"{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--songs", type=Path, required=True, help="folder of the composer's hymns, one a round in it")
    parser.add_argument("--model", default="aria")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--cache", type=Path, help="npz file in which the read scores are kept")
    parser.add_argument("--json", type=Path, required=True, help="write what was found here")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds should be 1 or more")
    songs = chosen(read_songs(args.scores, args.cache)[0], EACH, ["hymn"])
    requests, real = [twin(song) for song in songs], measured(songs)
    leanings, found = HYMNS, []
    for number in range(args.rounds):
        folder = args.songs / f"round-{number}"
        hymn = replace(HYMN, leanings=leanings)
        with patch("clavilux.families.aria.parts.HYMN", hymn), patch("clavilux.families.aria.leaning.HYMNS", leanings):
            compose(args.model, [replace(request, seed=request.seed + 1000 * number) for request in requests], folder)
        names = {file_name(request) for request in requests}
        made = measured([song for song in read_folder(folder) if song.name in names])
        apart = {
            name: float(np.abs(np.subtract(getattr(real, name), getattr(made, name))).sum()) for name in asdict(made)
        }
        print(f"round {number}:", ", ".join(f"{name} {value:.2f}" for name, value in apart.items()), flush=True)
        leanings = nearer(leanings, real, made)
        found.append(leanings)
    args.json.write_text(text_of(mean(found[len(found) // 2 :])), encoding="utf-8")


if __name__ == "__main__":
    main()
