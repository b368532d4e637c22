"""Dance tunes: one melody, as their collections print them, and the session that plays along.

Knows kinds by their names, instruments, what backs what, and how a tune's bars become a session's sheet. Does not know
tokens (`grammar`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clavilux.audio.arranging.band import Band, Part
from clavilux.audio.arranging.forms import section_bars, usual_dynamic
from clavilux.audio.arranging.library import load_band
from clavilux.audio.harmony import Key
from clavilux.audio.lead_sheet import LeadSheet, SheetBar, SheetSection
from clavilux.families.aria.bands import BandPlan, named_of
from clavilux.families.aria.form import Bar, linked
from clavilux.families.aria.instruments import HANDS, INSTRUMENTS, RANGES, TREBLE
from clavilux.families.aria.lexicon import KINDS
from clavilux.families.aria.line_ups import accompanies, in_hands
from clavilux.families.aria.styles import Metre

if TYPE_CHECKING:
    from clavilux.families.aria.leaning import Manner
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
        tempi: (metre, quarters a minute) of those that they give another one.
        metres: (metre, weight), where the kind has several.
        manner: how its melody moves.
    """

    written: str
    leads: tuple[tuple[float, str], ...]
    session: str | None = None
    tempo: float | None = None
    tempi: tuple[tuple[Metre, float], ...] = ()
    metres: tuple[tuple[Metre, float], ...] = ()
    manner: Manner = "tune"

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
    "reel": Tune("violin", _SESSION, "folk session", 216, (((2, 4), 108),)),
    "hornpipe": Tune("violin", _SESSION, "folk session", 176, (((2, 4), 88),)),
    "strathspey": Tune("violin", ((1.0, "fiddle"),), tempo=132),
    "air": Tune("violin", ((2.0, "fiddle"), (2.0, "flute")), tempo=80, tempi=(((6, 8), 90),),
                metres=(((3, 4), 3), ((4, 4), 3), ((6, 8), 2), ((2, 4), 1)), manner="song"),
    "polka": Tune("piano", ((3.0, "piano"), (1.0, "accordion")), "piano polka"),
    "krakowiak": Tune("piano", _PIANO, "piano krakowiak"),
    "waltz": Tune("piano", _PIANO, "piano waltz", 150),
    "mazurka": Tune("piano", _PIANO, "piano mazurka", 138),
    "polonaise": Tune("piano", _PIANO, "piano polonaise", 100),
    "minuet": Tune("piano", ((2.0, "piano"), (1.0, "harpsichord")), "piano minuet", 120),
}  # fmt: skip
_FOLK = Tune("violin", _SESSION)  # of no kind
_LEAD_SHEET = Tune("piano", (), tempo=120, tempi=(((3, 4), 150),))
# The kind that each plays unless another is named.
SESSIONS = {
    "jig session": "jig", "folk session": "reel", "piano waltz": "waltz", "piano mazurka": "mazurka",
    "piano polonaise": "polonaise", "piano polka": "polka", "piano minuet": "minuet", "piano krakowiak": "krakowiak",
}  # fmt: skip
# Sessions of a piano alone -> the density, of the kind's music for both hands, with which a composer writes as many
# notes into the melody of the right one as print has; a waltz that is denser breaks chords.
RIGHT_HANDS = {
    "piano waltz": "medium", "piano mazurka": "dense", "piano polonaise": "dense", "piano minuet": "dense",
    "piano polka": "sparse", "piano krakowiak": "sparse",
}  # fmt: skip
_METRES_OF = {
    "jig": ((6, 8), (12, 8)), "reel": ((4, 4), (2, 2), (2, 4)), "polka": ((2, 4),), "krakowiak": ((2, 4),),
}  # fmt: skip
# Of those with hands, who plays a fiddle's tunes; and who plays none, though one note at a time.
_TUNEFUL, _TUNELESS = ("accordion", "banjo"), ("acoustic bass", "double bass", "timpani")
_VOICES = ("voice", "choir")
MARCHING_BAND, _IN_SIX_EIGHT = "marching band", "quick march"
MARCHES = (MARCHING_BAND, _IN_SIX_EIGHT)


def kind_of(parsed: ParsedPrompt, style: str, metre: Metre) -> str | None:
    """The kind of music in `style` that words name, or that a session plays in `metre`; None for no certain one."""
    if parsed.kind is not None:
        return parsed.kind if style in (parsed.style, *SESSIONS) else None
    kind = SESSIONS.get(style)
    return kind if kind is not None and metre in _METRES_OF.get(kind, ((3, 4),)) else None


def tune_of(kind: str | None, style: str) -> Tune | None:
    """What is known of a kind of tunes; None for other music."""
    return TUNES.get(kind or "") or (_FOLK if style == "folk" else None)


def taught_tempo(tune: Tune | None, metre: Metre, leads: bool) -> float | None:
    """Quarters a minute that nearly all music has in what the composer learned from: a kind of tunes or, where a band
    plays and `leads` is true, songs; None where it has many.
    """
    found = tune if tune is not None else _LEAD_SHEET if leads else _FOLK
    return dict(found.tempi).get(metre, found.tempo)


