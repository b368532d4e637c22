"""Songs with a band: which band style a prompt means, its lead sheet, and what the composer writes of it.

Knows controls and lead sheets. The composer writes the melody, under the sheet's chords; the arranger
(`clavilux.audio.arranging`) plays the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from clavilux.audio.arranging.arranger import DRUM_SETS, Arranger
from clavilux.audio.arranging.band import Band
from clavilux.audio.arranging.forms import fit_form, with_chords, write_sheet
from clavilux.audio.arranging.library import ENDING, band_names, band_words, load_band
from clavilux.audio.lead_sheet import LeadSheet
from clavilux.audio.programs import KIN, PROGRAM_NAMES
from clavilux.checks import check_number
from clavilux.families.aria.form import Bar, ended, plan_sheet
from clavilux.families.aria.form_options import FormOptions, named
from clavilux.families.aria.instruments import INSTRUMENTS, NO_DRUMS, unknown, words_of
from clavilux.families.aria.styles import STYLES, Style
from clavilux.families.aria.usual_forms import SONG, usual_form

if TYPE_CHECKING:
    from clavilux.families.aria.controls import Controls
    from clavilux.families.aria.prompt import ParsedPrompt

SILENT_LEAD = ("intro", "breakdown")  # sections in which the melody rests
_PROGRAMS = {name.lower(): number for number, name in enumerate(PROGRAM_NAMES)}


@dataclass(frozen=True)
class BandPlan:
    """Which band plays, and how: what options and words leave of it.

    `lead` is the General MIDI program that plays the melody, `written` the name out of `INSTRUMENTS` whose music it
    plays; `without` are parts that do not play, `leads_on` is the one that the melody's player has in his own hands.
    `asked` are those who were named, or who was drawn to lead.
    `highlight` is which sections a song begins with that has no room for all: "solo", or those that are "loud".
    """

    band: Band
    lead: int
    written: str
    drums: str
    swing: float | None
    without: tuple[str, ...]
    leads_on: str | None = None
    highlight: str | None = None
    asked: tuple[str, ...] = ()

    @property
    def silent(self) -> tuple[str, ...]:
        """Sections in which the melody rests: none where nobody else plays."""
        drums = {part.name for part in self.band.parts if part.kind == "drums" and self.drums == "none"}
        return SILENT_LEAD if {part.name for part in self.band.parts} - {*self.without, *drums} else ()


def habits_of(style: str) -> Style:
    """What a style is usually like, whether the composer knows it or a band does. ValueError for another name."""
    if style in STYLES:
        return STYLES[style]
    band = load_band(style)
    return Style(
        name=band.name,
        words=(),
        ensembles=tuple((1, (named_of(_PROGRAMS[lead]),)) for lead in band.lead),
        metres=((band.metre, 1),),
        tempo=band.tempo,
        tempos=((band.metre, band.tempo),),
        minor=band.minor,
        major_keys=" ".join(band.major_keys),
        minor_keys=" ".join(band.minor_keys),
    )


def check_style(style: str) -> str:
    """The name of a style that an option gives: one of the composer's, a band's, a word of a prompt for either, or the
    file of a band style.

    Raises:
        ValueError: there is none of that name; TypeError: it is no text.
    """
    if not isinstance(style, str):
        raise TypeError(f"style is {style!r}; it should be one of {', '.join((*STYLES, *band_names()))}")
    name = style.strip()
    if name.endswith(ENDING):
        load_band(name)
        return name
    if name.lower() in (*STYLES, *band_names()):
        return name.lower()
    words = {words_of(word): of for of, asking in _style_words().items() for word in asking}
    if words_of(name) in words:
        return words[words_of(name)]
    near = get_close_matches(" ".join(words_of(name)), [" ".join(word) for word in words], n=1, cutoff=0.75)
    raise ValueError(unknown("style", style, (*STYLES, *band_names()), words[tuple(near[0].split())] if near else None))


def _style_words() -> dict[str, tuple[str, ...]]:
    """Style -> the words that ask for it; bands come last, whose a word of two is."""
    return {name: style.words for name, style in STYLES.items()} | band_words()


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
        drums = "none" if ("instrument", "drums") in parsed.avoid else parsed.drums or "full"
    refused = {value for slot, value in parsed.avoid if slot == "instrument"}
    without = tuple(part.name for part in band.parts if part.kind != "drums" and named_of(part.program) in refused)
    written = controls.instruments[0]
    lead, asked = _own_sound(band, written), controls.instruments
    return BandPlan(band, lead, written, drums, swing, without, highlight=parsed.highlight, asked=asked)


def _own_sound(band: Band, written: str) -> int:
    """The program of an instrument as the style has it: a lead's or a part's, its guitar where a guitar is named."""
    leads = [_PROGRAMS[lead] for lead in band.lead]
    own = {named_of(program): program for program in reversed(leads)}
    usual = INSTRUMENTS[written].program
    if written in own:
        return own[written]
    near = [part.program for part in band.parts if part.kind == "chords" and part.program // 8 == usual // 8]
    return next((program for program in near if written == "guitar" or named_of(program) == written), usual)


def with_band(controls: Controls, plan: BandPlan) -> Controls:
    """The controls with all that play as instruments, those first who play the melody; what was asked for besides
    and is not among them is unmet.
    """
    melody = (plan.written, *controls.unison[1:])
    playing = [
        "drums" if part.kind == "drums" else named_of(part.program)
        for part in plan.band.parts
        if part.name not in (*plan.without, plan.leads_on) and not (part.kind == "drums" and plan.drums == "none")
    ]
    absent = [name for name in controls.instruments[1:] if name not in (*playing, *melody)]
    unmet = [each for each in controls.unmet if NO_DRUMS not in each]
    unmet += [f"{name} (the band is {', '.join(dict.fromkeys(playing))})" for name in dict.fromkeys(absent)]
    return replace(controls, instruments=(*melody, *playing), unmet=tuple(unmet))


def with_drums(parsed: ParsedPrompt) -> ParsedPrompt:
    """What was read; a band has the drums that the composer does not write."""
    return replace(parsed, unmet=tuple(each for each in parsed.unmet if NO_DRUMS not in each))


def band_of(style: str | None) -> Band | None:
    """The band of a style that is named; None where there is none. ValueError as `check_style`."""
    name = style and check_style(style)
    return load_band(name) if name and name not in STYLES else None


def usual_bars(plan: BandPlan, asked: FormOptions) -> int:
    """How many bars a song has where nobody says: its form's, which is the style's own where none is asked for."""
    form = plan.band.form
    if asked.form is not None:
        return asked.usual(form) or 0
    ends = (("intro", asked.intro), ("outro", asked.outro))
    replaced = [name for name, bars in ends if bars is not None]
    return sum(bars for name, bars in form if name not in replaced) + sum(bars or 0 for _, bars in ends)


def sheet_of(
    plan: BandPlan, asked: FormOptions, controls: Controls, tempo: float, num_bars: int, seed: int
) -> LeadSheet:
    """Form and chords of the song: those of the sheet that is asked for, else the style's in the form that is."""
    if asked.sheet is not None:
        sheet = with_chords(cast(asked.sheet, plan.band)[0], plan.band, seed)
        swing = sheet.swing if plan.swing is None else plan.swing
        return replace(sheet, tempo=tempo, style=plan.band.name, swing=swing)
    return write_sheet(
        plan.band,
        controls.key,
        tempo,
        num_bars,
        seed=seed,
        metre=controls.metre,
        swing=plan.swing,
        chords=controls.chords,
        form=_asked_form(plan.band, asked, num_bars),
        highlight=plan.highlight,
    )


