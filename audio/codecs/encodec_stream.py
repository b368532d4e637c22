"""Decoding as frames arrive: what comes out, joined, is the decode of the whole.

Knows how pieces and overlapping chunks are put together. Does not know a network's layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from clavilux.audio.codecs.encodec import Encodec

ROWS = 4  # chunks decoded at once: an LSTM's step costs the same for one row as for four


class _Stream:
    """What both streams check."""

    def __init__(self, codec: Encodec, scales: Tensor | None):
        if scales is not None and (scales.ndim != 2 or not scales.is_floating_point() or 0 in scales.shape):
            raise ValueError(f"scales should be floats [B, chunks], not {scales.dtype} {list(scales.shape)}")
        if scales is not None and not torch.isfinite(scales).all():
            raise ValueError("scales hold NaN or infinity; every value should be a finite number")
        self._codec, self._scales = codec, scales
        self._shape: tuple[int, int] | None = None  # rows and codebooks
        self._finished = False

    @torch.no_grad()
    def push(self, tokens: Tensor) -> Tensor | None:
        """The samples that these frames make certain.

        Args:
            tokens: integers [B, K, t], t >= 1, B and K the same each time.

        Returns:
            float32 [B, channels, n], or None while there is nothing yet.

        Raises:
            ValueError: what `decode` would not take either, another B or K than before, or after `finish`.
        """
        if self._finished:
            raise ValueError("this stream is finished; begin another one")
        tokens = self._codec.checked_tokens(tokens)
        shape = tuple(tokens.shape[:2])
        if self._shape not in (None, shape):
            raise ValueError(f"this stream has [B, K] {list(self._shape)}, and the tokens have {list(shape)}")
        if self._scales is not None and len(self._scales) != shape[0]:
            raise ValueError(f"there are scales for {len(self._scales)} rows and tokens for {shape[0]}")
        self._shape = shape
        samples = self._advance(tokens, False)
        return samples if samples.shape[2] else None

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The samples that are left, float32 [B, channels, n]. ValueError if nothing was pushed, or if called twice."""
        if self._finished or self._shape is None:
            raise ValueError("this stream is finished already" if self._finished else "this stream got no tokens")
        self._finished = True
        return self._advance(torch.empty(*self._shape, 0, dtype=torch.int64, device=self._codec.device), True)

    def _scaled(self, samples: Tensor, index: int) -> Tensor:
        """samples of the chunk `index`, by its scale."""
        if self._scales is None:
            return samples
        if index >= self._scales.shape[1]:
            raise ValueError(f"there are scales for {self._scales.shape[1]} chunks, and the tokens have more")
        return samples * self._scales[:, index, None, None].to(samples)


class PieceStream(_Stream):
    """The network runs on each piece and keeps what the next one needs. Nothing is computed twice."""

    def __init__(self, codec: Encodec, scales: Tensor | None):
        super().__init__(codec, scales)
        self._state: dict = {}

    def _advance(self, tokens: Tensor, last: bool) -> Tensor:
        samples = self._codec.decoder.step(self._codec.quantizer.decode(tokens), self._state, last)
        return self._scaled(samples, 0)


class ChunkStream(_Stream):
    """Whole chunks are decoded one by one, faded into each other with a triangle as weight.

    Without chunks (`chunk_samples` None) the signal is one, which ends with `finish`.
    """

    def __init__(self, codec: Encodec, scales: Tensor | None):
        super().__init__(codec, scales)
        spec = codec.spec
        self._frames = math.ceil(spec.chunk_samples / codec.hop) if spec.chunk_samples else None
        self._waiting: Tensor | None = None  # tokens [B, K, < frames]
        self._index = 0  # of the next chunk
        self._sum: Tensor | None = None  # weighted samples [B, C, n] from the next chunk's start on
        self._weight: Tensor | None = None  # the sum of weights [n]

    def _advance(self, tokens: Tensor, last: bool) -> Tensor:
        waiting = tokens if self._waiting is None else torch.cat([self._waiting, tokens], dim=2)
        out = []
        if self._frames is None:
            self._waiting = waiting
            return self._decoded(waiting)[0] if last else self._nothing(tokens)
        while waiting.shape[2] >= self._frames:
            count = min(ROWS, waiting.shape[2] // self._frames)
            out += [self._added(chunk) for chunk in self._decoded(waiting[..., : count * self._frames], count)]
            waiting = waiting[..., count * self._frames :]
        self._waiting = waiting.clone()
        if last:
            rest = [self._decoded(waiting)[0]] if waiting.shape[2] else []
            out += [self._added(chunk, last=True) for chunk in rest]
            if not rest:
                out.append(self._sum / self._weight)
        return torch.cat(out, dim=2) if out else self._nothing(tokens)

    def _nothing(self, tokens: Tensor) -> Tensor:
        return torch.empty(tokens.shape[0], self._codec.channels, 0, device=tokens.device)

    def _decoded(self, tokens: Tensor, count: int = 1) -> list[Tensor]:
        """tokens [B, K, count * t] -> samples [B, C, n] of each chunk, decoded as rows of one batch."""
        rows = torch.cat(tokens.chunk(count, dim=2))
        chunks = self._codec.decoder(self._codec.quantizer.decode(rows)).chunk(count)
        self._index += count
        return [self._scaled(chunk, self._index - count + i) for i, chunk in enumerate(chunks)]

    def _added(self, chunk: Tensor, last: bool = False) -> Tensor:
        """chunk [B, C, n] -> the samples before the next chunk's start; all, if it is the last."""
        size = self._frames * self._codec.hop
        triangle = 0.5 - (torch.linspace(0, 1, size + 2, device=chunk.device)[1:-1] - 0.5).abs()
        weight = triangle[: chunk.shape[2]]
        total, weights = chunk * weight, weight.clone()
        if self._sum is not None:
            total, weights = _plus(self._sum, total), _plus(self._weight, weights)
        stride = total.shape[-1] if last else min(self._codec.spec.stride_samples, total.shape[-1])
        self._sum, self._weight = total[..., stride:], weights[stride:]
        return total[..., :stride] / weights[:stride]


def _plus(a: Tensor, b: Tensor) -> Tensor:
    """a + b of different lengths, the shorter one followed by zeros."""
    length = max(a.shape[-1], b.shape[-1])
    return torch.nn.functional.pad(a, (0, length - a.shape[-1])) + torch.nn.functional.pad(b, (0, length - b.shape[-1]))
