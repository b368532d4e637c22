"""How likely a composer held the class of each note's pitch, of any score: where it had a choice, and where hardly any.

Knows the composer and REMI tokens. Does not know keys or marks, for which it says what each note weighs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from clavilux.audio.codecs.bar_grid import regular_bars
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.harmony_analysis import find_chords, find_key, key_heard
from clavilux.audio.score import Score
from clavilux.conditioning import Conditioning
from clavilux.families.aria.continuation import written
from clavilux.families.aria.formats import RemiFormat
from clavilux.families.aria.leaning import LIKELY
from clavilux.families.aria.prefix import MODES, PREFIX_LENGTH, PrefixControls, shift_to_c, tempo_bin
from clavilux.kernels.sample.reference import kept
from clavilux.marking import TICKS

if TYPE_CHECKING:
    from clavilux.families.aria.family import Aria

UNKNOWN = 0.5  # of a note that tokens cannot say, and of all notes of a score that they cannot


def note_chances(aria: Aria, score: Score) -> np.ndarray:
    """The probability of each note's pitch class, under all that comes before it.

    The composer reads the score as its own tokens; it is not told the style, which nobody knows of a file. Where the
    notes are in another key than the file says, it reads them in both, and what makes the notes likelier counts.

    Args:
        aria: one whose tokens are REMI; another says `UNKNOWN` of every note.
        score: any; what it lacks of key and chords is found.

    Returns:
        float64 [N], of `score.notes` in their order, 0 < p <= 1. 1 for drums.
    """
    chances = np.where(score.notes["drum"], 1.0, UNKNOWN)
    if not isinstance(aria.writing, RemiFormat) or (chances == 1).all():
        return chances
    merged = score.merged()
    said = score.key or find_key(merged)
    readings = [replace(score, key=said, chords=score.chords or find_chords(merged, said))]
    if (heard := key_heard(score)) != said:  # who moves notes may leave the file's key and chords as they were
        readings.append(replace(score, key=heard, chords=find_chords(merged, heard)))
    try:
        found = [_of_reading(aria, reading) for reading in readings]
    except ValueError:  # bars that no token can say
        return chances
    likeliest = max(found, key=lambda each: float(np.log(each).sum()))
    return np.where(score.notes["drum"], 1.0, likeliest)


def _of_reading(aria: Aria, score: Score) -> np.ndarray:
    """float64 [N], as `note_chances`, of a score whose key and chords are known. ValueError for what no token says."""
    assert score.key is not None, "it was found"
    regular = regular_bars(score)
    ids = score_tokens().encode(written(regular))
    moved = score_tokens().transposition(shift_to_c(score.key.tonic))[ids].astype(np.int64)
    found, said = _class_chances(aria, moved, score.key.mode, score.tempos[0][1]), dict[tuple[int, int], float]()
    tokens, written_at = score_tokens(), np.round(score_tokens().quarters(ids) * TICKS).astype(np.int64)
    for chance, tick, token in zip(found.tolist(), written_at.tolist(), ids.tolist(), strict=True):
        if tokens.kinds[token] == "Pitch":
            said.setdefault((tick, tokens.values[token]), chance)
    assert len(regular.notes) == len(score.notes), "bars move notes, and drop none"
    ticks = np.round(regular.notes["start"] * TICKS).astype(np.int64)
    places = zip(ticks.tolist(), regular.notes["pitch"].tolist(), strict=True)
    return np.array([said.get(place, UNKNOWN) for place in places])


@torch.inference_mode()
def _class_chances(aria: Aria, ids: np.ndarray, mode: str, tempo: float) -> np.ndarray:
    """float64 [T]: of each token of ids [T] the probability of its pitch class among pitches, as the usual temperature
    and `leaning.LIKELY` leave it; 1 for what is no pitch.
    """
    sampling, groups = aria.sampling, aria.marked.groups
    controls = PrefixControls(-1, MODES.index(mode), tempo_bin(tempo), -1, score_tokens().programs(ids))
    chances = np.ones(len(ids))
    for span, logits in told_in_windows(aria, ids, controls):
        own = groups[torch.from_numpy(ids[span])]
        scores = logits.masked_fill(groups < 0, -torch.inf) / sampling.temperature
        odds = kept(scores, sampling.top_k, LIKELY).softmax(-1)  # [n, V]
        of_class = odds.new_zeros(len(odds), int(groups.max()) + 1).index_add_(1, groups.clamp(min=0), odds)
        of_own = of_class.gather(1, own.clamp(min=0)[:, None])[:, 0]
        chances[span] = torch.where(own < 0, 1.0, of_own).double().numpy()
    return chances.clip(1e-6, 1.0)  # rounding makes a little more than 1 of 1, and top_p nothing of what is unlikely


def told_in_windows(aria: Aria, ids: np.ndarray, controls: PrefixControls) -> Iterator[tuple[slice, torch.Tensor]]:
    """(which of token ids int64 [T], their logits float32 [n, V] under what comes before them), all but the first.

    Windows move by half: each token is judged in the first one in which it stands behind half a window of others.
    """
    decoder, prefix = aria.composer.decoder, aria.composer.conditioner([controls])
    length = decoder.spec.max_positions - PREFIX_LENGTH
    done, start = 1, 0
    while done < len(ids):
        window = torch.from_numpy(ids[start : start + length])
        end = start + len(window)
        logits = decoder(window[None, None], conditioning=Conditioning(prefix=prefix))[0, 0]
        yield slice(done, end), logits[done - start - 1 : -1].float()
        done, start = end, start + length // 2
