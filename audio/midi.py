"""Standard MIDI files as people have them: every note that is there, and a remark on what is not.

Knows quarters, formats and limits. Does not know keys, chords or sound.

Why no library reads them: symusic 0.5 loses notes in silence (running status behind a SysEx, notes without a release or
of one tick) and takes no SMPTE time; mido 1.3 reads whole files right, takes 60 times as long (2.5 s for a symphony's
movement) and gives up on a file that is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clavilux.audio.controllers import silent_parts
from clavilux.audio.midi_parts import notes_and_controls
from clavilux.audio.midi_tracks import (
    KEY_SIGNATURE,
    MARKER,
    METRE,
    OWN_DATA,
    OWN_DATA_HEAD,
    TEMPO,
    MetaEvent,
    Track,
    plural,
    read_header,
    read_tracks,
    unwrapped,
)
from clavilux.audio.notes import tidy_controls, tidy_notes
from clavilux.audio.programs import program_name
from clavilux.files import PathLike, check_readable

MOST_QUARTERS, MOST_HOURS = 500_000, 24  # beyond lies a stray event: 500,000 quarters at 120 a minute are 69 hours
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)
_SMPTE_FRAMES = {24: 24.0, 25: 25.0, 29: 30000 / 1001, 30: 30.0}  # a second
_PLAIN_TEMPO = 500_000  # microseconds a quarter, where a file says nothing


@dataclass
class MidiFile:
    """What a file holds; times are in quarters.

    notes, controls: `PART_NOTE` and `CONTROL` records
    tempos: (quarter, microseconds a quarter); metres: (quarter, (numerator, denominator))
    signature: (sharps, minor); markers: (quarter, text)
    own_data: the first text that was left in it here, which holds a receipt
    note_ons: how many notes the file begins, of which `notes` holds what can be kept
    damage: what is missing or broken, and was read around
    remarks: what is otherwise than it is written, or is not played
    """

    notes: np.ndarray
    controls: np.ndarray
    tempos: dict[float, int]
    metres: dict[float, tuple[int, int]]
    signature: tuple[int, bool] | None
    markers: list[tuple[float, str]]
    own_data: str
    note_ons: int
    damage: list[str]
    remarks: list[str]


def read_midi(path: PathLike) -> MidiFile:
    """Read a MIDI file as far as it goes.

    Raises:
        ValueError: no such file, not MIDI, a division that means nothing, no notes, more than `MOST_EVENTS` events, or
            a note that ends later than `MOST_QUARTERS` quarters or `MOST_HOURS` hours.
    """
    given = str(path)
    damage: list[str] = []
    remarks: list[str] = []
    data = unwrapped(check_readable(path, "MIDI file").read_bytes(), given, damage)
    form, promised, division, start = read_header(data, given, damage)
    ticks, time_code = _ticks_per_quarter(division, given)
    tracks = read_tracks(data, start, given, damage, remarks)
    if len(tracks) < promised:
        damage.append(f"cut off: the header promises {plural(promised, 'track')}, {len(tracks)} can be read")
    if form == 2 and len(tracks) > 1:
        _concatenate(tracks)
        remarks.append(f"format 2: its {len(tracks)} sequences follow one another")
    elif form > 2:
        remarks.append(f"format {form} is unknown; it is read as format 1")
    if time_code:
        remarks.append(f"time code of {time_code}: half a second is counted as a quarter")
    notes, controls = notes_and_controls(tracks, ticks, remarks)
    if not len(notes):
        raise ValueError(f"{given!r} is a MIDI file without notes" + f" ({'; '.join(damage)})" * bool(damage))
    kept = tidy_notes(notes)
    if len(kept) < len(notes):
        twice = plural(len(notes) - len(kept), "note")
        remarks.append(f"{twice} struck at once with another of the same pitch and part, which is kept")
    controls = tidy_controls(controls)
    if silent := silent_parts(kept, controls):
        said = []
        for part, count in silent.items():
            drum, program = kept[kept["part"] == part][["drum", "program"]][0].tolist()
            said.append(f"{'drums' if drum else program_name(program)} ({plural(count, 'note')})")
        remarks.append(f"not heard, as its volume is 0: {', '.join(said)}")
    metas = sorted((event for track in tracks for event in track.metas), key=lambda event: event[0])
    tempos = {0.0: _PLAIN_TEMPO} if time_code else _tempos(metas, ticks, damage)
    _check_length(kept, tempos, given)
    return MidiFile(
        notes=kept,
        controls=controls,
        tempos=tempos,
        metres=_metres(metas, ticks, damage),
        signature=_signature(metas),
        markers=[(tick / ticks, _text(data)) for tick, kind, data in metas if kind == MARKER],
        own_data=next((_text(data.removeprefix(OWN_DATA_HEAD)) for _, kind, data in metas if kind == OWN_DATA), ""),
        note_ons=sum(track.note_ons for track in tracks),
        damage=damage,
        remarks=remarks,
    )


def _ticks_per_quarter(division: int, given: str) -> tuple[float, str]:
    """(ticks a quarter, the name of a time code or ""); a quarter of a time code is half a second."""
    if division < 0x8000:
        if not division:
            raise ValueError(f"{given!r} has 0 ticks in a quarter, so its notes have no time; 480 would be usual")
        return division, ""
    frames, parts = 256 - (division >> 8), division & 0xFF
    if frames not in _SMPTE_FRAMES or not parts:
        raise ValueError(
            f"{given!r} has a time code of {frames} frames a second and {parts} ticks a frame; "
            "24, 25, 29 or 30 frames of 1 to 255 ticks are read"
        )
    return _SMPTE_FRAMES[frames] * parts / 2, f"{frames} frames a second and {parts} ticks a frame"


def _concatenate(tracks: list[Track]) -> None:
    """Move each track behind the one before, each in its own tempo."""
    offset = 0
    for track in tracks:
        if offset:
            track.metas.insert(0, (0, TEMPO, _PLAIN_TEMPO.to_bytes(3, "big")))
        track.keys = {key: [(e[0] + offset, *e[1:]) for e in events] for key, events in track.keys.items()}
        track.events = [(e[0] + offset, *e[1:]) for e in track.events]
        track.metas = [(e[0] + offset, *e[1:]) for e in track.metas]
        offset = track.end = track.end + offset


def _tempos(metas: list[MetaEvent], ticks: float, damage: list[str]) -> dict[float, int]:
    found = [
        (tick, int.from_bytes(data[:3], "big") if len(data) >= 3 else 0) for tick, kind, data in metas if kind == TEMPO
    ]
    if wrong := sum(not microseconds for _, microseconds in found):
        damage.append(f"{plural(wrong, 'tempo event')} of no tempo passed over")
    return {0.0: _PLAIN_TEMPO} | {tick / ticks: microseconds for tick, microseconds in found if microseconds}


def _metres(metas: list[MetaEvent], ticks: float, damage: list[str]) -> dict[float, tuple[int, int]]:
    found = [
        (tick, (data[0], 1 << data[1]) if len(data) >= 2 and data[0] and data[1] <= 6 else None)
        for tick, kind, data in metas
        if kind == METRE
    ]
    if wrong := sum(metre is None for _, metre in found):
        damage.append(f"{plural(wrong, 'metre')} that cannot be played passed over")
    return {0.0: (4, 4)} | {tick / ticks: metre for tick, metre in found if metre}


def _signature(metas: list[MetaEvent]) -> tuple[int, bool] | None:
    """(sharps, minor) of the first key signature that is one."""
    for _, kind, data in metas:
        if kind == KEY_SIGNATURE and len(data) >= 2:
            sharps = data[0] - 256 if data[0] > 127 else data[0]
            if -7 <= sharps <= 7:
                return sharps, data[1] == 1
    return None


def _check_length(notes: np.ndarray, tempos: dict[float, int], given: str) -> None:
    """Refuse a piece that nobody wrote: one stray note makes hours of silence, and work for each of its bars."""
    end = float((notes["start"] + notes["duration"]).max())
    times = [*tempos, max(end, max(tempos))]
    spans = zip(times, times[1:], tempos.values(), strict=False)
    hours = sum(max(0.0, min(later, end) - time) * microseconds for time, later, microseconds in spans) / 3.6e9
    if end > MOST_QUARTERS or hours > MOST_HOURS:
        raise ValueError(
            f"{given!r} lasts {hours:,.1f} hours ({end:,.0f} quarters), the end of its last note; "
            f"at most {MOST_HOURS} hours and {MOST_QUARTERS:,} quarters are read"
        )


def _text(data: bytes) -> str:
    """A marker; files of before UTF-8 are Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
