"""Keys and chords: their names, and finding them in a score.

Knows pitch classes (0 is C, 11 is B), spelling, key profiles and chord templates. It reads a score's notes
and bars, and knows nothing of seconds, files, tokens or sound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clavilux.audio.score import Score

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MAJOR_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
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

    def __post_init__(self):
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
    """A chord: root as a pitch class 0..11, a quality, one of `QUALITIES`, and the bass where that is another note."""

    root: int
    quality: str
    bass: int | None = None

    def __post_init__(self):
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


# Albrecht and Shanahan, "The Use of Large Corpora to Train a New Type of Key-Finding Algorithm",
# Music Perception 31 (2013).
KEY_PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}
KEYS = tuple(Key(tonic, mode) for mode in ("major", "minor") for tonic in range(12))


def _key_correlations(histogram: np.ndarray) -> np.ndarray:
    """Pearson correlation of a pitch-class histogram [12] with the profile of each of `KEYS`: [24]."""
    centred = histogram - histogram.mean()
    profiles = np.stack([np.roll(KEY_PROFILES[key.mode], key.tonic) for key in KEYS])
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(profiles, axis=1) * max(np.linalg.norm(centred), 1e-12)
    return profiles @ centred / norms


def _pitched(notes: np.ndarray) -> np.ndarray:
    return notes[~notes["drum"]]


def find_key(score: Score) -> Key:
    """The key of a score that has at least one pitched note.

    Evidence: how well the pitch classes, weighted by duration, match a key's profile; the key signature, if
    the file had one (with its mode open: many files state the relative major); the first and last bass notes;
    the final chord. Raises ValueError without pitched notes.
    """
    notes = _pitched(score.notes)
    if not len(notes):
        raise ValueError(
            "the score has no notes with a pitch (drums have none), so it has no key; give one that has some"
        )
    weights = np.minimum(notes["duration"], 4.0)
    histogram = np.bincount(notes["pitch"] % 12, weights=weights, minlength=12)
    points = _key_correlations(histogram)
    start, end = notes["start"], notes["start"] + notes["duration"]
    last = notes[end >= end.max() - 0.5]
    first = notes[start <= start.min() + 1.0]
    last_bass = int(last["pitch"].min()) % 12
    first_bass = int(first["pitch"].min()) % 12
    final = np.bincount(last["pitch"] % 12, minlength=12) > 0
    for i, key in enumerate(KEYS):
        third = (key.tonic + (4 if key.mode == "major" else 3)) % 12
        points[i] += 0.25 * (last_bass == key.tonic) + 0.08 * (first_bass == key.tonic)
        points[i] += 0.05 * final[third] * (last_bass == key.tonic)
        if score.signature is not None and key in (score.signature, score.signature.relative):
            points[i] += 0.3
    return KEYS[int(points.argmax())]


# Chord finding. Each segment's notes are a sample from a chord's distribution over pitch classes.
CHORDS = tuple(Chord(root, quality) for quality in QUALITIES for root in range(12))
QUALITY_PRIOR = {
    "maj": 0.0, "min": 0.0, "7": -0.1, "min7": -0.4, "dim": -0.3, "dim7": -0.3, "hdim7": -0.4,
    "maj7": -0.8, "sus4": -1.2, "aug": -1.0,
}  # fmt: skip
NON_CHORD_SHARE = 0.12  # share of sounding time that a chord leaves to other pitch classes
EVIDENCE = 1.8  # what a nat of a segment's evidence counts against the points below
IN_KEY_POINTS = 0.35
CHANGE_AT_BAR, CHANGE_AT_HALF, CHANGE_AT_BEAT = 0.6, 1.2, 1.8


def _chord_log_likelihoods() -> np.ndarray:
    """Log probability of each pitch class under each of `CHORDS`: [12, 120]."""
    table = np.empty((12, len(CHORDS)))
    for column, chord in enumerate(CHORDS):
        intervals = QUALITIES[chord.quality]
        shares = np.array([1.15, 1.05, 0.9, 0.8][: len(intervals)])
        table[:, column] = NON_CHORD_SHARE / (12 - len(intervals))
        pitch_classes = [(chord.root + interval) % 12 for interval in intervals]
        table[pitch_classes, column] = (1 - NON_CHORD_SHARE) * shares / shares.sum()
    return np.log(table)


def _bass_points() -> np.ndarray:
    """Points of each chord of `CHORDS` for each bass pitch class: [12, 120]."""
    table = np.full((12, len(CHORDS)), -0.6)
    for column, chord in enumerate(CHORDS):
        for interval, points in zip(QUALITIES[chord.quality], (0.5, 0.1, -0.2, -0.1), strict=False):
            table[(chord.root + interval) % 12, column] = points
    return table


def beat_group(metre: tuple[int, int]) -> float:
    """The span in quarters that carries one chord.

    Half a bar of 2/4, 4/4 or 2/2, a beat of 3/4 or 3/2, the dotted beat of 3/8, 6/8, 9/8 or 12/8.
    """
    numerator, denominator = metre
    unit = 4.0 / denominator
    if numerator % 3 == 0 and (numerator > 3 or denominator >= 8):
        return 3 * unit
    return 2 * unit if numerator % 2 == 0 and numerator > 2 else unit


def chord_grid(score: Score) -> tuple[np.ndarray, np.ndarray]:
    """Where chords may change: quarters [S], and the cost of a change there [S]."""
    bars = score.bar_starts()
    ends = np.append(bars[1:], max(score.length, bars[-1] + 1e-6))
    metre = np.searchsorted([time for time, _ in score.metres], bars + 1e-9, side="right") - 1
    step = np.array([beat_group(metre) for _, metre in score.metres])[metre]
    halves = np.array([metre[0] % 3 != 0 for _, metre in score.metres])[metre]
    counts = np.maximum(np.ceil((ends - bars) / step - 1e-6).astype(np.int64), 1)
    bar = np.repeat(np.arange(len(bars)), counts)
    index = np.arange(len(bar)) - np.repeat(np.cumsum(counts) - counts, counts)
    half = halves[bar] & (index * 2 == counts[bar])
    costs = np.where(index == 0, CHANGE_AT_BAR, np.where(half, CHANGE_AT_HALF, CHANGE_AT_BEAT))
    return bars[bar] + index * step[bar], costs


LOG_LIKELIHOODS, BASS_POINTS = _chord_log_likelihoods(), _bass_points()


def _segment_profiles(notes: np.ndarray, grid: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each pitch class [S, 12] and of each bass pitch class [S, 12] in each segment of the grid."""
    count = len(grid)
    bounds = np.append(grid, max(end, grid[-1] + 1e-6))
    start, stop = notes["start"], notes["start"] + notes["duration"]
    first = np.clip(np.searchsorted(bounds, start + 1e-3, side="right") - 1, 0, count - 1)
    last = np.clip(np.searchsorted(bounds, stop - 1e-3, side="left") - 1, first, count - 1)
    spans = last - first + 1
    note = np.repeat(np.arange(len(notes)), spans)
    offset = np.arange(len(note)) - np.repeat(np.cumsum(spans) - spans, spans)
    segment = first[note] + offset
    begin = np.maximum(start[note], bounds[segment])
    overlap = np.maximum(np.minimum(stop[note], bounds[segment + 1]) - begin, 0.0)
    at_start = begin - bounds[segment] < 1e-2
    weight = np.sqrt(overlap) * (1.0 + 0.5 * at_start)
    pitch = notes["pitch"][note].astype(np.int64)
    profile = np.bincount(segment * 12 + pitch % 12, weights=weight, minlength=count * 12).reshape(count, 12)
    lowest = np.full(count, 999)
    np.minimum.at(lowest, segment, pitch)
    first_lowest = np.full(count, 999)
    np.minimum.at(first_lowest, segment[at_start], pitch[at_start])
    bass = np.zeros((count, 12))
    for low, share in ((lowest, 0.4), (first_lowest, 0.6)):
        there = np.flatnonzero(low < 999)
        bass[there, low[there] % 12] += share
    return profile, bass


