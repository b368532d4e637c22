"""A passage as numbers for a judge: rhythm, form, harmony, melody, texture and its end, some 290 of them.

Knows readings of scores. Does not know what the judge decides (`judges`). Neither velocities, instruments, tempo nor a
file's own ways are seen: passages are settled first. Pitches count from the tonic, apart from how high and how wide
a passage lies.
"""

from __future__ import annotations

import numpy as np
from corpus import Passage
from readings import NEAR, Reading, alike, histogram, likeness
from song_measures import LENGTH_EDGES, accompaniment, ending, form, melody

from clavilux.audio.harmony import QUALITIES

LAGS = (1, 2, 4, 8, 12)
INTERVAL_EDGES = (-11.5, -7.5, -4.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 4.5, 7.5, 11.5)
QUALITY_NAMES = tuple(QUALITIES)


def features(passage: Passage) -> dict[str, float]:
    """Every feature of a passage by its name; -1 stands for what it has no answer to."""
    reading = Reading(passage.score)
    found = _rhythm(reading) | _form(reading) | _harmony(reading) | _melody(reading) | _texture(reading)
    end = ending(reading) if passage.closes else dict.fromkeys(_ENDINGS, -1.0)
    found |= {f"end: {name}": value for name, value in end.items()}
    for measures in (form(reading), melody(reading), accompaniment(reading)):
        found |= measures
    found |= {"opens": float(passage.opens), "closes": float(passage.closes), "bars": float(len(reading.bars))}
    return {name: -1.0 if np.isnan(value) else float(value) for name, value in found.items()}


_ENDINGS = (
    "ends on the tonic", "melody ends on the tonic", "final cadence", "last note is long", "last notes end together",
)  # fmt: skip


def matrix(passages: list[Passage]) -> tuple[np.ndarray, tuple[str, ...]]:
    """(features float32 [passages, features], their names)."""
    rows = [features(passage) for passage in passages]
    names = tuple(rows[0])
    return np.array([[row[name] for name in names] for row in rows], dtype=np.float32), names


def _named(prefix: str, values: np.ndarray) -> dict[str, float]:
    return {f"{prefix} {i}": float(value) for i, value in enumerate(values)}


def _shares(indices: np.ndarray, count: int, weights: np.ndarray | None = None) -> np.ndarray:
    counts = np.bincount(indices, weights=weights, minlength=count).astype(float)
    return counts / max(counts.sum(), 1e-9)


def _rhythm(reading: Reading) -> dict[str, float]:
    """Onsets and lengths of all notes and of the melody; which rhythms of a bar are used, and how they follow."""
    notes, voice, under = reading.notes, reading.melody, reading.under_melody
    patterns = reading.rhythm_bars
    kinds = {pattern: patterns.count(pattern) for pattern in set(patterns)}
    found = _named("onset", _shares(reading.phase(voice["start"], 24), 24))
    found |= _named("onset under", _shares(reading.phase(under["start"], 24), 24))
    found |= _named("length", histogram(notes["duration"] + NEAR, LENGTH_EDGES))
    found |= _named("gap", histogram(reading.gaps + NEAR, LENGTH_EDGES))
    found |= _named("length held", histogram(voice["duration"] + NEAR, LENGTH_EDGES))
    beat = reading.on_beat(voice["start"])
    over = np.mod(reading.inside_bar(voice["start"]), reading.beat) + voice["duration"] > reading.beat + NEAR
    pairs = np.stack([reading.gaps[:-1], reading.gaps[1:]]) if len(reading.gaps) > 1 else np.zeros((2, 1))
    bars = reading.bar_index(voice["start"])
    per_bar = np.bincount(bars, minlength=len(reading.bars))
    return found | {
        "rhythms of a bar": len(kinds) / len(patterns),
        "commonest rhythm": max(kinds.values()) / len(patterns),
        "syncopation": float((over & ~beat).mean()),
        "gaps equal": float((np.abs(pairs[0] - pairs[1]) < NEAR).mean()),
        "long then short": float((pairs[0] > 1.5 * pairs[1]).mean()),
        "dotted": float((np.abs(pairs[0] - 3 * pairs[1]) < NEAR).mean()),
        "third of a beat": float((np.mod(np.round(voice["start"] * 12), 3) != 0).mean()),
        "notes of a bar vary": float(per_bar.std() / max(per_bar.mean(), 1e-9)),
        "neighbours vary": float(np.abs(np.diff(per_bar)).mean() / max(per_bar.mean(), 1e-9)),
        "full bars": float((per_bar >= np.percentile(per_bar, 75)).mean()),
        "rests": float(1 - voice["duration"].sum() / max(reading.score.length, 1e-9)),
        "beat 4 against 8": float(per_bar[3::4].mean() / max(per_bar.mean(), 1e-9)),
    }


