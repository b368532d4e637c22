"""Chord charts as people write them: more spellings than there are qualities to play, each with what it is played as.

Knows how chords and bars are written. Does not know keys, scores or who plays. H is B, as in German; B stays B.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from clavilux.audio.harmony import LETTERS, QUALITIES, SUFFIXES, Chord

_WORD = re.compile(r"([A-Ga-g][#b]?|[Hh])(.*?)(?:/([A-Ga-g][#b]?|[Hh]))?")
_NO_CHORD = frozenset(("n.c.", "n.c", "nc", "nc."))
_SYNONYMS = (  # what is written -> the one spelling of it that `_PART` knows
    (r"[()\[\],\s]", ""), (r"♯", "#"), (r"♭", "b"), (r"[−–]", "-"), (r"[Δ△^](?=[79]|1[13])", "maj"), (r"[Δ△^]", "maj7"),
    (r"ø7?|hdim7?", "m7b5"), (r"°|o(?=7|$)", "dim"), (r"major|Major|Maj|MAJ|ma(?=\d|$)|M(?!\w*aj)", "maj"),
    (r"minor|min|Min|MIN|mi(?=\d|$)", "m"), (r"dom", ""), (r"^-", "m"), (r"^\+|(?<=7)\+(?!\d)", "aug"),
    (r"\+(?=\d)", "#"), (r"-(?=\d)", "b"), (r"sus(?![24])", "sus4"), (r"6/9", "69"), (r"omit", "no"),
)  # fmt: skip
_PART = re.compile(r"maj|m|dim|aug|alt|sus[24]|add(?:2|4|6|9|11|13)|no[35]|[b#](?:5|6|9|11|13)|69|13|11|[245679]")
_DEGREES = {"2": 2, "4": 5, "6": 9, "9": 2, "11": 5, "13": 9, "b5": 6, "#5": 8, "b6": 8, "b9": 1, "#9": 3, "#11": 6}
_DEGREES |= {"b13": 8, "b11": 4, "#13": 10, "#6": 10}


class Chart(NamedTuple):
    """A chart: `bars`, each a tuple of chords, empty where the bar's chords are left open; `played_as`, what is not
    played as it is written, such as "C9 (played as C7)".
    """

    bars: tuple[tuple[Chord, ...], ...]
    played_as: tuple[str, ...] = ()


def read_chart(text: str) -> Chart:
    """Read a chord chart.

    "Gm Cm D7 Gm" is four bars of one chord; "Gm Cm | D7 | Gm" is three bars, the first with two chords. "%" is the bar
    before once more, "N.C." a bar of no chord that is asked for. A quality that is not among `QUALITIES` becomes the
    one that shares most notes with it.

    Raises:
        ValueError: no chords, an empty bar, or a word that is no chord.
    """
    if not text.strip(" |,\n\t"):
        raise ValueError('No chords were given: write them like "Gm Cm D7 Gm", or "Gm Cm | D7" for several in a bar.')
    words = [bar.replace(",", " ").split() for bar in text.strip(" |\n\t").split("|")]
    if "|" not in text:
        words = [[word] for word in words[0]]
    bars: list[tuple[Chord, ...]] = []
    played_as: dict[str, None] = {}
    for number, bar in enumerate(words, 1):
        if not bar:
            raise ValueError(f'Bar {number} of the chords {text!r} is empty: write a chord between every two "|".')
        if bar == ["%"] and bars:
            bars.append(bars[-1])
            continue
        read = [(word, read_chord(word)) for word in bar if word.lower() not in _NO_CHORD]
        if len(read) < len(bar):
            played_as["N.C. (a bar's chords are left to the composer)" if not read else "N.C. (within a bar)"] = None
        played_as |= {f"{word} (played as {chord})": None for word, (chord, exact) in read if not exact}
        bars.append(tuple(chord for _, (chord, _) in read))
    return Chart(tuple(bars), tuple(played_as))


@lru_cache(4096)
def read_chord(word: str) -> tuple[Chord, bool]:
    """A chord of any usual spelling as one of `QUALITIES`, and whether it has the notes that are written.

    Raises ValueError for what is no chord.
    """
    match = _WORD.fullmatch(word.replace("♯", "#").replace("♭", "b"))
    notes = None if match is None else _intervals(match[2])
    if match is None or notes is None:
        known = ", ".join(f"C{suffix}" for suffix in SUFFIXES.values())
        raise ValueError(f"Unknown chord {word!r}: write a root A to G and a quality, such as {known}, C9 or C/E.")
    quality = max(QUALITIES, key=lambda name: _likeness(frozenset(QUALITIES[name]), notes))
    bass = None if match[3] is None else _pitch_class(match[3])
    return Chord(_pitch_class(match[1]), quality, bass), set(QUALITIES[quality]) == notes


def parse_chords(text: str) -> list[list[Chord]]:
    """The bars of `read_chart` as lists."""
    return [list(bar) for bar in read_chart(text).bars]


def spread(count: int, metre: tuple[int, int]) -> list[float]:
    """The quarters of a bar at which so many chords begin: at equal distances, each on a beat or, where chords
    outnumber beats, on a half-beat.

    Raises ValueError for more chords than there are half-beats.
    """
    beats, unit = metre
    halves = 1 if count <= beats else 2
    if count > beats * halves:
        raise ValueError(f"{count} chords are asked for in one bar of {beats}/{unit}; it has room for {beats * 2}")
    return [index * beats * halves // count / halves * 4 / unit for index in range(count)]


def _pitch_class(name: str) -> int:
    if name in "Hh":
        return LETTERS["B"]
    return (LETTERS[name[0].upper()] + name.count("#") - name[1:].count("b")) % 12


def _likeness(quality: frozenset[int], notes: frozenset[int]) -> float:
    """Shared notes, less twice those that are not asked for; a suspended second is nearest to a suspended fourth."""
    suspended = 2 in notes and 5 in quality and not notes & {3, 4}
    return len(quality & notes) - 2 * len(quality - notes) + suspended


def _intervals(suffix: str) -> frozenset[int] | None:
    """Semitones above the root; None for what cannot be read."""
    for pattern, instead in _SYNONYMS:
        suffix = re.sub(pattern, instead, suffix)
    parts: list[str] = []
    at = 0
    while at < len(suffix):
        match = _PART.match(suffix, at)
        if match is None or len(parts) > 6:
            return None
        parts.append(match[0])
        at = match.end()
    if len(set(parts)) < len(parts):
        return None
    third: int | None = 3 if "m" in parts or "dim" in parts else 4
    fifth: int | None = 6 if "dim" in parts else 8 if "aug" in parts else 7
    more: set[int] = set()
    for part in parts:
        if part in ("7", "9", "11", "13", "alt"):
            more.add(11 if "maj" in parts else 9 if part == "7" and "dim" in parts else 10)
        if part == "alt":
            fifth, more = None, more | {3}
        elif part == "69":
            more |= {2, 9}
        elif part in ("b5", "#5"):
            fifth = _DEGREES[part]
        elif part.startswith("sus") or part == "4":
            third = 2 if part == "sus2" else 5
        elif part in ("5", "no3"):
            third = None
        elif part == "no5":
            fifth = None
        elif (degree := part.removeprefix("add")) in _DEGREES:
            more.add(_DEGREES[degree])
    return frozenset({0, *more, *(each for each in (third, fifth) if each is not None)})
