"""From a composer's steps to bars: tokens in, one step after another, the score of a bar out where it is complete.

Knows how REMI tokens and note frames show where a bar ends. Does not know how bars are played.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.codecs.note_frames import BAR, BOOKS, END, decode_frames, transposed
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.score import Score


class BarReader(Protocol):
    """Reads what a composer draws."""

    velocities: bool  # whether its notes have velocities of their own

    def push(self, tokens: Tensor) -> Score | None:
        """Take a step's ids int64 [K]; the bar that they complete."""

    def finish(self) -> Score | None:
        """The bar that nothing follows; None where there is none."""

    @property
    def drawn(self) -> Tensor:
        """int64 [K, T], the tokens of the bars that were given out, at their sounding pitch."""


class RemiBars:
    """`BarReader` of REMI tokens.

    Args:
        semitones: by which what is read is moved.
    """

    velocities = False

    def __init__(self, semitones: int = 0) -> None:
        self._tokens = score_tokens()
        self._table = self._tokens.transposition(semitones)
        self._bar: list[int] = []
        self._drawn: list[int] = []

    def push(self, tokens: Tensor) -> Score | None:
        token = int(tokens[0])
        if token == self._tokens.ids["Bar_None"] and self._bar:
            bar, self._bar = self._read(), [token]
            return bar
        if token != self._tokens.pad:
            self._bar.append(token)
        return None

    def finish(self) -> Score | None:
        return self._read() if len(self._bar) > 1 else None

    @property
    def drawn(self) -> Tensor:
        return torch.tensor(self._drawn, dtype=torch.int64)[None]

    def _read(self) -> Score:
        ids = self._table[np.array(self._bar)]
        self._drawn.extend(ids.tolist())
        return self._tokens.decode(ids)


class FrameBars:
    """`BarReader` of note frames.

    Args:
        delays: of the books, in steps.
        semitones: by which what is read is moved; drums stay.
    """

    velocities = True

    def __init__(self, delays: tuple[int, ...], semitones: int = 0) -> None:
        self._delays, self._semitones = delays, semitones
        self._steps: list[list[int]] = []  # that hold ids of frames which are not complete
        self._bar: list[list[int]] = []
        self._drawn: list[np.ndarray] = []
        self._ended = False

    def push(self, tokens: Tensor) -> Score | None:
        self._steps.append(tokens.tolist())
        if self._ended or len(self._steps) <= max(self._delays):
            return None
        frame = [self._steps[delay][book] for book, delay in enumerate(self._delays)]
        del self._steps[0]
        self._ended = frame[0] == END
        bar = self._read() if frame[0] in (BAR, END) and self._bar else None
        if not self._ended:
            self._bar.append(frame)
        return bar

    def finish(self) -> Score | None:
        return self._read() if self._bar else None

    @property
    def drawn(self) -> Tensor:
        return torch.from_numpy(np.concatenate([np.zeros((len(BOOKS), 0), np.int64), *self._drawn], axis=1))

    def _read(self) -> Score:
        frames = transposed(np.array(self._bar).T, self._semitones)
        self._bar = []
        self._drawn.append(frames)
        return decode_frames(frames)
