"""Each op of the catalog beside plain torch: F.linear, scaled_dot_product_attention, topk and multinomial.

Knows what a user of torch would write for each op; the tensors are `clavilux.kernels.case_inputs`'.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.bench.parity import relative_error
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side, buffers_needed, captured, rotating
from clavilux.bench.workloads import flops, named
from clavilux.kernels.case_inputs import Call, call
from clavilux.kernels.catalog import CASES, TOLERANCE, Case, Shape
from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.quantized import KINDS, Int8Weight, pack, packing_supported
from clavilux.kernels.rotary import rms, rotate
from clavilux.kernels.span import Span

DRAWN = ("sample", "sample_step")  # what they give is random: they are not compared with torch's
LINEAR = ("norm_linear", "linear_residual")


Run = Callable[[], Tensor]  # a call of an op in plain torch


def run_ops(bench: Bench, models: tuple[str, ...] = (), dtype: str = "auto") -> None:
    """The suite: every real case, or those of some models."""
    for name in models:
        named(name)
    wrong = []
    for case in selected(bench, models, dtype):
        if bench.late(f"{case.op} {case.name}"):
            continue
        try:
            with torch.inference_mode():
                _compare(bench, case)
        except Mismatch as mismatch:
            wrong.append(str(mismatch))
            bench.note(f"not timed: {mismatch}")
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()
    if wrong:
        raise Mismatch("; ".join(wrong))


def selected(bench: Bench, models: tuple[str, ...], dtype: str) -> list[Case]:
    """On a CPU in float32, whose packed weights are further sides; on a GPU in each case's own dtype.

    The odd ones first: among them are 1 to 64 rows of one matrix, where one kernel gives way to another.
    """
    cases = [case for case in CASES if not case.toy and case.op in _TORCH]  # of noise alone torch has no like
    found = [case for case in cases if not models or any(_is_of(case, name) for name in models)]
    found.sort(key=lambda case: not case.name.startswith("odd-"))
    if bench.device.type == "cuda":
        return [case if dtype in ("auto", "int8") else case.with_dtype(dtype) for case in found]
    # int8 on a CPU is a way to pack, not a dtype of the case, and norms are folded on a GPU only.
    found = [replace(case, shape={**case.shape, "folded": False}) for case in found]
    found = [case.with_dtype("float32" if dtype in ("auto", "int8") else dtype) for case in found]
    return [case for case in found if case.shape.get("weights") != "int8"]


def _is_of(case: Case, name: str) -> bool:
    return case.name == name or case.name.startswith(f"{name}-")


def _compare(bench: Bench, case: Case) -> None:
    num_buffers = 2 if bench.quick else buffers_needed(case.bytes_moved, bench.device)
    calls = [call(case, bench.device, seed=seed) for seed in range(num_buffers)]
    facts: dict[str, Any] = {"dtype": case.dtype, "bytes": case.bytes_moved, "flops": flops(case), "op": case.op}
    facts["buffers"] = num_buffers
    torch_calls = [_torch(made, case) for made in calls]
    if case.op not in DRAWN:
        _check(case, calls[0], torch_calls[0])
    sides = [_side(bench, "clavilux", calls, facts), _side(bench, "torch", torch_calls, {**facts, "peer": True})]
    if bench.device.type == "cpu" and case.op in LINEAR and case.dtype == "float32":
        sides += _packed_sides(bench, case, calls, facts)
    bench.compare("ops", case.op, case.name, sides, least_s=0.002 if bench.quick else 0.01)


def _side(bench: Bench, name: str, calls: Sequence[Callable[[], object]], facts: dict[str, Any]) -> Side:
    """On a GPU inside a graph, as a step runs it; a call that cannot be captured is timed from Python and says so."""
    if bench.device.type == "cuda":
        try:
            return Side(name, captured(calls, bench.device), per_run=len(calls), facts={**facts, "captured": True})
        except RuntimeError as error:
            torch.cuda.synchronize()
            bench.note(
                f"timed from Python, it cannot be captured: {name}, {facts['op']} ({str(error).splitlines()[0]})"
            )
            facts = {**facts, "captured": False}
    return Side(name, rotating(calls), facts=facts)


def _packed_sides(bench: Bench, case: Case, calls: Sequence[Call], facts: dict[str, Any]) -> list[Side]:
    place = 3 if case.op == "norm_linear" else 1
    sides = []
    for kind in filter(packing_supported, KINDS):
        packed = []
        for made in calls:
            arguments = list(made.arguments)
            arguments[place] = pack(arguments[place], kind)
            packed.append(Call(made.function, tuple(arguments), made.words))
        saved = {"float32": 0, "int8": 3}.get(kind, 2)
        num_bytes = facts["bytes"] - case.shape["out"] * case.shape["width"] * saved
        sides.append(_side(bench, f"clavilux {kind}", packed, {**facts, "dtype": kind, "bytes": num_bytes}))
    half = call(case.with_dtype("bfloat16"), bench.device)
    halves = [half, *(call(case.with_dtype("bfloat16"), bench.device, seed=s) for s in range(1, len(calls)))]
    num_bytes = case.with_dtype("bfloat16").bytes_moved
    words = {**facts, "dtype": "bfloat16", "bytes": num_bytes, "peer": True}
    return [*sides, _side(bench, "torch bfloat16", [_torch(made, case) for made in halves], words)]


def _check(case: Case, ours: Call, theirs: Run) -> None:
    found = ours()
    assert found is not None  # only sample_step returns nothing
    truth = theirs()
    # Both round in their own order: three times what one may be off.
    error, limit = relative_error(found.float(), truth.float()), 3 * TOLERANCE[case.dtype]
    if error > limit:
        raise Mismatch(f"{case} is {error:.2g} from what torch computes; at most {limit:.2g} is let pass")


def _torch(made: Call, case: Case) -> Run:
    """The same call in plain torch."""
    return _TORCH[case.op](case.shape, *made.arguments, **made.words)


def _plain(weight: Tensor | Int8Weight | FoldedWeight) -> Tensor:
    # torch has no product with our int8 weights: what it would use are those in half precision. A folded matrix is its
    # too, after a norm without gain and shift.
    if isinstance(weight, FoldedWeight):
        return _plain(weight.matrix)
    if isinstance(weight, Int8Weight):
        return weight.dequantized(torch.bfloat16)
    return weight


def _norm_linear(
    shape: Shape,
    x: Tensor,
    gain: Tensor | None,
    shift: Tensor | None,
    weight: Tensor | Int8Weight | FoldedWeight,
    bias: Tensor | None,
    *,
    norm: str,
    activation: str,
) -> Run:
    matrix, width = _plain(weight).to(x.dtype), shape["width"]
    bias = None if bias is None else bias.to(x.dtype)

    def run() -> Tensor:
        y = x
        if norm == "layer":
            y = F.layer_norm(x, (width,), gain, shift, 1e-5)
        elif norm == "rms":
            y = F.rms_norm(x, (width,), gain, 1e-5)
        y = F.linear(y, matrix, bias)
        if activation == "gelu":
            return F.gelu(y)
        if activation == "quick_gelu":
            return y * torch.sigmoid(1.702 * y)
        if activation == "swiglu":
            gate, value = y.chunk(2, -1)
            return F.silu(gate) * value
        return y

    return run


def _linear_residual(
    shape: Shape, x: Tensor, weight: Tensor | Int8Weight, bias: Tensor | None, residual: Tensor
) -> Run:
    matrix = _plain(weight).to(x.dtype)
    return lambda: residual + F.linear(x, matrix, bias)


def _decode_attention(
    shape: Shape, q: Tensor, k: Tensor, v: Tensor, valid: int | Tensor, *,
    new_k: Tensor | None = None, new_v: Tensor | None = None, rope: Tensor | None = None,
    q_gain: Tensor | None = None, k_gain: Tensor | None = None,
    span: Span | None = None, starts: Tensor | None = None, mask: Tensor | None = None,
) -> Run:  # fmt: skip
    length = shape["length"]
    first, count = span.slots_read(length - 1, k.shape[2]) if span else (0, length)
    place = span.slot(length - 1, k.shape[2]) if span else length - 1
    read = slice(first, first + count)
    allowed = _allowed(torch.arange(first, first + count, device=q.device), mask, starts)
    nothing = None if allowed is None else _nothing(allowed)

    def run() -> Tensor:
        query, key = q, new_k
        if q_gain is not None:
            query = rms(q, q_gain, 1e-5)
        if key is not None and k_gain is not None:
            key = rms(key, k_gain, 1e-5)
        if rope is not None:
            query = rotate(query, rope[length - 1])
            key = None if key is None else rotate(key, rope[length - 1])
        if key is not None and new_v is not None and place < k.shape[2]:
            k[:, :, place], v[:, :, place] = key, new_v
        if count == 0:
            return torch.zeros_like(query)
        out = F.scaled_dot_product_attention(query[:, :, None], k[:, :, read], v[:, :, read], attn_mask=allowed)
        return out[:, :, 0] if nothing is None else out.masked_fill(nothing, 0)[:, :, 0]

    return run


def _prefill_attention(
    shape: Shape, q: Tensor, k: Tensor, v: Tensor, *,
    span: Span | None = None, starts: Tensor | None = None, mask: Tensor | None = None,
) -> Run:  # fmt: skip
    length, queries = shape["length"], shape["queries"]
    positions = torch.arange(length, device=q.device)
    allowed = _allowed(positions, mask, starts)
    causal = span is None and allowed is None and queries == length
    if not causal:
        square = positions[None] <= positions[length - queries :, None]
        if span is not None:
            square = torch.zeros_like(square)
            for row, position in enumerate(range(length - queries, length)):
                start, stride, count = span.keys(position)
                square[row, start : start + stride * count : stride] = True
        allowed = square if allowed is None else allowed & square
    nothing = None if allowed is None else _nothing(allowed)

    def run() -> Tensor:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=causal)
        return out if nothing is None else out.masked_fill(nothing, 0)

    return run


def _allowed(positions: Tensor, mask: Tensor | None, starts: Tensor | None) -> Tensor | None:
    """bool [B, 1, 1, keys], or None where all keys may be read."""
    allowed = None if mask is None else mask[:, positions]
    if starts is not None:
        from_start = positions >= starts[:, None]
        allowed = from_start if allowed is None else allowed & from_start
    return None if allowed is None else allowed[:, None, None]


def _nothing(allowed: Tensor) -> Tensor:
    """Which queries may read no key: PyTorch gives NaN, 0 or the mean of all values, whichever of its kernels runs."""
    return ~allowed.any(-1, keepdim=True)


def _sample(
    shape: Shape, logits: Tensor, noise: Tensor | None, *,
    weights: Sequence[float], allowed: Tensor | None = None,
    temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0,
) -> Run:  # fmt: skip
    return _draw(logits, weights, allowed, temperature, top_k, top_p)


def _sample_step(
    shape: Shape, logits: Tensor, plan: Tensor, out: Tensor, failed: Tensor, step: Tensor, *,
    seeds: Tensor, rows: Tensor, weights: Tensor, allowed: Tensor | None = None, settings: Tensor | None = None,
    noise: Tensor | None = None, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0,
) -> Run:  # fmt: skip
    return _draw(logits, weights[0].tolist(), allowed, temperature, top_k, top_p)


def _draw(
    logits: Tensor, weights: Sequence[float], allowed: Tensor | None, temperature: float, top_k: int, top_p: float
) -> Run:
    """Guidance, temperature, top-k, top-p, softmax and multinomial, as generation loops write them."""
    blocks = logits.unflatten(0, (len(weights), -1))

    def run() -> Tensor:
        scores = weights[0] * blocks[0].float()
        for weight, block in zip(weights[1:], blocks[1:], strict=True):
            scores = scores + weight * block.float()
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        if temperature == 0:
            return scores.argmax(-1)
        scores = scores / temperature
        if top_k:
            least = torch.topk(scores, min(top_k, scores.shape[-1]))[0][..., -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if top_p < 1:
            ordered, order = scores.sort(dim=-1, descending=True)
            mass = F.softmax(ordered, -1)
            dropped = (mass.cumsum(-1) - mass >= top_p).scatter(-1, order, mass.cumsum(-1) - mass >= top_p)
            scores = scores.masked_fill(dropped, -torch.inf)
        return torch.multinomial(F.softmax(scores, -1).flatten(0, 1), 1).view(scores.shape[:2])

    return run


def _embed(
    shape: Shape, tokens: Tensor, table: Tensor, position: int | Tensor, *,
    blocks: int, prefix: int, positions: Tensor | None = None, additive: Tensor | None = None,
) -> Run:  # fmt: skip
    offsets = torch.arange(tokens.shape[1], device=tokens.device) * (len(table) // tokens.shape[1])
    place = position.long() if isinstance(position, torch.Tensor) else torch.tensor([position], device=tokens.device)

    def run() -> Tensor:
        x = F.embedding(tokens + offsets, table).sum(1).repeat(blocks, 1)
        if positions is not None:
            x = x + positions[place]
        return x if additive is None else x + additive.index_select(1, place - prefix)[:, 0]

    return run


_TORCH: Mapping[str, Callable[..., Run]] = {
    "norm_linear": _norm_linear,
    "linear_residual": _linear_residual,
    "decode_attention": _decode_attention,
    "prefill_attention": _prefill_attention,
    "sample": _sample,
    "sample_step": _sample_step,
    "embed": _embed,
}
