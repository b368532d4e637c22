"""The key and the chords of a score, found in its notes.

Knows key profiles, chord templates and where chords change. It reads a score's notes and bars, and knows nothing of
seconds, files, tokens or sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clavilux.audio.harmony import QUALITIES, Chord, Key

if TYPE_CHECKING:
    from clavilux.audio.score import Score

Harmony = tuple[tuple[float, Chord], ...]  # of a bar: (quarters from its start, chord), the first at 0

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


def key_heard(score: Score) -> Key:
    """The key that the notes alone say, whatever the file says: as `find_key` without a key signature."""
    return find_key(replace(score.merged(), key=None, signature=None))


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


def key_of(score: Score) -> Key:
    """The key that a score names, else its signature's, else what its notes say; C major where it has no pitches."""
    named = score.key or score.signature
    return named or (find_key(score) if (~score.notes["drum"]).any() else Key(0, "major"))


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
    evidence = (evidence + bass @ BASS_POINTS + _chord_points(key)) * sounding[:, None]
    labels = _viterbi(evidence, costs)
    labels[: int(sounding.argmax())] = labels[int(sounding.argmax())]
    changes = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    return tuple((float(grid[i]), CHORDS[labels[i]]) for i in changes)


def chords_between(score: Score, spans: Sequence[tuple[float, float]], key: Key | None = None) -> list[Chord | None]:
    """The chord of each span of a score, each by itself: the one that its notes speak for most.

    Args:
        score: its notes.
        spans: (start, end) in quarters.
        key: whose chords are likelier; the score's own, or the one that is found, if None.

    Returns:
        A chord for each span, None where nothing with a pitch sounds.
    """
    notes, found = _pitched(score.notes), list[Chord | None]()
    key = key or score.key or (find_key(score) if len(notes) else Key(0, "major"))
    prior = _chord_points(key)
    for start, end in spans:
        here = notes[(notes["start"] < end - 1e-6) & (notes["start"] + notes["duration"] > start + 1e-6)].copy()
        if not len(here):
            found.append(None)
            continue
        stop = np.minimum(here["start"] + here["duration"], end)
        here["start"] = np.maximum(here["start"], start)
        here["duration"] = stop - here["start"]
        profile, bass = _segment_profiles(here, np.array([start]), end)
        evidence = profile / np.sqrt(profile.sum()) @ LOG_LIKELIHOODS * EVIDENCE + bass @ BASS_POINTS + prior
        found.append(CHORDS[int(evidence[0].argmax())])
    return found


def _chord_points(key: Key) -> np.ndarray:
    """What speaks for each of `CHORDS` before any note is heard: [120]."""
    return np.array([QUALITY_PRIOR[c.quality] + IN_KEY_POINTS * (c.pitch_classes <= key.scale) for c in CHORDS])


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


def harmony_of(score: Score) -> list[Harmony]:
    """The chords of each bar; one without any has those before it, and the first the key's tonic."""
    starts = score.bar_starts()
    key = score.key or Key(0, "major")
    last = key.home
    found: list[Harmony] = []
    for start in starts:
        numerator, denominator = score.metre_at(start)
        end = start + numerator * 4.0 / denominator
        inside = [(quarter - start, chord) for quarter, chord in score.chords if start - 1e-6 <= quarter < end - 1e-6]
        if not inside or inside[0][0] > 1e-6:
            inside.insert(0, (0.0, last))
        found.append(tuple((float(max(quarter, 0.0)), chord) for quarter, chord in inside))
        last = inside[-1][1]
    return found
