"""MusicXML as a score: score-partwise, plain or compressed (.mxl), with repeats and endings played out.

Knows the format. What is not played (grace notes, da capo) is said in the score's remarks.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import dataclass, field
from fractions import Fraction

from clavilux.audio.harmony import LETTERS, Chord, Key
from clavilux.audio.midi_parts import DRUM_CHANNEL
from clavilux.audio.midi_tracks import plural
from clavilux.audio.notation import drums
from clavilux.audio.notation.musicxml_writer import FORTE, KINDS
from clavilux.audio.notation.reading import MARKS, ReadBar, ReadNote, score_of
from clavilux.audio.programs import PROGRAM_NAMES
from clavilux.audio.score import Score, bar_quarters
from clavilux.files import LARGEST_BYTES, PathLike, check_readable

_MARKS = MARKS | {"pppp": 16, "ffff": 125}
_UNMARKED = 76  # the velocity before the first mark
_QUALITIES = {kind: quality for quality, kind in KINDS.items()} | {
    "major-sixth": "maj", "minor-sixth": "min", "dominant-ninth": "7", "dominant-11th": "7", "dominant-13th": "7",
    "major-ninth": "maj7", "major-11th": "maj7", "major-13th": "maj7", "minor-ninth": "min7", "minor-11th": "min7",
    "minor-13th": "min7", "suspended-second": "sus4", "power": "maj", "augmented-seventh": "aug", "major-minor": "min",
}  # fmt: skip
_UNITS = {"long": 16, "breve": 8, "whole": 4, "half": 2, "quarter": 1, "eighth": 0.5, "16th": 0.25, "32nd": 0.125}


def read_musicxml(path: PathLike, *, strict: bool = False) -> Score:
    """Read a .musicxml, .xml or .mxl file.

    Raises:
        ValueError: the file is missing, is no MusicXML, is score-timewise, or holds no notes; `strict`: or something in
            it is not played.
    """
    given = str(path)
    root = _root(check_readable(path, "score file").read_bytes(), given)
    try:
        reader = _Reader(root, given)
        score = reader.score()
    except (AttributeError, KeyError, ZeroDivisionError, TypeError) as error:
        raise ValueError(f"{given!r} is broken MusicXML ({type(error).__name__}: {error})") from error
    if strict and score.remarks:
        raise ValueError(f"{given!r}: {'; '.join(score.remarks)}")
    return score


def _root(data: bytes, given: str) -> ET.Element:
    if data[:2] == b"PK":
        data = _unpacked(data, given)
    if b"<!ENTITY" in data:  # they could name files, or grow without end
        raise ValueError(f"{given!r} declares XML entities, which are not read; save it again from a notation program")
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise ValueError(f"{given!r} is no XML: {error}") from None
    if root.tag == "score-timewise":
        raise ValueError(f"{given!r} is score-timewise MusicXML; save it as score-partwise")
    if root.tag != "score-partwise":
        raise ValueError(f"{given!r} is no MusicXML: it begins with <{root.tag[:40]}> and not with <score-partwise>")
    return root


def _unpacked(data: bytes, given: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            infos = [each for each in packed.infolist() if not each.filename.startswith("META-INF")]
            found = next((each for each in infos if each.filename.endswith((".musicxml", ".xml"))), None)
            if found is None:
                raise ValueError(f"{given!r} is a compressed file without MusicXML in it")
            if found.file_size > LARGEST_BYTES["score file"]:
                raise ValueError(f"{given!r} holds {found.file_size:,} bytes of MusicXML, more than is read")
            return packed.read(found)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{given!r} is a broken compressed file ({error})") from None


@dataclass
class _Player:
    """Who plays a note: by its instrument's `id`, "" for the part's first."""

    programs: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    drums: bool = False


class _Reader:
    def __init__(self, root: ET.Element, given: str) -> None:
        self._root, self._given = root, given
        self._bars: list[ReadBar] = []
        self._signature: Key | None = None
        self._grace = self._jumps = 0

    def score(self) -> Score:
        """All parts together."""
        players = {entry.get("id", ""): _player(entry) for entry in self._root.iter("score-part")}
        for number, part in enumerate(self._root.findall("part")):
            _PartReader(self, number, players.get(part.get("id", ""), _Player())).read(part)
        own = any((entry.text or "").startswith("Clavilux") for entry in self._root.iter("software"))
        remarks = [f"grace notes are not played: {plural(self._grace, 'note')}"] if self._grace else []
        remarks += ["da capo, dal segno and coda are not followed"] if self._jumps else []
        signature = self._signature
        return score_of(
            self._bars, self._given, key=signature if own else None, signature=signature, remarks=remarks
        )  # fmt: skip

    def bar(self, number: int, metre: tuple[int, int]) -> ReadBar:
        """A bar that all parts share."""
        while len(self._bars) <= number:
            self._bars.append(ReadBar(metre, Fraction(0)))
        return self._bars[number]

    def see_key(self, element: ET.Element) -> None:
        """Keep the first key signature."""
        if self._signature is None and element.find("fifths") is not None:
            sharps = _whole(element, "fifths", self._given)
            minor = element.findtext("mode") == "minor"
            tonic = sharps * 7 % 12
            self._signature = Key((tonic + 9) % 12, "minor") if minor else Key(tonic, "major")

    def count(self, *, grace: bool = False, jump: bool = False) -> None:
        """Note what is not played."""
        self._grace += grace
        self._jumps += jump

    @property
    def given(self) -> str:
        """The file's name."""
        return self._given


