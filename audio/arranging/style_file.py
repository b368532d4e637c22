"""The file of a band style: readable text in, a `Band` out, or one sentence with the number of the wrong line.

Knows the syntax of docs/guides/bands.md. Does not know where files lie (`library`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from clavilux.audio.arranging.band import (
    DRUM_KEYS,
    DRUM_SYMBOLS,
    KINDS,
    SYMBOLS,
    VOICINGS,
    Band,
    Part,
    Pattern,
    Progression,
    section_kind,
)
from clavilux.audio.arranging.numerals import check_numeral
from clavilux.audio.arranging.right_hand import TEXTURES
from clavilux.audio.harmony import Key
from clavilux.audio.lead_sheet import DYNAMICS
from clavilux.audio.programs import PROGRAM_NAMES
from clavilux.audio.score import bar_quarters

_PROGRAMS = {name.lower(): number for number, name in enumerate(PROGRAM_NAMES)}
_NOTE = re.compile(r"([A-G])([#b]?)(-?\d)")
_PLAIN = ("style", "metre", "tempo", "form", "lead", "words", "swing", "minor", "keys", "composer", "dynamics", "trio")
_NEEDED = ("style", "metre", "tempo", "form", "lead")
_SETTINGS = (
    "kind",
    "plays",
    "level",
    "range",
    "root",
    "voicing",
    "voices",
    "gate",
    "late",
    "strum",
    "mixed",
    "right hand",
)


@dataclass
class _Block:
    """Lines under one header, each with its number."""

    number: int
    words: tuple[str, ...]
    lines: list[tuple[int, str]] = field(default_factory=list)


class _Wrong(ValueError):
    """What is wrong in a line, and which one it is."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(what)
        self.number = number


def read_style(text: str, name: str = "the style") -> Band:
    """Read a band style.

    Args:
        text: the file's.
        name: of the file, for errors.

    Raises:
        ValueError: a line that is not understood, with its number, or something that is missing.
    """
    try:
        head, blocks = _blocks(text)
        plain = _head(head)
        parts = tuple(_part(block) for block in blocks if block.words[0] == "part")
        names = {part.name: part for part in parts}
        if plain.get("trio") not in (None, *(name for name, part in names.items() if part.kind == "chords")):
            number = next(number for number, line in head if line.startswith("trio"))
            raise _Wrong(number, f"{plain['trio']!r} plays no chords; it should be a part that does")
        metre = plain["metre"]
        patterns, progressions = [], []
        for block in blocks:
            if block.words[0] == "chords":
                progressions.append(_progression(block))
            elif block.words[0] != "part":
                patterns.append(_pattern(block, names, metre))
        if not parts or not patterns or not progressions:
            lacks = "part" if not parts else "pattern" if not patterns else "chords"
            raise _Wrong(1, f"there is no {lacks}: a style needs a [part ...], its patterns and [chords ...]")
        return Band(parts=parts, patterns=tuple(patterns), progressions=tuple(progressions), source=name, **plain)
    except _Wrong as error:
        raise ValueError(f"{name}, line {error.number}: {error}") from None


