"""One of Jukebox's priors: its decoder, and what conditions each window of it (arXiv 2005.00341, section 4).

Knows artists, genres and characters as ids, and time in samples. Does not know names, files or how windows follow
one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.streaming_layers import Chain, Conv, Layer, Upsample
from clavilux.audio.codecs.vqvae import Residual
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.families.jukebox.config import PriorConfig, TransformerConfig, UpsamplerConfig

_EPS = 1e-5


@dataclass(frozen=True)
class Labels:
    """What conditions a song, as ids of one prior.

    Attributes:
        artist: its id.
        genres: their ids, at most as many as the prior takes.
        lyrics: an id for each character of all its lyrics.
        total_samples: how long the whole song is thought to be.
    """

    artist: int
    genres: tuple[int, ...]
    lyrics: tuple[int, ...]
    total_samples: int


def seen_lyrics(labels: Labels, sizes: PriorConfig, start: int) -> tuple[int, int]:
    """The lyrics that the window from music token `start` on sees: (first character, end).

    A window's length of characters around the place that its middle has in the song, as if they were sung evenly.
    """
    count, room = len(labels.lyrics), sizes.lyric_tokens
    if count < room:
        return 0, count
    middle = (start + sizes.context / 2) * sizes.hop
    half = room // 2
    place = min(max(int(count * middle / labels.total_samples), half), count - half)
    return place - half, place + half


class LabelTables(nn.Module):
    """Vectors of artists, genres and, for the top prior, of time."""

    def __init__(self, sizes: PriorConfig) -> None:
        super().__init__()
        width = sizes.stack.width
        self.artist = nn.Embedding(sizes.artists, width)
        self.genre = nn.Embedding(sizes.genres, width)
        if sizes.time_bins:
            self.total = nn.Embedding(sizes.time_bins, width)
            self.absolute = nn.Embedding(sizes.time_bins, width)
            self.relative = nn.Embedding(sizes.time_bins, width)

    def start(self, labels: Labels) -> Tensor:
        """[1, D]: what stands before the first token."""
        return self.artist.weight[[labels.artist]] + self.genre.weight[list(labels.genres)].sum(0, keepdim=True)

    def time(self, labels: Labels, sizes: PriorConfig, start: int) -> Tensor:
        """[context, D]: the song's length, and where in it each token is, in samples and as a share."""
        device = self.total.weight.device
        rate, total = sizes.sample_rate, labels.total_samples
        first = torch.tensor(float(start * sizes.hop), device=device)
        last = first + sizes.context * sizes.hop
        places = torch.arange(sizes.context, dtype=torch.float32, device=device) / sizes.context
        absolute = first + (last - first) * places
        first, last = first / total, (last / total).clamp(0, 1)
        relative = first + (last - first) * places
        shortest, longest = sizes.shortest_s * rate, sizes.longest_s * rate
        length = torch.tensor([float(total)], device=device)
        vectors = self.total(_bins(length, shortest, longest, sizes.time_bins))
        vectors = vectors + self.absolute(_bins(absolute, 0.0, longest, sizes.time_bins))
        return vectors + self.relative(_bins(relative, 0.0, 1.0, sizes.time_bins))


def _bins(values: Tensor, least: float, most: float, count: int) -> Tensor:
    """Which of `count` equal parts of the range each value is in; the last one for what is beyond it."""
    return (count * ((values - least) / (most - least))).floor().long().clamp(0, count - 1)


