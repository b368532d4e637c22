"""A score under other chords: every note moves to the nearest one that does there what it did here.

Knows notes, bars and chords. Does not know tokens, or who writes what is new.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import Harmony, harmony_of
from clavilux.audio.score import Score, bar_quarters

CADENCE = 2  # bars at the end of a progression that end a piece of another length, too


def fitted(harmony: Sequence[Harmony], bars: int, old: tuple[int, int], new: tuple[int, int]) -> list[Harmony]:
    """A progression for so many bars of another metre: it comes round again, and ends as it ended.

    Chords keep their share of the bar and move to the beat before, of two on a beat the first stays.
    """
    cadence = min(CADENCE, bars, len(harmony))
    body = harmony[: max(1, len(harmony) - cadence)]
    chosen = [body[number % len(body)] for number in range(bars - cadence)] + list(harmony[len(harmony) - cadence :])
    beat, scale = 4 / new[1], bar_quarters(new) / bar_quarters(old)
    found = []
    for bar in chosen:
        at: dict[float, Chord] = {}
        for quarter, chord in bar:
            at.setdefault(int(quarter * scale / beat + 1e-6) * beat, chord)
        found.append(tuple(at.items()))
    return found


def joined(progressions: Sequence[Sequence[Harmony]], shares: Sequence[float]) -> list[Harmony]:
    """Progressions one after another, each of so large a part of its bars; those without a share are left out."""
    used = [(bars, share) for bars, share in zip(progressions, shares, strict=True) if share]
    if len(used) == 1:
        return list(used[0][0])
    total, most = sum(share for _, share in used), max(len(bars) for bars, _ in used)
    found: list[Harmony] = []
    for bars, share in used:
        count = max(1, round(most * share / total))
        found += [bars[number % len(bars)] for number in range(count)]
    return found


def transposed(harmony: Sequence[Harmony], semitones: int) -> list[Harmony]:
    """Every chord higher by so much, without its bass."""
    return [
        tuple((quarter, Chord((chord.root + semitones) % 12, chord.quality)) for quarter, chord in bar)
        for bar in harmony
    ]


def reharmonized(score: Score, harmony: Sequence[Harmony], key: Key, ranges: Mapping[int, tuple[int, int]]) -> Score:
    """The score with other chords, bar for bar.

    A note of its chord moves to the nearest of the new chord, the lowest one, where it is the root, to the new root;
    another note moves to the nearest of the key. Rhythms, parts and lengths stay.

    Args:
        score: with chords.
        harmony: of each of its bars.
        key: the new one.
        ranges: program -> its lowest and highest pitch.
    """
    starts = score.bar_starts()
    chords = tuple((float(start) + at, chord) for start, bar in zip(starts, harmony, strict=True) for at, chord in bar)
    old = [
        (float(start) + at, chord) for start, bar in zip(starts, harmony_of(score), strict=True) for at, chord in bar
    ]
    notes = score.notes.copy()
    for number, (start, pitch, program, drum) in enumerate(score.notes[["start", "pitch", "program", "drum"]].tolist()):
        if drum:
            continue
        here, there = _at(old, start), _at(chords, start)
        lowest = int(score.notes["pitch"][score.notes["start"] == start].min())
        wanted: Collection[int] = key.scale
        if pitch % 12 in here.pitch_classes:
            wanted = {there.root} if pitch == lowest and pitch % 12 == here.root else there.pitch_classes
        notes["pitch"][number] = nearest(pitch, wanted, *ranges.get(program, (0, 127)))
    merged = [chord for place, chord in enumerate(chords) if not place or chords[place - 1][1] != chord[1]]
    return replace(score, notes=notes, key=key, chords=tuple(merged))


def nearest(pitch: int, wanted: Collection[int], low: int, high: int) -> int:
    """The pitch nearest to one, of two the lower, that has one of the pitch classes and lies in a range."""
    fitting = [each for each in range(low, high + 1) if each % 12 in wanted]
    return min(fitting, key=lambda each: (abs(each - pitch), each))


def _at(chords: Sequence[tuple[float, Chord]], quarter: float) -> Chord:
    """The chord that holds at a time."""
    return [chord for start, chord in chords if start <= quarter + 1e-6][-1]
