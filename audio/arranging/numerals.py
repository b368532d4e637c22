"""Chords as numerals: "ii7 | V7 | Imaj7" in a key.

Knows degrees: in a major key of its major scale, in a minor one of its natural minor scale, so that VI in A minor is F.
An upper-case numeral is a major chord, a lower-case one a minor; what follows is as in chord names.
"""

from __future__ import annotations

import re
from functools import lru_cache

from clavilux.audio.harmony import QUALITIES, Chord, Key

_NUMERAL = re.compile(r"([b#]?)(VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)([^/]*)(?:/([b#]?)([1-7]))?")
_DEGREES = ("I", "II", "III", "IV", "V", "VI", "VII")
_MAJOR = {"": "maj", "7": "7", "maj7": "maj7", "sus4": "sus4", "+": "aug"}
_MINOR = {"": "min", "7": "min7", "o": "dim", "o7": "dim7", "h7": "hdim7"}


def check_numeral(text: str) -> str:
    """What is wrong with a numeral; "" if nothing is."""
    match = _NUMERAL.fullmatch(text)
    if match and match[3] in (_MAJOR if match[2].isupper() else _MINOR):
        return ""
    return (
        f"{text!r} is no chord's numeral; it should be I to VII (major, then 7, maj7, sus4 or +) or i to vii (minor, "
        "then 7, o, o7 or h7), with b or # before it, or a bass degree as in I/3"
    )


@lru_cache(4096)
def chord_of(numeral: str, key: Key) -> Chord:
    """The chord of a numeral in a key. Raises ValueError as `check_numeral` says."""
    if problem := check_numeral(numeral):
        raise ValueError(problem)
    match = _NUMERAL.fullmatch(numeral)
    assert match is not None, "it was checked"
    accidental, degree, suffix, bass_accidental, bass = match.groups()
    quality = (_MAJOR if degree.isupper() else _MINOR)[suffix]
    assert quality in QUALITIES, "every suffix has one"
    root = _pitch_class(_DEGREES.index(degree.upper()), accidental, key)
    low = None if bass is None else _pitch_class(int(bass) - 1, bass_accidental, key)
    return Chord(root, quality, None if low == root else low)


def _pitch_class(degree: int, accidental: str, key: Key) -> int:
    scale = key.degrees
    return (key.tonic + scale[degree] + {"#": 1, "b": -1}.get(accidental, 0)) % 12


@lru_cache(4096)
def numeral_of(chord: Chord, key: Key) -> str:
    """The numeral of a chord in a key: what `chord_of` reads back as it."""
    table = _MAJOR if chord.quality in _MAJOR.values() else _MINOR
    suffix = next(text for text, quality in table.items() if quality == chord.quality)
    numeral = _degree(chord.root, key)
    numeral = (numeral if table is _MAJOR else numeral.lower()) + suffix
    if chord.bass is None or chord.bass == chord.root:
        return numeral
    sign, bass = re.fullmatch(r"([b#]?)([IV]+)", _degree(chord.bass, key)).groups()  # type: ignore[union-attr]
    return f"{numeral}/{sign}{_DEGREES.index(bass) + 1}"


def _degree(pitch_class: int, key: Key) -> str:
    """A pitch class as a degree: V, bVI; the raised ones are those that keys have, others are lowered."""
    scale = key.degrees
    above = (pitch_class - key.tonic) % 12
    if above in scale:
        return _DEGREES[scale.index(above)]
    raised = (6, 4, 9, 11) if key.mode == "minor" else (6,)
    if above in raised:
        return "#" + _DEGREES[scale.index(above - 1)]
    return "b" + _DEGREES[scale.index(above + 1)]
