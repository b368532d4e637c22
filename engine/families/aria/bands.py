"""Songs with a band: which band style a prompt means, its lead sheet, and what the composer writes of it.

Knows controls and lead sheets. The composer writes the melody, under the sheet's chords; the arranger
(`clavilux.audio.arranging`) plays the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clavilux.audio.arranging.arranger import DRUM_SETS, Arranger
from clavilux.audio.arranging.band import Band
from clavilux.audio.arranging.forms import usual_bars, write_sheet
from clavilux.audio.arranging.library import ENDING, band_names, load_band
from clavilux.audio.harmony import Chord
from clavilux.audio.lead_sheet import LeadSheet
from clavilux.audio.programs import KIN, PROGRAM_NAMES
from clavilux.checks import check_number
from clavilux.families.aria.form import Bar, sections_of
from clavilux.families.aria.instruments import INSTRUMENTS, NO_DRUMS, unknown
from clavilux.families.aria.styles import STYLES, Style

if TYPE_CHECKING:
    from clavilux.families.aria.controls import Controls
    from clavilux.families.aria.prompt import ParsedPrompt

_SILENT_LEAD = ("intro", "breakdown")  # sections in which the melody rests
_PROGRAMS = {name.lower(): number for number, name in enumerate(PROGRAM_NAMES)}


@dataclass(frozen=True)
class BandPlan:
    """Which band plays, and how: what options and words leave of it.

    `lead` is the General MIDI program that plays the melody, `written` the name out of `INSTRUMENTS` whose music it
    plays; `without` are parts that do not play.
    """

    band: Band
    lead: int
    written: str
    drums: str
    swing: float | None
    without: tuple[str, ...]


def habits_of(style: str) -> Style:
    """What a style is usually like, whether the composer knows it or a band does. ValueError for another name."""
    if style in STYLES:
        return STYLES[style]
    band = load_band(style)
    return Style(
        name=band.name,
        words=(),
        ensembles=tuple((1, (_named(_PROGRAMS[lead]),)) for lead in band.lead),
        metres=((band.metre, 1),),
        tempo=band.tempo,
        tempos=((band.metre, band.tempo),),
        minor=band.minor,
        major_keys=" ".join(band.major_keys),
        minor_keys=" ".join(band.minor_keys),
    )


def check_style(style: str) -> str:
    """The name of a style that an option gives: one of the composer's, a band's, or the file of a band style.

    Raises:
        ValueError: there is none of that name; TypeError: it is no text.
    """
    if not isinstance(style, str):
        raise TypeError(f"style is {style!r}; it should be one of {', '.join((*STYLES, *band_names()))}")
    name = style.strip()
    if name.endswith(ENDING):
        load_band(name)
        return name
    if name.lower() not in (*STYLES, *band_names()):
        raise ValueError(unknown("style", style, (*STYLES, *band_names())))
    return name.lower()


def plan_of(style: str, parsed: ParsedPrompt, controls: Controls, options: dict[str, Any]) -> BandPlan | None:
    """The band of a style, None where the composer plays by itself; `options` may hold `drums` and `swing`.

    Raises:
        ValueError: drums or swing for a style without a band, or outside their range.
    """
    drums, swing = options.get("drums"), options.get("swing")
    if style in STYLES:
        for name, value in (("drums", drums), ("swing", swing)):
            if value is not None:
                raise ValueError(
                    f"{name} is {value!r}, and {style} has no band; styles with one are {', '.join(band_names())}"
                )
        return None
    band = load_band(style)
    if drums is not None and drums not in DRUM_SETS:
        raise ValueError(f"drums is {drums!r}; it should be one of {', '.join(DRUM_SETS)}")
    if swing is not None and not 0.5 <= check_number("swing", swing) <= 0.75:
        raise ValueError(f"swing is {swing:g}; it should be from 0.5 (even) to 0.75, 0.667 being a triplet's")
    if drums is None:
        drums = "none" if ("instrument", "drums") in parsed.avoid else "full"
    players = parsed.players or len(band.parts) + 1
    without = tuple(part.name for part in band.parts[max(1, players - 1) :])
    refused = {value for slot, value in parsed.avoid if slot == "instrument"}
    without += tuple(part.name for part in band.parts if part.kind != "drums" and _named(part.program) in refused)
    written = controls.instruments[0]
    own = {_named(_PROGRAMS[lead]): _PROGRAMS[lead] for lead in reversed(band.lead)}
    lead = own.get(written, INSTRUMENTS[written].program)
    return BandPlan(band, lead, written, drums, swing, without)


def with_band(controls: Controls, plan: BandPlan) -> Controls:
    """The controls with all that play as instruments; what was asked for besides the lead and is not among them is
    unmet.
    """
    playing = [
        "drums" if part.kind == "drums" else _named(part.program)
        for part in plan.band.parts
        if part.name not in plan.without and not (part.kind == "drums" and plan.drums == "none")
    ]
    absent = [name for name in controls.instruments[1:] if name not in playing and name != plan.written]
    unmet = [each for each in controls.unmet if NO_DRUMS not in each]
    unmet += [f"{name} (the band is {', '.join(dict.fromkeys(playing))})" for name in dict.fromkeys(absent)]
    return replace(controls, instruments=(plan.written, *playing), unmet=tuple(unmet))


def form_decides(parsed: ParsedPrompt, open_length: bool, plan: BandPlan) -> ParsedPrompt:
    """What was read, with the form's own number of bars where nobody says how long the song is; a band has drums."""
    parsed = replace(parsed, unmet=tuple(each for each in parsed.unmet if NO_DRUMS not in each))
    if open_length and parsed.bars is None and parsed.length is None:
        return replace(parsed, bars=usual_bars(plan.band))
    return parsed


