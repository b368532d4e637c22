"""What a decoder is conditioned on, as tensors of its own width.

Knows shapes and how rows are put together; does not know where they come from (text, melody, notes).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Tensors that condition a decoder of width D; any of them may be None, and all have the same B rows.

    Attributes:
        prefix: [B, P, D], placed before the first token; it takes the first P positions of the context.
        memory: [B, S, D], read by the layers that have cross-attention.
        memory_mask: bool [B, S], False where memory is padding. A row that is False everywhere is an empty
            memory: its cross-attention gives 0.
        additive: [B, T, D], additive[:, t] is added to the embedding of token t (the prefix is not counted).
        output_additive: [B, P + T, D], output_additive[:, p] is added to what the head reads at position p
            (the prefix is counted).
        window_prefixes: the prefixes, like `prefix`, of the windows after the first one, where those differ; the last
            of them is also that of any window after it. Empty: `prefix` stands in every window.
        pad_lengths: int64 [B], 0 .. P - 1: so many positions at the beginning of the prefix are padding, which no
            position reads. None: none are.

    Raises:
        ValueError: shapes or rows that do not agree.
    """

    prefix: torch.Tensor | None = None
    memory: torch.Tensor | None = None
    memory_mask: torch.Tensor | None = None
    additive: torch.Tensor | None = None
    window_prefixes: tuple[torch.Tensor, ...] = ()
    pad_lengths: torch.Tensor | None = None
    output_additive: torch.Tensor | None = None

    def __post_init__(self) -> None:
        rows = set()
        for name, dimensions in (
            ("prefix", 3), ("memory", 3), ("memory_mask", 2), ("additive", 3), ("output_additive", 3),
        ):  # fmt: skip
            tensor = getattr(self, name)
            if tensor is None:
                continue
            if tensor.ndim != dimensions:
                raise ValueError(f"{name} is {tuple(tensor.shape)}; it should have {dimensions} dimensions")
            rows.add(tensor.shape[0])
        if any(self.prefix is None or later.shape != self.prefix.shape for later in self.window_prefixes):
            raise ValueError(
                f"the window_prefixes are {[tuple(x.shape) for x in self.window_prefixes]}; they should be as the first"
            )
        if len(rows) > 1:
            raise ValueError(f"the parts of a conditioning have {sorted(rows)} rows; they should have the same")
        if self.memory_mask is not None:
            if self.memory is None or self.memory_mask.shape != self.memory.shape[:2]:
                raise ValueError(f"memory_mask is {tuple(self.memory_mask.shape)}; it should be memory's [B, S]")
            if self.memory_mask.dtype != torch.bool:
                raise ValueError(f"memory_mask is {self.memory_mask.dtype}; it should be bool")
        if self.pad_lengths is not None:
            count, room = (0, 0) if self.prefix is None else self.prefix.shape[:2]
            if self.pad_lengths.shape != (count,) or self.pad_lengths.dtype != torch.int64:
                given = f"{self.pad_lengths.dtype} {tuple(self.pad_lengths.shape)}"
                raise ValueError(f"pad_lengths is {given}; it should be int64 [{count}], one a row of the prefix")
            if not 0 <= int(self.pad_lengths.min()) <= int(self.pad_lengths.max()) < room:
                raise ValueError(
                    f"pad_lengths are {self.pad_lengths.tolist()}; they should be from 0 to {room - 1}, in the prefix"
                )

    @property
    def rows(self) -> int | None:
        """B, or None where every part is None."""
        parts = (self.prefix, self.memory, self.additive, self.output_additive)
        return next((part.shape[0] for part in parts if part is not None), None)

    @property
    def num_prefix(self) -> int:
        """P, the positions that the prefix takes."""
        return 0 if self.prefix is None else self.prefix.shape[1]

    def window(self, keep: int, start: int, index: int = 0) -> "Conditioning":
        """The same for a window, the `index`-th, that holds tokens 0 .. keep - 1, then tokens from `start` on."""
        prefix = self._prefix_of(index)
        additive = self.additive
        output, first = self.output_additive, self.num_prefix
        if additive is not None and start > keep:
            additive = torch.cat([additive[:, :keep], additive[:, start:]], dim=1)
        if output is not None and start > keep:
            output = torch.cat([output[:, : first + keep], output[:, first + start :]], dim=1)
        if prefix is self.prefix and additive is self.additive and output is self.output_additive:
            return self
        return replace(self, prefix=prefix, additive=additive, window_prefixes=(), output_additive=output)

    def take_rows(self, rows: Sequence[int]) -> "Conditioning":
        """The same for some of its rows, in the given order."""
        if self.rows is None:
            return self
        index = torch.tensor(list(rows))

        def taken(part: torch.Tensor | None) -> torch.Tensor | None:
            return None if part is None else part[index.to(part.device)]

        return Conditioning(
            taken(self.prefix), taken(self.memory), taken(self.memory_mask), taken(self.additive),
            tuple(part[index.to(part.device)] for part in self.window_prefixes), taken(self.pad_lengths),
            taken(self.output_additive),
        )  # fmt: skip

    def padded_memory(self, multiple: int) -> "Conditioning":
        """The same with a memory whose length is a multiple of `multiple`; what is added to it is masked."""
        memory = self.memory
        if memory is None or memory.shape[1] % multiple == 0:
            return self
        rows, length, _ = memory.shape
        added = -length % multiple
        mask = memory.new_ones(rows, length, dtype=torch.bool) if self.memory_mask is None else self.memory_mask
        return replace(self, memory=F.pad(memory, (0, 0, 0, added)), memory_mask=F.pad(mask, (0, added)))

    def _prefix_of(self, index: int) -> torch.Tensor | None:
        """The prefix of the `index`-th window; the first one's is `prefix`."""
        return (self.prefix, *self.window_prefixes)[min(index, len(self.window_prefixes))]

    @staticmethod
    def stack(parts: Sequence["Conditioning"]) -> "Conditioning":
        """Put the rows of several conditionings under each other, in the given order.

        For guidance the order is: the conditional rows, then the unconditional ones (then a third kind).
        Memories of several lengths are padded and masked; a part without a memory gets an empty one, and a
        part without an additive gets zeros.

        Raises:
            ValueError: only some parts have a prefix, or prefixes or additives differ in length; or a part that needs
                filling does not say how many rows it has.
        """
        prefixes = [part.prefix for part in parts if part.prefix is not None]
        if prefixes and len(prefixes) < len(parts):
            raise ValueError("only some of the conditionings have a prefix; all should, as it takes positions")
        prefix = torch.cat(prefixes) if prefixes else None
        memory, memory_mask = _stack_memories(parts)
        count = max((len(part.window_prefixes) for part in parts), default=0)
        later = []
        for index in range(1, count + 1):
            of_window = [part._prefix_of(index) for part in parts]
            later.append(torch.cat([one for one in of_window if one is not None]))
        pads = None
        if any(part.pad_lengths is not None for part in parts):
            pads = torch.cat([_pad_lengths(*pair) for pair in zip(parts, prefixes, strict=True)])
        additive, output = (_stack_additives(parts, name) for name in ("additive", "output_additive"))
        return Conditioning(prefix, memory, memory_mask, additive, tuple(later), pads, output)


