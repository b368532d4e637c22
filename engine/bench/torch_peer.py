"""The same decoder in plain PyTorch: a static cache, and one function a step for `torch.compile` to make a graph of.

What one would write for speed with torch alone, and the peer of every model's whole step. It holds copies of our
weights, reads what each layer's span reads and no more, and draws as generation loops do. Whether it computes what ours
does is `parity`'s to say.
"""

import copy
import time
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.bench.workloads import Subject, layout_of
from clavilux.kernels.rotary import rms, rotate
from clavilux.kernels.span import Span
from clavilux.layers import Attention, CrossAttention, FeedForward, Layer, Norm
from clavilux.layout import OPEN
from clavilux.precision import DTYPES
from clavilux.spec import DecoderSpec


class TorchPeer(nn.Module):
    """The peer of one subject, which must be plain (not packed), for one piece.

    Everything that a step reads and writes is a buffer, so that a CUDA graph finds it where it was.

    Attributes:
        tokens: int64 [1, K]: what the next step reads.
        position: int64 [1]: where it reads them.
        plan: int64 [1, K, C]: known tokens, and `OPEN` where a step writes what it draws.
        logits: [R, K, V]: the last step's.
        greedy: whether a step takes the best token.
        compile_s: what the compiler took, once it has.
        skips: the parts of the step for which the compiler made no CUDA graph, once it has.
    """

    tokens: Tensor
    position: Tensor
    plan: Tensor
    logits: Tensor
    additive: Tensor | None

    def __init__(self, subject: Subject, dtype: str, capacity: int = 1) -> None:
        super().__init__()
        self.model, self.spec, self.dtype, self.greedy = subject.model, subject.decoder.spec, dtype, False
        self.weights = subject.sampling.table[0]
        self.compile_s, self.skips = 0.0, 0
        # Of tensors that inference mode made, torch.compile can neither guard the versions nor write in place.
        with torch.inference_mode(False), torch.no_grad():
            self.decoder = copy.deepcopy(subject.decoder).to(DTYPES[dtype])
        self.make_room(capacity)

    @torch.inference_mode(False)
    @torch.no_grad()
    def make_room(self, capacity: int) -> None:
        """Empty caches for `capacity` positions, rounded up to whole blocks where layers have spans."""
        model, spec, weight = self.model, self.spec, self.decoder.embed.weight
        self.capacity, device = -(-capacity // spec.block) * spec.block, weight.device
        given = Subject(model, self.decoder, self.dtype).conditioning(length=self.capacity)
        size = (model.rows, spec.heads, self.capacity, spec.head_dim)
        for index, layer in enumerate(self._layers):
            for name in ("keys", "values"):
                self._buffer(f"{name}_{index}", torch.zeros(size, device=device, dtype=weight.dtype))
            if layer.cross is not None and given.memory is not None:
                kv = F.linear(given.memory, layer.cross.kv.weight, layer.cross.kv.bias)
                kv = kv.view(model.rows, -1, 2, spec.heads, spec.head_dim).permute(2, 0, 3, 1, 4)  # [2, R, H, S, E]
                for name, part in zip(("cross_keys", "cross_values"), kv, strict=True):
                    self._buffer(f"{name}_{index}", part.clone(memory_format=torch.contiguous_format))
        self._buffer("additive", given.additive)
        self._buffer("tokens", torch.zeros(1, spec.codebooks, dtype=torch.int64, device=device))
        self._buffer("position", torch.zeros(1, dtype=torch.int64, device=device))
        self._buffer("plan", torch.full((1, spec.codebooks, self.capacity), OPEN, device=device))
        logits = (model.rows, spec.codebooks, spec.num_outputs)
        self._buffer("logits", torch.zeros(logits, device=device, dtype=weight.dtype))

    def _buffer(self, name: str, value: Tensor | None) -> None:
        self.register_buffer(name, value, persistent=False)

    @property
    def _layers(self) -> Sequence[Layer]:
        return cast("Sequence[Layer]", self.decoder.layers)

    def forward(self) -> None:
        """One step: reads `tokens` at `position`, leaves the next ones there and in the plan, and counts on."""
        spec, decoder, position = self.spec, self.decoder, self.position
        offsets = torch.arange(spec.codebooks, device=position.device) * spec.vocabulary
        x = F.embedding(self.tokens + offsets, decoder.embed.weight).sum(1).repeat(self.model.rows, 1)  # [R, D]
        if decoder.positions is not None:
            x = x + decoder.positions.index_select(0, position)
        if self.additive is not None:
            x = x + self.additive.index_select(1, position)[:, 0]
        rope = None if decoder.rope is None else decoder.rope.index_select(0, position)[0]
        for index, layer in enumerate(self._layers):
            assert layer.attention is not None  # the measured models attend in every layer
            x = self._attention(layer.attention, index, x, rope)
            if layer.cross is not None:
                x = cross_attention(spec, layer.cross, x, *self._pair("cross_keys", "cross_values", index))
            x = feed_forward(spec, layer.ffn, x)
        if decoder.norm is not None:
            x = normed(spec, decoder.norm, x)
        head = decoder.embed.weight if decoder.head is None else decoder.head.weight
        self.logits.copy_(F.linear(x, head).view(self.logits.shape))
        drawn, known = self._drawn(self.logits), self.plan.index_select(2, position)[:, :, 0]
        self.tokens.copy_(torch.where(known == OPEN, drawn, known))
        self.plan.index_copy_(2, position, self.tokens[:, :, None])
        position.add_(1)

    def _attention(self, attention: Attention, index: int, x: Tensor, rope: Tensor | None) -> Tensor:
        spec, position = self.spec, self.position
        q, k, v = queries_keys_values(spec, attention, x, rope)
        keys, values = self._pair("keys", "values", index)
        keys.index_copy_(2, position, k[:, :, None])
        values.index_copy_(2, position, v[:, :, None])
        span = spec.span(index)
        keys, values, read = _span_read(span, position, keys, values)
        y = F.scaled_dot_product_attention(q[:, :, None], keys, values, attn_mask=read[None, None])  # [R, H, 1, E]
        if span is not None and span.kind == "previous_row":  # the first block has none
            y = torch.where(position >= span.size, y, 0)
        return x + F.linear(y.reshape(len(x), -1), attention.out.weight, attention.out.bias)

    def _pair(self, first: str, second: str, index: int) -> tuple[Tensor, Tensor]:
        return self.get_buffer(f"{first}_{index}"), self.get_buffer(f"{second}_{index}")

    def _drawn(self, logits: Tensor) -> Tensor:
        """Guidance, temperature, top-k, top-p and a draw; int64 [1, K]. Exponential noise, as torch draws inside."""
        model = self.model
        scores = self.weights[0] * logits[0].float()  # [K, V]
        for weight, block in zip(self.weights[1:], logits[1:], strict=True):
            scores = scores + weight * block.float()
        if self.greedy:
            return scores.argmax(-1)[None]
        scores = scores / model.temperature
        if model.top_k:
            least = torch.topk(scores, min(model.top_k, scores.shape[-1]))[0][:, -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if model.top_p < 1:
            ordered, order = scores.sort(dim=-1, descending=True)
            mass = F.softmax(ordered, -1)
            dropped = mass.cumsum(-1) - mass >= model.top_p
            scores = scores.masked_fill(dropped.scatter(-1, order, dropped), -torch.inf)
        p = F.softmax(scores, -1)
        return (p / torch.empty_like(p).exponential_(1)).argmax(-1)[None]

    @torch.inference_mode(False)
    @torch.no_grad()
    def start(self, position: int, token: int = 5, plan: Tensor | None = None) -> None:
        """Go to a position, to read a token in every stream, and to fill a plan int64 [1, K, up to C] from there."""
        self.position.fill_(position)
        self.tokens.fill_(token)
        self.plan.fill_(OPEN)
        if plan is not None:
            self.plan[:, :, : plan.shape[2]] = plan.to(self.plan.device)

    @torch.inference_mode(False)
    @torch.no_grad()
    def run(self, count: int, step: Callable[[], object] | None = None) -> None:
        """Take steps, by `forward` or by what the compiler made of it."""
        for _ in range(count):
            (step or self.forward)()

    @torch.inference_mode(False)
    @torch.no_grad()
    def forced(self, tokens: Tensor, step: Callable[[], object] | None = None) -> Tensor:
        """Logits float32 [T, R, K, V] along given tokens [1, K, T], step by step."""
        found = []
        self.start(0)
        for t in range(tokens.shape[2]):
            self.tokens.copy_(tokens[:, :, t])
            self.run(1, step)
            found.append(self.logits.to(torch.float32, copy=True))
        return torch.stack(found)

    def generate(self, num_frames: int, *, greedy: bool = False) -> Tensor:
        """Frames int64 [K, num_frames] of one piece.

        Raises:
            ValueError: more steps than there is room for.
        """
        layout = layout_of(self.model)
        plan = layout.arrange(torch.zeros(1, self.spec.codebooks, 0, dtype=torch.int64), num_frames)
        if plan.shape[2] > self.capacity:
            raise ValueError(f"{plan.shape[2]} steps are asked for; there is room for {self.capacity}")
        self.greedy = greedy
        self.start(0, getattr(layout, "special", None) or 0, plan)
        self.run(plan.shape[2])
        return layout.restore(self.plan[:, :, : plan.shape[2]])[0]

    @torch.inference_mode(False)
    @torch.no_grad()
    def fill(self) -> None:
        """Random keys and values, as of a piece that has begun."""
        for name, buffer in self.named_buffers():
            if name.startswith(("keys_", "values_")):
                buffer.normal_()

    def compiled(self, backend: str = "inductor") -> Callable[[], object]:
        """`forward` by torch.compile, compiled and run: on a GPU a CUDA graph.

        Raises:
            RuntimeError: what torch.compile raises.
        """
        from torch._dynamo.utils import counters

        mode = "reduce-overhead" if backend == "inductor" else None
        step = torch.compile(self.forward, fullgraph=True, dynamic=False, backend=backend, mode=mode)
        counters["inductor"].pop("cudagraph_skips", None)
        started = time.perf_counter()
        self.greedy = False
        self.start(0)
        self.run(3, step)  # compiles, records, replays
        self.compile_s, self.skips = time.perf_counter() - started, counters["inductor"]["cudagraph_skips"]
        return step


def _span_read(
    span: Span | None, position: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:  # keys and values [R, H, S, E] that may be read, and bool [1, S] which are
    if span is None or span.kind == "prefix":
        size = keys.shape[2] if span is None else min(span.size, keys.shape[2])
        at = torch.arange(size, device=position.device)[None]
        return keys[:, :, :size], values[:, :, :size], at <= position
    axis = 3 if span.kind == "column" else 2
    block, place = position // span.size, position % span.size
    chosen = {"row": block, "column": place, "previous_row": (block - 1).clamp(min=0)}[span.kind]
    # [R, H, S, E] as [R, H, blocks, block, E], of which one row or one column is read
    keys, values = (
        part.unflatten(2, (-1, span.size)).index_select(axis, chosen).squeeze(axis) for part in (keys, values)
    )
    at = torch.arange(keys.shape[2], device=position.device)[None]
    last = {"row": place, "column": block, "previous_row": torch.where(block > 0, span.size, -1)}[span.kind]
    return keys, values, at <= last


def queries_keys_values(
    spec: DecoderSpec, attention: Attention, x: Tensor, rope: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the residual stream [R, D]: three [R, H, E], turned by one position's row of the table."""
    qkv = F.linear(normed(spec, attention.norm, x), attention.qkv.weight, attention.qkv.bias)
    q, k, v = (part.view(-1, spec.heads, spec.head_dim) for part in qkv.chunk(3, -1))
    if attention.q_norm is not None and attention.k_norm is not None:
        q, k = rms(q, attention.q_norm.weight, spec.eps), rms(k, attention.k_norm.weight, spec.eps)
    if rope is not None:
        q, k = rotate(q, rope), rotate(k, rope)
    return q, k, v


def cross_attention(spec: DecoderSpec, cross: CrossAttention, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """A layer's cross-attention in plain torch, [R, D] to [R, D]."""
    q = F.linear(normed(spec, cross.norm, x), cross.q.weight, cross.q.bias).view(-1, spec.heads, spec.head_dim)
    y = F.scaled_dot_product_attention(q[:, :, None], keys, values)
    return x + F.linear(y.reshape(len(x), -1), cross.out.weight, cross.out.bias)


def feed_forward(spec: DecoderSpec, ffn: FeedForward, x: Tensor) -> Tensor:
    """A layer's wide part in plain torch, [R, D] to [R, D]."""
    y = F.linear(normed(spec, ffn.norm, x), ffn.up.weight, ffn.up.bias)
    if spec.activation == "gelu":
        y = F.gelu(y)
    elif spec.activation == "quick_gelu":
        y = y * torch.sigmoid(1.702 * y)
    else:
        gate, value = y.chunk(2, -1)
        y = F.silu(gate) * value
    return x + F.linear(y, ffn.down.weight, ffn.down.bias)


def normed(spec: DecoderSpec, norm: Norm, x: Tensor) -> Tensor:
    """A norm of its own, as torch has it."""
    if spec.norm == "layer":
        return F.layer_norm(x, (spec.width,), norm.weight, norm.bias, spec.eps)
    return F.rms_norm(x, (spec.width,), norm.weight, spec.eps)
