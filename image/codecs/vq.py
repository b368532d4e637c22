"""A VQ picture codec: a convolutional encoder, one codebook, a convolutional decoder (VQGAN, arXiv 2012.09841).

With the codebook of directions (arXiv 2110.04627) it is the codec of LlamaGen (arXiv 2406.06525, VQ-16 and VQ-8) and of
Janus; in a small configuration it is the bundled painter's. Reads LlamaGen's files, Janus's own and those of
transformers, and its own. Knows nothing of how it is trained beyond what gradients need.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from clavilux.checkpoint_io import parse_json, read_json, read_metadata
from clavilux.files import PathLike, atomic_path
from clavilux.image.codecs.boundary import checked_pixels, checked_tokens
from clavilux.image.codecs.decoding import PixelDecoder
from clavilux.image.codecs.vq_spec import VQSpec
from clavilux.image.codecs.vq_weights import Layout
from clavilux.image.codecs.weights import read_tensors
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

__all__ = ["VQ", "VQSpec", "from_config", "from_weights", "load", "save"]

_METADATA_KEY = "clavilux_vq"
_DISTANCES = 1 << 24  # numbers at once, 64 MiB: 1,024 places of a codebook of 16,384
_UNDERSTOOD = "understood are LlamaGen's VQ checkpoints, Janus's, those of transformers, and this project's own"


class Residual(nn.Module):
    """x + two convolutions, each behind a group norm and SiLU; x is projected where the channels change."""

    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs, groups), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs, groups), nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(F.silu(self.norm1(x)))
        out = self.conv2(F.silu(self.norm2(out)))
        return out + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """x + attention of every place to all places, with one head."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = _norm(channels, groups)
        self.q, self.k, self.v = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        q, k, v = (layer(normed).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v)  # [B, 1, rows * cols, C]
        return x + self.proj_out(mixed[:, 0].transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """[B, C, 2 rows, 2 cols] -> [B, C, rows, cols]; the zeros stand at the right and at the bottom only."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """[B, C, rows, cols] -> [B, C, 2 rows, 2 cols]: every place four times, then a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The blocks at one resolution and, but at the last one, the way to the next."""

    def __init__(self, inputs: int, outputs: int, blocks: int, groups: int, attention: bool, resample: str | None):
        super().__init__()
        self.res = nn.ModuleList(Residual(outputs if block else inputs, outputs, groups) for block in range(blocks))
        self.attn = nn.ModuleList(Attention(outputs, groups) for _ in range(blocks if attention else 0))
        if resample:
            self.add_module(resample, {"downsample": Downsample, "upsample": Upsample}[resample](outputs))
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        for block, residual in enumerate(self.res):
            x = residual(x)
            x = self.attn[block](x) if self.attn else x
        return self.get_submodule(self.resample)(x) if self.resample else x


class Tower(nn.Module):
    """The encoder or the decoder: a convolution in, the levels with the middle at their narrow end, and one out."""

    def __init__(self, spec: VQSpec, *, encoder: bool):
        super().__init__()
        self.encoder, groups = encoder, spec.norm_groups
        channels = spec.channels if encoder else spec.channels[::-1]
        first = spec.base_channels if encoder else channels[0]
        blocks = spec.residual_blocks + (0 if encoder else 1)
        self.conv_in = nn.Conv2d(3 if encoder else spec.latent_channels, first, 3, padding=1)
        self.conv_blocks = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(zip((first, *channels[:-1]), channels, strict=True)):
            narrowest = level == (len(channels) - 1 if encoder else 0)
            resample = None if level == len(channels) - 1 else "downsample" if encoder else "upsample"
            attention = spec.attention and narrowest
            self.conv_blocks.append(Level(inputs, outputs, blocks, groups, attention, resample))
        narrow = spec.channels[-1]
        middle = [Residual(narrow, narrow, groups), Residual(narrow, narrow, groups)]
        self.mid = nn.ModuleList([middle[0], Attention(narrow, groups), middle[1]] if spec.attention else middle)
        self.norm_out = _norm(channels[-1], groups)
        self.conv_out = nn.Conv2d(channels[-1], spec.latent_channels if encoder else 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for layer in (*self.conv_blocks, *self.mid) if self.encoder else (*self.mid, *self.conv_blocks):
            x = layer(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Codebook(nn.Module):
    """The vectors that tokens stand for: `embedding.weight` [V, E]."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)


class VQ(PixelDecoder):
    """A picture codec with one codebook; see `Codec`. A new one has random weights, to be trained or loaded.

    `encode` and `decode` check what they are given and keep no gradients. Training puts them together from their
    parts: `latent`, `nearest`, `lookup` and `decode_latent`.

    Attributes:
        spec: the sizes.
        codebooks: 1, tokens at each place.
        vocabulary: V, number of token values.
        downsampling: pixels a side for which one token stands.
    """

    family = "vq"
    codebooks = 1

    def __init__(self, spec: VQSpec):
        super().__init__(spec.downsampling)
        self.spec = spec
        self.vocabulary = spec.vocabulary
        self.encoder, self.decoder = Tower(spec, encoder=True), Tower(spec, encoder=False)
        self.quantize = Codebook(spec.vocabulary, spec.embedding_width)
        self.quant_conv = nn.Conv2d(spec.latent_channels, spec.embedding_width, 1)
        self.post_quant_conv = nn.Conv2d(spec.embedding_width, spec.latent_channels, 1)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Tokens of pictures.

        Args:
            pixels: float [B, 3, H, W], -1 to 1; H and W multiples of `downsampling`.

        Returns:
            int64 [B, 1, rows * cols], row by row.

        Raises:
            ValueError: another shape, NaN, infinity, or a value out of range.
        """
        pixels = checked_pixels(pixels, self.downsampling, self._weight)
        tokens = [self.nearest(self.latent(piece)) for piece in pixels.split(self._together(pixels[0, 0].numel()))]
        return torch.cat(tokens).flatten(1)[:, None]

    @torch.no_grad()
    def decode(self, tokens: Tensor, rows: int | None = None) -> Tensor:
        """Pictures of tokens.

        Args:
            tokens: integers [B, 1, rows * cols], 0 <= token < vocabulary.
            rows: tokens from top to bottom; a square if None.

        Returns:
            float [B, 3, rows * downsampling, cols * downsampling], clipped to -1 to 1.

        Raises:
            ValueError: another shape, a token out of range, or no such rows.
        """
        tokens = checked_tokens(tokens, self.vocabulary, rows, self._weight.device)  # [B, rows, cols]
        return self._painted(tokens, self._together(tokens[0].numel() * self.downsampling**2))

    def latent(self, pixels: Tensor) -> Tensor:
        """float [B, 3, H, W] -> what is compared with the codebook, [B, E, rows, cols]: directions if normalized."""
        latent = self.quant_conv(self.encoder(pixels))
        return F.normalize(latent, dim=1) if self.spec.normalized else latent

    def nearest(self, latent: Tensor) -> Tensor:
        """float [B, E, rows, cols] -> int64 [B, rows, cols], the nearest vector of the codebook; float32 throughout."""
        codebook = self.codebook.float()
        lengths = codebook.square().sum(1)  # |a - b|^2 less |a|^2, which is the same for all
        places = latent.float().permute(0, 2, 3, 1).flatten(0, 2)  # [B * rows * cols, E]
        pieces = places.split(max(1, _DISTANCES // self.vocabulary))
        nearest = torch.cat([(lengths - 2 * piece @ codebook.t()).argmin(1) for piece in pieces])
        return nearest.reshape(latent.shape[0], *latent.shape[2:])

    def lookup(self, tokens: Tensor) -> Tensor:
        """int64 [B, rows, cols] -> the codebook's vectors, [B, E, rows, cols]: directions if normalized."""
        return F.embedding(tokens, self.codebook).permute(0, 3, 1, 2)

    def decode_latent(self, latent: Tensor) -> Tensor:
        """[B, E, rows, cols] -> pixels [B, 3, H, W], about -1 to 1, not clipped."""
        return self.decoder(self.post_quant_conv(latent.to(self.decoding_dtype))).to(latent.dtype)

    def decoding_parts(self) -> Sequence[nn.Module]:
        """As `HalfDecoding`."""
        return self.post_quant_conv, self.decoder

    @property
    def codebook(self) -> Tensor:
        """The vectors as they are compared and looked up, [V, E]."""
        weight = self.quantize.embedding.weight
        return F.normalize(weight, dim=1) if self.spec.normalized else weight

    @property
    def _weight(self) -> Tensor:
        """One of the weights, for their device and dtype."""
        return self.quant_conv.weight

    def _together(self, pixels: int) -> int:
        """Pictures of so many pixels to compute at once: one on a CPU, whose convolutions sum several in another order;
        elsewhere a layer's numbers fill 1 GiB.
        """
        if self._weight.device.type == "cpu":
            return 1
        return max(1, (1 << 28) // (pixels * self.spec.base_channels))


def load(path: PathLike) -> VQ:
    """A codec from a file or a folder, float32 on the CPU; of a whole Janus only the codec is read.

    Args:
        path: what `save` wrote; LlamaGen's `.pt`; a folder of Janus or of transformers, or one file of it.

    Raises:
        ValueError: nothing there, nothing that is understood, or damaged files or tensors that do not fit: named.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"there is no file or folder {str(path)!r}")
    label = repr(str(path))
    if path.suffix == ".safetensors" and _METADATA_KEY in (metadata := read_metadata(path)):
        return from_weights(read_tensors(path), label, spec=_own_spec(metadata[_METADATA_KEY], label))
    weights = read_tensors(path, _names_of_the_codec)
    config = read_json(path / "config.json") if (path / "config.json").is_file() else {}
    if config.get("model_type") in ("janus", "janus_vqgan"):
        return from_config(config, weights, label)
    return from_weights(weights, label)


def save(codec: VQ, path: PathLike, *, dtype: torch.dtype = torch.float32) -> None:
    """Write a codec as one safetensors file that states its sizes; `load` reads it.

    Args:
        path: written beside it first, then renamed.
        dtype: of the numbers in the file; float16 halves it.

    Raises:
        ValueError: another ending than .safetensors, or a folder that is missing or not writable.
        OSError: writing failed; nothing is left behind.
    """
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"a codec is saved as .safetensors, not as {str(path)!r}")
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in codec.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {_METADATA_KEY: json.dumps(codec.spec.to_dict(), sort_keys=True)})


def from_config(config: Mapping[str, Any], weights: Mapping[str, Tensor], label: str = "the codec") -> VQ:
    """A codec from a config of transformers (JanusVQVAE or Janus) and the codec's weights. Errors as `from_weights`."""
    return from_weights(weights, label, spec=VQSpec.from_transformers(config))


def from_weights(weights: Mapping[str, Tensor], label: str = "the codec", *, spec: VQSpec | None = None) -> VQ:
    """A codec from its weights, named as LlamaGen, Janus, transformers or this project names them.

    transformers looks for the nearest vector without normalising, which gives the same tokens as long as the file's
    vectors have the length 1; here it is done as the codec was trained.

    Args:
        weights: by name; of a whole Janus, the tensors that are not the codec's are passed over.
        label: what errors call the checkpoint.
        spec: the sizes; read from the shapes if None.

    Raises:
        ValueError: no layout that is understood; or missing, unexpected, misshapen or infinite tensors: named.
    """
    layout = Layout.of(weights)
    if layout is None:
        raise ValueError(f"{label} holds no VQ codec that is understood; {_UNDERSTOOD}")
    weights = {name: weights[name] for name in layout.select(weights)}
    if spec is None:
        spec = VQSpec.from_shapes({layout.ours(name): tuple(tensor.shape) for name, tensor in weights.items()}, label)
    with skeletons():  # nothing is allocated for sizes that the file does not have
        codec = VQ(spec)
    names = {ours: layout.theirs(ours) for ours in codec.state_dict()}
    fill(codec, weights, label, names=names, skip=layout.skipped, promise="sizes")
    return codec.requires_grad_(False).eval()


def _names_of_the_codec(names: Collection[str]) -> Collection[str]:
    layout = Layout.of(names)
    return layout.select(names) if layout else names


def _own_spec(text: str, label: str) -> VQSpec:
    try:
        sizes = parse_json(text)
    except ValueError:
        sizes = None
    if not isinstance(sizes, dict):
        raise ValueError(f"{label} is damaged: the sizes that it states are no JSON object")
    return VQSpec.from_dict(sizes)


def _norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=1e-6)
