"""Chords as pitches, led by rule: each voice moves as little as it can.

Knows chords and pitches. Does not know rhythm or who plays. The rules are those of harmony books: common tones stay,
the others move by step, no wide gap above the lowest, no thirds in the bass register, the top voice does not leap.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

from clavilux.audio.harmony import QUALITIES, Chord

_MUDDY = 50  # below this pitch (D3) neighbours in a chord are a fifth apart or more
_WIDEST = 12  # semitones between neighbours above the lowest two
_LOWEST_THIRD = 48  # of a left hand (C3)
_INVERTED, _SECOND = 9, 4  # what a left hand's chord costs whose lowest tone is not the bass, that has a second
_MIDDLE = 0.6  # cost of a semitone from the middle of the range, against 1 of a voice that moves by one


def intervals_of(chord: Chord, kind: str) -> tuple[int, ...]:
    """Semitones above the root that a voicing has, the most needed first."""
    third, fifth = QUALITIES[chord.quality][1:3]
    seventh = QUALITIES[chord.quality][3:]
    if kind == "power":
        return (0, 7) if fifth == 7 else (0, fifth)
    if kind == "rootless" and seventh:
        ninth = () if chord.quality in ("dim7", "hdim7") else (14 % 12,)
        return (third, *seventh, *ninth, fifth)
    if kind == "triad" or not seventh:
        return (third, 0, fifth)
    return (third, *seventh, 0, fifth)


def lead_voices(
    chord: Chord, before: tuple[int, ...], low: int, high: int, *, kind: str = "triad", voices: int = 4,
    below: int | None = None,
) -> tuple[int, ...]:  # fmt: skip
    """The chord's pitches, ascending, between `low` and `high`, as near to those `before` as they can be.

    Args:
        chord: its bass is left to whoever plays it.
        before: the pitches of the chord before; () at the beginning.
        low, high: MIDI pitches.
        kind: one of `band.VOICINGS`.
        voices: at most; no fewer than two.
        below: pitches stay under this one, where the range allows it.
    """
    if below is not None and kind == "hand":
        high = min(high, max(below - 1, low + 11))  # an octave stays
    elif below is not None and below - low > 12:
        high = min(high, below - 1)
    candidates = _candidates(chord, low, high, kind, voices)
    middle = (low + high) / 2

    def cost(pitches: tuple[int, ...]) -> float:
        plain = _cost(pitches, before, middle) if before else abs(sum(pitches) / len(pitches) - middle)
        if kind != "hand":
            return plain
        inverted = (pitches[0] % 12 != chord.lowest) * (1 if chord.bass is None else 3)  # a named bass is kept
        second = any(high - low <= 2 for low, high in itertools.pairwise(pitches))
        return plain + inverted * _INVERTED + second * _SECOND

    return min(candidates, key=lambda pitches: (cost(pitches), pitches))


def _cost(pitches: tuple[int, ...], before: tuple[int, ...], middle: float) -> float:
    moved = sum(min(abs(pitch - old) for old in before) for pitch in pitches)
    moved += sum(min(abs(pitch - old) for pitch in pitches) for old in before)
    top = abs(pitches[-1] - before[-1])
    drift = abs(sum(pitches) / len(pitches) - middle)
    return moved + top + (4 if top > 7 else 0) + _MIDDLE * max(0.0, drift - 4)


@lru_cache(8192)
def _candidates(chord: Chord, low: int, high: int, kind: str, voices: int) -> list[tuple[int, ...]]:
    """Every spacing in the range that the rules allow; at least one."""
    intervals = intervals_of(chord, kind)
    wanted = intervals[: max(2, voices)]
    if kind in ("guitar", "open"):
        wanted = (0, *(each for each in wanted if each))[: max(2, voices)]
    choices = [wanted]
    if kind == "hand" and len(wanted) == 3 < len(intervals):  # the seventh and any two of the other three
        choices = [tones for tones in itertools.combinations(intervals, 3) if intervals[1] in tones]
    spacings = set()
    for tones in choices:
        places = []
        for interval in tones:
            first = low + (chord.root + interval - low) % 12
            places.append([*range(first, high + 1, 12)] or [first])
        spacings |= {tuple(sorted(pitches)) for pitches in itertools.product(*places)}
    if kind == "guitar":
        spacings = {_strummed(pitches, chord, high, voices) for pitches in spacings if _is_root_lowest(pitches, chord)}
    good = [pitches for pitches in spacings if _is_clear(pitches, kind)]
    return sorted(good or spacings or {tuple(sorted(options[0] for options in places))})


def _is_root_lowest(pitches: tuple[int, ...], chord: Chord) -> bool:
    return pitches[0] % 12 == chord.root


def _strummed(pitches: tuple[int, ...], chord: Chord, high: int, voices: int) -> tuple[int, ...]:
    """A chord as six strings have it: its tones doubled upwards, as far as there are voices."""
    full = list(pitches)
    classes = chord.pitch_classes
    at = pitches[-1] + 3
    while len(full) < voices and at <= high:
        if at % 12 in classes:
            full.append(at)
            at += 3
        else:
            at += 1
    return tuple(full)


def _is_clear(pitches: tuple[int, ...], kind: str) -> bool:
    gaps = [(low, high - low) for low, high in itertools.pairwise(pitches)]
    if any(gap < 5 and low < (_LOWEST_THIRD if kind == "hand" else _MUDDY) for low, gap in gaps):
        return False
    if kind == "hand":
        return pitches[-1] - pitches[0] <= 12
    widest = 19 if kind == "open" else _WIDEST
    return all(gap <= widest for _, gap in gaps) and (kind == "open" or pitches[-1] - pitches[0] <= 28)
