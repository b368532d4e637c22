"""A score as MusicXML 4.0 (score-partwise), for notation programs.

Pitches are written as they sound; clefs say where a part is read an octave higher. `dynamics` holds every velocity. The
same score gives the same bytes. Knows the format. Does not know how bars are filled (`page`) or where the file goes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from clavilux.audio.harmony import SUFFIXES, Chord, Key
from clavilux.audio.midi_parts import DRUM_CHANNEL
from clavilux.audio.notation import drums
from clavilux.audio.notation.page import Clef, Event, Note, Page, Part
from clavilux.audio.notation.spelling import Accidentals
from clavilux.audio.notation.values import TICKS, Metre, beat_ticks, is_compound

FORTE = 90  # the velocity that MusicXML's dynamics are percents of
KINDS = {
    "maj": "major", "min": "minor", "dim": "diminished", "aug": "augmented", "7": "dominant", "maj7": "major-seventh",
    "min7": "minor-seventh", "dim7": "diminished-seventh", "hdim7": "half-diminished", "sus4": "suspended-fourth",
}  # fmt: skip
SIGNS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_FLAGS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4}
_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 '
    'Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)


def musicxml_bytes(page: Page) -> bytes:
    """The file."""
    root = ET.Element("score-partwise", version="4.0")
    if page.title:
        _add(_add(root, "work"), "work-title", page.title)
    encoding = _add(_add(root, "identification"), "encoding")
    _add(encoding, "software", "Clavilux")
    for element in ("accidental", "beam"):
        _add(encoding, "supports", element=element, type="yes")
    names = _add(root, "part-list")
    for number, part in enumerate(page.parts, 1):
        _part_entry(names, part, f"P{number}", _channel(page.parts, number - 1))
    for number, part in enumerate(page.parts, 1):
        _PartWriter(page, part, f"P{number}", leads=number == 1).write(_add(root, "part", id=f"P{number}"))
    ET.indent(root, " ")
    return (_DOCTYPE + ET.tostring(root, encoding="unicode") + "\n").encode()


def _add(parent: ET.Element, name: str, text: object = None, /, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, name, {key.replace("_", "-"): value for key, value in attributes.items()})
    if text is not None:
        child.text = str(text)
    return child


def _channel(parts: tuple[Part, ...], index: int) -> int:
    """The MIDI channel, from 1, that a part is given; parts beyond the sixteenth share."""
    if parts[index].drum:
        return DRUM_CHANNEL + 1
    pitched = sum(not part.drum for part in parts[:index]) % 15
    return pitched + 1 + (pitched >= DRUM_CHANNEL)


def _keys_of(part: Part) -> list[int]:
    """The drum keys that a part strikes."""
    events = (event for staff in part.staves for bar in staff.bars for voice in bar for event in voice)
    return sorted({note.struck.pitch for event in events for note in event.notes})


def _part_entry(names: ET.Element, part: Part, name: str, channel: int) -> None:
    entry = _add(names, "score-part", id=name)
    _add(entry, "part-name", part.name[:1].upper() + part.name[1:])
    played = [(f"{name}-I{key + 1}", drums.name(key), key) for key in _keys_of(part)] if part.drum else []
    for instrument, called, _ in played or [(f"{name}-I1", part.name, 0)]:
        _add(_add(entry, "score-instrument", id=instrument), "instrument-name", called)
    for instrument, _, key in played or [(f"{name}-I1", part.name, 0)]:
        midi = _add(entry, "midi-instrument", id=instrument)
        _add(midi, "midi-channel", channel)
        _add(midi, "midi-program", part.program + 1)
        if part.drum:
            _add(midi, "midi-unpitched", key + 1)


class _PartWriter:
    """Writes one part; the one that leads has the tempi and the chord symbols too."""

    def __init__(self, page: Page, part: Part, name: str, leads: bool) -> None:
        self._page, self._part, self._name, self._leads = page, part, name, leads
        self._signs = [Accidentals(page.key.sharps) for _ in part.staves]

    def write(self, parent: ET.Element) -> None:
        """All bars."""
        short = bool(self._page.bars) and self._page.bars[0].ticks < _whole(self._page, 0)
        for number, bar in enumerate(self._page.bars):
            measure = _add(parent, "measure", number=str(number if short else number + 1))
            if bar.ticks < _whole(self._page, number):
                measure.set("implicit", "yes")
            self._head(measure, number)
            self._fill(measure, number)
        line = _add(measure, "barline", location="right")
        _add(line, "bar-style", "light-heavy")

    def _head(self, measure: ET.Element, number: int) -> None:
        page, bar = self._page, self._page.bars[number]
        if number == 0 or page.opens(number):
            head = _add(measure, "attributes")
            if number == 0:
                _add(head, "divisions", TICKS)
                _key(head, Key(0, "major") if self._part.drum else page.key)
            time = _add(head, "time")
            _add(time, "beats", bar.metre[0])
            _add(time, "beat-type", bar.metre[1])
            if number == 0:
                if len(self._part.staves) > 1:
                    _add(head, "staves", len(self._part.staves))
                for index, staff in enumerate(self._part.staves, 1):
                    _clef(head, staff.clef, index if len(self._part.staves) > 1 else None)
        if self._leads:
            for at, name in page.sections[number]:
                _section(measure, at, name)
            for at, tempo in page.tempos[number]:
                _tempo(measure, at, tempo, compound=is_compound(bar.metre))
            for at, chord in page.chords[number]:
                _harmony(measure, at, chord, page.key)

    def _fill(self, measure: ET.Element, number: int) -> None:
        """The voices of a bar, staff after staff; each goes back to the bar's start."""
        bar, first = self._page.bars[number], True
        for index, staff in enumerate(self._part.staves):
            voices = [(n, events) for n, events in enumerate(staff.bars[number]) if events] or [(0, ())]
            signs = self._signs_of(index, [events for _, events in voices])
            for n, events in voices:
                if not first:
                    _add(_add(measure, "backup"), "duration", bar.ticks)
                first = False
                spot = _Spot(
                    str(4 * index + n + 1), str(index + 1) if len(self._part.staves) > 1 else "", n > voices[0][0]
                )
                if not events:
                    _silence(measure, bar.ticks, spot, bar.ticks == _whole(self._page, number))
                for event, beams in zip(events, beams_of(events, bar.metre), strict=True):
                    self._event(measure, event, spot, beams, signs)

    def _signs_of(self, staff: int, voices: list[tuple[Event, ...]]) -> dict[int, int]:
        """The accidentals of a bar, by the note's `id`: they hold for all voices of a staff, in the order of time."""
        accidentals = self._signs[staff]
        accidentals.bar()
        signs = {}
        for event in sorted((event for events in voices for event in events), key=lambda event: event.value.at):
            for note in event.notes:
                if note.spelled is not None:
                    needed = accidentals.needed(note.spelled, note.struck.tied_in)
                    if needed is not None:
                        signs[id(note)] = needed
        return signs

    def _event(self, measure: ET.Element, event: Event, spot: _Spot, beams: list[str], signs: dict[int, int]) -> None:
        if not event.notes:
            rest = _add(measure, "note", **({"print_object": "no"} if spot.hidden else {}))
            _add(rest, "rest")
            _finish(rest, event, spot, [], None, opens=event.opens, closes=event.closes)
        for place, note in enumerate(event.notes):
            element = _add(measure, "note", dynamics=f"{note.struck.velocity * 100 / FORTE:.2f}")
            if place:
                _add(element, "chord")
            head = self._pitch(element, note)
            _add(element, "duration", event.value.ticks)
            for kind, tied in (("stop", note.struck.tied_in), ("start", note.struck.tied_out)):
                if tied:
                    _add(element, "tie", type=kind)
            if self._part.drum:
                _add(element, "instrument", id=f"{self._name}-I{note.struck.pitch + 1}")
            first = place == 0
            _finish(
                element, event, spot, beams if first else [], note, sign=signs.get(id(note)), head=head,
                opens=event.opens and first, closes=event.closes and first,
            )  # fmt: skip

    def _pitch(self, element: ET.Element, note: Note) -> str:
        """Write a pitch; the kind of a drum's head, or ""."""
        if note.spelled is None:
            step, octave, head = drums.place(note.struck.pitch)
            shown = _add(element, "unpitched")
            _add(shown, "display-step", step)
            _add(shown, "display-octave", octave)
            return head
        pitch = _add(element, "pitch")
        _add(pitch, "step", note.spelled.letter)
        if note.spelled.alter:
            _add(pitch, "alter", note.spelled.alter)
        _add(pitch, "octave", note.spelled.octave)
        return ""


