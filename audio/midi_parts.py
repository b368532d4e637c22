"""The tracks of a MIDI file as notes and controllers of parts.

A part is what one track plays on one channel: two violins on two tracks are two parts of one program. Knows channels,
programs, releases and General MIDI's controllers. Does not know bytes or sound.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from clavilux.audio.midi_tracks import CONTROLLER, KEY_PRESSURE, PRESSURE, PROGRAM, WHEEL, KeyEvent, Track, plural
from clavilux.audio.notes import (
    BANK,
    BEND,
    CONTROL,
    EXPRESSION,
    LEAST_QUARTERS,
    PAN,
    PART_NOTE,
    SOFT,
    SOSTENUTO,
    SUSTAIN,
    VOLUME,
)

DRUM_CHANNEL = 9
_PLAYED = (VOLUME, PAN, EXPRESSION, SUSTAIN, SOSTENUTO, SOFT)
_BANK, _BANK_FINE, _ENTRY, _ENTRY_FINE, _RPN_FINE, _RPN = 0, 32, 6, 38, 100, 101
_RESET, _SILENCE = 121, (120, 123, 124, 125, 126, 127)
_FINE = {VOLUME + 32, PAN + 32, EXPRESSION + 32}  # the lower seven bits, which nobody hears
_BEND_RANGE = 2.0  # semitones, until RPN 0 sets another
_UNPLAYED = {
    1: "modulation", 2: "breath", 4: "foot pedal", 5: "portamento", 8: "balance", 65: "portamento", 68: "legato",
    71: "resonance", 72: "release time", 73: "attack time", 74: "brightness", 84: "portamento", 91: "reverb send",
    92: "tremolo depth", 93: "chorus send", 94: "detune depth", 95: "phaser depth", 98: "unregistered parameters",
    99: "unregistered parameters",
}  # fmt: skip
_NEUTRAL = {8: 64, 71: 64, 72: 64, 73: 64, 74: 64}  # others ask for nothing at 0

ChannelEvent = tuple[int, int, int, int]  # (tick, status & 0xF0, first byte, second byte)


def notes_and_controls(tracks: list[Track], ticks: float, remarks: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(`PART_NOTE` records, `CONTROL` records) of all tracks; `ticks` are those of a quarter."""
    channels: dict[tuple[int, int], list[ChannelEvent]] = {}  # (port, channel) -> its events of all tracks, by time
    for track in tracks:
        for tick, channel, kind, first, second in track.events:
            channels.setdefault((track.port, channel), []).append((tick, kind, first, second))
    for events in channels.values():
        events.sort(key=lambda event: event[0])
    rows = []
    parts: dict[tuple[int, int], list[int]] = {}  # by (port, channel)
    mended: Counter[str] = Counter()
    for track in tracks:
        silences = {}
        for channel in sorted({channel for channel, _ in track.keys}):
            part = sum(map(len, parts.values()))
            parts.setdefault((track.port, channel), []).append(part)
            events = channels.get((track.port, channel), [])
            silences[channel] = [tick for tick, kind, first, _ in events if kind == CONTROLLER and first in _SILENCE]
        places = {channel: iter_parts[-1] for (port, channel), iter_parts in parts.items() if port == track.port}
        for (channel, pitch), key_events in track.keys.items():
            changes = channels.get((track.port, channel), [])
            for start, end, velocity, program in _spans(key_events, track.end, silences[channel], mended):
                program = _program_at(changes, start) if program < 0 else program
                length = (end - start) / ticks or LEAST_QUARTERS
                rows.append((start / ticks, length, pitch, velocity, program, channel == DRUM_CHANNEL, places[channel]))
    unplayed: set[str] = {"system exclusive messages"} if any(track.exclusive for track in tracks) else set()
    moves = [
        (tick / ticks, part, kind, value)
        for place, members in parts.items()
        for tick, kind, value in _control_changes(channels.get(place, []), unplayed)
        for part in members
    ]
    _add_remarks(mended, unplayed, remarks)
    return np.array(rows, dtype=PART_NOTE), np.array(moves, dtype=CONTROL)


