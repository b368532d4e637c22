"""Convolutions over time that can be run whole, or piece by piece with the same result.

Every layer has `forward(x)` for a whole signal and `step(x, state, last)` for the next piece of one. A step gives
the outputs that no later input can change, and keeps in `state` the inputs that later outputs still need; zeros
stand before the first piece and behind the last, as they do around a whole signal. So nothing is computed twice,
and pieces joined together differ from the whole only by the order in which a convolution sums (1e-6).

Knows layers and lengths. Does not know what codec they make up. x: float [B, C, N] throughout.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# A CPU's convolutions lay all their weights out anew at every call, so for few outputs a matrix product is faster:
# 1024 to 1536 channels on one EPYC core, 16 outputs 47 against 11 GFLOP/s, 64 outputs 80 against 35, 512 the other way.
_FEW = 128
_LARGEST_HALF = torch.finfo(torch.float16).max

# What the layers keep between two pieces; a fresh dictionary begins a new signal. A layer's is a tensor, or a tuple of
# tensors and plain values.
State = dict[nn.Module, Any]
_TENSOR = "a tensor"  # where a state's layout has one

M = TypeVar("M", bound=nn.Module)


class TypedModuleList(nn.ModuleList, Generic[M]):
    """A list of modules of one class, which type checkers then know."""

    def __init__(self, modules: Iterable[M]):
        super().__init__(modules)

    def __iter__(self) -> Iterator[M]:
        return cast("Iterator[M]", super().__iter__())


def flattened(state: State) -> tuple[tuple[Any, ...], list[Tensor]]:
    """(which layers keep what, the tensors among it); states of the same layout differ in their numbers alone."""
    layout, tensors = [], []
    for layer, kept in state.items():
        parts = kept if isinstance(kept, tuple) else (kept,)
        tensors += [part for part in parts if isinstance(part, Tensor)]
        plain = tuple(_TENSOR if isinstance(part, Tensor) else part for part in parts)
        layout.append((layer, plain if isinstance(kept, tuple) else _TENSOR))
    return tuple(layout), tensors


def restored(layout: tuple[Any, ...], tensors: Iterable[Tensor]) -> State:
    """The state that `flattened` took apart."""
    parts = iter(tensors)
    return {
        layer: next(parts) if plain == _TENSOR else tuple(next(parts) if part == _TENSOR else part for part in plain)
        for layer, plain in layout
    }


class Layer(nn.Module, ABC):
    """What stands in a `Chain`. For one that computes each output from one input, `inputs_for` is right as it is."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A whole signal."""

    @abstractmethod
    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        """The next piece of a signal, whose `state` begins empty."""

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        """The inputs that the outputs from `-before` to `after` of a frame read, as offsets in the same form."""
        return before, after


