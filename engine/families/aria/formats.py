"""The ways in which a composer writes: REMI tokens one at a time, or a note a step in frames of five ids.

Each pairs a layout and a codec with a grammar, a reader of bars, and the way into and out of the composer's key. Which
one a checkpoint has its config says. Does not know prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.codecs import note_frames
from clavilux.audio.codecs.bar_grid import regular_bars
from clavilux.audio.codecs.bar_readers import BarReader, FrameBars, RemiBars
from clavilux.audio.codecs.note_frames import (
    BAR,
    BOOKS,
    CHORD_IDS,
    IDS,
    decode_frames,
    encode_frames,
    readable,
    transposed,
    transposition,
)
from clavilux.audio.codecs.remi import PITCH_RANGE, score_tokens
from clavilux.audio.codecs.score import FrameCodec, ScoreCodec
from clavilux.audio.score import Score
from clavilux.families.aria.form import Bar
from clavilux.families.aria.frame_grammar import DELAYS, WHAT, FrameGrammar
from clavilux.families.aria.grammar import ScoreGrammar
from clavilux.families.aria.heads import heads_before, heads_of, planned_heads
from clavilux.families.aria.transposition import Transposition
from clavilux.families.aria.voices import Part
from clavilux.layout import Delay, parallel
from clavilux.marking import SCORE_KIND, MarkedTokens
from clavilux.sampling import Grammar, SamplingSpec


@dataclass(frozen=True)
class Task:
    """What is to be written: bars in the composer's key, by which parts, at which tempo in quarters a minute.

    `playing` has of each bar the programs of those who play in it, None for all of them; `voices` the program that
    plays what each is written as; `upbeat` is a bar in the composer's key that nobody plays (`upbeats`).
    """

    bars: Sequence[Bar]
    parts: Sequence[Part]
    playing: Sequence[frozenset[int] | None]
    tempo: float
    voices: Mapping[int, int] = field(default_factory=dict)
    upbeat: Score | None = None


class Moved(Protocol):
    """Between tokens and logits at their sounding pitch and the composer's."""

    def to_composer(self, tokens: Tensor) -> Tensor:
        """Sounding ids int64 of any shape -> the composer's."""

    def to_sounding(self, logits: Tensor) -> Tensor:
        """Logits [..., V] of the composer's ids -> of the sounding ones."""


class TokenFormat(Protocol):
    """How a composer writes. Scores that it is given are of whole bars, their programs among `remi.PROGRAMS`."""

    layout: Delay
    sampling: SamplingSpec  # the usual one

    @property
    def codec(self) -> ScoreCodec:
        """Plays tokens."""

    @property
    def marked(self) -> MarkedTokens:
        """Its pitches, by their class."""

    def begin(self, task: Task, before: Score | None, shift: int, most: int) -> tuple[Tensor, Grammar]:
        """(the end of the score that bars go on from, in the composer's key, int64 [1, K, T], at most so many steps;
        what may be written of the bars after it). `shift` semitones take the sounding pitch to the composer's.
        """

    def moved(self, shift: int) -> Moved:
        """Between the sounding pitch and the composer's, `shift` semitones higher."""

    def reader(self, semitones: int) -> BarReader:
        """Of what is drawn, which sounds so many semitones higher."""

    def encode(self, score: Score) -> Tensor:
        """Tokens int64 [K, T] at their sounding pitch."""

    def decode(self, tokens: Tensor) -> Score:
        """What tokens int64 [K, T] say."""


def vocabulary_hash() -> str:
    """SHA-256 of the score vocabulary's names, which the config of a checkpoint with REMI tokens has."""
    return hashlib.sha256("\n".join(score_tokens().names).encode()).hexdigest()


def format_of(config: Mapping[str, Any]) -> TokenFormat:
    """The one that a checkpoint's config says. ValueError for a vocabulary that is not the one here."""
    if "frames" not in config:
        if config.get("vocabulary_sha256") != vocabulary_hash():
            raise ValueError("it was made for another score vocabulary; it needs the MidiTok that it was trained with")
        return RemiFormat()
    said = config["frames"]
    expected = {"books": list(BOOKS), "delays": list(DELAYS), "ids": IDS}
    if not isinstance(said, Mapping) or {name: said.get(name) for name in expected} != expected:
        raise ValueError(f"frames is {str(said)[:80]}; it should be {expected}")
    if said.get("sha256", note_frames.vocabulary_hash()) != note_frames.vocabulary_hash():
        raise ValueError("it was made for other note frames; it needs the Clavilux that it was trained with")
    return FrameFormat()


