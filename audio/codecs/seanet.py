"""The network of EnCodec: strided convolutions and an LSTM on the way in, their mirror on the way out.

SEANet as in arXiv 2210.13438, section 3.1. Layers stand at the same positions as in the published code, so that
weights keep their numbers. Every layer has `forward(x)` for a whole signal and `step(x, state, last)` for the next
piece of one: a step gives the outputs that no later input can change and keeps in `state` what later outputs still
need, so pieces joined together are the whole up to the rounding of sums. x: float [B, C, N] throughout.

Knows layers and lengths. Does not know tokens, files or sample rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.audio.codecs.streaming_layers import Chain, Layer, ResidualLayer, State
from clavilux.checks import check_flag, number_from, short, whole_number

# On a CPU, transposed convolutions and LSTMs lay all their weights out anew at every call. Two cores, 1024 channels:
# an LSTM's 10 frames took 33 ms, and 15 ms step by step; a transposed convolution's 10 inputs 21 ms, and 4 ms as a
# matrix product. These are the most inputs, or rows times frames, for which that is faster.
_FEW_INPUTS, _FEW_STEPS = 128, 24
_LSTM_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

PAD_MODES = ("constant", "reflect", "replicate")
_MOST = {
    "channels": 2, "latent_width": 1 << 16, "filters": 1 << 16, "ratios": 1 << 12, "residual_layers": 32,
    "kernel": 1 << 10, "last_kernel": 1 << 10, "residual_kernel": 1 << 10, "dilation_growth": 16, "compress": 1 << 16,
}  # fmt: skip


@dataclass(frozen=True)
class SeanetSpec:
    """The sizes of encoder and decoder.

    Attributes:
        channels: of the sound, 1 or 2.
        latent_width: channels between encoder and decoder.
        filters: channels of the outermost convolution; every strided layer inwards doubles them.
        ratios: strides of the decoder, innermost first; the encoder has them in reverse.
        residual_layers: residual blocks beside each strided layer; block j has dilation `dilation_growth ** j`.
        kernel, last_kernel, residual_kernel: widths of the first and the last convolution and within the blocks.
        compress: how much narrower a residual block is inside.
        lstm_layers: 0 for none.
        causal: pad on the left only.
        pad_mode: one of `PAD_MODES`.
        conv_shortcut: a convolution around a residual block, else the identity.
        group_norm: normalize what each convolution gives over channels and time; a whole signal is then needed at once.
        trim_right: the part of a causal transposed convolution's surplus that is cut on the right.
    """

    channels: int = 1
    latent_width: int = 128
    filters: int = 32
    ratios: tuple[int, ...] = (8, 5, 4, 2)
    residual_layers: int = 1
    kernel: int = 7
    last_kernel: int = 7
    residual_kernel: int = 3
    dilation_growth: int = 2
    compress: int = 2
    lstm_layers: int = 2
    causal: bool = True
    pad_mode: str = "reflect"
    conv_shortcut: bool = True
    group_norm: bool = False
    trim_right: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.ratios, tuple) or not 1 <= len(self.ratios) <= 12:
            raise ValueError(f"EnCodec has 1 to 12 ratios, not {short(self.ratios)}")
        for name, most in _MOST.items():
            values = self.ratios if name == "ratios" else (getattr(self, name),)
            for value in values:
                whole_number(f"{name} of EnCodec", value, 2 if name == "ratios" else 1, most)
        whole_number("lstm_layers of EnCodec", self.lstm_layers, 0, 16)
        whole_number("the innermost filters of EnCodec", self.filters << len(self.ratios), 1, 1 << 16)
        whole_number("the hop of EnCodec", self.hop, 1, 1 << 20)
        whole_number(
            "the outermost dilation of EnCodec", self.dilation_growth ** (self.residual_layers - 1), 1, 1 << 16
        )
        for name in ("causal", "conv_shortcut", "group_norm"):
            check_flag(f"{name} of EnCodec", getattr(self, name))
        self._check_fit()

    def _check_fit(self) -> None:
        if self.compress > self.filters:
            raise ValueError(f"compress {self.compress} of EnCodec leaves nothing of its {self.filters} filters")
        if self.pad_mode not in PAD_MODES:
            raise ValueError(f"pad_mode of EnCodec is one of {', '.join(PAD_MODES)}, not {short(self.pad_mode)}")
        number_from("trim_right of EnCodec", self.trim_right, 0, 1)
        if not self.causal and self.trim_right != 1:
            raise ValueError(f"trim_right {self.trim_right} of EnCodec needs causal convolutions")

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return math.prod(self.ratios)


def pad(x: Tensor, left: int, right: int, mode: str) -> Tensor:
    """x with so many samples more on each side. What is too short to be mirrored stands among zeros meanwhile."""
    if mode != "reflect":
        return F.pad(x, (left, right), mode=mode)
    short = max(0, max(left, right) - x.shape[2] + 1)
    x = F.pad(F.pad(x, (0, short)), (left, right), mode="reflect")
    return x[..., : x.shape[2] - short]


class Conv(Layer):
    """A convolution that gives one output for every `stride` inputs begun: [B, in, N] -> [B, out, ceil(N / stride)]."""

    def __init__(self, spec: SeanetSpec, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.norm = nn.GroupNorm(1, outputs) if spec.group_norm else None
        self.stride, self.dilation, self.pad_mode = stride, dilation, spec.pad_mode
        self.span = (kernel - 1) * dilation + 1  # inputs that one output reads
        self.right = 0 if spec.causal else (self.span - stride) // 2
        self.left = self.span - stride - self.right

    def forward(self, x: Tensor) -> Tensor:
        surplus = -x.shape[2] % self.stride
        if self.span > 1:
            x = pad(x, self.left, self.right + surplus, self.pad_mode)
        return self._convolved(x)

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        if self.span == 1:
            return self._convolved(x)
        begun, kept = state.get(self, (False, None))
        x = x if kept is None else torch.cat([kept, x], dim=2)
        if not begun:
            if last:
                return self(x)
            mirrored = max(self.left, self.right + self.stride - 1) if self.pad_mode == "reflect" else 0
            if x.shape[2] <= mirrored:
                state[self] = (False, x)
                return x.new_empty(x.shape[0], len(self.weight), 0)
            x = pad(x, self.left, 0, self.pad_mode)
        if last:
            x = pad(x, 0, self.right + (self.left - x.shape[2]) % self.stride, self.pad_mode)
        # one output is held back where the mirror image of the end may need its inputs
        held = self.stride if self.pad_mode == "reflect" and self.stride > 1 and not last else 0
        count = max(0, (x.shape[2] - held - self.span) // self.stride + 1)
        state[self] = (True, x[..., count * self.stride :].clone())  # a view would keep the whole piece alive
        return self._convolved(x[..., : (count - 1) * self.stride + self.span] if count else x[..., :0])

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        return before * self.stride + self.left, after * self.stride + self.span - 1 - self.left

    def _convolved(self, x: Tensor) -> Tensor:
        if x.shape[2] == 0:
            return x.new_empty(x.shape[0], len(self.weight), 0)
        y = F.conv1d(x, self.weight, self.bias, self.stride, 0, self.dilation)
        return y if self.norm is None else self.norm(y)


class Upsample(Layer):
    """A transposed convolution of kernel 2 * stride, its surplus cut off: [B, in, N] -> [B, out, N * stride]."""

    def __init__(self, spec: SeanetSpec, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 2 * stride))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.norm = nn.GroupNorm(1, outputs) if spec.group_norm else None
        self.stride = stride
        self.right = math.ceil(stride * spec.trim_right) if spec.causal else stride // 2
        self.left = stride - self.right

    def forward(self, x: Tensor) -> Tensor:
        y = self._convolved(x)
        y = y if self.norm is None else self.norm(y)
        return y[..., self.left : y.shape[2] - self.right]

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        if last and self not in state and x.shape[2]:
            return self(x)
        start = self.stride if self in state else self.left
        x = torch.cat([state[self], x], dim=2) if self in state else x
        if x.shape[2] == 0:
            return x.new_empty(x.shape[0], self.weight.shape[1], 0)
        state[self] = x[..., -1:].clone()
        stop = (x.shape[2] + 1) * self.stride - self.right if last else x.shape[2] * self.stride
        return self._convolved(x)[..., start:stop]

    def inputs_for(self, before: int, after: int) -> tuple[int, int]:
        """As `Layer`: output o reads the inputs (o + left) // stride and the one before."""
        return 1 - (self.left - before) // self.stride, (after + self.left) // self.stride

    def _convolved(self, x: Tensor) -> Tensor:
        """[B, in, N] -> [B, out, (N + 1) * stride], nothing cut off."""
        if x.device.type != "cpu" or x.shape[2] > _FEW_INPUTS:
            return F.conv_transpose1d(x, self.weight, self.bias, self.stride)
        # the inputs stand on the left: the other way round, 5 to 16 columns took five times as long
        halves = (x.transpose(1, 2) @ self.weight.flatten(1)).unflatten(2, (-1, 2, self.stride))
        first, second = halves.permute(3, 0, 2, 1, 4)  # each [B, out, N, stride]; the second falls a stride later
        return (F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))).flatten(2) + self.bias[:, None]


