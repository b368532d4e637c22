"""Drawings that explain music, as SVG: a keyboard, the form, chords bar by bar, notes, a bar's rhythm, ranges.

Knows notes, bars and colours. Does not know where they come from or what is said of them.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from clavilux.audio.harmony import Key
from clavilux.audio.notation.spelling import spelled
from clavilux.audio.theory.functions import COLOR, DOMINANT, SUBDOMINANT, TONIC
from clavilux.audio.theory.harmony_reading import Span

ROLE_COLORS = {TONIC: "#3f7d58", SUBDOMINANT: "#b9822b", DOMINANT: "#b5493a", COLOR: "#6d6a86"}
_LETTER_COLORS = ("#4a6fa5", "#a5674a", "#5c8a5a", "#8a5c86", "#8a7a3d", "#4f8a8a", "#9a4f5f", "#6d6a86")
_BLACK = (1, 3, 6, 8, 10)
_GRAY = 'stroke="currentColor" stroke-opacity=".35"'
_BARS_A_LINE = 4


def svg(width: float, height: float, inside: Sequence[str], label: str) -> str:
    """An SVG of parts, with what it shows for those who cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(inside)}</svg>'
    )


def _text(x: float, y: float, words: str, *, size: float = 13, anchor: str = "middle", fill: str = "currentColor",
          bold: bool = False) -> str:  # fmt: skip
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}"{weight}>'
        f"{html.escape(words)}</text>"
    )


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" {more}/>'


def pitch_name(pitch: int, key: Key | None = None, *, octave: bool = False) -> str:
    """A MIDI pitch by name, spelled for a key: "F♯", or "F♯4"."""
    note = spelled(pitch, key or Key(0, "major"))
    sign = {-2: "♭♭", -1: "♭", 0: "", 1: "♯", 2: "♯♯"}[note.alter]
    return f"{note.letter}{sign}{note.octave if octave else ''}"


def keyboard(marks: Mapping[int, str], low: int, high: int, label: str, color: str = ROLE_COLORS[TONIC]) -> str:
    """Keys of a piano from `low` to `high` (MIDI, widened to white keys); `marks` are words on some of them."""
    low, high = low - (low % 12 in _BLACK), high + (high % 12 in _BLACK)
    white = [pitch for pitch in range(low, high + 1) if pitch % 12 not in _BLACK]
    place = {pitch: index for index, pitch in enumerate(white)}
    wide, tall = 30.0, 110.0
    under, over = [], []
    for pitch in range(low, high + 1):
        marked = pitch in marks
        if pitch in place:
            x = place[pitch] * wide
            under.append(_rect(x + 0.5, 0.5, wide - 1, tall, color if marked else "#fff", 'stroke="#888"'))
            over.append(_text(x + wide / 2, tall - 8, marks[pitch], size=12, fill="#fff") if marked else "")
        else:
            x = place[pitch - 1] * wide + wide - 9
            over.append(_rect(x, 0.5, 18, tall * 0.62, color if marked else "#222", 'stroke="#222"'))
            over.append(_text(x + 9, tall * 0.62 - 7, marks[pitch], size=10, fill="#fff") if marked else "")
    return svg(len(white) * wide, tall + 2, [*under, *over], label)


def form_strip(sections: Sequence[tuple[str, int, int]]) -> str:
    """Sections (name, first bar from 1, bars) as a strip, those of one name in one colour."""
    total, width = sum(bars for _, _, bars in sections), 680.0
    names = list(dict.fromkeys(name.rstrip("'’ ") for name, _, _ in sections))
    parts, x = [], 0.0
    for name, first, bars in sections:
        wide = width * bars / total
        color = _LETTER_COLORS[names.index(name.rstrip("'’ ")) % len(_LETTER_COLORS)]
        parts.append(_rect(x + 1, 4, wide - 2, 40, color, 'rx="4"'))
        parts.append(_text(x + wide / 2, 30, name if wide > 9 * len(name) else name[:1], size=17, fill="#fff"))
        if wide > 22:
            parts.append(_text(x + 2, 60, f"{first}", size=12, anchor="start"))
        x += wide
    described = ", ".join(f"{name} from bar {first}" for name, first, _ in sections)
    return svg(width, 66, parts, f"The form: {described}")


