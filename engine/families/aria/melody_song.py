"""Songs around a melody that is given: its band, its lead sheet, and the bars that play it.

Knows requests, controls and melodies. Nothing is composed here: the harmonizer finds the chords, the arranger plays.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.arranging.band import Band
from clavilux.audio.arranging.library import band_names, load_band
from clavilux.audio.arranging.melody_sheet import Turns, bars_in, sheet_for, turns_of
from clavilux.audio.clip import Audio
from clavilux.audio.codecs.sheet_player import SheetPlayer
from clavilux.audio.melodies import MOST_BARS, Melody, melody_of
from clavilux.audio.midi_tracks import plural
from clavilux.audio.notation.files import read_score
from clavilux.audio.score import bar_quarters
from clavilux.audio.soundfont import SoundFont
from clavilux.audio.synth import SAMPLE_RATE
from clavilux.checks import whole_number
from clavilux.conditioning import Conditioning
from clavilux.families.aria import bands
from clavilux.families.aria.controls import Controls, key_given, metre_given, resolve, tempo_given
from clavilux.families.aria.instruments import RANGES
from clavilux.families.aria.lengths import RING_S, RING_SHARE
from clavilux.families.aria.line_ups import in_number
from clavilux.families.aria.literals import LONGEST_S
from clavilux.families.aria.prompt import ParsedPrompt
from clavilux.families.aria.styles import STYLES
from clavilux.family import Request
from clavilux.files import is_score
from clavilux.windows import Windows

_OF_MELODIES = ("anything", "soundfont", "melody", "bars", "drums", "swing")  # that `resolve` does not take
_ANY_BAND = "pop"
_OF_COMPOSED = ("sheet", "form", "intro", "outro", "ritardando", "density", "section")
# Styles that suit many a tune: of the others a tune's metre, tempo and mode must speak more clearly.
_PLAIN = {
    "pop": 0.0,
    "folk session": 0.1,
    "jig session": 0.1,
    "ballad": 0.1,
    "country": 0.2,
    "jazz waltz": 0.2,
    "lullaby": 0.3,
}
_SELDOM = 1.0
_OTHER_METRE, _PER_OCTAVE, _OTHER_MODE, _RELATED = 6.0, 3.0, 0.5, 0.8


def read_melody(source: Any, parsed: ParsedPrompt, options: dict[str, Any]) -> Melody:
    """The melody of a score file, a sound file or an `Audio`, with its key, tempo and metre, or those that words or
    options give.

    Raises:
        ValueError: a file that cannot be read, or in which no melody is found, as `melody_of` and `transcribe`.
        TypeError: something else.
    """
    if not isinstance(source, (str, os.PathLike, Audio)):
        raise TypeError(f"melody is {type(source).__name__}; it should be a file of notes or of sound, or an Audio")
    key = key_given(options["key"]) if "key" in options else parsed.key
    tempo = tempo_given(options["tempo"]) if "tempo" in options else parsed.tempo
    metre = metre_given(options["metre"]) if "metre" in options else parsed.metre
    score = source.score if isinstance(source, Audio) else read_score(source) if is_score(source) else None
    if score is not None:
        return melody_of(score, key=key, tempo=tempo, metre=metre)
    from clavilux.audio.transcribing import transcribe  # librosa is slow to import

    clip = source if isinstance(source, Audio) else Audio.load(source)
    heard = transcribe(clip, tempo=tempo, metre=metre)
    melody = melody_of(heard, key=key, tempo=tempo, metre=metre)
    found = f"{plural(len(melody.notes), 'note')} were heard in {clip.duration_s:.1f} s"
    return replace(melody, remarks=(found, *melody.remarks))


def check_melody(parsed: ParsedPrompt, options: dict[str, Any]) -> None:
    """Refuse what a song around `options["melody"]` would refuse, as far as it is known without listening to sound.

    Raises:
        ValueError, TypeError: as `MelodySong`.
    """
    _check_options(None, parsed, options)
    if isinstance(options["melody"], (str, os.PathLike)) and is_score(options["melody"]):
        melody = read_melody(options["melody"], parsed, options)
        _settled(parsed, 0, {name: value for name, value in options.items() if name != "melody"}, melody, [])


def nearest_band(melody: Melody, related: str | None = None) -> str:
    """The name of the style whose metre, tempo and mode are most like a melody's; plain styles come first.

    `related`: a style of the composer's that is asked for, which some bands are like.
    """

    def far(name: str) -> float:
        band = load_band(name)
        slowest, fastest = band.tempo
        outside = max(np.log2(slowest / melody.tempo), np.log2(melody.tempo / fastest), 0.0)
        likely = band.minor if melody.key.mode == "minor" else 1 - band.minor
        return (
            _PLAIN.get(name, _SELDOM)
            + _OTHER_METRE * (_beats(band.metre) != _beats(melody.metre))
            + _PER_OCTAVE * float(outside)
            + _OTHER_MODE * (likely < 0.2)
            - _RELATED * (related is not None and band.composer == related)
        )

    return min(band_names(), key=lambda name: (far(name), name))


def _beats(metre: tuple[int, int]) -> tuple[int, bool]:
    """(beats of a bar, whether they are dotted): 2/2 and 2/4 count as 4/4's, which bands play."""
    numerator, denominator = metre
    if numerator % 3 == 0 and denominator >= 8:
        return numerator // 3, True
    return (4, False) if metre in ((2, 2), (2, 4)) else (numerator, False)