def find_chords(score: Score, key: Key | None = None) -> tuple[tuple[float, Chord], ...]:
    """The chords of a score as (quarter, chord) at each change; a score without pitched notes has none.

    One label is chosen for each group of beats (`beat_group`) by Viterbi's algorithm: templates against the
    pitch classes that sound there, points for the bass and for chords of the key (found if None), and a cost
    for each change, lower at a bar's start. A group without notes keeps the chord before it.
    """
    notes = _pitched(score.notes)
    if not len(notes):
        return ()
    key = key or score.key or find_key(score)
    grid, costs = chord_grid(score)
    profile, bass = _segment_profiles(notes, grid, score.length)
    total = profile.sum(axis=1, keepdims=True)
    sounding = total[:, 0] > 0
    evidence = profile / np.sqrt(np.maximum(total, 1e-9)) @ LOG_LIKELIHOODS * EVIDENCE
    prior = np.array([QUALITY_PRIOR[c.quality] + IN_KEY_POINTS * (c.pitch_classes <= key.scale) for c in CHORDS])
    evidence = (evidence + bass @ BASS_POINTS + prior) * sounding[:, None]
    labels = _viterbi(evidence, costs)
    labels[: int(sounding.argmax())] = labels[int(sounding.argmax())]
    changes = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    return tuple((float(grid[i]), CHORDS[labels[i]]) for i in changes)


def _viterbi(evidence: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The best label of each segment [S] for evidence [S, L]; a change into segment s costs `costs[s]`."""
    best = np.empty_like(evidence)
    best[0] = evidence[0]
    for s in range(1, len(evidence)):
        np.maximum(best[s - 1], best[s - 1].max() - costs[s], out=best[s])
        best[s] += evidence[s]
    labels = np.empty(len(evidence), dtype=np.int64)
    labels[-1] = best[-1].argmax()
    for s in range(len(evidence) - 1, 0, -1):
        stays = best[s - 1, labels[s]] >= best[s - 1].max() - costs[s]
        labels[s - 1] = labels[s] if stays else best[s - 1].argmax()
    return labels
