"""What a song lesson says: functions, cadences, dances and keys, in plain words.

Knows words. Does not know songs.
"""

from __future__ import annotations

from clavilux.audio.theory.cadences import AUTHENTIC, DECEPTIVE, HALF, IMPERFECT, PERFECT, PLAGAL
from clavilux.audio.theory.functions import COLOR, DOMINANT, SUBDOMINANT, TONIC

ROLES = {
    TONIC: "home: here the music can rest",
    SUBDOMINANT: "away from home: the music has set out, and could go either way",
    DOMINANT: "the pull back home: something wants to be resolved",
    COLOR: "color from outside the key",
}
CADENCES = {
    PERFECT: "a full stop: the dominant goes home, both chords stand on their roots, the melody ends on the tonic",
    IMPERFECT: "a lighter full stop: the dominant goes home, but the melody or the bass ends on another note",
    AUTHENTIC: "a full stop: the dominant goes home, and the melody with it (there is no bass to tell how firmly)",
    HALF: "a comma: the phrase stops on the dominant, and asks for more",
    PLAGAL: "the Amen: the subdominant goes home, gently, without the pull of the dominant",
    DECEPTIVE: "a surprise: the dominant should go home, and another chord is there instead",
}
CADENCE_SIGNS = {PERFECT: "full stop", IMPERFECT: "light stop", AUTHENTIC: "full stop", HALF: "comma", PLAGAL: "Amen",
                 DECEPTIVE: "surprise"}  # fmt: skip
# Words of a prompt or a title -> what is usual in such music.
DANCES = {
    "waltz": "A waltz turns in three: a low note on one, which carries the weight, and light chords on two and three. "
    "Say it: *oom-pah-pah*.",
    "reel": "A reel runs in eighth notes, two strong beats a bar, with the weight on the first of every four; the tune "
    "hardly ever stops, so phrases end where four bars are over.",
    "jig": "A jig skips in groups of three eighths, two groups a bar: say *ra-pi-di, ra-pi-di*.",
    "hornpipe": "A hornpipe is a reel with a limp: long-short pairs, and three stamps at the end of a part.",
    "chorale": "A chorale is sung by all: one chord a beat, all voices together, and a breath after each line.",
    "hymn": "A hymn is sung by all: one chord a beat, all voices together, and a breath after each line.",
    "march": "A march is for feet: two even steps a bar, left and right, bass on the steps and chords between them.",
    "ragtime": "In ragtime the left hand marches, and the right hand puts its accents between the steps: that is "
    "syncopation.",
    "polka": "A polka hops in two: bass, chord, bass, chord, and a quick run of notes at the end of the bar.",
    "krakowiak": "A krakowiak is quick and in two; often a long note comes between its beats, short-long-short.",
    "mazurka": "A mazurka is in three, but its accents wander: often the second or third beat is the heavy one.",
    "minuet": "A minuet steps in three, calmly; two bars make one figure of the dance.",
    "lullaby": "A lullaby rocks: the same soft swing in every bar, few chords, and nothing that wakes anyone.",
    "blues": "A blues goes round in twelve bars: four at home, two away and two back, then the turn through the "
    "dominant.",
    "bossa": "In bossa nova the bass walks evenly while the guitar's chords come a little early.",
    "swing": "In swing pairs of eighths are long-short, and the band leans on beats two and four.",
}  # fmt: skip
INTERVALS = (
    "unison", "minor second", "major second", "minor third", "major third", "perfect fourth", "tritone",
    "perfect fifth", "minor sixth", "major sixth", "minor seventh", "major seventh", "octave",
)  # fmt: skip
_CHORDS = {
    "maj": "major triad", "min": "minor triad", "dim": "diminished triad", "aug": "augmented triad",
    "7": "dominant seventh", "maj7": "major seventh", "min7": "minor seventh", "dim7": "diminished seventh",
    "hdim7": "half-diminished seventh", "sus4": "suspended fourth",
}  # fmt: skip


def chord_kind(quality: str) -> str:
    """What a quality of `clavilux.audio.harmony.QUALITIES` is called."""
    return _CHORDS[quality]


def role_words(role: str, target: str, borrowed: bool) -> str:
    """What a function is, in a few words."""
    if target:
        return f"dominant of {target}: it pulls there, as V pulls home"
    return f"{role}, {ROLES[role]}" + ("; borrowed from the other mode" if borrowed else "")


def dance_words(*texts: str) -> str:
    """What is usual in the first dance that a prompt or a title names; "" where none is known."""
    words = " ".join(texts).lower()
    return next((said for name, said in DANCES.items() if name in words), "")


def listed(words: list[str]) -> str:
    """Words in a row, as in: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "nothing"


def times(count: int) -> str:
    """How often, as in: once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
