"""ABC as a score: the first tune of a file, with its voices, repeats and endings played out.

Reads what ABC 2.1 has for notes: keys and modes, metres, tempi, tuplets, broken rhythm, ties, chord symbols, voices,
overlays, `%%MIDI program` and `channel`. What is not played (grace notes, macros) is said in the score's remarks.
"""

from __future__ import annotations

import re
from fractions import Fraction

from clavilux.audio.chart import read_chord
from clavilux.audio.harmony import LETTERS, Key
from clavilux.audio.midi_parts import DRUM_CHANNEL
from clavilux.audio.midi_tracks import plural
from clavilux.audio.notation.abc_voice import AbcVoice
from clavilux.audio.notation.reading import MARKS, ReadBar, ReadNote, score_of
from clavilux.audio.notation.spelling import key_alters
from clavilux.audio.programs import PROGRAM_NAMES
from clavilux.audio.score import Score, bar_quarters
from clavilux.files import PathLike, read_text

_MODES = {
    "": 0,
    "maj": 0,
    "ion": 0,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "dor": -2,
    "mix": -1,
    "phr": -4,
    "lyd": 1,
    "loc": -5,
}
_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
_NUMBER = r"(\d*/*\d*)"
_NOTE = r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)" + _NUMBER + r"(-?)"
_TOKENS = re.compile(
    r'(?P<quoted>"[^"]*")|(?P<mark>![^!\n]*!|\+[a-z][^+\n]*\+)|(?P<grace>\{[^}]*\})|(?P<field>\[[A-Za-z]:[^\]]*\])'
    r"|(?P<bar>\|\]|\[\||:*\|[|:]*|::+)(?P<ending>[1-9][\d,-]*)?|(?P<start>\[[1-9][\d,-]*)"
    r"|(?P<tuplet>\(\d(?::\d*){0,2})|(?P<chord>\[[^\]:|]*\])" + _NUMBER.replace("(", "(?P<long>", 1) + r"(?P<tie>-?)"
    rf"|(?P<note>{_NOTE})|(?P<rest>[zxZX])(?P<rests>\d*/*\d*)|(?P<broken>>+|<+)|(?P<over>&)"
    r"|(?P<skip>[\s().~\\`*$y;?]|[H-WLOPSTMuv]\s*|-)"
)  # fmt: skip


def read_abc(path: PathLike, *, strict: bool = False) -> Score:
    """Read the first tune of a file.

    Raises:
        ValueError: the file is missing, has no key (`K:`) or no notes, or something that is no ABC, in which line;
            `strict`: or something in it is not played.
    """
    given = str(path)
    reader = _Reader(read_text(path, "score file").splitlines(), given)
    score = reader.score()
    if strict and score.remarks:
        raise ValueError(f"{given!r}: {'; '.join(score.remarks)}")
    return score


