"""Lead sheets as text that people write: sections in brackets, bars between lines, a chord where it changes.

Knows the format, both ways. Does not know who plays a sheet, or which metres and styles they know.

    title: Evening walk
    key: G major
    tempo: 96
    metre: 3/4

    [A]
    | G | C D | Em | D7 |
    [A varied]

Three that are explained by comments lie in `examples/sheets`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from clavilux.audio.chart import read_chord, spread
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.lead_sheet import LeadSheet, SheetBar, SheetSection
from clavilux.files import PathLike, atomic_path, read_text

LONGEST_LINES, MOST_BARS = 5000, 999
HOLD, AGAIN = ".", "%"
_HEADER = ("title", "key", "tempo", "metre", "style", "swing", "instruments")
_OF_SECTION = ("metre", "dynamics", "instruments", "bars")
_USUAL_TEMPO = 100.0


class SheetText(NamedTuple):
    """What was read: the sheet, and what of it is not played as it is written, such as "C9 (played as C7)"."""

    sheet: LeadSheet
    played_as: tuple[str, ...] = ()


def load_sheet(path: PathLike) -> SheetText:
    """Read a file, UTF-8. Raises ValueError as `read_sheet`, or for what is no such file."""
    return read_sheet(read_text(path), repr(str(path)))


def save_sheet(sheet: LeadSheet, path: PathLike) -> None:
    """Write a file that `load_sheet` reads back as the same sheet. Raises ValueError as `write_sheet`."""
    text = write_sheet(sheet)
    with atomic_path(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


def read_sheet(text: str, name: str = "the sheet") -> SheetText:
    """Read a sheet.

    Args:
        text: of it.
        name: what errors call it.

    Raises:
        ValueError: a line that is none of the format's, a value outside its range or a section without bars; the
            sentence has the line's number.
    """
    reader = _Reader()
    lines = text.splitlines()
    if len(lines) > LONGEST_LINES:
        raise ValueError(f"{name} has {len(lines)} lines; a sheet may have {LONGEST_LINES}")
    for number, line in enumerate(lines, 1):
        try:
            reader.read(line.strip(), number)
        except ValueError as error:
            number = error.number if isinstance(error, _OfSection) else number
            raise ValueError(f"{name}, line {number}: {str(error).rstrip('.')}") from None
    try:
        reader.end_section()
    except ValueError as error:
        raise ValueError(f"{name}, line {reader.section_line}: {error}") from None
    if not reader.sections:
        raise ValueError(f"{name} has no section; it needs one such as [A] with bars such as | G | C | D7 | G |")
    return SheetText(reader.sheet(), tuple(reader.played_as))


class _OfSection(ValueError):
    """What is wrong with a section as a whole, found at its end; `number` is the line in which it begins."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