class MelodySong:
    """One piece: a melody in its band (`clavilux.family.Generation`). The composer draws nothing."""

    plan: Tensor | None = None
    unconditional: Conditioning | None = None

    def __init__(
        self, request: Request, parsed: ParsedPrompt, codebooks: int, windows: Windows, conditioning: Conditioning
    ) -> None:
        options = dict(request.controls)
        _check_options(request.continue_from, parsed, options)
        options.pop("anything", None)
        parsed = replace(parsed, bars=_bars_given(options.pop("bars", parsed.bars)))
        soundfont = SoundFont.given(options.pop("soundfont", None))
        source = options.pop("melody")
        melody = read_melody(source, parsed, options)
        self.notes = list(melody.remarks)
        self.controls, self.band_plan = _settled(parsed, request.seed, options, melody, self.notes)
        melody = replace(melody, key=self.controls.key, tempo=self.controls.tempo)
        turns, self.seconds = _length(request, parsed, melody)
        sheet = sheet_for(
            melody, self.band_plan.band, turns, seed=request.seed, swing=self.band_plan.swing,
            chords=self.controls.chords,
        )  # fmt: skip
        self.sheet, self.num_bars = sheet, len(sheet.bars)
        self.arranger = bands.arranger_of(self.band_plan, sheet, request.seed)
        self._player = SheetPlayer(self.arranger, self.band_plan.lead, duration_s=self.seconds, soundfont=soundfont)
        self.form = ", ".join(f"{section.name} {len(section.bars)}" for section in sheet.sections)
        self.soundfont = soundfont
        self.source_name = "an Audio" if isinstance(source, Audio) else Path(source).name
        self.notes.append(_said(melody, turns))
        self.windows, self.conditioning = windows, conditioning
        self.prompt = torch.zeros(1, codebooks, 0, dtype=torch.int64)
        self.grammar = _Bars(codebooks, self.num_bars)
        self.receipt: dict[str, Any] = {}  # the family writes it

    @property
    def at_s(self) -> float:
        return min(self.seconds, self._player.at_s)

    def mark_sound(self, word: int) -> None:
        self._player.sound_mark = word

    def to_decoder(self, tokens: Tensor) -> Tensor:
        return tokens

    def from_decoder(self, logits: Tensor) -> Tensor:
        return logits

    def push(self, tokens: Tensor) -> Tensor | None:
        """A bar's step; its samples."""
        return self._player.bar() if self._player.at_s < self.seconds else None

    def finish(self) -> Tensor:
        return self._player.finish()

    def complete(self, samples: Tensor) -> Audio:
        """The piece with its score and its receipt; it has no tokens, for none were drawn: its mark is in the sound."""
        return Audio(
            samples[:, : round(self.seconds * SAMPLE_RATE)],
            SAMPLE_RATE,
            score=self._player.score(),
            receipt=self.receipt,
            performance=self._player.performance(),
        )


class _Bars:
    """A grammar of one forced step a bar, so that the decoder computes nothing."""

    def __init__(self, codebooks: int, num_bars: int) -> None:
        self._step, self._left = torch.zeros(codebooks, dtype=torch.int64), num_bars

    @property
    def done(self) -> bool:
        return not self._left

    def allowed(self) -> Tensor:
        return self._step

    def advance(self, tokens: Tensor) -> None:
        self._left -= 1