@dataclass(frozen=True)
class _Spot:
    """Where an event stands: voice, staff ("" where there is one only), and whether its rests are left out."""

    voice: str
    staff: str
    hidden: bool


def _finish(
    element: ET.Element, event: Event, spot: _Spot, beams: list[str], note: Note | None, *,
    sign: int | None = None, head: str = "", opens: bool, closes: bool,
) -> None:  # fmt: skip
    """What comes behind a note's or rest's pitch, in the order that the format asks for."""
    value = event.value
    if note is None:
        _add(element, "duration", value.ticks)
    _add(element, "voice", spot.voice)
    _add(element, "type", value.name)
    for _ in range(value.dots):
        _add(element, "dot")
    if sign is not None:
        _add(element, "accidental", SIGNS[sign])
    if value.triplet:
        ratio = _add(element, "time-modification")
        _add(ratio, "actual-notes", 3)
        _add(ratio, "normal-notes", 2)
    if head:
        _add(element, "notehead", head)
    if spot.staff:
        _add(element, "staff", spot.staff)
    for number, beam in enumerate(beams, 1):
        _add(element, "beam", beam, number=str(number))
    tied_in, tied_out = (False, False) if note is None else (note.struck.tied_in, note.struck.tied_out)
    if tied_in or tied_out or opens or closes:
        marks = _add(element, "notations")
        for kind, given in (("stop", tied_in), ("start", tied_out)):
            if given:
                _add(marks, "tied", type=kind)
        for kind, given in (("start", opens), ("stop", closes)):
            if given:
                _add(marks, "tuplet", type=kind, **({"bracket": "yes"} if kind == "start" else {}))


