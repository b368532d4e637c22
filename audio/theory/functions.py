"""What a chord does in a key: its numeral and its function, tonic, subdominant or dominant.

Knows degrees of major and minor keys. Does not know notes or bars (`harmony_reading`), nor how any of it is explained.

Functions are those of Riemann ("Vereinfachte Harmonielehre", 1893), as harmony is taught with numerals: I, iii and vi
belong to the tonic, IV and ii to the subdominant, V and vii to the dominant. A major or diminished chord from outside
the key that leads to one inside it is that one's dominant (V/V).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clavilux.audio.arranging.numerals import numeral_of
from clavilux.audio.harmony import Chord, Key

TONIC, SUBDOMINANT, DOMINANT, COLOR = "tonic", "subdominant", "dominant", "color"
ROLES = (TONIC, SUBDOMINANT, DOMINANT, COLOR)
_KINDS = {
    "maj": "M", "maj7": "M", "sus4": "M", "7": "7", "min": "m", "min7": "m", "dim": "o", "hdim7": "o", "dim7": "o",
    "aug": "+",
}  # fmt: skip
# (degree in semitones, kind) -> role, of chords of the key.
_OWN = {
    "major": {
        (0, "M"): TONIC, (2, "m"): SUBDOMINANT, (4, "m"): TONIC, (5, "M"): SUBDOMINANT, (7, "M"): DOMINANT,
        (7, "7"): DOMINANT, (7, "+"): DOMINANT, (9, "m"): TONIC, (11, "o"): DOMINANT,
    },
    "minor": {
        (0, "m"): TONIC, (2, "o"): SUBDOMINANT, (2, "m"): SUBDOMINANT, (3, "M"): TONIC, (3, "+"): DOMINANT,
        (5, "m"): SUBDOMINANT, (5, "M"): SUBDOMINANT, (7, "M"): DOMINANT, (7, "7"): DOMINANT, (7, "+"): DOMINANT,
        (7, "m"): DOMINANT, (8, "M"): TONIC, (10, "M"): DOMINANT, (11, "o"): DOMINANT,
    },
}  # fmt: skip
# Those that a major key borrows from the minor key on its tonic; the Neapolitan chord of both.
_BORROWED = {
    (0, "m"): TONIC, (2, "o"): SUBDOMINANT, (3, "M"): TONIC, (5, "m"): SUBDOMINANT, (7, "m"): DOMINANT,
    (8, "M"): SUBDOMINANT, (10, "M"): SUBDOMINANT, (1, "M"): SUBDOMINANT,
}  # fmt: skip
# What a dominant from outside may lead to: degree -> its numeral. A diminished triad has no dominant.
_TARGETS = {
    "major": {2: "ii", 4: "iii", 5: "IV", 7: "V", 9: "vi"},
    "minor": {3: "III", 5: "iv", 7: "V", 8: "VI", 10: "VII"},
}


@dataclass(frozen=True)
class ChordFunction:
    """What a chord does in a key.

    Attributes:
        chord, key: which chord in which key; a diminished seventh is named after the note below what it leads to.
        numeral: as it is written: "ii7", "V7/V", "vii°7", "♭II"; "I6/4" where a tonic chord over its fifth delays a
            dominant.
        role: one of `ROLES`; a dominant of another chord has the role "dominant".
        target: the numeral of the chord whose dominant it is, where that is not the tonic; else "".
        borrowed: whether it comes from the key of the other mode.
    """

    chord: Chord
    key: Key
    numeral: str
    role: str
    target: str = ""
    borrowed: bool = False


def functions_of(chords: Sequence[Chord], key: Key) -> list[ChordFunction]:
    """The function of each chord, seen in a key and before the chord that follows it."""
    following: list[Chord | None] = [*chords[1:], None]
    return [function_of(chord, key, after) for chord, after in zip(chords, following, strict=True)]


def function_of(chord: Chord, key: Key, after: Chord | None = None) -> ChordFunction:
    """The function of a chord.

    Args:
        chord: which.
        key: in which it is heard.
        after: the chord that follows, by which some are told apart: I7 is a dominant before IV, VII one before III.
    """
    degree, kind = (chord.root - key.tonic) % 12, _KINDS[chord.quality]
    following = None if after is None else (after.root - key.tonic) % 12
    written = written_numeral(chord, key)
    if chord.quality == "dim7":
        return _diminished(chord, key, degree, following)
    if _leads_on(key, degree, kind, following):
        return ChordFunction(chord, key, _applied(chord, key, (degree + 5) % 12), DOMINANT, _target(key, degree + 5))
    role = _OWN[key.mode].get((degree, kind))
    if role is not None:
        return ChordFunction(chord, key, written, role)
    if kind == "7" and degree == 8 and following in (7, 0):  # sounds like a dominant seventh, and opens to V
        return ChordFunction(chord, key, "Ger6", SUBDOMINANT)
    if kind in "M7" and (degree + 5) % 12 in _TARGETS[key.mode] and not _is_home(key, degree, following):
        return ChordFunction(chord, key, _applied(chord, key, (degree + 5) % 12), DOMINANT, _target(key, degree + 5))
    if key.mode == "major" and (degree, kind) in _BORROWED:
        return ChordFunction(chord, key, written, _BORROWED[degree, kind], borrowed=degree != 1)
    if kind == "o" and (degree + 1) % 12 in _TARGETS[key.mode]:
        return ChordFunction(chord, key, _applied(chord, key, (degree + 1) % 12), DOMINANT, _target(key, degree + 1))
    return ChordFunction(chord, key, written, *_others(key, degree, kind))


def _others(key: Key, degree: int, kind: str) -> tuple[str, str, bool]:
    """(role, target, borrowed) of what neither belongs to the key nor leads to a chord of it."""
    if degree == 0 and kind in "M7+":  # a minor piece that ends in major, a blues' own seventh
        return TONIC, "", key.mode == "minor"
    if degree == 5 and kind == "7":
        return SUBDOMINANT, "", False
    if degree == 1 and kind == "M":
        return SUBDOMINANT, "", False
    if degree == 1 and kind == "7":  # shares its tritone with V7
        return DOMINANT, "", False
    return COLOR, "", False


def _leads_on(key: Key, degree: int, kind: str, following: int | None) -> bool:
    """Whether a chord that could be one of the key's own is heard as the dominant of what follows."""
    if following is None or following != (degree + 5) % 12 or following not in _TARGETS[key.mode]:
        return False
    if key.mode == "minor":
        return (degree, kind) in ((10, "M"), (10, "7"), (0, "M"), (0, "7"), (3, "7"))
    return (degree, kind) == (0, "7")