def _form(reading: Reading) -> dict[str, float]:
    """How alike bars are at several distances: by notes, by rhythm, all parts, and as sequences."""
    found = {}
    for name, bars in (("tune", reading.melody_bars), ("rhythm", reading.rhythm_bars), ("all", reading.full_bars)):
        for lag in LAGS:
            found[f"{name} alike {lag}"] = float(alike(bars, lag).mean()) if len(bars) > lag else -1.0
        table = likeness(bars)
        np.fill_diagonal(table, 0.0)
        best = table.max(axis=1)
        found |= {f"{name} nearest": float(best.mean()), f"{name} exact": float((best > 0.99).mean())}
        found[f"{name} spread"] = float(table.std())
    contours = reading.contours
    for lag in LAGS[:4]:
        same = [bool(a) and a == b for a, b in zip(contours[lag:], contours, strict=False)]
        found[f"sequence {lag}"] = float(np.mean(same)) if same else -1.0
    for last in (3, 7, 11, 15):
        found |= _phrase_end(reading, last)
    return found


def _phrase_end(reading: Reading, last: int) -> dict[str, float]:
    """The last note of bar `last`: its degree and how long it is beside the others."""
    inside = np.flatnonzero(reading.bar_index(reading.melody["start"]) == last)
    if not len(inside):
        return {f"degree at {last}": -1.0, f"length at {last}": -1.0}
    at = inside[-1]
    until = np.append(reading.melody["start"][1:], reading.score.length) - reading.melody["start"]
    # Tonic 0, dominant 1, third 2, others 3: an order in which a threshold means something.
    rank = {0: 0, 7: 1, 3: 2, 4: 2}.get(int(reading.degrees(reading.melody["pitch"][at])), 3)
    return {f"degree at {last}": float(rank), f"length at {last}": float(until[at] / np.median(until))}


def _harmony(reading: Reading) -> dict[str, float]:
    notes, key = reading.notes, reading.key
    degrees = reading.degrees(notes["pitch"])
    found = _named("degree", _shares(degrees, 12, notes["duration"]))
    low = reading.lowest[reading.lowest >= 0]
    found |= _named("bass", _shares(reading.degrees(low), 12))
    times = np.array([time for time, _ in reading.chords] + [reading.score.length])
    roots = np.array([(chord.root - key.tonic) % 12 for _, chord in reading.chords])
    kinds = np.array([QUALITY_NAMES.index(chord.quality) for _, chord in reading.chords])
    spans = np.diff(times)
    found |= _named("root", _shares(roots, 12, spans)) | _named("chord", _shares(kinds, len(QUALITY_NAMES), spans))
    moves = np.diff(roots) % 12
    found |= _named("root moves", _shares(moves, 12))
    at_bar = np.isin(np.round(times[:-1], 3), np.round(reading.bars, 3))
    dominants = roots[:-1] == 7
    inside = np.isin(degrees, [(p - key.tonic) % 12 for p in key.scale])
    found |= {
        "changes a bar": len(roots) / len(reading.bars),
        "changes at bars": float(at_bar.mean()),
        "dominant to tonic": float((roots[1:][dominants] == 0).mean()) if dominants.any() else -1.0,
        "chord kinds": float(len(set(zip(roots.tolist(), kinds.tolist(), strict=True)))),
        "in the scale": float(notes["duration"][inside].sum() / notes["duration"].sum()),
        "minor": float(key.mode == "minor"),
    }
    return found | _together(reading)