def sheet_of(plan: BandPlan, controls: Controls, tempo: float, num_bars: int, seed: int) -> LeadSheet:
    """Form and chords of the song."""
    return write_sheet(
        plan.band,
        controls.key,
        tempo,
        num_bars,
        seed=seed,
        metre=controls.metre,
        swing=plan.swing,
        chords=controls.chords,
    )


def arranger_of(plan: BandPlan, sheet: LeadSheet, seed: int) -> Arranger:
    """Who plays the sheet."""
    return Arranger(sheet, plan.band, seed=seed, drums=plan.drums, without=plan.without)


def melody_bars(sheet: LeadSheet, shift: int) -> list[Bar]:
    """What the composer writes, `shift` semitones higher: the melody's bars under the sheet's chords.

    Sections that return return with their melody; the last bar is always written anew, for it ends the piece.
    """
    names = sections_of(len(sheet.bars))
    bars: list[Bar] = []
    first_of: dict[tuple[str, int], int] = {}
    sounding = Chord((sheet.key.tonic + shift) % 12, "min" if sheet.key.mode == "minor" else "maj")
    for section in sheet.sections:
        first = first_of.setdefault((section.name, len(section.bars)), len(bars))
        for index, bar in enumerate(section.bars):
            chords = _plain(bar.chords, shift)
            if not chords or chords[0][0] > 0:
                chords = ((0.0, sounding), *chords)
            sounding = chords[-1][1]
            last = len(bars) + 1 == len(sheet.bars)
            rests = section.name in _SILENT_LEAD and not last
            again = first + index
            anew = rests or last or section.varied or again == len(bars) or bars[again].chords != chords
            bars.append(Bar(bar.metre, names[len(bars)], chords, rests=rests, returns=None if anew else again))
    return bars


def _plain(chords: Sequence[tuple[float, Chord]], shift: int) -> tuple[tuple[float, Chord], ...]:
    """Chords without their basses, which are the band's to play."""
    return tuple((time, Chord((chord.root + shift) % 12, chord.quality)) for time, chord in chords)


def _named(program: int) -> str:
    """The instrument whose music a program plays."""
    by_program = {instrument.program: name for name, instrument in reversed(INSTRUMENTS.items())}
    for near in (program, *KIN[program]):
        if near in by_program:
            return by_program[near]
    return "piano"


def account_of(plan: BandPlan, sheet: LeadSheet) -> dict[str, Any]:
    """What a receipt says of the band."""
    swing = plan.band.swing if sheet.swing is None else sheet.swing
    form = ", ".join(f"{section.name} {len(section.bars)}" for section in sheet.sections)
    return {"form": form, "drums": plan.drums, "swing": round(swing, 4), "lead": PROGRAM_NAMES[plan.lead]}
