"""A pianist's right hand: what belongs under the notes of a melody that it plays, bar by bar.

Knows the melody of a bar, chords, and textures with their weights. Does not know the left hand, sections, or who wrote
the melody, whose own notes it leaves alone.

The numbers are counts of the right hands of some 300 printed dances for piano.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clavilux.audio.arranging.figures import Harmony, Row, as_velocity
from clavilux.audio.harmony import Chord, Key

TEXTURES = ("single", "accents", "octaves", "thirds", "sixths", "chords")
LOWEST = 60  # of what is added (C4); what is below is the left hand's
_EVENNESS = 2.5  # of a piece's own weights: among pieces the share of single bars has a deviation of 0.19 to 0.29
# How often a bar goes on as the one before: the first of four bars, the second ... Next bars have one texture in 0.7.
_GOES_ON = (0.0, 0.85, 0.5, 0.85)
_REACHES = (("beats", 0.15), ("slow", 0.45), ("all", 0.4))  # off the beat 0.7 have company where those on it have
_FAST = 0.3  # of a beat: of shorter notes nine in ten are single, of eighths 0.6 to 0.8, of quarters half
# Seconds of the shortest note that one hand plays so, one after another.
_SHORTEST_S = {"octaves": 0.19, "chords": 0.19, "thirds": 0.14, "sixths": 0.14}
_ACCENTS = (("octaves", 0.4), ("chords", 0.4), ("thirds", 0.2))  # under a bar's first note alone
_SUITS = 2 / 3  # the share of the notes meant that have company, or else the hand plays the bar in another way
_OCTAVE = 12  # which a hand spans
_SIZES = {"thirds": (3, 4), "sixths": (8, 9)}
_OTHER = {"thirds": "sixths", "sixths": "thirds"}
_REST = (5, 7, 6)  # distances of other tones of a chord
_NEAREST = 3  # semitones between notes of a chord
_SOFTER = 10  # of a velocity, than the melody
_EPSILON = 1e-6


@dataclass(frozen=True)
class Manner:
    """How the hand plays a bar.

    Attributes:
        textures: out of `TEXTURES`, of which the first counts that suits the melody; the last is "single".
        reach: which notes have company: those on "beats", all but fast ones ("slow"), or "all".
        accent: the texture under the first note, where that alone has company.
        full: chords span an octave.
    """

    textures: tuple[str, ...]
    reach: str
    accent: str
    full: bool


def habits(weights: Mapping[str, float], rng: random.Random) -> dict[str, float]:
    """A piece's own weights of textures, as far from the style's as pieces are: most have two or three."""
    whole = sum(weights.values())
    return {name: rng.gammavariate(_EVENNESS * part / whole, 1) for name, part in weights.items() if part}


def manners(own: Mapping[str, float], num_bars: int, rng: random.Random) -> list[Manner]:
    """The hand's manner in each bar of a section: one holds for two or four bars mostly, seldom for one.

    Of a longer section the first bars are the same.
    """
    found: list[Manner] = []
    for bar in range(num_bars):
        drawn, goes_on = _drawn(own, rng), rng.random() < _GOES_ON[bar % len(_GOES_ON)]
        found.append(found[-1] if goes_on else drawn)
    return found


def _drawn(own: Mapping[str, float], rng: random.Random) -> Manner:
    keys = {name: rng.expovariate(1) / max(weight, 1e-9) for name, weight in own.items()}  # in order of their draws
    order = sorted(keys, key=keys.__getitem__)
    before = order[: order.index("single")] if "single" in order else order
    return Manner((*before, "single"), _choice(_REACHES, rng), _choice(_ACCENTS, rng), rng.random() < 0.5)


def _choice(weighted: Sequence[tuple[str, float]], rng: random.Random) -> str:
    return rng.choices([name for name, _ in weighted], [weight for _, weight in weighted])[0]


def companions(
    tune: Sequence[Row], manner: Manner, harmony: Harmony, *, beat: float, tempo: float, is_last: bool = False
) -> list[Row]:
    """What the hand strikes together with a bar's melody, as long as its notes and softer.

    Args:
        tune: the melody's notes (quarters from the bar's start, quarters, pitch, velocity), one at a time.
        manner: how.
        harmony: the bar's chords.
        beat: quarters.
        tempo: quarters a minute.
        is_last: whether the piece ends here: its last note stands on its chord, unless the hand plays single notes.
    """
    if is_last and tune:
        below = () if manner.textures[0] == "single" else _under(tune[-1], "chords", manner, harmony, beat)
        return [_beside(tune[-1], pitch) for pitch in below]
    for texture in manner.textures:
        meant = [note for note in tune if _is_meant(note, texture, manner, beat, tempo)]
        under = _company(meant, manner.accent if texture == "accents" else texture, manner, harmony, beat)
        if texture == "single" or (meant and sum(bool(below) for below in under) >= _SUITS * len(meant)):
            return [_beside(note, pitch) for note, below in zip(meant, under, strict=True) for pitch in below]
    return []


def _company(
    notes: Sequence[Row], texture: str, manner: Manner, harmony: Harmony, beat: float
) -> list[tuple[int, ...]]:
    """What is under each of a bar's notes: sixths where thirds are meant if more notes have those, and vice versa."""
    found = [_under(note, texture, manner, harmony, beat) for note in notes]
    if texture not in _OTHER:
        return found
    others = [_under(note, _OTHER[texture], manner, harmony, beat) for note in notes]

    def in_line(under: list[tuple[int, ...]], sizes: tuple[int, ...]) -> int:
        return sum(note[2] - below[0] in sizes for note, below in zip(notes, under, strict=True) if below)

    here, there = in_line(found, _SIZES[texture]), in_line(others, _SIZES[_OTHER[texture]])
    return others if there > here else found


