"""Bars' heads (`note_frames.BarHead`): those of a plan, and those that are found in the notes of a score.

Knows bars, what returns, and how many are left. Does not know frames or words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clavilux.audio import sections
from clavilux.audio.codecs.note_frames import BarHead
from clavilux.audio.score import Score
from clavilux.families.aria.form import Bar


def heads_of(score: Score) -> list[BarHead]:
    """What the heads of a score's bars say, found in its notes."""
    likeness = sections.bar_likeness(score)
    source = sections.returns(likeness)
    named = sections.letters(source)
    heads = []
    for bar, (start, (letter, number)) in enumerate(zip(score.bar_starts(), named, strict=True)):
        how = "new" if source[bar] == bar else "exact" if likeness[bar, source[bar]] > 0.999 else "varied"
        heads.append(BarHead(score.metre_at(start), letter, number, how, len(named) - bar))
    return heads


def planned_heads(bars: Sequence[Bar]) -> list[BarHead]:
    """What the heads of planned bars say: a letter for each part of the form, where there is one, and how many bars are
    left where the piece ends.

    Without a form nothing is said of sections, so that the composer may write one of its own.
    """
    closes = bars[-1].section == "last"
    heads = [BarHead(bar.metre, left=len(bars) - index if closes else None) for index, bar in enumerate(bars)]
    letters: dict[str, int] = {}
    there: set[tuple[str, int]] = set()
    for index, bar in enumerate(bars):
        if not bar.name:
            continue
        letter, place = letters.setdefault(bar.name, len(letters)), (bar.name, bar.number)
        how = "exact" if bar.returns is not None else "varied" if place in there else "new"
        there.add(place)
        heads[index] = replace(heads[index], letter=letter, bar=bar.number, returns=how)
    return heads


def heads_before(score: Score, following: Sequence[BarHead]) -> list[BarHead]:
    """The heads of a score that planned bars go on from: nothing is said of its sections."""
    starts = score.bar_starts()
    ends = following[0].left
    lefts = [None if ends is None else ends + len(starts) - index for index in range(len(starts))]
    return [BarHead(score.metre_at(start), left=left) for start, left in zip(starts, lefts, strict=True)]
