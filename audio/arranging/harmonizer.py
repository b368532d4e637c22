"""Chords for a melody: a dynamic programme over a chord each bar or half bar, by weights learned from lead sheets.

Knows a melody, its key and bars. Does not know who plays, how a melody is found in a file or in sound (`melodies`), or
how the weights were learned (`benchmarks/harmonizing.py`).

A chord is a state: its degree above the tonic and one of four kinds. What speaks for it: which degrees of the key sound
in its slot, how long, on its beginning and on beats; the chord before, and whether one goes on there; where in a phrase
of eight bars it stands; and, where a band style is given, whether the style's own progressions have it. That is a
linear-chain conditional random field (Lafferty, McCallum and Pereira 2001), decoded by Viterbi's algorithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from clavilux.audio.arranging.band import Band
from clavilux.audio.arranging.numerals import chord_of
from clavilux.audio.harmony import QUALITIES, Chord, Key
from clavilux.audio.sections import PHRASE

KINDS = ("maj", "7", "min", "dim")
KIND_OF = {
    "maj": "maj", "maj7": "maj", "sus4": "maj", "7": "7", "aug": "7", "min": "min", "min7": "min", "dim": "dim",
    "dim7": "dim", "hdim7": "dim",
}  # fmt: skip
STATES = tuple((degree, kind) for kind in KINDS for degree in range(12))
ROLES = ("first", "inside", "fourth", "seventh", "eighth", "last but one", "last")  # of a bar in a phrase of eight
MODES = ("major", "minor")
WEIGHTS = Path(__file__).parent / "harmony.safetensors"
STYLE_WEIGHT = 0.7  # how much a style's own progressions count, against 1 for a nat of the learned weights
_SELDOM, _UNHEARD = -2.5, -1.5  # the least that a chord, and a change of chords, counts that a style does not have


@dataclass(frozen=True)
class Slot:
    """What may have a chord of its own: a bar or half a bar.

    Attributes:
        start, quarters: where, from the melody's first bar.
        bar: which bar.
        opens: whether it begins the bar.
        role: one of `ROLES`.
    """

    start: float
    quarters: float
    bar: int
    opens: bool
    role: str


@dataclass(frozen=True, eq=False)
class Weights:
    """What each finding counts, in nats, for one mode: float arrays.

    `tones` [3, 48, 12]: degrees above the tonic under a state, by the three ways of `tone_features`; `roles` [7, 48];
    `nexts` [48, 48]: changes from a state into another, 0 on the diagonal; `stays` [2, 7]: a chord that goes on inside
    a bar and at its start, by the bar's role.
    """

    tones: np.ndarray
    roles: np.ndarray
    nexts: np.ndarray
    stays: np.ndarray


def state_of(chord: Chord, key: Key) -> int:
    """The number of a chord's state in a key."""
    return KINDS.index(KIND_OF[chord.quality]) * 12 + (chord.root - key.tonic) % 12


def slots_of(metres: Sequence[tuple[int, int]], first: int = 0) -> list[Slot]:
    """The slots of bars with these metres; bars of four beats, and of two or four dotted ones, have two.

    Args:
        metres: of each bar.
        first: the first whole bar, with which phrases begin; those before are a pickup.
    """
    slots = []
    start = 0.0
    for index, (numerator, denominator) in enumerate(metres):
        quarters = numerator * 4 / denominator
        count = 2 if numerator in (4, 12) or numerator == 6 or (numerator, denominator) == (2, 2) else 1
        role = _role(index - first, len(metres) - first)
        for half in range(count):
            slots.append(Slot(start + half * quarters / count, quarters / count, index, half == 0, role))
        start += quarters
    return slots


def _role(bar: int, bars: int) -> str:
    if bar == bars - 1:
        return "last"
    if bar == bars - 2:
        return "last but one"
    return {0: "first", 3: "fourth", 6: "seventh", 7: "eighth"}.get(bar % PHRASE, "inside")


def tone_features(slots: Sequence[Slot], notes: np.ndarray, key: Key) -> np.ndarray:
    """What sounds in each slot, by degree above the tonic: float64 [slots, 3, 12].

    First its share of the slot; then 1 where it sounds or begins as the slot begins; then the share of what begins on
    another of the slot's beats.
    """
    found = np.zeros((len(slots), 3, 12))
    starts = np.array([slot.start for slot in slots])
    for note in notes:
        begin, end = float(note["start"]), float(note["start"] + note["duration"])
        degree = (int(note["pitch"]) - key.tonic) % 12
        index = max(0, int(np.searchsorted(starts, begin + 1e-6, side="right")) - 1)
        while index < len(slots) and slots[index].start < end - 1e-6:
            slot = slots[index]
            share = (min(end, slot.start + slot.quarters) - max(begin, slot.start)) / slot.quarters
            found[index, 0, degree] += share
            if begin <= slot.start + 1e-6:
                found[index, 1, degree] = 1
            elif abs((begin - slot.start) % 1.0) < 1e-6:
                found[index, 2, degree] += share
            index += 1
    return found


