"""Decoding EnCodec's overlapping chunks as their frames arrive: what comes out, joined, is the decode of the whole.

Knows how chunks are put together. Does not know a network's layers. `streaming_codec.PieceStream` is for an EnCodec
without chunks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clavilux.audio.codecs.streaming_codec import CheckedStream

if TYPE_CHECKING:
    from clavilux.audio.codecs.encodec import Encodec

ROWS = 4  # chunks decoded at once: an LSTM's step costs the same for one row as for four


class WholeStream(CheckedStream["Encodec"]):
    """The whole signal is decoded in the end, as group norm without chunks needs it."""

    def __init__(self, codec: Encodec, scales: Tensor | None):
        super().__init__(codec, scales)
        self._waiting: list[Tensor] = []  # tokens

    def _advance(self, tokens: Tensor, last: bool) -> Tensor:
        self._waiting.append(tokens)
        if not last:
            return _no_samples(self._codec, len(tokens))
        return self._scaled(self._codec.decode_whole(torch.cat(self._waiting, dim=2)), 0)


class ChunkStream(CheckedStream["Encodec"]):
    """Whole chunks are decoded one by one, faded into each other with a triangle as weight.

    Args:
        chunk_samples, stride_samples: length of a chunk, and from one to the next.
    """

    def __init__(self, codec: Encodec, scales: Tensor | None, chunk_samples: int, stride_samples: int):
        super().__init__(codec, scales)
        self._frames, self._stride = math.ceil(chunk_samples / codec.hop), stride_samples
        self._waiting: Tensor | None = None  # tokens [B, K, < frames]
        self._index = 0  # of the next chunk
        # weighted samples [B, C, n] from the next chunk's start on, and the sum of their weights [n]
        self._overlap: tuple[Tensor, Tensor] | None = None

    def _advance(self, tokens: Tensor, last: bool) -> Tensor:
        waiting = tokens if self._waiting is None else torch.cat([self._waiting, tokens], dim=2)
        out = []
        while waiting.shape[2] >= self._frames:
            count = min(ROWS, waiting.shape[2] // self._frames)
            out += [self._overlap_add(chunk) for chunk in self._decoded(waiting[..., : count * self._frames], count)]
            waiting = waiting[..., count * self._frames :]
        self._waiting = waiting.clone()
        if last and waiting.shape[2]:
            out.append(self._overlap_add(self._decoded(waiting)[0], last=True))
        elif last:
            assert self._overlap is not None  # a stream has tokens before it ends, so there was a chunk
            samples, weight = self._overlap
            out.append(samples / weight)
        return torch.cat(out, dim=2) if out else _no_samples(self._codec, len(tokens))

    def _decoded(self, tokens: Tensor, count: int = 1) -> list[Tensor]:
        """tokens [B, K, count * t] -> samples [B, C, n] of each chunk, decoded as rows of one batch."""
        rows = torch.cat(tokens.chunk(count, dim=2))
        chunks = self._codec.decode_whole(rows).chunk(count)
        self._index += count
        return [self._scaled(chunk, self._index - count + i) for i, chunk in enumerate(chunks)]

    def _overlap_add(self, chunk: Tensor, last: bool = False) -> Tensor:
        """chunk [B, C, n] -> the samples before the next chunk's start; all, if it is the last."""
        size = self._frames * self._codec.hop
        triangle = 0.5 - (torch.linspace(0, 1, size + 2, device=chunk.device)[1:-1] - 0.5).abs()
        weight = triangle[: chunk.shape[2]]
        total, weights = chunk * weight, weight.clone()
        if self._overlap is not None:
            total, weights = _add_padded(self._overlap[0], total), _add_padded(self._overlap[1], weights)
        stride = total.shape[-1] if last else min(self._stride, total.shape[-1])
        self._overlap = total[..., stride:], weights[stride:]
        return total[..., :stride] / weights[:stride]


def _no_samples(codec: Encodec, rows: int) -> Tensor:
    return torch.empty(rows, codec.channels, 0, device=codec.device)


def _add_padded(a: Tensor, b: Tensor) -> Tensor:
    """a + b of different lengths, the shorter one followed by zeros."""
    length = max(a.shape[-1], b.shape[-1])
    return torch.nn.functional.pad(a, (0, length - a.shape[-1])) + torch.nn.functional.pad(b, (0, length - b.shape[-1]))
