"""The mark in a score: which notes stand where the composer's draws did, in any MIDI file.

Knows notes. A composer of any kind marks the class of a pitch at its onset, in 24ths of a quarter from where it began
to write, under the program that plays it, with the number of notes of that program already there
(`clavilux.sampling.Grammar.place`). So a tempo, a velocity, a length or an octave changes nothing; twelve
transpositions are tried, and the beginnings of bars, as bars may have been cut off or put before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from clavilux.audio.harmony_analysis import find_key, key_heard
from clavilux.audio.notes import players_of
from clavilux.audio.score import Score
from clavilux.mark_key import MarkKey
from clavilux.marking import MOST_CHOICES, NONCES, SCORE_KIND, TICKS, Place
from clavilux.provenance.mark import gamma_tail, group_scores, of_tries, weighted_bound, weighted_tail
from clavilux.provenance.verdict import Mark

CLASSES = 12
OFF_GRID = 0.25  # ticks: a note that lies farther from one was played, not written
SWINGS = (0.54, 0.75)  # of a quarter: between them an eighth that swings begins
CERTAIN = 1e-7  # a p-value that nothing else has to be tried for
MOST_BARS = 32  # that are tried as the beginning, before and after the file's own
MOST_PARTS, MOST_OF_PART = 6, 500  # parts that are looked at by themselves, and the notes that each may have
MOST_NOTES = 1000  # that are looked at from each beginning on
EVEN = 0.5  # the chance of a note of which nothing is known
LEAST_CHANCE = 0.2  # a note that was less likely may be a person's: it weighs 4 at most
SURE = 0.9  # a note that was likelier had no choice
_SMALLEST = 2.0**-32  # of a score in float32 whose u was rounded to 1
_PLACES = 2048  # whose noise is held at once, 48 MiB


class Reading(NamedTuple):
    """Notes that may be marked: the class of each one's pitch, its place, and what it weighs; each pair once."""

    groups: list[int]
    places: list[Place]
    weights: list[float]


def marked_notes(score: Score, chances: np.ndarray | None = None, *, straight: bool = False) -> Reading:
    """The pitched notes on the grid. Notes of one program and onset stand by pitch.

    Args:
        score: any.
        chances: [N], how likely each of its notes was (`find_in_score`).
        straight: what swings is put back to the middle of its quarter.
    """
    pitched = ~score.notes["drum"]
    notes = score.notes[pitched]
    given = np.full(len(notes), EVEN) if chances is None else chances[pitched]
    starts = notes["start"].astype(np.float64)
    if straight:
        within = starts % 1
        starts = np.where((within > SWINGS[0]) & (within < SWINGS[1]), np.floor(starts) + 0.5, starts)
    ticks = np.round(starts * TICKS).astype(np.int64)
    order = np.lexsort((notes["pitch"], notes["program"], ticks))
    found, counts = dict[tuple[int, Place], float](), dict[tuple[int, int], int]()
    for index in order[np.abs(starts * TICKS - ticks)[order] < OFF_GRID]:
        where = int(ticks[index]), int(notes["program"][index])
        choice = counts[where] = counts.get(where, -1) + 1
        if choice < MOST_CHOICES:
            pair = int(notes["pitch"][index]) % CLASSES, Place(*where, choice)
            found.setdefault(pair, 1 / max(float(given[index]), LEAST_CHANCE) - 1)
    return Reading([group for group, _ in found], [place for _, place in found], list(found.values()))


def find_in_score(
    score: Score, key: MarkKey, chances: np.ndarray | None = None, *, other_beginnings: bool = True
) -> Mark:
    """What a score says of a key.

    The noise of a note says the less, the likelier the note was anyway: each weighs 1/p - 1, what the likelihood ratio
    gives it, so that notes without a choice and bars that return do not drown the others. No p-value hangs on whether
    the chances are right, only how well a mark is found: they are of the notes alone, never of a key.

    That statistic is the strongest where all notes are as they were drawn; one beside it, the sum of the scores of all
    notes that were not `SURE`, stands more edits. Half of the chance of error goes to each.

    Looked at are all its notes and, as a band may play with what was composed, those of each program; straight, and as
    they swing. Half of the chance goes to the score's own beginning, half to those of other bars; and of
    transpositions half to those from C, where composers write, to the key of the score, as it says and as it is heard.

    Args:
        score: any.
        key: whose mark is looked for.
        chances: float64 [N], the probability that a composer gave the pitch class of each of `score.notes`; None: it
            is taken for one of two.
        other_beginnings: those of the score's bars are tried too, which takes long.
    """
    readings = [marked_notes(score, chances)]
    if not readings[0].groups:
        return Mark(key.id, 1.0, 0)
    swung = marked_notes(score, chances, straight=True)
    readings += [swung] if swung != readings[0] else []
    homes = {-each.tonic % CLASSES for each in (score.key or find_key(score.merged()), key_heard(score))}
    first = _tried(readings, key, [0], homes)
    starts = [round(float(start) * TICKS) for start in score.bar_starts()[1 : MOST_BARS + 1] if other_beginnings]
    shifts = [sign * start for sign in (1, -1) for start in starts]
    p = first if not shifts or first < CERTAIN else min(first, _tried(readings, key, shifts, homes))
    return Mark(key.id, min(1.0, 2 * p), max(len(reading.groups) for reading in readings))


