"""One decoding step, held in buffers that never move: on a GPU captured once as a CUDA graph and replayed.

A step looks up the tokens that were drawn last, runs every layer and the head, draws, writes into the plan and counts
on. Nothing in it asks the device for a value, so a whole run of steps is queued at once. What a step computes is the
decoder's and the sampler's; which tokens a window holds is the loop's; which calls a captured step serves is
`graph_cache`'s.

A captured graph reads and writes addresses, and keeps every number that was one when it was captured. By address it has
- the decoder's weights and tables of positions, which are the decoder's own: a graph is of no use without it;
- the state's keys and values, what is read of a memory, its mask, the lengths of padding, and what is added at each
  position (`DecodeState.tensors`);
- the plan, the tokens, what failed, seeds, rows, weights of guidance, what a layout allows, and the clock;
- temperature, top_k and top_p, and for a large vocabulary the noise of the next steps;
- of a marked draw the groups of tokens, and the keyed noise of the next steps.
As numbers it has the shapes and strides of all of these, the length of a prefix where something is added at each token,
and of the draw its kind alone (`kind_of`). So another call of these numbers is served by filling buffers (`begin`).
"""

import copy
import time
from dataclasses import replace

import torch

from clavilux.capture import captures, record, trial
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.kernels.launch import dependent
from clavilux.kernels.sample import NOISE_AHEAD, gumbel, sample_step
from clavilux.layout import Layout
from clavilux.sampling import Marking, SamplingSpec
from clavilux.state import DecodeState, Memory
from clavilux.timings import part

FEW = 1024  # rows times positions of a first pass that is captured as well: above, the GPU has more to do than the host