class _PartReader:
    def __init__(self, reader: _Reader, number: int, player: _Player) -> None:
        self._reader, self._number, self._player = reader, number, player
        self._divisions, self._metre, self._shift, self._velocity = 1, (4, 4), 0, _UNMARKED
        self._ending: tuple[int, ...] = ()  # of the bar that is read
        self._next_ending: tuple[int, ...] = ()

    def read(self, part: ET.Element) -> None:
        """All of its measures."""
        for number, measure in enumerate(part.findall("measure")):
            self._measure(measure, number)

    def _measure(self, measure: ET.Element, number: int) -> None:
        at = reached = last = Fraction(0)
        for attributes in measure.findall("attributes"):  # a metre may stand behind other things
            self._time(attributes)
        bar = self._reader.bar(number, self._metre)
        bar.metre = self._metre
        for element in measure:
            if element.tag == "attributes":
                self._attributes(element)
            elif element.tag == "note":
                length = self._length(element)
                chordal = element.find("chord") is not None
                if element.find("grace") is not None:
                    self._reader.count(grace=True)
                    continue
                start = last if chordal else at
                self._note(bar, element, start, length)
                last, at = start, at if chordal else at + length
            elif element.tag in ("backup", "forward"):
                at = max(Fraction(0), at + self._length(element) * (1 if element.tag == "forward" else -1))
            elif element.tag == "direction":
                self._direction(bar, element, at)
            elif element.tag == "sound":
                self._sound(bar, element, at)
            elif element.tag == "harmony":
                self._harmony(bar, element, at)
            elif element.tag == "barline":
                self._barline(bar, element)
            reached = max(reached, at)
        if self._ending:
            bar.endings = self._ending
        self._ending = self._next_ending
        whole = Fraction(bar_quarters(self._metre))
        short = measure.get("implicit") == "yes" or reached > whole
        bar.length = max(Fraction(bar.length), reached if short else whole)

    def _time(self, attributes: ET.Element) -> None:
        time = attributes.find("time")
        if time is not None and time.find("beats") is not None:
            beats = sum(int(each) for each in re.findall(r"\d+", time.findtext("beats", "4")))
            self._metre = (max(1, beats), _whole(time, "beat-type", self._reader.given))

    def _attributes(self, element: ET.Element) -> None:
        if element.find("divisions") is not None:
            self._divisions = max(1, _whole(element, "divisions", self._reader.given))
        for key in element.findall("key"):
            self._reader.see_key(key)
        move = element.find("transpose")
        if move is not None:
            self._shift = int(float(move.findtext("chromatic", "0"))) + 12 * int(move.findtext("octave-change", "0"))

    def _length(self, element: ET.Element) -> Fraction:
        return Fraction(element.findtext("duration", "0")) / self._divisions

    def _note(self, bar: ReadBar, element: ET.Element, at: Fraction, length: Fraction) -> None:
        instrument = element.find("instrument")
        name = "" if instrument is None else instrument.get("id", "")
        pitch = self._pitch(element, name)
        if pitch is None or length <= 0:
            return
        velocity = self._velocity
        if element.get("dynamics"):
            velocity = round(float(element.get("dynamics", "100")) * FORTE / 100)
        ties = {tie.get("type") for tie in element.findall("tie")}
        drum = self._player.drums or element.find("unpitched") is not None
        program = self._player.programs.get(name, self._player.programs.get("", 0))
        bar.notes.append(
            ReadNote(
                at, length, min(127, max(0, pitch)), min(127, max(1, velocity)), 0 if drum and program < 0 else program,
                drum, self._number, "stop" in ties, "start" in ties,
            )
        )  # fmt: skip

    def _pitch(self, element: ET.Element, instrument: str) -> int | None:
        pitch, shown = element.find("pitch"), element.find("unpitched")
        if pitch is not None:
            alter = round(float(pitch.findtext("alter", "0")))
            octave = _whole(pitch, "octave", self._reader.given)
            return 12 * (octave + 1) + LETTERS[pitch.findtext("step", "")] + alter + self._shift
        if shown is None:
            return None
        if instrument in self._player.keys:
            return self._player.keys[instrument]
        head = element.findtext("notehead", "")
        spot = (shown.findtext("display-step", "C"), int(shown.findtext("display-octave", "5")))
        return drums.key_at(*spot, "" if head == "normal" else head)

    def _direction(self, bar: ReadBar, element: ET.Element, at: Fraction) -> None:
        at = max(Fraction(0), at + Fraction(element.findtext("offset", "0")) / self._divisions)
        bar.sections += [(at, " ".join(mark.text.split())) for mark in element.iter("rehearsal") if mark.text]
        for dynamics in element.iter("dynamics"):
            self._velocity = next((_MARKS[mark.tag] for mark in dynamics if mark.tag in _MARKS), self._velocity)
        sound = element.find("sound")
        if sound is not None and self._sound(bar, sound, at):
            return
        mark = element.find("direction-type/metronome")
        found = re.search(r"\d+(\.\d+)?", "" if mark is None else mark.findtext("per-minute", ""))
        if mark is not None and found and float(found[0]) > 0:
            dotted = 1.5 if mark.find("beat-unit-dot") is not None else 1
            bar.tempos.append((at, float(found[0]) * _UNITS.get(mark.findtext("beat-unit", ""), 1) * dotted))

    def _sound(self, bar: ReadBar, element: ET.Element, at: Fraction) -> bool:
        """Take what a sound element says; whether it said a tempo."""
        if any(element.get(name) for name in ("dacapo", "dalsegno", "tocoda")):
            self._reader.count(jump=True)
        if element.get("dynamics"):
            self._velocity = round(float(element.get("dynamics", "100")) * FORTE / 100)
        tempo = float(element.get("tempo", "0"))
        if tempo > 0:
            bar.tempos.append((at, tempo))
        return tempo > 0

    def _harmony(self, bar: ReadBar, element: ET.Element, at: Fraction) -> None:
        quality = _QUALITIES.get(element.findtext("kind", "major"), "maj")
        root = _named(element, "root")
        if root is not None and element.findtext("kind") != "none":
            at = at + Fraction(element.findtext("offset", "0")) / self._divisions
            bass = _named(element, "bass")
            bar.chords.append((at, Chord(root, quality, None if bass == root else bass)))

    def _barline(self, bar: ReadBar, element: ET.Element) -> None:
        repeat, ending = element.find("repeat"), element.find("ending")
        if ending is not None:
            numbers = tuple(int(each) for each in re.findall(r"\d+", ending.get("number", "")))
            if ending.get("type") == "start":
                self._ending = self._next_ending = numbers
            else:
                self._next_ending = ()
        if repeat is not None and repeat.get("direction") == "forward":
            bar.opens_repeat = True
        elif repeat is not None:
            bar.repeats = max(2, int(repeat.get("times", "2")))


