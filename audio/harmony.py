"""Keys and chords: their notes, and their names read and spelled.

Knows pitch classes (0 is C, 11 is B) and the line of fifths. Does not know notes or scores: `harmony_analysis` finds
keys and chords in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MAJOR_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
NATURAL_MINOR = (0, 2, 3, 5, 7, 8, 10)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 9, 10, 11)  # natural, with the raised sixth and seventh

QUALITIES: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "dim7": (0, 3, 6, 9),
    "hdim7": (0, 3, 6, 10),
    "sus4": (0, 5, 7),
}
SUFFIXES = {
    "maj": "", "min": "m", "dim": "dim", "aug": "aug", "7": "7", "maj7": "maj7", "min7": "m7", "dim7": "dim7",
    "hdim7": "m7b5", "sus4": "sus4",
}  # fmt: skip
SPELLINGS = {
    "": "maj", "maj": "maj", "M": "maj", "major": "maj",
    "m": "min", "min": "min", "-": "min", "minor": "min",
    "dim": "dim", "°": "dim", "o": "dim", "aug": "aug", "+": "aug",
    "7": "7", "dom7": "7", "maj7": "maj7", "M7": "maj7", "Δ": "maj7", "Δ7": "maj7",
    "m7": "min7", "min7": "min7", "-7": "min7", "dim7": "dim7", "°7": "dim7", "o7": "dim7",
    "m7b5": "hdim7", "min7b5": "hdim7", "-7b5": "hdim7", "hdim7": "hdim7", "hdim": "hdim7",
    "ø": "hdim7", "ø7": "hdim7",
    "sus4": "sus4", "sus": "sus4",
}  # fmt: skip


def _pitch_class(letter: str, accidentals: str) -> int:
    return (LETTERS[letter.upper()] + accidentals.count("#") - accidentals.count("b")) % 12


def _plain_accidentals(text: str) -> str:
    return text.strip().replace("♯", "#").replace("♭", "b").replace("♮", "")


@dataclass(frozen=True)
class Key:
    """A key: tonic as a pitch class 0..11 and mode "major" or "minor"."""

    tonic: int
    mode: str

    def __post_init__(self) -> None:
        if self.mode not in ("major", "minor"):
            raise ValueError(f'A key\'s mode must be "major" or "minor", not {self.mode!r}.')
        if not 0 <= self.tonic <= 11:
            raise ValueError(f"A key's tonic must be a pitch class from 0 (C) to 11 (B), not {self.tonic}.")

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read "G minor", "Gm", "f# major", "Bb", "A♭ minor" or "E-flat major"; no mode means major."""
        match = re.fullmatch(
            r"([A-Ga-g])(#|b|[ -]?(?:flat|sharp))?[ -]*(m|M|maj|min|major|minor)?",
            _plain_accidentals(text),
            re.IGNORECASE,
        )
        if not match:
            raise ValueError(
                f'Unknown key {text!r}: write a letter A to G and a mode, such as "G minor" or "F# major".'
            )
        letter, accidental, mode = (part or "" for part in match.groups())
        accidental = accidental.lower()
        shift = "#" if "#" in accidental or "sharp" in accidental else accidental and "b"
        minor = mode == "m" or mode.lower().startswith("min")
        return cls(_pitch_class(letter, shift), "minor" if minor else "major")

    def __str__(self) -> str:
        names = MINOR_NAMES if self.mode == "minor" else MAJOR_NAMES
        return f"{names[self.tonic]} {self.mode}"

    @property
    def scale(self) -> frozenset[int]:
        """Pitch classes of the scale; a minor key has both its sixths and both its sevenths."""
        degrees = MINOR_SCALE if self.mode == "minor" else MAJOR_SCALE
        return frozenset((self.tonic + degree) % 12 for degree in degrees)

    @property
    def degrees(self) -> tuple[int, ...]:
        """Semitones of the seven degrees above the tonic; a minor key's are those of its natural scale."""
        return NATURAL_MINOR if self.mode == "minor" else MAJOR_SCALE

    @property
    def home(self) -> Chord:
        """The triad on the tonic."""
        return Chord(self.tonic, "maj" if self.mode == "major" else "min")

    @property
    def parallel(self) -> Key:
        """The key of the other mode on the same tonic."""
        return Key(self.tonic, "minor" if self.mode == "major" else "major")

    @property
    def relative(self) -> Key:
        """The key of the other mode with the same key signature."""
        if self.mode == "minor":
            return Key((self.tonic + 3) % 12, "major")
        return Key((self.tonic + 9) % 12, "minor")

    @property
    def sharps(self) -> int:
        """The key signature: the number of sharps, negative for flats, -6..6."""
        return _fifths_of_name(str(self).split()[0]) - (3 if self.mode == "minor" else 0)

    def transposed(self, semitones: int) -> Key:
        return Key((self.tonic + semitones) % 12, self.mode)


