"""How pitches are spelled: F# or Gb, by the chord that sounds and by the key.

Knows the line of fifths. Does not know bars or files.
"""

from __future__ import annotations

from dataclasses import dataclass

from clavilux.audio.harmony import LETTERS, QUALITIES, Chord, Key

_LINE = "FCGDAEB"
_STEPS_ON_LINE = {
    0: 0,
    3: -3,
    4: 4,
    5: -1,
    6: -6,
    7: 1,
    8: 8,
    9: -9,
    10: -2,
    11: 5,
}  # of a chord's notes above its root
_LEAST, _MOST = -8, 12  # Fb to E#, the farthest that a chord's note is spelled


@dataclass(frozen=True, order=True)
class Spelled:
    """A written pitch: letter, alteration in semitones, octave as in C4 = 60."""

    octave: int
    letter: str
    alter: int

    @property
    def midi(self) -> int:
        """The MIDI pitch."""
        return 12 * (self.octave + 1) + LETTERS[self.letter] + self.alter


def spelled(pitch: int, key: Key, chord: Chord | None = None) -> Spelled:
    """A MIDI pitch as it is written under a chord, or in a key."""
    place = _in_chord(pitch % 12, key, chord) if chord is not None else None
    if place is None:
        lowest = key.sharps - 3  # Eb to G# in C major and in A minor
        place = lowest + (pitch * 7 - lowest) % 12
        place = place - 12 if place > _MOST else place + 12 if place < _LEAST else place
    alter, letter = divmod(place + 1, 7)
    return Spelled((pitch - alter) // 12 - 1, _LINE[letter], alter)


def _in_chord(pitch_class: int, key: Key, chord: Chord) -> int | None:
    interval = (pitch_class - chord.root) % 12
    if interval not in QUALITIES[chord.quality]:
        return None
    name = chord.name(key)
    root = _LINE.index(name[0]) - 1 + 7 * ((name[1:2] == "#") - (name[1:2] == "b"))
    steps = -3 if interval == 3 else 3 if interval == 9 and chord.quality != "dim7" else _STEPS_ON_LINE[interval]
    place = root + steps
    return place if _LEAST <= place <= _MOST else None


def key_alters(sharps: int) -> dict[str, int]:
    """Letter -> alteration of a key signature of so many sharps (negative for flats)."""
    sign = 1 if sharps > 0 else -1
    letters = _LINE if sharps > 0 else _LINE[::-1]
    return dict.fromkeys(_LINE, 0) | dict.fromkeys(letters[: abs(sharps)], sign)


class Accidentals:
    """Which notes of a bar need a sign: those that neither the key signature nor a sign before them says."""

    def __init__(self, sharps: int) -> None:
        self._key, self._said = key_alters(sharps), dict[tuple[str, int], int]()

    def bar(self) -> None:
        """A new bar: signs no longer hold."""
        self._said.clear()

    def needed(self, note: Spelled, tied: bool = False) -> int | None:
        """The alteration to write, 0 being a natural; None where none is needed."""
        place = (note.letter, note.octave)
        holds = self._said.get(place, self._key[note.letter])
        if note.alter == holds or tied:
            return None
        self._said[place] = note.alter
        return note.alter
