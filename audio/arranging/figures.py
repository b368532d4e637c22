"""Figures as notes: what the symbols of a pattern's row mean under the chords of a bar.

Knows one part and one bar. Does not know sections, fills or time between notes (`arranger`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clavilux.audio.arranging.band import DRUM_KEYS, HOLD, REST, TONES, VOICES, Part
from clavilux.audio.arranging.voicing import lead_voices
from clavilux.audio.harmony import QUALITIES, Chord, Key

ChordAt = Callable[[float], Chord]
Row = tuple[float, float, int, int]  # start and duration in quarters, pitch, velocity
_STRENGTH = {"o": -18, "x": 0, "X": 14, "g": -30}
_GHOST_QUARTERS = 0.12
_LEVELS = {"o": 3, "x": 6, "X": 8}  # of a drum, as digits
_PER_LEVEL = 14
_JITTER = 4  # of a velocity, up and down


@dataclass
class Hands:
    """What a part remembers from bar to bar: the pitches of its last chord and its last bass. Of a bar, a left hand
    remembers the bass (`floor`) that its chords stay above, and each chord's voicing (`taken`).
    """

    voicing: tuple[int, ...] = ()
    chord: Chord | None = None
    bass: int | None = None
    root: int | None = None
    rooted: Chord | None = None
    floor: int | None = None
    taken: dict[Chord, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Harmony:
    """The chords that a figure is played over: `at` a quarter from the bar's start, and in which key."""

    at: ChordAt
    key: Key
    changes: tuple[float, ...] = ()  # inside the bar
    melody_low: Callable[[float, float], int | None] = field(default=lambda start, end: None)


def drum_rows(rows: Sequence[tuple[str, str]], places: Sequence[float], part: Part, rng: random.Random) -> list[Row]:
    """Strokes of a bar; `places` are the quarters at which its steps begin."""
    found: list[Row] = []
    for drum, symbols in rows:
        for place, symbol in zip(places, symbols, strict=True):
            level = _LEVELS.get(symbol) or (int(symbol) if symbol.isdigit() else 0)
            if level:
                velocity = level * _PER_LEVEL * part.level / 100 + rng.randint(-_JITTER, _JITTER)
                found.append((place, 0.25, DRUM_KEYS[drum], as_velocity(velocity)))
    return found


def pitched_rows(
    rows: Sequence[str], places: Sequence[float], end: float, part: Part, harmony: Harmony, hands: Hands,
    rng: random.Random,
) -> list[Row]:  # fmt: skip
    """Notes of a bar for a part that has pitches; `end` is the bar's length, `hands` are changed."""
    found: list[Row] = []
    hands.floor, hands.taken = None, {}
    if part.voicing == "hand":
        rows = sorted(rows, key=lambda symbols: not set(symbols) & set(TONES))  # the bass, before what lies above it
    for symbols in rows:
        for step, symbol in enumerate(symbols):
            if symbol in (REST, HOLD):
                continue
            last = step + 1
            while last < len(symbols) and symbols[last] == HOLD:
                last += 1
            start, stop = places[step], places[last] if last < len(symbols) else end
            found += _sounding(symbol, start, stop, end, part, harmony, hands, rng)
        found += _held_from_before(symbols, places, end, part, harmony, hands, rng)
    return found


def _held_from_before(
    symbols: str, places: Sequence[float], end: float, part: Part, harmony: Harmony, hands: Hands, rng: random.Random
) -> list[Row]:
    """A bar that begins by holding strikes again where its chord is another than that which is held."""
    if symbols[0] != HOLD or hands.chord == harmony.at(0.0):
        return []
    last = next((step for step, symbol in enumerate(symbols) if symbol != HOLD), len(symbols))
    stop = places[last] if last < len(symbols) else end
    return _sounding("1" if part.kind == "bass" else "x", 0.0, stop, end, part, harmony, hands, rng)


def _sounding(
    symbol: str, start: float, stop: float, end: float, part: Part, harmony: Harmony, hands: Hands, rng: random.Random
) -> list[Row]:
    """One symbol's notes: a held chord is struck again where it changes under it."""
    cuts = [start, *(change for change in harmony.changes if start < change < stop), stop]
    found: list[Row] = []
    for begin, until in itertools.pairwise(cuts):
        chord = harmony.at(begin)
        velocity = part.level + _STRENGTH.get(symbol, 14 if symbol in VOICES.upper() else 0)
        velocity = as_velocity(velocity + rng.randint(-_JITTER, _JITTER))
        length = (until - begin) * part.gate
        if symbol == "g":
            length = min(length, _GHOST_QUARTERS)
        found += [
            (begin, length, pitch, velocity) for pitch in _pitches(symbol, begin, end, chord, part, harmony, hands, rng)
        ]
        if symbol in "gw<>":
            break
    hands.chord = harmony.at(cuts[-2])
    return found


def _pitches(
    symbol: str, start: float, end: float, chord: Chord, part: Part, harmony: Harmony, hands: Hands,
    rng: random.Random,
) -> list[int]:  # fmt: skip
    if part.kind == "bass" and symbol in "xXo":
        symbol = "1"
    if symbol == "g":
        return [hands.bass if hands.bass is not None else _place(chord.root, part.root, None)]
    if symbol in "<>w":
        return [_towards(symbol, start, end, chord, part, harmony, hands, rng)]
    if symbol in TONES:
        return [_tone(symbol, chord, part, hands)]
    voicing = _voicing(start, end, chord, part, harmony, hands)
    if symbol in "xXo":
        return list(voicing)
    number = VOICES.index(symbol.lower())
    return [voicing[number] if number < len(voicing) else min(part.high, voicing[number % len(voicing)] + 12)]


