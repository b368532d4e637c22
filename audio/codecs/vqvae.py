"""Jukebox's VQ-VAE: sound to tokens and back at several independent levels (arXiv 2005.00341).

Each level is a codec of its own with one codebook; Jukebox's have hops of 8, 32 and 128 samples at 44.1 kHz. A level
is decoded from its own tokens alone. Everything is convolution, so both directions run piece by piece: memory does
not grow with the length, and a stream gives the samples of the whole (1e-6). `load` reads a transformers folder, of the
VQ-VAE or of a whole Jukebox, or the original `vqvae.pth.tar`. Knows no file layout but these, and no prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.encodec_stream import PieceStream
from clavilux.audio.codecs.streaming_layers import Chain, Conv, State, Upsample
from clavilux.audio.codecs.vqvae_spec import VQVAESpec
from clavilux.checkpoint_io import beginning_with, check_tensors, read_json, read_tensors, read_torch, unwrapped
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

__all__ = ["VQVAE", "VQVAELevel", "VQVAESpec", "checkpoint_names", "from_config", "from_original", "load"]

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_DISTANCES = 8 << 20  # numbers in a table of distances: 32 MiB of float32


class Residual(nn.Module):
    """x + scale * a convolution over one frame of a dilated convolution over three, ReLU before both."""

    def __init__(self, width: int, hidden: int, dilation: int, scale: float):
        super().__init__()
        self.conv1 = Conv(width, hidden, 3, dilation=dilation, padding=dilation)
        self.conv2 = Conv(hidden, width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self._joined(x, self.conv1(x.relu()))

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        y = self.conv1.step(x.relu(), state, last)
        x = torch.cat([state[self], x], dim=2) if self in state else x
        state[self] = x[..., y.shape[2] :].clone()
        return self._joined(x[..., : y.shape[2]], y) if y.shape[2] else x[..., :0]

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        """As `Conv.inputs_for`."""
        return self.conv1.inputs_for(before, after)

    def _joined(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.add(x, self.conv2(y.relu()), alpha=self.scale)


class Quantizer(nn.Module):
    """One codebook: the nearest of its vectors stands for a frame."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.vectors = nn.ParameterList([torch.empty(vocabulary, width)])

    def encode(self, latent: Tensor) -> Tensor:
        """latent [B, D, T] -> tokens int64 [B, 1, T], compared in float32 at least."""
        dtype = torch.promote_types(latent.dtype, torch.float32)
        vectors = self.vectors[0].to(dtype)
        frames = max(1, _DISTANCES // (len(vectors) * len(latent)))
        tokens = []
        for part in latent.to(dtype).transpose(1, 2).split(frames, dim=1):  # [B, t, D]
            # summed in this order so that what float32 rounds to a tie is one for every implementation
            distance = part.square().sum(2, keepdim=True) - 2 * part @ vectors.t() + vectors.square().sum(1)
            tokens.append(distance.argmin(2))
        return torch.cat(tokens, dim=1)[:, None]

    def decode(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, 1, T] -> latent [B, D, T]."""
        return F.embedding(tokens[:, 0], self.vectors[0]).transpose(1, 2)


class VQVAELevel(nn.Module):
    """One level as a codec; see `Codec`. Made by `load_codec`; a new one has no weights yet.

    Attributes:
        spec: the sizes of all levels.
        index: which level it is; 0 has the shortest hop and sounds best.
        sample_rate: Hz of the samples.
        frame_rate: frames a second.
        codebooks: 1.
        vocabulary: V, token values of each codebook.
        channels: C, of the samples.
        hop: samples a frame.
        overlap_frames: frames of context on each side with which a part of a decode equals the whole.
        lookahead_frames: frames that must be known behind one before all of it can be heard.
    """

    family = "vqvae"
    codebooks = 1

    def __init__(self, spec: VQVAESpec, index: int):
        super().__init__()
        self.spec, self.index = spec, index
        self.sample_rate, self.channels, self.vocabulary = spec.sample_rate, spec.channels, spec.vocabulary
        self.hop = spec.hop(index)
        self.frame_rate = spec.sample_rate / self.hop
        self.encoder, self.decoder = _encoder(spec, index), _decoder(spec, index)
        self.quantizer = Quantizer(spec.vocabulary, spec.latent_width)
        before, self.lookahead_frames = self.decoder.inputs_for(0, self.hop - 1)
        self.overlap_frames = max(before, self.lookahead_frames)

    @torch.no_grad()
    def encode(self, samples: Tensor, *, sample_rate: int | None = None) -> Tensor:
        """Tokens of sound. What lacks to a whole last frame is filled up with zeros.

        Long sound goes piece by piece. Only where two vectors are so equally near that the rounding of float32 decides
        can a token be another one than with the whole at once.

        Args:
            samples: float [B, channels, N] at `sample_rate`, N >= 1, every value finite.
            sample_rate: that of `samples`, to have it checked.

        Returns:
            int64 [B, 1, num_frames(N)].

        Raises:
            ValueError: another shape or rate, NaN or infinity.
        """
        samples = self._checked_samples(samples, sample_rate)
        samples = F.pad(samples, (0, -samples.shape[2] % self.hop))
        state: State = {}
        size = self._piece_frames(samples.shape[0]) * self.hop
        pieces = []
        for start in range(0, samples.shape[2], size):
            last = start + size >= samples.shape[2]
            latent = self.encoder.step(samples[..., start : start + size], state, last)  # [B, D, t]
            if latent.shape[2]:
                pieces.append(self.quantizer.encode(latent))
        return torch.cat(pieces, dim=2)

    @torch.no_grad()
    def decode(self, tokens: Tensor, *, num_samples: int | None = None) -> Tensor:
        """Sound of tokens.

        Args:
            tokens: integers [B, 1, T], 0 <= token < vocabulary, T >= 1.
            num_samples: the length of the sound that was encoded, to which the last frame is cut; all by default.

        Returns:
            float32 [B, channels, T * hop] or [B, channels, num_samples], not clipped.

        Raises:
            ValueError: another shape, a token out of range, or a length that does not end in the last frame.
        """
        tokens = self.checked_tokens(tokens)
        most = self.num_samples(tokens.shape[2])
        least = most - self.hop + 1
        if num_samples is not None and (type(num_samples) is not int or not least <= num_samples <= most):
            raise ValueError(f"{tokens.shape[2]} frames hold {least} to {most} samples, not {num_samples!r}")
        size = self._piece_frames(tokens.shape[0])
        state: State = {}
        pieces = []
        for start in range(0, tokens.shape[2], size):
            latent = self.quantizer.decode(tokens[..., start : start + size])
            pieces.append(self.decoder.step(latent, state, start + size >= tokens.shape[2]))
        return torch.cat(pieces, dim=2)[..., :num_samples]

    def decoder_stream(self) -> PieceStream:
        """A decoder that takes the frames of a signal as they come; what it gives, joined, is `decode` of them all."""
        return PieceStream(self, None)

    def num_frames(self, samples: int) -> int:
        """Frames that so many samples are encoded to."""
        return math.ceil(samples / self.hop)

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames are decoded to: up to a hop more than were encoded."""
        return frames * self.hop

    def checked_tokens(self, tokens: Tensor) -> Tensor:
        """`tokens` as int64 on the codec's device; ValueError unless they are what `decode` takes."""
        if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.dtype not in _INTEGERS:
            raise ValueError(f"tokens should be integers [B, 1, T], not {_described(tokens)}")
        if tokens.shape[1] != 1 or 0 in tokens.shape:
            raise ValueError(f"tokens should be [B, 1, T] with B and T at least 1, not {list(tokens.shape)}")
        least, most = int(tokens.min()), int(tokens.max())
        if least < 0 or most >= self.vocabulary:
            wrong = least if least < 0 else most
            raise ValueError(f"tokens of this codec lie between 0 and {self.vocabulary - 1}; there is a {wrong}")
        return tokens.to(self.device, torch.int64)

    @property
    def device(self) -> torch.device:
        """Where the weights are; samples and tokens are brought there."""
        return self.quantizer.vectors[0].device

    def _checked_samples(self, samples: Tensor, sample_rate: int | None) -> Tensor:
        if sample_rate not in (None, self.sample_rate):
            raise ValueError(f"this codec works at {self.sample_rate} Hz; resample sound of {sample_rate!r} Hz first")
        if not isinstance(samples, Tensor) or samples.ndim != 3 or not samples.is_floating_point():
            raise ValueError(f"samples should be floats [B, {self.channels}, N], not {_described(samples)}")
        if samples.shape[1] != self.channels or 0 in samples.shape:
            raise ValueError(
                f"samples should be [B, {self.channels}, N] with B and N at least 1, not {list(samples.shape)}"
            )
        if not torch.isfinite(samples).all():
            raise ValueError("samples hold NaN or infinity; every value should be a finite number")
        return samples.to(self.quantizer.vectors[0])

    def _piece_frames(self, batch: int) -> int:
        """Frames to compute at once, many against the dilations, whose context every layer keeps."""
        budget = (8 if self.device.type == "cpu" else 256) << 20  # numbers
        return max(64, budget // (self.spec.widths[self.index] * self.hop * batch))


class VQVAE(nn.Module):
    """All levels of a VQ-VAE.

    Attributes:
        spec: the sizes.
        levels: a `VQVAELevel` for each; `level` gives one of them.
    """

    def __init__(self, spec: VQVAESpec):
        super().__init__()
        self.spec = spec
        self.levels = nn.ModuleList(VQVAELevel(spec, index) for index in range(spec.levels))

    def level(self, index: int) -> VQVAELevel:
        """The codec of a level, 0 with the shortest hop. ValueError if there is no such level."""
        if type(index) is not int or not 0 <= index < self.spec.levels:
            raise ValueError(f"this VQ-VAE has the levels 0 to {self.spec.levels - 1}, not {index!r}")
        return self.levels[index]


def load(path: str | Path, spec: VQVAESpec | None = None) -> VQVAE:
    """All levels, float32 on the CPU, from a transformers folder or an original file.

    Args:
        path: a folder with `config.json` and weights, of the VQ-VAE alone or of a whole Jukebox, of which only the
            VQ-VAE is read; or the original `vqvae.pth.tar`, or its tensors in a safetensors file.
        spec: for an original file whose dilations or sample rate are not those of Jukebox; see
            `VQVAESpec.from_shapes`.

    Raises:
        ValueError: the files are missing, damaged, of another kind or do not fit together.
    """
    path = Path(path)
    label = repr(str(path))
    if path.is_dir():
        config = read_json(path / "config.json")
        prefix = "vqvae." if config.get("model_type") == "jukebox" else ""
        return from_config(config, read_tensors(path, beginning_with(prefix)), label)
    content = read_tensors(path) if path.suffix == ".safetensors" else read_torch(path)
    return from_original(content, label, spec=spec)


def from_config(config: Mapping[str, Any], weights: Mapping[str, Tensor], label: str = "the VQ-VAE") -> VQVAE:
    """All levels from a transformers config and weights by transformers' names.

    Args:
        config: of `model_type` "jukebox_vqvae", or "jukebox" with a "vqvae_config".
        weights: those of the VQ-VAE, or of a whole Jukebox: `vqvae.*`, where `priors.*` are left alone.
        label: what errors call them.

    Raises:
        ValueError: an impossible config, or weights that do not fit it: they are named.
    """
    spec = VQVAESpec.from_transformers(config)
    prefix = "vqvae." if any(name.startswith("vqvae.") for name in weights) else ""
    skip = [name for name in weights if prefix and name.startswith("priors.")]
    return _filled(spec, weights, label, original=False, prefix=prefix, skip=skip)


def from_original(content: Mapping[str, Any], label: str = "the VQ-VAE", *, spec: VQVAESpec | None = None) -> VQVAE:
    """All levels from what an original file holds.

    Args:
        content: the state dict as "model", what else there is being left alone; or a state dict itself. "module."
            before its names, which training on several GPUs adds, may be there.
        label: what errors call it.
        spec: the sizes; by default `VQVAESpec.from_shapes`.

    Raises:
        ValueError: it is none of this, or its tensors do not fit: they are named.
    """
    weights = content.get("model", content)
    if not isinstance(weights, Mapping):
        raise ValueError(f"{label} is no original VQ-VAE: its 'model' should be a dict of tensors")
    weights = check_tensors(unwrapped(weights), label)
    try:
        spec = spec or VQVAESpec.from_shapes({name: tuple(tensor.shape) for name, tensor in weights.items()})
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    return _filled(spec, weights, label, original=True)


def _filled(spec: VQVAESpec, weights: Mapping[str, Tensor], label: str, *, original: bool, prefix="", skip=()) -> VQVAE:
    with skeletons():  # nothing is allocated for sizes that the file does not have
        model = VQVAE(spec)
    names = {ours: prefix + theirs for ours, theirs in checkpoint_names(model, original).items()}
    fill(model, check_tensors(weights, label), label, names=names, skip=skip)
    return model.requires_grad_(False).eval()


def checkpoint_names(model: VQVAE, original: bool) -> dict[str, str]:
    """Our names of weights -> a checkpoint's: the original ones, or transformers' without a prefix."""
    names = {}
    inside = ("model.1", "model.3") if original else ("conv1d_1", "conv1d_2")
    for level in range(model.spec.levels):
        end = "k" if original else "codebook"
        names[f"levels.{level}.quantizer.vectors.0"] = f"bottleneck.level_blocks.{level}.{end}"
        for side, layers in (("encoder", _encoder_names), ("decoder", _decoder_names)):
            chain = getattr(model.levels[level], side)
            for index, (layer, theirs) in enumerate(zip(chain, layers(model.spec, level, original), strict=True)):
                for name, _ in layer.named_parameters():
                    their_name = name.replace("conv1", inside[0]).replace("conv2", inside[1])
                    names[f"levels.{level}.{side}.{index}.{name}"] = f"{theirs}.{their_name}"
    return names


def _encoder_names(spec: VQVAESpec, level: int, original: bool) -> Iterator[str]:
    """The checkpoint's names of the layers of `_encoder`, in order."""
    for block in range(level + 1):
        stem = f"encoders.{level}.level_blocks.{block}."
        for down in range(spec.downs[block]):
            yield stem + (f"model.{down}.0" if original else f"downsample_block.{2 * down}")
            inside = f"model.{down}.1.model" if original else f"downsample_block.{2 * down + 1}.resnet_block"
            yield from (f"{stem}{inside}.{index}" for index in range(spec.depths[level]))
        yield stem + (f"model.{spec.downs[block]}" if original else "proj_out")


def _decoder_names(spec: VQVAESpec, level: int, original: bool) -> Iterator[str]:
    """The checkpoint's names of the layers of `_decoder`, in order."""
    for block in reversed(range(level + 1)):
        stem = f"decoders.{level}.level_blocks.{block}."
        yield stem + ("model.0" if original else "proj_in")
        for up in range(spec.downs[block]):
            inside = f"model.{up + 1}.0.model" if original else f"upsample_block.{2 * up}.resnet_block"
            yield from (f"{stem}{inside}.{index}" for index in range(spec.depths[level]))
            yield stem + (f"model.{up + 1}.1" if original else f"upsample_block.{2 * up + 1}")
    yield f"decoders.{level}.out"


def _encoder(spec: VQVAESpec, level: int) -> Chain:
    """[B, channels, T * hop] -> [B, latent, T]."""
    layers: list[nn.Module] = []
    width, latent = spec.widths[level], spec.latent_width
    for block in range(level + 1):
        stride = spec.strides[block]
        for down in range(spec.downs[block]):
            inputs = width if down else latent if block else spec.channels
            layers.append(Conv(inputs, width, 2 * stride, stride=stride, padding=stride // 2))
            layers += _residuals(spec, level, spec.dilations(level))
        layers.append(Conv(width, latent, 3, padding=1))
    return Chain(layers)


def _decoder(spec: VQVAESpec, level: int) -> Chain:
    """[B, latent, T] -> [B, channels, T * hop]."""
    layers: list[nn.Module] = []
    width, latent = spec.widths[level], spec.latent_width
    dilations = spec.dilations(level)[:: -1 if spec.reverse_dilation else 1]
    for block in reversed(range(level + 1)):
        layers.append(Conv(latent, width, 3, padding=1))
        for up in range(spec.downs[block]):
            layers += _residuals(spec, level, dilations)
            outputs = width if up < spec.downs[block] - 1 else latent
            layers.append(Upsample(width, outputs, spec.strides[block]))
    return Chain([*layers, Conv(latent, spec.channels, 3, padding=1)])


def _residuals(spec: VQVAESpec, level: int, dilations: tuple[int, ...]) -> list[Residual]:
    scale = len(dilations) ** -0.5 if spec.scale_residuals else 1.0
    return [Residual(spec.widths[level], spec.hidden_widths[level], dilation, scale) for dilation in dilations]


def _described(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
