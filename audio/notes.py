"""Records of notes and of controllers, the ground that scores and MIDI files stand on.

Knows arrays and General MIDI's numbers. Does not know files, bars or sound.
"""

from __future__ import annotations

import numpy as np

# start and duration in quarters; pitch, velocity and General MIDI program 0..127 (a drum's is its kit)
NOTE_FIELDS = (
    ("start", "f8"), ("duration", "f8"), ("pitch", "i2"), ("velocity", "i2"), ("program", "i2"), ("drum", "?"),
)  # fmt: skip
NOTE = np.dtype([*NOTE_FIELDS])

# A note and who plays it: two violins are parts 0 and 1 of one program. A `NOTE` alone is of part 0.
PART_NOTE = np.dtype([*NOTE_FIELDS, ("part", "i4")])

# What moves a control of a part: `kind` is the number of a MIDI controller, or one of the two below.
CONTROL = np.dtype([("time", "f8"), ("part", "i4"), ("kind", "i2"), ("value", "f8")])  # time in quarters
BEND = 128  # the pitch wheel; its value in semitones, the range that was set for it included
BANK = 129  # bank select, most significant byte * 128 + least
VOLUME, PAN, EXPRESSION, SUSTAIN, SOSTENUTO, SOFT = 7, 10, 11, 64, 66, 67
# What each stands at until something moves it: General MIDI's volume 100, the middle, everything else open.
REST = {VOLUME: 100, PAN: 64, EXPRESSION: 127, SUSTAIN: 0, SOSTENUTO: 0, SOFT: 0, BEND: 0, BANK: 0}
LEAST_QUARTERS = 1 / 16  # of a note that ends in the tick in which it begins, as a drum machine's may


def as_parts(notes: np.ndarray) -> np.ndarray:
    """`NOTE` or `PART_NOTE` records, or tuples of either, as `PART_NOTE`; a note without a part is of part 0."""
    notes = np.asarray(notes)
    if notes.dtype.names is None or "part" not in notes.dtype.names:
        short = notes.astype(NOTE) if notes.dtype.names else np.asarray(notes, dtype=NOTE)
        notes = np.zeros(len(short), PART_NOTE)
        for name, _ in NOTE_FIELDS:
            notes[name] = short[name]
    return notes.astype(PART_NOTE)


def players_of(notes: np.ndarray) -> list[tuple[bool, int, int]]:
    """Who plays `PART_NOTE` records, as (drum, program, part), in the order in which they are written, drums last.

    By programs, as the parts of a program are counted; where each has a number of its own, as a band and its melody
    have, by these.
    """
    players = sorted(set(notes[["drum", "program", "part"]].tolist()))
    if len({part for *_, part in players}) == len(players):
        players.sort(key=lambda player: (player[0], player[2]))
    return players


def tidy_notes(notes: np.ndarray) -> np.ndarray:
    """Sort `PART_NOTE` records by (start, program, pitch), drop empty ones, cut a pitch's overlaps in a part.

    Raises:
        ValueError: a time is NaN or infinite or before 0, or a value is outside MIDI's 0 to 127.
    """
    if not (np.isfinite(notes["start"]).all() and np.isfinite(notes["duration"]).all()):
        raise ValueError("A note's start and duration must be numbers of quarters, not NaN or infinite.")
    notes = notes[notes["duration"] > 1e-6]
    if not len(notes):
        return notes
    if notes["start"].min() < 0:
        raise ValueError(f"Notes must not begin before quarter 0, and one begins at {notes['start'].min()}.")
    for name in ("pitch", "velocity", "program"):
        low, high = notes[name].min(), notes[name].max()
        if low < 0 or high > 127:
            raise ValueError(f"A note's {name} must be 0 to 127, and here it reaches from {low} to {high}.")
    voice = (notes["drum"].astype(np.int64) * 128 + notes["program"]) * 128 + notes["pitch"]
    voice += notes["part"].astype(np.int64) << 15
    order = np.lexsort((-notes["duration"], notes["start"], voice))
    notes, voice = notes[order], voice[order]
    # Of those that start together the longest, which comes first, stays.
    again = (np.diff(voice) == 0) & (np.diff(notes["start"]) < 1e-6)
    keep = np.append(True, ~again)
    notes, voice = notes[keep], voice[keep]
    until_next = np.where(np.diff(voice) == 0, np.diff(notes["start"]), np.inf)
    notes["duration"][:-1] = np.minimum(notes["duration"][:-1], until_next)
    return notes[np.lexsort((notes["part"], notes["drum"], notes["pitch"], notes["program"], notes["start"]))]


def tidy_controls(controls: np.ndarray) -> np.ndarray:
    """`CONTROL` records in the order of time, without those that change nothing.

    Raises:
        ValueError: a time or value is NaN or infinite, or a time is before 0.
    """
    controls = np.asarray(controls, dtype=CONTROL)
    if not len(controls):
        return controls
    if not (np.isfinite(controls["time"]).all() and np.isfinite(controls["value"]).all()):
        raise ValueError("A controller's time and value must be numbers, not NaN or infinite.")
    if controls["time"].min() < 0:
        raise ValueError(f"Controllers must not move before quarter 0, and one does at {controls['time'].min()}.")
    controls = controls[np.lexsort((controls["time"], controls["kind"], controls["part"]))]  # stable within a time
    new = np.append(True, (np.diff(controls["part"]) != 0) | (np.diff(controls["kind"]) != 0))
    before = np.append(0.0, controls["value"][:-1])
    before[new] = [REST.get(int(kind), np.nan) for kind in controls["kind"][new]]
    controls = controls[controls["value"] != before]
    return controls[np.argsort(controls["time"], kind="stable")]
