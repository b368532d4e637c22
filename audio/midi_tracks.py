"""The bytes of a standard MIDI file as tracks of events, read around whatever is damaged.

Knows chunks, running status and lengths (Standard MIDI Files 1.0; RIFF-wrapped ones too). Does not know which events
make a note, nor what they mean in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_EVENTS = 2_000_000
NOTE_OFF, NOTE_ON, KEY_PRESSURE, CONTROLLER, PROGRAM, PRESSURE, WHEEL = 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0
TEMPO, METRE, KEY_SIGNATURE, MARKER, OWN_DATA = 0x51, 0x58, 0x59, 0x06, 0x7F
OWN_DATA_HEAD = b"\x7dClavilux "  # of a sequencer's own data: 7D is nobody's number, then whose data it is
_PORT, _END, _META, _SYSEX, _ESCAPE = 0x21, 0x2F, 0xFF, 0xF0, 0xF7
_KEPT_METAS = (TEMPO, METRE, KEY_SIGNATURE, MARKER)
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # bytes behind messages that have no place in a file
# What sets an instrument to the state in which ours begins: General MIDI on and off, GS reset, XG reset.
_RESETS = ((0x7E, None, 0x09), (0x41, None, 0x42, 0x12, 0x40, 0x00, 0x7F), (0x43, None, 0x4C, 0x00, 0x00, 0x7E))


KeyEvent = tuple[int, int, int]  # (tick, velocity, program); velocity 0 is a release
TrackEvent = tuple[int, int, int, int, int]  # (tick, channel, status & 0xF0, first byte, second byte)
MetaEvent = tuple[int, int, bytes]  # (tick, type, data)


@dataclass
class Track:
    """What a track holds; every event begins with its tick."""

    keys: dict[tuple[int, int], list[KeyEvent]] = field(default_factory=dict)  # by (channel, pitch)
    events: list[TrackEvent] = field(default_factory=list)
    metas: list[MetaEvent] = field(default_factory=list)
    port: int = 0
    end: int = 0  # its last tick
    num_events: int = 0
    note_ons: int = 0
    out_of_range: int = 0  # events with data above 127
    exclusive: int = 0  # system exclusive messages that are no reset
    left: int = 0  # bytes behind its end


def plural(count: int, noun: str) -> str:
    """1 note, 2,000 notes."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def unwrapped(data: bytes, given: str, damage: list[str]) -> bytes:
    """The MIDI file inside a RIFF file (.rmi); any other as it is, from its header on."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        at = data.find(b"data", 12)
        if at < 0:
            raise ValueError(f"{given!r} is a RIFF file for MIDI, but it has no data chunk")
        size, there = int.from_bytes(data[at + 4 : at + 8], "little"), max(0, len(data) - at - 8)
        if size > there:
            damage.append(f"cut off: its data chunk promises {plural(size, 'byte')}, {there:,} are there")
        data = data[at + 8 : at + 8 + size]
    if data[:4] == b"MThd":
        return data
    at = -1 if data[:4] == b"RIFF" else data.find(b"MThd", 0, 1024)
    if at < 0:
        raise ValueError(f"{given!r} is not a MIDI file: it does not begin with MThd")
    damage.append(f"{plural(at, 'byte')} before its header passed over")
    return data[at:]


def read_header(data: bytes, given: str, damage: list[str]) -> tuple[int, int, int, int]:
    """(format, number of tracks, division, where the chunks begin)."""
    if len(data) < 14:
        raise ValueError(f"{given!r} is truncated: of its header there are {len(data)} of 14 bytes")
    length = int.from_bytes(data[4:8], "big")
    form, tracks, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
    if length >= 6 and 8 + length <= len(data):
        return form, tracks, division, 8 + length
    damage.append(f"its header gives itself {plural(length, 'byte')}; the first 6 are read")
    return form, tracks, division, 14


def read_tracks(data: bytes, at: int, given: str, damage: list[str], remarks: list[str]) -> list[Track]:
    """All tracks from a byte on, whatever lies between them."""
    tracks: list[Track] = []
    room = MOST_EVENTS
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        end = at + 8 + size
        if name != b"MTrk":
            at = _passed_over(data, at, name, end, damage, remarks)
            continue
        number = f"track {len(tracks) + 1}"
        if not size and end < len(data) and data[end : end + 4] != b"MTrk":  # a writer that crashed left it at 0
            following = data.find(b"MTrk", end)
            end = len(data) if following < 0 else following
            damage.append(f"{number} gives itself no length; it is read as far as it goes")
        elif end > len(data):
            damage.append(f"cut off: {number} promises {plural(size, 'byte')}, {len(data) - at - 8:,} are there")
        track = _read_track(data[at + 8 : end], number, end > len(data), room, damage)
        room -= track.num_events
        if room < 0:
            raise ValueError(f"{given!r} holds more than {MOST_EVENTS:,} events, the most that are read")
        tracks.append(track)
        at = end
    if at < len(data) and data[at:].strip(b"\0"):
        damage.append(f"{plural(len(data) - at, 'byte')} behind the last track passed over")
    return tracks


def _passed_over(data: bytes, at: int, name: bytes, end: int, damage: list[str], remarks: list[str]) -> int:
    """Where to go on behind what is no track: a chunk of another kind, which is allowed, or bytes that are none."""
    if all(32 <= byte < 127 for byte in name) and end <= len(data):
        remarks.append(f"passed over: a chunk {name.decode()!r} of {plural(end - at - 8, 'byte')}")
        return end
    following = data.find(b"MTrk", at)
    following = len(data) if following < 0 else following
    if data[at:following].strip(b"\0"):
        damage.append(f"{plural(following - at, 'byte')} that are no chunk passed over")
    return following


def _read_track(data: bytes, name: str, cut: bool, room: int, damage: list[str]) -> Track:
    """The events of a track; of a damaged one those before the damage."""
    track = Track()
    try:
        wrong = _read_events(data, track, room)
    except IndexError:  # the bytes end inside an event
        wrong = "" if cut else "its last event is cut off"
    if wrong:
        damage.append(f"{name} is damaged: {wrong}; {plural(track.note_ons, 'note')} before that are read")
    if track.out_of_range:
        damage.append(f"{name}: {plural(track.out_of_range, 'event')} with values above 127 passed over")
    if track.left:
        damage.append(f"{name}: {plural(track.left, 'byte')} behind its end passed over")
    return track


def _read_events(data: bytes, track: Track, room: int) -> str:
    """Fill a track; what is wrong, or "". Raises IndexError where the bytes end inside an event."""
    at, tick, status, programs = 0, 0, 0, [-1] * 16
    while at < len(data):
        delta, at = _variable(data, at)
        if delta < 0:
            return "a time has more than four bytes"
        tick += delta
        track.end = tick
        first = data[at]
        if first >= 0xF0:
            at = _read_system(data, at, tick, track)
            if at < 0:
                return ""
            continue  # and the running status stays, as most programs write and read it
        if first >= 0x80:
            status, at = first, at + 1
            first = data[at]
        elif not status:
            return "an event has no status"
        kind, channel = status & 0xF0, status & 0x0F
        second = 0 if kind in (PROGRAM, PRESSURE) else data[at + 1]
        at += 1 if kind in (PROGRAM, PRESSURE) else 2
        track.num_events += 1
        if track.num_events > room:
            return ""
        track.note_ons += kind == NOTE_ON and second > 0
        if first > 127 or second > 127:
            track.out_of_range += 1
        elif kind <= NOTE_ON:
            velocity = second if kind == NOTE_ON else 0
            track.keys.setdefault((channel, first), []).append((tick, velocity, programs[channel]))
        else:
            if kind == PROGRAM:
                programs[channel] = first
            track.events.append((tick, channel, kind, first, second))
    return ""


def _read_system(data: bytes, at: int, tick: int, track: Track) -> int:
    """Read a meta event or a system message at a byte; where to go on, -1 behind the end of the track."""
    status = data[at]
    if status not in (_META, _SYSEX, _ESCAPE):
        return at + 1 + _SYSTEM_DATA.get(status, 0)
    kind = data[at + 1] if status == _META else None
    size, start = _variable(data, at + 2 if status == _META else at + 1)
    end = start + size
    if size < 0 or end > len(data):
        raise IndexError
    if kind == _END:
        track.left = len(data[end:].rstrip(b"\0"))
        return -1
    if kind == _PORT and size:
        track.port = data[start]
    elif kind in _KEPT_METAS or kind == OWN_DATA and data[start:end].startswith(OWN_DATA_HEAD):
        track.metas.append((tick, kind, data[start:end]))
    elif kind is None:
        message = data[start:end]
        track.exclusive += not any(_begins(message, reset) for reset in _RESETS)
    return end


def _begins(message: bytes, pattern: Sequence[int | None]) -> bool:
    return len(message) >= len(pattern) and all(b is None or a == b for a, b in zip(message, pattern, strict=False))


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """(a number of up to four bytes of seven bits, where it ends); -1 for a longer one."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = 0
    for here in range(at, at + 4):
        value = value << 7 | data[here] & 0x7F
        if data[here] < 0x80:
            return value, here + 1
    return -1, at + 4
