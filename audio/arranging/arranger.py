"""The arranger: a lead sheet and a band style in, the band's notes out, bar by bar.

Knows sections, fills, breaks, endings and who is silent when. Does not know what a symbol means (`figures`), files, or
sound.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clavilux.audio.arranging.band import AS_BEFORE, DRUM_KEYS, Band, Part, Pattern, section_kind
from clavilux.audio.arranging.figures import Hands, Harmony, Row, as_velocity, drum_rows, pitched_rows
from clavilux.audio.arranging.left_hand import Hand, Memory, figure_of_bar, tastes
from clavilux.audio.arranging.right_hand import companions, habits, manners
from clavilux.audio.arranging.timing import offset_s, swing_notes
from clavilux.audio.harmony import Chord
from clavilux.audio.lead_sheet import LeadSheet
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import bar_quarters

DRUM_SETS = ("full", "light", "brushes", "sticks", "none")
_BRUSH_KIT = 40
_BREAK_SHARE = 0.3  # of sections that lead into a chorus, where the style has a break
LEVEL_OF = {"ppp": 0.5, "pp": 0.6, "p": 0.72, "mp": 0.84, "mf": 0.93, "f": 1.0, "ff": 1.08, "fff": 1.15}
_CRASH, _KICK = 49, 36
_PHRASE = 8  # bars
_LEADS_INTO = ("chorus", "B", "drop", "solo")


@dataclass(frozen=True)
class _Place:
    """Where a bar stands."""

    section: str
    metre: tuple[int, int]
    index: int  # in its section
    bars: int  # of its section
    occurrence: int  # of its section's name, counted where the section is to be varied
    dynamic: str
    instruments: tuple[str, ...] | None
    following: str  # the next section; "" at the end
    start: float
    is_last: bool

    @property
    def closes(self) -> bool:
        """Whether the bar ends eight bars or the section."""
        return self.index % _PHRASE == _PHRASE - 1 or (self.index + 1 == self.bars and self.bars > _PHRASE // 2)


class Arranger:
    """Plays a sheet in a style.

    The same sheet, style and seed give the same notes. Sections that return are played alike, unless the sheet says
    that they are varied; what leads out of them may differ.

    Args:
        sheet: form and chords, and its swing where it has one; its melody is not played.
        band: the style.
        seed: any integer.
        drums: one of `DRUM_SETS`; "brushes" and "sticks" are softer kits, "light" has neither fills nor crashes.
        without: names of parts that do not play.
        melodists: who play the melody; their numbers in the notes' `part` come first.

    Raises:
        ValueError: drums that there are not.
    """

    def __init__(
        self,
        sheet: LeadSheet,
        band: Band,
        *,
        seed: int,
        drums: str = "full",
        without: Sequence[str] = (),
        melodists: int = 1,
    ) -> None:
        if drums not in DRUM_SETS:
            raise ValueError(f"drums is {drums!r}; it should be one of {', '.join(DRUM_SETS)}")
        self.sheet, self.band, self.seed, self.drums = sheet, band, seed, drums
        self._melodists = melodists
        self.swing = band.swing if sheet.swing is None else sheet.swing
        silent = {*without, *(part.name for part in band.parts if part.kind == "drums" and drums == "none")}
        self.parts = tuple(part for part in band.parts if part.name not in silent)
        self._hands = {part.name: Hands() for part in self.parts}
        self._played = {part.name: Memory() for part in self.parts}
        self._places = _places(sheet)
        events = sheet.chords()
        self._chord_times = np.array([time for time, _ in events])
        self._chords = [chord for _, chord in events]
        self._changes = {round(time, 6) for time, _ in events}

    @property
    def num_bars(self) -> int:
        return len(self._places)

    def part_number(self, part: Part) -> int:
        """Its number in the notes' `part`; those before are left to the melody's players."""
        return self.band.parts.index(part) + self._melodists

    def bar(self, index: int, melody: np.ndarray | None = None) -> np.ndarray:
        """The band's notes in a bar, `PART_NOTE` in quarters from the sheet's start, swung, on the grid of the style.

        Args:
            index: of the bar; they are asked for in order, since hands go on in a section from where they are.
            melody: the notes of the bar, from the sheet's start, that chords which lie below a melody keep under. What
                belongs to the right hand that plays them is among the notes of its player.
        """
        place = self._places[index]
        if place.index == 0:  # a section that returns begins with the same hands
            self._hands = {part.name: Hands() for part in self.parts}
        length = self.sheet.bars[index].quarters
        tune = _tune(place, melody)
        harmony = self._harmony(place, length, tune)
        broken = self._breaks(place)
        found = []
        for part in self.parts:
            if place.instruments is not None and part.name not in place.instruments:
                continue
            if melody is None or broken or place.is_last or part.voicing != "hand":
                rows, right = self._two_hands(part, place, length, harmony, broken, tune, melody)
            else:
                rows, right = self._as_before(part, index, length, harmony, tune, melody)
            scale = LEVEL_OF[place.dynamic]
            played = [(*row[:3], as_velocity(row[3] * scale)) for row in rows] + right  # as loud as the melody is
            program = (
                (_BRUSH_KIT if self.drums == "brushes" else part.program) if part.kind == "drums" else part.program
            )
            found += [
                (place.start + start, max(duration, 0.05), pitch, velocity, program, part.kind == "drums",
                 self.part_number(part))
                for start, duration, pitch, velocity in played
            ]  # fmt: skip
        notes = np.array(found, PART_NOTE)
        return swing_notes(notes, self.swing, self.band.swing_quarters, place.start)

    def with_melody(self, index: int, melody: np.ndarray) -> np.ndarray:
        """A bar of the band together with its melody, which is swung as the band is; the band hears its part 0."""
        start = self._places[index].start
        band = self.bar(index, melody[melody["part"] == 0])
        return np.concatenate([swing_notes(melody, self.swing, self.band.swing_quarters, start), band])

    def played(self, notes: np.ndarray) -> np.ndarray:
        """The same notes as hands play them: some milliseconds early or late, chords of strings spread."""
        late = {self.part_number(part): part for part in self.parts}
        notes = notes.copy()
        per_s = self.sheet.tempo / 60
        for note, start in zip(notes, notes["start"].copy(), strict=True):
            number = int(note["part"])
            part = late.get(number)
            stroke = (number, round(float(start), 4), int(note["pitch"]) if note["drum"] else 0)
            offset = offset_s(self.seed, *stroke) + (part.late_ms / 1000 if part else 0.0)
            if part and part.strum_ms:
                together = notes["pitch"][(notes["part"] == number) & (notes["start"] == start)]
                offset += part.strum_ms / 1000 * int((together < note["pitch"]).sum())
            note["start"] = max(0.0, start + offset * per_s)
        return notes

    def heard(self) -> frozenset[str]:
        """The names of the parts that play anything in this song."""
        numbers = {int(number) for index in range(self.num_bars) for number in np.unique(self.bar(index)["part"])}
        return frozenset(part.name for part in self.parts if self.part_number(part) in numbers)

    # One part in one bar

    def _as_before(
        self, part: Part, index: int, length: float, harmony: Harmony, tune: Sequence[Row], melody: np.ndarray
    ) -> Hand:
        """What a pianist's hands play: what they played to the same melody before, or something new."""
        place, memory = self._places[index], self._played[part.name]
        chords = tuple((at, harmony.at(at)) for at in (0.0, *harmony.changes))
        bar = (place.metre, chords, tuple((round(row[0], 3), round(row[1], 3), row[2]) for row in tune))
        where = (place.section, place.occurrence, place.index, place.bars)
        hand = memory.again(index, where, bar, self._rng(f"{part.name}:again", place, place.index))
        if hand is None:
            hand = self._two_hands(part, place, length, harmony, False, tune, melody)
        memory.keep(index, where, bar, hand)
        return hand

    def _two_hands(
        self, part: Part, place: _Place, length: float, harmony: Harmony, broken: bool, tune: Sequence[Row],
        melody: np.ndarray | None,
    ) -> Hand:  # fmt: skip
        """A part's figure, and what its player strikes with the melody where he plays that too."""
        right = self._right_hand(part, place, harmony, melody)
        above = self._harmony(place, length, [*tune, *right]) if right else harmony
        rows = self._rows(part, place, length, above, broken)
        return rows, [note for note in right if not any(_is_under(note, row) for row in rows)]

    def _right_hand(self, part: Part, place: _Place, harmony: Harmony, melody: np.ndarray | None) -> list[Row]:
        """What the player of a part strikes with the melody, where he plays that too: one voice, on his instrument."""
        if not part.right_hand or melody is None or self._melodists > 1:
            return []
        tune = sorted(row for row in _tune(place, melody[melody["program"] == part.program]) if row[0] > -1e-6)
        if not tune or any(row[0] + row[1] > later[0] + 1e-6 for row, later in itertools.pairwise(tune)):
            return []
        own = habits(dict(part.right_hand), random.Random(f"{self.seed}:{part.name}:right hand"))
        manner = manners(own, place.index + 1, self._rng(f"{part.name}:right hand", place))[-1]
        return companions(tune, manner, harmony, beat=4 / place.metre[1], tempo=self.sheet.tempo, is_last=place.is_last)

    def _rows(self, part: Part, place: _Place, length: float, harmony: Harmony, broken: bool) -> list[Row]:
        rng = self._rng(part.name, place, place.index)
        if place.is_last:
            return self._ending(part, place, length, harmony, rng)
        if broken:
            pattern = self._one(part, place, "break")
            return [] if pattern is None else self._figure(part, pattern, 0, place.metre, harmony, rng)
        pattern = self._one(part, place, "close") if place.closes else None
        pattern = pattern or self._one(part, place, place.section)
        if pattern is None:
            return []
        if part.kind != "drums":
            return self._figure(part, pattern, place.index, place.metre, harmony, rng)
        rows = self._softened(self._figure(part, pattern, place.index, place.metre, harmony, rng))
        rows = self._with_fill(rows, part, place, length, harmony, rng)
        if place.index == 0 and place.start > 0 and place.dynamic in ("f", "ff", "fff") and self.drums == "full":
            rows.append((0.0, 1.0, _CRASH, 96))
        return rows

    def _figure(
        self, part: Part, pattern: Pattern, bar: int, metre: tuple[int, int], harmony: Harmony, rng: random.Random
    ) -> list[Row]:
        """A bar of a pattern, fitted to the bar's metre where the style's is another."""
        first = bar % pattern.bars * pattern.steps
        steps, places = self._steps(pattern.steps, metre)
        rows = [(drum, "".join(symbols[first + step] for step in steps)) for drum, symbols in pattern.rows]
        if part.kind == "drums":
            return drum_rows(rows, places, part, rng)
        return pitched_rows(
            [symbols for _, symbols in rows], places, bar_quarters(metre), part, harmony, self._hands[part.name], rng
        )

    def _steps(self, count: int, metre: tuple[int, int]) -> tuple[list[int], list[float]]:
        """(which steps of a pattern's bar are played, at which quarters): its beats, as many as the bar has; all of
        them where the bar has the style's beats in other notes, as 3/8 has those of 3/4.
        """
        own, length = bar_quarters(self.band.metre), bar_quarters(metre)
        if abs(own - length) < 1e-6 or metre[0] == self.band.metre[0]:
            return list(range(count)), [step * length / count for step in range(count)]
        per_quarter = count / own
        number = max(1, round(length * per_quarter))
        return [step % count for step in range(number)], [step / per_quarter for step in range(number)]

    def _ending(self, part: Part, place: _Place, length: float, harmony: Harmony, rng: random.Random) -> list[Row]:
        """The last bar: the style's own, or one stroke that all hold to the end."""
        pattern = self._one(part, place, "ending")
        if pattern is not None:
            rows = self._figure(part, pattern, 0, place.metre, harmony, rng)
            return self._softened(rows) if part.kind == "drums" else rows
        if part.kind == "drums":
            return self._softened([(0.0, length, _CRASH, 100), (0.0, 0.25, _KICK, 96)])
        if self._one(part, place, place.section) is None:
            return []
        symbol = "1" if part.kind == "bass" else "x"
        return pitched_rows([symbol], [0.0], length, part, harmony, self._hands[part.name], rng)

    def _with_fill(
        self, rows: list[Row], part: Part, place: _Place, length: float, harmony: Harmony, rng: random.Random
    ) -> list[Row]:
        """The bar with a fill in it, where the section ends and another follows."""
        if place.index + 1 < place.bars or place.bars < 4 or not place.following or self.drums in ("light", "none"):
            return rows
        fill = self._one(part, place, "fill")
        if fill is None:
            return rows
        kept = len(fill.rows[0][1]) - len(fill.rows[0][1].lstrip(AS_BEFORE))
        _, places = self._steps(fill.steps, place.metre)
        from_quarter = places[kept] if kept < len(places) else length
        played = self._softened(self._figure(part, fill, 0, place.metre, harmony, rng))
        return [row for row in rows if row[0] < from_quarter - 1e-6] + [
            r for r in played if r[0] >= from_quarter - 1e-6
        ]

    def _softened(self, rows: list[Row]) -> list[Row]:
        """Strokes as other drums than the full set have them."""
        if self.drums == "brushes":  # no cymbal is struck, the rest is swept
            turned = {
                _CRASH: DRUM_KEYS["ride"],
                DRUM_KEYS["clap"]: DRUM_KEYS["snare"],
                DRUM_KEYS["open"]: DRUM_KEYS["pedal"],
            }
            return [(a, b, turned.get(pitch, pitch), as_velocity(v * 0.62)) for a, b, pitch, v in rows]
        if self.drums == "sticks":  # on the rim
            turned = {DRUM_KEYS["snare"]: DRUM_KEYS["rim"], DRUM_KEYS["clap"]: DRUM_KEYS["rim"]}
            return [
                (a, b, turned.get(pitch, pitch), as_velocity(v * 0.8)) for a, b, pitch, v in rows if pitch != _CRASH
            ]
        if self.drums == "light":
            return [(a, b, pitch, as_velocity(v * 0.75)) for a, b, pitch, v in rows if pitch != _CRASH]
        return rows

    # Choices

    def _rng(self, what: str, place: _Place, *more: object) -> random.Random:
        return random.Random(f"{self.seed}:{what}:{place.section}:{place.occurrence}:{more}")

    def _one(self, part: Part, place: _Place, kind: str) -> Pattern | None:
        """The pattern of a part for a section, or for "fill", "break" or "ending"; None where it is silent."""
        found = self.band.patterns_of(part.name, kind)
        if not found:
            return None
        if part.mixed and kind == place.section:
            own = tastes(found, part.mixed, random.Random(f"{self.seed}:{part.name}:left hand"))
            return figure_of_bar(found, own, place.index, self._rng(f"{part.name}:figures", place))
        more = (place.start,) if kind == "fill" else (place.index,) if kind == "close" else ()
        rng = self._rng(f"{part.name}:pattern", place, kind, *more)
        return rng.choices(found, [pattern.weight for pattern in found])[0] if _weighed(found) else rng.choice(found)

    def _breaks(self, place: _Place) -> bool:
        """Whether the band stops in this bar, the last before a chorus."""
        if place.index + 1 < place.bars or place.bars < 4 or place.following not in _LEADS_INTO:
            return False
        if not any("break" in pattern.sections for pattern in self.band.patterns):
            return False
        return self._rng("break", place, place.start).random() < _BREAK_SHARE

    def _harmony(self, place: _Place, length: float, tune: Sequence[Row]) -> Harmony:
        inside = sorted(
            time - place.start for time in self._changes if place.start < time < place.start + length - 1e-6
        )

        def at(quarter: float) -> Chord:
            index = int(np.searchsorted(self._chord_times, place.start + quarter + 1e-6, side="right")) - 1
            return self._chords[index] if index >= 0 else self.sheet.key.home

        def lowest(start: float, end: float) -> int | None:
            return min((row[2] for row in tune if row[0] < end and row[0] + row[1] > start), default=None)

        return Harmony(at, self.sheet.key, tuple(inside), lowest)


