"""The parts of a decoder's layer, each from the residual stream back to it.

Each knows two ways to run: `forward` over many positions (training, a prompt) and `step` over one, on the ops that
are made for it. Knows no embedding, no head and no checkpoint's names.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from clavilux.conditioning import Conditioning
from clavilux.kernels.cross_step import FoldedMemory, cross_step
from clavilux.kernels.decode_attention import decode_attention
from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.linear_residual import linear_residual
from clavilux.kernels.norm_linear import norm_linear
from clavilux.kernels.prefill_attention import prefill_attention
from clavilux.kernels.quantized import Int8Weight, PackedWeight
from clavilux.kernels.rotary import rms, rotate
from clavilux.spec import DecoderSpec
from clavilux.state import DecodeState, LayerMemory, extended

KV = tuple[Tensor, Tensor]  # keys and values
Cache = tuple[Tensor, Tensor, int]  # keys and values [B, H, slots, E], and the position that is read next


class StepPart(NamedTuple):
    """What a layer reads of one of several states that are stepped together: its cache, as `Attention.heads`."""

    k: Tensor
    v: Tensor
    length: int
    starts: Tensor | None

    @classmethod
    def of(cls, state: DecodeState, layer: int) -> "StepPart":
        """That of a state which is about to be stepped."""
        return cls(state.k[layer], state.v[layer], state.position + 1, state.conditioning.pad_lengths)


class Norm(nn.Module):
    """The parameters of a norm; it is computed inside the op that follows it."""

    def __init__(self, size: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None


def replace_weight(linear: nn.Linear, weight: PackedWeight | Int8Weight | FoldedWeight) -> None:
    """Put what the ops take in a weight's place; torch knows it as a tensor only."""
    del linear.weight
    linear.weight = cast("nn.Parameter", weight)


def after_norm(spec: DecoderSpec, norm: Norm, linear: nn.Linear, x: Tensor, activation: str = "none") -> Tensor:
    """The linear layer (and activation) of the normed residual stream x [N, D]."""
    return norm_linear(
        x, norm.weight, norm.bias, linear.weight, linear.bias, norm=spec.norm, eps=spec.eps, activation=activation
    )