def _beside(note: Row, pitch: int) -> Row:
    return note[0], note[1], pitch, as_velocity(note[3] - _SOFTER)


def _is_meant(note: Row, texture: str, manner: Manner, beat: float, tempo: float) -> bool:
    """Whether a note is to have company."""
    start, duration = note[:2]
    is_fast = duration < _FAST * beat
    if texture == "single":
        return False
    if texture == "accents":
        return start < _EPSILON and not is_fast
    if duration * 60 / tempo < _SHORTEST_S[texture] - _EPSILON:
        return False
    if manner.reach == "beats":
        return duration > beat - _EPSILON or (_is_on_beat(start, beat) and not is_fast)
    return not is_fast or (manner.reach == "all" and texture in ("thirds", "sixths"))


def _is_on_beat(start: float, beat: float) -> bool:
    return abs(start / beat - round(start / beat)) < _EPSILON


def _under(note: Row, texture: str, manner: Manner, harmony: Harmony, beat: float) -> tuple[int, ...]:
    """The pitches under a note of the melody, of all chords that it is held through; () where there are none."""
    start, duration, pitch, _ = note
    chord = harmony.at(start)
    if texture == "octaves":
        found: tuple[int, ...] = (pitch - _OCTAVE,)
    elif texture == "chords":
        found = _chord_under(pitch, chord, manner.full)
    else:
        is_strong = start < _EPSILON or duration > 2 * beat - _EPSILON
        found = _one_under(pitch, chord, harmony.key, texture, is_strong)
    later = [harmony.at(change) for change in harmony.changes if start < change < start + duration - _EPSILON]
    held = all((below - pitch) % 12 == 0 or below % 12 in each.pitch_classes for each in later for below in found)
    return found if found and min(found) >= LOWEST and held else ()


def _one_under(pitch: int, chord: Chord, key: Key, texture: str, is_strong: bool) -> tuple[int, ...]:
    """A third or a sixth of the scale, as the texture is or else the other, or else another tone of the chord.

    Where the bar begins, and under long notes, it is of the chord; a tone that is not lies no semitone from one.
    """
    tones, degrees = chord.pitch_classes, {(key.tonic + degree) % 12 for degree in key.degrees}

    def fits(below: int) -> bool:
        if below % 12 in tones:
            return True
        clashes = any((below + side) % 12 in tones for side in (-1, 1))
        return not is_strong and not clashes and below % 12 in key.scale

    for sizes in (_SIZES[texture], _SIZES[_OTHER[texture]]):
        usable = [pitch - size for size in sizes if fits(pitch - size) and pitch - size >= LOWEST]
        if usable:
            return (min(usable, key=lambda below: (below % 12 not in tones, below % 12 not in degrees)),)
    return next(((pitch - size,) for size in _REST if (pitch - size) % 12 in tones), ())


def _chord_under(pitch: int, chord: Chord, full: bool) -> tuple[int, ...]:
    """Two tones of the chord close below a note, () where there are fewer; or its octave with what is between."""
    full = full and pitch - _OCTAVE >= LOWEST
    lowest = pitch - _OCTAVE + _NEAREST if full else max(LOWEST, pitch - _OCTAVE + 2)
    found: list[int] = []
    for below in range(pitch - _NEAREST, lowest - 1, -1):
        if below % 12 in chord.pitch_classes and (not found or found[-1] - below >= _NEAREST):
            found.append(below)
    if full:
        return (*found[:2], pitch - _OCTAVE)
    return tuple(found[:2]) if len(found) > 1 else ()