def harmonize(
    notes: np.ndarray,
    metres: Sequence[tuple[int, int]],
    key: Key,
    *,
    first: int = 0,
    band: Band | None = None,
    weights: Weights | None = None,
) -> list[tuple[float, Chord]]:
    """Chords for a melody.

    Args:
        notes: `NOTE` or `PART_NOTE` records of one voice, in quarters from the first bar's start.
        metres: of each bar, at least one.
        key: the key to harmonise in.
        first: the first whole bar; the last bar's chord is the tonic.
        band: whose progressions are leant to, and whose sevenths chords have; None for triads and dominants.
        weights: to go by; those of the package if None.

    Returns:
        (quarter, chord) at each change, the first at 0.
    """
    slots = slots_of(metres, first)
    heard = tone_features(slots, notes, key)
    states = best_states(slots, heard, key, weights or bundled()[key.mode], band)
    spelled = _spellings(band, key)
    found: list[tuple[float, Chord]] = []
    before = -1
    for index, state in enumerate(states):
        if state != before:
            until = next((i for i in range(index, len(states)) if states[i] != state), len(states))
            found.append((slots[index].start, _chord(state, key, spelled, heard[index:until, 0].sum(axis=0))))
        before = state
    return found


def best_states(
    slots: Sequence[Slot], heard: np.ndarray, key: Key, weights: Weights, band: Band | None = None
) -> list[int]:
    """The best state of each slot, `heard` being its `tone_features`; the last slot's is the tonic's."""
    roles = [ROLES.index(slot.role) for slot in slots]
    score = np.einsum("sfp,fkp->sk", heard, weights.tones) + weights.roles[roles]
    nexts = weights.nexts
    if band is not None:
        single, pair = _style_points(band, key)
        score, nexts = score + STYLE_WEIGHT * single, nexts + STYLE_WEIGHT * pair
    score[-1] += np.where(np.arange(len(STATES)) == tonic_state(key, band), 0.0, -1e6)
    same = np.diag_indices(len(STATES))
    best, back = score[0], np.zeros(score.shape, dtype=np.int64)
    for index in range(1, len(slots)):
        onward = best[:, None] + nexts
        onward[same] = best + weights.stays[int(slots[index].opens), roles[index]]
        back[index] = onward.argmax(axis=0)
        best = onward.max(axis=0) + score[index]
    path = [int(best.argmax())]
    for index in range(len(slots) - 1, 0, -1):
        path.append(int(back[index, path[-1]]))
    return path[::-1]


def tonic_state(key: Key, band: Band | None = None) -> int:
    """The state on which a piece ends: a minor key's tonic is minor, a blues' a seventh chord."""
    if band is not None:
        own = [state_of(chord, key) for bars in _progressions(band, key) for bar in bars for chord in bar]
        tonics = [state for state in own if STATES[state][0] == 0]
        if tonics:
            return max(dict.fromkeys(tonics), key=tonics.count)
    return state_of(key.home, key)


@lru_cache(1)
def bundled() -> dict[str, Weights]:
    """The weights of the package, by mode."""
    found = {name: table.astype(np.float64) for name, table in load_file(WEIGHTS).items()}
    return {
        mode: Weights(*(found[f"{mode}.{table}"] for table in ("tones", "roles", "nexts", "stays"))) for mode in MODES
    }


def _progressions(band: Band, key: Key) -> list[list[list[Chord]]]:
    fitting = [each for each in band.progressions if each.mode in ("", key.mode)]
    return [[[chord_of(numeral, key) for numeral in bar] for bar in each.bars] for each in fitting]


def _style_points(band: Band, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """What a style's own chords [48] and changes [48, 48] count: 0 for the likeliest, below it the others."""
    single, pair = np.full(len(STATES), 0.15), np.full((len(STATES), len(STATES)), 0.5)
    for bars in _progressions(band, key):
        states = [state_of(chord, key) for bar in bars for chord in bar]
        for index, state in enumerate(states):
            single[state] += 1
            pair[state, states[(index + 1) % len(states)]] += 1
    single, pair = np.log(single / single.max()), np.log(pair / pair.max(axis=1, keepdims=True))
    return np.maximum(single, _SELDOM), np.maximum(pair, _UNHEARD)


def _spellings(band: Band | None, key: Key) -> dict[int, str]:
    """State -> the quality that a style mostly has there."""
    found: dict[int, list[str]] = {}
    for bars in _progressions(band, key) if band is not None else ():
        for chord in (chord for bar in bars for chord in bar):
            found.setdefault(state_of(chord, key), []).append(chord.quality)
    return {state: max(dict.fromkeys(names), key=names.count) for state, names in found.items()}


def _chord(state: int, key: Key, spelled: dict[int, str], tones: np.ndarray) -> Chord:
    """A state's chord as the style has it, unless its seventh or fourth would rub against a melody note."""
    degree, kind = STATES[state]
    plain = {"maj": "maj", "7": "7", "min": "min", "dim": "dim"}[kind]
    quality = spelled.get(state)
    if quality is None and spelled:
        alike = [name for each, name in spelled.items() if STATES[each][1] == kind]
        quality = max(dict.fromkeys(alike), key=alike.count) if alike else plain
    quality = quality or plain
    total = tones.sum()
    rubs = any(tones[(degree + interval + 1) % 12] > 0.25 * total for interval in QUALITIES[quality][3:])
    suspended = quality == "sus4" and tones[(degree + 4) % 12] > 0
    return Chord((key.tonic + degree) % 12, plain if rubs or suspended else quality)
