"""A style's form fitted to a number of bars, and its chords in a key: the lead sheet before its melody.

Knows sections, bars and numerals. Does not know who plays.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

from clavilux.audio.arranging.band import Band, section_kind
from clavilux.audio.arranging.numerals import chord_of
from clavilux.audio.chart import spread
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.lead_sheet import DYNAMICS, LeadSheet, SheetBar, SheetSection

Form = list[tuple[str, int]]
_DYNAMICS = {
    "intro": "mp", "verse": "mf", "A": "mf", "prechorus": "mf", "chorus": "f", "B": "mf", "bridge": "mf", "solo": "f",
    "drop": "f", "breakdown": "p", "trio": "mf", "outro": "mf",
}  # fmt: skip
_LEAST_WITH_ENDS = 12  # bars of a song that has an intro or an outro
_LEAST_BEFORE = 4  # bars of what leads to a loud section
_MOST_OF_ENDS = 0.3  # of a song's bars


def fit_form(form: Sequence[tuple[str, int]], num_bars: int) -> Form:
    """Sections that together have exactly `num_bars` bars, as like the form as they can be.

    Whole sections come in the form's order, from its first on and round again; where there is little room, one that is
    played twice is played once. An intro and an outro shrink by half or go before any is cut.
    Bars that are left over stand in the last section, as a tag.
    """
    intro = [part for part in form[:1] if part[0] == "intro"]
    outro = [part for part in form[-1:] if part[0] == "outro"]
    body = list(form[len(intro) : len(form) - len(outro)])
    best: tuple[float, Form] | None = None
    once = [part for index, part in enumerate(body) if not index or part != body[index - 1]]
    for before, after, kind in itertools.product(_ends(intro, num_bars), _ends(outro, num_bars), (body, once)):
        room = num_bars - sum(bars for _, bars in before + after)
        if room < 1 or room < (1 - _MOST_OF_ENDS) * num_bars:
            continue
        inside = _prefix(kind, room)
        left = room - sum(bars for _, bars in inside)
        whole = bool(before) + bool(after) + sum(part in (*intro, *outro) for part in before + after)
        unfinished = 0 if inside[-1][0] == body[-1][0] else 2
        cost = 4 * left + unfinished - whole - 3 * len({name for name, _ in inside}) + (kind is once)
        if best is None or cost < best[0]:
            song = [*before, *inside, *after]
            song[-1] = (song[-1][0], song[-1][1] + left)
            best = (cost, song)
    assert best is not None, "without an intro and an outro there is always room"
    return best[1]


def highlighted(band: Band, num_bars: int, what: str | None) -> Form:
    """The style's form in `num_bars` bars, where they have no room for all of it with the sections that are wanted.

    "solo": from the solo on. "loud": up to the loudest sections, which come last, and as much as there is room for of
    what leads there. The usual sections where the style has none such, where nothing is wanted (None), or where all
    have room.
    """
    ends = [part for part in (*band.form[:1], *band.form[-1:]) if part[0] in ("intro", "outro")]
    body = [part for part in band.form if part not in ends]
    names = [name for name, _ in body]
    if what == "solo" and "solo" in names and num_bars < sum(bars for _, bars in band.form):
        first = names.index("solo")
        return fit_form([*body[first:], *body[:first]], num_bars)
    levels = [DYNAMICS.index(usual_dynamic(band, name)) for name in names]
    last = len(levels) - levels[::-1].index(max(levels))
    if what != "loud" or max(levels) == min(levels) or num_bars >= sum(bars for _, bars in body[:last]):
        return fit_form(band.form, num_bars)
    found: Form = []
    room = num_bars
    for name, bars in reversed(body[:last]):
        if found and room < min(bars, _LEAST_BEFORE):
            break
        found.insert(0, (name, min(bars, room)))
        room -= min(bars, room)
    return [*found[:-1], (found[-1][0], found[-1][1] + room)]


def _ends(part: Form, num_bars: int) -> list[Form]:
    if not part or num_bars < _LEAST_WITH_ENDS:
        return [[]]
    name, bars = part[0]
    return [[(name, each)] for each in dict.fromkeys((bars, bars // 2)) if each] + [[]]


def _prefix(body: Form, room: int) -> Form:
    taken: Form = []
    while True:
        name, bars = body[len(taken) % len(body)]
        if bars > room:
            return taken or [(name, room)]
        taken.append((name, bars))
        room -= bars


def write_sheet(
    band: Band,
    key: Key,
    tempo: float,
    num_bars: int,
    *,
    seed: int,
    metre: tuple[int, int] | None = None,
    swing: float | None = None,
    chords: Sequence[Sequence[Chord]] | None = None,
    form: Sequence[tuple[str, int, bool]] | None = None,
    highlight: str | None = None,
) -> LeadSheet:
    """A song of the style in `num_bars` bars: form and chords, without a melody.

    Sections of one name have the same chords; which of a style's progressions is the seed's choice. The song ends on
    its tonic.

    Args:
        band: the style.
        key, tempo, metre, swing: of the song; the style's own metre and swing if None.
        num_bars: at least 1.
        seed: any integer.
        chords: a list for each bar instead of the style's, coming round again until the end; an empty one leaves
            the bar to the style.
        form: (section, bars, whether it returns with other notes), `num_bars` bars in all, instead of the style's;
            asked chords then begin anew with each section.
        highlight: of the style's form, as `highlighted`.
    """
    metre = metre or band.metre
    sections = []
    at = 0
    own_form = [(name, count, False) for name, count in highlighted(band, num_bars, highlight)]
    for name, count, varied in own_form if form is None else form:
        numerals = _numerals(band, key, name, seed)
        bars = []
        for index in range(count):
            asked = chords[(index if form else at + index) % len(chords)] if chords else ()
            own = [chord_of(numeral, key) for numeral in numerals[index % len(numerals)]]
            here = asked or own
            bars.append(SheetBar(metre, _placed(here, metre)))
        at += count
        sections.append(SheetSection(name, tuple(bars), usual_dynamic(band, name), varied=varied))
    if not chords:
        sections[-1] = _closed(band, sections[-1], key, _numerals(band, key, sections[-1].name, seed))
    return LeadSheet(key, tempo, tuple(sections), style=band.name, swing=swing)


def with_chords(sheet: LeadSheet, band: Band, seed: int) -> LeadSheet:
    """The sheet with the style's chords in sections that have none, and its dynamics where none are said."""
    sections = []
    for section in sheet.sections:
        bars = section.bars
        if not any(bar.chords for bar in bars):
            numerals = _numerals(band, sheet.key, section_kind(section.name), seed)
            own = [[chord_of(each, sheet.key) for each in numerals[i % len(numerals)]] for i in range(len(bars))]
            bars = tuple(SheetBar(bar.metre, _placed(here, bar.metre)) for bar, here in zip(bars, own, strict=True))
        dynamic = section.dynamic or usual_dynamic(band, section_kind(section.name))
        sections.append(replace(section, bars=bars, dynamic=dynamic))
    return replace(sheet, sections=tuple(sections))


