"""Jukebox's VQ-VAE: sound to tokens and back at several independent levels (arXiv 2005.00341).

Each level is a codec of its own with one codebook; Jukebox's have hops of 8, 32 and 128 samples at 44.1 kHz. A level
is decoded from its own tokens alone. Everything is convolution, so both directions run piece by piece: memory does
not grow with the length, and a stream gives the samples of the whole (1e-6). `load` reads a transformers folder, of the
VQ-VAE or of a whole Jukebox, or the original `vqvae.pth.tar`. Knows no file layout but these, and no prior.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.streaming_codec import StreamingCodec
from clavilux.audio.codecs.streaming_layers import Chain, Conv, Layer, ResidualLayer, State, TypedModuleList, Upsample
from clavilux.audio.codecs.vqvae_spec import VQVAESpec
from clavilux.checkpoint_io import beginning_with, check_tensors, read_json, read_tensors, read_torch, unwrapped
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

__all__ = ["VQVAE", "VQVAELevel", "VQVAESpec", "checkpoint_names", "from_config", "from_original", "load"]

_DISTANCES = 8 << 20  # numbers in a table of distances: 32 MiB of float32


class Residual(ResidualLayer):
    """x + scale * a convolution over one frame of a dilated convolution over three, ReLU before both."""

    def __init__(self, width: int, hidden: int, dilation: int, scale: float):
        super().__init__()
        self.conv1 = Conv(width, hidden, 3, dilation=dilation, padding=dilation)
        self.conv2 = Conv(hidden, width, 1)
        self.scale = scale

    def _activated(self, x: Tensor) -> Tensor:
        return x.relu()

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


class VQVAELevel(StreamingCodec):
    """One level as a codec with one codebook; see `StreamingCodec` for what every codec has.

    Encoding goes piece by piece: only where two vectors are so equally near that the rounding of float32 decides can a
    token be another one than with the whole at once.

    Attributes:
        spec: the sizes of all levels.
        index: which level it is; 0 has the shortest hop and sounds best.
    """

    family = "vqvae"

    def __init__(self, spec: VQVAESpec, index: int):
        super().__init__(
            _encoder(spec, index),
            _decoder(spec, index),
            sample_rate=spec.sample_rate,
            channels=spec.channels,
            hop=spec.hop(index),
            codebooks=1,
            vocabulary=spec.vocabulary,
        )
        self.spec, self.index = spec, index
        self.quantizer = Quantizer(spec.vocabulary, spec.latent_width)

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
        return self.in_range(lambda: self._decode_pieces(tokens))[..., :num_samples]

    def decode_piece(self, tokens: Tensor, state: State, last: bool) -> Tensor:
        """As `StreamingCodec`."""
        return self._decoded(self.quantizer.decode(tokens), state, last)

    def _quantize(self, latent: Tensor, codebooks: int) -> Tensor:
        """latent [B, D, T] -> tokens [B, 1, T]; there is one codebook."""
        return self.quantizer.encode(latent)

    def _piece_frames(self, batch: int) -> int:
        """Many against the dilations, whose context every layer keeps."""
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
        self.levels = TypedModuleList(VQVAELevel(spec, index) for index in range(spec.levels))

    def level(self, index: int) -> VQVAELevel:
        """The codec of a level, 0 with the shortest hop. ValueError if there is no such level."""
        if type(index) is not int or not 0 <= index < self.spec.levels:
            raise ValueError(f"this VQ-VAE has the levels 0 to {self.spec.levels - 1}, not {index!r}")
        return list(self.levels)[index]

    def decode_in_half(self) -> bool:
        """As `clavilux.half_decoding.DecodesInHalf`, of every level."""
        followed = [level.decode_in_half() for level in self.levels]
        return all(followed)


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


def _filled(
    spec: VQVAESpec,
    weights: Mapping[str, Tensor],
    label: str,
    *,
    original: bool,
    prefix: str = "",
    skip: Iterable[str] = (),
) -> VQVAE:
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
    layers: list[Layer] = []
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
    layers: list[Layer] = []
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