@dataclass
class _Reader:
    """What was read up to a line."""

    header: dict[str, str] = field(default_factory=dict)
    key: Key = field(default_factory=lambda: Key(0, "major"))
    tempo: float = _USUAL_TEMPO
    metre: tuple[int, int] = (4, 4)
    swing: float | None = None
    sections: list[SheetSection] = field(default_factory=list)
    played_as: dict[str, None] = field(default_factory=dict)
    # of the section that is being read
    name: str = ""
    varied: bool = False
    section_line: int = 0
    bars: list[SheetBar] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)
    metre_here: tuple[int, int] = (4, 4)
    ended_as: dict[str, tuple[int, tuple[SheetBar, ...]]] = field(default_factory=dict)

    def read(self, line: str, number: int) -> None:
        if not line or line.startswith("#"):
            return
        setting = re.fullmatch(r"([A-Za-z]+)\s*:\s*(.*)", line)
        if line.startswith("["):
            self._begin_section(line, number)
        elif line.startswith("|"):
            if not self.name:
                raise ValueError("bars stand before any section; write a line such as [A] above them")
            self.bars += self._bars_of(line)
        elif setting:
            self._set(setting[1].lower(), setting[2].strip())
        else:
            raise ValueError(
                f"{line[:40]!r} is neither a section such as [A], nor bars such as | G | D7 |, nor a setting such as "
                "tempo: 96"
            )
        if sum(len(section.bars) for section in self.sections) + len(self.bars) > MOST_BARS:
            raise ValueError(f"the sheet has more than {MOST_BARS} bars")

    def _begin_section(self, line: str, number: int) -> None:
        match = re.fullmatch(r"\[\s*([^\[\]]+?)\s*\]", line)
        if not match:
            raise ValueError(f"{line[:40]!r} is no section; write its name in brackets, such as [chorus]")
        self.end_section()
        self.section_line = number
        words = match[1].split()
        self.varied = len(words) > 1 and words[-1].lower() == "varied"
        self.name = " ".join(words[:-1] if self.varied else words)
        self.bars, self.own, self.metre_here = [], {}, self.metre

    def end_section(self) -> None:
        """Keep the section that was read; one without bars has those of its name's first appearance."""
        if not self.name:
            return
        before = self.ended_as.get(self.name)
        if not self.bars and before is None:
            raise _OfSection(self.section_line, f"the section [{self.name}] has no bars")
        if before is not None and self.bars and tuple(self.bars) != before[1]:
            raise _OfSection(
                self.section_line,
                f"the section [{self.name}] has other bars than in line {before[0]}; leave them out, so that it "
                "returns, or give it another name",
            )
        bars = tuple(self.bars) or (before[1] if before else ())
        self.ended_as.setdefault(self.name, (self.section_line, bars))
        players = self.own.get("instruments")
        self.sections.append(
            SheetSection(
                self.name,
                bars,
                self.own.get("dynamics"),
                None if players is None else _names(players),
                self.varied,
            )
        )

    def _set(self, what: str, value: str) -> None:
        allowed = _OF_SECTION if self.name else _HEADER
        if what not in allowed:
            where = f"in the section [{self.name}]" if self.name else "above the sections"
            raise ValueError(f"{what!r} is not known {where}; settings there are {', '.join(allowed)}")
        if not value:
            raise ValueError(f"{what} has no value")
        settings = self.own if self.name else self.header
        if what in settings and what not in ("bars", "metre"):
            raise ValueError(f"{what} is said twice")
        settings[what] = value
        if what == "metre":
            self.metre_here = _metre(value)
            if not self.name:
                self.metre = self.metre_here
        elif what == "bars":
            self.bars += [SheetBar(self.metre_here)] * _count(value)
        elif what == "key":
            self.key = Key.parse(value)
        elif what == "tempo":
            self.tempo = _number(what, value, 20, 300)
        elif what == "swing":
            self.swing = _number(what, value, 0.5, 0.75)
        elif what == "instruments":
            _names(value)
        elif what == "dynamics":
            SheetSection("A", (SheetBar(),), value)  # checks it

    def _bars_of(self, line: str) -> list[SheetBar]:
        found: list[SheetBar] = []
        for place, text in enumerate(line.strip("|").split("|"), 1):
            words = text.split()
            if not words:
                raise ValueError(f"bar {place} is empty; write its chord, or {HOLD} where the one before goes on")
            if words == [AGAIN]:
                bar = found[-1] if found else self.bars[-1] if self.bars else None
                if bar is None:
                    raise ValueError(f"bar {place} is {AGAIN}, and no bar of its section is before it")
                found.append(bar)
                continue
            chords = [None if word == HOLD else self._chord(word) for word in words]
            times = spread(len(chords), self.metre_here)
            said = tuple((at, chord) for at, chord in zip(times, chords, strict=True) if chord is not None)
            found.append(SheetBar(self.metre_here, said))
        return found

    def _chord(self, word: str) -> Chord:
        chord, exact = read_chord(word)
        if not exact:
            self.played_as[f"{word} (played as {chord})"] = None
        return chord

    def sheet(self) -> LeadSheet:
        """All of it. The sheet's own players are those of every section that names none."""
        common = self.header.get("instruments")
        sections = tuple(
            replace(section, instruments=_names(common)) if common and section.instruments is None else section
            for section in self.sections
        )
        return LeadSheet(
            self.key,
            self.tempo,
            sections,
            self.header.get("title", ""),
            self.header.get("style"),
            self.swing,
        )