def _add_remarks(mended: Counter[str], unplayed: set[str], remarks: list[str]) -> None:
    if mended["never"]:
        remarks.append(f"never released, so they end with their track: {plural(mended['never'], 'note')}")
    if mended["struck"]:
        remarks.append(
            f"without a release, so they end where their pitch is struck again: {plural(mended['struck'], 'note')}"
        )
    if mended["least"]:
        length = f"1/{round(1 / LEAST_QUARTERS)} of a quarter"
        remarks.append(
            f"released in the tick of their attack, so they last {length}: {plural(mended['least'], 'note')}"
        )
    if unplayed:
        remarks.append(f"not played: {', '.join(sorted(unplayed))}")


def _spans(
    events: list[KeyEvent], last: int, silences: list[int], mended: Counter[str]
) -> list[tuple[int, int, int, int]]:
    """(start, end, velocity, program) of a key's notes, by its attacks and releases.

    First in, first out, where every attack has its release, as two voices on one key need it; where releases are
    missing, an attack ends the note before it.
    """
    waiting: list[KeyEvent] = []
    spans: list[tuple[int, int, int, int]] = []
    for event in events:
        if event[1]:
            waiting.append(event)
        elif waiting:
            start, velocity, program = waiting.pop(0)
            spans.append((start, event[0], velocity, program))
    if waiting and len(waiting) + len(spans) > 1:
        spans, waiting = [], []
        for event in events:
            if waiting:
                start, velocity, program = waiting.pop()
                spans.append((start, event[0], velocity, program))
                mended["struck"] += event[1] > 0
            if event[1]:
                waiting.append(event)
    for start, velocity, program in waiting:
        silenced = next((tick for tick in silences if tick >= start), None)
        mended["never"] += silenced is None
        spans.append((start, last if silenced is None else min(silenced, last), velocity, program))
    mended["least"] += sum(start == end for start, end, _, _ in spans)
    return spans


def _program_at(events: list[ChannelEvent], tick: int) -> int:
    """The program of a channel whose own track names none: what another track last set."""
    return next((first for at, kind, first, _ in reversed(events) if kind == PROGRAM and at <= tick), 0)


def _control_changes(events: list[ChannelEvent], unplayed: set[str]) -> list[tuple[int, int, float]]:
    """(tick, kind, value) of a channel's controllers that are played; the names of others are added to `unplayed`."""
    moves: list[tuple[int, int, float]] = []
    bank, parameter, span, wheel = [0, 0], [127, 127], _BEND_RANGE, 0.0
    for tick, kind, first, second in events:
        if kind == WHEEL:
            wheel = ((second << 7 | first) - 8192) / 8192
            moves.append((tick, BEND, wheel * span))
        elif kind in (PRESSURE, KEY_PRESSURE):
            unplayed.add("aftertouch")
        elif kind != CONTROLLER:
            continue
        elif first in _PLAYED:
            moves.append((tick, first, second))
        elif first in (_BANK, _BANK_FINE):
            bank[first == _BANK_FINE] = second
            if moves and moves[-1][:2] == (tick, BANK):
                moves.pop()  # the other byte of the same number
            moves.append((tick, BANK, bank[0] * 128 + bank[1]))
        elif first in (_RPN, _RPN_FINE):
            parameter[first == _RPN_FINE] = second
        elif first in (98, 99):
            parameter = [127, 127]
            unplayed.add(_UNPLAYED[first])
        elif first in (_ENTRY, _ENTRY_FINE):
            if parameter == [0, 0]:
                span = second + span % 1 if first == _ENTRY else int(span) + second / 100
                moves.append((tick, BEND, wheel * span))
            elif parameter in ([0, 1], [0, 2]) and second not in (0, 64):
                unplayed.add("tuning of a channel")
        elif first == _RESET:
            wheel = 0.0
            moves += [(tick, BEND, 0.0), (tick, EXPRESSION, 127)]
            moves += [(tick, pedal, 0) for pedal in (SUSTAIN, SOSTENUTO, SOFT)]
        elif (
            first not in _FINE and first not in _SILENCE and second != _NEUTRAL.get(first, 0) and first not in (96, 97)
        ):
            unplayed.add(_UNPLAYED.get(first, f"controller {first}"))
    return moves