def _asked_form(band: Band, asked: FormOptions, num_bars: int) -> list[tuple[str, int, bool]] | None:
    """(section, bars, whether it is varied) as options have it; None leaves all to the style."""
    if asked.form is None and asked.own is None and asked.intro is None and asked.outro is None:
        return None
    if asked.form is not None or asked.own is not None:
        parts = asked.parts(num_bars) or []
        return [(part.name, part.bars or 0, part.varied) for part in parts]
    replaced = [name for name, bars in (("intro", asked.intro), ("outro", asked.outro)) if bars is not None]
    own = [part for part in band.form if part[0] not in replaced]
    inside = fit_form(own, num_bars - (asked.intro or 0) - (asked.outro or 0))
    before = [("intro", asked.intro)] if asked.intro else []
    after = [("outro", asked.outro)] if asked.outro else []
    return [(name, bars, False) for name, bars in (*before, *inside, *after)]


def cast(sheet: LeadSheet, band: Band) -> tuple[LeadSheet, list[str]]:
    """(the sheet with its players as parts of the band and the one who plays the melody, that one's name if named).

    A name is a part of the band ("bass"), an instrument that one plays, or else the melody's.

    Raises:
        ValueError: several that the band does not have, of which one alone can play the melody.
    """
    plays = {part.name: [part.name] for part in band.parts}
    for part in band.parts:
        plays.setdefault("drums" if part.kind == "drums" else named_of(part.program), []).append(part.name)
    leads: list[str] = []
    sections = []
    for section in sheet.sections:
        players = None
        if section.instruments is not None:
            players = []
            for name in section.instruments:
                own = plays.get(name.lower()) or list(named(name))
                leads += [each for each in own if each not in plays]
                players += own
        sections.append(replace(section, instruments=None if players is None else tuple(players)))
    leads = list(dict.fromkeys(leads))
    if len(leads) > 1:
        raise ValueError(
            f"the sheet has {' and '.join(leads)} beside the band of {band.name} ({', '.join(plays)}); one alone can "
            "play the melody"
        )
    return replace(sheet, sections=tuple(sections)), leads


