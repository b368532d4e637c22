"""A lead sheet around a melody that is given: how often it is played, what stands before it, and its chords.

Knows melodies, bars and a band's style. Does not know who plays (`arranger`) or how a chord is found (`harmonizer`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clavilux.audio.arranging.band import Band, section_kind
from clavilux.audio.arranging.forms import section_bars, usual_dynamic
from clavilux.audio.arranging.harmonizer import harmonize
from clavilux.audio.chart import spread
from clavilux.audio.harmony import Chord
from clavilux.audio.lead_sheet import LeadSheet, SheetBar, SheetSection
from clavilux.audio.melodies import Melody
from clavilux.audio.score import bar_quarters

MOST_INTRO = 8  # bars; what is left over beyond them is a solo
_SHORT_INTRO = 4


@dataclass(frozen=True)
class Turns:
    """How a melody fills a song: bars of `intro`, the melody `times` times, before the last the band's `solo`."""

    times: int = 1
    intro: int = 0
    solo: int = 0


def turns_of(melody: Melody, num_bars: int) -> Turns:
    """Turns that have exactly so many bars.

    Raises:
        ValueError: fewer than the melody has.
    """
    own = len(melody.metres)
    if num_bars < own:
        raise ValueError(f"{num_bars} bars are asked for, and the melody has {own}; ask for {own} or more")
    again = _bars_again(melody)
    times = 1 + (num_bars - own) // again
    left = num_bars - own - (times - 1) * again
    return Turns(times, left) if left <= MOST_INTRO else Turns(times, _SHORT_INTRO, left - _SHORT_INTRO)


def _joins(melody: Melody) -> bool:
    """Whether a pickup fits into the last bar, when the melody comes again."""
    if not melody.first:
        return False
    starts = melody.bar_starts()
    ends = float((melody.notes["start"] + melody.notes["duration"]).max()) - float(starts[-1])
    return melody.metres[-1] == melody.metres[0] and ends <= float(melody.notes["start"].min()) + 1e-6


def _bars_again(melody: Melody) -> int:
    return len(melody.metres) - (1 if _joins(melody) else 0)


def sheet_for(
    melody: Melody,
    band: Band,
    turns: Turns,
    *,
    seed: int,
    swing: float | None = None,
    chords: Sequence[Sequence[Chord]] | None = None,
) -> LeadSheet:
    """The lead sheet of a song: the melody as it is, harmonised in the style, with its form.

    Args:
        melody: its key and tempo are the song's.
        band: the style, whose chords an intro has and which the melody's are like.
        turns: how often it is played.
        seed: any integer; of the intro's chords.
        swing: of the song; the style's own if None.
        chords: a list for each of the melody's bars from its first whole one on, coming round again, instead of those
            that are found; an empty one holds the chord before.
    """
    found = harmonize(melody.notes, melody.metres, melody.key, first=melody.first, band=band)
    once = _bars(melody, found if chords is None else _asked(melody, chords))
    metre = melody.metres[min(melody.first, len(melody.metres) - 1)]
    sections = _section(band, "intro", section_bars(band, melody.key, "intro", turns.intro, metre, seed))
    notes: list[np.ndarray] = []
    solo_before = turns.times - 1  # it ends with the melody
    for turn in range(turns.times):
        if turns.solo and turn == solo_before:
            whole = once[melody.first :]
            sections += _section(band, "solo", [whole[index % len(whole)] for index in range(turns.solo)])
        at = sum(section.quarters for section in sections)
        joins = turn > 0 and not (turns.solo and turn == solo_before) and _joins(melody)
        begin = at - bar_quarters(melody.metres[0]) if joins else at
        moved = melody.notes.copy()
        moved["start"] += begin
        notes.append(moved)
        place = 0
        for name, count in melody.sections():
            bars = once[place : place + count]
            place += count
            if not (joins and name == "pickup"):
                sections += _section(band, name, bars)
    return LeadSheet(
        melody.key, melody.tempo, tuple(sections), style=band.name, swing=swing,
        melody=np.concatenate(notes),
    )  # fmt: skip


def _bars(melody: Melody, chords: Sequence[tuple[float, Chord]]) -> list[SheetBar]:
    bars = []
    for start, metre in zip(melody.bar_starts(), melody.metres, strict=True):
        end = start + bar_quarters(metre)
        here = tuple((float(time - start), chord) for time, chord in chords if start - 1e-6 <= time < end - 1e-6)
        bars.append(SheetBar(metre, here))
    return bars


def _asked(melody: Melody, chords: Sequence[Sequence[Chord]]) -> list[tuple[float, Chord]]:
    found: list[tuple[float, Chord]] = []
    for index, (start, metre) in enumerate(zip(melody.bar_starts(), melody.metres, strict=True)):
        here = chords[(index - melody.first) % len(chords)]
        found += [(start + time, chord) for time, chord in zip(spread(len(here), metre), here, strict=True)]
    return found


def _section(band: Band, name: str, bars: Sequence[SheetBar]) -> list[SheetSection]:
    """A section with its style's dynamic, none of no bars; in a pickup the melody is alone."""
    if not bars:
        return []
    if name == "pickup":
        return [SheetSection(name, tuple(bars), instruments=())]
    return [SheetSection(name, tuple(bars), usual_dynamic(band, section_kind(name)))]


def bars_in(melody: Melody, seconds: float, tempo: float) -> int:
    """How many bars of the melody's metre, its own among them, fit into so many seconds."""
    own_s = sum(bar_quarters(metre) for metre in melody.metres) * 60 / tempo
    return len(melody.metres) + math.floor((seconds - own_s) / (bar_quarters(melody.metre) * 60 / tempo) + 1e-6)
