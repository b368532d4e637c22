"""The Descript Audio Codec: mono sound to residual tokens and back (arXiv 2306.06546).

Reads checkpoints of the original package (`weights.pth`) and of transformers (`model_type` "dac"), 16, 24 and
44.1 kHz or any other sizes. Everything is convolution, so both directions run piece by piece: memory does not
grow with the length, and a stream gives the samples of the whole. Knows no file layout but these two.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.dac_spec import DacSpec
from clavilux.audio.codecs.streaming_codec import StreamingCodec
from clavilux.audio.codecs.streaming_layers import Chain, Conv, Layer, Residual, Snake, State, TypedModuleList, Upsample
from clavilux.audio.codecs.weights import fold_weight_norm
from clavilux.checkpoint_io import check_tensors, read_json, read_tensors, read_torch
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

__all__ = ["Dac", "DacSpec", "from_config", "from_original", "load"]

_DILATIONS = (1, 3, 9)
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


class Dac(StreamingCodec):
    """A mono codec of residual tokens, whose sound lies from -1 to 1; see `StreamingCodec` for what every codec has.

    Attributes:
        spec: the sizes.
    """

    family = "dac"

    def __init__(self, spec: DacSpec):
        super().__init__(
            _encoder(spec),
            _decoder(spec),
            sample_rate=spec.sample_rate,
            channels=1,
            hop=spec.hop,
            codebooks=len(spec.codebook_widths),
            vocabulary=spec.vocabulary,
        )
        self.spec = spec
        self.quantizers = TypedModuleList(
            Quantizer(spec.latent_width, width, spec.vocabulary) for width in spec.codebook_widths
        )

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames are decoded to: `frames * hop`, a few less where a rate is odd (24 kHz: 8)."""
        for rate in self.spec.decoder_rates:
            frames = frames * rate - rate % 2
        return frames

    def decode_piece(self, tokens: Tensor, state: State, last: bool) -> Tensor:
        """As `StreamingCodec`."""
        nothing = tokens.shape[2] == 0
        latent = self.weight.new_zeros(len(tokens), self.spec.latent_width, 0) if nothing else self._latent(tokens)
        return self._decoded(latent, state, last).tanh()

    def _quantize(self, latent: Tensor, codebooks: int) -> Tensor:
        """latent [B, D, T] -> tokens [B, codebooks, T], each codebook on what those before it left over."""
        codes: list[Tensor] = []
        for _, quantizer in zip(range(codebooks), self.quantizers, strict=False):
            codes.append(quantizer.nearest(latent))
            latent = latent - quantizer.lookup(codes[-1])
        return torch.stack(codes, dim=1)

    def _latent(self, tokens: Tensor) -> Tensor:
        """tokens [B, K, T] -> latent [B, D, T]."""
        pairs = zip(self.quantizers, tokens.unbind(1), strict=False)  # tokens may be of the first codebooks alone
        return functools.reduce(torch.add, (quantizer.lookup(codes) for quantizer, codes in pairs))

    def _piece_frames(self, batch: int) -> int:
        """Few enough for a CPU's caches, many enough to use a weight often.

        44.1 kHz on one EPYC core, seconds for a second of sound: 16 frames 1.74, 32 1.64, 64 1.73, 172 2.07.
        """
        widest = max(self.spec.encoder_width, self.spec.decoder_width >> len(self.spec.decoder_rates))
        budget = (2 if self.device.type == "cpu" else 256) << 20  # numbers
        return max(8, budget // (widest * self.hop * batch))


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
    layers: list[Layer] = [Conv(1, width, 7, padding=3)]
    for rate in spec.encoder_rates:
        layers += [Residual(width, dilation) for dilation in _DILATIONS]
        layers += [Snake(width), Conv(width, 2 * width, 2 * rate, stride=rate, padding=math.ceil(rate / 2))]
        width *= 2
    return Chain([*layers, Snake(width), Conv(width, spec.latent_width, 3, padding=1)])


def _decoder(spec: DacSpec) -> Chain:
    """[B, latent, T] -> [B, 1, samples], before the tanh."""
    width = spec.decoder_width
    layers: list[Layer] = [Conv(spec.latent_width, width, 7, padding=3)]
    for block, rate in enumerate(spec.decoder_rates):
        width = spec.decoder_width >> (block + 1)
        layers += [Snake(spec.decoder_width >> block), Upsample(spec.decoder_width >> block, width, rate)]
        layers += [Residual(width, dilation) for dilation in _DILATIONS]
    return Chain([*layers, Snake(width), Conv(width, 1, 7, padding=3)])
