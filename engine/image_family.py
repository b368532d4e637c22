"""What a family of picture checkpoints gives to the shared core, and one picture while it is made.

Which tokens are known beforehand is `inpainting`'s; the loop that draws the others is `loop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.family import Stage
from clavilux.image.codecs import Codec
from clavilux.image.picture import Picture
from clavilux.image.pixel_mark import marked
from clavilux.layout import OPEN, FrameReader
from clavilux.marking import MarkedTokens
from clavilux.sampling import Grammar, SamplingSpec

LARGEST = 2048  # pixels a side


@dataclass(frozen=True)
class PictureRequest:
    """What one picture is asked to be.

    Attributes:
        plan: int64 [1, K, rows * cols], the tokens that are known, `OPEN` for the others.
        size: pixels a side.
    """

    prompt: str
    size: int
    seed: int
    plan: Tensor
    controls: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class PictureFamily(Protocol):
    """A loaded checkpoint of pictures: what its family adds to the shared core. Its codec is a picture codec."""

    name: str
    accepts: dict[str, Any]  # the controls it takes, and what they may be
    sampling: SamplingSpec  # its defaults
    stage: Stage[Codec]
    identity: dict[str, Any]  # model, fingerprint and dtype, for receipts
    size: int  # pixels a side that it was trained on
    sizes: str | None  # why no other size can be painted; None: any can

    @property
    def marked(self) -> MarkedTokens:
        """Which tokens a mark is drawn in."""

    def begin(self, requests: list[PictureRequest]) -> Sequence[PictureGeneration]:
        """A generation a request, all of a size. Raises ValueError or TypeError for what the family cannot do."""


def checked_size(family: PictureFamily, size: int | None) -> int:
    """Pixels a side of a family's pictures, its own if None. ValueError, TypeError for what it cannot paint."""
    patch = family.stage.codec.downsampling
    if size is None:
        return family.size
    if type(size) is not int:
        raise TypeError(f"size is {size!r}; it should be a whole number of pixels")
    if not patch <= size <= LARGEST or size % patch:
        raise ValueError(f"size is {size}; it should be a multiple of {patch} pixels, up to {LARGEST}")
    if family.sizes is not None and size != family.size:
        raise ValueError(f"size is {size}; it should be {family.size}: {family.sizes}")
    return size


class PictureGeneration:
    """One picture: the tokens that are known, and those that are drawn.

    Attributes:
        decoder: the family's, for this size.
        conditioning: conditioned on the prompt, one row.
        unconditional: the row of guidance's second block; None where the model is conditioned on nothing.
        prompt: int64 [1, K, T], read before the first token.
        plan: int64 [1, K, S], the request's as the stage lays it out in steps.
        receipt: all that makes the picture again.
        pixel_mark: 64 bits of a key whose mark the painted pixels carry (`image.pixel_mark`); None: none.
    """

    grammar: Grammar | None = None
    pixel_mark: int | None = None

    def __init__(
        self,
        family: PictureFamily,
        request: PictureRequest,
        decoder: Decoder,
        conditioning: Conditioning,
        unconditional: Conditioning | None,
        prompt: Tensor | None = None,
    ) -> None:
        self._codec, layout = family.stage.codec, family.stage.layout
        self.decoder, self.conditioning, self.unconditional = decoder, conditioning, unconditional
        self.plan, self._size = layout.arrange(request.plan), request.size
        self._given = (request.plan[0] != OPEN).all(0)  # [places]
        device = decoder.embed.weight.device
        nothing = torch.zeros(1, layout.streams, 0, dtype=torch.int64)
        self.prompt = (nothing if prompt is None else prompt).to(device)
        self.columns = request.size // self._codec.downsampling
        self.num_tokens = request.plan.shape[2]  # places of the picture
        self._reader = FrameReader(layout)
        self._tokens: list[Tensor] = []  # each [K]
        self.receipt: dict[str, Any] = {
            **family.identity,
            "prompt": request.prompt[:500],
            "size": request.size,
            "seed": request.seed,
            "controls": dict(request.controls),
            "notes": list(request.notes),
        }

    @property
    def num_painted(self) -> int:
        """The places whose tokens are there."""
        return len(self._tokens)

    def to_decoder(self, tokens: Tensor) -> Tensor:
        """The ids that the decoder reads for the codec's: the same."""
        return tokens

    def from_decoder(self, logits: Tensor) -> Tensor:
        """Logits of the codec's ids from those of the decoder's: the same."""
        return logits

    def push(self, tokens: Tensor) -> bool:
        """Take a step's tokens, int64 [K]; whether a row of the picture is now complete."""
        frames = self._reader.push(tokens.cpu()[None, :, None])[0]  # [K, as many as this step completes]
        self._tokens.extend(frames.unbind(1))
        return frames.shape[1] > 0 and len(self._tokens) % self.columns == 0

    @torch.inference_mode()
    def picture(self) -> Picture:
        """The picture as far as its rows are complete, grey below them; the whole one with its tokens and receipt."""
        rows = self.num_painted // self.columns
        pixels = torch.zeros(3, self._size, self._size)
        if not rows:
            return Picture.from_floats(pixels)
        tokens = torch.stack(self._tokens[: rows * self.columns], dim=1)  # [K, n]
        pixels[:, : rows * self._codec.downsampling] = self._codec.decode(tokens[None], rows=rows)[0].float().cpu()
        whole = self.num_painted == self.num_tokens
        picture = Picture.from_floats(pixels, tokens, self.receipt) if whole else Picture.from_floats(pixels)
        if whole:
            self.look_at(picture)
        if self.pixel_mark is not None:
            picture.pixels = marked(picture.pixels, self.pixel_mark, self._painted(rows))
        return picture

    def look_at(self, picture: Picture) -> None:
        """Note in the receipt what came of the prompt in the whole picture, before its pixels are marked: nothing."""

    def _painted(self, rows: int) -> Tensor:
        """bool [H, W]: the pixels of tokens that were drawn, in so many rows of tokens."""
        drawn = ~self._given.view(-1, self.columns)
        drawn[rows:] = False
        patch = self._codec.downsampling
        return drawn.repeat_interleave(patch, 0).repeat_interleave(patch, 1)
