"""The Descript Audio Codec: mono sound to residual tokens and back (arXiv 2306.06546).

Reads checkpoints of the original package (`weights.pth`) and of transformers (`model_type` "dac"), 16, 24 and
44.1 kHz or any other sizes. Everything is convolution, so both directions run piece by piece: memory does not
grow with the length, and a stream gives the samples of the whole. Knows no file layout but these two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.dac_spec import DacSpec
from clavilux.audio.codecs.streaming_layers import Chain, Conv, Residual, Snake, State, Upsample
from clavilux.audio.codecs.weights import fold_weight_norm
from clavilux.checkpoint_io import check_tensors, read_json, read_tensors, read_torch
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

__all__ = ["Dac", "DacSpec", "DacStream", "from_config", "from_original", "load"]

_DILATIONS = (1, 3, 9)
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_UNITS = ("res_unit1", "res_unit2", "res_unit3")
_BLOCK = {"encoder": (*_UNITS, "snake1", "conv1"), "decoder": ("snake1", "conv_t1", *_UNITS)}


class Quantizer(nn.Module):
    """One codebook: the latent projected to few dimensions, its nearest direction, and that vector projected back."""

    def __init__(self, latent: int, width: int, vocabulary: int):
        super().__init__()
        self.in_proj, self.out_proj = Conv(latent, width, 1), Conv(width, latent, 1)
        self.codebook = nn.Parameter(torch.empty(vocabulary, width))

    def nearest(self, latent: Tensor) -> Tensor:
        """latent [B, D, T] -> codes int64 [B, T] by distance on the unit sphere."""
        directions = F.normalize(self.in_proj(latent), dim=1)
        codebook = F.normalize(self.codebook, dim=1)
        # |a - b|^2 less |a|^2, which is the same for all; |b| is 1 save for a vector of zeros
        closeness = 2 * codebook @ directions - codebook.square().sum(1)[:, None]  # [B, V, T]
        return closeness.argmax(1)

    def lookup(self, codes: Tensor) -> Tensor:
        """codes int64 [B, T] -> latent [B, D, T]; the vector is the codebook's own, not normalized."""
        return self.out_proj(F.embedding(codes, self.codebook).transpose(1, 2))