def chord_lines(spans: Sequence[Span], bars: np.ndarray, end: float, key: Key, cadences: Mapping[int, str]) -> str:
    """Chords bar by bar, four bars a line, coloured by function; under a bar the cadence that ends in it."""
    wide, tall, width = 170.0, 62.0, 680.0
    ends = np.append(bars[1:], max(end, bars[-1] + 1e-6))
    lines = -(-len(bars) // _BARS_A_LINE)
    parts: list[str] = []
    for index, (begin, stop) in enumerate(zip(bars.tolist(), ends.tolist(), strict=True)):
        x, y = index % _BARS_A_LINE * wide, index // _BARS_A_LINE * (tall + 22)
        parts.append(_text(x + 2, y + 10, str(index + 1), size=10, anchor="start"))
        here = [span for span in spans if span.start < stop - 1e-6 and span.end > begin + 1e-6]
        for span in here:
            left = max(span.start, begin)
            share = (min(span.end, stop) - left) / (stop - begin)
            at, room = x + (left - begin) / (stop - begin) * wide, share * wide - 2
            fill = ROLE_COLORS[span.function.role]
            parts.append(_rect(at, y + 14, room, 44, fill, 'rx="3"'))
            size = 15 if room > 11 * len(span.function.numeral) else 10
            parts.append(_text(at + room / 2, y + 34, span.function.numeral, size=size, fill="#fff", bold=True))
            if room > 7 * len(span.chord.name(key)):
                parts.append(_text(at + room / 2, y + 52, span.chord.name(key), size=12, fill="#fff"))
        if index + 1 in cadences:
            parts.append(_text(x + wide - 4, y + 74, cadences[index + 1], size=12, anchor="end"))
    described = " | ".join(span.function.numeral for span in spans[:48])
    return svg(width, lines * (tall + 22), parts, f"Chords bar by bar: {described}")


def notes_over_bars(notes: np.ndarray, bars: np.ndarray, end: float, marked: np.ndarray | None = None) -> str:
    """Notes as lines over bars, pitch upwards; those that are `marked` (bool [n]) stand out."""
    width, tall = 680.0, 190.0
    if not len(notes):
        return svg(width, tall, [], "No notes")
    low, high = int(notes["pitch"].min()) - 1, int(notes["pitch"].max()) + 1
    start = float(bars[0])
    scale, step = width / max(end - start, 1e-6), (tall - 20) / (high - low + 1)
    parts = []
    for number, bar in enumerate(bars.tolist(), 1):
        x = (bar - start) * scale
        parts.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{tall - 16:g}" {_GRAY}/>')
        if len(bars) <= 16:
            parts.append(_text(x + 3, tall - 3, str(number), size=11, anchor="start"))
    for index, note in enumerate(notes):
        fill = "#b5493a" if marked is not None and marked[index] else "#4a6fa5"
        x, y = (float(note["start"]) - start) * scale, (high - int(note["pitch"])) * step
        parts.append(_rect(x, y, max(2.0, float(note["duration"]) * scale - 1), max(3.0, step * 0.9), fill, 'rx="1.5"'))
    return svg(width, tall, parts, f"{len(notes)} notes over {len(bars)} bars")


def bar_rhythm(shares: np.ndarray, beats: int, label: str) -> str:
    """How often notes begin at each of equal parts of a bar (`shares` [n], the largest is 1), with its beats named."""
    width, tall = 680.0, 130.0
    parts = []
    for index, share in enumerate(shares.tolist()):
        x, wide = index * width / len(shares), width / len(shares)
        if share > 0.005:
            parts.append(_rect(x + 1, 100 - 92 * share, max(wide - 2, 3), 92 * share, "#4a6fa5", 'rx="2"'))
    for beat in range(beats):
        x = beat * width / beats
        parts.append(f'<line x1="{x:.1f}" y1="100" x2="{x:.1f}" y2="108" {_GRAY}/>')
        parts.append(_text(x + 4, 124, str(beat + 1), size=15, anchor="start", bold=beat == 0))
    parts.append(f'<line x1="0" y1="100" x2="{width:g}" y2="100" {_GRAY}/>')
    return svg(width, tall, parts, label)


def ranges(rows: Sequence[tuple[str, int, int, tuple[int, int] | None]]) -> str:
    """Who plays how high: (name, lowest, highest, what the instrument can play); MIDI pitches from A0 to C8."""
    width, left, tall = 680.0, 170.0, 34.0
    scale = (width - left) / 88.0
    parts = []
    for octave in range(1, 8):
        x = left + (12 * octave + 12 - 21) * scale
        parts.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{len(rows) * tall:g}" {_GRAY}/>')
        parts.append(_text(x, len(rows) * tall + 15, f"C{octave}", size=11))
    for index, (name, low, high, usual) in enumerate(rows):
        y = index * tall
        parts.append(_text(left - 8, y + 21, name, anchor="end", size=14))
        if usual is not None:
            more = 'fill-opacity=".25" rx="5"'
            parts.append(_rect(left + (usual[0] - 21) * scale, y + 7, (usual[1] - usual[0] + 1) * scale, 20, "#4a6fa5",
                               more))  # fmt: skip
        parts.append(_rect(left + (low - 21) * scale, y + 11, (high - low + 1) * scale, 12, "#4a6fa5", 'rx="4"'))
    described = ", ".join(f"{name} {pitch_name(low, octave=True)} to {pitch_name(high, octave=True)}"
                          for name, low, high, _ in rows)  # fmt: skip
    return svg(width, len(rows) * tall + 22, parts, f"Ranges: {described}")
