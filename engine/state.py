"""The state of one decode: the key-value cache, allocated once, and the position.

It is an explicit argument of the decoder, never held by it; knows nothing of how tokens are drawn. A layer with a span
caches only what a later position can still read, where `clavilux.kernels.span` says.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from clavilux.conditioning import Conditioning
from clavilux.kernels import huge_pages
from clavilux.kernels.cross_step import FoldedMemory
from clavilux.kernels.span import Span
from clavilux.spec import DecoderSpec

_ALIGNED = 64  # elements: every layer's part begins where the widest loads may
_READ_BY_STEPS = ("additive", "output_additive", "memory_mask", "pad_lengths")  # of a conditioning, beside its memory
KeysAndValues = dict[int, tuple[torch.Tensor, torch.Tensor]]


def rounded_up(positions: int, most: int | None = None) -> int:
    """Room for so many positions, so that sequences of nearly one length share a state: 64, 80, 96, 112, 128, 160 ...

    Four sizes from each power of two to the next, so that at most a quarter is more than was asked for; never above
    `most`.
    """
    multiple = 1 << max(4, (positions - 1).bit_length() - 3)
    rounded = max(64, positions + -positions % multiple)
    return rounded if most is None else min(rounded, most)


def places_of(spec: DecoderSpec, capacity: int) -> list[int]:
    """How many positions each layer caches, where there is room for `capacity`."""
    spans = [spec.span(layer) for layer in range(spec.layers)]
    return [
        0 if not spec.attends(layer) else capacity if span is None else span.num_slots(capacity)
        for layer, span in enumerate(spans)
    ]


class LayerMemory(NamedTuple):
    """What a layer's steps read of a memory: `folded`, where a row has a slot in it, and `kv`, unless it is `whole`."""

    kv: tuple[torch.Tensor, torch.Tensor]
    folded: FoldedMemory | None
    whole: bool


@dataclass(frozen=True, eq=False)
class Memory:
    """A conditioning's memory, as the layers with cross-attention read it.

    Attributes:
        kv: by layer, keys and values [B, H, S, E].
        folded: by layer, what steps read in their place (`clavilux.memory_folding`); empty: nothing.
        whole: whether no row's steps read keys and values.
    """

    kv: KeysAndValues = field(default_factory=dict)
    folded: dict[int, FoldedMemory] = field(default_factory=dict)
    whole: bool = False

    @property
    def folded_shape(self) -> tuple[int, int, bool]:
        """(texts that are folded, positions of the longest, whether no row's steps read keys and values)."""
        first = next(iter(self.folded.values()), None)
        return (0, 0, False) if first is None else (len(first.scores), first.keys, self.whole)

    def of(self, layer: int) -> LayerMemory | None:
        """What one layer reads; None where it has no cross-attention."""
        kv = self.kv.get(layer)
        return None if kv is None else LayerMemory(kv, self.folded.get(layer), self.whole)

    def tensors(self) -> list[torch.Tensor]:
        """All that it holds."""
        folded = [part for each in self.folded.values() for part in each.tensors()]
        return [*(part for pair in self.kv.values() for part in pair), *folded]

    def overwrite(self, new: "Memory") -> None:
        """Take what another of the same shapes holds; every tensor stays in its place."""
        for held, part in zip(self.tensors(), new.tensors(), strict=True):
            held.copy_(part)


