"""What a band style is: who plays, which figures, which chords, and how a song of it goes.

Knows the records that a style's file becomes. Does not know the file's syntax (`style_file`) or how it is played
(`arranger`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

DRUM_KEYS = {
    "kick": 36, "snare": 38, "rim": 37, "clap": 39, "hat": 42, "pedal": 44, "open": 46, "ride": 51, "bell": 53,
    "crash": 49, "splash": 55, "tom1": 50, "tom2": 47, "tom3": 43, "tambourine": 54, "cowbell": 56, "shaker": 70,
    "cabasa": 69, "bongo1": 60, "bongo2": 61, "conga1": 62, "conga2": 63, "conga3": 64, "timbale1": 65,
    "timbale2": 66, "agogo1": 67, "agogo2": 68, "claves": 75, "block": 76, "triangle": 81, "triangle0": 80,
    "guiro": 73, "bass drum": 35,
}  # fmt: skip
KINDS = ("drums", "bass", "chords")
VOICINGS = ("triad", "seventh", "rootless", "power", "guitar", "open", "hand")
REST, HOLD, AS_BEFORE = ".", "-", "="
TONES = "01356789"  # degrees of the chord above its bass; 0 is an octave below it
VOICES = "abcdef"  # of the voicing, from the lowest
OTHERS = "xXogw<>"  # a chord's three strengths, a dead note, a walking note, approaches from above and from below
SYMBOLS = REST + HOLD + TONES + VOICES + VOICES.upper() + OTHERS
DRUM_SYMBOLS = REST + HOLD + AS_BEFORE + "123456789xXo"
# Where a style has no figure or chords of a section's own name: those that serve instead, in order.
KIN = {
    "intro": ("verse", "A"), "verse": ("A",), "A": ("verse",), "prechorus": ("verse", "B"), "chorus": ("B", "A"),
    "B": ("chorus", "bridge"), "bridge": ("B", "C", "chorus"), "C": ("bridge", "B"), "D": ("C", "bridge", "B"),
    "solo": ("verse", "A", "chorus"), "trio": ("C", "B"), "drop": ("chorus", "B"), "breakdown": ("verse", "A"),
    "outro": ("chorus", "A", "verse"),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One player.

    Attributes:
        name: "bass", "piano" ...
        kind: one of `KINDS`.
        program: General MIDI program, 0 to 127; of drums the kit.
        level: velocity of a stroke without an accent; of drums the share in 127 of what a row's digit says.
        low, high: MIDI pitches between which it plays.
        root: the lowest pitch of a chord's bass, in parts that play both.
        voicing: one of `VOICINGS`, and how many `voices` at most.
        gate: how much of its written length a note sounds.
        late_ms: how much later than the beat it plays.
        strum_ms: between the strings of a chord.
        mixed: how many of its figures it takes in turn in a piece, few where it is small; 0 for one figure a section.
        right_hand: (texture, weight) of what the player has under a melody that he plays too; () where that is alone.
    """

    name: str
    kind: str
    program: int = 0
    level: int = 80
    low: int = 28
    high: int = 52
    root: int = 28
    voicing: str = "triad"
    voices: int = 4
    gate: float = 0.95
    late_ms: float = 0.0
    strum_ms: float = 0.0
    mixed: float = 0.0
    right_hand: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Pattern:
    """A figure of one part: `rows` of (drum or "", symbols), `bars` bars of `steps` steps.

    `sections` are where it belongs; "*" is everywhere. "fill", "close", "break" and "ending" are their own. Of several
    for one section each is taken as often as its `weight` says.
    """

    part: str
    sections: tuple[str, ...]
    steps: int
    bars: int
    rows: tuple[tuple[str, str], ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Progression:
    """Chords of a section, as numerals: `bars` of one or more each; `mode` is the key's, "" for both."""

    sections: tuple[str, ...]
    mode: str
    bars: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Band:
    """A band style. Fields as in the file, see docs/guides/bands.md."""

    name: str
    words: tuple[str, ...]
    metre: tuple[int, int]
    tempo: tuple[float, float]
    form: tuple[tuple[str, int], ...]
    lead: tuple[str, ...]
    parts: tuple[Part, ...]
    patterns: tuple[Pattern, ...]
    progressions: tuple[Progression, ...]
    swing: float = 0.5
    swing_quarters: float = 1.0  # the length in which the two notes lie, of which the second is late
    minor: float = 0.3
    major_keys: tuple[str, ...] = ("C", "G", "F", "D")
    minor_keys: tuple[str, ...] = ("A", "E", "D")
    composer: str = "folk"
    dynamics: dict[str, str] = field(default_factory=dict)
    source: str = ""
    trio: str | None = None  # the part whose player leads in a trio, melody and chords in his own hands

    def patterns_of(self, part: str, section: str) -> list[Pattern]:
        """The figures of a part in a section, by its name or its kin's, then those for everywhere."""
        own = [pattern for pattern in self.patterns if pattern.part == part]
        if section in ("fill", "close", "break", "ending"):
            return [pattern for pattern in own if section in pattern.sections]
        for name in (section, *KIN.get(section, ()), "*"):
            found = [pattern for pattern in own if name in pattern.sections]
            if found:
                return found
        return []

    def progressions_of(self, section: str, mode: str) -> list[Progression]:
        """Chords for a section in a key of that mode; those of the whole style's where it has none of its own."""
        fitting = [each for each in self.progressions if each.mode in ("", mode)]
        for name in (section, *KIN.get(section, ()), "*"):
            found = [each for each in fitting if name in each.sections]
            if found:
                return found
        return fitting


def section_kind(name: str) -> str:
    """The name that a section's figures go by: "verse" for "Verse 2", "A" for "a'"."""
    plain = re.sub(r"[\s\d'’]+$", "", name.strip())
    return plain.upper() if len(plain) == 1 else plain.lower()