@dataclass(frozen=True)
class Chord:
    """A chord.

    Attributes:
        root: pitch class, 0 (C) to 11 (B).
        quality: "maj", "min", "dim", "aug", "7", "maj7", "min7", "dim7", "hdim7" or "sus4".
        bass: pitch class of the lowest note, where that is not the root.

    Raises:
        ValueError: another quality, or a number outside 0 to 11.
    """

    root: int
    quality: str
    bass: int | None = None

    def __post_init__(self) -> None:
        if self.quality not in QUALITIES:
            raise ValueError(f"Unknown chord quality {self.quality!r}: it must be one of {', '.join(QUALITIES)}.")
        if not 0 <= self.root <= 11:
            raise ValueError(f"A chord's root must be a pitch class from 0 (C) to 11 (B), not {self.root}.")
        if self.bass is not None and not 0 <= self.bass <= 11:
            raise ValueError(f"A chord's bass must be a pitch class from 0 (C) to 11 (B), not {self.bass}.")

    @classmethod
    def parse(cls, text: str) -> Chord:
        """Read "Gm", "C#dim", "D7", "Bbmaj7", "F#m7b5" or "Am7/G". `clavilux.audio.chart` reads many more."""
        match = re.fullmatch(r"([A-Ga-g])([#b]?)([^/]*)(?:/([A-Ga-g])([#b]?))?", _plain_accidentals(text))
        if not match or match[3] not in SPELLINGS:
            known = ", ".join(f"C{suffix}" for suffix in SUFFIXES.values())
            raise ValueError(f"Unknown chord {text!r}: write a root A to G and a quality, such as {known}.")
        bass = None if match[4] is None else _pitch_class(match[4], match[5])
        return cls(_pitch_class(match[1], match[2]), SPELLINGS[match[3]], bass)

    @property
    def pitch_classes(self) -> frozenset[int]:
        return frozenset((self.root + interval) % 12 for interval in QUALITIES[self.quality])

    @property
    def lowest(self) -> int:
        """The pitch class of the lowest note."""
        return self.root if self.bass is None else self.bass

    def name(self, key: Key | None = None) -> str:
        """The chord's symbol, its root spelled for `key` (C major if None): A#dim in B minor."""
        key = key or Key(0, "major")
        bass = "" if self.bass is None else "/" + _spell_root(Chord(self.bass, "maj"), key)
        return _spell_root(self, key) + SUFFIXES[self.quality] + bass

    def __str__(self) -> str:
        return self.name()

    def transposed(self, semitones: int) -> Chord:
        bass = None if self.bass is None else (self.bass + semitones) % 12
        return Chord((self.root + semitones) % 12, self.quality, bass)


# Spelling works on the line of fifths (… Bb -2, F -1, C 0, G 1, D 2 …): the chords of a key lie in a window
# around its tonic.


def _fifths_of_name(name: str) -> int:
    return "FCGDAEB".index(name[0]) - 1 + 7 * (name.count("#") - name.count("b"))


def _name_of_fifths(position: int) -> str:
    accidentals, letter = divmod(position + 1, 7)
    return "FCGDAEB"[letter] + ("#" * accidentals if accidentals >= 0 else "b" * -accidentals)


def _spell_root(chord: Chord, key: Key) -> str:
    # Major-like roots reach down to the Neapolitan; diminished ones are leading notes, so they reach up.
    lowest = _fifths_of_name(str(key).split()[0]) + {
        "min": -3,
        "min7": -3,
        "dim": -2,
        "dim7": -2,
        "hdim7": -2,
    }.get(chord.quality, -5)
    position = lowest + (chord.root * 7 - lowest) % 12
    while position > 11:  # no double sharps: B# is 12
        position -= 12
    while position < -8:  # no double flats: Fb is -8
        position += 12
    return _name_of_fifths(position)