class Elu(Layer):
    """max(x, 0) + min(e^x - 1, 0), in place where no gradient is wanted: nothing else reads its input here."""

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, inplace=not torch.is_grad_enabled())

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        return self(x)


class Residual(ResidualLayer):
    """A shortcut around ELU, a dilated convolution to fewer channels, ELU, and a convolution of width 1 back."""

    def __init__(self, spec: SeanetSpec, channels: int, dilation: int):
        super().__init__()
        inner = channels // spec.compress
        self.conv1 = Conv(spec, channels, inner, spec.residual_kernel, dilation=dilation)
        self.conv2 = Conv(spec, inner, channels, 1)
        self.shortcut = Conv(spec, channels, channels, 1) if spec.conv_shortcut else nn.Identity()
        self.elu = Elu()

    def _activated(self, x: Tensor) -> Tensor:
        return F.elu(x)

    def _joined(self, x: Tensor, y: Tensor) -> Tensor:
        return self.conv2(self.elu(y)) + self.shortcut(x)


class Lstm(Layer):
    """x + an LSTM over time, forwards; its state is carried from piece to piece."""

    def __init__(self, width: int, layers: int):
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x, {}, True)

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        if x.shape[2] == 0:
            return x
        x = x.permute(2, 0, 1)  # [N, B, C]
        few = x.device.type == "cpu" and x.shape[0] * x.shape[1] <= _FEW_STEPS
        y, state[self] = (self._stepwise if few else self.lstm)(x, state.get(self))
        return (x + y).permute(1, 2, 0).contiguous()

    def _stepwise(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What `self.lstm` computes: x [N, B, C] and (h, c) [layers, B, C] -> the same."""
        lstm = self.lstm
        hs, cs = x.new_zeros(2, lstm.num_layers, x.shape[1], x.shape[2]) if state is None else state
        ends = []
        for layer, (h, c) in enumerate(zip(hs, cs, strict=True)):
            w_in, w_h, b_in, b_h = (getattr(lstm, f"{name}_l{layer}") for name in _LSTM_WEIGHTS)
            outputs = []
            for gates in F.linear(x, w_in, b_in + b_h):  # [B, 4 C]: input, forget, cell, output
                i, f, g, o = torch.addmm(gates, h, w_h.t()).chunk(4, dim=1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                outputs.append(h)
            x = torch.stack(outputs)
            ends.append((h, c))
        last_hs, last_cs = (torch.stack(parts) for parts in zip(*ends, strict=True))
        return x, (last_hs, last_cs)


def encoder(spec: SeanetSpec) -> Chain:
    """[B, channels, N] -> [B, latent_width, ceil(N / hop)]. Weights are uninitialised."""
    width = spec.filters
    layers: list[Layer] = [Conv(spec, spec.channels, width, spec.kernel)]
    for ratio in reversed(spec.ratios):
        layers += [Residual(spec, width, spec.dilation_growth**j) for j in range(spec.residual_layers)]
        layers += [Elu(), Conv(spec, width, 2 * width, 2 * ratio, stride=ratio)]
        width *= 2
    layers += [Lstm(width, spec.lstm_layers)] if spec.lstm_layers else []
    return Chain([*layers, Elu(), Conv(spec, width, spec.latent_width, spec.last_kernel)])


def decoder(spec: SeanetSpec) -> Chain:
    """[B, latent_width, T] -> [B, channels, T * hop]. Weights are uninitialised."""
    width = spec.filters << len(spec.ratios)
    layers: list[Layer] = [Conv(spec, spec.latent_width, width, spec.kernel)]
    layers += [Lstm(width, spec.lstm_layers)] if spec.lstm_layers else []
    for ratio in spec.ratios:
        layers += [Elu(), Upsample(spec, width, width // 2, ratio)]
        width //= 2
        layers += [Residual(spec, width, spec.dilation_growth**j) for j in range(spec.residual_layers)]
    return Chain([*layers, Elu(), Conv(spec, width, spec.channels, spec.last_kernel)])
