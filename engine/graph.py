"""One decoding step, held in buffers that never move: on a GPU captured once as a CUDA graph and replayed.

A step looks up the tokens that were drawn last, runs every layer and the head, draws, writes into the plan and counts
on. Nothing in it asks the device for a value, so a whole run of steps is queued at once. What a step computes is the
decoder's and the sampler's; which tokens a window holds is the loop's.
"""

from collections.abc import Iterator

import torch

from clavilux.context_window import ContextWindow
from clavilux.decoder import Decoder
from clavilux.kernels.launch import dependent
from clavilux.kernels.sample import sample_step
from clavilux.layout import OPEN, Layout
from clavilux.sampling import SamplingSpec
from clavilux.state import DecodeState

CHUNK = 32  # steps that are queued before the tokens of the chunk before them are waited for


class StepGraph:
    """A step over static buffers.

    Attributes:
        plan: int64 [B, K, S]: known tokens, and `OPEN` where the step writes what it draws.
        tokens: int64 [B, K]: the tokens of the last step, which the next one reads.
        failed: int32 [B]: the first step at which a row could draw nothing; -1 for none.
        captured: whether the step is a CUDA graph; on other devices it is run as it stands.
    """

    def __init__(
        self,
        decoder: Decoder,
        state: DecodeState,
        sampling: SamplingSpec,
        plan: torch.Tensor,
        layout: Layout | None = None,
        *,
        overlapped: bool = True,
    ) -> None:
        """overlapped: a kernel begins before the one before it has ended, where the GPU can; tokens stay the same."""
        batch, codebooks, _ = plan.shape
        device = plan.device
        self.decoder, self.state, self.sampling = decoder, state, sampling
        self.plan, self._overlapped = plan, overlapped
        self.tokens = torch.zeros(batch, codebooks, dtype=torch.int64, device=device)
        self.failed = torch.full((batch,), -1, dtype=torch.int32, device=device)
        self._seeds, self._rows = (part.to(device) for part in sampling.keys(batch))
        self._weights = torch.tensor(sampling.table, device=device)
        self._allowed = _allowed_cycle(layout, decoder.spec.num_outputs, device)
        # Where the step reads, how many positions then count, and which step's tokens it draws.
        self._clock = torch.zeros(3, dtype=torch.int32, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def captured(self) -> bool:
        return self._graph is not None

    def draw(self, logits: torch.Tensor, step: int) -> None:
        """Draw the tokens of `step` from logits [R * B, K, V], as after a prefill."""
        self._clock[2].fill_(step)
        self._draw(logits)

    def run(self, position: int, step: int, count: int) -> None:
        """Queue `count` steps: the first reads `tokens` at `position` and draws the tokens of `step`."""
        if self.plan.device.type == "cuda" and not self.captured:
            self._capture(position)
        self._set_clock(position, step)
        for _ in range(count):
            self._step() if self._graph is None else self._graph.replay()
        self.state.position = position + count

    @torch.no_grad()
    def _step(self) -> None:
        with dependent(self.plan.device, self._overlapped):
            logits = self.decoder.step_at(self.tokens, self.state, self._clock[0:1], self._clock[1:2])
            self._draw(logits)
        self._clock.add_(1)

    def _draw(self, logits: torch.Tensor) -> None:
        spec = self.sampling
        sample_step(
            logits, self.plan, self.tokens, self.failed, self._clock[2:3], seeds=self._seeds, rows=self._rows,
            weights=self._weights, temperature=spec.temperature, top_k=spec.top_k, top_p=spec.top_p,
            allowed=self._allowed,
        )  # fmt: skip

    def _capture(self, position: int) -> None:
        """Run the step once so that its kernels are compiled, record it, and put the buffers back as they were."""
        kept = [(buffer, buffer.clone()) for buffer in (self.plan, self.tokens, self.failed)]
        stream = torch.cuda.Stream(self.plan.device)
        stream.wait_stream(torch.cuda.current_stream(self.plan.device))
        self._set_clock(position, 0)
        torch.cuda.synchronize(self.plan.device)  # weights and clock are there: what a kernel reads before it waits
        with torch.cuda.stream(stream):
            self._step()
        torch.cuda.current_stream(self.plan.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        self._set_clock(position, 0)
        with torch.cuda.graph(graph):
            self._step()
        # The key and value that the trial wrote lie at `position`, where the first real step writes its own.
        for buffer, before in kept:
            buffer.copy_(before)
        self._graph = graph

    def _set_clock(self, position: int, step: int) -> None:
        for index, value in enumerate((position, position + 1, step)):
            self._clock[index].fill_(value)


def generate_captured(
    window: ContextWindow,
    sampling: SamplingSpec,
    prompt: torch.Tensor,
    plan: torch.Tensor,
    *,
    layout: Layout | None = None,
    replay_from: int | None = None,
) -> Iterator[torch.Tensor]:
    """The steps int64 [B, K] of a plan, on the host, each chunk copied out while the next one is drawn.

    Args:
        window: made for this sequence, of which nothing is read yet.
        sampling, layout, replay_from: as for `clavilux.loop.generate_tokens`, which checks them.
        prompt: int64 [B, K, T] on the decoder's device.
        plan: int64 [B or 1, K, S], best on the host, where its known steps are counted.

    Raises:
        ValueError: a step in which nothing could be drawn.
    """
    known, num_steps = prompt.shape[2], plan.shape[2]
    open_steps = (plan == OPEN).any(0).any(0).nonzero()
    step = int(open_steps[0]) if len(open_steps) else num_steps
    step = step if replay_from is None else min(step, replay_from)
    plan = plan.repeat(len(prompt) // len(plan), 1, 1).to(prompt.device)
    yield from plan[:, :, :step].cpu().unbind(2)
    if step == num_steps:
        return
    graph = StepGraph(window.decoder, window.state, sampling, plan, layout)
    copies: list[_Copy] = []
    new = torch.cat([prompt, plan[:, :, :step]], 2)
    while step < num_steps:
        # The steps that one window holds: the first from a pass over what it holds, the others one by one.
        graph.draw(window.read(new), step)
        copies.append(_Copy(graph, step, step + 1))
        first, step = step, step + 1
        end = num_steps if window.end is None else min(num_steps, window.end - known)
        while step < end:
            count = min(CHUNK, end - step)
            graph.run(window.state.position, step, count)
            copies.append(_Copy(graph, step, step + count))
            step += count
            while len(copies) > 1:
                yield from copies.pop(0).arrived()
        # The last of them is read with the next window; the others the graph has read.
        window.add(plan[:, :, first : step - 1])
        new = plan[:, :, step - 1 : step]
    for copy in copies:
        yield from copy.arrived()


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


def _allowed_cycle(layout: Layout | None, vocabulary: int, device: torch.device) -> torch.Tensor | None:
    """bool [C, K, V]: what a layout allows at steps 0 .. C - 1, then from the first again; None where all may come."""
    if layout is None:
        return None
    cycle = [layout.allowed(step, vocabulary) for step in range(layout.steps_per_frame)]
    masks = [mask for mask in cycle if mask is not None]  # all of them or none
    return torch.stack(masks).to(device) if masks else None
