"""What a musician would ask of a song, each as a number: form, melody, accompaniment, rhythm and its end.

Knows readings of scores. Does not know where songs come from, nor how two groups of them are told apart (`judges`).
A measure that a song has no answer to is NaN: what sounds under the melody where there is nothing but a melody.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from readings import NEAR, Reading, alike, histogram, likeness

FORM_LAGS = (4, 8, 16)
RETURNS = 0.75  # a bar that shares so many of its notes with another is that bar again
LENGTH_EDGES = (0.2, 0.3, 0.4, 0.6, 0.8, 1.1, 1.6, 2.1, 3.1)  # quarters: up to a 32nd, a sixteenth, a triplet ...
ONSET_STEPS = 48  # parts of a bar in which onsets are counted: sixteenths and triplets of 4/4, 3/4 and 6/8 are whole
END_TOLERANCE = 0.05  # quarters
LONG = 1.5  # a phrase ends on a note so many times as long as the median


def form(reading: Reading) -> dict[str, float]:
    """How much returns: bars like those 4, 8 and 16 before (by notes and by rhythm), bars that return at all, and
    whether phrases of four bars end on long notes."""
    bars, rhythms = reading.melody_bars, reading.rhythm_bars
    found = {}
    for lag in FORM_LAGS:
        enough = len(bars) > lag
        found[f"alike at {lag} bars"] = float(alike(bars, lag).mean()) if enough else np.nan
        found[f"rhythm alike at {lag} bars"] = float(alike(rhythms, lag).mean()) if enough else np.nan
    earlier = np.tril(likeness(bars), -1).max(axis=1)[1:] if len(bars) > 1 else np.zeros(1)
    contours = reading.contours
    found["bars that return"] = float((earlier >= RETURNS).mean())
    found["bars that return, moved"] = float(
        np.mean([bool(bar) and bar in contours[:i] for i, bar in enumerate(contours)][1:])
    )
    found["phrase ends"] = _phrase_ends(reading)
    return found


def _phrase_ends(reading: Reading) -> float:
    """Share of the phrases of four bars whose last melody note is long, or has a rest behind it."""
    melody = reading.melody
    until = np.append(melody["start"][1:], reading.score.length) - melody["start"]
    median, bar = np.median(until), reading.bar_index(melody["start"])
    ends = [np.flatnonzero(bar == last) for last in range(3, len(reading.bars), 4)]
    long = [len(inside) == 0 or until[inside[-1]] >= LONG * median for inside in ends]
    return float(np.mean(long)) if long else np.nan


def melody(reading: Reading) -> dict[str, float]:
    """Steps, leaps and what follows them, range, and how often the melody turns."""
    steps = reading.intervals
    if len(steps) < 4:
        return dict.fromkeys(("steps", "repeated notes", "leaps resolved", "range", "turns"), np.nan)
    moving = steps[steps != 0]
    leaps = np.abs(steps[:-1]) >= 5
    resolved = (np.sign(steps[1:]) == -np.sign(steps[:-1])) & (np.abs(steps[1:]) <= 4)
    return {
        "steps": float((np.abs(moving) <= 2).mean()) if len(moving) else np.nan,
        "repeated notes": float((steps == 0).mean()),
        "leaps resolved": float(resolved[leaps].mean()) if leaps.any() else np.nan,
        "range": float(np.percentile(reading.melody["pitch"], 95) - np.percentile(reading.melody["pitch"], 5)),
        "turns": float((np.sign(moving[1:]) != np.sign(moving[:-1])).mean()) if len(moving) > 1 else np.nan,
    }


def accompaniment(reading: Reading) -> dict[str, float]:
    """What sounds under the melody: a bass on the bar's first beat, chords on the others, bass then chords (oom-pah),
    how many notes at once, and how alike its rhythm is from bar to bar."""
    names = ("bass on the first beat", "chords off the bass", "oom-pah", "notes at once", "figure held")
    under = reading.under_melody
    if len(under) < 2 * len(reading.bars):
        return dict.fromkeys(names, np.nan)
    bar, inside = reading.bar_index(under["start"]), reading.inside_bar(under["start"])
    first, bass, later, figures = [], [], [], []
    for i in range(len(reading.bars)):
        here, at = under[bar == i], inside[bar == i]
        if not len(here):
            continue
        opening = here["pitch"][at < NEAR]
        others = [here["pitch"][np.abs(at - beat) < NEAR] for beat in _later_beats(reading)]
        low = len(opening) > 0 and opening.min() <= here["pitch"].min() + 2
        chords = [len(beat) >= 2 and beat.min() > here["pitch"].min() + 2 for beat in others]
        first.append(low)
        later.append(np.mean(chords))
        bass.append(low and len(opening) <= 2 and any(chords))
        figures.append(frozenset((round(step * 12), 0) for step in at))
    return {
        names[0]: float(np.mean(first)), names[1]: float(np.mean(later)), names[2]: float(np.mean(bass)),
        names[3]: float(under["duration"].sum() / reading.score.length),
        names[4]: float(alike(figures, 1).mean()) if len(figures) > 1 else np.nan,
    }  # fmt: skip


def _later_beats(reading: Reading) -> np.ndarray:
    """The bar's other beats, in quarters from its start; of 2/4 and 6/8 the half beats too, where chords fall."""
    short = reading.bar_length < 2 * reading.beat + NEAR
    unit = reading.beat / (3 if reading.beat > 1 else 2) if short else reading.beat
    return np.arange(unit, reading.bar_length - NEAR, unit)