def _check_options(continue_from: object, parsed: ParsedPrompt, options: dict[str, Any]) -> None:
    """Refuse all that can be refused before the melody is read: listening to a sound takes long."""
    if continue_from is not None:
        raise ValueError(
            "both melody and continue_from are given; a song is made around the one or goes on from the other"
        )
    for name in _OF_COMPOSED:
        if options.get(name) is not None:
            raise ValueError(f"{name} is {options[name]!r}, and a given melody is played as it is; leave {name} away")
    _bars_given(options.get("bars"))
    usual = {name: value for name, value in options.items() if name not in _OF_MELODIES}
    style = usual.pop("style", parsed.style)
    style = bands.check_style(style) if style is not None else None
    band = style if style is not None and style not in STYLES else _ANY_BAND  # the melody will say which
    controls = resolve(parsed, seed=0, style=band, **usual)
    bands.plan_of(band, parsed, controls, options)


def _bars_given(bars: Any) -> int | None:
    if bars is not None:
        whole_number("bars", bars, 1, MOST_BARS)
    return bars


def _settled(
    parsed: ParsedPrompt, seed: int, options: dict[str, Any], melody: Melody, notes: list[str]
) -> tuple[Controls, bands.BandPlan]:
    """Controls and band; the nearest style is taken where none with a band is asked for, which `notes` then says."""
    asked = options.get("style", parsed.style)
    style = bands.check_style(asked) if asked is not None else None
    if style is None or style in STYLES:
        near = nearest_band(melody, style)
        why = f"{style} has no band, and " if style else ""
        notes.append(f"{why}the nearest style to the melody is {near}")
        style = near
    own: dict[str, Any] = {name: options[name] for name in ("drums", "swing") if name in options}
    usual = {name: value for name, value in options.items() if name not in own}
    metre = f"{melody.metre[0]}/{melody.metre[1]}"
    usual |= {"style": style, "key": str(melody.key), "tempo": melody.tempo, "metre": metre}
    controls = resolve(parsed, seed=seed, **usual)
    plan = bands.plan_of(style, parsed, controls, own)
    assert plan is not None, "the style has a band"
    if not parsed.alone:
        controls, plan = in_number(
            controls, plan, parsed, plan.asked if "instruments" in options else parsed.instruments
        )
    if "instruments" not in options and not parsed.instruments and plan.leads_on is None:
        plan = _fitting_lead(plan, plan.band, melody)
    return bands.with_band(controls, plan), plan


def _fitting_lead(plan: bands.BandPlan, band: Band, melody: Melody) -> bands.BandPlan:
    """The plan with that lead of the style, the drawn one first, in whose range most of the melody lies."""
    pitches = melody.notes["pitch"]
    leads = list(dict.fromkeys((plan.lead, *bands.leads_of_band(band))))

    def inside(lead: int) -> float:
        low, high = RANGES.get(lead, (36, 96))
        return float(((pitches >= low) & (pitches <= high)).mean())

    best = max(leads, key=lambda lead: (round(inside(lead), 2), -leads.index(lead)))
    return replace(plan, lead=best, written=bands.named_of(best))


def _length(request: Request, parsed: ParsedPrompt, melody: Melody) -> tuple[Turns, float]:
    """(how the melody fills the song, its seconds). ValueError where there is no room for the melody."""
    quarter_s = 60 / melody.tempo
    own_s = sum(bar_quarters(metre) for metre in melody.metres) * quarter_s
    if not request.open_length or parsed.length is not None:
        seconds = request.seconds if not request.open_length or parsed.length is None else parsed.length
        if seconds < own_s - 1e-6:
            raise ValueError(
                f"seconds is {seconds:g}, and the melody lasts {own_s:.1f} s at {melody.tempo:g} quarters a minute; "
                "ask for as many, or for a faster tempo"
            )
        return turns_of(melody, bars_in(melody, seconds, melody.tempo)), float(seconds)
    num_bars = parsed.bars or len(melody.metres)
    bars_s = own_s + (num_bars - len(melody.metres)) * bar_quarters(melody.metre) * quarter_s
    seconds = round(bars_s + min(RING_S, RING_SHARE * bars_s), 2)
    if seconds > LONGEST_S:
        raise ValueError(
            f"{num_bars} bars at {melody.tempo:g} last {bars_s:.0f} s; a piece lasts up to {LONGEST_S:g} s"
        )
    return turns_of(melody, num_bars), seconds


def _said(melody: Melody, turns: Turns) -> str:
    parts = [f"{plural(turns.intro, 'bar')} of intro"] if turns.intro else []
    parts += [f"{plural(turns.solo, 'bar')} of the band alone before its last time"] if turns.solo else []
    times = "once" if turns.times == 1 else f"{turns.times} times"
    return (
        f"a melody of {plural(len(melody.notes), 'note')} in {plural(len(melody.metres), 'bar')}, {melody.key}, "
        f"{melody.metre[0]}/{melody.metre[1]}, {melody.tempo:g} quarters a minute, is played {times}"
        + "".join(f", {part}" for part in parts)
    )
