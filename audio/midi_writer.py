"""Writing a score as a standard MIDI file: a track for each part, with its name and its controllers.

Knows bytes, channels and ports. The same score gives the same bytes.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clavilux.audio.midi_parts import DRUM_CHANNEL
from clavilux.audio.midi_tracks import OWN_DATA, OWN_DATA_HEAD
from clavilux.audio.notes import BANK, BEND, players_of
from clavilux.audio.programs import program_name

if TYPE_CHECKING:
    from clavilux.audio.score import Score

TICKS_PER_QUARTER = 1920  # a multiple of 384, 480 and 960, so most files keep their exact times
OWN_MARKER = "Clavilux"  # the first marker of a file written here; without it markers are not read as chords
_MOST_PITCHED = 15  # channels beside the drums'
_EARLY, _FIRST, _OFF, _MOVE, _ON = range(5)  # the order of events in one tick
Event = tuple[int, int, bytes]  # (tick, order, bytes)
Part = tuple[bool, int, int]  # (drum, program, number)
Move = tuple[float, int, float]  # (time, kind, value) of a controller


def midi_bytes(score: Score, receipt: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a file of format 1.

    Args:
        score: what is written.
        receipt: how it was made, as JSON values; it goes into an event that players and notation programs pass over,
            its "title" into the name of the sequence.

    Raises:
        ValueError: more than 15 programs beside the drums.
    """
    parts = players_of(score.notes)
    programs = {program for drum, program, _ in parts if not drum}
    if len(programs) > _MOST_PITCHED:
        raise ValueError(
            f"A MIDI file has channels for {_MOST_PITCHED} instruments beside the drums, "
            f"and this score has {len(programs)}."
        )
    tracks = [_conductor(score)]
    if receipt:
        text = json.dumps({"clavilux": receipt}, sort_keys=True)
        tracks[0].append((0, _EARLY, _meta(OWN_DATA, OWN_DATA_HEAD + text.encode())))
        if receipt.get("title"):
            tracks[0].append((0, _EARLY, _meta(0x03, str(receipt["title"]).encode())))
    names = part_names(parts)
    for part, name, (port, channel) in zip(parts, names, _ports_and_channels(score, parts), strict=True):
        tracks.append(_part(score, part, name, port, channel))
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS_PER_QUARTER)
    return header + b"".join(map(_chunk, tracks))


def _ports_and_channels(score: Score, parts: list[Part]) -> list[tuple[int, int]]:
    """A (port, channel) for each part.

    Each program has a channel of its own, then further parts of a program, as long as there are any. What is left, and
    every kit of drums, shares its program's channel, on a further port where its controllers are others: a player that
    knows no ports still plays it on the right instrument.
    """
    free = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    base: dict[tuple[bool, int], int] = {}  # the first channel of (drum, program)
    for drum, program, _ in parts:
        if (drum, program) not in base:
            base[drum, program] = DRUM_CHANNEL if drum else free.pop(0)
    ports: dict[int, list[list[Move]]] = {}  # channel -> the controllers on each of its ports
    places = []
    for drum, program, part in parts:
        channel = base[drum, program]
        if channel in ports and free and not drum:
            channel = free.pop(0)
        moves = score.controls[score.controls["part"] == part][["time", "kind", "value"]].tolist()
        on_ports = ports.setdefault(channel, [])
        if moves not in on_ports:
            on_ports.append(moves)
        places.append((on_ports.index(moves), channel))
    return places


def part_names(parts: list[Part]) -> list[str]:
    """What (drum, program, number) are called: "violin", or "violin 1" and "violin 2" where there are several."""
    plain = ["drums" if drum else program_name(program) for drum, program, _ in parts]
    numbers = {name: itertools.count(1) for name in plain}
    return [f"{name} {next(numbers[name])}" if plain.count(name) > 1 else name for name in plain]


def _tick(quarter: float) -> int:
    return round(quarter * TICKS_PER_QUARTER)