def read_words(text: str) -> tuple[str, tuple[str, ...]]:
    """(the style's name, the words that ask for it), without reading the rest; ("", ()) where it has no name."""
    found = dict(re.findall(r"^(style|words):[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
    return found.get("style", ""), tuple(_list(found.get("words", "")))


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _blocks(text: str) -> tuple[list[tuple[int, str]], list[_Block]]:
    head: list[tuple[int, str]] = []
    blocks: list[_Block] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#(\s.*|$)", "", raw).strip()
        if not line:
            continue
        header = re.fullmatch(r"\[(.+)\]", line)
        if header:
            words = tuple(header[1].replace(",", " ").split())
            if not words:
                raise _Wrong(number, f"an empty header {raw.strip()!r}; it should name a part and its sections")
            blocks.append(_Block(number, words))
        elif blocks:
            blocks[-1].lines.append((number, line))
        else:
            head.append((number, line))
    return head, blocks


def _setting(number: int, line: str, known: tuple[str, ...]) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or name.strip() not in known or not value.strip():
        raise _Wrong(number, f"{line[:40]!r} is no setting; it should be one of {', '.join(known)}, then : and a value")
    return name.strip(), value.strip()


def _number(number: int, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise _Wrong(number, f"{text[:20]!r} should be a number from {low:g} to {high:g}")
    return value


def _head(lines: list[tuple[int, str]]) -> dict[str, Any]:
    given: dict[str, tuple[int, str]] = {}
    for number, line in lines:
        name, value = _setting(number, line, _PLAIN)
        given[name] = (number, value)
    missing = [name for name in _NEEDED if name not in given]
    if missing:
        raise _Wrong(1, f"no line says {missing[0]!r}: a style needs {', '.join(_NEEDED)}")
    readers = {
        "words": lambda _, text: tuple(_list(text)), "lead": _lead, "metre": _metre, "tempo": _tempo,
        "form": _form, "minor": lambda number, text: _number(number, text, 0, 1), "composer": _plain,
        "dynamics": _dynamics, "trio": _plain,
    }  # fmt: skip
    plain: dict[str, Any] = {"name": given["style"][1].lower(), "words": ()}
    plain |= {name: read(*given[name]) for name, read in readers.items() if name in given}
    if "swing" in given:
        plain["swing"], plain["swing_quarters"] = _swing(*given["swing"])
    if "keys" in given:
        plain["major_keys"], plain["minor_keys"] = _keys(*given["keys"])
    return plain


def _plain(_number: int, text: str) -> str:
    return text


def _lead(number: int, text: str) -> tuple[str, ...]:
    for name in _list(text):
        _program(number, name)
    return tuple(name.lower() for name in _list(text))


def _program(number: int, name: str) -> int:
    if name.lower() not in _PROGRAMS:
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), _PROGRAMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ", such as 'fingered bass' or 'electric piano 1'"
        raise _Wrong(number, f"{name!r} is no instrument of General MIDI{hint}")
    return _PROGRAMS[name.lower()]


def _metre(number: int, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})/(2|4|8)", text)
    if not match or not int(match[1]):
        raise _Wrong(number, f"{text!r} is no metre; it should be like 4/4 or 6/8")
    return int(match[1]), int(match[2])


def _tempo(number: int, text: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    slowest, fastest = _number(number, low, 20, 300), _number(number, high if dash else low, 20, 300)
    if slowest > fastest:
        raise _Wrong(number, f"the tempo {text!r} goes down; it should be like 96-120")
    return slowest, fastest


def _form(number: int, text: str) -> tuple[tuple[str, int], ...]:
    form = []
    for word in _list(text):
        match = re.fullmatch(r"(\w+) (\d{1,2})", word)
        if not match or not int(match[2]):
            raise _Wrong(number, f"{word!r} is no section with its bars; it should be like 'verse 8'")
        form.append((section_kind(match[1]), int(match[2])))
    return tuple(form)


def _swing(number: int, text: str) -> tuple[float, float]:
    match = re.fullmatch(r"([\d.]+)(?: of (quarters|eighths))?", text)
    if not match:
        raise _Wrong(number, f"{text!r} is no swing; it should be like 0.62, or '0.56 of eighths' for 16ths that swing")
    return _number(number, match[1], 0.5, 0.75), 0.5 if match[2] == "eighths" else 1.0


def _keys(number: int, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    major, bar, minor = text.partition("|")
    if not bar or not major.split() or not minor.split():
        raise _Wrong(number, f"{text!r} should be tonics of major keys, |, and tonics of minor keys")
    for tonic in (*major.split(), *minor.split()):
        try:
            Key.parse(tonic)
        except ValueError:
            raise _Wrong(number, f"{tonic!r} is no tonic; it should be like F# or Bb") from None
    return tuple(major.split()), tuple(minor.split())


def _dynamics(number: int, text: str) -> dict[str, str]:
    found = {}
    for word in _list(text):
        name, _, dynamic = word.rpartition(" ")
        if not name or dynamic not in DYNAMICS:
            raise _Wrong(number, f"{word!r} should be a section and one of {', '.join(DYNAMICS)}")
        found[section_kind(name)] = dynamic
    return found


def _pitch(number: int, text: str) -> int:
    match = _NOTE.fullmatch(text)
    if not match:
        raise _Wrong(number, f"{text!r} is no pitch; it should be like E1 or Bb3, C4 being the middle C")
    letter = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[match[1]]
    return 12 * (int(match[3]) + 1) + letter + {"#": 1, "b": -1, "": 0}[match[2]]


def _part(block: _Block) -> Part:
    if len(block.words) != 2 or block.words[1] in ("part", "chords"):
        raise _Wrong(block.number, "the header of a part should be like [part bass]")
    name = block.words[1]
    kind = name if name in KINDS else "chords"
    values: dict[str, Any] = {}
    for number, line in block.lines:
        setting, value = _setting(number, line, _SETTINGS)
        if setting == "kind":
            kind = _choice(number, value, KINDS)
        elif setting == "plays":
            values["program"] = 0 if value == "drum kit" else _program(number, value)
        elif setting in ("level", "voices"):
            values[setting] = round(_number(number, value, 1, 127 if setting == "level" else 6))
        elif setting == "range":
            if len(value.split()) != 2:
                raise _Wrong(number, f"{value!r} is no range; it should be two pitches, like E1 G3")
            values["low"], values["high"] = (_pitch(number, pitch) for pitch in value.split())
            if values["high"] - values["low"] < 12:
                raise _Wrong(number, f"the range {value!r} should span an octave or more, from the lowest pitch up")
        elif setting == "root":
            values["root"] = _pitch(number, value)
        elif setting == "voicing":
            values["voicing"] = _choice(number, value, VOICINGS)
        elif setting == "right hand":
            values["right_hand"] = _right_hand(number, value)
        elif setting == "gate":
            values["gate"] = _number(number, value, 0.05, 1)
        elif setting == "mixed":
            values["mixed"] = _number(number, value, 0.1, 100)
        else:
            values[f"{setting}_ms"] = _number(number, value.removesuffix(" ms"), -60, 60)
    if "right_hand" in values and kind != "chords":
        raise _Wrong(block.number, f"{name!r} plays no chords, so it has no right hand for a melody")
    values.setdefault("low", 28 if kind == "bass" else 50)
    values.setdefault("high", values["low"] + 24)
    values.setdefault("root", values["low"])
    return Part(name=name, kind=kind, **values)


def _right_hand(number: int, text: str) -> tuple[tuple[str, float], ...]:
    found: dict[str, float] = {}
    for word in _list(text):
        texture, _, weight = word.rpartition(" ")
        if texture not in TEXTURES:
            raise _Wrong(number, f"{word!r} should be one of {', '.join(TEXTURES)}, and its weight, like 'thirds 10'")
        if texture in found:
            raise _Wrong(number, f"{texture!r} is there twice; each should have one weight")
        found[texture] = _number(number, weight, 0, 1000)
    if not any(found.values()):
        raise _Wrong(number, "every weight is 0; one texture should have more")
    return tuple(found.items())


def _choice(number: int, value: str, valid: tuple[str, ...]) -> str:
    if value not in valid:
        raise _Wrong(number, f"{value!r} should be one of {', '.join(valid)}")
    return value


def _pattern(block: _Block, parts: dict[str, Part], metre: tuple[int, int]) -> Pattern:
    name, *sections = block.words
    if name not in parts:
        raise _Wrong(block.number, f"no part {name!r}; it should be one of {', '.join(parts)}, each under [part NAME]")
    steps = round(4 * bar_quarters(metre))
    if sections and re.fullmatch(r"/\d{1,2}", sections[-1]):
        steps = int(sections.pop()[1:])
    if not steps:
        raise _Wrong(block.number, "a bar should have one step or more")
    weight = 1.0
    if sections and re.fullmatch(r"[\d.]+%", sections[-1]):
        weight = _number(block.number, sections.pop()[:-1], 0.01, 100)
    if not sections or not block.lines:
        raise _Wrong(block.number, f"the pattern of {name!r} should name its sections, or *, and have rows")
    rows = [_row(number, line, parts[name].kind) for number, line in block.lines]
    longest = max(len(symbols) for _, symbols in rows)
    for (number, _), (_, symbols) in zip(block.lines, rows, strict=True):
        if len(symbols) % steps or longest % len(symbols):
            raise _Wrong(number, f"a row of {len(symbols)} steps; it should have {steps} for each bar")
    same = tuple((drum, symbols * (longest // len(symbols))) for drum, symbols in rows)
    return Pattern(name, tuple(section_kind(each) for each in sections), steps, longest // steps, same, weight)


def _row(number: int, line: str, kind: str) -> tuple[str, str]:
    drum, known = "", SYMBOLS
    if kind == "drums":
        drum, _, line = line.partition(" ")
        known = DRUM_SYMBOLS
        if drum not in DRUM_KEYS:
            raise _Wrong(number, f"{drum!r} is no drum; it should be one of {', '.join(DRUM_KEYS)}")
    symbols = re.sub(r"[\s|]", "", line)
    wrong = next((symbol for symbol in symbols if symbol not in known), None)
    if wrong or not symbols:
        raise _Wrong(number, f"{wrong or line!r} is no step; they are {' '.join(known)}")
    return drum, symbols


def _progression(block: _Block) -> Progression:
    _, *sections = block.words
    mode = sections.pop() if sections and sections[-1] in ("major", "minor") else ""
    bars: list[tuple[str, ...]] = []
    for number, line in block.lines:
        for bar in line.strip("|").split("|"):
            chords = tuple(bar.split())
            if not chords:
                raise _Wrong(number, "an empty bar; it should hold numerals such as I or vi7, or %")
            if chords == ("%",) and bars:
                chords = bars[-1]
            for numeral in chords:
                if problem := check_numeral(numeral):
                    raise _Wrong(number, problem)
            bars.append(chords)
    if not bars or not sections:
        raise _Wrong(block.number, "chords should name their sections, or *, and have bars, such as I | IV | V7 | I")
    return Progression(tuple(section_kind(each) for each in sections), mode, tuple(bars))
