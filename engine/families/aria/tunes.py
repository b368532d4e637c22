"""Dance tunes: one melody, as their collections print them, and the session that plays along.

Knows kinds by their names, instruments, what backs what, and how a tune's bars become a session's sheet. Does not know
tokens (`grammar`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clavilux.audio.arranging.band import Band
from clavilux.audio.arranging.forms import section_bars, usual_dynamic
from clavilux.audio.arranging.library import load_band
from clavilux.audio.harmony import Key
from clavilux.audio.lead_sheet import LeadSheet, SheetBar, SheetSection
from clavilux.families.aria.bands import SILENT_LEAD, BandPlan, named_of
from clavilux.families.aria.form import Bar, linked
from clavilux.families.aria.instruments import HANDS, INSTRUMENTS
from clavilux.families.aria.lexicon import KINDS
from clavilux.families.aria.styles import Metre

if TYPE_CHECKING:
    from clavilux.families.aria.prompt import ParsedPrompt


@dataclass(frozen=True)
class Tune:
    """A kind of tunes.

    Attributes:
        written: the instrument out of `INSTRUMENTS` for which all that the composer has read of the kind is written.
            Whoever plays a tune by himself is given what that one would be given.
        leads: (weight, instrument) of those who usually play it.
        session: the band style that backs it; None for what is played alone.
        tempo: quarters a minute that the collections give nearly all of them, whatever they are played at.
        metres: (metre, weight), where the kind has several.
    """

    written: str
    leads: tuple[tuple[float, str], ...]
    session: str | None = None
    tempo: float | None = None
    metres: tuple[tuple[Metre, float], ...] = ()

    @property
    def program(self) -> int:
        """The General MIDI program of whom it is written for."""
        return INSTRUMENTS[self.written].program

    @property
    def has_chords(self) -> bool:
        """Whether it is written for hands that play chords."""
        return self.program in HANDS


_SESSION = ((3.0, "fiddle"), (2.0, "flute"), (1.0, "accordion"))
_PIANO = ((1.0, "piano"),)
TUNES: dict[str, Tune] = {
    "jig": Tune("violin", _SESSION, "jig session", 174),
    "slip jig": Tune("violin", _SESSION, "jig session", 189),
    "reel": Tune("violin", _SESSION, "folk session", 216),
    "hornpipe": Tune("violin", _SESSION, "folk session", 176),
    "strathspey": Tune("violin", ((1.0, "fiddle"),), tempo=132),
    "air": Tune("violin", ((2.0, "fiddle"), (2.0, "flute")), tempo=80,
                metres=(((3, 4), 3), ((4, 4), 3), ((6, 8), 2), ((2, 4), 1))),
    "polka": Tune("piano", ((3.0, "piano"), (1.0, "accordion")), "piano polka"),
    "krakowiak": Tune("piano", _PIANO, "piano krakowiak"),
    "waltz": Tune("piano", _PIANO, "piano waltz", 150),
    "mazurka": Tune("piano", _PIANO, "piano mazurka"),
    "polonaise": Tune("piano", _PIANO, "piano polonaise"),
    "minuet": Tune("piano", ((2.0, "piano"), (1.0, "harpsichord")), "piano minuet"),
}  # fmt: skip
_FOLK = Tune("violin", _SESSION)  # of no kind
# The kind that each plays unless another is named.
SESSIONS = {
    "jig session": "jig", "folk session": "reel", "piano waltz": "waltz", "piano mazurka": "mazurka",
    "piano polonaise": "polonaise", "piano polka": "polka", "piano minuet": "minuet", "piano krakowiak": "krakowiak",
}  # fmt: skip
# Sessions of a piano alone, whose right hand is a melody of few notes: with more it breaks chords.
RIGHT_HANDS = frozenset(session for session, kind in SESSIONS.items() if TUNES[kind].has_chords)
_METRES_OF = {
    "jig": ((6, 8), (12, 8)), "reel": ((4, 4), (2, 2), (2, 4)), "polka": ((2, 4),), "krakowiak": ((2, 4),),
}  # fmt: skip


def kind_of(parsed: ParsedPrompt, style: str, metre: Metre) -> str | None:
    """The kind of music in `style` that words name, or that a session plays in `metre`; None for no certain one."""
    if parsed.kind is not None:
        return parsed.kind if style in (parsed.style, *SESSIONS) else None
    kind = SESSIONS.get(style)
    return kind if kind is not None and metre in _METRES_OF.get(kind, ((3, 4),)) else None


def tune_of(kind: str | None, style: str) -> Tune | None:
    """What is known of a kind of tunes; None for other music."""
    return TUNES.get(kind or "") or (_FOLK if style == "folk" else None)


def session_of(parsed: ParsedPrompt, names: Sequence[str]) -> str | None:
    """The band style that a tune is played in, None where there is none.

    A session plays where nobody is named who plays (`names`), where one is asked for, and where those who are named
    beside the first are in it. One who plays chords accompanies himself where the kind is written for a piano.
    """
    kind = parsed.kind or ""
    tune = TUNES.get(kind)
    if tune is None or tune.session is None or parsed.style not in (KINDS[kind], *SESSIONS):
        return None
    players = [name for name in dict.fromkeys(names) if name != "drums"]
    if parsed.style in SESSIONS or (not players and parsed.players != 1) or _accompanies_himself(tune, players):
        return tune.session
    others, band = players[1:], load_band(tune.session)
    return tune.session if others and all(_players(band, name) for name in others) else None


def with_players(
    plan: BandPlan, tune: Tune, names: Sequence[str], drums_asked: bool
) -> tuple[BandPlan, tuple[str, ...]]:
    """(the session without those who are not named, the first of `names`, then the others as the session calls them).

    The session is whole where nobody is named beside the first; one who accompanies himself is all of it.
    """
    first, *others = dict.fromkeys(names)
    if _accompanies_himself(tune, (first, *others)):
        program = INSTRUMENTS[first].program
        parts = tuple(replace(part, program=program) for part in plan.band.parts if part.kind != "drums")
        return replace(plan, band=replace(plan.band, parts=parts)), (first,)
    found = [part for name in others for part in _players(plan.band, name)]
    if not found:
        return plan, (first, *others)
    silent = [part.name for part in plan.band.parts if part.kind != "drums" and part.name not in found]
    drums = plan.drums if drums_asked else "none"
    called = {part.name: named_of(part.program) for part in plan.band.parts}
    return replace(plan, without=(*plan.without, *silent), drums=drums), (first, *(called[part] for part in found))


def _accompanies_himself(tune: Tune, names: Sequence[str]) -> bool:
    return tune.has_chords and len(names) == 1 and INSTRUMENTS[names[0]].program in HANDS


def _players(session: Band, name: str) -> list[str]:
    """The parts of a session that an instrument plays: a guitar is any guitar."""
    sound = INSTRUMENTS[name].written_as
    pitched = [part for part in session.parts if part.kind != "drums"]
    return [part.name for part in pitched if INSTRUMENTS[named_of(part.program)].written_as == sound][:1]


def tune_sheet(bars: Sequence[Bar], plan: BandPlan, key: Key, tempo: float, seed: int) -> tuple[list[Bar], LeadSheet]:
    """(the bars under chords of the session's own where they have none, the sheet that the session plays).

    A bar that is another one again has its chords. The melody rests in an intro.
    """
    found: list[Bar] = []
    sections: list[SheetSection] = []
    for _, part in itertools.groupby(enumerate(bars), lambda each: each[0] - each[1].number):
        own = [bar for _, bar in part]
        name, metre = own[0].name, own[0].metre
        usual = section_bars(plan.band, key, name, len(own), metre, seed)
        own = [replace(bar, chords=bar.chords or usual[bar.like].chords) for bar in own]
        if name in SILENT_LEAD:
            own = [replace(bar, players=()) for bar in own]
        found += own
        sheet_bars = tuple(SheetBar(metre, bar.chords or ()) for bar in own)
        sections.append(SheetSection(name, sheet_bars, usual_dynamic(plan.band, name), varied=own[0].varied))
    sheet = LeadSheet(key, tempo, tuple(sections), style=plan.band.name, swing=plan.swing)
    return linked(found), sheet
