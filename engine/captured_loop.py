"""The loop of a captured step: chunks of steps are queued, and their tokens copied out while the next ones are drawn.

What a captured step computes is `graph`'s, and whether one is there already `graph_cache`'s.
"""

from collections.abc import Iterator

import torch

from clavilux.conditioning import Conditioning
from clavilux.context_window import ContextWindow, first_window
from clavilux.decoder import Decoder
from clavilux.graph import StepGraph
from clavilux.graph_cache import GRAPHS, GraphCache, StepShape
from clavilux.layout import OPEN, Layout
from clavilux.sampling import SamplingSpec
from clavilux.windows import Windows

CHUNK = 32  # steps that are queued before the tokens of the chunk before them are waited for
MEMORY_MULTIPLE = (
    8  # of positions: texts of nearly one length share a captured step, and a kernel reads as many at once
)


def generate_captured(
    decoder: Decoder,
    sampling: SamplingSpec,
    prompt: torch.Tensor,
    plan: torch.Tensor,
    *,
    layout: Layout | None = None,
    conditioning: Conditioning | None = None,
    windows: Windows | None = None,
    replay_from: int | None = None,
    graphs: GraphCache = GRAPHS,
) -> Iterator[torch.Tensor]:
    """The steps int64 [B, K] of a plan, on the host, each chunk copied out while the next one is drawn.

    Args:
        decoder, sampling, layout, conditioning, windows, replay_from: as for `clavilux.loop.generate_tokens`, which
            checks them.
        prompt: int64 [B, K, T] on the decoder's device.
        plan: int64 [B or 1, K, S], best on the host, where its known steps are counted.
        graphs: where captured steps are kept.

    Raises:
        ValueError: as `ContextWindow`, or a step in which nothing could be drawn.
    """
    batch, known, num_steps = len(prompt), prompt.shape[2], plan.shape[2]
    sampling.keys(batch)  # seeds that do not fit are said before anything is made
    given = (Conditioning() if conditioning is None else conditioning).padded_memory(MEMORY_MULTIPLE)
    held, capacity = first_window(
        decoder, decoder.checked(given, batch * len(sampling.weights)), windows, known + num_steps
    )
    open_steps = (plan == OPEN).any(0).any(0).nonzero()
    step = int(open_steps[0]) if len(open_steps) else num_steps
    step = step if replay_from is None else min(step, replay_from)
    yield from plan[:, :, :step].expand(batch, -1, -1).cpu().unbind(2)
    if step == num_steps:
        return
    memory = graphs.with_room(lambda: decoder.read_memory(held))
    shape = StepShape.of(decoder, batch, sampling, num_steps, layout, held, capacity, memory)
    with graphs.lease(decoder, shape, lambda: shape.new_graph(decoder, sampling, held)) as graph:
        graph.begin(decoder, sampling, plan, held, memory)
        del memory  # the graph has its own
        window = ContextWindow(
            decoder, batch, blocks=shape.blocks, conditioning=given, windows=windows, layout=layout,
            state=graph.state,
            prefill=lambda tokens, state: graphs.with_room(lambda: graph.prefill(tokens, state)),
        )  # fmt: skip
        yield from _drawn(graph, window, graphs, prompt, step, num_steps)


def _drawn(
    graph: StepGraph, window: ContextWindow, graphs: GraphCache, prompt: torch.Tensor, step: int, num_steps: int
) -> Iterator[torch.Tensor]:
    """The steps from `step` on; those before it and the prompt are still to be read."""
    known = prompt.shape[2]
    copies: list[_Copy] = []
    new = torch.cat([prompt, graph.plan[:, :, :step]], 2)
    while step < num_steps:
        # The steps that one window holds: the first from a pass over what it holds, the others one by one.
        graph.draw(window.read(new), step)
        copies.append(_Copy(graph, step, step + 1))
        first, step = step, step + 1
        end = num_steps if window.end is None else min(num_steps, window.end - known)
        while step < end:
            count = min(CHUNK, end - step)
            _run(graph, graphs, window.state.position, step, count)
            copies.append(_Copy(graph, step, step + count))
            step += count
            while len(copies) > 1:
                yield from copies.pop(0).arrived()
        # The last of them is read with the next window; the others the graph has read.
        window.add(graph.plan[:, :, first : step - 1])
        new = graph.plan[:, :, step - 1 : step]
    for copy in copies:
        yield from copy.arrived()


def _run(graph: StepGraph, graphs: GraphCache, position: int, step: int, count: int) -> None:
    if graph.captured:
        graph.run(position, step, count)
    else:
        graphs.with_room(lambda: graph.run(position, step, count))


class _Copy:
    """The tokens of steps first .. end - 1 on their way to the host, behind the steps that draw them."""

    def __init__(self, graph: StepGraph, first: int, end: int) -> None:
        self._end = end
        on_gpu = graph.plan.device.type == "cuda"
        parts = (graph.plan[:, :, first:end], graph.failed)
        self._parts = [torch.empty(part.shape, dtype=part.dtype, pin_memory=on_gpu) for part in parts]
        for host, part in zip(self._parts, parts, strict=True):
            host.copy_(part, non_blocking=True)
        self._event = torch.cuda.Event() if on_gpu else None
        if self._event is not None:
            self._event.record(torch.cuda.current_stream(graph.plan.device))

    def arrived(self) -> Iterator[torch.Tensor]:
        """Wait for the copy; the steps, int64 [B, K] each."""
        if self._event is not None:
            self._event.synchronize()
        tokens, failed = self._parts
        bad = failed[(failed >= 0) & (failed < self._end)]
        if len(bad):
            raise ValueError(
                f"no token can be drawn at step {int(bad.min())}: "
                "the logits hold NaN or infinity, or nothing is allowed"
            )
        yield from tokens.unbind(2)
