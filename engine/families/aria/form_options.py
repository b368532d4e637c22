"""What is asked of a piece's form: by options, and where they say nothing by words.

Knows ranges, and what cannot be asked for together. Does not know bars (`form`) or seconds (`lengths`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clavilux.audio.lead_sheet import LeadSheet
from clavilux.audio.sheet_text import load_sheet
from clavilux.checks import whole_number
from clavilux.families.aria.form_names import FREE, MOST_BARS, MOST_OF_ENDS, Form, FormPart, read_form
from clavilux.families.aria.instruments import INSTRUMENTS, instruments_named
from clavilux.families.aria.literals import no_metre
from clavilux.families.aria.styles import METRES
from clavilux.families.aria.usual_forms import UsualForm

if TYPE_CHECKING:
    from clavilux.families.aria.prompt import ParsedPrompt

OPTIONS = ("form", "bars", "intro", "outro", "ritardando", "sheet")
_SAID_BY_SHEET = ("form", "bars", "intro", "outro", "key", "metre", "chords", "section")
_WHOLE = Form("the piece", (FormPart("A"),))


@dataclass(frozen=True)
class FormOptions:
    """What is asked.

    Attributes:
        form: None where none is.
        free: no form is wanted, not even the one that the kind of music has.
        own: the form of the kind of music, where none is asked for.
        bars: that an option says, intro and outro among them.
        intro, outro: bars before and after the form; 0 is none, None leaves it to a band's own form.
        ritardando: the last bars slow down.
        sheet: what is to be played, None for none; `played_as` is what of it is not played as it is written.
    """

    form: Form | None = None
    free: bool = False
    own: UsualForm | None = None
    bars: int | None = None
    intro: int | None = None
    outro: int | None = None
    ritardando: bool = False
    sheet: LeadSheet | None = None
    played_as: tuple[str, ...] = ()

    @classmethod
    def of(cls, parsed: ParsedPrompt, options: dict[str, Any]) -> FormOptions:
        """Of what was read and options, of which others than `OPTIONS` are only looked at.

        Raises:
            ValueError: a value outside its range, no such form, or a sheet that cannot be read or does not go with
                another option; TypeError: one of another type.
        """
        sheet = options.get("sheet")
        if sheet is not None:
            return cls._of_sheet(parsed, sheet, options)
        given = options.get("form")
        intro = options["intro"] if options.get("intro") is not None else parsed.intro
        outro = options["outro"] if options.get("outro") is not None else parsed.outro
        said = given if given is not None else parsed.form
        free = isinstance(said, str) and said.strip().lower() == FREE
        form = None if said is None or free else read_form(said)
        for name, value in (("intro", intro), ("outro", outro)):
            if value is not None:
                whole_number(name, value, 0, MOST_OF_ENDS)
            if value and form is not None and name in [part.name for part in form.parts]:
                raise ValueError(f"form has an {name} of its own and {name} is {value}; leave out one of the two")
        bars = options.get("bars")
        if bars is not None:
            whole_number("bars", bars, 1, MOST_BARS)
        if options.get("section") not in (None, "whole") and (form or intro or outro):
            raise ValueError(
                f"section is {options['section']!r}, a part of a piece, which has no form; leave out one of the two"
            )
        return cls(form, free, None, bars, intro, outro, _slows(parsed, options))

    @classmethod
    def _of_sheet(cls, parsed: ParsedPrompt, given: Any, options: dict[str, Any]) -> FormOptions:
        said = [name for name in _SAID_BY_SHEET if options.get(name) is not None]
        if said:
            raise ValueError(f"a sheet says its own {said[0]}; leave out {said[0]}, or change the sheet")
        text = (given, ()) if isinstance(given, LeadSheet) else load_sheet(given)
        sheet, played_as = text[0], tuple(text[1])
        if options.get("instruments") is not None and any(section.instruments for section in sheet.sections):
            raise ValueError("the sheet names its own instruments; leave out instruments, or change the sheet")
        for index, bar in enumerate(sheet.bars, 1):
            if bar.metre not in METRES:
                raise ValueError(f"bar {index} of the sheet is in {bar.metre[0]}/{bar.metre[1]}; {no_metre(bar.metre)}")
        return cls(sheet=sheet, ritardando=_slows(parsed, options), played_as=played_as)

    def controls(self) -> dict[str, Any]:
        """What a sheet settles, as options of `resolve` and of a band."""
        sheet = self.sheet
        if sheet is None:
            return {}
        metre = sheet.bars[0].metre
        found: dict[str, Any] = {"key": sheet.key, "tempo": sheet.tempo, "metre": f"{metre[0]}/{metre[1]}"}
        found |= {"style": sheet.style} if sheet.style else {}
        found |= {"swing": sheet.swing} if sheet.swing is not None else {}
        return found

    @property
    def shaped(self) -> bool:
        """Whether there is a form, an intro or an outro."""
        return self.form is not None or self.own is not None or bool(self.intro) or bool(self.outro)

    def parts(self, num_bars: int) -> list[FormPart] | None:
        """The sections of so many bars, intro and outro among them; None where the form cannot have so many."""
        before = [FormPart("intro", self.intro)] if self.intro else []
        after = [FormPart("outro", self.outro)] if self.outro else []
        room = num_bars - (self.intro or 0) - (self.outro or 0)
        inside = (self.form or self.own or _WHOLE).sections(room) if room > 0 else None
        return None if inside is None else [*before, *inside, *after]

    def usual(self, bars_of: Sequence[tuple[str, int]] = ()) -> int | None:
        """Bars where nobody says how many; `bars_of` are a style's (section, bars). None where no form says it."""
        own = None if self.own is None else self.own.usual()
        bars = own if self.form is None else self.form.usual(bars_of)
        return None if bars is None else bars + (self.intro or 0) + (self.outro or 0)

    @property
    def rather(self) -> tuple[Callable[[int], bool], ...]:
        """What the number of bars should rather be, where it is open: whole rounds of the kind's own form, or parts."""
        if self.form is not None or self.own is None:
            return ()
        own, ends = self.own, (self.intro or 0) + (self.outro or 0)
        return (lambda bars: own.whole_rounds(bars - ends)), (lambda bars: own.whole_parts(bars - ends))

    @property
    def name(self) -> str:
        """What errors call the form."""
        ends = [f"{each} of {bars}" for each, bars in (("an intro", self.intro), ("an outro", self.outro)) if bars]
        return " with ".join([self.form.text if self.form else "a piece", *([" and ".join(ends)] if ends else [])])


def _slows(parsed: ParsedPrompt, options: dict[str, Any]) -> bool:
    given = options.get("ritardando")
    if given is not None and not isinstance(given, bool):
        raise TypeError(f"ritardando is {given!r}; it should be True or False")
    return parsed.ritardando if given is None else given


def players_of(sheet: LeadSheet) -> tuple[LeadSheet, list[str]]:
    """(the sheet with its players under the names of `INSTRUMENTS`, all of them in order; none where it names none).

    Raises:
        ValueError: an instrument that is not known.
    """
    sections = []
    for section in sheet.sections:
        players = section.instruments and tuple(name for each in section.instruments for name in named(each))
        sections.append(replace(section, instruments=players))
    names = [name for section in sections for name in section.instruments or ()]
    return replace(sheet, sections=tuple(sections)), list(dict.fromkeys(names))


def named(name: str) -> tuple[str, ...]:
    """The instruments that a sheet's name means. ValueError for one that is not known."""
    return (name,) if name in INSTRUMENTS else instruments_named(name)