class Dac(nn.Module):
    """A mono neural codec; see `Codec`. Made by `load_codec`; a new one has no weights yet.

    Attributes:
        spec: the sizes.
        sample_rate: Hz of the samples.
        frame_rate: frames a second.
        codebooks: K, tokens a frame.
        vocabulary: V, token values of each codebook.
        channels: C, of the samples.
        hop: samples a frame.
        overlap_frames: frames of context on each side with which a part of a decode equals the whole.
        lookahead_frames: frames that must be known behind one before all of it can be heard.
    """

    family = "dac"
    channels = 1

    def __init__(self, spec: DacSpec):
        super().__init__()
        self.spec = spec
        self.sample_rate, self.hop = spec.sample_rate, spec.hop
        self.frame_rate = spec.sample_rate / spec.hop
        self.codebooks, self.vocabulary = len(spec.codebook_widths), spec.vocabulary
        self.encoder, self.decoder = _encoder(spec), _decoder(spec)
        self.quantizers = nn.ModuleList(
            Quantizer(spec.latent_width, width, spec.vocabulary) for width in spec.codebook_widths
        )
        before, self.lookahead_frames = self.decoder.inputs_for(0, spec.hop - 1)
        self.overlap_frames = max(before, self.lookahead_frames)

    @torch.no_grad()
    def encode(self, samples: Tensor, codebooks: int | None = None, *, sample_rate: int | None = None) -> Tensor:
        """Tokens of sound, the last frame filled up with silence.

        Args:
            samples: float [B, 1, N] at `sample_rate`, N >= 1, every value finite.
            codebooks: how many of the first codebooks to use; all by default.
            sample_rate: that of `samples`, to have it checked.

        Returns:
            int64 [B, codebooks, num_frames(N)].

        Raises:
            ValueError: another shape or rate, NaN or infinity, or a number of codebooks that there is not.
        """
        codebooks = self._checked_codebooks(codebooks)
        samples = self._checked_samples(samples, sample_rate)
        samples = F.pad(samples, (0, -samples.shape[2] % self.hop))
        state: State = {}
        size = self._piece_frames(samples.shape[0]) * self.hop
        pieces = []
        for start in range(0, samples.shape[2], size):
            last = start + size >= samples.shape[2]
            latent = self.encoder.step(samples[..., start : start + size], state, last)  # [B, D, t]
            if latent.shape[2]:
                pieces.append(self._quantize(latent, codebooks))
        return torch.cat(pieces, dim=2)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Sound of tokens.

        Args:
            tokens: integers [B, K, T], 0 <= token < vocabulary; K may be smaller than `codebooks`.

        Returns:
            float [B, 1, `num_samples(T)`], -1 to 1.

        Raises:
            ValueError: another shape, or a token out of range.
        """
        stream, tokens = self.decoder_stream(), self.checked_tokens(tokens)
        size = self._piece_frames(tokens.shape[0])
        pieces = []
        for start in range(0, tokens.shape[2], size):
            pieces.append(stream._step(tokens[..., start : start + size], start + size >= tokens.shape[2]))
        return torch.cat(pieces, dim=2)

    def decoder_stream(self) -> DacStream:
        """A decoder that takes the frames of one signal as they come."""
        return DacStream(self)

    def num_frames(self, samples: int) -> int:
        """Frames that so many samples are encoded to."""
        return math.ceil(samples / self.hop)

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames are decoded to: `frames * hop`, a few less where a rate is odd (24 kHz: 8)."""
        for rate in self.spec.decoder_rates:
            frames = frames * rate - rate % 2
        return frames

    def _quantize(self, latent: Tensor, codebooks: int) -> Tensor:
        """latent [B, D, T] -> tokens [B, codebooks, T], each codebook on what those before it left over."""
        codes = []
        for quantizer in self.quantizers[:codebooks]:
            codes.append(quantizer.nearest(latent))
            latent = latent - quantizer.lookup(codes[-1])
        return torch.stack(codes, dim=1)

    def _latent(self, tokens: Tensor) -> Tensor:
        """tokens [B, K, T] -> latent [B, D, T]."""
        return sum(quantizer.lookup(codes) for quantizer, codes in zip(self.quantizers, tokens.unbind(1), strict=False))

    def checked_tokens(self, tokens: Tensor) -> Tensor:
        """`tokens` as int64 on the codec's device; ValueError unless they are what `decode` takes."""
        if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.dtype not in _INTEGERS:
            raise ValueError(f"tokens should be integers [B, K, T], not {_described(tokens)}")
        if 0 in tokens.shape or tokens.shape[1] > self.codebooks:
            raise ValueError(
                f"tokens should be [B, K, T] with B and T at least 1 and K from 1 to {self.codebooks}, "
                f"not {list(tokens.shape)}"
            )
        least, most = int(tokens.min()), int(tokens.max())
        if least < 0 or most >= self.vocabulary:
            wrong = least if least < 0 else most
            raise ValueError(f"tokens of this codec lie between 0 and {self.vocabulary - 1}; there is a {wrong}")
        return tokens.to(self._weight.device, torch.int64)

    @property
    def _weight(self) -> Tensor:
        """One of the weights, for their device and dtype."""
        return self.encoder[0].weight

    def _checked_codebooks(self, codebooks: int | None) -> int:
        if codebooks is None:
            return self.codebooks
        if type(codebooks) is not int or not 1 <= codebooks <= self.codebooks:
            raise ValueError(f"this codec has 1 to {self.codebooks} codebooks, not {codebooks!r}")
        return codebooks

    def _checked_samples(self, samples: Tensor, sample_rate: int | None) -> Tensor:
        if sample_rate not in (None, self.sample_rate):
            raise ValueError(f"this codec works at {self.sample_rate} Hz; resample sound of {sample_rate!r} Hz first")
        if not isinstance(samples, Tensor) or samples.ndim != 3 or not samples.is_floating_point():
            raise ValueError(f"samples should be floats [B, 1, N], not {_described(samples)}")
        if samples.shape[1] != 1 or 0 in samples.shape:
            raise ValueError(f"samples should be mono, [B, 1, N] with B and N at least 1, not {list(samples.shape)}")
        if not torch.isfinite(samples).all():
            raise ValueError("samples hold NaN or infinity; every value should be a finite number")
        return samples.to(self._weight)

    def _piece_frames(self, batch: int) -> int:
        """Frames to compute at once: few enough for a CPU's caches, many enough to use a weight often.

        44.1 kHz on one EPYC core, seconds for a second of sound: 16 frames 1.74, 32 1.64, 64 1.73, 172 2.07.
        """
        widest = max(self.spec.encoder_width, self.spec.decoder_width >> len(self.spec.decoder_rates))
        budget = (2 if self._weight.device.type == "cpu" else 256) << 20  # numbers
        return max(8, budget // (widest * self.hop * batch))


class DacStream:
    """Decodes the frames of one signal as they come. The pieces joined together are the whole decode (1e-6).

    A frame's samples come once the frames they depend on are there: `Dac.overlap_frames` later at most.
    """

    def __init__(self, codec: Dac):
        self._codec, self._state, self._shape = codec, {}, None
        self._finished = False

    @torch.no_grad()
    def push(self, tokens: Tensor) -> Tensor | None:
        """The samples that these frames make certain.

        Args:
            tokens: integers [B, K, t], t >= 1, B and K the same each time.

        Returns:
            float [B, 1, n], or None while there is nothing yet.

        Raises:
            ValueError: what `decode` would not take either, another B or K than before, or after `finish`.
        """
        if self._finished:
            raise ValueError("this stream is finished; begin another one")
        tokens = self._codec.checked_tokens(tokens)
        shape = tuple(tokens.shape[:2])
        if self._shape not in (None, shape):
            raise ValueError(f"this stream has [B, K] {list(self._shape)}, and the tokens have {list(shape)}")
        self._shape = shape
        samples = self._step(tokens, False)
        return samples if samples.shape[2] else None

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The samples that are left, float [B, 1, n]. ValueError if nothing was pushed, or if called twice."""
        if self._finished or self._shape is None:
            raise ValueError("this stream is finished already" if self._finished else "this stream got no tokens")
        self._finished = True
        nothing = self._codec._weight.new_zeros(self._shape[0], self._codec.spec.latent_width, 0)
        return self._codec.decoder.step(nothing, self._state, True).tanh()

    def _step(self, tokens: Tensor, last: bool) -> Tensor:
        return self._codec.decoder.step(self._codec._latent(tokens), self._state, last).tanh()


def load(path: str | Path) -> Dac:
    """A codec from a transformers folder, an original file, or a folder with that file named `weights.pth`.

    Raises:
        ValueError: the files are missing, damaged, of another kind or do not fit together.
    """
    path = Path(path)
    if (path / "config.json").is_file():
        return from_config(read_json(path / "config.json"), read_tensors(path), repr(str(path)))
    path = path / "weights.pth" if path.is_dir() else path
    return from_original(read_torch(path), repr(str(path)))


def from_config(config: Mapping[str, Any], weights: Mapping[str, Tensor], label: str = "the codec") -> Dac:
    """A codec from a transformers config of `model_type` "dac" and weights by transformers' names.

    Raises:
        ValueError: an impossible config, or weights that do not fit it: they are named. `label` names the checkpoint.
    """
    return _filled(DacSpec.from_transformers(config), weights, label, original=False)


def from_original(content: Mapping[str, Any], label: str = "the codec") -> Dac:
    """A codec from what an original file holds: a "state_dict", and in "metadata" the "kwargs". Errors as above."""
    metadata, weights = content.get("metadata"), content.get("state_dict")
    kwargs = metadata.get("kwargs") if isinstance(metadata, Mapping) else None
    if not isinstance(kwargs, Mapping) or not isinstance(weights, Mapping):
        raise ValueError(f"{label} is no original DAC: it should hold 'state_dict', and 'kwargs' in 'metadata'")
    return _filled(DacSpec.from_original(kwargs), weights, label, original=True)


def _filled(spec: DacSpec, weights: Mapping[str, Tensor], label: str, *, original: bool) -> Dac:
    with skeletons():  # nothing is allocated for sizes that the file does not have
        codec = Dac(spec)
    names = {ours: _their_name(ours, spec, original) for ours in codec.state_dict()}
    fill(codec, fold_weight_norm(check_tensors(weights, label)), label, names=names)
    return codec.requires_grad_(False).eval()


def _their_name(ours: str, spec: DacSpec, original: bool) -> str:
    """What a checkpoint calls a tensor of ours."""
    part, index, rest = ours.split(".", 2)
    if part == "quantizers":
        return f"quantizer.quantizers.{index}.{rest}" + (".weight" if rest == "codebook" else "")
    if original and rest.count("."):  # inside a residual unit
        unit, leaf = rest.split(".")
        rest = f"block.{('snake1', 'conv1', 'snake2', 'conv2').index(unit)}.{leaf}"
    return f"{_layer_name(part, int(index), spec, original)}.{rest}"


def _layer_name(part: str, index: int, spec: DacSpec, original: bool) -> str:
    """The checkpoint's name of a layer of ours: first convolution, blocks of five, last Snake and convolution."""
    blocks = len(spec.encoder_rates if part == "encoder" else spec.decoder_rates)
    block, inside = divmod(index - 1, 5)
    root = {"encoder": "encoder.block", "decoder": "decoder.model"}[part] if original else part
    if index == 0:
        return f"{root}.0" if original else f"{root}.conv1"
    if block == blocks:
        return f"{root}.{blocks + 1 + inside}" if original else f"{root}.{('snake1', 'conv2')[inside]}"
    if original:
        return f"{root}.{block + 1}.block.{inside}"
    return f"{root}.block.{block}.{_BLOCK[part][inside]}"


def _encoder(spec: DacSpec) -> Chain:
    """[B, 1, N * hop] -> [B, latent, N]."""
    width = spec.encoder_width
    layers: list[nn.Module] = [Conv(1, width, 7, padding=3)]
    for rate in spec.encoder_rates:
        layers += [Residual(width, dilation) for dilation in _DILATIONS]
        layers += [Snake(width), Conv(width, 2 * width, 2 * rate, stride=rate, padding=math.ceil(rate / 2))]
        width *= 2
    return Chain([*layers, Snake(width), Conv(width, spec.latent_width, 3, padding=1)])


def _decoder(spec: DacSpec) -> Chain:
    """[B, latent, T] -> [B, 1, samples], before the tanh."""
    width = spec.decoder_width
    layers: list[nn.Module] = [Conv(spec.latent_width, width, 7, padding=3)]
    for block, rate in enumerate(spec.decoder_rates):
        width = spec.decoder_width >> (block + 1)
        layers += [Snake(spec.decoder_width >> block), Upsample(spec.decoder_width >> block, width, rate)]
        layers += [Residual(width, dilation) for dilation in _DILATIONS]
    return Chain([*layers, Snake(width), Conv(width, 1, 7, padding=3)])


def _described(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