class DecodeState:
    """What a decoder has read so far.

    Attributes:
        position: the positions filled so far, the prefix's included; 0 .. capacity.
        capacity: the positions that there is room for.
        k, v: a list with one [B, H, places, E] view a layer; places is the capacity, or what the layer's span needs
            (0 without self-attention). What lies beyond what a position reads means nothing.
        memory: what the layers with cross-attention read.
        conditioning: what the rows are conditioned on; its prefix is read by the first prefill.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        batch: int,
        capacity: int,
        *,
        conditioning: Conditioning,
        dtype: torch.dtype,
        device: torch.device,
    ):
        places = places_of(spec, capacity)
        sizes = [batch * spec.heads * count * spec.head_dim for count in places]
        padded = [size + -size % _ALIGNED for size in sizes]
        cache = torch.empty(2, sum(padded), dtype=dtype, device=device)
        huge_pages.advise(cache)
        cache.zero_()
        self.k, self.v = (
            [
                part[:size].view(batch, spec.heads, count, spec.head_dim)
                for part, size, count in zip(half.split(padded), sizes, places, strict=True)
            ]
            for half in cache
        )
        self.batch = batch
        self.capacity = capacity
        self.position = 0
        self.conditioning = conditioning
        self.memory = Memory()
        spans = [spec.span(layer) for layer in range(spec.layers)]
        # Rows that are over are overwritten: what cannot be gone back into.
        self._block = max((span.size for span in spans if span and span.kind in ("row", "previous_row")), default=0)

    @property
    def num_tokens(self) -> int:
        """The tokens read so far, without the prefix."""
        return max(0, self.position - self.conditioning.num_prefix)

    @property
    def cache_bytes(self) -> int:
        """Bytes of all keys and values of self-attention."""
        return sum(part.numel() * part.element_size() for part in self.k + self.v)

    def stepped_from(self, rows: int) -> int:
        """The position at which a step of so many rows of tokens reads. ValueError where it cannot."""
        position, prefix = self.position, self.conditioning.num_prefix
        if position >= self.capacity or self.batch % rows or position < prefix:
            raise ValueError(
                f"a step of {rows} rows at position {position} is asked for; the state has {self.batch} rows, "
                f"a prefix of {prefix} and room for {self.capacity} positions"
            )
        return position

    def holds(self, position: int) -> bool:
        """Whether reading can go on from `position` with what is cached: `rewind` to it is possible."""
        if not 0 <= position <= self.position or 0 < position < self.conditioning.num_prefix:
            return False
        return position == 0 or not self._block or position // self._block >= (self.position - 1) // self._block

    def rewind(self, position: int) -> None:
        """Forget what was read at `position` and beyond; 0 starts anew, with the same memory.

        Raises:
            ValueError: a position that has not been reached, that cuts the prefix in two, or whose row is overwritten.
        """
        if not self.holds(position):
            first = self.conditioning.num_prefix
            if self._block:
                first = max(first, (self.position - 1) // self._block * self._block)
            raise ValueError(
                f"position is {position}; it should be 0, or from {first} "
                f"({'what the spans still hold' if self._block else 'the prefix'}) to {self.position} (read so far)"
            )
        self.position = position

    def restart(self, conditioning: Conditioning, memory: Memory) -> None:
        """Begin anew under another conditioning, which is written over the one before: every tensor stays in its place.

        Args:
            conditioning: with the parts of the state's own, each of its shape or, what is added at each position,
                shorter; the state's own was made by `in_place`. A prefix is taken as it is: a prefill reads it, no
                step does.
            memory: as `Decoder.read_memory` gives it, of the shapes of the state's own.
        """
        kept: dict[str, Any] = {name: getattr(self.conditioning, name) for name in _READ_BY_STEPS}
        for name, held in kept.items():
            if held is not None:
                overwrite(held, getattr(conditioning, name))
        self.memory.overwrite(memory)
        self.position, self.conditioning = 0, replace(conditioning, **kept)

    def tensors(self) -> list[torch.Tensor]:
        """All that a step reads or writes: what has to stay in its place once a step is captured."""
        given = [getattr(self.conditioning, name) for name in _READ_BY_STEPS]
        return [*self.k, *self.v, *self.memory.tensors(), *(part for part in given if part is not None)]


def in_place(given: Conditioning, capacity: int) -> Conditioning:
    """A conditioning of the same shapes in tensors of its own, and with room for `capacity` positions: what
    `DecodeState.restart` writes over. What a step does not read is shared.
    """
    sizes = {"additive": capacity - given.num_prefix, "output_additive": capacity}
    parts: dict[str, Any] = {}
    for name in _READ_BY_STEPS:
        part = getattr(given, name)
        if part is not None:
            rows = part[:1] if all_alike(part) else part  # 64 songs under one set of labels: one row, not 5 GB
            held = (
                torch.zeros_like(rows) if name not in sizes else rows.new_zeros(len(rows), sizes[name], rows.shape[2])
            )
            parts[name] = held.expand(len(part), *held.shape[1:])
            overwrite(parts[name], part)
    return replace(given, **parts)


def all_alike(part: torch.Tensor) -> bool:
    """Whether its rows are one row in memory, expanded."""
    return len(part) > 1 and part.stride(0) == 0


def overwrite(held: torch.Tensor, new: torch.Tensor) -> None:
    """Write new [B, n, ...] over the beginning of held [B, T, ...], as far as both reach."""
    if all_alike(held):  # torch refuses to write a place twice
        held, new = held[:1], new[:1]
    if held.ndim == 1:
        held.copy_(new)
        return
    size = min(held.shape[1], new.shape[1])
    held[:, :size].copy_(new[:, :size])


def extended(
    k_cache: torch.Tensor, v_cache: torch.Tensor, span: Span | None, position: int, k: torch.Tensor, v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write what was read from `position` on to a layer's cache; keys and values up to there, in order of positions.

    Args:
        k_cache, v_cache: [B, H, places, E].
        span: the layer's.
        position: of the first new one.
        k, v: [B, H, T, E], the new ones.

    Returns:
        Two [B, H, S, E]: from the start of the block before the first new position's own for row and previous_row,
        the first ones for a prefix, all otherwise; the new ones are the last.
    """
    end = position + k.shape[2]
    if span is None:
        k_cache[:, :, position:end] = k
        v_cache[:, :, position:end] = v
        return k_cache[:, :, :end], v_cache[:, :, :end]
    return _extended(k_cache, span, position, k), _extended(v_cache, span, position, v)


def _extended(cache: torch.Tensor, span: Span, position: int, new: torch.Tensor) -> torch.Tensor:
    places, end, new = cache.shape[2], position + new.shape[2], new.to(cache.dtype)
    first = 0
    if span.kind in ("row", "previous_row"):
        blocks_back = 0 if span.kind == "row" else 1
        first = max(0, position // span.size - blocks_back) * span.size
    known = torch.arange(first, position, device=new.device)
    if span.kind == "prefix":
        known, new = known[: span.size], new[:, :, : max(0, span.size - position)]
    whole = new if not len(known) else torch.cat([cache.index_select(2, span.slot(known, places)), new], 2)
    # Of a ring only the last blocks are kept: an earlier position's place is a later one's as well.
    kept = position
    if span.kind in ("row", "previous_row"):
        kept = max(position, (end - 1) // span.size * span.size - blocks_back * span.size)
    written = torch.arange(kept, position + new.shape[2], device=new.device)
    cache.index_copy_(2, span.slot(written, places), new[:, :, kept - position :])
    return whole