def ending(reading: Reading) -> dict[str, float]:
    """Whether the song ends: on its tonic (the lowest note, and the melody), after a dominant, on a long note, and with
    all last notes together. 1 or 0 each."""
    notes = reading.notes
    ends = notes["start"] + notes["duration"]
    last_onset = notes["start"].max()
    sounding = notes[ends > ends.max() - END_TOLERANCE]
    # What still sounds when the last note begins is to end with it, not before.
    together = np.abs(ends[ends > last_onset + END_TOLERANCE] - ends.max()) < END_TOLERANCE
    # One voice that goes on alone after the others is no common end.
    alone = 2 * len(sounding) < notes["duration"].sum() / reading.score.length
    roots = [(chord.root - reading.key.tonic) % 12 for _, chord in reading.chords]
    final = roots[-1] == 0 if roots else False
    length = ends.max() - reading.melody["start"][-1]
    return {
        "ends on the tonic": float(final and reading.degrees(sounding["pitch"].min()) == 0),
        "melody ends on the tonic": float(reading.degrees(reading.melody["pitch"][-1]) == 0),
        "final cadence": float(final and len(roots) > 1 and roots[-2] in (5, 7, 11)),
        "last note is long": float(length >= LONG * np.median(reading.melody["duration"]) - NEAR),
        "last notes end together": float(together.all() and not alone),
    }


def rhythm(reading: Reading) -> np.ndarray:
    """Two histograms in one row, each summing to 1: onsets by their place in the bar [48], lengths by it [4 x 10]."""
    notes = reading.notes
    onsets = np.bincount(reading.phase(notes["start"], ONSET_STEPS), minlength=ONSET_STEPS) / max(len(notes), 1)
    places = np.where(reading.inside_bar(notes["start"]) < NEAR, 0, np.where(reading.on_beat(notes["start"]), 1, 2))
    places = np.where(np.abs(np.mod(reading.inside_bar(notes["start"]) + NEAR, reading.beat / 2)) < 2 * NEAR, places, 3)
    lengths = np.zeros((4, len(LENGTH_EDGES) + 1))
    for place in range(4):
        here = notes["duration"][places == place]
        lengths[place] = histogram(here + NEAR, LENGTH_EDGES) * len(here) / max(len(notes), 1)
    return np.concatenate([onsets, lengths.ravel()])


def rhythm_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The mean of the two histograms' Jensen-Shannon distances, 0 (equal) to 1."""
    parts = [(row[:ONSET_STEPS], row[ONSET_STEPS:]) for row in (one, other)]
    return float(np.mean([_jensen_shannon(a, b) for a, b in zip(*parts, strict=True)]))


def _jensen_shannon(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a / max(a.sum(), 1e-12), b / max(b.sum(), 1e-12)
    middle = (a + b) / 2
    bits = [np.sum(p[p > 0] * np.log2(p[p > 0] / middle[p > 0])) for p in (a, b)]
    return float(np.sqrt(max(sum(bits) / 2, 0.0)))


def scalars(reading: Reading, usual_rhythm: np.ndarray | None) -> dict[str, float]:
    """Every measure of a song but its ending; `usual_rhythm` is what `rhythm` is on average in its kind of music."""
    distance = np.nan if usual_rhythm is None else rhythm_distance(rhythm(reading), usual_rhythm)
    return {"rhythm distance": distance} | form(reading) | melody(reading) | accompaniment(reading)


def usual_rhythms(readings: Iterable[tuple[str, Reading]]) -> dict[str, np.ndarray]:
    """The mean of `rhythm` for each label."""
    rows: dict[str, list[np.ndarray]] = {}
    for label, reading in readings:
        rows.setdefault(label, []).append(rhythm(reading))
    return {label: np.mean(each, axis=0) for label, each in rows.items()}
