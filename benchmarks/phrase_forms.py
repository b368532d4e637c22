"""How bars of a phrase follow from each other in real pieces, how high they lie and in which rhythm: writes the phrases
that aria's forms draw from.

    python benchmarks/phrase_forms.py --scores folder > engine/families/aria/phrases.txt

Of each kind of music `EACH` parts of eight bars are drawn at random, of pieces that training saw, from their first
whole bar on and among their first 32; of kinds whose melodies are composed alone as many pieces of each metre, with
all such parts of theirs. A bar has its melody or all its notes again; or its melody moved by steps of the scale, from
one of the two bars before or four before; or most notes of another one; or the rhythm of all notes. How high it lies
is the mean pitch of its melody's notes.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from corpus import Song, read_songs
from readings import Reading, printed

from clavilux.audio.harmony import Key
from clavilux.families.aria.phrases import FIRST, NEXT, QUARTERS, metre_name

ALONE = (
    "lead sheet", "jig", "slip jig", "reel", "hornpipe", "strathspey", "air", "krakowiak", "mazurka", "polonaise",
    "waltz", "minuet", "polka",
)  # fmt: skip
FEWEST = 6  # pieces of a metre
KINDS = (
    "art song", "baroque", "classical", "krakowiak", "lead sheet", "march", "mazurka", "orchestral", "polonaise",
    "quartet", "reel", "renaissance", "romantic", "jig", "slip jig", "hornpipe", "strathspey", "air", "waltz", "minuet",
    "polka",
)  # fmt: skip
EACH = 96
BARS, MOST_BARS = 8, 32
FARTHEST = 4  # steps of the scale
NEAR = 0.45  # of the notes of two bars are in both where one is the other but for a few
Notes = list[tuple[int, int, int]]  # (twelfths of a quarter in the bar, pitch, twelfths of length)
Melody = list[tuple[int, int]]  # (twelfths of a quarter in the bar, pitch)


def phrases_of(song: Song) -> list[str]:
    """The phrases of a song, as `clavilux.families.aria.phrases` reads them; one that is more than half the first again
    is none of its own. [] where the first has bars without notes.
    """
    reading = Reading(printed(song).score)
    bars = _full_bars(reading)
    melody, rhythms = [sorted(bar) for bar in reading.melody_bars], rhythms_of(song, reading)
    first = int(bool(bars[0]) and bars[0][0][0] >= 12 * reading.bar_length / 2)  # after an upbeat
    found: list[str] = []
    for at in range(first, min(MOST_BARS, len(bars)) - BARS + 1, BARS):
        silent = song.label in ALONE and not all(rhythms[at : at + BARS])
        if all(bars[at : at + BARS]) and melody[at] and not silent:
            places = [*range(first, first + BARS), *range(at, at + BARS)] if at > first else range(at, at + BARS)
            text = phrase([bars[k] for k in places], [melody[k] for k in places], reading)
            if text.count(FIRST) <= BARS // 2:
                found.append(f"{text} | {' '.join(shapes_of(melody[at : at + BARS], rhythms[at : at + BARS]))}")
        elif at == first and song.label in ALONE:
            return []
    return found


def shapes_of(melody: Sequence[Melody], rhythms: Sequence[str]) -> list[str]:
    """The mean pitch and the rhythm of each bar; of one in which the melody only holds a note the pitch of the bar
    before.
    """
    heights: list[int] = []
    for bar in melody:
        heights.append(round(float(np.mean([pitch for _, pitch in bar]))) if bar else heights[-1])
    return [f"{height}:{rhythm}" if rhythm else str(height) for height, rhythm in zip(heights, rhythms, strict=True)]


def rhythms_of(song: Song, reading: Reading) -> list[str]:
    """Of each bar the twelfths of a quarter that its melody's notes last, rests with a minus; "" where the melody has
    none, or is not composed alone. What lies an octave below it is the other hand's.
    """
    if song.label not in ALONE:
        return ["" for _ in reading.bars]
    notes = reading.melody
    notes = notes[notes["pitch"] > np.median(notes["pitch"]) - 12]
    found: list[list[int]] = [[] for _ in reading.bars]
    times = np.round(reading.inside_bar(notes["start"]) * 12).astype(int).tolist()
    lengths = np.round(notes["duration"] * 12).astype(int).tolist()
    for bar, start, length in zip(reading.bar_index(notes["start"]).tolist(), times, lengths, strict=True):
        before = sum(map(abs, found[bar]))
        if start < before:  # a note that is held while another one begins
            found[bar][-1] -= before - start
        elif start > before:
            found[bar].append(before - start)
        found[bar].append(length)
    return [".".join(map(str, bar)) for bar in found]


def phrase(bars: Sequence[Notes], melody: Sequence[Melody], reading: Reading) -> str:
    """What each of the last eight bars has of those before it; a bar of the first part before them is one of "a"."""
    names = [*(f"{FIRST}{n + 1}" for n in range(len(bars) - BARS)), *(str(n + 1) for n in range(BARS))]
    start = len(bars) - BARS
    found = names[:start]
    for at in range(start, len(bars)):
        earlier = [*range(start, at), *range(start)]  # a bar of its own part before one of the first
        equal = [k for k in earlier if bars[k] == bars[at] or melody[k] == melody[at]]
        again = [found[k] if found[k] in names else names[k] for k in equal]
        moved = [
            f"{names[k]}{steps:+d}"
            for k in (at - 1, at - 2, at - 4)
            if k >= start and (steps := _moved(melody[at], melody[k], reading.key))
        ]
        rhythm = [f"{names[k]}'" for k in range(start, at) if _rhythm(bars[k]) == _rhythm(bars[at])]
        shared = {k: min(_shared(bars[k], bars[at]), _shared(melody[k], melody[at])) for k in earlier}
        most = max(shared.values(), default=0.0)
        others = {k: _differing(melody[k], melody[at], reading) for k in earlier if shared[k] == most >= NEAR}
        near = [f"{names[k]}~{quarters}" for k, quarters in others.items() if len(quarters) < QUARTERS]
        found.append((again or moved or near or rhythm or [names[at]])[0])
    return " ".join(found[start:])


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


def _differing(bar: Melody, other: Melody, reading: Reading) -> str:
    """The quarters of a bar, from 1, in which two melodies have other notes."""
    steps = {step for step, _ in set(bar) ^ set(other)}
    quarters = {int(QUARTERS * step / (12 * reading.bar_length)) + 1 for step in steps}
    return "".join(map(str, sorted(quarters)))


def _shared(bar: Sequence[tuple[int, ...]], other: Sequence[tuple[int, ...]]) -> float:
    """The share of notes in both of those in either, whatever their lengths."""
    notes, others = ({note[:2] for note in each} for each in (bar, other))
    return len(notes & others) / max(len(notes | others), 1)


def _rhythm(bar: Notes) -> list[tuple[int, int]]:
    return [(step, length) for step, _, length in bar]


def _moved(bar: Melody, other: Melody, key: Key) -> int:
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
    found: dict[str, list[str]] = defaultdict(list)
    for song in learned:
        if song.label in ALONE:
            if phrases := phrases_of(song):
                found[f"{song.label} {metre_name(song.score.metre_at(0.0))}"].append(NEXT.join(phrases))
        elif song.label in KINDS:
            found[song.label] += phrases_of(song)
    random = np.random.default_rng(0)
    print("# Written by benchmarks/phrase_forms.py.")
    for name, texts in sorted(found.items()):
        if len(texts) >= FEWEST:
            for at in random.choice(len(texts), min(EACH, len(texts)), replace=False):
                print(f"{name}: {texts[at]}")


if __name__ == "__main__":
    main()