def _together(reading: Reading) -> dict[str, float]:
    """What sounds together: intervals over the bass, dissonances at onsets, parallels of the outer voices."""
    notes = reading.notes
    onsets = np.unique(notes["start"])
    start, end, pitch = notes["start"], notes["start"] + notes["duration"], notes["pitch"].astype(int)
    over_bass, sharp, outer, sizes = [], 0, [], []
    for time in onsets:
        sounding = np.sort(pitch[(start < time + NEAR) & (end > time + NEAR)])
        sizes.append(len(sounding))
        over_bass.extend((sounding[1:] - sounding[0]) % 12)
        apart = np.abs(sounding[:, None] - sounding[None]) % 12
        sharp += bool(((apart == 1) | (apart == 11)).any())
        outer.append((sounding[0], sounding[-1]))
    pairs = np.array(outer)
    moved = (np.diff(pairs, axis=0) != 0).all(axis=1)
    apart = (pairs[:, 1] - pairs[:, 0]) % 12
    parallel = (apart[1:] == apart[:-1]) & np.isin(apart[1:], (0, 7)) & moved & (pairs[1:, 0] != pairs[1:, 1])
    contrary = np.prod(np.sign(np.diff(pairs, axis=0)), axis=1)
    found = _named("over the bass", _shares(np.array(over_bass, dtype=int), 12))
    found |= _named("sounding", histogram(np.array(sizes), (1.5, 2.5, 3.5, 4.5, 6.5)))
    return found | {
        "seconds together": sharp / len(onsets),
        "parallels": float(parallel.mean()) if len(parallel) else 0.0,
        "contrary": float((contrary < 0).mean()) if len(contrary) else 0.0,
        "similar": float((contrary > 0).mean()) if len(contrary) else 0.0,
        "sounding varies": float(np.std(sizes)),
    }


def _melody(reading: Reading) -> dict[str, float]:
    steps, voice = reading.intervals, reading.melody
    if len(steps) < 3:
        steps = np.zeros(3, dtype=int)
    found = _named("interval", histogram(steps, INTERVAL_EDGES))
    found |= _named("melody degree", _shares(reading.degrees(voice["pitch"]), 12, voice["duration"]))
    strong = voice[reading.inside_bar(voice["start"]) < NEAR]
    found |= _named("first of a bar", _shares(reading.degrees(strong["pitch"]), 12))
    same = np.sign(steps[1:]) == np.sign(steps[:-1])
    step, third = np.isin(np.abs(steps), (1, 2)), np.isin(np.abs(steps), (3, 4, 5))
    contour = np.convolve(voice["pitch"], np.ones(5) / 5, mode="valid") if len(voice) > 5 else voice["pitch"]
    return found | {
        "runs": float((step[1:] & step[:-1] & same).mean()),
        "turns back": float((step[1:] & step[:-1] & (steps[1:] == -steps[:-1])).mean()),
        "broken chords": float((third[1:] & third[:-1] & same).mean()),
        "trills": float((steps[1:] == -steps[:-1]).mean()),
        "contour": float(np.std(contour)),
        "peak": float(voice["start"][np.argmax(voice["pitch"])] / reading.score.length),
        "pitches": len(np.unique(voice["pitch"])) / np.sqrt(len(voice)),
    }


def _texture(reading: Reading) -> dict[str, float]:
    notes, per_bar = reading.notes, np.bincount(reading.bar_index(reading.notes["start"]), minlength=len(reading.bars))
    size = np.unique(np.round(notes["start"], 3), return_counts=True)[1]
    return _named("struck", histogram(size, (1.5, 2.5, 3.5, 4.5))) | {
        "notes a bar": float(per_bar.mean()),
        "notes a bar vary": float(per_bar.std() / max(per_bar.mean(), 1e-9)),
        "neighbouring bars vary": float(np.abs(np.diff(per_bar)).mean() / max(per_bar.mean(), 1e-9)),
        "melody lies": float(reading.melody["pitch"].mean()),
        "bass lies": float(np.percentile(notes["pitch"], 5)),
        "width": float(notes["pitch"].max() - notes["pitch"].min()),
        "bar length": reading.bar_length,
        "beat": reading.beat,
    }
