"""The mark in a score: which notes stand where the composer's draws did, in any MIDI file.

Knows notes. A composer of any kind marks the class of a pitch at its onset, in 24ths of a quarter from where it began
to write, under the program that plays it, with the number of notes of that program already there
(`clavilux.sampling.Grammar.place`). So a tempo, a velocity, a length or an octave changes nothing; twelve
transpositions are tried, and the beginnings of bars, as bars may have been cut off or put before it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.score import Score
from clavilux.mark_key import MarkKey
from clavilux.marking import MOST_CHOICES, NONCES, SCORE_KIND, TICKS, Place
from clavilux.provenance.mark import distinct, gamma_tail, group_scores, of_tries
from clavilux.provenance.verdict import Mark

CLASSES = 12
OFF_GRID = 0.25  # ticks: a note that lies farther from one was played, not written
SWINGS = (0.54, 0.75)  # of a quarter: between them an eighth that swings begins
CERTAIN = 1e-7  # a p-value that nothing else has to be tried for
MOST_BARS = 32  # that are tried as the beginning, before and after the file's own
MOST_NOTES = 1000  # that are looked at from each beginning on
_PLACES = 4096  # whose noise is held at once, 48 MiB


def marked_notes(score: Score, *, straight: bool = False) -> tuple[list[int], list[Place]]:
    """The class of each pitched note's pitch, and its place, each pair once.

    Notes of one program and onset stand by pitch. straight: what swings is put back to the middle of its quarter.
    """
    notes = score.notes[~score.notes["drum"]]
    starts = notes["start"].astype(np.float64)
    if straight:
        within = starts % 1
        starts = np.where((within > SWINGS[0]) & (within < SWINGS[1]), np.floor(starts) + 0.5, starts)
    ticks = np.round(starts * TICKS).astype(np.int64)
    order = np.lexsort((notes["pitch"], notes["program"], ticks))
    groups, places, counts = [], [], dict[tuple[int, int], int]()
    for index in order[np.abs(starts * TICKS - ticks)[order] < OFF_GRID]:
        where = int(ticks[index]), int(notes["program"][index])
        choice = counts[where] = counts.get(where, -1) + 1
        if choice < MOST_CHOICES:
            groups.append(int(notes["pitch"][index]) % CLASSES)
            places.append(Place(*where, choice))
    return distinct(groups, places)


def find_in_score(score: Score, key: MarkKey) -> Mark:
    """What a score says of a key.

    Looked at are all its notes and, as a band may play with what was composed, those of each program; straight, and as
    they swing. Half of the chance of error goes to the score's own beginning, half to those of other bars.
    """
    readings = [marked_notes(score)]
    swung = marked_notes(score, straight=True)
    readings += [swung] if swung != readings[0] else []
    first = _tried(readings, key, [0])
    starts = [round(float(start) * TICKS) for start in score.bar_starts()[1 : MOST_BARS + 1]]
    shifts = [sign * start for sign in (1, -1) for start in starts]
    p = first if not shifts or first < CERTAIN else min(first, _tried(readings, key, shifts))
    return Mark(key.id, min(1.0, 2 * p), max(len(groups) for groups, _ in readings))


def _tried(readings: list[tuple[list[int], list[Place]]], key: MarkKey, shifts: list[int]) -> float:
    """The p-value of the best over readings, programs, transpositions, nonces, and shifts of the beginning in ticks."""
    best, tries = 1.0, 0
    for groups, places in readings:
        if not groups:
            continue
        totals, counts = _totals(groups, places, key.word(SCORE_KIND), shifts)
        found = zip(totals.flatten().tolist(), counts.flatten().tolist(), strict=True)
        best = min([best, *(gamma_tail(total, count) for total, count in found if count)])
        tries += NONCES * CLASSES * counts.shape[1] * int((counts[:, 0] > 0).sum())
    return of_tries(best, tries)


def _totals(groups: list[int], places: list[Place], word: int, shifts: list[int]) -> tuple[Tensor, Tensor]:
    """Both [S, P], for every shift and each part of a reading: the largest score over nonces and transpositions,
    float32; the number of notes in it, int64. The first part is all of it, the others its programs, if several.

    Bars repeat their onsets, so that many shifts ask for the same places: the noise of a place is made once.
    """
    programs = sorted({place.voice for place in places})
    parts = [programs, *([program] for program in programs if len(programs) > 1)]
    of_part = torch.tensor([[place.voice in part for place in places] for part in parts])  # [P, N]
    turned = (torch.tensor(groups)[:, None] + torch.arange(CLASSES)) % CLASSES  # [N, CLASSES]
    totals, counts = torch.zeros(len(shifts), len(parts)), torch.zeros(len(shifts), len(parts), dtype=torch.int64)
    scores = torch.empty(_PLACES, CLASSES, NONCES)
    number: dict[Place, int] = {}  # of each place in `scores`
    for row, shift in enumerate(shifts):
        notes = [i for i, place in enumerate(places) if place.at >= shift][:MOST_NOTES]
        moved = [places[i]._replace(at=places[i].at - shift) for i in notes]
        new = list(dict.fromkeys(place for place in moved if place not in number))
        if len(number) + len(new) > _PLACES:
            number, new = {}, list(dict.fromkeys(moved))
        if new:
            scores[len(number) : len(number) + len(new)] = group_scores(word, new, CLASSES).permute(1, 2, 0)
            number |= {place: i for i, place in enumerate(new, len(number))}
        own = scores[torch.tensor([number[place] for place in moved], dtype=torch.int64)[:, None], turned[notes]]
        for part, inside in enumerate(of_part[:, notes]):
            counts[row, part] = inside.sum()
            if inside.any():
                totals[row, part] = (own if inside.all() else own[inside]).sum(0).max()
    return totals, counts
