"""A sheet of chords as text: sections, bars between lines, four on each; `audio.chart` reads the bars back.

Knows names and bars. Does not know how chords are found.
"""

from __future__ import annotations

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import find_chords, key_of
from clavilux.audio.score import Score, bar_quarters

_BARS_A_LINE = 4
_NONE = "N.C."


def chord_sheet(score: Score, title: str = "") -> str:
    """The chords of a score, bar by bar; those that its notes imply where it has none.

    A bar in which the chord changes holds all of them, "Gm Cm"; a bar without a change repeats the chord that sounds.
    """
    pitched = bool((~score.notes["drum"]).any())
    key = key_of(score)
    found = not score.chords and pitched
    chords = find_chords(score, key) if found else score.chords
    starts = score.bar_starts().tolist()
    ends = [*starts[1:], starts[-1] + bar_quarters(score.metre_at(starts[-1]))]
    names = [_bar(chords, start, end, key) for start, end in zip(starts, ends, strict=True)]
    tempo, metre = score.tempos[0][1], score.metres[0][1]
    head = [" ".join(title.split())] if title.strip() else []
    head.append(f"{key}, {metre[0]}/{metre[1]}, {tempo:g} quarters a minute{', chords found in the notes' * found}")
    sections = {int(np.argmin(np.abs(np.array(starts) - time))): name for time, name in score.sections}
    return "\n".join([*head, "", *_lines(names, score.metres, starts, sections)]) + "\n"


def _bar(chords: tuple[tuple[float, Chord], ...], start: float, end: float, key: Key) -> str:
    before = [chord for time, chord in chords if time <= start + 1e-6]
    inside = [chord for time, chord in chords if start + 1e-6 < time < end - 1e-6]
    names = [chord.name(key) for chord in [*before[-1:], *inside]]
    return " ".join(names) or _NONE


def _lines(
    names: list[str],
    metres: tuple[tuple[float, tuple[int, int]], ...],
    starts: list[float],
    sections: dict[int, str],
) -> list[str]:
    """The bars in columns; a section and a new metre begin a line and are named."""
    changes = {int(np.argmin(np.abs(np.array(starts) - time))): metre for time, metre in metres[1:]}
    changes = {at: metre for at, metre in changes.items() if metre != _before(metres, starts[at])}
    width = max(map(len, names))
    lines: list[str] = []
    at = 0
    while at < len(names):
        until = min([at + _BARS_A_LINE, len(names), *(change for change in {*changes, *sections} if change > at)])
        if at in sections:
            lines += [""] * bool(lines) + [f"[{sections[at]}]"]
        if at in changes:
            lines.append(f"({changes[at][0]}/{changes[at][1]})")
        lines.append("| " + " | ".join(name.ljust(width) for name in names[at:until]) + " |")
        at = until
    return lines


def _before(metres: tuple[tuple[float, tuple[int, int]], ...], start: float) -> tuple[int, int]:
    return [metre for time, metre in metres if time < start - 1e-6][-1]
