"""How well chords are found for melodies of lead sheets, and the weights by which they are found.

Reads a folder of lead sheets as MIDI files and a table of their chords (file, quarter, chord, by tabs), learns the
weights of `clavilux.audio.arranging.harmonizer` from four fifths of them by maximum conditional likelihood and measures
the others: the share of beats whose chord has the same root, or the same function. Beside it stand two plain ways: the
tonic always, and in each bar that triad of the key which holds most of the melody. `--write` puts the weights where the
package reads them. It takes about two minutes on a core.

    python benchmarks/harmonizing.py FOLDER CHORDS.tsv [--write] [--training]
"""

from __future__ import annotations

import argparse
import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from clavilux.audio.arranging import harmonizer
from clavilux.audio.arranging.harmonizer import (
    MODES,
    STATES,
    Weights,
    harmonize,
    slots_of,
    state_of,
    tone_features,
)
from clavilux.audio.chart import read_chord
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import find_key
from clavilux.audio.score import Score, bar_quarters

EVERY = 5  # of the songs by name, the fifth is held out
_ENHARMONIC = {"Bbb": "A", "Ebb": "D", "Abb": "G", "F##": "G", "C##": "D"}
# How strongly each weight is held at 0, times its square: what is seldom seen stays near what is plain.
_HELD = {"kinds": 0.2, "tones": 20.0, "roles": 5.0, "nexts": 8.0, "any_next": 4.0, "shares": 0.1, "stays": 0.1}
_EPOCHS, _RATE, _BATCH = 12, 0.05, 8


@dataclass(frozen=True, eq=False)
class Song:
    """A melody with its chords."""

    name: str
    notes: np.ndarray
    metres: list[tuple[int, int]]
    first: int
    key: Key
    chords: list[tuple[float, Chord]]

    def at(self, quarter: float) -> Chord | None:
        found = [chord for time, chord in self.chords if time <= quarter + 1e-6]
        return found[-1] if found else None


def read_songs(folder: Path, table: Path) -> list[Song]:
    chords: dict[str, list[tuple[float, Chord]]] = {}
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            chord = re.sub(r"\(.*?\)|/.*|(?<=7)[#b]5$", "", row["chord"])  # neither what is added nor the bass counts
            chord = _ENHARMONIC.get(chord[:3], chord[:3]) + chord[3:]
            chords.setdefault(row["file"], []).append((float(row["quarter"]), read_chord(chord)[0]))
    return [_song(folder.parent / name, found) for name, found in sorted(chords.items())]


def _song(path: Path, chords: list[tuple[float, Chord]]) -> Song:
    score = Score.from_midi(path)
    metres = [score.metre_at(start) for start in score.bar_starts()]
    pickup = int(score.notes["start"].min() > bar_quarters(metres[0]) / 4)
    return Song(path.stem, score.notes, metres, pickup, _key(score, chords), chords)


def _key(score: Score, chords: list[tuple[float, Chord]]) -> Key:
    """The mode of the signature's key whose tonic the last chord has, else what the notes say."""
    last = chords[-1][1].root
    signature = score.signature
    for key in (signature, signature and signature.relative):
        if key and key.tonic == last:
            return key
    return find_key(score)


class Field(torch.nn.Module):
    """The weights while they are learned: `kinds` are a kind's, whatever its degree; others of a mode or of both."""

    def __init__(self) -> None:
        super().__init__()
        kinds, states, roles = len(harmonizer.KINDS), len(STATES), len(harmonizer.ROLES)
        shapes = {
            "kinds": (3, kinds, 12), "tones": (2, 3, states, 12), "roles": (2, roles, states), "shares": (2, states),
            "nexts": (2, states, states), "any_next": (states, states), "stays": (2, roles),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape)))
        degrees = torch.tensor([degree for degree, _ in STATES])
        self.kind_of = torch.tensor([harmonizer.KINDS.index(kind) for _, kind in STATES])
        self.classes = (degrees[:, None] + torch.arange(12)) % 12  # [states, 12] of each interval

    def of_mode(self, minor: bool) -> tuple[torch.Tensor, ...]:
        """`Weights` of a mode, as tensors."""
        spread = torch.zeros(3, len(STATES), 12).scatter(2, self.classes.expand(3, -1, -1), self.kinds[:, self.kind_of])
        tones = spread + self.tones[0] + (self.tones[1] if minor else 0)
        nexts = (self.any_next + self.nexts[int(minor)]) * (1 - torch.eye(len(STATES)))
        return tones, self.shares[int(minor)] + self.roles[int(minor)], nexts, self.stays

    def loss(self, heard: torch.Tensor, roles: torch.Tensor, opens: torch.Tensor, states: torch.Tensor, minor: bool):
        """Nats of a song's chords under its melody."""
        tones, of_roles, nexts, stays = self.of_mode(minor)
        score = torch.einsum("sfp,fkp->sk", heard, tones) + of_roles[roles]
        forward, gold = score[0], score[0, states[0]]
        for index in range(1, len(states)):
            onward = nexts + torch.eye(len(STATES)) * stays[opens[index], roles[index]]
            forward = torch.logsumexp(forward[:, None] + onward, 0) + score[index]
            gold = gold + score[index, states[index]] + onward[states[index - 1], states[index]]
        return torch.logsumexp(forward, 0) - gold


