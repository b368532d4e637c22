"""Sections of a piece: which bars return, as what they return, and letters for what returns; and where bars stand in
phrases.

Knows bars as sets of what begins in them. Does not know tokens, or what a section is called in a song.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clavilux.audio.score import Score, bar_quarters

PHRASE = 8  # bars
SHORTEST = 4  # bars that return together
ALIKE = 0.6  # of two bars' onsets and pitches, at which one returns as the other, varied
_HASHES = 1024


def bar_likeness(score: Score) -> np.ndarray:
    """float32 [bars, bars]: shared over all (position, pitch) pairs of two bars; 0 for bars without notes.

    Pitches of all instruments are taken together, drums apart.
    """
    starts = score.bar_starts()
    notes = score.notes
    bar = np.maximum(np.searchsorted(starts, notes["start"] + 1e-3, side="right") - 1, 0)
    at = np.round((notes["start"] - starts[bar]) * 24).astype(np.int64)
    found = np.zeros((len(starts), _HASHES), dtype=np.float32)
    mixed = (at * 257 + notes["pitch"] * 31 + notes["drum"] * 7919) % _HASHES
    found[bar, mixed] = 1.0
    shared = found @ found.T
    counts = found.sum(axis=1)
    return shared / np.maximum(counts[:, None] + counts[None] - shared, 1.0)


def returns(likeness: np.ndarray) -> np.ndarray:
    """int64 [bars]: the earlier bar that each bar returns as, or itself.

    At least `SHORTEST` bars return together, in their order and after the last of those that they return as; the
    longest such run counts, then the one that is most alike. What returns twice points at its first appearance.
    """
    count = len(likeness)
    run, alike = np.zeros((count + 1, count + 1), dtype=np.int64), np.zeros((count + 1, count + 1))
    for bar in range(count - 1, -1, -1):
        on = likeness[bar] >= ALIKE
        run[bar, :count] = np.where(on, run[bar + 1, 1:] + 1, 0)
        alike[bar, :count] = np.where(on, alike[bar + 1, 1:] + likeness[bar], 0.0)
    source = np.arange(count)
    bar = 0
    while bar < count:
        before = np.arange(bar)
        lengths = np.minimum(run[bar, :bar], bar - before)  # not into themselves
        best = int(lengths.max(initial=0))
        if best < SHORTEST:
            bar += 1
            continue
        among = before[lengths == best]
        first = int(among[np.argmax(alike[bar, among])])
        source[bar : bar + best] = source[first : first + best]
        bar += best
    return source


def letters(source: np.ndarray | Sequence[int]) -> list[tuple[int, int]]:
    """(letter, number of the bar in its section) of each bar, from what `returns` found.

    A section begins where a return begins or ends, and where the bars begin or end that it returns as.
    """
    count = len(source)
    begins = {0} | {b for b in range(1, count) if source[b] != source[b - 1] + 1}
    begins |= {b for b in range(1, count) if (source[b] == b) != (source[b - 1] == b - 1)}
    while True:
        # The end of the piece also ends what its last section returns as.
        more = begins | {int(source[b]) for b in begins} | {int(source[b - 1]) + 1 for b in (*begins, count) if b}
        more = {b for b in range(count) if b in more or int(source[b]) in more}
        if more == begins:
            break
        begins = more
    names: dict[int, int] = {}
    out, letter, number = [], 0, 0
    for bar in range(count):
        if bar in begins:
            letter, number = names.setdefault(int(source[bar]), len(names)), 0
        out.append((letter, number))
        number += 1
    return out


def phrase_places(score: Score) -> list[int]:
    """The place of each bar in a phrase of eight, 0 to 7, counted from the first bar, or from the second where the
    first one has an upbeat alone: nothing in its first half.
    """
    first = float(score.notes["start"].min(initial=np.inf))
    upbeat = bar_quarters(score.metre_at(0.0)) / 2 <= first + 1e-6 < bar_quarters(score.metre_at(0.0))
    return [(index - upbeat) % PHRASE for index in range(len(score.bar_starts()))]
