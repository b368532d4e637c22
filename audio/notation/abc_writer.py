"""A score as ABC 2.1: text that people of folk music read, write and send.

A voice of a staff is a voice of ABC; chord symbols stand in the first. Pitches are written as they sound. ABC has no
velocities. Accidentals are written so that both of their readings (a sign holds for its octave, or for all) give the
same. Knows the format. Does not know how bars are filled (`page`).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

from clavilux.audio.harmony import Key
from clavilux.audio.notation.page import Event, Note, Page, Part
from clavilux.audio.notation.spelling import Spelled, key_alters, spelled
from clavilux.audio.notation.values import TICKS, beat_ticks, is_compound

_UNIT = TICKS // 2  # L:1/8
_BARS_A_LINE = 4
_SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
_C = Key(0, "major")


def abc_text(page: Page) -> str:
    """The file."""
    metre, (_, tempo) = page.bars[0].metre, page.tempos[0][0]
    mode = "m" if page.key.mode == "minor" else ""
    lines = ["%abc-2.1", "X:1", f"T:{' '.join(page.title.split()) or 'Untitled'}", f"M:{_metre(metre)}", "L:1/8"]
    lines.append(f"Q:{_tempo(tempo, metre)}")
    names = [[str(number) for number in numbers] for numbers in _numbers(page)]
    if sum(map(len, names)) > 1:
        lines.append("%%score " + " | ".join(f"({' '.join(each)})" if len(each) > 1 else each[0] for each in names))
    lines.append(f"K:{str(page.key).split()[0]}{mode}")
    first, number = True, 0
    for part in page.parts:
        for staff in range(len(part.staves)):
            for voice in range(part.staves[staff].num_voices):
                number += 1
                lines += _VoiceWriter(page, part, staff, voice, leads=first).lines(number)
                first = False
    return "\n".join(lines) + "\n"


def _numbers(page: Page) -> Iterable[list[int]]:
    """The numbers of the voices on each staff."""
    at = 0
    for part in page.parts:
        for staff in part.staves:
            yield list(range(at + 1, at + 1 + staff.num_voices))
            at += staff.num_voices


def _metre(metre: tuple[int, int]) -> str:
    return f"{metre[0]}/{metre[1]}"


def _tempo(tempo: float, metre: tuple[int, int]) -> str:
    return f"3/8={tempo / 1.5:.6g}" if is_compound(metre) else f"1/4={tempo:.6g}"


class _VoiceWriter:
    """Writes one voice of a staff."""

    def __init__(self, page: Page, part: Part, staff: int, voice: int, leads: bool) -> None:
        self._page, self._part, self._staff, self._voice, self._leads = page, part, part.staves[staff], voice, leads
        self._key = key_alters(page.key.sharps)

    def lines(self, number: int) -> list[str]:
        """The voice's head and its bars, some on each line."""
        clef = {"G": "treble", "F": "bass", "C": "alto", "percussion": "perc"}[self._staff.clef.sign]
        name = self._part.name[:1].upper() + self._part.name[1:]
        found = [f'V:{number} clef={clef} name="{name}"']
        found.append("%%MIDI channel 10" if self._part.drum else f"%%MIDI program {self._part.program}")
        found += ["%%MIDI gchordoff"] if self._leads else []  # else abc2midi would play the symbols
        bars = [self._bar(at) for at in range(len(self._page.bars))]
        for start in range(0, len(bars), _BARS_A_LINE):
            end = "|" if start + _BARS_A_LINE < len(bars) else "|]"
            found.append(" | ".join(bars[start : start + _BARS_A_LINE]) + f" {end}")
        return found

    def _bar(self, number: int) -> str:
        page, bar = self._page, self._page.bars[number]
        said: set[str] = set()
        words = [f"[M:{_metre(bar.metre)}]"] if number and page.opens(number) else []
        marks = [(at, f"[Q:{_tempo(tempo, bar.metre)}]") for at, tempo in page.tempos[number] if number or at]
        marks += [(at, f'"{chord.name(page.key)}"') for at, chord in page.chords[number]]
        waiting = sorted(marks, key=lambda mark: mark[0]) if self._leads else []
        events = self._staff.bars[number][self._voice]
        pieces = list(_cut(events, [at for at, _ in waiting])) if events else _silence(bar.ticks, waiting)
        groups = _group_sizes(pieces)
        text = " ".join(words)
        for index, (at, ticks, event, last) in enumerate(pieces):
            gap = " " if at % beat_ticks(bar.metre) == 0 or event is None or not event.notes else ""
            if text and gap:
                text += gap
            while waiting and waiting[0][0] <= at:
                text += waiting.pop(0)[1]
            if index in groups:
                text += f"(3:2:{groups[index]}"
            text += self._token(event, ticks, last, said)
        return text.strip()

    def _token(self, event: Event | None, ticks: int, last: bool, said: set[str]) -> str:
        nominal = Fraction(ticks * 3, 2) if event is not None and event.value.triplet else Fraction(ticks)
        length = _length(nominal / _UNIT)
        if event is None or not event.notes:
            return ("z" if self._voice == 0 else "x") + length
        heads = [self._head(note, said) + ("-" if note.struck.tied_out or not last else "") for note in event.notes]
        if len(heads) == 1:
            tie = heads[0].endswith("-")
            return heads[0].removesuffix("-") + length + "-" * tie
        return f"[{''.join(heads)}]{length}"

    def _head(self, note: Note, said: set[str]) -> str:
        name = note.spelled if note.spelled is not None else spelled(note.struck.pitch, _C)
        sign = ""
        if name.alter != self._key[name.letter] or name.letter in said:
            sign = _SIGNS[name.alter]
            said.add(name.letter)
        return sign + _letter(name)


def _letter(name: Spelled) -> str:
    """C4 is C, C5 is c."""
    if name.octave >= 5:
        return name.letter.lower() + "'" * (name.octave - 5)
    return name.letter + "," * (4 - name.octave)


def _length(units: Fraction) -> str:
    """Of a note, in units: "", "2", "/2", "3/2"."""
    top = "" if units.numerator == 1 else str(units.numerator)
    return top if units.denominator == 1 else f"{top}/{units.denominator}"


Piece = tuple[int, int, Event | None, bool]  # (tick, ticks, event, whether it is the event's last piece)


def _cut(events: Iterable[Event], marks: list[int]) -> Iterable[Piece]:
    """Events, cut where a chord symbol or a tempo has to stand."""
    for event in events:
        at, end = event.value.at, event.value.at + event.value.ticks
        edges = sorted({mark for mark in marks if at < mark < end} | {end})
        for edge in edges:
            yield at, edge - at, event, edge == end
            at = edge


def _silence(ticks: int, waiting: list[tuple[int, str]]) -> list[Piece]:
    edges = sorted({0, ticks} | {at for at, _ in waiting})
    return [(start, end - start, None, True) for start, end in pairwise(edges)]


def _group_sizes(pieces: list[Piece]) -> dict[int, int]:
    """Index of a piece that opens a group of triplets -> how many pieces are in it."""
    found: dict[int, int] = {}
    opened: int | None = None
    for index, (at, _, event, last) in enumerate(pieces):
        if event is None:
            continue
        if event.opens and at == event.value.at:
            opened = index
        if event.closes and last and opened is not None:
            found[opened] = index - opened + 1
            opened = None
    return found
