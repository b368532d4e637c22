"""EnCodec: sound to residual tokens and back (arXiv 2210.13438), for any sizes that a checkpoint states.

24 kHz causal mono, 32 kHz mono (MusicGen), 16 kHz (AudioGen), and 48 kHz stereo in chunks of one second that overlap
by 1 %, each with its own scale. Both directions run piece by piece, so memory does not grow with the length, and a
stream gives the samples of the whole. `load` reads a transformers folder, a file of the `encodec` package or one of
audiocraft; `from_config` takes weights that are part of another checkpoint.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.encodec_spec import EncodecSpec
from clavilux.audio.codecs.encodec_stereo import StereoEncodec
from clavilux.audio.codecs.encodec_stream import ROWS, ChunkStream, WholeStream
from clavilux.audio.codecs.seanet import Conv, Lstm, Upsample, decoder, encoder
from clavilux.audio.codecs.streaming_codec import PieceStream, StreamingCodec
from clavilux.audio.codecs.streaming_layers import State
from clavilux.audio.codecs.weights import fold_weight_norm
from clavilux.checkpoint_io import check_tensors, read_json, read_tensors, read_torch
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

if TYPE_CHECKING:
    from clavilux.audio.codecs import DecoderStream

__all__ = ["Encodec", "EncodecSpec", "StereoEncodec", "checkpoint_names", "from_config", "load", "pretrained_name"]


class Quantizer(nn.Module):
    """Residual vector quantization: each codebook stands for what those before it left over."""

    def __init__(self, spec: EncodecSpec):
        super().__init__()
        shape = spec.vocabulary, spec.network.latent_width
        self.vectors = nn.ParameterList(torch.empty(shape) for _ in range(spec.codebooks))

    def encode(self, latent: Tensor, codebooks: int) -> Tensor:
        """latent [B, D, T] -> tokens int64 [B, codebooks, T], the nearest vectors."""
        rest = latent.transpose(1, 2)  # [B, T, D]
        tokens = []
        for vectors in self.vectors[:codebooks]:
            # The published code sums in this order, and float32 rounds some distances to ties: the first one wins.
            distance = rest.square().sum(2, keepdim=True) - 2 * rest @ vectors.t() + vectors.square().sum(1)
            tokens.append(distance.argmin(2))
            rest = rest - F.embedding(tokens[-1], vectors)
        return torch.stack(tokens, dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """tokens [B, K, T] -> latent [B, D, T]; K may be smaller than there are codebooks."""
        pairs = zip(tokens.unbind(1), self.vectors, strict=False)
        return functools.reduce(torch.add, (F.embedding(codes, vectors) for codes, vectors in pairs)).transpose(1, 2)


class Encodec(StreamingCodec):
    """EnCodec; see `StreamingCodec` for what every codec has. Made by `load_codec`; a new one has no weights yet.

    Attributes:
        spec: the sizes.
        frame_rate: frames a second; with chunks that within a chunk, and `num_frames` counts exactly.
        overlap_frames: None where there is no such number: an LSTM remembers everything, group norm and chunks need a
            whole chunk. There, use `decoder_stream`, which carries what is needed and is exact everywhere.
        scaled: whether tokens need scales beside them (`encode_scaled`).
    """

    family = "encodec"

    def __init__(self, spec: EncodecSpec):
        super().__init__(
            encoder(spec.network),
            decoder(spec.network),
            sample_rate=spec.sample_rate,
            channels=spec.network.channels,
            hop=spec.network.hop,
            codebooks=spec.codebooks,
            vocabulary=spec.vocabulary,
        )
        self.spec, self.scaled = spec, spec.normalize
        self.quantizer = Quantizer(spec)
        if spec.network.lstm_layers or spec.network.group_norm or spec.chunks:
            self.overlap_frames = None

    def codebooks_for(self, bandwidth_kbps: float) -> int:
        """How many codebooks fit into a bandwidth, at least one, rounded down as published. ValueError if not > 0."""
        if not 0 < bandwidth_kbps < math.inf:
            raise ValueError(f"a bandwidth is a positive number of kbit/s, not {bandwidth_kbps}")
        bits = math.log2(self.vocabulary) * math.ceil(self.sample_rate / self.hop)
        return min(self.codebooks, max(1, math.floor(bandwidth_kbps * 1000 / bits)))

    def encode(self, samples: Tensor, codebooks: int | None = None, *, sample_rate: int | None = None) -> Tensor:
        """Tokens of sound. Where the codec is `scaled`, its loudness is lost: `encode_scaled` gives it as well.

        Args:
            samples: float [B, channels, N] at the codec's rate, N >= 1, every value finite.
            codebooks: how many of the first codebooks to use; all by default. `codebooks_for` tells a bandwidth's.
            sample_rate: that of `samples`, to have it checked.

        Returns:
            int64 [B, codebooks, num_frames(N)]; chunks follow one another.

        Raises:
            ValueError: another shape or rate, NaN or infinity, or a number of codebooks that there is not.
        """
        return self.encode_scaled(samples, codebooks, sample_rate=sample_rate)[0]

    @torch.no_grad()
    def encode_scaled(
        self, samples: Tensor, codebooks: int | None = None, *, sample_rate: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """As `encode`, and the scales, float32 [B, chunks], that `decode` multiplies by; None if not `scaled`."""
        codebooks = self._checked_codebooks(codebooks)
        samples = self._checked_samples(samples, sample_rate)
        if self.spec.chunks is not None:
            return self._encode_chunks(samples, codebooks, *self.spec.chunks)
        scales = self._scales(samples)
        samples = samples if scales is None else samples / scales[..., None]
        return self._encode_pieces(samples, codebooks), scales

    def decode(self, tokens: Tensor, scales: Tensor | None = None) -> Tensor:
        """Sound of tokens.

        Args:
            tokens: integers [B, K, T], 0 <= token < vocabulary, 1 <= K <= codebooks, T >= 1.
            scales: float [B, chunks] from `encode_scaled`; 1 by default.

        Returns:
            float32 [B, channels, num_samples(T)], not clipped.

        Raises:
            ValueError: another shape, or a token out of range.
        """
        tokens = self.checked_tokens(tokens)
        return self.in_range(lambda: self._decode_stream(tokens, scales))

    def _decode_stream(self, tokens: Tensor, scales: Tensor | None) -> Tensor:
        stream = self.decoder_stream(scales)
        size = self._piece_frames(tokens.shape[0])
        pieces = [stream.push(tokens[..., start : start + size]) for start in range(0, tokens.shape[2], size)]
        return torch.cat([piece for piece in [*pieces, stream.finish()] if piece is not None], dim=2)

    def decode_whole(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, K, T] -> samples [B, C, T * hop], of a whole signal or chunk, without scales."""
        latent = self.quantizer.decode(tokens)
        return self.decoder(latent.to(self.decoding_dtype)).to(latent.dtype)

    def decode_piece(self, tokens: Tensor, state: State, last: bool) -> Tensor:
        """As `StreamingCodec`."""
        return self._decoded(self.quantizer.decode(tokens), state, last)

    def decoder_stream(self, scales: Tensor | None = None) -> DecoderStream:
        """A decoder that takes the frames of a signal as they come; what it gives, joined, is `decode` of them all.

        With chunks, samples come a chunk at a time; with group norm and no chunks, all at the end.
        """
        if self.spec.chunks is not None:
            return ChunkStream(self, scales, *self.spec.chunks)
        return WholeStream(self, scales) if self.spec.network.group_norm else PieceStream(self, scales)

    def num_frames(self, samples: int) -> int:
        """Frames that so many samples are encoded to."""
        if self.spec.chunks is None:
            return super().num_frames(samples)
        chunk, stride = self.spec.chunks
        followed, last = _chunk_lengths(samples, chunk, stride)
        return followed * math.ceil(chunk / self.hop) + math.ceil(last / self.hop)

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames are decoded to: up to a hop more than were encoded."""
        if self.spec.chunks is None:
            return super().num_samples(frames)
        chunk, stride = self.spec.chunks
        size = math.ceil(chunk / self.hop)
        last = (frames - 1) // size
        ends = [last * stride + (frames - last * size) * self.hop]
        return max(ends + [(last - 1) * stride + size * self.hop] * (last > 0))

    def _scales(self, samples: Tensor) -> Tensor | None:
        """samples [B, C, N] -> RMS of their mean over the channels [B, 1]."""
        return samples.mean(1).square().mean(1, keepdim=True).sqrt() + 1e-8 if self.scaled else None

    def _quantize(self, latent: Tensor, codebooks: int) -> Tensor:
        return self.quantizer.encode(latent, codebooks)

    def _encode_pieces(self, samples: Tensor, codebooks: int) -> Tensor:
        if self.spec.network.group_norm:
            return self.quantizer.encode(self.encoder(samples), codebooks)
        return super()._encode_pieces(samples, codebooks)

    def _encode_chunks(self, samples: Tensor, codebooks: int, chunk: int, stride: int) -> tuple[Tensor, Tensor | None]:
        followed, last = _chunk_lengths(samples.shape[2], chunk, stride)
        samples = F.pad(samples, (0, followed * stride + last - samples.shape[2]))
        parts = [samples[..., i * stride : i * stride + chunk] for i in range(followed)]
        groups = [parts[i : i + ROWS] for i in range(0, followed, ROWS)] + [[samples[..., followed * stride :]]]
        tokens: list[Tensor] = []
        scales: list[Tensor] = []
        for group in groups:
            rows = torch.cat(group)  # chunks as rows of one batch
            scale = self._scales(rows)
            rows = rows if scale is None else rows / scale[..., None]
            tokens += self._encode_pieces(rows, codebooks).chunk(len(group))
            scales += [] if scale is None else scale.chunk(len(group))
        return torch.cat(tokens, dim=2), torch.cat(scales, dim=1) if scales else None

    def _piece_frames(self, batch: int) -> int:
        """So that the widest tensor stays in the caches of a CPU."""
        budget = (8 if self.device.type == "cpu" else 256) << 20  # numbers; on two cores 4 to 8 Mi were fastest
        return max(8, budget // (self.spec.network.filters * self.hop * batch))


def _chunk_lengths(samples: int, chunk: int, stride: int) -> tuple[int, int]:
    """How many chunks are followed by another, and how long the last one is, both after filling up.

    A chunk that is followed by another is filled up with silence to its full length, so that frames of all
    chunks but the last are as many; the last one then holds the overlap at least.
    """
    followed = (samples - 1) // stride
    last = samples - followed * stride
    return followed, max(last, (chunk - stride) * (followed > 0))


def from_config(config: Mapping[str, Any], weights: Mapping[str, Tensor], label: str = "the codec") -> Encodec:
    """A codec from a transformers config and weights by transformers' names, such as those of a whole MusicGen.

    Args:
        config: of `model_type` "encodec"; in a MusicGen `config["audio_encoder"]`.
        weights: without any prefix; either naming of weight norm.
        label: what errors call them.

    Raises:
        ValueError: an impossible config, or weights that do not fit it: they are named.
    """
    return _filled(EncodecSpec.from_transformers(config), weights, label, original=False)


def load(path: str | Path, spec: EncodecSpec | None = None) -> Encodec:
    """A codec from a folder with `config.json`, or from a file with an original state dict.

    Args:
        path: a transformers folder; audiocraft's `compression_state_dict.bin`; or a bare state dict by the original
            names (.th, .bin, .pt or .safetensors), whose sizes are read off its shapes.
        spec: for a bare state dict that is neither of the two published codecs.

    Raises:
        ValueError: the files are missing, damaged, of another kind or do not fit together.
    """
    path = Path(path)
    label = repr(str(path))
    if path.is_dir():
        return from_config(read_json(path / "config.json"), read_tensors(path), label)
    content: Mapping[str, Any] = read_tensors(path) if path.suffix == ".safetensors" else read_torch(path)
    if "pretrained" in content:
        raise ValueError(f"{label} holds no weights but names another checkpoint; load {content['pretrained']!r}")
    if "best_state" in content:
        if not isinstance(content.get("xp.cfg"), str) or not isinstance(content["best_state"], dict):
            raise ValueError(f"{label} should hold a dict 'best_state' and its config 'xp.cfg' as text")
        return _filled(EncodecSpec.from_audiocraft(content["xp.cfg"]), content["best_state"], label, original=True)
    return _filled(spec, content, label, original=True)


def pretrained_name(path: str | Path) -> str | None:
    """The hub name that a `compression_state_dict.bin` without weights stands for; None if it has weights."""
    name = read_torch(Path(path)).get("pretrained")
    return name if isinstance(name, str) else None


def _filled(spec: EncodecSpec | None, weights: Mapping[str, Tensor], label: str, *, original: bool) -> Encodec:
    """A codec with these weights; without a spec, their shapes tell it."""
    weights = fold_weight_norm(check_tensors(weights, label))
    try:
        spec = spec or EncodecSpec.from_shapes({name: tuple(tensor.shape) for name, tensor in weights.items()})
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    with skeletons():
        codec = Encodec(spec)
    names = checkpoint_names(codec, original)
    # what training keeps beside the vectors: running sums, and whether they were initialized
    kept = ("inited", "cluster_size", "embed_avg")
    skip = [name.removesuffix("embed") + end for name in names.values() if name.endswith(".embed") for end in kept]
    fill(codec, weights, label, names=names, skip=skip)
    return codec.requires_grad_(False).eval()


def checkpoint_names(codec: Encodec, original: bool) -> dict[str, str]:
    """Our names of weights -> a checkpoint's, transformers' or the original ones, with weight norm folded."""
    stem = "quantizer.vq.layers.{}._codebook.embed" if original else "quantizer.layers.{}.codebook.embed"
    names = {f"quantizer.vectors.{index}": stem.format(index) for index in range(codec.codebooks)}
    for path, layer in codec.named_modules():
        if not isinstance(layer, (Conv, Upsample, Lstm)):
            continue
        side, position, *inner = path.split(".")  # such as encoder, 1, conv2
        base = ".".join([side, "model" if original else "layers", position])
        base += {"conv1": ".block.1", "conv2": ".block.3", "shortcut": ".shortcut"}[inner[0]] if inner else ""
        for name, _ in layer.named_parameters():
            if isinstance(layer, Lstm):
                theirs = f"{base}.{name}"
            else:
                kind = "convtr" if original and isinstance(layer, Upsample) else "conv"
                holder = f"{base}.{kind}" if original else base
                theirs = f"{holder}.{name}" if name.startswith("norm.") else f"{holder}.{kind}.{name}"
            names[f"{path}.{name}"] = theirs
    return names
