"""A function of tensors that a GPU replays as one CUDA graph: where it consists of many short kernels, launching them
takes longer than running them.

Knows shapes, buffers and graphs. Does not know what is computed, nor a decoding step, whose buffers stay where they are
from step to step (`graph`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

# (what is fixed, tensors) -> (tensors, what else it gives). It must only read its tensors and the weights, must not ask
# the device for a value, and what else it gives must follow from the shapes.
Function = Callable[[Any, Sequence[Tensor]], tuple[list[Tensor], Any]]
Run = Callable[[], list[Tensor]]


class Recorder(Protocol):
    """What a device records a function with."""

    def record(self, run: Run) -> tuple[list[Tensor], Callable[[], None]]:
        """(the tensors that `run` gives, what computes them again, in place)."""

    def in_turn(self) -> AbstractContextManager[None]:
        """In it, what was queued in the one before has been done."""

    def wait(self) -> None:
        """Wait for what was queued in the last one."""


class Captured(nn.Module):
    """A function, captured for each shape that comes for a second time; plain on a device that captures nothing.

    A capture takes about as long as two plain runs, so that a shape which comes once is not worth one. It is a module
    without weights, to be a part of the one whose weights the function reads: where that is moved or cast, and so its
    weights lie elsewhere, the graphs are let go of. A copy of it begins without any.

    Args:
        most: shapes that are remembered; beyond, the one that was used least lately is let go of.
    """

    def __init__(self, most: int = 8) -> None:
        super().__init__()
        self._most = most
        self._graphs: OrderedDict[Hashable, _Graph | None] = OrderedDict()  # None: seen once
        self._recorder: Recorder | None = None
        self._lock = threading.Lock()  # the buffers hold one call's numbers at a time

    def forward(self, function: Function, fixed: Hashable, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
        """What `function(fixed, tensors)` gives.

        Args:
            function: always the same one.
            fixed: what it depends on beside the tensors.
            tensors: all on one device.
        """
        if not self.serves(tensors[0].device):
            return function(fixed, tensors)
        key = (fixed, *((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors))
        with self._lock:
            if key not in self._graphs:
                self._remember(key, None)
                return function(fixed, tensors)
            if self._recorder is None:
                self._recorder = _recorder(tensors[0].device)
            assert self._recorder is not None, "the device captures"
            graph = self._graphs[key]
            with self._recorder.in_turn():
                if graph is None:
                    graph = _Graph(self._recorder, function, fixed, tensors)
                self._remember(key, graph)
                return graph.run(tensors), graph.result

    @staticmethod
    def serves(device: torch.device) -> bool:
        """Whether it captures anything there."""
        return captures(device)

    @property
    def num_graphs(self) -> int:
        """How many shapes are captured."""
        return sum(graph is not None for graph in self._graphs.values())

    def clear(self) -> None:
        """Let go of all graphs."""
        with self._lock:
            if self._recorder is not None:
                self._recorder.wait()
            self._graphs.clear()
            self._recorder = None

    def _remember(self, key: Hashable, graph: _Graph | None) -> None:
        self._graphs[key] = graph
        self._graphs.move_to_end(key)
        if len(self._graphs) > self._most:
            if self._recorder is not None:
                self._recorder.wait()
            self._graphs.popitem(last=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Captured:
        self.clear()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's own has no types

    def __reduce__(self) -> tuple[type[Captured], tuple[int]]:
        return Captured, (self._most,)


def captures(device: torch.device) -> bool:
    """Whether work there can be captured as a graph."""
    return device.type == "cuda"


def trial(run: Callable[[], object], device: torch.device) -> None:
    """Run it once in a stream beside the current one, as capture will, so that kernels are compiled or chosen."""
    if device.type != "cuda":
        run()
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    torch.cuda.synchronize(device)  # weights and clock are there: what a kernel reads before it waits
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream(device).wait_stream(stream)


def record(run: Callable[[], object], pool: _POOL_HANDLE | None = None) -> torch.cuda.CUDAGraph:
    """What `run` asks of the current GPU, as a graph, after a `trial`; `pool`: whose memory it shares."""
    graph = torch.cuda.CUDAGraph()
    # what other threads ask of the device meanwhile is not the graph's
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        run()
    return graph


class _Graph:
    """One shape: buffers that the function reads, and those that it writes."""

    def __init__(self, recorder: Recorder, function: Function, fixed: Hashable, tensors: Sequence[Tensor]) -> None:
        def run() -> list[Tensor]:
            outputs, self.result = function(fixed, self._inputs)
            return outputs

        # buffers that were made in inference mode could not be written outside it
        with torch.inference_mode(False), torch.no_grad():
            self._inputs = [torch.empty(each.shape, dtype=each.dtype, device=each.device) for each in tensors]
            _copy(self._inputs, tensors)
            self._outputs, self._replay = recorder.record(run)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The function's tensors, in memory of their own."""
        with torch.inference_mode(False), torch.no_grad():
            _copy(self._inputs, tensors)
            self._replay()
            outputs = [torch.empty_like(each) for each in self._outputs]
            _copy(outputs, self._outputs)
        return outputs


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each into its target, those of a dtype in one kernel: a codec's state is dozens of small tensors."""
    kinds: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for target, source in zip(targets, sources, strict=True):
        if target.numel():
            into, out_of = kinds.setdefault(target.dtype, ([], []))
            into.append(target)
            out_of.append(source)
    for into, out_of in kinds.values():
        torch._foreach_copy_(into, out_of)


class _CudaRecorder:
    """CUDA graphs that share their memory: what one of them gives is copied before the next one runs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._done: torch.cuda.Event | None = None

    def record(self, run: Run) -> tuple[list[Tensor], Callable[[], None]]:
        outputs: list[Tensor] = []
        with torch.cuda.device(self._device):
            trial(run, self._device)
            graph = record(lambda: outputs.extend(run()), self._pool)
        return outputs, graph.replay

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The next call may come on another stream."""
        stream = torch.cuda.current_stream(self._device)
        if self._done is not None:
            stream.wait_event(self._done)
        yield
        self._done = torch.cuda.Event()
        self._done.record(stream)

    def wait(self) -> None:
        if self._done is not None:
            self._done.synchronize()


def _recorder(device: torch.device) -> Recorder:
    return _CudaRecorder(device)