def _conductor(score: Score) -> list[Event]:
    """Tempi, metres, key, sections and chords."""
    events = [
        (_tick(time), _FIRST, _meta(0x51, round(60e6 / tempo).to_bytes(3, "big"))) for time, tempo in score.tempos
    ]
    for time, (numerator, denominator) in score.metres:
        data = bytes([numerator, denominator.bit_length() - 1, 24, 8])
        events.append((_tick(time), _FIRST, _meta(0x58, data)))
    key = score.key or score.signature
    if key:
        events.append((0, _FIRST, _meta(0x59, struct.pack(">bB", key.sharps, key.mode == "minor"))))
    events.append((0, _EARLY, _meta(0x06, (f"{OWN_MARKER}, {score.key}" if score.key else OWN_MARKER).encode())))
    # In brackets, as a section may be called A.
    events += [(_tick(time), _FIRST, _meta(0x06, f"[{name}]".encode())) for time, name in score.sections]
    return events + [(_tick(time), _MOVE, _meta(0x06, chord.name(score.key).encode())) for time, chord in score.chords]


def _part(score: Score, part: Part, name: str, port: int, channel: int) -> list[Event]:
    """The notes and controllers of one part on one channel."""
    drum, program, number = part
    notes, controls = score.notes, score.controls[score.controls["part"] == number]
    notes = notes[(notes["drum"] == drum) & (notes["program"] == program) & (notes["part"] == number)]
    events = [(0, _EARLY, _meta(0x03, name.encode()))]
    if port:
        events.append((0, _EARLY, _meta(0x21, bytes([port]))))
    banks = controls[(controls["kind"] == BANK) & (controls["time"] == 0)]["value"]
    if len(banks):
        events += _bank(0, channel, int(banks[-1]))
    events.append((0, _FIRST, bytes([0xC0 | channel, program])))
    events += _controllers(controls, channel, program)
    starts = np.round(notes["start"] * TICKS_PER_QUARTER).astype(np.int64)
    ends = np.round((notes["start"] + notes["duration"]) * TICKS_PER_QUARTER).astype(np.int64)
    times = zip(starts.tolist(), np.maximum(ends, starts + 1).tolist(), strict=True)
    for (start, end), (pitch, velocity) in zip(times, notes[["pitch", "velocity"]].tolist(), strict=True):
        # Velocity 0 would be a release.
        events.append((start, _ON, bytes([0x90 | channel, pitch, max(1, velocity)])))
        events.append((end, _OFF, bytes([0x80 | channel, pitch, 0])))
    return events


def _controllers(controls: np.ndarray, channel: int, program: int) -> list[Event]:
    """Controllers, the wheel in the range that its widest bend needs, later banks with the program again."""
    events = []
    bends = np.abs(controls["value"][controls["kind"] == BEND])
    span = int(max(2, np.ceil(bends.max(initial=0))))
    if span > 2:
        for number, value in ((101, 0), (100, 0), (6, min(span, 127)), (38, 0)):
            events.append((0, _FIRST, bytes([0xB0 | channel, number, value])))
    for time, _, kind, value in controls.tolist():
        tick = _tick(time)
        if kind == BEND:
            wheel = min(16383, max(0, 8192 + round(value / span * 8192)))
            events.append((tick, _MOVE, bytes([0xE0 | channel, wheel & 127, wheel >> 7])))
        elif kind == BANK and time:
            events += [*_bank(tick, channel, int(value)), (tick, _FIRST, bytes([0xC0 | channel, program]))]
        elif kind < 128:
            events.append((tick, _MOVE, bytes([0xB0 | channel, kind, int(value)])))
    return events


def _bank(tick: int, channel: int, bank: int) -> list[Event]:
    return [
        (tick, _FIRST, bytes([0xB0 | channel, 0, bank >> 7 & 127])),
        (tick, _FIRST, bytes([0xB0 | channel, 32, bank & 127])),
    ]


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + _variable(len(data)) + data


def _variable(value: int) -> bytes:
    """A number in bytes of seven bits, most significant first."""
    out = [value & 127]
    while value := value >> 7:
        out.append(value & 127 | 128)
    return bytes(reversed(out))


def _chunk(events: list[Event]) -> bytes:
    """A track: events in the order of time, each behind its distance from the one before."""
    data, at = bytearray(), 0
    for tick, _, event in sorted(events, key=lambda event: event[:2]):  # stable
        data += _variable(tick - at) + event
        at = tick
    data += b"\x00" + _meta(0x2F, b"")
    return b"MTrk" + struct.pack(">I", len(data)) + bytes(data)