class Attention(nn.Module):
    """Causal self-attention, over what the layer's span reads."""

    def __init__(self, spec: DecoderSpec, index: int) -> None:
        super().__init__()
        inner = spec.heads * spec.head_dim
        self.spec = spec
        self.span = spec.span(index)
        self.norm = Norm(spec.width, spec.norm_bias)
        self.qkv = nn.Linear(spec.width, 3 * inner, bias=spec.attention_bias)
        self.out = nn.Linear(inner, spec.width, bias=spec.attention_bias)
        self.q_norm = Norm(spec.head_dim, False) if spec.qk_norm else None
        self.k_norm = Norm(spec.head_dim, False) if spec.qk_norm else None

    def forward(self, x: Tensor, batch: int, rope: Tensor | None, cache: Cache | None, starts: Tensor | None) -> Tensor:
        # x: [B * T, D]; rope: [T, 2, E] or None; cache: None, or (k, v, position) with k, v [B, H, capacity, E];
        # starts: int64 [B], the first position that each row reads, or None
        spec = self.spec
        y = after_norm(spec, self.norm, self.qkv, x).view(batch, -1, 3, spec.heads, spec.head_dim)
        q, k, v = y.transpose(1, 3).unbind(2)  # [B, H, T, E]
        if self.q_norm is not None and self.k_norm is not None:
            q, k = rms(q, self.q_norm.weight, spec.eps), rms(k, self.k_norm.weight, spec.eps)
        if rope is not None:
            q, k = rotate(q, rope), rotate(k, rope)
        if cache is not None:
            k, v = extended(cache[0], cache[1], self.span, cache[2], k, v)
        y = self._attended(q.to(k.dtype), k, v, cache, starts).transpose(1, 2)  # [B, T, H, E]
        return linear_residual(y.reshape(x.shape[0], -1), self.out.weight, self.out.bias, x)

    def _attended(self, q: Tensor, k: Tensor, v: Tensor, cache: Cache | None, starts: Tensor | None) -> Tensor:
        if cache is None or self.span is None or self.span.kind != "prefix":
            return prefill_attention(q, k, v, span=self.span, starts=starts)
        # A cache keeps no keys after the prefix: the queries after it read all there are.
        inside = min(max(0, self.span.size - cache[2]), q.shape[2])
        parts = [prefill_attention(q[:, :, :inside], k, v, starts=starts)] if inside else []
        if inside < q.shape[2]:
            parts.append(prefill_attention(q[:, :, inside:], k, v, causal=False, starts=starts))
        return torch.cat(parts, dim=2)

    def heads(
        self, x: Tensor, rope: Tensor | None, k_cache: Tensor, v_cache: Tensor, length: int | Tensor,
        starts: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """What the output matrix of a step multiplies, [B, H * E]."""
        # x: [B, D]; rope: the whole table; length: positions with the new one, an int or an int32 tensor [1]
        y = after_norm(self.spec, self.norm, self.qkv, x)
        return self._heads_of(y, rope, k_cache, v_cache, length, starts)

    def heads_apart(self, x: Tensor, rope: Tensor | None, parts: Sequence[StepPart]) -> Tensor:
        """As `heads`, for rows of several states, one state's after another's."""
        y = after_norm(self.spec, self.norm, self.qkv, x)
        # Each in memory of its own: how rows are aligned can change the order in which a library sums.
        own = [rows.clone() for rows in y.split([len(part.k) for part in parts])]
        return torch.cat(
            [
                self._heads_of(rows, rope, part.k, part.v, part.length, part.starts)
                for rows, part in zip(own, parts, strict=True)
            ]
        )

    def _heads_of(
        self, y: Tensor, rope: Tensor | None, k_cache: Tensor, v_cache: Tensor, length: int | Tensor,
        starts: Tensor | None,
    ) -> Tensor:  # fmt: skip
        # y: [B, 3 * H * E], what the step's rows ask for, and their keys and values
        spec = self.spec
        y = y.to(k_cache.dtype)
        q, k, v = y.view(-1, 3, spec.heads, spec.head_dim).unbind(1)  # [B, H, E]
        q_gain = None if self.q_norm is None else self.q_norm.weight
        k_gain = None if self.k_norm is None else self.k_norm.weight
        y = decode_attention(
            q, k_cache, v_cache, length, new_k=k, new_v=v, rope=rope, q_gain=q_gain, k_gain=k_gain, eps=spec.eps,
            span=self.span, starts=starts,
        )  # fmt: skip
        return y.reshape(len(y), -1)

    def step_end(self, x: Tensor, y: Tensor) -> Tensor:
        """The residual stream after a step, of the one before it and of `heads`."""
        return linear_residual(y, self.out.weight, self.out.bias, x)


class CrossAttention(nn.Module):
    """Attention to the conditioning's memory."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        inner = spec.heads * spec.head_dim
        self.spec = spec
        self.norm = Norm(spec.width, spec.norm_bias)
        self.q = nn.Linear(spec.width, inner, bias=spec.attention_bias)
        self.kv = nn.Linear(spec.width, 2 * inner, bias=spec.attention_bias)
        self.out = nn.Linear(inner, spec.width, bias=spec.attention_bias)

    def memory_kv(self, memory: Tensor) -> KV:
        """Keys and values [B, H, S, E] of a memory [B, S, D]."""
        kv = norm_linear(memory, None, None, self.kv.weight, self.kv.bias, norm="none")
        kv = kv.view(*memory.shape[:2], 2, self.spec.heads, self.spec.head_dim)  # [B, S, 2, H, E]
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)  # [B, H, S, E]
        return k, v

    def forward(self, x: Tensor, batch: int, kv: KV, mask: Tensor | None) -> Tensor:
        spec = self.spec
        q = after_norm(spec, self.norm, self.q, x).to(kv[0].dtype).view(batch, -1, spec.heads, spec.head_dim)
        y = prefill_attention(q.transpose(1, 2), *kv, causal=False, mask=mask).transpose(1, 2)  # [B, T, H, E]
        return linear_residual(y.reshape(x.shape[0], -1), self.out.weight, self.out.bias, x)

    def step(self, x: Tensor, kv: KV, mask: Tensor | None) -> Tensor:
        spec = self.spec
        q = after_norm(spec, self.norm, self.q, x).to(kv[0].dtype).view(-1, spec.heads, spec.head_dim)
        y = decode_attention(q, *kv, kv[0].shape[2], mask=mask)
        return linear_residual(y.reshape(len(x), -1), self.out.weight, self.out.bias, x)


class FeedForward(nn.Module):
    """The wide part of a layer."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        gates = 2 if spec.activation == "swiglu" else 1
        self.spec = spec
        self.norm = Norm(spec.width, spec.norm_bias)
        self.up = nn.Linear(spec.width, gates * spec.ffn_width, bias=spec.ffn_bias)
        self.down = nn.Linear(spec.ffn_width, spec.width, bias=spec.ffn_bias)

    def forward(self, x: Tensor) -> Tensor:
        y = after_norm(self.spec, self.norm, self.up, x, self.spec.activation)
        return linear_residual(y, self.down.weight, self.down.bias, x)


class Layer(nn.Module):
    """Attention and cross-attention, where the spec has them, and the wide part."""

    def __init__(self, spec: DecoderSpec, index: int) -> None:
        super().__init__()
        self.attention = Attention(spec, index) if spec.attends(index) else None
        self.cross = CrossAttention(spec) if index in spec.cross_layers else None
        self.ffn = FeedForward(spec)

    def forward(
        self, x: Tensor, batch: int, rope: Tensor | None, cache: Cache | None, kv: KV | None, given: Conditioning
    ) -> Tensor:
        # given: the conditioning, whose memory is kv
        if self.attention is not None:
            x = self.attention(x, batch, rope, cache, given.pad_lengths)
        if kv is not None and self.cross is not None:
            x = self.cross(x, batch, kv, given.memory_mask)
        return self.ffn(x)

    def normed_linears(self) -> Iterator[tuple[Norm, nn.Linear]]:
        """Each norm with the linear layer that reads what it makes."""
        if self.attention is not None:
            yield self.attention.norm, self.attention.qkv
        if self.cross is not None:
            yield self.cross.norm, self.cross.q
        yield self.ffn.norm, self.ffn.up

    def step(
        self, x: Tensor, rope: Tensor | None, k_cache: Tensor, v_cache: Tensor, length: int | Tensor,
        memory: LayerMemory | None, given: Conditioning,
    ) -> Tensor:  # fmt: skip
        folded, attention = None, self.attention
        if attention is not None:
            y = attention.heads(x, rope, k_cache, v_cache, length, given.pad_lengths)
            if memory is not None and memory.folded is not None:
                folded = self._step_folded(x, y, memory.folded, given.memory_mask)
                if memory.whole:
                    return self.ffn(folded)
            x = attention.step_end(x, y)
        if memory is not None and self.cross is not None:
            x = self.cross.step(x, memory.kv, given.memory_mask)
        if memory is not None and memory.folded is not None and folded is not None:
            x = torch.where((memory.folded.slots >= 0)[:, None], folded, x)
        return self.ffn(x)

    def step_apart(self, x: Tensor, rope: Tensor | None, parts: Sequence[StepPart]) -> Tensor:
        """As `step` without a memory, for rows of several states, one state's after another's."""
        if self.attention is not None:
            x = self.attention.step_end(x, self.attention.heads_apart(x, rope, parts))
        return self.ffn(x)

    def _step_folded(self, x: Tensor, y: Tensor, memory: FoldedMemory, mask: Tensor | None) -> Tensor:
        """The end of the self-attention, whose heads are y, and the cross-attention."""
        attention, cross = self.attention, self.cross
        assert attention is not None and cross is not None, "what is folded ends the one and begins the other"
        spec, out = attention.spec, attention.out
        weight = cast("Tensor | Int8Weight", out.weight)
        mask = None if mask is None else mask[:, : memory.keys]
        return cross_step(x, y, weight, out.bias, memory, mask, cross.out.bias, norm=spec.norm, eps=spec.eps)
