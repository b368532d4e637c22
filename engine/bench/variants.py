"""The ways in which a whole step can be run: the rungs of the ladder from plain torch to one captured graph.

Each makes a `Side` whose run(n) takes n steps that end at a given length. Knows how steps are run; times nothing.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from clavilux.bench.timing import Side, captured
from clavilux.bench.workloads import Subject, step_cost
from clavilux.graph import StepGraph
from clavilux.kernels.backend import using
from clavilux.layout import OPEN
from clavilux.sampling import Sampler
from clavilux.state import DecodeState, Memory

MOST_STEPS = 16  # of a run: they end at the length that is asked for, or begin at 0 where that is less


def filled_state(subject: Subject, length: int, batch: int = 1) -> DecodeState:
    """A state with random keys and values, the same ones for every dtype, and room for steps that end at `length`."""
    room = max(length, MOST_STEPS)
    state = subject.decoder.new_state(subject.model.rows * batch, subject.conditioning(batch, room), room)
    generator = torch.Generator(subject.device).manual_seed(11)
    for cache in state.k + state.v:
        cache.copy_(torch.randn(cache.shape, device=subject.device, generator=generator))
    return state


def facts(subject: Subject, length: int, memory: Memory) -> dict[str, Any]:
    """What a row says of a step that reads a memory: dtype, bytes, flops, and the error of packed weights."""
    weights, folded_keys = subject.dtype, memory.folded_shape[1]
    items = str(subject.decoder.embed.weight.dtype).removeprefix("torch.")
    num_bytes, flops = step_cost(subject.model, length, weights, items, subject.cache_dtype, folded_keys)
    found = {"dtype": weights, "bytes": num_bytes, "flops": flops}
    return found if subject.error is None else {**found, "weights_error": subject.error}


def eager(subject: Subject, length: int, name: str, backend: str | None = None) -> Side:
    """Steps as `clavilux.loop` takes them one by one: every op called from Python, then the sampler."""
    with _backend(backend):  # which decides whether a memory is folded
        state = filled_state(subject, length)
    sampler, tokens, step = _sampler(subject), _tokens(subject), 0

    def run(count: int) -> None:
        nonlocal tokens, step
        state.position = max(0, length - count)
        with _backend(backend):
            for _ in range(count):
                tokens = sampler.draw(subject.decoder.step(tokens, state), step)
                step += 1

    return Side(name, run, facts=facts(subject, length, state.memory))


def graph_then_sampler(subject: Subject, length: int, name: str, backend: str | None) -> Side:
    """The decoder's part of a step captured at a fixed position; the sampler called from Python, in torch."""
    with _backend(backend):
        state = filled_state(subject, length)
    sampler, tokens, step = _sampler(subject), _tokens(subject), 0
    logits = torch.empty(0)  # capturing makes them

    def body() -> None:
        nonlocal logits
        logits = subject.decoder.step_at(tokens, state, length - 1, length)

    with _backend(backend):
        replay = captured([body], subject.device)

    def run(count: int) -> None:
        nonlocal step
        with using("reference"):
            for _ in range(count):
                replay(1)
                tokens.copy_(sampler.draw(logits, step))
                step += 1

    return Side(name, run, facts=facts(subject, length, state.memory))


def whole_graph(subject: Subject, length: int, name: str, batch: int = 1) -> Side:
    """The engine's own: layers, head, sampler, layout and position in one graph, replayed; `batch` pieces at once."""
    state = filled_state(subject, length, batch)
    plan = torch.full((batch, subject.model.codebooks, state.capacity), OPEN, device=subject.device)
    graph = StepGraph(subject.decoder, state, subject.sampling, plan)
    graph.tokens.copy_(_tokens(subject))

    def run(count: int) -> None:
        first = max(0, length - count)
        plan.fill_(OPEN)
        graph.run(first, first, count)

    return Side(name, run, facts=facts(subject, length, state.memory))


def ladder(plain: Subject, int8: Subject | None, length: int) -> list[Side]:
    """On a GPU: eager, + graph, + fused kernels, + sampler in the graph, + int8 weights."""
    sides = [
        eager(plain, length, "eager", "reference"),
        graph_then_sampler(plain, length, "+ graph", "reference"),
        graph_then_sampler(plain, length, "+ fused", None),
        whole_graph(plain, length, "+ sampler"),
    ]
    return sides if int8 is None else [*sides, whole_graph(int8, length, "+ int8")]


def _sampler(subject: Subject) -> Sampler:
    model = subject.model
    return Sampler(subject.sampling, 1, model.codebooks, model.vocabulary, subject.device)


def _tokens(subject: Subject) -> torch.Tensor:
    return torch.full((1, subject.model.codebooks), 5, device=subject.device)


def _backend(name: str | None) -> AbstractContextManager[None]:
    return nullcontext() if name is None else using(name)