class Conv(Layer):
    """A convolution with zero padding on both sides: [B, in, N] -> [B, out, (N + 2 padding - span) // stride + 1].

    `span` is how many inputs one output reads.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1, padding: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.stride, self.dilation, self.padding = stride, dilation, padding
        self.span = (kernel - 1) * dilation + 1

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.shape[2] <= _FEW * self.stride:
            return self._product(F.pad(x, (self.padding, self.padding)))
        return F.conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)

    def _product(self, x: Tensor) -> Tensor:
        """The convolution without padding as a matrix product."""
        windows = x.unfold(2, self.span, self.stride)[..., :: self.dilation]  # [B, in, n, kernel]
        columns = windows.transpose(2, 3).flatten(1, 2)  # [B, in * kernel, n]
        return self.weight.flatten(1) @ columns + self.bias[:, None]

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        if last and self not in state:
            return self(x)
        zeros = x.new_zeros(*x.shape[:2], self.padding)
        x = torch.cat([state.get(self, zeros), x, zeros[..., : self.padding * last]], dim=2)
        count = max(0, (x.shape[2] - self.span) // self.stride + 1)
        state[self] = x[..., count * self.stride :].clone()  # a view would keep the whole piece alive
        if count == 0:
            return x.new_empty(x.shape[0], len(self.weight), 0)
        if x.device.type == "cpu" and count <= _FEW:
            return self._product(x)
        return F.conv1d(x, self.weight, self.bias, self.stride, 0, self.dilation)

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        return before * self.stride + self.padding, after * self.stride + self.span - 1 - self.padding


class Upsample(Layer):
    """A transposed convolution of kernel 2 * stride, cut by ceil(stride / 2) on both sides.

    [B, in, N] -> [B, out, N * stride], one less where the stride is odd.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 2 * stride))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.stride, self.padding = stride, math.ceil(stride / 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.shape[2] <= _FEW:
            return self._product(x)[..., self.padding : (x.shape[2] + 1) * self.stride - self.padding]
        return F.conv_transpose1d(x, self.weight, self.bias, self.stride, self.padding)

    def _product(self, x: Tensor) -> Tensor:
        """The transposed convolution, uncut: a matrix product, and its second half added a stride later."""
        parts = (self.weight.flatten(1).t() @ x).unflatten(1, (-1, 2, self.stride))  # [B, out, 2, stride, N]
        first, second = parts.transpose(3, 4).unbind(2)  # [B, out, N, stride]
        return (F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))).flatten(2) + self.bias[:, None]

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        if last and self not in state:
            return self(x)
        start = self.stride if self in state else self.padding
        x = torch.cat([state[self], x], dim=2) if self in state else x
        if x.shape[2] == 0:
            return x.new_empty(x.shape[0], self.weight.shape[1], 0)
        state[self] = x[..., -1:].clone()
        stop = (x.shape[2] + 1) * self.stride - self.padding if last else x.shape[2] * self.stride
        few = x.device.type == "cpu" and x.shape[2] <= _FEW
        return (self._product(x) if few else F.conv_transpose1d(x, self.weight, self.bias, self.stride))[
            ..., start:stop
        ]

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        """As `Layer`; output o reads the inputs (o + padding) // stride and the one before."""
        return 1 - (self.padding - before) // self.stride, (after + self.padding) // self.stride


class ResidualLayer(Layer):
    """What a convolution over time (`conv1`) makes of a signal, and the signal itself, joined."""

    conv1: Layer

    def forward(self, x: Tensor) -> Tensor:
        return self._joined(x, self.conv1(self._activated(x)))

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        y = self.conv1.step(self._activated(x), state, last)
        x = torch.cat([state[self], x], dim=2) if self in state else x
        state[self] = x[..., y.shape[2] :].clone()
        return self._joined(x[..., : y.shape[2]], y) if y.shape[2] else x[..., :0]

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        return self.conv1.inputs_for(before, after)

    @abstractmethod
    def _activated(self, x: Tensor) -> Tensor:
        """What the convolution reads."""

    @abstractmethod
    def _joined(self, x: Tensor, y: Tensor) -> Tensor:
        """x, and the convolution's y of the same length."""


class Snake(Layer):
    """x + sin(alpha x)^2 / alpha, with one alpha [1, C, 1] a channel (arXiv 2006.08195)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        wave = self.alpha * x
        wave = wave.sin().square() if torch.is_grad_enabled() else wave.sin_().square_()
        inverse = (self.alpha + 1e-9).reciprocal()
        if x.dtype == torch.float16:  # 1e-9 is none there; where the inverse is too large, the wave is next to nothing
            inverse = inverse.clamp(-_LARGEST_HALF, _LARGEST_HALF)
        return torch.addcmul(x, wave, inverse)

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        return self(x)


class Residual(ResidualLayer):
    """x + a convolution over one frame of a dilated convolution over seven, Snake before both."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.snake1, self.snake2 = Snake(channels), Snake(channels)
        self.conv1 = Conv(channels, channels, 7, dilation=dilation, padding=3 * dilation)
        self.conv2 = Conv(channels, channels, 1)

    def _activated(self, x: Tensor) -> Tensor:
        return self.snake1(x)

    def _joined(self, x: Tensor, y: Tensor) -> Tensor:
        return self.conv2(self.snake2(y)) + x


class Chain(TypedModuleList[Layer]):
    """Layers one after another."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        for layer in self:
            x = layer.step(x, state, last)
        return x

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        """As `Layer.inputs_for`, but for an LSTM, which remembers everything. For a decoder: offsets in frames."""
        for layer in reversed(list(self)):
            before, after = layer.inputs_for(before, after)
        return before, after