def _silence(measure: ET.Element, ticks: int, spot: _Spot, whole: bool) -> None:
    """A bar's rest; that of a short bar is not as long as its metre, for which `measure` would be read."""
    rest = _add(measure, "note")
    _add(rest, "rest", **({"measure": "yes"} if whole else {}))
    _add(rest, "duration", ticks)
    _add(rest, "voice", spot.voice)
    if spot.staff:
        _add(rest, "staff", spot.staff)


def beams_of(events: tuple[Event, ...], metre: Metre) -> list[list[str]]:
    """The beams of each event: "begin", "continue", "end" or a hook, one for each flag."""
    beat = beat_ticks(metre)
    groups: list[list[int]] = []  # indices of neighbours with flags, within a beat
    for index, event in enumerate(events):
        if not event.notes or event.value.name not in _FLAGS:
            continue
        before = groups[-1][-1] if groups else None
        if before == index - 1 and events[before].value.at // beat == event.value.at // beat:
            groups[-1].append(index)
        else:
            groups.append([index])
    beams: list[list[str]] = [[] for _ in events]
    for group in groups:
        flags = [_FLAGS[events[index].value.name] for index in group]
        for place, index in enumerate(group if len(group) > 1 else []):
            for level in range(1, flags[place] + 1):
                before, after = (
                    place > 0 and flags[place - 1] >= level,
                    level <= (flags[place + 1 : place + 2] or [0])[0],
                )
                alone = "backward hook" if place else "forward hook"
                beams[index].append({(0, 0): alone, (0, 1): "begin", (1, 0): "end", (1, 1): "continue"}[before, after])
    return beams


def _whole(page: Page, number: int) -> int:
    numerator, denominator = page.bars[number].metre
    return numerator * 4 * TICKS // denominator


def _key(head: ET.Element, key: Key) -> None:
    element = _add(head, "key")
    _add(element, "fifths", key.sharps)
    _add(element, "mode", key.mode)


def _clef(head: ET.Element, clef: Clef, number: int | None) -> None:
    element = _add(head, "clef", **({} if number is None else {"number": str(number)}))
    _add(element, "sign", clef.sign)
    if clef.sign != "percussion":
        _add(element, "line", clef.line)
    if clef.octaves:
        _add(element, "clef-octave-change", clef.octaves)


def _tempo(measure: ET.Element, at: int, tempo: float, *, compound: bool) -> None:
    """A metronome mark, in dotted quarters where three units are a beat, and the tempo itself."""
    direction = _add(measure, "direction", placement="above")
    mark = _add(_add(direction, "direction-type"), "metronome")
    _add(mark, "beat-unit", "quarter")
    if compound:
        _add(mark, "beat-unit-dot")
    _add(mark, "per-minute", f"{tempo / 1.5 if compound else tempo:.6g}")
    if at:
        _add(direction, "offset", at)
    _add(direction, "sound", tempo=f"{tempo:.9g}")


def _section(measure: ET.Element, at: int, name: str) -> None:
    direction = _add(measure, "direction", placement="above")
    _add(_add(direction, "direction-type"), "rehearsal", name)
    if at:
        _add(direction, "offset", at)


def _harmony(measure: ET.Element, at: int, chord: Chord, key: Key) -> None:
    """A chord symbol."""
    root, _, bass = chord.name(key).partition("/")
    element = _add(measure, "harmony")
    _named(_add(element, "root"), "root", root)
    _add(element, "kind", KINDS[chord.quality], text=SUFFIXES[chord.quality])
    if bass:
        _named(_add(element, "bass"), "bass", bass)
    if at:
        _add(element, "offset", at)


def _named(parent: ET.Element, kind: str, name: str) -> None:
    _add(parent, f"{kind}-step", name[0])
    alter = (name[1:2] == "#") - (name[1:2] == "b")
    if alter:
        _add(parent, f"{kind}-alter", alter)