def _voicing(start: float, end: float, chord: Chord, part: Part, harmony: Harmony, hands: Hands) -> tuple[int, ...]:
    low, below = part.low, None
    if part.voicing == "hand":  # taken once a bar: rows that play single voices are voices of one chord
        if chord in hands.taken:
            return hands.taken[chord]
        low = low if hands.floor is None else max(low, hands.floor + 1)
        below = harmony.melody_low(0.0, end)
    elif part.kind == "chords" and part.voicing == "open":
        below = harmony.melody_low(start, end)
    hands.voicing = lead_voices(
        chord, hands.voicing, low, part.high, kind=part.voicing, voices=part.voices, below=below
    )
    hands.taken[chord] = hands.voicing
    return hands.voicing


def _place(pitch_class: int, low: int, near: int | None, high: int | None = None) -> int:
    """The pitch of a class from `low` up that is nearest to `near`, the lowest if that is None."""
    first = low + (pitch_class - low) % 12
    if near is None:
        return first
    last = high if high is not None else first + 12
    return min(range(first, max(first, last) + 1, 12), key=lambda pitch: (abs(pitch - near), pitch))


def _tone(symbol: str, chord: Chord, part: Part, hands: Hands) -> int:
    """A degree of the chord above its bass. After a change of chord a bass part begins with the bass itself."""
    high = part.high if part.kind == "bass" else part.root + 16
    if part.voicing == "hand":
        return _left_tone(symbol, chord, part, hands)
    if hands.rooted != chord or hands.root is None:
        hands.root = _place(chord.lowest, part.root, hands.root, min(high, part.root + 14))
        hands.rooted = chord
        if part.kind == "bass":
            symbol = symbol if symbol in "018" else "1"
    if symbol in "018" or chord.bass is not None:
        pitch = hands.root + (12 if symbol == "8" and hands.root + 12 <= high else 0)
        pitch -= 12 if symbol == "0" and pitch - 12 >= part.low else 0
    else:
        intervals = QUALITIES[chord.quality]
        size = {"3": intervals[1], "5": intervals[2], "6": 9, "7": intervals[3] if len(intervals) > 3 else 12, "9": 14}
        pitch = hands.root + size[symbol]
        pitch -= 12 if pitch > high else 0
    hands.bass = pitch
    return pitch


def _left_tone(symbol: str, chord: Chord, part: Part, hands: Hands) -> int:
    """A degree as a pianist's left hand has it: basses in the octave of the part's root, the tones of an inversion
    counted from its bass (of C/E 3 is G and 5 is C), 8 an octave above the bass and 0 one below it.
    """
    bass = _place(chord.lowest, part.root, None)
    tones = sorted((pitch_class - chord.lowest) % 12 for pitch_class in chord.pitch_classes)
    size = {
        "0": -12,
        "1": 0,
        "3": tones[1],
        "5": tones[2],
        "6": 9,
        "7": tones[3] if len(tones) > 3 else 12,
        "8": 12,
        "9": 14,
    }
    pitch = bass + size[symbol]
    if symbol not in "08":
        pitch -= 12 if pitch > part.root + 12 else 0
        hands.floor = pitch if hands.floor is None else max(pitch, hands.floor)
    hands.bass = pitch
    return pitch


def _towards(
    symbol: str, start: float, end: float, chord: Chord, part: Part, harmony: Harmony, hands: Hands,
    rng: random.Random,
) -> int:  # fmt: skip
    """A note on the way to the root of the chord that comes next: from below, from above, or walking."""
    later = next((change for change in (*harmony.changes, end) if change > start + 1e-6), end)
    coming = harmony.at(later)
    here = hands.bass if hands.bass is not None else _place(chord.root, part.root, None)
    target = _place(coming.lowest, part.root, here, min(part.high, part.root + 14))
    if symbol == ">":  # up to it
        pitch = target - 1
    elif symbol == "<":
        pitch = target + (1 if rng.random() < 0.5 and coming.quality in ("7", "maj7", "maj") else 2)
    else:
        pitch = _walk(start, later, here, target, chord, part, harmony, rng)
    low = _lowest(part)
    pitch += 12 if pitch < low else -12 if pitch > part.high else 0
    hands.bass = pitch
    return pitch


def _lowest(part: Part) -> int:
    """From where up a part walks: of a left hand the range is that of its chords, and its basses lie from the root."""
    return min(part.low, part.root) if part.voicing == "hand" else part.low


def _walk(
    start: float, until: float, here: int, target: int, chord: Chord, part: Part, harmony: Harmony, rng: random.Random
) -> int:
    """The next note of a walking line: the last before a change leads into it, those before are of the chord or the
    scale, on the way there, and never the note that sounds already.
    """
    low = _lowest(part)
    left = round(until - start)  # beats until the change, this one among them
    if left <= 1:
        steps = [target - 1, target + 1, target - 2, target + 2]
        usable = [pitch for pitch in steps if pitch != here and low <= pitch <= part.high and abs(pitch - here) < 9]
        inside = [pitch for pitch in usable if pitch % 12 in harmony.key.scale]
        if part.voicing == "hand":  # dances keep to the scale
            return rng.choice(inside or [target])
        return rng.choice(inside if inside and rng.random() < 0.6 else usable or [target - 1])
    aim = here + (target - here) / left + (rng.choice((-4, -3, 3, 4)) if abs(target - here) < 4 else 0)
    tones = chord.pitch_classes if left % 2 or rng.random() < 0.6 else harmony.key.scale
    usable = [pitch for pitch in range(low, part.high + 1) if pitch % 12 in tones and 0 < abs(pitch - here) <= 7]
    return min(usable or [here], key=lambda pitch: (abs(pitch - aim), pitch))


def as_velocity(value: float) -> int:
    """The nearest velocity, 1 to 127."""
    return int(min(127, max(1, round(value))))