def usual_dynamic(band: Band, name: str) -> str:
    """How loud a section of a style is."""
    return band.dynamics.get(name) or _DYNAMICS.get(name, "mf")


def _placed(chords: Sequence[Chord], metre: tuple[int, int]) -> tuple[tuple[float, Chord], ...]:
    """The chords of a bar in its time. One that is said again goes on: I I V7 in 3/4 changes on the third beat."""
    timed = zip(spread(len(chords), metre), chords, strict=True)
    return tuple(each for i, each in enumerate(timed) if not i or each[1] != chords[i - 1])


def _numerals(band: Band, key: Key, section: str, seed: int) -> tuple[tuple[str, ...], ...]:
    found = band.progressions_of(section, key.mode)
    if not found:
        found = list(band.progressions)
    own = found[0].sections
    if len(section) == 1 and section not in own:  # a C that has the choices of B takes its own; a solo has a verse's
        own = (*own, section)
    return random.Random(f"{seed}:chords:{own}").choice(found).bars


def _closed(band: Band, section: SheetSection, key: Key, numerals: tuple[tuple[str, ...], ...]) -> SheetSection:
    """The section with its last bar on the tonic, as the style's own chords have it: I7 in a blues."""
    tonic = "i" if key.mode == "minor" else "I"
    of_tonic = [each for bar in numerals for each in bar if chord_of(each, key).root == key.tonic and "/" not in each]
    last = chord_of(of_tonic[0] if of_tonic else tonic, key)
    bars = [*section.bars[:-1], SheetBar(section.bars[-1].metre, ((0.0, last),))]
    if len(bars) > 1 and bars[-2].chords and bars[-2].chords[-1][1].root == key.tonic and len(bars) % 4 == 0:
        before = chord_of("V7", key)
        bars[-2] = SheetBar(bars[-2].metre, ((0.0, before),))
    return SheetSection(section.name, tuple(bars), section.dynamic, section.instruments, section.varied)


def section_bars(
    band: Band, key: Key, section: str, count: int, metre: tuple[int, int], seed: int
) -> tuple[SheetBar, ...]:
    """So many bars with the style's own chords for a section, the same as `write_sheet` has there."""
    numerals = _numerals(band, key, section, seed)
    bars = []
    for index in range(count):
        chords = [chord_of(numeral, key) for numeral in numerals[index % len(numerals)]]
        bars.append(SheetBar(metre, _placed(chords, metre)))
    return tuple(bars)
