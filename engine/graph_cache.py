"""Captured steps that outlive the call that captured them, for the next call of the same shape.

Capturing a step takes tens of times as long as the step itself. So it is kept with its buffers when a sequence is over,
and the next sequence that differs in nothing a graph has by number (`StepShape`) fills the buffers and replays it.
Knows what is kept, for how long, and who has it; what a graph holds is `graph`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.graph import StepGraph
from clavilux.kernels.backend import preferred
from clavilux.kernels.sample import kind_of
from clavilux.layout import OPEN, Layout
from clavilux.sampling import SamplingSpec
from clavilux.state import Memory, all_alike, in_place, rounded_up

MOST_KEPT = 8
SHARE_KEPT = 1 / 8  # of a device's memory, for all that is kept
SHARE_FREE = 1 / 8  # of it, that has to stay free beside what is kept: for a codec, or another model

_T = TypeVar("_T")


@dataclass(frozen=True)
class StepShape:
    """What two calls have to share, beside the decoder, to be served by one captured step.

    Attributes:
        batch: rows of tokens.
        blocks: of rows, for guidance; the weights may differ.
        positions: that the state has room for, rounded up.
        num_steps: of the plan's buffer, rounded up.
        drawing: the kind of temperature, top_k and top_p (`kind_of`); their values may differ.
        scheduled: whether the weights of guidance change from step to step.
        groups: of a mark; 0 for a draw without one.
        layout: which says what may be drawn at each step.
        prefix: positions of the prefix, where something is added at each token; else it is not the step's concern.
        parts: of the conditioning that a step reads: name, dtype, the length of a memory, and whether all rows are one.
        folded: of a memory's texts how many are folded, the positions of the longest, and whether all are.
        placed: `Decoder.placed`, where the weights are.
        cache_dtype: of keys and values; None: the decoder's own.
        backend: whose kernels, where that is asked for.
    """

    batch: int
    blocks: int
    positions: int
    num_steps: int
    drawing: tuple[str, bool, bool]
    scheduled: bool
    groups: int
    layout: Layout | None
    prefix: int | None
    parts: tuple[tuple[str, torch.dtype, int, bool], ...]
    folded: tuple[int, int, bool]
    placed: int
    cache_dtype: torch.dtype | None
    backend: str | None

    @classmethod
    def of(
        cls, decoder: Decoder, batch: int, sampling: SamplingSpec, num_steps: int, layout: Layout | None,
        held: Conditioning, capacity: int, memory: Memory,
    ) -> StepShape:  # fmt: skip
        """Of a sequence; held and capacity as `clavilux.context_window.first_window` gives them, memory as
        `Decoder.read_memory` does.
        """
        positions = rounded_up(capacity, decoder.spec.max_positions)
        parts = []
        for name in ("memory", "memory_mask", "additive", "output_additive", "pad_lengths"):
            part = getattr(held, name)
            if part is not None:
                length = part.shape[1] if name == "memory" else 0
                parts.append((name, part.dtype, length, all_alike(part)))
        return cls(
            batch=batch, blocks=len(sampling.weights), positions=positions,
            num_steps=rounded_up(max(num_steps, positions + 1)),
            drawing=kind_of(sampling.temperature, sampling.top_k, sampling.top_p, decoder.spec.num_outputs),
            scheduled=len(sampling.table) > 1,
            groups=sampling.mark.tokens.num_groups if sampling.mark is not None and sampling.is_marked else 0,
            layout=layout, prefix=None if held.additive is None else held.num_prefix, parts=tuple(parts),
            folded=memory.folded_shape, placed=decoder.placed, cache_dtype=decoder.cache_dtype, backend=preferred(),
        )  # fmt: skip

    def new_graph(self, decoder: Decoder, sampling: SamplingSpec, held: Conditioning) -> StepGraph:
        """A step of this shape with buffers of its own; `StepGraph.begin` is to follow."""
        # Buffers that are made in inference mode could not be written outside it.
        with torch.inference_mode(False), torch.no_grad():
            state = decoder.new_state(self.blocks * self.batch, in_place(held, self.positions), self.positions)
            plan = torch.full(
                (self.batch, decoder.spec.codebooks, self.num_steps), OPEN, device=decoder.embed.weight.device
            )
            return StepGraph(decoder, state, sampling, plan, self.layout)


@dataclass(eq=False)
class _Kept:
    """A captured step that no call has."""

    shape: StepShape
    graph: StepGraph
    num_bytes: int
    number: int  # the higher, the later it was used


class GraphCache:
    """The captured steps that are kept: a few, of bounded size, those used last.

    They die with their decoder. A step that a call has (`lease`) is no one else's; a second call of the same shape at
    the same time gets one of its own, which is kept beside the first when both are over.

    Attributes:
        capture_s: seconds that capturing took in all.
        num_captured: how many steps were captured.
    """

    def __init__(self, most: int = MOST_KEPT, most_bytes: int | None = None) -> None:
        """most: how many are kept; most_bytes: of all together, `SHARE_KEPT` of the device's memory if None."""
        self._most, self._most_bytes = most, most_bytes
        self._kept: WeakKeyDictionary[Decoder, list[_Kept]] = WeakKeyDictionary()
        self._lock = threading.RLock()
        self._uses, self._holders = 0, 0
        self.capture_s, self.num_captured = 0.0, 0

    def __len__(self) -> int:
        return len(self._all())

    @property
    def num_bytes(self) -> int:
        """Of all that is kept."""
        return sum(each.num_bytes for each in self._all())

    @contextmanager
    def lease(self, decoder: Decoder, shape: StepShape, make: Callable[[], StepGraph]) -> Iterator[StepGraph]:
        """A step of a shape for one sequence, kept from before or made; kept afterwards unless the sequence failed."""
        graph = self._taken(decoder, shape) or self.with_room(make)
        captured, capture_s = graph.captured, graph.capture_s
        try:
            yield graph
        except GeneratorExit:  # no more of the sequence is wanted
            self._keep(decoder, shape, graph)
            raise
        else:
            self._keep(decoder, shape, graph)
        finally:
            with self._lock:
                self.capture_s += graph.capture_s - capture_s
                self.num_captured += graph.captured and not captured

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it, the step used last is kept however large it is: for a render that is a row of sequences."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
            self._trim()

    def with_room(self, call: Callable[[], _T]) -> _T:
        """What `call` gives; where memory runs out, all that is kept is let go of, and it is called once more."""
        try:
            return call()
        except torch.OutOfMemoryError:
            if not self.let_go():
                raise
        return call()  # outside the handler, whose traceback would keep what the first call had made

    def let_go(self) -> int:
        """Drop all that is kept, for memory; how many there were."""
        with self._lock:
            dropped = self._all()
            for each in dropped:
                self._drop(each)
        if dropped and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return len(dropped)

    def _all(self) -> list[_Kept]:
        return [each for those in self._kept.values() for each in those]

    def _taken(self, decoder: Decoder, shape: StepShape) -> StepGraph | None:
        with self._lock:
            those = self._kept.get(decoder, [])
            found = [each for each in those if each.shape == shape]
            if not found:
                return None
            those.remove(found[-1])
            return found[-1].graph

    def _keep(self, decoder: Decoder, shape: StepShape, graph: StepGraph) -> None:
        graph.rest()
        with self._lock:
            self._uses += 1
            those = self._kept.setdefault(decoder, [])
            for stale in [each for each in those if each.shape.placed != decoder.placed]:
                self._drop(stale)
            if shape.placed == decoder.placed:
                those.append(_Kept(shape, graph, graph.num_bytes, self._uses))
        self._trim()

    def _trim(self) -> None:
        """Drop those used longest ago until the others are within bounds."""
        with self._lock:
            kept = sorted(self._all(), key=lambda each: each.number)
            while kept and not self._fits(kept) and not (self._holders and len(kept) == 1):
                self._drop(kept.pop(0))

    def _fits(self, kept: list[_Kept]) -> bool:
        size, device = sum(each.num_bytes for each in kept), kept[-1].graph.tokens.device
        most = self._most_bytes
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            if free < total * SHARE_FREE:
                return False
            most = int(total * SHARE_KEPT) if most is None else most
        return len(kept) <= self._most and (most is None or size <= most)

    def _drop(self, dropped: _Kept) -> None:
        dropped.graph.wait()
        for those in self._kept.values():
            if dropped in those:
                those.remove(dropped)


GRAPHS = GraphCache()  # one for the process, as a device's memory is: what one model keeps, another may need
