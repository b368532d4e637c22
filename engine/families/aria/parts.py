"""Who plays what the composer writes: the parts of named instruments, and their programs.

Knows ranges, hands, and for whom tunes are written. Does not know tokens (`grammar`) or styles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from clavilux.families.aria import bands
from clavilux.families.aria.grammar import RANGES, Part
from clavilux.families.aria.instruments import HANDS, INSTRUMENTS
from clavilux.families.aria.tunes import Tune

# Choirs of voices begin several notes at once, single voices one for each player.
_CHOIR_NOTES = 4
# Pitches of a band's melody, and the semitones that it has at least; left alone it sinks among the chords.
_LOWEST_LEAD, _HIGHEST_LEAD, _LEAD_SPAN = 60, 82, 19
_RIGHT_HAND = (67, 12)  # likewise of a dance's right hand, which breaks chords when it lies lower


def parts_of(names: tuple[str, ...], shift: int) -> tuple[list[Part], dict[int, int]]:
    """Who plays, in the composer's key, and which program plays what each is written as."""
    parts: list[Part] = []
    programs: dict[int, int] = {}
    for name in dict.fromkeys(names):
        instrument = INSTRUMENTS[name]
        written = instrument.written_as if instrument.written_as not in programs else instrument.program
        if written in programs:
            continue  # lute and guitar, voice and choir: one sound, one part
        low, high = RANGES[instrument.program]
        most = HANDS.get(instrument.program, names.count(name))
        most = _CHOIR_NOTES if name == "choir" else most
        most = 2 if len(set(names)) == 1 and instrument.program in (40, 41, 42, 110) and most == 1 else most
        programs[written] = instrument.program
        parts.append(Part(written, low + shift, high + shift, most))
    return parts, programs


def programs_of(
    names: tuple[str, ...], programs: dict[int, int]
) -> Callable[[tuple[str, ...] | None], frozenset[int] | None]:
    """Which programs those of `names` are written as, for `programs` as `parts_of` has them; None for everybody."""
    found: dict[str, int] = {}
    for name in names:
        instrument = INSTRUMENTS[name]
        own = instrument.written_as if programs.get(instrument.written_as) == instrument.program else instrument.program
        found[name] = own if own in programs else instrument.written_as

    def of(players: tuple[str, ...] | None) -> frozenset[int] | None:
        return None if players is None else frozenset(found[name] for name in players if name in found)

    return of


def cast_of(
    instruments: tuple[str, ...], plan: bands.BandPlan | None, tune: Tune | None, shift: int
) -> tuple[tuple[str, ...], list[Part], dict[int, int]]:
    """(for whom the composer writes, and `parts_of` them): everybody, a band's melody, or who plays a tune."""
    names = instruments if plan is None else (plan.written,)
    accompanied = plan is not None and tune is not None and tune.has_chords
    if tune is not None and len(set(names)) == 1 and not accompanied:
        return names, *_tune_parts(tune, names[0], shift)
    lead = _RIGHT_HAND if accompanied else (_LOWEST_LEAD, _LEAD_SPAN)
    return names, *(parts_of(names, shift) if plan is None else lead_of(plan, shift, *lead))


def _tune_parts(tune: Tune, name: str, shift: int) -> tuple[list[Part], dict[int, int]]:
    """As `parts_of` for a tune that one plays by himself, or that leads a session: written as all of its kind are.

    Who plays one note at a time keeps his own part where those of the kind are for a piano.
    """
    (part,), programs = parts_of((name,), shift)
    written = tune.program
    if tune.has_chords and INSTRUMENTS[name].program not in HANDS:
        return [part], programs
    low, high = (max(part.low, RANGES[written][0] + shift), min(part.high, RANGES[written][1] + shift))
    if high - low >= _LEAD_SPAN:  # a tuba stays where it is
        part = replace(part, low=low, high=high)
    most = HANDS.get(written, 1)
    return [replace(part, program=written, most_notes=most, leads=most == 1)], {written: INSTRUMENTS[name].program}


def lead_of(
    plan: bands.BandPlan, shift: int, lowest: int = _LOWEST_LEAD, span: int = _LEAD_SPAN
) -> tuple[list[Part], dict[int, int]]:
    """As `parts_of` for a band's melody: a single voice, on the style's own instrument, above the band's chords."""
    (part, *_), programs = parts_of((plan.written,), shift)
    highest = lowest + _HIGHEST_LEAD - _LOWEST_LEAD
    high = min(part.high, max(highest + shift, part.low + span))  # a piccolo begins high
    low = max(part.low, min(lowest + shift, high - span))
    part = replace(part, low=low, high=high, most_notes=1, leads=True)
    return [part], dict.fromkeys(programs, plan.lead)