class StepGraph:
    """A step over static buffers.

    Attributes:
        state: what the steps read and write on.
        plan: int64 [B, K, S]: known tokens, and `OPEN` where the step writes what it draws.
        tokens: int64 [B, K]: the tokens of the last step, which the next one reads.
        failed: int32 [B]: the first step at which a row could draw nothing; -1 for none.
        capture_s: seconds that it took to run the step for the first time and to capture it, and the first pass.
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
        batch, codebooks, num_steps = plan.shape
        device = plan.device
        self.decoder: Decoder | None = decoder  # None between two calls: a graph must not keep a decoder alive
        self.state, self.sampling = state, sampling
        self.plan = self._plan = plan
        self._overlapped = overlapped
        self.tokens = torch.zeros(batch, codebooks, dtype=torch.int64, device=device)
        self.failed = torch.full((batch,), -1, dtype=torch.int32, device=device)
        self._seeds, self._rows = (part.to(device) for part in sampling.keys(batch))
        self._weights = _weight_table(sampling, num_steps).to(device)
        self._settings = _settings(sampling).to(device)
        self._noise: _NoiseAhead | None = None
        if decoder.spec.num_outputs > NOISE_AHEAD and sampling.temperature > 0:
            self._noise = _NoiseAhead(self._seeds, self._rows, codebooks, decoder.spec.num_outputs)
        self._marks: _MarksAhead | None = None
        if sampling.is_marked:
            self._marks = _MarksAhead(sampling, batch, codebooks, decoder.spec.num_outputs, device)
        self._allowed = _allowed_cycle(layout, decoder.spec.num_outputs, device)
        # Where the step reads, how many positions then count, and which step's tokens it draws.
        self._clock = torch.zeros(3, dtype=torch.int32, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._first: _FirstPass | None = None
        self._to_record: torch.Tensor | None = None  # what a first pass has read
        self._ended: torch.cuda.Event | None = None
        self._pool_bytes = 0
        self.capture_s = 0.0

    @property
    def captured(self) -> bool:
        """Whether the step is a CUDA graph; on other devices it is run as it stands."""
        return self._graph is not None

    @property
    def num_bytes(self) -> int:
        """What it holds on the device: its buffers, and what a graph needs while it runs."""
        storages = [buffer.untyped_storage() for buffer in self.buffers()]
        return sum({each.data_ptr(): each.nbytes() for each in storages}.values()) + self._pool_bytes

    def buffers(self) -> list[torch.Tensor]:
        """Every tensor that a captured step has by address, but for the decoder's own."""
        own = [self._plan, self.tokens, self.failed, self._seeds, self._rows, self._weights, self._clock]
        own += [self._settings, *([] if self._noise is None else [self._noise.steps])]
        own += [] if self._marks is None else [self._marks.groups, self._marks.keyed]
        first = [] if self._first is None else self._first.buffers()
        return [*own, *([] if self._allowed is None else [self._allowed]), *first, *self.state.tensors()]

    def begin(
        self, decoder: Decoder, sampling: SamplingSpec, plan: torch.Tensor, conditioning: Conditioning, memory: Memory
    ) -> None:
        """Another sequence in the same buffers.

        Args:
            decoder: the one that it was made with.
            sampling: it differs from the one that it was made with in seeds, weights of guidance, temperature, top_k
                and top_p of one kind, and a mark of as many groups alone.
            plan: int64 [B or 1, K, S], S at most that of the plan that it was made with; on any device.
            conditioning, memory: as `DecodeState.restart` takes them.
        """
        if self._ended is not None:  # the last call may have been in another stream
            torch.cuda.current_stream(self._plan.device).wait_event(self._ended)
        self.decoder, self.sampling = decoder, sampling
        self.plan = self._plan[:, :, : plan.shape[2]]
        self.plan.copy_(plan)
        self.tokens.zero_()
        self.failed.fill_(-1)
        for held, new in zip((self._seeds, self._rows), sampling.keys(len(self.tokens)), strict=True):
            held.copy_(new)
        self._weights.copy_(_weight_table(sampling, len(self._weights)))
        self._settings.copy_(_settings(sampling))
        if self._noise is not None:
            self._noise.forget()
        if self._marks is not None:
            self._marks.restart(sampling)
        with torch.no_grad():
            self.state.restart(conditioning, memory)

    def rest(self) -> None:
        """The sequence is over: the decoder may go. What is still queued is waited for where the buffers are filled."""
        self.decoder = self._to_record = None
        if self._plan.device.type == "cuda":
            self._ended = torch.cuda.Event()
            self._ended.record(torch.cuda.current_stream(self._plan.device))

    def wait(self) -> None:
        """Until nothing that was queued reads or writes the buffers."""
        if self._ended is not None:
            self._ended.synchronize()

    def prefill(self, tokens: torch.Tensor, state: DecodeState) -> torch.Tensor:
        """As `Decoder.prefill`; the first pass over few positions is captured with the step, for sequences to come."""
        if self._first is not None and self._first.fits(tokens, state):
            return self._first(tokens, state)
        few = tokens.shape[0] * (tokens.shape[2] + state.conditioning.num_prefix) <= FEW
        if state.position == 0 and few and not self.captured:
            self._to_record = tokens
        return self._decoder.prefill(tokens, state)

    def draw(self, logits: torch.Tensor, step: int) -> None:
        """Draw the tokens of `step` from logits [R * B, K, V], as after a prefill."""
        self._clock[2].fill_(step)
        if self._noise is not None:
            self._noise.make(step)
        if self._marks is not None:
            self._marks.make(step)
        self._draw(logits)

    def run(self, position: int, step: int, count: int) -> None:
        """Queue `count` steps: the first reads `tokens` at `position` and draws the tokens of `step`."""
        if not self.captured and captures(self._plan.device):
            with part("capture"):
                self._capture(position)
        self._set_clock(position, step)
        for number in range(step, step + count):
            if self._noise is not None:
                self._noise.make(number)
            if self._marks is not None:
                self._marks.make(number)
            self._step() if self._graph is None else self._graph.replay()
        self.state.position = position + count

    @property
    def _decoder(self) -> Decoder:
        assert self.decoder is not None, "a step runs between `begin` and `rest`"
        return self.decoder

    @torch.no_grad()
    def _step(self) -> None:
        with dependent(self._plan.device, self._overlapped):
            logits = self._decoder.step_at(self.tokens, self.state, self._clock[0:1], self._clock[1:2])
            self._draw(logits)
        self._clock.add_(1)

    def _draw(self, logits: torch.Tensor) -> None:
        spec = self.sampling
        sample_step(
            logits, self._plan, self.tokens, self.failed, self._clock[2:3], seeds=self._seeds, rows=self._rows,
            weights=self._weights, temperature=spec.temperature, top_k=spec.top_k, top_p=spec.top_p,
            allowed=self._allowed, settings=self._settings, noise=None if self._noise is None else self._noise.steps,
            groups=None if self._marks is None else self._marks.groups,
            keyed=None if self._marks is None else self._marks.keyed,
        )  # fmt: skip

    def _capture(self, position: int) -> None:
        """Run the step once so that its kernels are compiled, record it, and put the buffers back as they were."""
        started, reserved = time.perf_counter(), _reserved(self._plan.device)
        kept = [(buffer, buffer.clone()) for buffer in (self._plan, self.tokens, self.failed)]
        self._set_clock(position, 0)
        try:
            trial(self._step, self._plan.device)
            self._set_clock(position, 0)
            graph = record(self._step)
            if self._to_record is not None:
                self._first, self._to_record = _FirstPass(self._decoder, self._to_record, self.state), None
        finally:
            # The key and value that the trial wrote lie at `position`, where the first real step writes its own.
            for buffer, before in kept:
                buffer.copy_(before)
        self._graph = graph
        self._pool_bytes += _reserved(self._plan.device) - reserved
        self.capture_s += time.perf_counter() - started

    def _set_clock(self, position: int, step: int) -> None:
        for index, value in enumerate((position, position + 1, step)):
            self._clock[index].fill_(value)