def _is_home(key: Key, degree: int, following: int | None) -> bool:
    """A major or seventh chord on the tonic that does not go on to IV is the tonic, in whatever color."""
    return degree == 0 and following != 5


def _diminished(chord: Chord, key: Key, degree: int, following: int | None) -> ChordFunction:
    """A diminished seventh, whose four notes are alike: its root is the note below what it leads to."""
    leads_to = {(degree + 3 * step + 1) % 12 for step in range(4)}
    if 0 in leads_to and following not in leads_to - {0}:
        rooted = Chord((key.tonic - 1) % 12, "dim7", chord.bass)
        return ChordFunction(rooted, key, written_numeral(rooted, key), DOMINANT)
    if following == 0 and 0 not in leads_to:  # around the tonic and back, by steps
        return ChordFunction(chord, key, written_numeral(chord, key), COLOR)
    targets = _TARGETS[key.mode]
    usual = [each for each in (7, 5, 2, 9, 8, 4, 3, 10) if each in leads_to and each in targets]
    if following in usual:
        usual.insert(0, following)
    if not usual:
        return ChordFunction(chord, key, written_numeral(chord, key), COLOR)
    rooted = Chord((key.tonic + usual[0] - 1) % 12, "dim7", chord.bass)
    return ChordFunction(rooted, key, f"vii°7/{targets[usual[0]]}", DOMINANT, targets[usual[0]])


def _target(key: Key, degree: int) -> str:
    return _TARGETS[key.mode][degree % 12]


def _applied(chord: Chord, key: Key, degree: int) -> str:
    """The numeral of a dominant of another chord: V7/ii, vii°/V."""
    suffix = {"maj": "V", "sus4": "Vsus4", "maj7": "Vmaj7", "7": "V7", "dim": "vii°", "hdim7": "viiø7"}[chord.quality]
    return f"{suffix}/{_TARGETS[key.mode][degree]}"


def written_numeral(chord: Chord, key: Key) -> str:
    """A chord's numeral with the signs of a textbook: vii°7 for "#viio7" in minor, ♭II for "bII"."""
    text = numeral_of(Chord(chord.root, chord.quality), key)
    raised = ("#viio", "#viih")  # on the leading note, which needs no sign where it is taught
    if key.mode == "minor" and text.startswith(raised):
        text = text[1:]
    head = text.rstrip("oh7+majsu4")
    suffix = text[len(head) :]
    return head.replace("b", "♭").replace("#", "♯") + suffix.replace("o", "°").replace("h7", "ø7")
