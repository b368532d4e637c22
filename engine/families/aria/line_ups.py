"""Who of a band plays: as many as are asked for, one alone, and whose sound the one who leads has.

Knows bands, their parts, and instruments that can accompany. Does not know tunes (`tunes`) or words (`beside_bands`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from clavilux.audio.arranging.band import TONES, Band, Part
from clavilux.families.aria.bands import BandPlan, leads_of_band, named_of
from clavilux.families.aria.instruments import HANDS, INSTRUMENTS, RANGES, TREBLE

if TYPE_CHECKING:
    from clavilux.families.aria.controls import Controls
    from clavilux.families.aria.prompt import ParsedPrompt

_SECTIONS = ("string ensemble", "brass section")
_FEWEST = 3  # players, among whom the one who plays chords leads, where he can
_NEEDED = ("chords", "bass", "drums")  # in this order; then the others of the style


def in_number(
    controls: Controls, plan: BandPlan, parsed: ParsedPrompt, named: Sequence[str]
) -> tuple[Controls, BandPlan]:
    """The band with as many players as the words say, the one who leads among them; all of it where they say none.

    In a trio the style's own chord player leads, or who is `named` and can play chords: the melody and its chords are
    in his hands, beside a bass and drums. Of more, the style's usual lead plays the melody, others chords, bass, drums.
    """
    band, players = plan.band, parsed.players
    parts = [part for part in band.parts if part.name not in plan.without]
    if players is None or players > len(parts):
        return controls, plan
    own: Part | None = None
    if players <= _FEWEST and named and accompanies(plan.written):
        own = next((part for part in parts if part.program == plan.lead and part.kind == "chords"), None)
        own = own or next(iter(in_hands(parts, plan.written)), None)
    elif players <= _FEWEST and not named and band.trio in [part.name for part in parts]:
        own = next(part for part in parts if part.name == band.trio)
        name = named_of(own.program)
        controls = replace(controls, instruments=(name,))
        plan = replace(plan, lead=own.program, written=name)
    elif not named:
        controls, plan = with_usual_lead(controls, plan, parsed)
    if own is not None:
        parts = [own if part.name == own.name else part for part in parts]
        band = replace(band, parts=tuple(own if part.name == own.name else part for part in band.parts))
    silent = _beyond([part for part in parts if part is not own], players - 1, named, plan.drums == "none", own)
    plan = replace(plan, band=band, without=(*plan.without, *silent))
    return controls, plan if own is None else replace(plan, leads_on=own.name)


def with_usual_lead(controls: Controls, plan: BandPlan, parsed: ParsedPrompt) -> tuple[Controls, BandPlan]:
    """The band with the first of the style's leads that the words do not refuse, whichever was drawn."""
    wanted = [lead for lead in leads_of_band(plan.band) if ("instrument", named_of(lead)) not in parsed.avoid]
    lead = wanted[0] if wanted else plan.lead
    name = named_of(lead) if wanted else plan.written
    return replace(controls, instruments=(name,)), replace(plan, lead=lead, written=name)


def _beyond(parts: Sequence[Part], count: int, named: Sequence[str], no_drums: bool, own: Part | None) -> list[str]:
    """The names of those parts that are not among the first `count`: who is named, then what a band needs."""
    parts = [part for part in parts if not (part.kind == "drums" and no_drums)]
    needed = [kind for kind in _NEEDED if not (kind == "chords" and own)]
    first = [next((part for part in parts if part.kind == kind), None) for kind in needed]

    def place(part: Part) -> tuple[bool, int]:
        return named_of(part.program) not in named, first.index(part) if part in first else len(first)

    return [part.name for part in sorted(parts, key=place)[count:]]


def unaccompanied(plan: BandPlan, names: Sequence[str]) -> BandPlan:
    """The band without all who are not among `names`; the first, if nobody else is, has its chords and bass in his own
    hands, where he can.
    """
    first, *others = dict.fromkeys(names)
    own_first = sorted(plan.band.parts, key=lambda part: part.program != plan.lead)
    hands = in_hands(own_first, first) if not others and accompanies(first) else []
    if any(_has_bass(plan.band, part) for part in hands if part.kind == "chords"):
        hands = [part for part in hands if part.kind == "chords"]
    if first == plan.written:
        hands = [replace(part, program=plan.lead) for part in hands]
    own = {part.name: part for part in hands}
    kept = {*own, *(part.name for part in plan.band.parts if named_of(part.program) in others)}
    silent = tuple(part.name for part in plan.band.parts if part.name not in kept or part.kind == "drums")
    band = replace(plan.band, parts=tuple(own.get(part.name, part) for part in plan.band.parts))
    return replace(plan, band=band, without=silent, drums="none")


def _has_bass(band: Band, part: Part) -> bool:
    """Whether a part that plays chords strikes their basses too."""
    rows = [row for pattern in band.patterns if pattern.part == part.name for _, row in pattern.rows]
    return any(symbol in TONES for row in rows for symbol in row)


def in_hands(parts: Sequence[Part], name: str) -> list[Part]:
    """The first of the parts that plays chords and the first that plays a bass, on one instrument."""
    program = INSTRUMENTS[name].program
    low, high = RANGES[program]
    found = [next((part for part in parts if part.kind == kind), None) for kind in ("chords", "bass")]
    return [
        replace(
            part, program=program, low=max(low, part.low), high=min(high, part.high), root=max(low, part.root),
            strum_ms=0.0,
        )
        for part in found if part is not None
    ]  # fmt: skip


def accompanies(name: str) -> bool:
    """Whether it can play a bass and chords above it."""
    program = INSTRUMENTS[name].program
    return program in HANDS and name not in _SECTIONS and RANGES[program][0] < TREBLE
