"""Windows of the cached note frames, with what conditions them: what a step of the composer's training sees.

Knows pieces, styles and how often each is seen. Does not know the decoder, nor the order in which ids are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.codecs.note_frames import (
    BAR,
    END,
    LEFT_UNSAID,
    NO_FORCE,
    NO_LENGTH,
    NO_SECTION,
    RETURN_UNSAID,
    is_drawn,
    is_note,
    metre_of,
    returning,
)
from clavilux.audio.codecs.remi import DRUMS, PROGRAMS
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.prefix import PrefixControls, tempo_bin
from clavilux.training.composer import CHOIRS, EXCHANGE_SHARE, exchanged
from clavilux.training.labels import LABELS

CONDITION_DROPOUT = 0.1  # of each part of the prefix, and of what the heads say of sections and of the end
START_SHARE = 0.3  # of windows begin where their piece does
CANDIDATES = 48  # windows drawn for a step, of which those of about one length are seen
SHARE_POWER = 0.5  # of a style's share of all frames: rare styles are seen more often
DRUMS_WEIGHT = 0.3  # of what that would make it: drums by themselves teach no melody


@dataclass(frozen=True)
class Batch:
    """Frames int64 [B, 5, T], ended with END; bool [B, 5, T] of the ids that are drawn; what the prefix says."""

    frames: Tensor
    drawn: Tensor
    controls: list[PrefixControls]
    labels: list[int]

    @property
    def notes(self) -> int:
        """How many notes are drawn."""
        return int(self.drawn[:, 3].sum())


class NoteWindows:
    """Windows of the training pieces or of the held-out ones.

    Args:
        cache: as `note_data.build` writes it.
        held_out: which of them.
        context: frames of a window, at most.
        batch_frames: frames of a step, padding included, at least one window.
        seed: what a step sees follows from it and the step's number alone.

    Raises:
        ValueError: the cache was made for other labels.
    """

    def __init__(
        self, cache: Path, held_out: bool, context: int, batch_frames: int, seed: int, velocities: bool = True
    ):
        arrays = np.load(cache)
        if tuple(arrays["labels"]) != LABELS:
            raise ValueError(f"{str(cache)!r} was made for other styles; remove it and run again")
        self.frames, self.ends = arrays["frames"], arrays["ends"]
        if not velocities:
            self.frames[4, is_note(self.frames)] = NO_FORCE
        self.starts = np.concatenate([[0], self.ends[:-1]])
        self.label, self.minor, self.tempo = arrays["label"], arrays["minor"], arrays["tempo"]
        self.files = arrays["files"]
        self.chosen = np.flatnonzero(arrays["held_out"] == held_out)
        self.context, self.batch_frames, self.seed = context, batch_frames, seed
        self.density = arrays["notes"] / np.maximum(self._quarters(), 1.0)
        self.density_edges = self._density_edges(~arrays["held_out"])
        self.weight = self._weights()

    def _quarters(self) -> np.ndarray:
        """Quarters of each piece."""
        bars = np.flatnonzero(self.frames[0] == BAR)
        lengths = {who: bar_quarters(metre_of(int(who))) for who in np.unique(self.frames[1, bars])}
        quarters = np.array([lengths[who] for who in self.frames[1, bars]])
        total = np.concatenate([[0.0], np.cumsum(quarters)])
        return total[np.searchsorted(bars, self.ends)] - total[np.searchsorted(bars, self.starts)]

    def _density_edges(self, taught: np.ndarray) -> np.ndarray:
        """Terciles of notes a quarter of each label's pieces, [labels, 2]."""
        edges = []
        for label in range(len(LABELS)):
            found = self.density[taught & (self.label == label)]
            edges.append(np.quantile(found if len(found) > 8 else self.density[taught], (1 / 3, 2 / 3)))
        return np.array(edges)

    def _weights(self) -> np.ndarray:
        sizes = (self.ends - self.starts)[self.chosen].astype(float)
        label = self.label[self.chosen]
        share = np.bincount(label, sizes, minlength=len(LABELS))
        weight = sizes * np.maximum(share[label], 1.0) ** (SHARE_POWER - 1)
        weight[label == LABELS.index("drums")] *= DRUMS_WEIGHT
        return weight / weight.sum()

    def batch(self, number: int) -> Batch:
        """What the step of this number sees."""
        random = np.random.default_rng([self.seed, number])
        pieces = random.choice(self.chosen, size=CANDIDATES, p=self.weight)
        windows = sorted((self._window(int(piece), random) for piece in pieces), key=lambda w: w[2] - w[1])
        first = last = int(random.integers(CANDIDATES))
        # Shorter ones first, then longer ones, while all padded to the longest are no more than a step holds.
        while first and (windows[last][2] - windows[last][1]) * (last - first + 2) <= self.batch_frames:
            first -= 1
        while (
            last + 1 < CANDIDATES
            and (windows[last + 1][2] - windows[last + 1][1]) * (last - first + 2) <= self.batch_frames
        ):
            last += 1
        return self.collated([self._read(*window, random) for window in windows[first : last + 1]])

    def _window(self, piece: int, random: np.random.Generator) -> tuple[int, int, int]:
        """(piece, first frame, end): the whole piece where it fits, or from one of its bars."""
        start, end = int(self.starts[piece]), int(self.ends[piece])
        if end - start > self.context and random.random() > START_SHARE:
            # Past the end too, so that last bars are seen as often as others.
            at = min(int(random.integers(start, end)), end - self.context // 3)
            while self.frames[0, at] != BAR:
                at -= 1
            start = at
        return piece, start, min(start + self.context, end)

    def _read(
        self, piece: int, start: int, end: int, random: np.random.Generator
    ) -> tuple[np.ndarray, PrefixControls, int]:
        frames = self.frames[:, start:end].copy()
        label = int(self.label[piece])
        bars = np.flatnonzero(frames[0] == BAR)
        frames[2, bars] = returning(frames[2, bars], frames[3, bars])
        dropped = random.random(2) < CONDITION_DROPOUT
        if dropped[0]:
            frames[2, bars], frames[3, bars] = RETURN_UNSAID, NO_SECTION
        if dropped[1]:
            frames[4, bars] = LEFT_UNSAID
        notes = is_note(frames)
        self._exchange(frames, notes, LABELS[label], random)
        return frames, self._controls(piece, frames[1, notes], random), label

    def _exchange(self, frames: np.ndarray, notes: np.ndarray, label: str, random: np.random.Generator) -> None:
        """Now and then, other instruments of the same register."""
        if random.random() > EXCHANGE_SHARE:
            return
        rows = {program: row for row, program in enumerate(PROGRAMS)}
        used = [PROGRAMS[row] for row in np.unique(frames[1, notes]).tolist() if row < len(PROGRAMS)]
        table = np.arange(256, dtype=np.uint8)
        if label in ("chorale", "hymn") and len(used) == 1:
            table[rows[used[0]]] = rows[int(random.choice(CHOIRS))]
        else:
            for program, other in exchanged(used, random).items():
                table[rows[program]] = rows[other]
        frames[1, notes] = table[frames[1, notes]]
        # Frames of one position stand by instrument, then by pitch; chords and heads stay before them.
        bar = np.cumsum(frames[0] == BAR)
        at = np.where(frames[0] < BAR, frames[0].astype(np.int64), -1)
        at[frames[0] == END] = 999
        who = np.where(notes, frames[1].astype(np.int64) + 1, 0)
        frames[:] = frames[:, np.lexsort((frames[2], who, at, bar))]

    def _controls(self, piece: int, who: np.ndarray, random: np.random.Generator) -> PrefixControls:
        drop = random.random(5) < CONDITION_DROPOUT
        label = int(self.label[piece])
        used = tuple((*PROGRAMS, DRUMS)[row] for row in np.unique(who).tolist())
        level = int((self.density[piece] >= self.density_edges[label]).sum())
        drums = LABELS[label] == "drums"
        return PrefixControls(
            style=-1 if drop[0] else label,
            mode=-1 if drop[1] or drums else int(self.minor[piece]),
            tempo=-1 if drop[2] else tempo_bin(float(self.tempo[piece])),
            density=-1 if drop[3] else level,
            programs=() if drop[4] else used,
        )

    def collated(self, rows: list[tuple[np.ndarray, PrefixControls, int]]) -> Batch:
        """Windows of several lengths as one batch."""
        length = max(frames.shape[1] for frames, _, _ in rows)
        padding = np.array([END, 0, 0, NO_LENGTH, NO_FORCE], dtype=np.uint8)
        frames = np.tile(padding[None, :, None], (len(rows), 1, length))
        drawn = np.zeros(frames.shape, dtype=bool)
        for row, (window, _, _) in enumerate(rows):
            frames[row, :, : window.shape[1]] = window
            drawn[row, :, : window.shape[1]] = is_drawn(window)
        drawn[:, :, 0] = False  # nothing comes before the first head
        return Batch(
            torch.from_numpy(frames.astype(np.int64)),
            torch.from_numpy(drawn),
            [controls for _, controls, _ in rows],
            [label for _, _, label in rows],
        )
