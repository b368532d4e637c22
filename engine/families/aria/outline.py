"""A piece before its notes: how long it is and what is planned of each bar, for whoever composes and plays it.

Knows controls, forms, sheets and bands. Does not know tokens or sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from clavilux.audio.codecs.timeline import Timeline
from clavilux.audio.lead_sheet import LeadSheet
from clavilux.audio.score import bar_quarters
from clavilux.families.aria import bands
from clavilux.families.aria.controls import Controls, metre_given, resolve, usual_tempi
from clavilux.families.aria.form import Bar, parts_begun, plan_bars, plan_form, plan_sheet
from clavilux.families.aria.form_options import OPTIONS, FormOptions, players_of
from clavilux.families.aria.instruments import NO_DRUMS, instruments_named
from clavilux.families.aria.lengths import Asked, Length, quarters_slowed, settle_length, tempos_of
from clavilux.families.aria.line_ups import in_number, unaccompanied, with_usual_lead
from clavilux.families.aria.prompt import ParsedPrompt
from clavilux.families.aria.styles import Metre
from clavilux.families.aria.tunes import (
    RIGHT_HANDS,
    kind_of,
    march_of,
    melodists_of,
    session_of,
    tune_of,
    tune_sheet,
    with_players,
)
from clavilux.families.aria.usual_forms import SONG, usual_form
from clavilux.family import Request

if TYPE_CHECKING:
    from clavilux.families.aria.continuation import Continuation

_WORD_SHARE = 1.08  # by which a tempo that a word chose moves for the sake of the form


@dataclass(frozen=True)
class Outline:
    """What is planned.

    Attributes:
        length: seconds, bars and tempo.
        bars: one for each bar, at their sounding pitch.
        ritardando: the last bars slow down.
        sheet: what a band plays; None where there is no band.
    """

    length: Length
    bars: tuple[Bar, ...]
    ritardando: bool
    sheet: LeadSheet | None

    def timeline(self, programs: tuple[frozenset[int] | None, ...] = ()) -> Timeline:
        """When the bars are played; `programs` are heard in each of them."""
        metres = [bar.metre for bar in self.bars]
        return Timeline(
            tuple(metres),
            tempos_of(metres, self.length.tempo, self.ritardando),
            parts_begun(self.bars),
            programs,
            tuple(bar.dynamic for bar in self.bars),
            self.bars[-1].silence,
        )

    @property
    def form(self) -> str:
        """The parts of the form with their bars: "A 8, A 8, B 8"; "" where there is none."""
        counts: list[tuple[str, int]] = []
        for bar in self.bars:
            if bar.name and bar.number == 0:
                counts.append((bar.label, 0))
            if counts:
                counts[-1] = (counts[-1][0], counts[-1][1] + 1)
        return ", ".join(f"{name} {bars}" for name, bars in counts)


def outline_of(
    request: Request,
    parsed: ParsedPrompt,
    controls: Controls,
    plan: bands.BandPlan | None,
    asked: FormOptions,
    *,
    given: Continuation | None,
    tempo_is_free: bool,
) -> Outline:
    """Settle the length, and plan every bar.

    `given` is what is continued; without a form its phrase goes on.

    Raises:
        ValueError: a length, bars and a tempo that cannot be had together, or bars that the form cannot have.
    """
    before_s = given.duration_s if given is not None else 0.0
    named = parsed.kind or kind_of(parsed, controls.style, controls.metre)
    own_rhythm = parsed.density is not None or request.controls.get("density") is not None  # a phrase has its density
    metre = None if own_rhythm else controls.metre
    kind = usual_form(named, controls.style, len(controls.chords or ()), request.seed, metre)
    session = plan is not None and tune_of(named, controls.style) is not None
    alone = plan is not None and not plan.silent
    if alone and not session:
        kind = usual_form(None, SONG, seed=request.seed, metre=metre)
    if _takes_own_form(controls, session or alone or plan is None, asked, before_s):
        asked = replace(asked, own=kind)
    wanted = _wanted(request, parsed, controls, plan, asked, before_s, tempo_is_free)
    length = settle_length(wanted, _quarters_of(controls, asked))
    continues = before_s > 0
    ends_at = None if asked.free else kind.ends_at if kind is not None else 0.0
    sheet = None
    if plan is not None and not (session and asked.shaped):
        sheet = bands.sheet_of(plan, asked, controls, length.tempo, length.bars, request.seed)
        bars = bands.melody_bars(sheet, asked, plan, request.seed)
    elif asked.sheet is not None:
        bars = plan_sheet(players_of(asked.sheet)[0], continues=continues)
    elif asked.shaped:
        parts = asked.parts(length.bars)
        assert parts is not None, "its length fits"
        bars = plan_form(
            parts, controls.metre, controls.key, seed=request.seed, chords=controls.chords, continues=continues,
            own=asked.own, ends_at=ends_at, upbeat_after=kind is not None and kind.upbeat_after > 0 and plan is None,
        )  # fmt: skip
        if plan is not None:
            bars, sheet = tune_sheet(bars, plan, controls.key, length.tempo, request.seed)
    else:
        bars = plan_bars(
            length.bars, controls.metre, section=controls.section, chords=controls.chords, key=controls.key,
            continues=continues, ends_at=ends_at, place=given.next_place if given is not None else 0,
        )  # fmt: skip
    return Outline(length, tuple(bars), asked.ritardando, sheet)


def _takes_own_form(controls: Controls, is_open: bool, asked: FormOptions, before_s: float) -> bool:
    """Whether a whole piece begins, and no option or sheet says its form; nor a band, which `is_open` tells."""
    begins = before_s == 0 and controls.section == "whole"
    return begins and is_open and asked.form is None and asked.sheet is None and not asked.free


class Settlement(NamedTuple):
    """Every control, the band where the style has one, and what is asked of the form."""

    controls: Controls
    plan: bands.BandPlan | None
    asked: FormOptions


def settled(parsed: ParsedPrompt, seed: int, options: dict[str, Any]) -> Settlement:
    """Settle what options, a sheet and words say. ValueError, TypeError as `resolve` and `FormOptions.of`."""
    asked = FormOptions.of(parsed, options)
    options = asked.controls() | {name: value for name, value in options.items() if name not in OPTIONS}
    own: dict[str, Any] = {name: options.pop(name) for name in ("drums", "swing") if name in options}
    if asked.sheet is not None:
        band = bands.band_of(options.get("style") or parsed.style)
        names = players_of(asked.sheet)[1] if band is None else bands.cast(asked.sheet, band)[1]
        options |= {"instruments": names} if names else {}
    named = parsed.instruments if options.get("instruments") is None else instruments_named(options["instruments"])
    whole = (options.get("section") or parsed.section or "whole") == "whole" and not asked.free
    if options.get("style") is None and asked.sheet is None and whole:
        options["style"] = march_of(parsed, named, _metre(parsed, options)) or session_of(parsed, named)
    if options.get("style") in RIGHT_HANDS and options.get("density") is None and parsed.density is None:
        options["density"] = RIGHT_HANDS[options["style"]]
    controls = _together(resolve(parsed, seed=seed, **options), parsed, named)
    plan = bands.plan_of(controls.style, parsed, controls, own)
    controls = replace(controls, unmet=controls.unmet + asked.played_as)
    if plan is None:
        return Settlement(controls, plan, asked)
    tune = tune_of(kind_of(parsed, controls.style, controls.metre), controls.style)
    if tune is not None:
        drums_asked = parsed.drums is not None or "drums" in own or any(NO_DRUMS in each for each in parsed.unmet)
        apart = [name for name in controls.instruments if name not in controls.unison[1:]]
        plan, playing = with_players(plan, tune, apart, drums_asked)
        controls = replace(controls, instruments=playing)
    if plan.highlight == "loud" and not named:  # an oboe was lost above the brass
        controls, plan = with_usual_lead(controls, plan, parsed)
    if not parsed.alone:
        controls, plan = in_number(controls, plan, parsed, named)
    if parsed.alone and not (tune is not None and tune.has_chords):
        apart = [name for name in controls.instruments if name not in controls.unison[1:]]
        plan = unaccompanied(plan, apart)
    return Settlement(bands.with_band(controls, plan), plan, asked)


def _metre(parsed: ParsedPrompt, options: dict[str, Any]) -> Metre | None:
    return parsed.metre if options.get("metre") is None else metre_given(options["metre"])


def _together(controls: Controls, parsed: ParsedPrompt, named: Sequence[str]) -> Controls:
    """The controls, in which of those who are named the ones who play a tune come first, in unison where several."""
    kind = kind_of(parsed, controls.style, controls.metre)
    melodists = melodists_of(kind, controls.style, named)
    instruments = tuple(sorted(controls.instruments, key=lambda name: name not in melodists))
    return replace(controls, instruments=instruments, unison=melodists if len(melodists) > 1 else ())


def _quarters_of(controls: Controls, asked: FormOptions) -> Callable[[int], float]:
    own = () if asked.sheet is None else tuple(bar.metre for bar in asked.sheet.bars)

    def quarters_of(bars: int) -> float:
        if not own and not asked.ritardando:
            return bars * bar_quarters(controls.metre)
        metres = [*own[:bars], *[own[-1] if own else controls.metre] * (bars - len(own))]
        return quarters_slowed(metres, asked.ritardando)

    return quarters_of


def _tempi(parsed: ParsedPrompt, controls: Controls) -> tuple[float, float]:
    """The usual tempi, of which one that a tempo word chose is left by little."""
    slowest, fastest = usual_tempi(bands.habits_of(controls.style), controls.metre, parsed)
    if parsed.pace is None:
        return slowest, fastest
    return max(slowest, controls.tempo / _WORD_SHARE), min(fastest, controls.tempo * _WORD_SHARE)


def _wanted(
    request: Request, parsed: ParsedPrompt, controls: Controls, plan: bands.BandPlan | None, asked: FormOptions,
    before_s: float, tempo_is_free: bool,
) -> Asked:  # fmt: skip
    bars, form = asked.bars, asked.form
    if asked.sheet is not None:
        bars, form = len(asked.sheet.bars), None
    elif form is not None and all(part.bars is not None for part in form.parts):
        own = asked.usual()
        if bars not in (None, own):
            raise ValueError(f"bars is {bars}, and {asked.name} has {own}; leave out one of the two")
        bars = own
    usual = asked.usual() if plan is None or asked.own is not None else bands.usual_bars(plan, asked)
    return Asked(
        seconds=request.seconds,
        open_length=request.open_length,
        tempo=controls.tempo,
        tempo_is_free=tempo_is_free,
        before_s=before_s,
        bars=bars,
        said_bars=None if bars is not None and asked.sheet is not None else parsed.bars,
        said_seconds=parsed.length,
        fits=(lambda n: asked.parts(n) is not None) if asked.shaped else (lambda n: True),
        usual=usual,
        rather=asked.rather,
        tempi=_tempi(parsed, controls),
        form=asked.name,
    )
