"""What a family of music checkpoints gives to the shared core: its stage, its defaults, and a `Generation` a request.

Families of pictures have theirs in `image_family`; Jukebox, whose levels are drawn one after another, has a model of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from clavilux.audio.clip import Audio
from clavilux.audio.codecs import Codec
from clavilux.audio.score import Score
from clavilux.decoder import Decoder
from clavilux.files import PathLike
from clavilux.layout import Layout
from clavilux.loop import Drawable
from clavilux.marking import MarkedTokens
from clavilux.sampling import SamplingSpec
from clavilux.windows import Windows

Progress = Callable[[float, float], None]


C = TypeVar("C")


@dataclass(frozen=True)
class Stage(Generic[C]):
    """One decoder, how its tokens are laid out and windowed, and the codec that they belong to.

    `windows` is None where a piece never outgrows the context: a picture. `codec` is one of sound or of pictures.
    """

    decoder: Decoder
    layout: Layout
    windows: Windows | None
    codec: C


@dataclass(frozen=True)
class Request:
    """What one row asks for.

    Attributes:
        prompt: the text.
        seconds: how long the piece is to be.
        seed: of its row.
        continue_from: a file or an `Audio` that it begins with.
        controls: the family's own, by the names of its `accepts`.
        open_length: no length was given: `seconds` is the usual one, and the prompt may state another.
    """

    prompt: str
    seconds: float
    seed: int
    continue_from: str | Path | Audio | None = None
    controls: dict[str, Any] = field(default_factory=dict)
    open_length: bool = False


class Generation(Drawable, Protocol):
    """One piece while it is made: a row of a batch. Made by its family."""

    windows: Windows  # the stage's, or those that were asked for; the same in all rows of a call
    receipt: dict[str, Any]

    @property
    def at_s(self) -> float:
        """Seconds of the piece that are written."""

    def to_decoder(self, tokens: Tensor) -> Tensor:
        """The ids that the decoder reads for the codec's, int64 of any shape."""

    def from_decoder(self, logits: Tensor) -> Tensor:
        """Logits [..., V] of the codec's ids, from those of the decoder's."""

    def push(self, tokens: Tensor) -> Tensor | None:
        """Take a step's tokens, int64 [K]; the samples float32 [C, N] that they settle, if any."""

    def finish(self) -> Tensor:
        """The rest of the samples."""

    def complete(self, samples: Tensor) -> Audio:
        """The whole piece, with its score, tokens and receipt."""


@runtime_checkable
class FromNotes(Protocol):
    """A `Generation` that is played from notes, where no codec's tokens could be found again."""

    def mark_sound(self, word: int) -> None:
        """Mark the sound (`audio.sound_mark`) with 64 bits of a key; before anything is pushed."""


class Family(Protocol):
    """A loaded checkpoint of music: what its family adds to the shared core."""

    name: str
    accepts: dict[str, Any]  # the controls it takes, and what they may be
    sampling: SamplingSpec  # its defaults
    stage: Stage[Codec]
    identity: dict[str, Any]  # model, hash and dtype, for receipts

    @property
    def marked(self) -> MarkedTokens:
        """Which tokens a mark is drawn in."""

    def begin(self, requests: list[Request]) -> Sequence[Generation]:
        """A generation a row, made side by side. Raises ValueError or TypeError for what the family cannot do."""

    def encode(self, source: Audio | Score | PathLike) -> Tensor:
        """The codec's tokens int64 [K, T] of a piece, on the CPU. Raises ValueError, TypeError."""

    def decode(self, tokens: Tensor) -> Audio:
        """The sound of tokens int64 [K, T] with ids of the codec's."""


class FamilyModule(Protocol):
    """What the module that `families.registry` names for a family has, all of it without reading weights but `load`.

    `length` is in seconds for music and in pixels a side for pictures.
    """

    def load(self, folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str, /) -> Any:
        """The family's side of a model: a `Family`, an `image_family.PictureFamily` or a cascade. CheckpointError."""

    def accepts_of(self, folder: Path, config: Mapping[str, Any], /) -> Mapping[str, Any]:
        """The controls that this checkpoint takes, and what each may be."""

    def memory_needed(
        self, folder: Path, config: Mapping[str, Any], length: Any, batch: int = 1, dtype: str = "auto", /
    ) -> int:
        """Bytes at the peak of loading and generating."""

    def facts(self, folder: Path, config: Mapping[str, Any], /) -> dict[str, Any]:
        """What it is, as JSON values."""


class MusicModule(FamilyModule, Protocol):
    """What those of music have beside it."""

    def check_controls(self, folder: Path, config: Mapping[str, Any], prompt: str, controls: dict[str, Any], /) -> None:
        """Raise ValueError or TypeError for a prompt and controls that `generate` would refuse."""


class PictureModule(FamilyModule, Protocol):
    """What those of pictures have beside it."""

    def usual_length(self, folder: Path, config: Mapping[str, Any], /) -> int:
        """Pixels a side that it was trained on."""


class CodecApartModule(FamilyModule, Protocol):
    """What those have whose codec may lie elsewhere (`registry.Entry.codec_apart`)."""

    def load(
        self,
        folder: Path,
        config: Mapping[str, Any],
        device: torch.device,
        dtype: str,
        /,
        codec: str | Path | None = None,
    ) -> Any:
        """As `FamilyModule.load`; `codec`: its file or folder, None where it lies beside the model."""
