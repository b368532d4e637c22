"""The one transformer decoder that every checkpoint family runs on.

Knows how a `DecoderSpec` becomes layers and how those are run: over a whole sequence (training), over a
prompt (prefill) and over one position (step). Does not know what a layer is made of (`layers`), what tokens mean,
how they are drawn, or any checkpoint's names.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from clavilux.conditioning import Conditioning
from clavilux.kernels.embed import embed
from clavilux.kernels.embed.reference import at
from clavilux.kernels.norm_linear import norm_linear
from clavilux.kernels.quantized import Int8Weight, dequantize
from clavilux.layers import KV, CrossAttention, Layer, Norm, StepPart, replace_weight
from clavilux.memory_folding import folded, folding
from clavilux.positions import grid_table, rope_table, sinusoidal_table
from clavilux.skeleton import skeletons
from clavilux.spec import DecoderSpec
from clavilux.state import DecodeState, Memory

__all__ = ["Decoder", "DecoderSpec"]


class Decoder(nn.Module):
    """A causal transformer over K parallel streams of tokens, built from a `DecoderSpec`.

    `forward` reads a whole sequence; `new_state`, `prefill` and `step` read it in pieces, with the same
    result.

    Attributes:
        spec: what it was built from.
        num_parameters: of all its weights, packed or not.
        cache_dtype: of the keys and values that a state holds; None: as the weights that are not packed.
        placed: how often its weights were moved, cast or packed: what was captured before has other addresses.
    """

    positions: Tensor | None
    rope: Tensor | None  # of all positions: [max_positions, 2, E]

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        # One table for all codebooks, so that a step looks its tokens up at once: [K * V, D].
        self.embed = nn.Embedding(spec.codebooks * spec.vocabulary, spec.width)
        if spec.positions == "learned":
            self.positions = nn.Parameter(torch.empty(spec.max_positions, spec.width))
        if not self.embed.weight.is_meta:
            self.make_tables()
        self.layers = nn.ModuleList(Layer(spec, index) for index in range(spec.layers))
        self.norm = Norm(spec.width, spec.norm_bias) if spec.final_norm else None
        # One head a codebook, kept as one matrix: [K * V, D].
        self.head_up: nn.Linear | None = None
        self.head: nn.Linear | None = None
        if spec.head_width is not None:
            self.head_up = nn.Linear(spec.width, spec.head_width, bias=spec.head_bias)
        if not spec.tied:
            size = spec.head_width or spec.width
            self.head = nn.Linear(size, spec.codebooks * spec.num_outputs, bias=spec.head_bias)
        self.num_parameters = sum(p.numel() for p in self.parameters())
        self.cache_dtype: torch.dtype | None = None
        self.placed = 0
        self._initialize()

    @classmethod
    def from_weights(cls, spec: DecoderSpec, weights: Mapping[str, Tensor | Int8Weight]) -> "Decoder":
        """A decoder that holds these tensors themselves, without a random start or a copy.

        Args:
            spec: its shape.
            weights: by the names of `named_parameters`, exactly these. `matrices` may be int8: then
                `clavilux.precision.prepare` is to follow. An offset of theirs becomes the layer's bias, even where
                the spec has none.

        Raises:
            RuntimeError: a name that is missing, unexpected or misshapen; all are listed.
        """
        with skeletons():
            decoder = cls(spec)
        plain = dict(weights)
        for name, linear in decoder.matrices().items():
            weight = plain.get(f"{name}.weight")
            if isinstance(weight, Int8Weight):
                replace_weight(linear, replace(weight, offset=None))
                del plain[f"{name}.weight"]
                if weight.offset is not None:
                    linear.bias = nn.Parameter(torch.empty_like(weight.offset, device="meta"))
                    plain[f"{name}.bias"] = weight.offset
        tensors = {name: dequantize(weight, torch.float32) for name, weight in plain.items()}
        decoder.load_state_dict(tensors, strict=True, assign=True)
        decoder.make_tables()
        return decoder

    def make_tables(self) -> None:
        """What is computed from positions alone: part of no checkpoint. A skeleton waits for its weights."""
        spec = self.spec
        if spec.positions != "learned":
            table = sinusoidal_table(spec.max_positions, spec.width) if spec.positions == "sinusoidal" else None
            self.register_buffer("positions", table, persistent=False)
        rope, sizes = None, (spec.max_positions, spec.head_dim, spec.rope_theta)
        if spec.positions == "rope":
            rope = rope_table(*sizes)
        elif spec.positions == "rope_2d":
            rope = grid_table(*sizes, spec.columns, spec.grid_prefix)
        self.register_buffer("rope", rope, persistent=False)

    def for_image_size(self, columns: int, rows: int) -> "Decoder":
        """The same weights, not copied, for pictures of another size; only where the spec's positions are "rope_2d"."""
        positions = self.spec.grid_prefix + rows * columns
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        other.spec = replace(self.spec, grid_columns=columns, max_positions=positions)
        with self.embed.weight.device:
            other.make_tables()
        return other

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.placed += 1  # torch has every move and cast of a module pass through here
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def _initialize(self) -> None:
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
            ValueError: capacity over `max_positions`, or a conditioning that does not fit the spec or the batch.
        """
        spec = self.spec
        capacity = spec.max_positions if capacity is None else capacity
        if not 1 <= capacity <= spec.max_positions:
            raise ValueError(f"capacity is {capacity}; it should be from 1 to {spec.max_positions}")
        conditioning = self.checked(conditioning, batch)
        weight = self.embed.weight
        dtype = self.cache_dtype or weight.dtype
        state = DecodeState(spec, batch, capacity, conditioning=conditioning, dtype=dtype, device=weight.device)
        state.memory = self.read_memory(conditioning)
        return state

    def forward(
        self, tokens: Tensor, state: DecodeState | None = None, conditioning: Conditioning | None = None
    ) -> Tensor:
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
            x = self.read(tokens, state, conditioning)
            x = x[:, x.shape[1] - tokens.shape[2] :]  # without the prefix
            logits = self._logits(x.reshape(-1, self.spec.width))
        return logits.view(*x.shape[:2], self.spec.codebooks, -1).transpose(1, 2)

    @torch.no_grad()
    def prefill(self, tokens: Tensor, state: DecodeState) -> Tensor:
        """Read tokens [B, K, T] into the state, at any position; the logits [B, K, V] after the last one.

        T may be 0 where the state's prefix is still to be read: the logits after the prefix.
        """
        x = self.read(tokens, state)
        return self._logits(x[:, -1]).view(len(tokens), self.spec.codebooks, -1)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: DecodeState) -> Tensor:
        """Read one token a codebook into the state; the logits [R * B, K, V] for the next.

        Args:
            tokens: int64 [B, K], for each of the R blocks of B rows that the state holds (guidance).
            state: its prefix, where it has one, has been read by `prefill`.

        Raises:
            ValueError: there is no room for another position, or rows that do not fit.
        """
        position = state.stepped_from(len(tokens))
        logits = self.step_at(tokens, state, position, position + 1)
        state.position = position + 1
        return logits

    @torch.no_grad()
    def step_apart(self, tokens: Tensor, states: Sequence[DecodeState]) -> Tensor:
        """As `step` for several states, wherever each of them stands: tokens int64 [N, K], a row for each.

        The products are of all rows together, so that it costs little more than a step of one state with as many rows.

        Returns:
            [N * R, K, V], one state's logits after another's: on a CPU to the bit what `step` gives for each.
        """
        pairs = list(zip(tokens.split(1), states, strict=True))
        if self.spec.cross_layers or any(state.conditioning.output_additive is not None for state in states):
            return torch.cat([self.step(row, state) for row, state in pairs])
        at = [state.stepped_from(1) for state in states]
        inputs = [self._step_input(row, state, position) for (row, state), position in zip(pairs, at, strict=True)]
        x = torch.cat(inputs)  # [N * R, D]
        for index, layer in enumerate(self._layers):
            x = layer.step_apart(x, self.rope, [StepPart.of(state, index) for state in states])
        for state in states:
            state.position += 1
        return self._logits(x).view(len(x), self.spec.codebooks, -1)

    def step_at(self, tokens: Tensor, state: DecodeState, position: int | Tensor, length: int | Tensor) -> Tensor:
        """As `step`, at a given position, without checks and without moving the state.

        Position and length (the position and 1) may be int32 tensors [1] on the device: then nothing here asks the
        device for a value, and the step can be captured.
        """
        given = state.conditioning
        x = self._step_input(tokens, state, position)  # [R * B, D]
        for index, layer in enumerate(self._layers):
            x = layer.step(x, self.rope, state.k[index], state.v[index], length, state.memory.of(index), given)
        if given.output_additive is not None:
            x = x + at(given.output_additive, 1, position, 0)
        return self._logits(x).view(state.batch, self.spec.codebooks, -1)

    def _step_input(self, tokens: Tensor, state: DecodeState, position: int | Tensor) -> Tensor:
        return embed(
            tokens, self.embed.weight, position, positions=self.positions, additive=state.conditioning.additive,
            prefix=state.conditioning.num_prefix, blocks=state.batch // len(tokens),
        )  # fmt: skip

    def matrices(self) -> dict[str, nn.Linear]:
        """The linear layers that every step reads, by name: those that `clavilux.packing` replaces."""
        keys_and_values = {layer.cross.kv for layer in self._layers if layer.cross is not None}  # read once a render
        linears = {name: part for name, part in self.named_modules() if isinstance(part, nn.Linear)}
        return {name: part for name, part in linears.items() if part not in keys_and_values}

    def read(
        self, tokens: Tensor, state: DecodeState | None = None, conditioning: Conditioning | None = None
    ) -> Tensor:
        """What the head reads, [B, P + T, D]; P is 0 where the prefix is not read. Arguments and errors as `forward`.

        This is also what an encoder that is built as a decoder gives.
        """
        spec = self.spec
        if tokens.ndim != 3 or tokens.shape[1] != spec.codebooks:
            raise ValueError(f"tokens are {tuple(tokens.shape)}; they should be [B, {spec.codebooks}, T]")
        batch = len(tokens)
        if state is None:
            conditioning = self.checked(conditioning, batch)
            position, room, memory_kv = 0, spec.max_positions, self.memory_kv(conditioning)
        else:
            if conditioning is not None:
                raise ValueError("both a state and a conditioning are given; a state has its own conditioning")
            if batch != state.batch:
                raise ValueError(f"tokens have {batch} rows; the state has {state.batch}")
            conditioning, memory_kv = state.conditioning, state.memory.kv
            position, room = state.position, state.capacity
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
        for index, layer in enumerate(self._layers):
            cache = None if state is None else (state.k[index], state.v[index], position)
            x = layer(x, batch, rope, cache, memory_kv.get(index), conditioning)
        if state is not None:
            state.position = end
        x = x.view(batch, num_positions, -1)
        return x if conditioning.output_additive is None else x + conditioning.output_additive[:, position:end]

    def _embedded(self, tokens: Tensor, conditioning: Conditioning, position: int) -> Tensor:
        offsets = torch.arange(self.spec.codebooks, device=tokens.device) * self.spec.vocabulary
        x = self.embed(tokens + offsets[:, None]).sum(1)  # [B, K, T, D] -> [B, T, D]
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

    def _logits(self, x: Tensor) -> Tensor:
        # x: [N, D] -> [N, K * V]
        spec, norm = self.spec, self.norm
        weight, bias = (self.embed.weight, None) if self.head is None else (self.head.weight, self.head.bias)
        gain, shift, kind = (None, None, "none") if norm is None else (norm.weight, norm.bias, spec.norm)
        if self.head_up is not None:
            up = self.head_up
            x = norm_linear(x, gain, shift, up.weight, up.bias, norm=kind, eps=spec.eps, activation="gelu")
            gain, shift, kind = None, None, "none"
        return norm_linear(x, gain, shift, weight, bias, norm=kind, eps=spec.eps)

    def normed_linears(self) -> list[tuple[Norm, nn.Linear]]:
        """Each norm with the linear layer that reads what it makes; the head's last, where one comes before it."""
        pairs = [pair for layer in self._layers for pair in layer.normed_linears()]
        if self.norm is not None:
            pairs.append((self.norm, self.head_up if self.head_up is not None else self.own_head()))
        return pairs

    def own_head(self) -> nn.Linear:
        """The head as a layer of its own: a tied one has been the table, which stays as it is for looking tokens up."""
        if self.head is None:
            self.head = nn.Linear(1, 1, bias=False, device="meta")
            self.head.weight = self.embed.weight
        return self.head

    @property
    def _layers(self) -> Sequence[Layer]:
        return cast("Sequence[Layer]", self.layers)  # of what it holds, a ModuleList says Module only

    def cross_attention(self, index: int) -> CrossAttention:
        """That of a layer which has one."""
        cross = self._layers[index].cross
        assert cross is not None, "only layers that the spec names have cross-attention"
        return cross

    def memory_kv(self, conditioning: Conditioning) -> dict[int, KV]:
        """Keys and values of a conditioning's memory, by layer."""
        memory = conditioning.memory
        return (
            {}
            if memory is None
            else {index: self.cross_attention(index).memory_kv(memory) for index in self.spec.cross_layers}
        )

    @torch.no_grad()
    def read_memory(self, conditioning: Conditioning) -> Memory:
        """What steps read of a checked conditioning's memory."""
        kv = {index: (k.contiguous(), v.contiguous()) for index, (k, v) in self.memory_kv(conditioning).items()}
        dtypes = {part.dtype for pair in kv.values() for part in pair} | {self.embed.weight.dtype}
        if conditioning.rows is None or len(dtypes | {self.cache_dtype} - {None}) > 1:
            return Memory(kv)
        layers = {index: self._layers[index] for index in kv}
        plan = folding(list(layers.values()), conditioning, conditioning.rows, self.embed.weight.dtype)
        if plan is None:
            return Memory(kv)
        try:
            return Memory(kv, {index: folded(layer, kv[index], plan) for index, layer in layers.items()}, plan.whole)
        except OverflowError:  # of float16
            return Memory(kv)

    def checked(self, conditioning: Conditioning | None, batch: int) -> Conditioning:
        """A conditioning for `batch` rows, an empty one for None. Raises ValueError for what does not fit the spec."""
        if conditioning is None:
            conditioning = Conditioning()
        if conditioning.rows not in (None, batch):
            raise ValueError(f"the conditioning has {conditioning.rows} rows; the batch has {batch}")
        for name in ("prefix", "memory", "additive", "output_additive"):
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