class RemiFormat:
    """Tokens of `clavilux.audio.codecs.remi`, one a step."""

    sampling = SamplingSpec(temperature=1.0)  # the grammar drops what is rare (`leaning.LIKELY`)

    def __init__(self) -> None:
        self.layout, self.codec = parallel(1, len(score_tokens())), ScoreCodec()

    @cached_property
    def marked(self) -> MarkedTokens:
        tokens = score_tokens()
        pairs = zip(tokens.kinds, tokens.values, strict=True)
        return MarkedTokens(SCORE_KIND, torch.tensor([value % 12 if kind == "Pitch" else -1 for kind, value in pairs]))

    def begin(self, task: Task, before: Score | None, shift: int, most: int) -> tuple[Tensor, ScoreGrammar]:
        tokens, prompt = score_tokens(), torch.zeros(1, 1, 0, dtype=torch.int64)
        if before is not None:
            ids = tokens.transposition(shift)[self.encode(before)[0].numpy()][-most:]
            prompt = torch.from_numpy(np.ascontiguousarray(ids))[None, None]
        elif task.upbeat is not None:
            prompt = torch.from_numpy(tokens.encode(task.upbeat, ["opening"]))[None, None]
        return prompt, ScoreGrammar(
            tokens, task.bars, task.parts, None if prompt.shape[2] else task.tempo, task.playing, task.voices,
            begins=before is None,
        )  # fmt: skip

    def moved(self, shift: int) -> Transposition:
        tokens = score_tokens()
        return Transposition(tokens.transposition(shift), tokens.transposition(-shift))

    def reader(self, semitones: int) -> RemiBars:
        return RemiBars(semitones)

    def encode(self, score: Score) -> Tensor:
        return torch.from_numpy(score_tokens().encode(regular_bars(score)))[None]

    def decode(self, tokens: Tensor) -> Score:
        return score_tokens().decode(tokens[0])


class FrameFormat:
    """Frames of `clavilux.audio.codecs.note_frames`, a note a step."""

    sampling = SamplingSpec(temperature=1.0, top_p=0.98)

    def __init__(self) -> None:
        self.layout, self.codec = Delay(len(BOOKS), IDS, DELAYS, special=IDS), FrameCodec()

    @cached_property
    def marked(self) -> MarkedTokens:
        whats = torch.arange(IDS)
        classes = torch.where(whats < CHORD_IDS.start, (whats + PITCH_RANGE[0]) % 12, -1)
        return MarkedTokens(SCORE_KIND, classes, stream=WHAT)

    def begin(self, task: Task, before: Score | None, shift: int, most: int) -> tuple[Tensor, FrameGrammar]:
        heads = planned_heads(task.bars)
        frames = np.zeros((len(BOOKS), 0), dtype=np.int64)
        if before is not None:
            score = regular_bars(before)
            whole = transposed(encode_frames(score, heads_before(score, heads)), shift)[:, :-1]  # without its end
            frames = _last_bars(whole, most).astype(np.int64)
        # The steps that hold the ends of the last frames are the grammar's: new frames begin in them.
        prompt = self.layout.arrange(torch.from_numpy(frames)[None])[:, :, : frames.shape[1]]
        return prompt, FrameGrammar(
            self.layout, task.bars, heads, task.parts, frames, playing=task.playing, voices=task.voices
        )

    def moved(self, shift: int) -> FrameTransposition:
        return FrameTransposition(shift)

    def reader(self, semitones: int) -> FrameBars:
        return FrameBars(self.layout.delays, semitones)

    def encode(self, score: Score) -> Tensor:
        score = regular_bars(score)
        return torch.from_numpy(encode_frames(score, heads_of(score)).astype(np.int64))

    def decode(self, tokens: Tensor) -> Score:
        frames = tokens.numpy()
        return decode_frames(frames[:, readable(frames)])


def _last_bars(frames: np.ndarray, most: int) -> np.ndarray:
    """The last frames [5, T] from a bar's head on, at most so many; from none on where a bar alone has more."""
    first = max(0, frames.shape[1] - most)
    heads = np.flatnonzero(frames[0] == BAR)
    later = heads[heads >= first]
    return frames[:, later[0] if len(later) else first :]


class FrameTransposition:
    """Between frames at their sounding pitch and the composer's.

    Logits of pitches are moved as those of notes with a pitch: which of them a drum means cannot be seen in them.
    """

    def __init__(self, semitones: int) -> None:
        self._semitones = semitones
        self._whats = Transposition(_what_table(semitones), _what_table(-semitones))

    def to_composer(self, tokens: Tensor) -> Tensor:
        """Sounding ids int64 [B, 5, T] -> the composer's."""
        moved = [torch.from_numpy(transposed(row.numpy(), self._semitones)) for row in tokens.cpu()]
        return torch.stack(moved).to(tokens.device)

    def to_sounding(self, logits: Tensor) -> Tensor:
        """Logits [B, 5, T, 256] of the composer's ids -> of the sounding ones."""
        moved = logits.clone()
        moved[:, WHAT] = self._whats.to_sounding(logits[:, WHAT])
        return moved


def _what_table(semitones: int) -> np.ndarray:
    """int64 [256]: `what` of a note or a chord -> the same so many semitones higher."""
    notes, chords = transposition(semitones).astype(np.int64)
    return np.where(np.arange(IDS) < CHORD_IDS.start, notes, chords)