def learn(songs: list[Song]) -> dict[str, Weights]:
    data = [_example(song) for song in songs]
    field, order = Field(), np.random.default_rng(0)
    total = sum(len(example[3]) for example in data)
    adam = torch.optim.Adam(field.parameters(), lr=_RATE)
    for epoch in range(_EPOCHS):
        for group in adam.param_groups:
            group["lr"] = _RATE * (1 - epoch / _EPOCHS) + 0.002
        for batch in np.array_split(order.permutation(len(data)), len(data) // _BATCH):
            share = sum(len(data[index][3]) for index in batch) / total
            held = sum(_HELD[name] * table.square().sum() for name, table in field.named_parameters())
            (sum(field.loss(*data[index]) for index in batch) + share * held).backward()
            adam.step()
            adam.zero_grad()
    with torch.no_grad():
        return {mode: Weights(*(each.numpy() for each in field.of_mode(mode == "minor"))) for mode in MODES}


def _example(song: Song) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, bool]:
    slots = slots_of(song.metres, song.first)
    chords = [song.at(slot.start + 0.3 * slot.quarters) for slot in slots]
    begin = next(index for index, chord in enumerate(chords) if chord is not None)
    heard = torch.tensor(tone_features(slots, song.notes, song.key)[begin:], dtype=torch.float32)
    roles = torch.tensor([harmonizer.ROLES.index(slot.role) for slot in slots[begin:]])
    opens = torch.tensor([int(slot.opens) for slot in slots[begin:]])
    states = torch.tensor([state_of(chord, song.key) for chord in chords[begin:] if chord is not None])
    return heard, roles, opens, states, song.key.mode == "minor"


def function_of(chord: Chord, key: Key) -> str:
    """Tonic, subdominant or dominant of the diatonic chords; other chords are a function of their own."""
    degree = (chord.root - key.tonic) % 12
    kind = harmonizer.KIND_OF[chord.quality]
    if kind == "7" and degree not in (7, 0):
        return f"applied {degree}"
    named = {0: "T", 4: "T", 9: "T", 5: "S", 2: "S", 7: "D", 11: "D"}
    if key.mode == "minor":
        named = {0: "T", 3: "T", 8: "T", 5: "S", 2: "S", 7: "D", 11: "D", 10: "D"}
    return named.get(degree, f"other {degree}")


def agreement(song: Song, found: list[tuple[float, Chord]]) -> tuple[int, int, int]:
    """(beats with the same root, with the same function, all)."""
    times = [time for time, _ in found]
    root = function = total = 0
    for beat in np.arange(0.5, sum(map(bar_quarters, song.metres)), 1.0):
        said = song.at(float(beat))
        if said is None:
            continue
        own = found[max(0, int(np.searchsorted(times, beat, side="right")) - 1)][1]
        total += 1
        root += own.root == said.root
        function += function_of(own, song.key) == function_of(said, song.key)
    return root, function, total


def tonic_always(song: Song, key: Key) -> list[tuple[float, Chord]]:
    return [(0.0, key.home)]


def best_triads(song: Song, key: Key) -> list[tuple[float, Chord]]:
    """In each bar the triad of the key that holds most of the melody, the tonic's among equals."""
    natural = key.degrees
    kinds = ("maj", "min", "min", "maj", "maj", "min", "dim") if key.mode == "major" else (
        "min", "dim", "maj", "min", "min", "maj", "maj")  # fmt: skip
    triads = [Chord((key.tonic + degree) % 12, kind) for degree, kind in zip(natural, kinds, strict=True)]
    found, start = [], 0.0
    for metre in song.metres:
        here = song.notes[(song.notes["start"] >= start - 1e-6) & (song.notes["start"] < start + bar_quarters(metre))]
        held = [
            sum(float(n["duration"]) for n in here if int(n["pitch"]) % 12 in chord.pitch_classes) for chord in triads
        ]
        found.append((start, triads[int(np.argmax(held))]))
        start += bar_quarters(metre)
    return found


def measure(songs: list[Song], weights: dict[str, Weights]) -> dict[str, tuple[float, float]]:
    """Way -> (share of the same root, of the same function), over all beats; the key found in the melody alone, and
    given.
    """
    sums: dict[str, np.ndarray] = {}
    keys = 0
    for song in songs:
        heard = find_key(Score(song.notes))
        keys += heard == song.key
        for said, key in (("key found", heard), ("key given", song.key)):
            ways = {
                "the tonic always": tonic_always(song, key),
                "the triad that holds most": best_triads(song, key),
                "the harmonizer": harmonize(song.notes, song.metres, key, first=song.first, weights=weights[key.mode]),
            }
            for way, found in ways.items():
                sums[f"{way}, {said}"] = sums.get(f"{way}, {said}", np.zeros(3)) + agreement(song, found)
    print(f"{len(songs)} songs, {int(next(iter(sums.values()))[2]):,} beats; key found: {keys / len(songs):.0%}")
    return {way: (counts[0] / counts[2], counts[1] / counts[2]) for way, counts in sums.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("chords", type=Path)
    parser.add_argument("--write", action="store_true", help="put the weights into the package")
    parser.add_argument("--training", action="store_true", help="measure on songs that were learned from, in folds")
    given = parser.parse_args()
    songs = read_songs(given.folder, given.chords)
    held = songs[EVERY - 1 :: EVERY]
    seen = [song for index, song in enumerate(songs) if index % EVERY != EVERY - 1]
    if given.training:  # for settings: the held-out songs are not looked at
        held, seen = seen[::4], [song for index, song in enumerate(seen) if index % 4]
    weights = learn(seen)
    for way, (root, function) in measure(held, weights).items():
        print(f"{way:42} root {root:.1%}  function {function:.1%}")
    if given.write:
        found = {f"{mode}.{name}": table for mode, each in weights.items() for name, table in vars(each).items()}
        save_file({name: table.astype(np.float16) for name, table in found.items()}, harmonizer.WEIGHTS)


if __name__ == "__main__":
    main()
