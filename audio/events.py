"""Notes as a renderer takes them: their times in seconds, checked and in one order.

Knows records. Does not know sound.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clavilux.audio.notes import NOTE, NOTE_FIELDS, PART_NOTE

# As a score's `NOTE` and `PART_NOTE`, but start and duration are in seconds. An `EVENT` has no part and no controllers.
EVENT, PART_EVENT = NOTE, PART_NOTE
EventTuple = tuple[float, float, int, int, int, bool]  # an `EVENT`'s values
NO_PART = -1
AT_REST = np.iinfo(np.int32).min  # added to the part of an event that no controllers move, whatever its part's do


def parts_of_events(events: np.ndarray) -> np.ndarray:
    """The part of each of `PART_EVENT` records, int32 [N], whether or not controllers move it."""
    return np.where(events["part"] < NO_PART, events["part"] - AT_REST, events["part"])


def checked_events(notes: np.ndarray | Iterable[EventTuple], from_s: float, until_s: float) -> np.ndarray:
    """Notes as `PART_EVENT` records in one fixed order, whatever the order that they came in."""
    events = _with_parts(notes if isinstance(notes, np.ndarray) else list(notes))
    if not len(events):
        return events
    if not (np.isfinite(events["start"]).all() and np.isfinite(events["duration"]).all()):
        raise ValueError("A note's start and duration must be numbers of seconds, not NaN or infinite.")
    if events["start"].min() < from_s or events["start"].max() >= until_s:
        raise ValueError(
            f"Notes must start from {from_s} s on and before {until_s} s; these start between "
            f"{events['start'].min()} and {events['start'].max()} s."
        )
    for field in ("pitch", "velocity", "program"):
        wrong = events[field][(events[field] < 0) | (events[field] > 127)]
        if len(wrong):
            raise ValueError(f"A note's {field} must lie between 0 and 127, not at {wrong[0]}.")
    fields = ("part", "duration", "velocity", "pitch", "program", "drum", "start")  # the last is the first to sort by
    return events[np.lexsort([events[field] for field in fields])]


def _with_parts(notes: np.ndarray | list[EventTuple]) -> np.ndarray:
    if isinstance(notes, np.ndarray) and notes.dtype == PART_EVENT:
        return notes.reshape(-1)
    events = np.asarray(notes, EVENT).reshape(-1)
    whole = np.full(len(events), NO_PART, PART_EVENT)
    for field, _ in NOTE_FIELDS:
        whole[field] = events[field]
    return whole
