"""The mark in a score: which notes stand where the composer's draws did, in any MIDI file.

Knows notes. A composer of any kind marks the class of a pitch at its onset, in 24ths of a quarter from where it began
to write, under the program that plays it, with the number of notes of that program already there
(`clavilux.sampling.Grammar.place`). So a tempo, a velocity, a length or an octave changes nothing; twelve
transpositions are tried, and the beginnings of bars, as bars may have been cut off or put before it.
"""

from __future__ import annotations

import numpy as np
import torch

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
        programs = sorted({place.voice for place in places})
        chosen = torch.tensor(groups)
        for shift in shifts:
            inside = torch.tensor([place.at >= shift for place in places], dtype=torch.bool)
            if not inside.any():
                continue
            moved = [place._replace(at=max(0, place.at - shift)) for place in places]
            scores = group_scores(key.word(SCORE_KIND), moved, CLASSES)
            voices = torch.tensor([place.voice for place in places])
            parts = [inside, *(inside & (voices == program) for program in programs if len(programs) > 1)]
            for semitones in range(CLASSES):
                turned = (chosen + semitones) % CLASSES
                own = scores.gather(-1, turned.expand(NONCES, -1)[..., None])[..., 0].double()  # [NONCES, N]
                for part in parts:
                    count = int(part.sum())
                    best = min(best, gamma_tail(float(own[:, part].sum(1).max()), count)) if count else best
            tries += NONCES * CLASSES * len(parts)
    return of_tries(best, tries)