def _metre(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})\s*/\s*(\d{1,2})", text)
    if not match:
        raise ValueError(f"metre is {text[:20]!r}; it should be like 3/4 or 6/8")
    return SheetBar((int(match[1]), int(match[2]))).metre


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text) or not 1 <= int(text) <= MOST_BARS:
        raise ValueError(f"bars is {text[:20]!r}; it should be a whole number from 1 to {MOST_BARS}")
    return int(text)


def _number(what: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not low <= value <= high:
        raise ValueError(f"{what} is {text[:20]!r}; it should be a number from {low:g} to {high:g}")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError(f"instruments is {text[:40]!r}; it should be names with commas between them")
    return names


def write_sheet(sheet: LeadSheet) -> str:
    """The text of a sheet, which `read_sheet` reads back as the same sheet.

    Raises:
        ValueError: what the text cannot say: a melody, chords off the half-beats, a section that returns with other
            bars, or a name with brackets.
    """
    if sheet.melody is not None and len(sheet.melody):
        raise ValueError("a sheet as text holds no melody; save it as MIDI")
    metre = sheet.bars[0].metre
    lines = [f"title: {sheet.title}"] if sheet.title else []
    lines += [f"key: {sheet.key}", f"tempo: {sheet.tempo!r}".removesuffix(".0"), f"metre: {metre[0]}/{metre[1]}"]
    lines += [f"style: {sheet.style}"] if sheet.style else []
    lines += [f"swing: {sheet.swing!r}"] if sheet.swing is not None else []
    written: dict[str, tuple[SheetBar, ...]] = {}
    for section in sheet.sections:
        lines += ["", f"[{section.name}{' varied' if section.varied else ''}]"]
        lines += [f"dynamics: {section.dynamic}"] if section.dynamic else []
        lines += [f"instruments: {', '.join(section.instruments)}"] if section.instruments else []
        if section.name not in written:
            lines += _bar_lines(section.bars, metre, sheet.key)
        elif written[section.name] != section.bars:
            raise ValueError(f"the section {section.name!r} returns with other bars, which a sheet as text cannot say")
        written[section.name] = section.bars
    text = "\n".join(lines) + "\n"
    if read_sheet(text).sheet != sheet:
        raise ValueError("the sheet holds what its text cannot say, such as a name with brackets or a finer number")
    return text


def _bar_lines(bars: tuple[SheetBar, ...], metre: tuple[int, int], key: Key) -> list[str]:
    lines: list[str] = []
    row: list[str] = []
    for bar in bars:
        if bar.metre != metre or len(row) == 4:
            lines += [f"| {' | '.join(row)} |"] * bool(row)
            row = []
        if bar.metre != metre:
            metre = bar.metre
            lines.append(f"metre: {metre[0]}/{metre[1]}")
        row.append(" ".join(_words(bar, key)))
    return [*lines, f"| {' | '.join(row)} |"]


def _words(bar: SheetBar, key: Key) -> list[str]:
    """A bar's chords as the fewest words that say where they stand."""
    if not bar.chords:
        return [HOLD]
    beats = bar.metre[0]
    for count in range(len(bar.chords), 2 * beats + 1):
        times = spread(count, bar.metre)
        at = {round(time, 6): chord for time, chord in bar.chords}
        if {*at} <= {round(time, 6) for time in times}:
            return [at[round(time, 6)].name(key) if round(time, 6) in at else HOLD for time in times]
    raise ValueError(f"chords at {[time for time, _ in bar.chords]} quarters stand on no half-beat of a bar")
