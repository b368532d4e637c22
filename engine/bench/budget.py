"""Where a step's time goes: what each kind of node takes alone, and what the step would save without it.

A node is a call of an op. A step is run once and its calls are kept, each with its own layer's tensors; they are then
run again as one chain (on a GPU: one graph, started as a step's kernels are), with one kind left out, and one kind by
itself. Alone, a node shows how far it is from what its bytes take; left out, what it costs where others run beside it,
which is less where a kernel begins before the one before it has ended. Knows no layer and no implementation.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from clavilux.bench.suite import Bench
from clavilux.bench.timing import Side, captured, measure, rotating
from clavilux.bench.variants import filled_state
from clavilux.bench.workloads import ITEM_BYTES, Subject
from clavilux.graph import StepGraph
from clavilux.kernels.backend import Called, recorded
from clavilux.kernels.launch import dependent
from clavilux.kernels.quantized import PackedWeight
from clavilux.kernels.span import Span
from clavilux.layout import OPEN

LINEAR = {"norm_linear": 3, "linear_residual": 1}  # where the matrix is among the arguments
WHOLE = "all nodes"


def run_budget(bench: Bench, subject: Subject, length: int) -> None:
    """Rows of the suite "budget": one for the whole chain, then one for each kind of node, in the step's order.

    A kind's row has the time of one node alone (`median_s`), its bytes and their share of the ceiling; `nodes`, how
    many there are in a step; `in_step_s`, what one costs in the step; `share_of_step`, what all cost of it.
    """
    at = f"length {length}, {subject.dtype}"
    if bench.late(f"budget, {subject.model.name}, {at}"):
        return
    bench.announce(f"budget: {subject.model.name}, {at}")
    calls = calls_of_a_step(subject, length)
    kinds = by_kind(calls, length)
    sides = [_side(bench.device, WHOLE, calls)]
    for kind, own in kinds.items():
        sides += [
            _side(bench.device, kind, own),
            _side(bench.device, f"without {kind}", [call for call in calls if call not in own]),
        ]
    timings = measure(sides, bench.device, repeats=bench.repeats, least_s=0.002 if bench.quick else 0.02)
    whole = timings[WHOLE]
    for kind, own in {WHOLE: calls, **kinds}.items():
        timing, count = timings[kind], 1 if kind == WHOLE else len(own)
        num_bytes = sum(num_bytes_of(call, length) for call in own) // count
        row: dict[str, Any] = {"suite": "budget", "subject": subject.model.name, "at": at, "side": kind}
        row |= {"dtype": subject.dtype, "nodes": len(own), "bytes": num_bytes, "median_s": timing.median_s / count}
        row |= {"iqr_s": timing.iqr_s / count, "samples_s": [sample / count for sample in timing.samples_s]}
        row["share"] = bench.floor_s({"bytes": num_bytes, "dtype": "bfloat16"}) / row["median_s"]
        row["bytes_per_s"] = num_bytes / row["median_s"]
        if kind != WHOLE:
            saved = whole.median_s - timings[f"without {kind}"].median_s
            row |= {"in_step_s": saved / count, "share_of_step": saved / whole.median_s}
        bench.rows.append(row)
    bench.changed(bench.report())


def calls_of_a_step(subject: Subject, length: int) -> list[Called]:
    """The calls of a step that attends to `length` positions, over a filled cache, as a captured step makes them."""
    state = filled_state(subject, length)
    plan = torch.full((1, subject.model.codebooks, state.capacity), OPEN, device=subject.device)
    graph = StepGraph(subject.decoder, state, subject.sampling, plan)
    position = torch.tensor([length - 1], dtype=torch.int32, device=subject.device)
    tokens = torch.full((1, subject.model.codebooks), 5, device=subject.device)
    with recorded() as calls:
        graph.draw(subject.decoder.step_at(tokens, state, position, position + 1), length - 1)
    return calls


def by_kind(calls: Sequence[Called], length: int) -> dict[str, list[Called]]:
    """The calls by what they are, in the order in which each kind comes first."""
    kinds: dict[str, list[Called]] = {}
    for call in calls:
        kinds.setdefault(_name(call, length), []).append(call)
    return kinds


def _name(call: Called, length: int) -> str:
    if call.op in LINEAR:
        outs, width = call.arguments[LINEAR[call.op]].shape
        return f"{call.op} {width} to {outs}"
    if call.op == "decode_attention":
        span = _span(call)
        return f"{call.op} to {_keys(call, length)} keys" + (f" of a {span.kind.replace('_', ' ')}" if span else "")
    return call.op


def num_bytes_of(call: Called, length: int) -> int:
    """The bytes that a call must read and write; of a cache what is attended to, of a table the rows looked up."""
    written = sum(map(_nbytes, _tensors(call.result)))
    if call.op == "decode_attention":
        keys = call.arguments[1]
        batch, heads, _, size = keys.shape
        return 2 * batch * heads * _keys(call, length) * size * keys.element_size() + 2 * written
    if call.op == "embed":
        return written * (1 + call.arguments[0].shape[1])
    if call.op == "sample_step":
        return _nbytes(call.arguments[0])
    read = sum(_nbytes(part) for argument in call.arguments for part in _tensors(argument))
    packed = [argument for argument in call.arguments if isinstance(argument, PackedWeight)]
    return read + written + sum(part.shape[0] * part.shape[1] * ITEM_BYTES[part.kind] for part in packed)


def _span(call: Called) -> Span | None:
    return next((argument for argument in call.arguments if isinstance(argument, Span)), None)


def _keys(call: Called, length: int) -> int:
    """How many keys are read: an int says so itself (a memory's), a tensor stands for the step's length."""
    if isinstance(call.arguments[3], int):
        return call.arguments[3]
    span = _span(call)
    return length if span is None else span.keys(length - 1)[2]


def _tensors(value: object) -> Iterator[torch.Tensor]:
    """Those in an argument: itself, or the parts of a weight."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
    elif hasattr(value, "__dict__") and not isinstance(value, PackedWeight):
        for part in vars(value).values():
            yield from _tensors(part)


def _nbytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _side(device: torch.device, name: str, calls: Sequence[Called]) -> Side:
    """One time is that of all the calls, one after another."""
    runs: list[Callable[[], object]] = [call.again for call in calls]
    if device.type == "cuda":
        with dependent(device):
            return Side(name, captured(runs, device))
    each = rotating(runs) if runs else lambda count: None
    return Side(name, lambda count: each(count * len(runs)))