def _rows(part: Conditioning, parts: Sequence[Conditioning]) -> int:
    # A part with nothing in it has as many rows as the first: the unconditional half of a guided batch.
    rows = part.rows or parts[0].rows
    if rows is None:
        raise ValueError("the first conditioning is empty; it should say how many rows there are")
    return rows


def _pad_lengths(part: Conditioning, prefix: torch.Tensor) -> torch.Tensor:
    none = torch.zeros(len(prefix), dtype=torch.int64, device=prefix.device)
    return none if part.pad_lengths is None else part.pad_lengths


def _stack_memories(parts: Sequence[Conditioning]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    known = next((part.memory for part in parts if part.memory is not None), None)
    if known is None:
        return None, None
    length = max(part.memory.shape[1] for part in parts if part.memory is not None)
    memories, masks = [], []
    for part in parts:
        rows = _rows(part, parts)
        memory = known.new_zeros(rows, length, known.shape[2])
        mask = torch.zeros(rows, length, dtype=torch.bool, device=known.device)
        if part.memory is not None:
            size = part.memory.shape[1]
            memory[:, :size] = part.memory
            mask[:, :size] = True if part.memory_mask is None else part.memory_mask
        memories.append(memory)
        masks.append(mask)
    mask = torch.cat(masks)
    return torch.cat(memories), None if mask.all() else mask


def _stack_additives(parts: Sequence[Conditioning], name: str) -> torch.Tensor | None:
    given = [getattr(part, name) for part in parts]
    known = next((additive for additive in given if additive is not None), None)
    if known is None:
        return None
    zeros = [known.new_zeros(_rows(part, parts), *known.shape[1:]) for part in parts]
    return torch.cat([zero if additive is None else additive for additive, zero in zip(given, zeros, strict=True)])