def _weighed(patterns: Sequence[Pattern]) -> bool:
    return len({pattern.weight for pattern in patterns}) > 1


def _tune(place: _Place, melody: np.ndarray | None) -> list[Row]:
    """A melody's notes from a bar's start."""
    if melody is None:
        return []
    starts = (melody["start"] - place.start).tolist()
    durations, pitches, velocities = (melody[name].tolist() for name in ("duration", "pitch", "velocity"))
    return list(zip(starts, durations, pitches, velocities, strict=True))


def _is_under(note: Row, other: Row) -> bool:
    """Whether a note sounds on the key of another or below it, while that does."""
    return note[2] <= other[2] and note[0] < other[0] + other[1] - 1e-6 and other[0] < note[0] + note[1] - 1e-6


def arrange(
    sheet: LeadSheet, band: Band, *, seed: int = 0, drums: str = "full", without: Sequence[str] = ()
) -> np.ndarray:
    """All notes of the band, `PART_NOTE` in quarters; part 0 is left to the melody. Arguments as of `Arranger`."""
    arranger = Arranger(sheet, band, seed=seed, drums=drums, without=without)
    melody = sheet.melody
    bars = []
    for index, (start, bar) in enumerate(zip(sheet.bar_starts(), sheet.bars, strict=True)):
        here = None
        if melody is not None:
            ends = melody["start"] + melody["duration"]
            here = melody[(melody["start"] < start + bar.quarters) & (ends > start)]
        bars.append(arranger.bar(index, here))
    return np.concatenate([np.empty(0, PART_NOTE), *bars])


def _places(sheet: LeadSheet) -> list[_Place]:
    places = []
    starts = iter(sheet.bar_starts())
    seen: dict[str, int] = {}
    for number, section in enumerate(sheet.sections):
        kind = section_kind(section.name)
        seen[kind] = seen.get(kind, -1) + 1
        following = section_kind(sheet.sections[number + 1].name) if number + 1 < len(sheet.sections) else ""
        for index in range(len(section.bars)):
            places.append(
                _Place(
                    kind,
                    section.bars[index].metre,
                    index,
                    len(section.bars),
                    seen[kind] if section.varied else 0,
                    section.dynamic or "mf",
                    section.instruments,
                    following,
                    next(starts),
                    not following and index + 1 == len(section.bars),
                )
            )
    return places
