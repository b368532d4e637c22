"""The one transformer decoder that every checkpoint family runs on.

Knows how a `DecoderSpec` becomes layers and how those are run: over a whole sequence (training), over a
prompt (prefill) and over one position (step). Does not know what tokens mean, how they are drawn, or any
checkpoint's names.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from clavilux.conditioning import Conditioning
from clavilux.kernels.decode_attention import decode_attention
from clavilux.kernels.linear_residual import linear_residual
from clavilux.kernels.norm_linear import norm_linear
from clavilux.kernels.prefill_attention import prefill_attention
from clavilux.spec import DecoderSpec
from clavilux.state import DecodeState

__all__ = ["Decoder", "DecoderSpec"]


def sinusoidal_table(positions: int, width: int) -> torch.Tensor:
    """[positions, width]: cat[cos, sin] of position / 10000^(i / (width/2 - 1)), as MusicGen has it."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000) / (half - 1)))
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()


def rope_table(positions: int, head_dim: int, theta: float) -> torch.Tensor:
    """[positions, 2, head_dim]: cosines, then sines with the signs that rotating half-split pairs needs."""
    rates = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * rates
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1)], dim=1).float()


def rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Turn each pair (i, i + E/2) of x [B, T, n, H, E] by its position's angle; table [T, 2, E]."""
    cos, sin = table[:, None, None, 0], table[:, None, None, 1]  # [T, 1, 1, E]
    return (x * cos + x.roll(x.shape[-1] // 2, -1) * sin).to(x.dtype)


class Norm(nn.Module):
    """The parameters of a norm; it is computed inside the op that follows it."""

    def __init__(self, size: int, bias: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None


class Attention(nn.Module):
    """Causal self-attention, from the residual stream back to it."""

    def __init__(self, spec: DecoderSpec):
        super().__init__()
        inner = spec.heads * spec.head_dim
        self.spec = spec
        self.norm = Norm(spec.width, spec.norm_bias)
        self.qkv = nn.Linear(spec.width, 3 * inner, bias=spec.attention_bias)
        self.out = nn.Linear(inner, spec.width, bias=spec.attention_bias)
        if spec.qk_norm:
            self.q_norm = Norm(spec.head_dim, False)
            self.k_norm = Norm(spec.head_dim, False)

    def forward(self, x, batch, rope, cache):
        # x: [B * T, D]; cache: None, or (k, v, position) with k, v [B, H, capacity, E]
        spec = self.spec
        y = norm_linear(
            x, self.norm.weight, self.norm.bias, self.qkv.weight, self.qkv.bias, norm=spec.norm, eps=spec.eps
        )
        y = y.view(batch, -1, 3, spec.heads, spec.head_dim)  # [B, T, 3, H, E]
        qk, v = y[:, :, :2], y[:, :, 2]
        if spec.qk_norm:
            gains = torch.stack([self.q_norm.weight, self.k_norm.weight])[:, None]  # [2, 1, E]
            qk = (F.rms_norm(qk, qk.shape[-1:], eps=spec.eps) * gains).to(y.dtype)
        if rope is not None:
            qk = rotate(qk, rope)
        q, k, v = qk[:, :, 0].transpose(1, 2), qk[:, :, 1].transpose(1, 2), v.transpose(1, 2)  # [B, H, T, E]
        if cache is None:
            y = prefill_attention(q, k, v)
        else:
            k_cache, v_cache, position = cache
            end = position + k.shape[2]
            k_cache[:, :, position:end] = k
            v_cache[:, :, position:end] = v
            if k.shape[2] == 1:
                y = decode_attention(q[:, :, 0], k_cache, v_cache, end)[:, :, None]
            else:
                y = prefill_attention(q, k_cache[:, :, :end], v_cache[:, :, :end])
        y = y.transpose(1, 2).reshape(x.shape[0], -1)  # [B * T, H * E]
        return linear_residual(y, self.out.weight, self.out.bias, x)


class CrossAttention(nn.Module):
    """Attention to the conditioning's memory, from the residual stream back to it."""

    def __init__(self, spec: DecoderSpec):
        super().__init__()
        inner = spec.heads * spec.head_dim
        self.spec = spec
        self.norm = Norm(spec.width, spec.norm_bias)
        self.q = nn.Linear(spec.width, inner, bias=spec.attention_bias)
        self.kv = nn.Linear(spec.width, 2 * inner, bias=spec.attention_bias)
        self.out = nn.Linear(inner, spec.width, bias=spec.attention_bias)

    def memory_kv(self, memory):
        kv = F.linear(memory, self.kv.weight, self.kv.bias)
        kv = kv.view(*memory.shape[:2], 2, self.spec.heads, self.spec.head_dim)  # [B, S, 2, H, E]
        return kv.permute(2, 0, 3, 1, 4).unbind(0)  # [B, H, S, E]

    def forward(self, x, batch, kv, mask):
        spec = self.spec
        q = norm_linear(x, self.norm.weight, self.norm.bias, self.q.weight, self.q.bias, norm=spec.norm, eps=spec.eps)
        q = q.view(batch, -1, spec.heads, spec.head_dim).transpose(1, 2)  # [B, H, T, E]
        if q.shape[2] == 1:
            y = decode_attention(q[:, :, 0], *kv, kv[0].shape[2], mask=mask)
        else:
            y = prefill_attention(q, *kv, causal=False, mask=mask).transpose(1, 2)
        return linear_residual(y.reshape(x.shape[0], -1), self.out.weight, self.out.bias, x)


class FeedForward(nn.Module):
    """The wide part of a layer, from the residual stream back to it."""

    def __init__(self, spec: DecoderSpec):
        super().__init__()
        gates = 2 if spec.activation == "swiglu" else 1
        self.spec = spec
        self.norm = Norm(spec.width, spec.norm_bias)
        self.up = nn.Linear(spec.width, gates * spec.ffn_width, bias=spec.ffn_bias)
        self.down = nn.Linear(spec.ffn_width, spec.width, bias=spec.ffn_bias)

    def forward(self, x):
        y = norm_linear(
            x,
            self.norm.weight,
            self.norm.bias,
            self.up.weight,
            self.up.bias,
            norm=self.spec.norm,
            eps=self.spec.eps,
            activation=self.spec.activation,
        )
        return linear_residual(y, self.down.weight, self.down.bias, x)


class Layer(nn.Module):
    def __init__(self, spec: DecoderSpec, index: int):
        super().__init__()
        self.attention = Attention(spec)
        self.cross = CrossAttention(spec) if index in spec.cross_layers else None
        self.ffn = FeedForward(spec)

    def forward(self, x, batch, rope, cache, kv, mask):
        x = self.attention(x, batch, rope, cache)
        if kv is not None:
            x = self.cross(x, batch, kv, mask)
        return self.ffn(x)


class Decoder(nn.Module):
    """A causal transformer over K parallel streams of tokens, built from a `DecoderSpec`.

    `forward` reads a whole sequence; `new_state`, `prefill` and `step` read it in pieces, with the same
    result.
    """

    def __init__(self, spec: DecoderSpec):
        super().__init__()
        self.spec = spec
        self.embed = nn.ModuleList(nn.Embedding(spec.vocabulary, spec.width) for _ in range(spec.codebooks))
        if spec.positions == "learned":
            self.positions = nn.Parameter(torch.empty(spec.max_positions, spec.width))
        elif spec.positions == "sinusoidal":
            self.register_buffer("positions", sinusoidal_table(spec.max_positions, spec.width), persistent=False)
        else:
            self.positions = None
        rope = None
        if spec.positions == "rope":
            rope = rope_table(spec.max_positions, spec.head_dim, spec.rope_theta)
        self.register_buffer("rope", rope, persistent=False)
        self.layers = nn.ModuleList(Layer(spec, index) for index in range(spec.layers))
        self.norm = Norm(spec.width, spec.norm_bias) if spec.final_norm else None
        # One head a codebook, kept as one matrix: [K * V, D].
        self.head = None
        if not spec.tied:
            self.head = nn.Linear(spec.width, spec.codebooks * spec.output_vocabulary, bias=spec.head_bias)
        self._initialise()

    def _initialise(self):
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                continue
            # GPT-2's: what is added to the residual stream shrinks with the number of additions.
            residual = name.endswith(("out.weight", "down.weight"))
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * self.spec.layers) if residual else 0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def new_state(
        self, batch: int, conditioning: Conditioning | None = None, capacity: int | None = None
    ) -> DecodeState:
        """An empty state for `batch` rows.

        Args:
            batch: rows, the guidance's included.
            conditioning: with `batch` rows; its memory is projected here, once.
            capacity: positions to make room for, the prefix's included; None: the spec's `max_positions`.

        Raises:
            ValueError: capacity over `max_positions`, or a conditioning that does not fit the spec or the
            batch.
        """
        spec = self.spec
        capacity = spec.max_positions if capacity is None else capacity
        if not 1 <= capacity <= spec.max_positions:
            raise ValueError(f"capacity is {capacity}; it should be from 1 to {spec.max_positions}")
        conditioning = self._checked(conditioning, batch)
        weight = self.embed[0].weight
        state = DecodeState(
            spec.layers,
            batch,
            spec.heads,
            capacity,
            spec.head_dim,
            conditioning=conditioning,
            dtype=weight.dtype,
            device=weight.device,
        )
        with torch.no_grad():
            state.memory_kv = {
                index: tuple(part.contiguous() for part in kv) for index, kv in self._memory_kv(conditioning).items()
            }
        return state

    def forward(
        self, tokens: torch.Tensor, state: DecodeState | None = None, conditioning: Conditioning | None = None
    ) -> torch.Tensor:
        """Logits at every token.

        Args:
            tokens: int64 [B, K, T].
            state: None reads a whole sequence from its beginning, differentiably. A state (from
                `new_state`) reads on from its position and moves it, without gradients.
            conditioning: only without a state, which has its own.

        Returns:
            [B, K, T, V]: [:, :, t] predicts token t + 1.

        Raises:
            ValueError: tokens of another shape, more positions than there is room for, or both a state and a
                conditioning.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and state is None):  # a cache is written in place
            x = self._body(tokens, state, conditioning)
            x = x[:, x.shape[1] - tokens.shape[2] :]  # without the prefix
            logits = self._logits(x.reshape(-1, self.spec.width))
        return logits.view(*x.shape[:2], self.spec.codebooks, -1).transpose(1, 2)

    @torch.no_grad()
    def prefill(self, tokens: torch.Tensor, state: DecodeState) -> torch.Tensor:
        """Read tokens [B, K, T] into the state, at any position; the logits [B, K, V] after the last one.

        T may be 0 where the state's prefix is still to be read: the logits after the prefix.
        """
        x = self._body(tokens, state, None)
        return self._logits(x[:, -1]).view(len(tokens), self.spec.codebooks, -1)

    @torch.no_grad()
    def step(self, tokens: torch.Tensor, state: DecodeState) -> torch.Tensor:
        """Read one token a codebook, [B, K], into the state; the logits [B, K, V] for the next."""
        return self.prefill(tokens[:, :, None], state)

    def _body(self, tokens, state, conditioning):
        """The residual stream after the last layer, [B, P + T, D]; P is 0 where the prefix is not read."""
        spec = self.spec
        if tokens.ndim != 3 or tokens.shape[1] != spec.codebooks:
            raise ValueError(f"tokens are {tuple(tokens.shape)}; they should be [B, {spec.codebooks}, T]")
        batch = len(tokens)
        if state is None:
            conditioning = self._checked(conditioning, batch)
            position, room, memory_kv = 0, spec.max_positions, self._memory_kv(conditioning)
        else:
            if conditioning is not None:
                raise ValueError("both a state and a conditioning are given; a state has its own conditioning")
            if batch != state.batch:
                raise ValueError(f"tokens have {batch} rows; the state has {state.batch}")
            conditioning, position, room, memory_kv = (
                state.conditioning,
                state.position,
                state.capacity,
                state.memory_kv,
            )
        x = self._embedded(tokens, conditioning, position)  # [B, P + T, D]
        num_positions = x.shape[1]
        end = position + num_positions
        if not position < end <= room:
            raise ValueError(
                f"positions {position} to {end} are asked for; there should be at least one more, "
                f"and there is room for {room}"
            )
        if self.positions is not None:
            x = x + self.positions[position:end]
        rope = None if self.rope is None else self.rope[position:end]
        x = x.view(-1, spec.width)  # [B * (P + T), D]
        mask = conditioning.memory_mask
        for index, layer in enumerate(self.layers):
            cache = None if state is None else (state.k[index], state.v[index], position)
            x = layer(x, batch, rope, cache, memory_kv.get(index), mask)
        if state is not None:
            state.position = end
        return x.view(batch, num_positions, -1)

    def _embedded(self, tokens, conditioning, position):
        x = self.embed[0](tokens[:, 0])
        for k in range(1, self.spec.codebooks):
            x = x + self.embed[k](tokens[:, k])
        if conditioning.additive is not None:
            first = max(0, position - conditioning.num_prefix)
            additive = conditioning.additive[:, first : first + tokens.shape[2]]
            if additive.shape[1] != tokens.shape[2]:
                raise ValueError(
                    f"tokens {first} to {first + tokens.shape[2]} are read; the conditioning's additive "
                    f"has {conditioning.additive.shape[1]}, it should cover them"
                )
            x = x + additive
        if conditioning.prefix is not None and position == 0:
            x = torch.cat([conditioning.prefix, x], dim=1)
        return x

    def _logits(self, x):
        # x: [N, D] -> [N, K * V]
        spec, norm = self.spec, self.norm
        weight, bias = (self.embed[0].weight, None) if self.head is None else (self.head.weight, self.head.bias)
        if norm is None:
            return norm_linear(x, None, None, weight, bias, norm="none")
        return norm_linear(x, norm.weight, norm.bias, weight, bias, norm=spec.norm, eps=spec.eps)

    def _memory_kv(self, conditioning):
        if conditioning.memory is None:
            return {}
        return {index: self.layers[index].cross.memory_kv(conditioning.memory) for index in self.spec.cross_layers}

    def _checked(self, conditioning, batch):
        if conditioning is None:
            conditioning = Conditioning()
        if conditioning.rows not in (None, batch):
            raise ValueError(f"the conditioning has {conditioning.rows} rows; the batch has {batch}")
        for name in ("prefix", "memory", "additive"):
            part = getattr(conditioning, name)
            if part is not None and part.shape[2] != self.spec.width:
                raise ValueError(f"{name} has {part.shape[2]} columns; the decoder's width is {self.spec.width}")
        if conditioning.memory is not None and not self.spec.cross_layers:
            raise ValueError("a memory is given; this decoder has no cross-attention")
        if conditioning.memory is None and self.spec.cross_layers:
            raise ValueError(
                "no memory is given; this decoder has cross-attention (an empty memory is one whose mask is all False)"
            )
        return conditioning