def arranger_of(plan: BandPlan, sheet: LeadSheet, seed: int, melodists: int = 1) -> Arranger:
    """Who plays the sheet, beside so many who play its melody."""
    return Arranger(sheet, plan.band, seed=seed, drums=plan.drums, without=plan.without, melodists=max(1, melodists))


def melody_bars(sheet: LeadSheet, asked: FormOptions, plan: BandPlan, seed: int) -> list[Bar]:
    """What the composer writes: the melody's bars under the sheet's chords, whose basses are the band's to play.

    Sections that return return with their melody, which ends on the root of the last chord, and bars of a section
    follow from each other as in songs. Where the sheet was not asked for, the melody rests in an intro.
    """
    silent = () if asked.sheet is not None else plan.silent
    metres = {bar.metre for bar in sheet.bars}
    own = usual_form(None, SONG, seed=seed, metre=metres.pop() if len(metres) == 1 else None)
    bars = ended(plan_sheet(sheet, silent, own=own, seed=seed), 0.0)
    return [
        replace(bar, chords=bar.chords and tuple((at, replace(c, bass=None)) for at, c in bar.chords)) for bar in bars
    ]


def leads_of_band(band: Band) -> list[int]:
    """The programs that play a style's melodies."""
    return [_PROGRAMS[name] for name in band.lead]


def named_of(program: int) -> str:
    """The instrument whose music a program plays."""
    by_program = {instrument.program: name for name, instrument in reversed(INSTRUMENTS.items())}
    for near in (program, *KIN[program]):
        if near in by_program:
            return by_program[near]
    return "piano"


def put_account(receipt: dict[str, Any], plan: BandPlan, arranger: Arranger, unison: Sequence[str] = ()) -> None:
    """Write what a receipt says of the band: of its parts those that play anything, under the names of General MIDI,
    those in `unison` with the melody. Who was asked for and rests is unmet; what a composer by itself goes by goes.
    """
    controls, heard = receipt["controls"], arranger.heard()
    playing = [part for part in arranger.parts if part.name in heard]
    resting = [named_of(part.program) for part in arranger.parts if part not in playing and part.kind != "drums"]
    there = {plan.written, *(named_of(part.program) for part in playing)}
    receipt["unmet"] += [
        f"{name} (rests in the sections that there is room for)"
        for name in dict.fromkeys(resting) if name in plan.asked and name not in there
    ]  # fmt: skip
    lead = PROGRAM_NAMES[plan.lead]
    others = [PROGRAM_NAMES[INSTRUMENTS[name].program] for name in unison[1:]]
    names = [PROGRAM_NAMES[part.program] for part in playing if part.kind != "drums"]
    drums = ["drums"] if len(names) < len(playing) else []
    for name in ("density", "section"):
        controls.pop(name, None)
    if controls["chords"] == "drawn":
        controls["chords"] = "as the style has them"
    controls["instruments"] = list(dict.fromkeys((lead, *others, *names, *drums)))
    controls["band"] = {"drums": plan.drums if drums else "none", "swing": round(arranger.swing, 4), "lead": lead}