class _Reader:
    def __init__(self, lines: list[str], given: str) -> None:
        self._given, self._line = given, 0
        self._lines = self._first_tune(lines)
        self._voices: dict[str, AbcVoice] = {}
        self._plain = AbcVoice(0)  # what the header says
        self._unit_given = False
        self._tempo: float | None = None
        self._signature: Key | None = None
        self._key: Key | None = None
        self._grace = 0
        self._unknown: set[str] = set()
        self._order = ""  # of parts
        self._voice: AbcVoice | None = None

    def _first_tune(self, lines: list[str]) -> list[tuple[int, str]]:
        """The lines of the first tune, with their numbers."""
        starts = [number for number, line in enumerate(lines) if line.startswith("X:")]
        first, last = (starts or [0])[0], (starts[1:] or [len(lines)])[0]
        self._others = max(0, len(starts) - 1)
        return [(number + 1, lines[number]) for number in range(first, last)]

    def score(self) -> Score:
        """The tune."""
        body = False
        for number, text in self._lines:
            self._line = number
            line = text if text.startswith("%%") else re.sub(r"(?<!\\)%.*", "", text).rstrip()
            if line.startswith("%%"):
                self._midi(line)
            elif match := re.match(r"([A-Za-z+]):\s*(.*)", line):
                self._field(match[1], match[2].strip(), body)
                body |= match[1] == "K"
            elif body:
                self._music(line)
        if not body:
            raise ValueError(f"{self._given!r} has no key, a line such as K:G, so it is no ABC")
        return self._joined()

    def _joined(self) -> Score:
        voices = list(self._voices.values())
        parts: dict[tuple[str, int, bool], int] = {}
        bars: list[ReadBar] = []
        for voice in voices:
            voice.close()
            who = (voice.name or f"#{voice.number}", voice.program, voice.drum)
            part = parts.setdefault(who, len(parts))
            for number, bar in enumerate(voice.bars):
                for note in bar.notes:
                    note.part = part
                if number == len(bars):
                    bars.append(bar)
                    continue
                whole = bars[number]
                whole.notes += bar.notes
                whole.chords += bar.chords
                whole.tempos += bar.tempos
                whole.length = max(whole.length, bar.length)
        if bars and self._tempo is not None:
            bars[0].tempos.insert(0, (0, self._tempo))
        remarks = [f"grace notes are not played: {plural(self._grace, 'note')}"] if self._grace else []
        remarks += [f"passed over: {', '.join(sorted(self._unknown)[:8])}"] if self._unknown else []
        remarks += [f"the parts are played as they stand, not as P:{self._order[:20]}"] if self._order else []
        remarks += [f"of {self._others + 1} tunes the first is read"] if self._others else []
        bars = [bar for bar in bars if bar.length > 0]
        return score_of(bars, self._given, key=self._key, signature=self._signature, remarks=remarks)

    # Fields

    def _current(self) -> AbcVoice:
        if self._voice is None:
            self._switch("1")
        assert self._voice is not None, "it was just made"
        return self._voice

    def _switch(self, name: str, rest: str = "") -> None:
        if name not in self._voices:
            plain = self._plain
            self._voices[name] = AbcVoice(
                len(self._voices), program=plain.program, drum=plain.drum, metre=plain.metre, unit=plain.unit,
                alters=dict(plain.alters),
            )  # fmt: skip
        voice = self._voice = self._voices[name]
        if called := re.search(r'(?:name|nm)="([^"]*)"', rest):
            voice.name = called[1]
            instrument = voice.name.lower().rstrip("0123456789 ")
            voice.program = PROGRAM_NAMES.index(instrument) if instrument in PROGRAM_NAMES else voice.program
        voice.drum |= "clef=perc" in rest

    def _field(self, letter: str, value: str, body: bool) -> None:
        holders = [self._voice] if body and self._voice is not None else [self._plain, *self._voices.values()]
        if letter == "V":
            name, _, rest = value.partition(" ")
            self._switch(name, rest)
            if not body:
                self._voice = None
        elif letter == "M":
            self._metre(holders, value)
        elif letter == "L":
            unit = self._fraction(value, "L") * 4
            self._unit_given = True
            for voice in holders:
                voice.unit = unit
        elif letter == "Q":
            self._take_tempo(value, body)
        elif letter == "K":
            self._take_key(holders, value, body)
        elif letter == "P" and not body and value:
            self._order = value

    def _metre(self, holders: list[AbcVoice], value: str) -> None:
        metre = {"C": (4, 4), "C|": (2, 2), "none": (4, 4), "": (4, 4)}.get(value)
        if metre is None:
            match = re.fullmatch(r"\(?([\d+ ]+)\)?\s*/\s*(\d+)", value)
            if not match or int(match[2]) not in (1, 2, 4, 8, 16, 32, 64):
                raise self._wrong(f"M:{value}", "a metre such as M:6/8")
            metre = (max(1, sum(map(int, re.findall(r"\d+", match[1])))), int(match[2]))
        for voice in holders:
            voice.metre = metre
            if not self._unit_given:
                voice.unit = Fraction(1, 4) if Fraction(*metre) < Fraction(3, 4) else Fraction(1, 2)

    def _take_tempo(self, value: str, body: bool) -> None:
        value = re.sub(r'"[^"]*"', "", value).strip()
        match = re.search(r"((?:\d+/\d+\s*)+)=\s*(\d+(?:\.\d+)?)", value) or re.fullmatch(r"()(\d+(?:\.\d+)?)", value)
        if not match:
            if value:
                raise self._wrong(f"Q:{value}", "a tempo such as Q:1/4=120")
            return
        beat = sum((Fraction(each) for each in match[1].split()), Fraction(0)) * 4 or Fraction(1)
        tempo = float(beat) * float(match[2])
        if tempo <= 0:
            raise self._wrong(f"Q:{value}", "a tempo above 0")
        if body and self._voice is not None and (self._voice.bars or self._tempo is not None):
            voice = self._voice
            bar = voice.open()
            bar.tempos.append((voice.at, tempo))
        else:
            self._tempo = tempo

    def _take_key(self, holders: list[AbcVoice], value: str, body: bool) -> None:
        match = re.match(r"(?:([A-G])([#b]?)\s*([A-Za-z]*)|HP|Hp|none|)", value)
        if match is None or (match[1] is None and value and not re.match(r"HP|Hp|none|clef|treble|bass", value)):
            raise self._wrong(f"K:{value}", "a key such as K:G, K:Em or K:Ddor")
        sharps = {"HP": 2, "Hp": 2}.get(value[:2], 0)
        mode = (match[3] or "").lower()[:3] if match[1] else ""
        mode = mode if mode in _MODES else ""
        if match[1]:
            place = "FCGDAEB".index(match[1]) - 1 + 7 * ((match[2] == "#") - (match[2] == "b"))
            sharps = place + _MODES[mode]
        if not -7 <= sharps <= 7:
            raise self._wrong(f"K:{value}", "a key of at most seven sharps or flats")
        for voice in holders:
            voice.alters = key_alters(sharps)
        if self._signature is None:
            minor = _MODES[mode] in (-2, -3, -4, -5)
            self._signature = Key((sharps * 7 + 9) % 12, "minor") if minor else Key(sharps * 7 % 12, "major")
            self._key = self._signature if match[1] and _MODES[mode] in (0, -3) else None

    def _midi(self, line: str) -> None:
        match = re.match(r"%%MIDI\s+(program|channel)\s+(?:\d+\s+)?(\d+)\s*$", line)
        if match:
            voice = self._voice or self._plain
            if match[1] == "program":
                voice.program = min(127, int(match[2]))
            else:
                voice.drum = int(match[2]) == DRUM_CHANNEL + 1

    # Music

    def _music(self, line: str) -> None:
        at = 0
        while at < len(line):
            match = _TOKENS.match(line, at)
            if match is None:
                self._unknown.add(repr(line[at]))
                at += 1
                continue
            self._token(match)
            at = match.end()

    def _token(self, match: re.Match[str]) -> None:
        voice, kind = self._current(), match.lastgroup
        if match["note"]:
            found = re.fullmatch(_NOTE, match["note"])
            assert found is not None, "the token is a note by the same pattern"
            self._notes(voice, [found], "")
        elif match["chord"] is not None:
            heads = list(re.finditer(_NOTE, match["chord"]))
            if heads:
                self._notes(voice, heads, match["long"], tied=bool(match["tie"]))
        elif match["rest"]:
            self._rest(voice, match["rest"], match["rests"])
        elif match["bar"]:
            self._bar(voice, match["bar"], match["ending"] or "")
        elif match["start"]:
            voice.close()
            voice.ending = self._endings(match["start"][1:])
        elif match["quoted"]:
            self._symbol(voice, match["quoted"][1:-1])
        elif match["tuplet"]:
            self._tuplet(voice, match["tuplet"][1:])
        elif match["broken"]:
            self._broken(voice, match["broken"])
        elif match["grace"]:
            self._grace += len(re.findall("[A-Ga-g]", match["grace"]))
        elif match["mark"]:
            voice.velocity = MARKS.get(match["mark"][1:-1], voice.velocity)
        elif match["field"]:
            self._field(match["field"][1], match["field"][3:-1].strip(), True)
        elif kind == "over":
            voice.at = Fraction(0)

    def _notes(self, voice: AbcVoice, heads: list[re.Match[str]], long: str, tied: bool = False) -> None:
        factor, left = voice.tuplet
        scale = self._times(long) * voice.factor * (factor if left else 1)
        voice.tuplet, voice.factor = (factor, max(0, left - 1)), Fraction(1)
        bar, struck = voice.open(), []
        for head in heads:
            length = self._times(head[4]) * voice.unit * scale
            place, pitch, tied_in = self._pitch(voice, head)
            tied_out = tied or bool(head[5])
            who = (voice.velocity, voice.program, voice.drum, 0)
            struck.append(ReadNote(voice.at, length, pitch, *who, tied_in, tied_out))
            if tied_out:
                voice.ties[place] = pitch
        struck = [note for note in struck if note.length > 0]
        if not struck:
            return
        bar.notes += struck
        voice.last = (struck, Fraction(struck[0].length))
        voice.advance(Fraction(struck[0].length))

    def _pitch(self, voice: AbcVoice, head: re.Match[str]) -> tuple[tuple[str, int], int, bool]:
        """(where it stands, its MIDI pitch, whether a tie leads to it)"""
        letter = head[2].upper()
        octave = 4 + head[2].islower() + head[3].count("'") - head[3].count(",")
        place = (letter, octave)
        tie = voice.ties.pop(place, None)
        if head[1]:
            voice.said[letter] = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}[head[1]]
        elif tie is not None:
            return place, tie, True
        pitch = 12 * (octave + 1) + LETTERS[letter] + voice.said.get(letter, voice.alters[letter])
        if not 0 <= pitch <= 127:
            raise self._wrong(head[0], "a note within MIDI's pitches 0 to 127")
        return place, pitch, tie == pitch

    def _rest(self, voice: AbcVoice, kind: str, number: str) -> None:
        if kind in "zx":
            factor, left = voice.tuplet
            length = self._times(number) * voice.unit * voice.factor * (factor if left else 1)
            voice.tuplet, voice.factor = (factor, max(0, left - 1)), Fraction(1)
            voice.open()
            voice.last = ([], length)
            voice.advance(length)
            return
        for _ in range(min(1000, int(number or 1))):
            voice.open()
            voice.advance(Fraction(bar_quarters(voice.metre)))
            voice.close()

    def _bar(self, voice: AbcVoice, line: str, ending: str) -> None:
        voice.close()
        if line.startswith(":") and voice.bars:
            voice.bars[-1].repeats = 2
        if line.startswith(":") or line in ("||", "|]", "[|") or line.endswith(":"):
            voice.ending = ()
        voice.opens |= line.endswith(":")
        if ending:
            voice.ending = self._endings(ending)

    def _endings(self, text: str) -> tuple[int, ...]:
        found: list[int] = []
        for part in text.strip(",-").split(","):
            low, _, high = part.partition("-")
            found += range(int(low), min(int(high or low), int(low) + 20) + 1) if low.isdigit() else []
        return tuple(found)

    def _symbol(self, voice: AbcVoice, text: str) -> None:
        if not text or text[0] in "^_<>@":
            return
        try:
            chord, _ = read_chord(text)
        except ValueError:
            self._unknown.add(f'"{text[:20]}"')
            return
        bar = voice.open()
        bar.chords.append((voice.at, chord))

    def _tuplet(self, voice: AbcVoice, text: str) -> None:
        p, q, r = ([int(part) if part else 0 for part in text.split(":")] + [0, 0])[:3]
        usual = 3 if voice.metre[0] % 3 == 0 and voice.metre[1] >= 8 else 2
        if p:
            voice.tuplet = (Fraction(q or _TUPLETS.get(p, usual), p), r or p)

    def _broken(self, voice: AbcVoice, signs: str) -> None:
        short = Fraction(1, 2 ** min(3, len(signs)))
        before, voice.factor = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        notes, length = voice.last
        for note in notes:
            note.length = note.length * before
        voice.advance(length * (before - 1))
        voice.reached = max((Fraction(note.at + note.length) for note in voice.open().notes), default=voice.at)

    def _times(self, text: str) -> Fraction:
        """The length behind a note: "" is 1, "/" a half, "3/2"."""
        top, slashes, below = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()  # type: ignore[union-attr]
        under = int(below) if below else 2 ** min(8, len(slashes))
        if not under:
            raise self._wrong(text, "a length such as 2 or /2")
        return Fraction(int(top or 1), under)

    def _fraction(self, text: str, name: str) -> Fraction:
        match = re.fullmatch(r"(\d+)(?:/(\d+))?", text)
        if not match or not int(match[1]) or not int(match[2] or 1):
            raise self._wrong(f"{name}:{text}", "a fraction such as L:1/8")
        return Fraction(int(match[1]), int(match[2] or 1))

    def _wrong(self, found: str, right: str) -> ValueError:
        return ValueError(f"{self._given!r}, line {self._line}: {found[:60]!r} should be {right}")