def melodists_of(kind: str | None, style: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """Of instruments that are named those who all play the tune: in unison, or octaves apart.

    Of a fiddle's tunes they are all that play melodies, however many. Other dances and folk music have parts of their
    own for an ensemble of high and low ones, or of two of a kind; trebles play together there too. () for other music.
    """
    tune = tune_of(kind, style or "")
    if tune is None or (kind in TUNES and style not in (KINDS[kind], *SESSIONS)):
        return ()
    found = tuple(name for name in dict.fromkeys(names) if _plays_tunes(tune, name))
    if kind in TUNES and not tune.has_chords:
        return found
    ensemble = len(found) > 1 and any(names.count(name) > 1 or not _is_treble(name) for name in found)
    return () if ensemble else found


def _plays_tunes(tune: Tune, name: str) -> bool:
    if INSTRUMENTS[name].program in HANDS:
        return name in _TUNEFUL and not tune.has_chords
    return name != "drums" and name not in _TUNELESS


def _is_treble(name: str) -> bool:
    return name in _VOICES or RANGES[INSTRUMENTS[name].program][0] >= TREBLE


def session_of(parsed: ParsedPrompt, names: Sequence[str]) -> str | None:
    """The band style that a tune is played in, None where there is none.

    A session plays where nobody is named who plays (`names`), where one is asked for, and where those who are named
    beside the melody's are in it. One who plays chords accompanies himself where the kind is written for a piano.
    """
    kind = parsed.kind or ""
    tune = TUNES.get(kind)
    if tune is None or tune.session is None or parsed.style not in (KINDS[kind], *SESSIONS):
        return None
    players = [name for name in dict.fromkeys(names) if name != "drums"]
    nobody = not players and (parsed.players != 1 or tune.has_chords)
    if parsed.style in SESSIONS or nobody or _accompanies_himself(tune, players):
        return tune.session
    melodists = melodists_of(kind, parsed.style, players) or players[:1]
    others = [name for name in players if name not in melodists]
    return tune.session if others and all(_seated(load_band(tune.session), others).values()) else None


def march_of(parsed: ParsedPrompt, names: Sequence[str], metre: Metre | None) -> str | None:
    """The band style of a march that words ask for: for nobody in particular, or for a marching band; None for others.

    `names` are those who are named. A march in 6/8 has figures of its own.
    """
    nobody = not names and parsed.players is None and parsed.kind is None and not parsed.alone
    if parsed.style not in MARCHES and not (parsed.style == "march" and nobody):
        return None
    return _IN_SIX_EIGHT if metre == (6, 8) or parsed.style == _IN_SIX_EIGHT else MARCHING_BAND


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
    seats = _seated(plan.band, others)
    if not any(seats.values()):
        return plan, (first, *others)
    found = {part.name: part for own in seats.values() for part in own}
    silent = [part.name for part in plan.band.parts if part.kind != "drums" and part.name not in found]
    band = replace(plan.band, parts=tuple(found.get(part.name, part) for part in plan.band.parts))
    plan = replace(plan, band=band, without=(*plan.without, *silent), drums=plan.drums if drums_asked else "none")
    return plan, (first, *dict.fromkeys(named_of(part.program) for part in found.values()))


def _accompanies_himself(tune: Tune, names: Sequence[str]) -> bool:
    return tune.has_chords and len(names) == 1 and INSTRUMENTS[names[0]].program in HANDS


def _seated(session: Band, names: Sequence[str]) -> dict[str, list[Part]]:
    """The parts of a session that instruments play; none for one that finds no place in it.

    A guitar is any guitar. A piano, an organ or a harp that the session does not have takes its chords and its bass,
    if nobody else does.
    """
    free = [part for part in session.parts if part.kind != "drums"]
    seats: dict[str, list[Part]] = {name: [] for name in names}
    for name, own in seats.items():
        sound = INSTRUMENTS[name].written_as
        own += [part for part in free if INSTRUMENTS[named_of(part.program)].written_as == sound][:1]
        free = [part for part in free if part not in own]
    for name, own in seats.items():
        if not own and accompanies(name):
            own += in_hands(free, name)
            taken = {part.name for part in own}
            free = [part for part in free if part.name not in taken]
    return seats


def tune_sheet(bars: Sequence[Bar], plan: BandPlan, key: Key, tempo: float, seed: int) -> tuple[list[Bar], LeadSheet]:
    """(the bars under chords of the session's own where they have none, the sheet that the session plays).

    A bar that is another one again has its chords. The melody rests in an intro.
    """
    found: list[Bar] = []
    sections: list[SheetSection] = []
    for _, part in itertools.groupby(enumerate(bars), lambda each: each[0] - each[1].number):
        own = [bar for _, bar in part]
        name, metre = own[0].name, own[0].metre
        usual = {
            like: section_bars(plan.band, key, like, len(own), metre, seed) for like, _ in {bar.like for bar in own}
        }
        own = [replace(bar, chords=bar.chords or usual[bar.like[0]][bar.like[1]].chords) for bar in own]
        if name in plan.silent:
            own = [replace(bar, players=()) for bar in own]
        found += own
        sheet_bars = tuple(SheetBar(metre, bar.chords or ()) for bar in own)
        sections.append(SheetSection(name, sheet_bars, usual_dynamic(plan.band, name), varied=own[0].varied))
    sheet = LeadSheet(key, tempo, tuple(sections), style=plan.band.name, swing=plan.swing)
    return linked(found), sheet