def find_in_parts(score: Score, keys: Sequence[MarkKey], chances_of: Callable[[Score], np.ndarray]) -> tuple[Mark, ...]:
    """Of each key, as `find_in_score` of the score, and of each of several parts by itself from its own beginning on.

    The melody of a band is all that was drawn of it, and how likely its notes were only it says, without the band.
    """
    parts, chances_of = _alone(score), functools.cache(chances_of)  # the dearest of all, and the same for every key
    return tuple(_best_of(score, parts, key, chances_of) for key in keys)


def _best_of(score: Score, parts: list[Score], key: MarkKey, chances_of: Callable[[Score], np.ndarray]) -> Mark:
    found = [find_in_score(each, key, chances_of(each), other_beginnings=False) for each in parts]
    if all(mark.p >= CERTAIN for mark in found):
        few = len(score.notes) <= MOST_NOTES  # of a band's song chances and other beginnings would take minutes
        found.append(find_in_score(score, key, chances_of(score) if few else None, other_beginnings=few))
    best = min(found, key=lambda mark: mark.p)
    return replace(best, p=of_tries(best.p, len(parts) + 1))


def _alone(score: Score) -> list[Score]:
    """Of a score of several parts each that may be its melody: it plays in more than half of the bars, and has no more
    than `MOST_OF_PART` notes. `MOST_PARTS` at most.
    """
    pitched = score.notes[~score.notes["drum"]]
    players, bars = players_of(pitched), score.bar_starts()
    found = []
    for _, program, part in players if len(players) > 1 else ():
        own = pitched[(pitched["program"] == program) & (pitched["part"] == part)]
        played = np.unique(np.searchsorted(bars, own["start"] + 1e-6, side="right"))
        if len(own) <= MOST_OF_PART and 2 * len(played) > len(bars):
            found.append(replace(score, notes=own))
    return found[:MOST_PARTS]


class _Totals(NamedTuple):
    """What a key's noise says of some notes, the best of all nonces, for each transposition.

    weights, weighted: of the notes, and the smallest sums of weights times -log(1 - u): what tells most where chances
        are right; but one unlikely note that was not drawn with the key outweighs many.
    open, scored: of the notes that were not `SURE`, and the largest sums of -log(u), in which no note does.
    """

    weights: list[float]
    weighted: list[float]
    open: int
    scored: list[float]


def _tried(readings: list[Reading], key: MarkKey, shifts: list[int], homes: set[int]) -> float:
    """The p-value of the best over readings, programs, transpositions, nonces, and shifts of the beginning in ticks."""
    best, tail = 1.0, functools.partial(gamma_tail, 0.0, 0)
    tries, share = 0, 1.0
    others = [turn for turn in range(CLASSES) if turn not in homes]
    shares = ((1 / 4 / len(homes), sorted(homes)), (1 / 4 / len(others), others))  # of each sum's error, for each turn
    for reading in readings:
        for found in _totals(reading, key.word(SCORE_KIND), shifts):
            tries += 1
            for own, turns in shares:
                low = min(found.weighted[turn] for turn in turns)
                high = max(found.scored[turn] for turn in turns)
                # A bound is enough to choose by: what is exact costs ten times as much.
                if (bound := weighted_bound(low, found.weights) / own) < best:
                    best, share, tail = bound, own, functools.partial(weighted_tail, low, found.weights)
                if (bound := gamma_tail(high, found.open) / own) < best:
                    best, share, tail = bound, own, functools.partial(gamma_tail, high, found.open)
    return of_tries(tail(), NONCES * max(1, tries) / share)


def _totals(reading: Reading, word: int, shifts: list[int]) -> Iterator[_Totals]:
    """Of every shift and each part of a reading that has notes. The first part is all of it, the others its programs,
    if several.

    Bars repeat their onsets, so that many shifts ask for the same places: the noise of a place is made once.
    """
    groups, places, weights = reading
    programs = sorted({place.voice for place in places})
    parts = [programs, *([program] for program in programs if len(programs) > 1)]
    of_part = torch.tensor([[place.voice in part for place in places] for part in parts])  # [P, N]
    turned = (torch.tensor(groups)[:, None] + torch.arange(CLASSES)) % CLASSES  # [N, CLASSES]
    weight = torch.tensor(weights)  # [N]
    noise = torch.empty(2, _PLACES, CLASSES, NONCES)  # -log(1 - u), which is small where the noise is large; -log(u)
    number: dict[Place, int] = {}  # of each place in `noise`
    for shift in shifts:
        notes = [i for i, place in enumerate(places) if place.at >= shift][:MOST_NOTES]
        moved = [places[i]._replace(at=places[i].at - shift) for i in notes]
        new = list(dict.fromkeys(place for place in moved if place not in number))
        if len(number) + len(new) > _PLACES:
            number, new = {}, list(dict.fromkeys(moved))
        if new:
            scores = group_scores(word, new, CLASSES).clamp_(min=_SMALLEST).permute(1, 2, 0)  # [n, CLASSES, NONCES]
            filled = slice(len(number), len(number) + len(new))
            noise[0, filled], noise[1, filled] = scores.neg().expm1_().neg_().log_().neg_(), scores
            number |= {place: i for i, place in enumerate(new, len(number))}
        own = noise[:, torch.tensor([number[place] for place in moved], dtype=torch.int64)[:, None], turned[notes]]
        for inside in of_part[:, notes]:
            if inside.any():
                chosen = weight[notes] * inside  # [n]
                open_ = chosen > 1 / SURE - 1
                weighted = torch.einsum("n,ncs->cs", chosen, own[0]).amin(1)  # [CLASSES]
                scored = torch.einsum("n,ncs->cs", open_.float(), own[1]).amax(1)
                yield _Totals(chosen.tolist(), weighted.tolist(), int(open_.sum()), scored.tolist())