class _FirstPass:
    """A prefill from position 0 over a fixed number of positions, captured: from Python it is hundreds of calls.

    Called one by one, the ops of one position of MusicGen-small take 12 ms on an H200, and of MusicGen-large 20.
    """

    def __init__(self, decoder: Decoder, tokens: torch.Tensor, state: DecodeState) -> None:
        """Record it. The decoder has read such tokens into the state: all kernels are compiled."""
        given = state.conditioning
        with torch.inference_mode(False):
            self._tokens, prefix = tokens.clone(), given.prefix
            self._prefix = None if prefix is None else prefix.clone()
        own = copy.copy(state)  # of the same tensors
        own.conditioning = given if self._prefix is None else replace(given, prefix=self._prefix)

        def body() -> None:
            own.position = 0
            self._logits = decoder.prefill(self._tokens, own)

        self._graph = record(body)

    def fits(self, tokens: torch.Tensor, state: DecodeState) -> bool:
        """Whether it is what is to be read."""
        prefix = state.conditioning.prefix
        alike = prefix is self._prefix is None or (
            prefix is not None and self._prefix is not None and prefix.shape == self._prefix.shape
        )
        return state.position == 0 and tokens.shape == self._tokens.shape and alike

    def __call__(self, tokens: torch.Tensor, state: DecodeState) -> torch.Tensor:
        self._tokens.copy_(tokens)
        if self._prefix is not None:
            assert state.conditioning.prefix is not None, "it fits"
            self._prefix.copy_(state.conditioning.prefix)
        self._graph.replay()
        state.position = state.conditioning.num_prefix + tokens.shape[2]
        return self._logits

    def buffers(self) -> list[torch.Tensor]:
        """What it reads; the logits are in the graph's own memory."""
        return [self._tokens, *([] if self._prefix is None else [self._prefix])]


class _MarksAhead:
    """What a mark needs of a run of steps, where a captured step reads it.

    Attributes:
        groups: int64 [1, K, V], the group of each token.
        keyed: float32 [N, B, K, G], the keyed noise of step n in row n % N; NaN where none is marked.
    """

    STEPS = 64

    def __init__(
        self, sampling: SamplingSpec, batch: int, codebooks: int, vocabulary: int, device: torch.device
    ) -> None:
        self._sizes = batch, codebooks, vocabulary
        self._marking = Marking(sampling, *self._sizes, "cpu")
        self.groups = self._marking.groups[:1].to(device)
        self.keyed = self._marking.table(0, self.STEPS).to(device)
        self._first = 0

    def restart(self, sampling: SamplingSpec) -> None:
        """Another mark with as many groups, or other seeds."""
        self._marking = Marking(sampling, *self._sizes, "cpu")
        self.groups.copy_(self._marking.groups[:1])
        self._first = -1

    def make(self, step: int) -> None:
        """Have the noise of a step there, and of those after it."""
        first = step - step % self.STEPS
        if first != self._first:
            self.keyed.copy_(self._marking.table(first, self.STEPS))
            self._first = first


class _NoiseAhead:
    """The noise of a run of steps, where a captured step reads it: for a large vocabulary half of a draw's work.

    It depends on nothing that a step computes, so many programs make it for many steps at once, beside no chain.

    Attributes:
        steps: float32 [N, B, K, V]: that of step n in row n % N.
    """

    MOST_STEPS = 64
    MOST_BYTES = 2**26

    def __init__(self, seeds: torch.Tensor, rows: torch.Tensor, codebooks: int, vocabulary: int) -> None:
        """seeds and rows are looked at anew each time that noise is made."""
        self._seeds, self._rows = seeds, rows
        count = max(1, min(self.MOST_STEPS, self.MOST_BYTES // (4 * len(seeds) * codebooks * vocabulary)))
        self.steps = torch.empty(count, len(seeds), codebooks, vocabulary, device=seeds.device)
        self._first: int | None = None

    def make(self, step: int) -> None:
        """Have that of a step there, and of those after it as far as there is room."""
        count, _, codebooks, vocabulary = self.steps.shape
        first = step - step % count
        if first != self._first:
            self.steps.copy_(gumbel(self._seeds, self._rows, first, count, codebooks, vocabulary))
            self._first = first

    def forget(self) -> None:
        """Seeds and rows are others now."""
        self._first = None


def _settings(sampling: SamplingSpec) -> torch.Tensor:
    """float64 [3], as `sample_step` takes them; on the host."""
    return torch.tensor([sampling.temperature, sampling.top_k, sampling.top_p], dtype=torch.float64)


def _reserved(device: torch.device) -> int:
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else 0


def _weight_table(sampling: SamplingSpec, num_steps: int) -> torch.Tensor:
    """float32 [1 or num_steps, R]: the blocks' weights, at all steps or, where they change, at each; on the host."""
    table = torch.tensor(sampling.table, dtype=torch.float32)
    if len(table) == 1:
        return table
    table = table[:num_steps]
    return torch.cat([table, table[-1:].expand(num_steps - len(table), -1)])


def _allowed_cycle(layout: Layout | None, vocabulary: int, device: torch.device) -> torch.Tensor | None:
    """bool [C, K, V]: what a layout allows at steps 0 .. C - 1, then from the first again; None where all may come."""
    if layout is None:
        return None
    cycle = [layout.allowed(step, vocabulary) for step in range(layout.steps_per_frame)]
    masks = [mask for mask in cycle if mask is not None]  # all of them or none
    return torch.stack(masks).to(device) if masks else None
