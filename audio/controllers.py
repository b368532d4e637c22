"""What controllers do over time: cutting and joining them with their score, and how long pedals let notes sound.

Knows `CONTROL` and `PART_NOTE` records in quarters. Does not know files or sound.
"""

from __future__ import annotations

import itertools

import numpy as np

from clavilux.audio.notes import CONTROL, EXPRESSION, REST, SOSTENUTO, SUSTAIN, VOLUME

DOWN = 64  # from here on a pedal is down
LONGEST_HOLD_QUARTERS = 16.0  # behind the last note: a stray event must not make an organ sound for hours


def controls_between(controls: np.ndarray, start: float, end: float) -> np.ndarray:
    """Controllers of [start, end) moved by -start, with those in force at `start` first."""
    before = controls[controls["time"] <= start + 1e-6]
    last = {(int(part), int(kind)): index for index, (part, kind) in enumerate(before[["part", "kind"]].tolist())}
    kept = before[sorted(last.values())].copy()
    kept["time"] = 0.0
    inside = controls[(controls["time"] > start + 1e-6) & (controls["time"] < end - 1e-6)].copy()
    inside["time"] -= start
    return np.concatenate([kept, inside])


def controls_joined(first: np.ndarray, second: np.ndarray, offset: float) -> np.ndarray:
    """`first`, then `second` from `offset` on, where everything that `second` leaves alone is at rest again."""
    first = first[first["time"] < offset - 1e-6]
    moved = [(offset, part, kind, REST[kind]) for part, kind in set(first[["part", "kind"]].tolist()) if kind in REST]
    later = second.copy()
    later["time"] += offset
    set_again = set(later[later["time"] <= offset][["part", "kind"]].tolist())
    resets = [row for row in sorted(moved) if row[1:3] not in set_again]
    return np.concatenate([first, np.array(resets, dtype=CONTROL), later])


def parts_matched(first: np.ndarray, second: np.ndarray) -> dict[tuple[int, int, bool], int]:
    """What the parts of notes that come later are called in the score that they join: (part, program, drum) -> part.

    The parts of an instrument go on under their own numbers if no other instrument has these there, otherwise in order
    as the parts of that instrument; a new one gets a new number.
    """
    voices = ["part", "program", "drum"]
    held, coming = (sorted(set(notes[voices].tolist())) for notes in (first, second))
    numbers = {part for part, _, _ in held}
    fresh = itertools.count(max((part for part, _, _ in held + coming), default=-1) + 1)
    renamed = {voice[1:] for voice in coming if voice not in held and voice[0] in numbers}
    matched = {voice: voice[0] for voice in coming if voice[1:] not in renamed}
    for voice in coming:
        if voice not in matched:
            taken = {(part, *other[1:]) for other, part in matched.items()}
            free = [other[0] for other in held if other[1:] == voice[1:] and other not in taken]
            matched[voice] = free[0] if free else next(fresh)
    return matched


def silent_parts(notes: np.ndarray, controls: np.ndarray) -> dict[int, int]:
    """Parts that are never heard, since their volume or expression is 0 from each attack to its release -> notes."""
    silent = {}
    for part in np.unique(controls["part"]).tolist():
        own = notes[notes["part"] == part]
        heard = np.ones(len(own), bool)
        for kind in (VOLUME, EXPRESSION):
            moves = controls[(controls["part"] == part) & (controls["kind"] == kind)]
            values = np.append(REST[kind], moves["value"])
            first = np.searchsorted(moves["time"], own["start"], side="right")
            last = np.searchsorted(moves["time"], own["start"] + own["duration"], side="left")
            loudest = [values[a : max(a, b) + 1].max() for a, b in zip(first, last, strict=True)]
            heard &= np.array(loudest, dtype=np.float64) > 0
        if not heard.any():
            silent[part] = len(own)
    return silent


def sounding_durations(notes: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """How long each note sounds, in quarters: until its release, or until the pedal that then holds it is let go.

    A note that is struck again ends there, pedal or not; drums ring anyway. A pedal that is never let go holds on to
    the end of the last note. What a pedal holds must be down before the key is let go.
    """
    durations = notes["duration"].copy()
    for part in np.unique(controls["part"][np.isin(controls["kind"], (SUSTAIN, SOSTENUTO))]):
        own = np.flatnonzero((notes["part"] == part) & ~notes["drum"])
        if not len(own):
            continue
        moves = controls[controls["part"] == part]
        starts = notes["start"][own]
        ends = starts + durations[own]
        last = float((notes["start"] + notes["duration"]).max())
        latest = last + LONGEST_HOLD_QUARTERS
        held = ends.copy()
        for down, up in _presses(moves[moves["kind"] == SUSTAIN], last):
            caught = (ends > down + 1e-9) & (ends < up - 1e-9)
            held[caught] = np.maximum(held[caught], min(up, latest))
        for down, up in _presses(moves[moves["kind"] == SOSTENUTO], last):
            caught = (starts <= down + 1e-9) & (ends > down + 1e-9) & (ends < up - 1e-9)
            held[caught] = np.maximum(held[caught], min(up, latest))
        key = notes["program"][own].astype(np.int64) * 128 + notes["pitch"][own]
        order = np.lexsort((starts, key))
        again = np.append(np.where(np.diff(key[order]) == 0, starts[order][1:], np.inf), np.inf)
        held[order] = np.minimum(held[order], np.maximum(again, ends[order]))
        durations[own] = held - starts
    return durations


def _presses(moves: np.ndarray, last: float) -> list[tuple[float, float]]:
    """(down, up) quarters of each time that a pedal is held."""
    presses, since = [], None
    for time, value in moves[["time", "value"]].tolist():
        if value >= DOWN and since is None:
            since = time
        elif value < DOWN and since is not None:
            presses.append((since, time))
            since = None
    return presses if since is None else [*presses, (since, max(since, last))]