def _named(element: ET.Element, kind: str) -> int | None:
    """The pitch class of a root or bass."""
    step = element.findtext(f"{kind}/{kind}-step")
    if not step:
        return None
    return (LETTERS[step] + round(float(element.findtext(f"{kind}/{kind}-alter", "0")))) % 12


def _whole(element: ET.Element, name: str, given: str) -> int:
    text = element.findtext(name, "")
    try:
        return int(float(text))
    except ValueError:
        raise ValueError(f"{given!r} says {name} is {text[:40]!r}; it should be a whole number") from None


def _player(entry: ET.Element) -> _Player:
    player = _Player()
    for midi in entry.findall("midi-instrument"):
        name, program = midi.get("id", ""), midi.findtext("midi-program")
        if program is not None:
            player.programs[name] = min(127, max(0, int(program) - 1))
            player.programs.setdefault("", player.programs[name])
        if midi.findtext("midi-unpitched") is not None:
            player.keys[name] = int(midi.findtext("midi-unpitched", "39")) - 1
        player.drums |= midi.findtext("midi-channel") == str(DRUM_CHANNEL + 1)
    called = (entry.findtext("part-name") or "").strip().lower().rstrip("0123456789 ")
    if "" not in player.programs and called in PROGRAM_NAMES:
        player.programs[""] = PROGRAM_NAMES.index(called)
    return player
