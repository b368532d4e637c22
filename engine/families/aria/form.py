"""The plan of a piece, bar by bar: what part of the piece each bar is, which chords were asked for, what returns.

Every composer and every band follows the same `Bar`s. Knows bars, sections and cadences. Does not know tokens
(`grammar`), words (`prompt`), or how long the piece is to be (`lengths`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from clavilux.audio.chart import spread
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.lead_sheet import LeadSheet, SheetSection, labelled
from clavilux.audio.score import Events, bar_quarters
from clavilux.audio.sections import PHRASE
from clavilux.families.aria.cadences import Close, Placed, cadence
from clavilux.families.aria.form_names import FormPart
from clavilux.families.aria.phrases import Shape
from clavilux.families.aria.styles import Metre


@dataclass(frozen=True)
class Motif:
    """What a bar takes up of the bar `like`, a part and a number in it: its rhythm, and its notes and chords as many
    `steps` of the scale of `key` higher, where nothing else is asked for; None leaves them free. Where it has quarters
    `anew`, from 0, it is that bar but for those, whose rhythm is its own.
    """

    like: tuple[str, int]
    key: Key
    steps: int | None = None
    anew: tuple[int, ...] = ()


@dataclass(frozen=True)
class Bar:
    """One bar of a plan, at its sounding pitch.

    Attributes:
        metre: (numerator, denominator).
        section: where in the piece it stands: "opening", "middle", "closing" or "last".
        place: in a phrase of eight bars, 0 to 7.
        chords: (quarters from the bar's start, chord), the first at 0; None lets the composer choose them.
        rests: it has no notes of the composer's.
        returns: the index of the earlier bar whose notes it has.
        varies: the index of the earlier bar whose chords it has, where the composer chose those.
        name: of the part of the form that it belongs to, "A" or "chorus"; "" where there is no form.
        number: of the bar in that part, from 0.
        like: the part and the number of the bar in it that it is again; its own, where it is none again.
        motif: what it takes up of another bar, where it is none again.
        takes_up: the index of the earlier bar whose rhythm it has, as `motif` says.
        shape: its melody in a real piece, in any octave; None for any.
        varied: its part was to return with other notes.
        players: names of those who are heard in it; None is everybody.
        dynamic: "ppp" to "fff"; None leaves it to who plays.
        final: quarters from its start at which all parts begin the notes that end the piece, the root of its chord
            lowest and highest; None leaves the end to the composer.
        breath: no note begins in its second half, where a phrase of the melody ends; several parts hold theirs.
        closes: a part ends on its tonic, and its melody with it.
        silence: quarters of a last bar after those notes, where the upbeat of the beginning has its room.
    """

    metre: Metre
    section: str
    chords: Placed | None = None
    place: int = 0
    rests: bool = False
    returns: int | None = None
    varies: int | None = None
    name: str = ""
    number: int = 0
    like: tuple[str, int] = ("", 0)
    motif: Motif | None = None
    takes_up: int | None = None
    shape: Shape | None = None
    varied: bool = False
    players: tuple[str, ...] | None = None
    dynamic: str | None = None
    final: float | None = None
    breath: bool = False
    closes: bool = False
    silence: float = 0.0

    @property
    def label(self) -> str:
        """The name of its part, with a prime where that returns with other notes."""
        return labelled(self.name, self.varied)


def sections_of(num_bars: int, *, opens: bool = True, closes: bool = True) -> list[str]:
    """Where each bar stands in a piece: four bars of opening, three of closing, the last."""
    names = ["opening" if opens and i < 4 else "middle" for i in range(num_bars)]
    if closes:
        for back in range(2, min(4, num_bars) + 1):
            names[-back] = "closing"
        names[-1:] = ["last"]
    return names


def plan_bars(
    num_bars: int,
    metre: Metre,
    *,
    section: str = "whole",
    chords: Sequence[Sequence[Chord]] | None = None,
    key: Key | None = None,
    continues: bool = False,
    ends_at: float | None = None,
    place: int = 0,
) -> list[Bar]:
    """The bars of a piece without a form, the first one at `place` in a phrase. Asked `chords` (a list a bar) come
    round again until the end; without them, a piece that closes ends on its tonic, where `ends_at` is given with
    notes that begin after so much of the last bar (0 to 1). Raises ValueError for more chords in a bar than it has
    half-beats.
    """
    closes = section in ("whole", "closing")
    names = sections_of(num_bars, opens=section in ("whole", "opening") and not continues, closes=closes)
    bars = []
    for index, name in enumerate(names):
        asked = None if chords is None else _asked(chords, index, metre)
        if chords is None and key is not None and name == "last":
            asked = ((0.0, key.home),)
        bars.append(Bar(metre, name, asked, (place + index) % PHRASE))
    return ended(bars, ends_at) if closes and ends_at is not None else bars


class OwnForm(Protocol):
    """What a kind of music has by itself, drawn by the seed of a piece (`usual_forms`)."""

    def like(self, name: str, bars: int, seed: int) -> Sequence[tuple[str, int]]:
        """Of each bar of a part (part, number in it) of the bar that it is."""

    def motifs(self, name: str, bars: int, key: Key, seed: int) -> Mapping[int, Motif]:
        """What bars of a part take up of other bars, by their numbers."""

    def shapes(self, name: str, bars: int, seed: int) -> Mapping[int, Shape]:
        """The melody in bars of a part, by their numbers."""

    def breathes(self, name: str, number: int, seed: int) -> bool:
        """Whether the melody rests in the second half of a bar of a part."""

    def new_bars(self, place: int, bars: int, seed: int) -> int:
        """How many of the last bars of a part that returns at `place` among the parts have other notes."""

    def plans_cadence(self, name: str, seed: int) -> bool:
        """Whether the chords of a part's last bar but one are planned."""

    def close(self, name: str, seed: int) -> Close:
        """On what a part ends that neither leads back nor ends the piece."""


def plan_form(
    parts: Sequence[FormPart],
    metre: Metre,
    key: Key,
    *,
    seed: int,
    chords: Sequence[Sequence[Chord]] | None = None,
    continues: bool = False,
    own: OwnForm | None = None,
    ends_at: float | None = None,
    upbeat_after: bool = False,
) -> list[Bar]:
    """The bars of a piece in a form, whose parts have their bars.

    A part that returns does so note for note; one that is varied returns with its chords alone. Asked `chords`
    begin anew with each part, and come round in it. Without them the composer chooses the chords but at the ends of
    parts: a middle part that leads back ends on the dominant, the last part on the tonic, the others as `own` says,
    or else "open" (`Close`); on the tonic they come after a dominant. The last bar ends the piece, so it is never
    another one again. `own` says what the kind of music has by itself; `ends_at` is the share of the last bar after
    which the last notes begin, None leaves that to the composer; with `upbeat_after` they leave room for an upbeat.
    """
    names = sections_of(sum(part.bars or 0 for part in parts), opens=not continues)
    bars: list[Bar] = []
    for place, part in enumerate(parts):
        assert part.bars is not None, "`Form.sections` says how many"
        again = own.like(part.name, part.bars, seed) if own else [(part.name, n) for n in range(part.bars)]
        motifs = own.motifs(part.name, part.bars, key, seed) if own else {}
        shapes = own.shapes(part.name, part.bars, seed) if own else {}
        returns = part.name in (earlier.name for earlier in parts[:place])
        new = own.new_bars(place, part.bars, seed) if own and returns else 0
        for number in range(part.bars):
            if chords is None:
                named = again[number][0]
                close = own.close(named, seed) if own else "open"
                planned = own is None or own.plans_cadence(named, seed)
                asked = cadence(parts, place, number, metre, key, close, f"{seed}:cadence:{named}" if planned else None)
            else:
                asked = _asked(chords, number, metre)
            bars.append(
                Bar(
                    metre, names[len(bars)], asked, name=part.name, number=number, like=again[number],
                    motif=motifs.get(number), shape=shapes.get(number),
                    varied=part.varied or number >= part.bars - new,
                    breath=own is not None and own.breathes(part.name, number, seed),
                    closes=chords is None and number + 1 == part.bars and asked == ((0.0, key.home),),
                )
            )  # fmt: skip
    return linked(bars if ends_at is None else ended(bars, ends_at, upbeat_after))


def plan_sheet(
    sheet: LeadSheet,
    silent: Sequence[str] = (),
    *,
    continues: bool = False,
    own: OwnForm | None = None,
    seed: int = 0,
) -> list[Bar]:
    """The bars of a sheet. A bar without chords has those before it; a section without any leaves them to the composer.

    `silent` names sections in which the composer's own part rests; `own` says how the bars of a section follow from
    each other.
    """
    names = sections_of(len(sheet.bars), opens=not continues)
    bars: list[Bar] = []
    sounding = sheet.key.home
    for section in sheet.sections:
        num_bars = len(section.bars)
        again = own.like(section.name, num_bars, seed) if own else [(section.name, n) for n in range(num_bars)]
        motifs = own.motifs(section.name, num_bars, sheet.key, seed) if own else {}
        shapes = own.shapes(section.name, num_bars, seed) if own else {}
        for number, (metre, chords) in enumerate(_chords_of(section, sounding)):
            last = len(bars) + 1 == len(sheet.bars)
            asked = ((0.0, sheet.key.home),) if chords is None and last else chords
            sounding = asked[-1][1] if asked else sounding
            players = () if section.name in silent and not last else section.instruments
            bars.append(
                Bar(
                    metre, names[len(bars)], asked, name=section.name, number=number,
                    like=again[number], motif=motifs.get(number), shape=shapes.get(number),
                    breath=own is not None and own.breathes(section.name, number, seed),
                    varied=section.varied, players=players, dynamic=section.dynamic,
                )
            )  # fmt: skip
    return linked(bars)


def ended(bars: Sequence[Bar], ends_at: float, upbeat_after: bool = False) -> list[Bar]:
    """The bars, in the last of which the last notes begin at the beat that begins after `ends_at` (0 to 1) of it, and
    with `upbeat_after` leave room for an upbeat where they are longer than one.
    """
    metre = bars[-1].metre
    beats = metre[0] if metre[0] > 2 else 4  # 2/2 has quarters too
    length, upbeat = bar_quarters(metre), upbeat_quarters(metre)
    final = int(ends_at * beats + 1e-6) * length / beats
    room = upbeat if upbeat_after and length - final > upbeat + 1e-6 else 0.0
    return [*bars[:-1], replace(bars[-1], final=final, silence=room)]


def upbeat_quarters(metre: Metre) -> float:
    """How long an upbeat mostly is: an eighth where bars are short or of eighths, else a quarter."""
    return 0.5 if metre[1] == 8 or bar_quarters(metre) <= 2 else 1.0


def linked(bars: Sequence[Bar]) -> list[Bar]:
    """The bars with their places in phrases and what each returns or varies; those in which nobody is heard, nor where
    they return, rest.
    """
    bars = _placed(bars)
    found: list[Bar] = []
    before: dict[tuple[str, int], list[int]] = {}
    heard: dict[int, bool] = {}
    for index, bar in enumerate(bars):
        earlier = [at for at in before.get(bar.like, ()) if bars[at].metre == bar.metre]
        same = [at for at in earlier if bars[at].chords == bar.chords]
        anew = bar.varied or index + 1 == len(bars) or not bar.name
        returns = found[same[0]].returns if same and found[same[0]].returns is not None else same[0] if same else None
        varies = same[0] if same and bar.chords is None and anew else None
        taken = None if anew or same else _taken_up(bar, bars, before)
        found.append(replace(bar, returns=None if anew else returns, varies=varies, takes_up=taken))
        before.setdefault(bar.like, []).append(index)
        root = index if found[-1].returns is None else found[-1].returns
        assert root is not None, "a bar is its own where it returns no other"
        heard[root] = heard.get(root, False) or bar.players != ()
    return [replace(bar, rests=not heard[i if bar.returns is None else bar.returns]) for i, bar in enumerate(found)]


def _taken_up(bar: Bar, bars: Sequence[Bar], before: Mapping[tuple[str, int], Sequence[int]]) -> int | None:
    """The bar whose rhythm a new one has: that of its motif, or one that it would be again under its own chords."""
    like = bar.motif.like if bar.motif is not None else bar.like
    return next((at for at in before.get(like, ()) if bars[at].metre == bar.metre), None)


def _placed(bars: Sequence[Bar]) -> list[Bar]:
    """The bars of parts with their places. A phrase begins with each part; of two parts of four bars one is its second
    half.
    """
    found: list[Bar] = []
    begins = [index for index, bar in enumerate(bars) if bar.number == 0]
    first = before = 0
    for begin, end in itertools.pairwise([*begins, len(bars)]):
        first = PHRASE // 2 if first == 0 and before == end - begin == PHRASE // 2 else 0
        found += [replace(bar, place=(first + bar.number) % PHRASE) for bar in bars[begin:end]]
        before = end - begin
    return found


def writers(bars: Sequence[Bar]) -> list[tuple[str, ...] | None]:
    """For whom the composer writes each bar: all who are heard in it or where it returns; None is everybody."""
    found: dict[int, tuple[str, ...] | None] = {}
    for index, bar in enumerate(bars):
        root = index if bar.returns is None else bar.returns
        own, others = bar.players, found.get(root, ())
        found[root] = None if own is None or others is None else tuple(dict.fromkeys((*others, *own)))
    return [found[index if bar.returns is None else bar.returns] for index, bar in enumerate(bars)]


def starts_of(bars: Sequence[Bar]) -> list[float]:
    """The quarter at which each bar begins, and that of the end."""
    return list(itertools.accumulate((bar_quarters(bar.metre) for bar in bars), initial=0.0))


def parts_begun(bars: Sequence[Bar]) -> Events[str]:
    """(quarter, label) where a part of the form begins."""
    starts = starts_of(bars)
    return tuple((starts[i], bar.label) for i, bar in enumerate(bars) if bar.name and bar.number == 0)


def quarters_to_end(bars: Sequence[Bar], index: int) -> float:
    """From the start of a bar to the end of its part of the form, over which no note is held; of a bar before the last
    one to the notes that end the piece. Where the bar returns, the nearest of its ends.
    """
    return min(_to_end(bars, at) for at, bar in enumerate(bars) if index in (at, bar.returns, bar.takes_up))


def quarters_of_line(bars: Sequence[Bar], index: int) -> float:
    """From the start of a bar to where a melody's notes end at the latest, so that they leave room for those of the
    next bar: to the middle of it, or to its beginning where its notes stand already.
    """
    length = bar_quarters(bars[index].metre)
    found = length
    for at, bar in enumerate(bars[:-1]):
        if index in (at, bar.returns, bar.takes_up):
            following = bars[at + 1]
            stands = following.returns is not None and following.returns != index + 1
            stands |= following.takes_up is not None
            if stands or following.rests:
                return length
            basses = [quarter for quarter, chord in following.chords or () if chord.bass is not None]
            found = length + min([bar_quarters(following.metre) / 2, *basses])
    return found


def _to_end(bars: Sequence[Bar], index: int) -> float:
    following = next((at for at in range(index + 1, len(bars)) if bars[at].name and bars[at].number == 0), len(bars))
    quarters = sum(bar_quarters(bar.metre) for bar in bars[index:following])
    if following < len(bars):
        return quarters
    if index + 1 == len(bars):
        return quarters - bars[-1].silence
    return quarters if bars[-1].final is None else quarters - bar_quarters(bars[-1].metre) + bars[-1].final


def moved(bars: Sequence[Bar], semitones: int) -> list[Bar]:
    """The bars under chords, in keys and at heights so many semitones higher."""
    return [
        replace(
            bar,
            chords=bar.chords and tuple((at, chord.transposed(semitones)) for at, chord in bar.chords),
            motif=bar.motif and replace(bar.motif, key=bar.motif.key.transposed(semitones)),
            shape=bar.shape and bar.shape._replace(height=bar.shape.height + semitones),
        )
        for bar in bars
    ]


def _asked(chords: Sequence[Sequence[Chord]], index: int, metre: Metre) -> Placed | None:
    bar = chords[index % len(chords)]  # one without chords is the composer's own
    return tuple(zip(spread(len(bar), metre), bar, strict=True)) or None


def _chords_of(section: SheetSection, sounding: Chord) -> Iterator[tuple[Metre, Placed | None]]:
    leaves = not any(bar.chords for bar in section.bars)
    for bar in section.bars:
        chords = bar.chords
        if not chords or chords[0][0] > 0:
            chords = ((0.0, sounding), *chords)
        sounding = chords[-1][1]
        yield bar.metre, None if leaves else chords
