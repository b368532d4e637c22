"""How bars of a phrase follow from each other in real pieces, and how high they lie: writes the phrases that aria's
forms draw from.

    python benchmarks/phrase_forms.py --scores folder > engine/families/aria/phrases.txt

Of each kind of music `EACH` parts of eight bars are drawn at random, of pieces that training saw, from their first
whole bar on and among their first 32; half of them begin their pieces. A bar has its melody or all its notes again; or
its melody moved by steps of the scale, from one of the two bars before or four before; or the rhythm of all notes. How
high it lies is the mean pitch of its melody's notes.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from corpus import Song, read_songs
from readings import Reading, printed

from clavilux.audio.harmony import Key

KINDS = (
    "art song", "baroque", "classical", "krakowiak", "lead sheet", "march", "mazurka", "orchestral", "polonaise",
    "quartet", "reel", "renaissance", "romantic", "jig", "slip jig", "hornpipe", "strathspey", "air", "waltz", "minuet",
    "polka",
)  # fmt: skip
EACH = 128
BARS, MOST_BARS = 8, 32
FARTHEST = 4  # steps of the scale
Notes = list[tuple[int, int, int]]  # (twelfths of a quarter in the bar, pitch, twelfths of length)


def phrases_of(song: Song) -> Iterator[tuple[bool, str]]:
    """The phrases of a song, as `clavilux.families.aria.phrases` reads them, and whether they begin it."""
    reading = Reading(printed(song).score)
    bars = _full_bars(reading)
    melody = [sorted(bar) for bar in reading.melody_bars]
    first = int(bool(bars[0]) and bars[0][0][0] >= 12 * reading.bar_length / 2)  # after an upbeat
    for at in range(first, min(MOST_BARS, len(bars)) - BARS + 1, BARS):
        if all(bars[at : at + BARS]) and melody[at]:
            heights = " ".join(map(str, heights_of(melody[at : at + BARS])))
            yield at == first, f"{phrase(bars[at : at + BARS], melody[at : at + BARS], reading.key)} | {heights}"


def heights_of(melody: list[list[tuple[int, int]]]) -> list[int]:
    """The mean pitch of each bar; of one in which the melody only holds a note that of the bar before."""
    found: list[int] = []
    for bar in melody:
        found.append(round(float(np.mean([pitch for _, pitch in bar]))) if bar else found[-1])
    return found


def phrase(bars: list[Notes], melody: list[list[tuple[int, int]]], key: Key) -> str:
    """What each bar has of those before it."""
    found: list[str] = []
    for at in range(len(bars)):
        again = [k for k in range(at) if bars[k] == bars[at] or melody[k] == melody[at]]
        moved = [
            f"{k + 1}{steps:+d}"
            for k in (at - 1, at - 2, at - 4)
            if k >= 0 and (steps := _moved(melody[at], melody[k], key))
        ]
        rhythm = [f"{k + 1}'" for k in range(at) if _rhythm(bars[k]) == _rhythm(bars[at])]
        returning = [found[k] if found[k].isdigit() else str(k + 1) for k in again]
        found.append((returning or moved or rhythm or [str(at + 1)])[0])
    return " ".join(found)


def _full_bars(reading: Reading) -> list[Notes]:
    notes = reading.notes
    bars: list[Notes] = [[] for _ in reading.bars]
    steps = np.round(reading.inside_bar(notes["start"]) * 12).astype(int).tolist()
    lengths = np.round(notes["duration"] * 12).astype(int).tolist()
    for bar, *note in zip(
        reading.bar_index(notes["start"]).tolist(), steps, notes["pitch"].tolist(), lengths, strict=True
    ):
        bars[bar].append((note[0], note[1], note[2]))
    return [sorted(bar) for bar in bars]


def _rhythm(bar: Notes) -> list[tuple[int, int]]:
    return [(step, length) for step, _, length in bar]


def _moved(bar: list[tuple[int, int]], other: list[tuple[int, int]], key: Key) -> int:
    """The steps of the scale by which a melody lies above another one; 0 where it is none of its kind."""
    if len(bar) < 2 or [step for step, _ in bar] != [step for step, _ in other]:
        return 0
    moves = [_height(a, key) - _height(b, key) for (_, a), (_, b) in zip(bar, other, strict=True)]
    steps = round(float(np.mean(moves)))
    fits = max(moves) - min(moves) <= 0.5 and 0 not in moves and abs(steps) <= FARTHEST
    return steps if fits else 0


def _height(pitch: int, key: Key) -> float:
    """Steps of the scale, half ones between them."""
    octave, above = divmod(pitch - key.tonic, 12)
    below = max(n for n, semitones in enumerate(key.degrees) if semitones <= above)
    return 7 * octave + below + (0.5 if key.degrees[below] != above else 0.0)


def main() -> None:
    """Write the phrases to the standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder with index.tsv and the MIDI files it names")
    parser.add_argument("--cache", type=Path, help="where the songs are kept once they are read")
    args = parser.parse_args()
    learned, _ = read_songs(args.scores, args.cache)
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for song in learned:
        if song.label in KINDS:
            for begins, text in phrases_of(song):
                found[song.label, begins].append(text)
    random = np.random.default_rng(0)
    print("# Written by benchmarks/phrase_forms.py.")
    for kind in KINDS:
        for begins in (True, False):
            texts, name = found[kind, begins], kind if begins else f"{kind}, later"
            for at in random.choice(len(texts), min(EACH // 2, len(texts)), replace=False):
                print(f"{name}: {texts[at]}")


if __name__ == "__main__":
    main()