class Upsampler(nn.Module):
    """[B, N] tokens of the level above -> [B, N * ratio, D]."""

    def __init__(self, sizes: UpsamplerConfig, vocabulary: int, width: int) -> None:
        super().__init__()
        self.ratio = sizes.ratio
        self.embed = nn.Embedding(vocabulary, width)
        scale = sizes.depth**-0.5 if sizes.scaled else 1.0
        layers: list[Layer] = [Conv(width, sizes.width, 3, padding=1)]
        for index in range(sizes.downs):
            layers += [Residual(sizes.width, sizes.hidden, sizes.growth**step, scale) for step in sizes.dilation_steps]
            layers.append(Upsample(sizes.width, width if index == sizes.downs - 1 else sizes.width, sizes.stride))
        self.layers = Chain(layers)
        self.norm = nn.LayerNorm(width, eps=_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(self.layers(self.embed(tokens).transpose(1, 2)).transpose(1, 2))


class LyricEncoder(nn.Module):
    """Characters -> the memory that cross-attention reads, [B, S, D]."""

    def __init__(self, sizes: TransformerConfig, width: int) -> None:
        super().__init__()
        self.decoder = Decoder(sizes.spec(tied=True))
        self.start = nn.Parameter(torch.empty(1, sizes.width))
        self.project = nn.Linear(sizes.width, width)
        self.norm = nn.LayerNorm(width, eps=_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        prefix = Conditioning(prefix=self.start.expand(len(tokens), 1, -1))
        # Like every decoder here it reads a token a position late, so the last one is not read.
        return self.norm(self.project(self.decoder.read(tokens[:, None, :-1], conditioning=prefix)))


class Prior(nn.Module):
    """A prior and its conditions. Its weights are uninitialised until loaded.

    Attributes:
        sizes: what it is.
        fingerprint: distinguishes its weights from another's.
    """

    def __init__(self, sizes: PriorConfig) -> None:
        super().__init__()
        self.sizes = sizes
        self.fingerprint = ""
        self.decoder = Decoder(sizes.spec)
        self.labels = LabelTables(sizes)
        self.upsampler: Upsampler | None = None
        if sizes.upsampling is not None:
            self.upsampler = Upsampler(sizes.upsampling, sizes.vocabulary, sizes.stack.width)
        self.lyrics = None if sizes.encoder is None else LyricEncoder(sizes.encoder, sizes.stack.width)

    @torch.no_grad()
    def prompt(self, labels: Labels, start: int, rows: int) -> Tensor:
        """int64 [B, 1, S]: what is read before the music of a window; empty but for lyrics that stand there."""
        if self.sizes.lyrics != "before":
            return torch.zeros(rows, 1, 0, dtype=torch.int64, device=self._device)
        # In our table the music's ids come first.
        return (self._characters(labels, start) + self.sizes.vocabulary).expand(rows, 1, -1)

    @torch.no_grad()
    def conditioning(self, labels: Labels, starts: list[int], above: Tensor | None) -> Conditioning:
        """What conditions a window of each row.

        Args:
            labels: of the song; rows differ in nothing else.
            starts: the music token that each row's window begins with.
            above: int64 [B, n], tokens of the level above for each row's window; where they end early, id 0 follows.
        """
        rows, sizes = len(starts), self.sizes
        begin = self.labels.start(labels)[None]  # [1, 1, D]
        if self.upsampler is None:
            windows = [self._time(labels, start) for start in starts]  # [context, D] each
            given = torch.stack(windows) if len(set(starts)) > 1 else windows[0].expand(rows, -1, -1)
        else:
            assert above is not None, "a level below the top is drawn after the one above it"
            room = sizes.context // self.upsampler.ratio
            above = F.pad(above[:, :room], (0, room - min(room, above.shape[1])))
            given = self.upsampler(above.to(self._device))
        if sizes.lyrics == "before":
            given = F.pad(given, (0, 0, sizes.lyric_tokens, 0))
        memory = None
        if self.lyrics is not None:
            memory = torch.cat([self.lyrics(self._characters(labels, start)) for start in starts])
        return Conditioning(
            prefix=begin + given[:, :1],
            memory=memory,
            additive=given[:, 1:],
            output_additive=None if sizes.untied else given,
        )

    def _time(self, labels: Labels, start: int) -> Tensor:
        if self.sizes.time_bins:
            return self.labels.time(labels, self.sizes, start)
        return self.labels.artist.weight.new_zeros(self.sizes.context, self.sizes.stack.width)

    def _characters(self, labels: Labels, start: int) -> Tensor:
        """int64 [1, S]: the lyrics that a window sees, after zeros where they are few."""
        first, end = seen_lyrics(labels, self.sizes, start)
        ids = labels.lyrics[first:end]
        padded = (0,) * (self.sizes.lyric_tokens - len(ids)) + tuple(ids)
        return torch.tensor([padded], dtype=torch.int64, device=self._device)

    @property
    def _device(self) -> torch.device:
        return self.decoder.embed.weight.device
