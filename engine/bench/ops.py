"""Each op of the catalog beside plain torch: F.linear, scaled_dot_product_attention, topk and multinomial.

Knows what a user of torch would write for each op; the tensors are `clavilux.kernels.case_inputs`'.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from clavilux.bench.parity import relative_error
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side, buffers_needed, captured, rotating
from clavilux.bench.workloads import flops, named
from clavilux.kernels.case_inputs import Call, call
from clavilux.kernels.catalog import CASES, TOLERANCE, Case
from clavilux.kernels.quantized import KINDS, Int8Weight, PackedWeight, pack, packing_supported
from clavilux.kernels.rotary import rms, rotate

DRAWN = ("sample", "sample_step")  # what they give is random: they are not compared with torch's
LINEAR = ("norm_linear", "linear_residual")


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
    """On a CPU in float32, whose packed weights are further sides; on a GPU in each case's own dtype."""
    cases = [case for case in CASES if not case.toy and case.op in _TORCH]  # of noise alone torch has no like
    found = [case for case in cases if not models or any(_is_of(case, name) for name in models)]
    if bench.device.type == "cuda":
        return [case if dtype in ("auto", "int8") else case.with_dtype(dtype) for case in found]
    # int8 on a CPU is a way to pack, not a dtype of the case.
    found = [case.with_dtype("float32" if dtype in ("auto", "int8") else dtype) for case in found]
    return [case for case in found if case.shape.get("weights") != "int8"]


def _is_of(case, name):
    return case.name == name or case.name.startswith(f"{name}-")


def _compare(bench, case):
    num_buffers = 2 if bench.quick else buffers_needed(case.bytes_moved, bench.device)
    calls = [call(case, bench.device, seed=seed) for seed in range(num_buffers)]
    facts = {"dtype": case.dtype, "bytes": case.bytes_moved, "flops": flops(case), "op": case.op}
    facts["buffers"] = num_buffers
    torch_calls = [_torch(made, case) for made in calls]
    if case.op not in DRAWN:
        _check(case, calls[0], torch_calls[0])
    sides = [_side(bench, "clavilux", calls, facts), _side(bench, "torch", torch_calls, {**facts, "peer": True})]
    if bench.device.type == "cpu" and case.op in LINEAR and case.dtype == "float32":
        sides += _packed_sides(bench, case, calls, facts)
    bench.compare("ops", case.op, case.name, sides, least_s=0.002 if bench.quick else 0.01)


def _side(bench, name, calls, facts):
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


def _packed_sides(bench, case, calls, facts):
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


def _check(case, ours, theirs):
    found = ours()
    truth = theirs()
    # Both round in their own order: three times what one may be off.
    error, limit = relative_error(found.float(), truth.float()), 3 * TOLERANCE[case.dtype]
    if error > limit:
        raise Mismatch(f"{case} is {error:.2g} from what torch computes; at most {limit:.2g} is let pass")


def _torch(made: Call, case: Case) -> Callable[[], torch.Tensor]:
    """The same call in plain torch."""
    return _TORCH[case.op](case.shape, *made.arguments, **made.words)


def _plain(weight):
    # torch has no product with our int8 weights: what it would use are those in half precision.
    if isinstance(weight, Int8Weight):
        return weight.dequantized(torch.bfloat16)
    assert not isinstance(weight, PackedWeight)
    return weight


def _norm_linear(shape, x, gain, shift, weight, bias, *, norm, activation):
    weight, width = _plain(weight).to(x.dtype), shape["width"]

    def run():
        y = x
        if norm == "layer":
            y = F.layer_norm(x, (width,), gain, shift, 1e-5)
        elif norm == "rms":
            y = F.rms_norm(x, (width,), gain, 1e-5)
        y = F.linear(y, weight, bias)
        if activation == "gelu":
            return F.gelu(y)
        if activation == "quick_gelu":
            return y * torch.sigmoid(1.702 * y)
        if activation == "swiglu":
            gate, value = y.chunk(2, -1)
            return F.silu(gate) * value
        return y

    return run


def _linear_residual(shape, x, weight, bias, residual):
    weight = _plain(weight).to(x.dtype)
    return lambda: residual + F.linear(x, weight, bias)


def _decode_attention(shape, q, k, v, length, *, new_k=None, new_v=None, rope=None, q_gain=None, k_gain=None,
                      span=None, starts=None, mask=None):  # fmt: skip
    length = shape["length"]
    first, count = span.slots_read(length - 1, k.shape[2]) if span else (0, length)
    place = span.slot(length - 1, k.shape[2]) if span else length - 1
    read = slice(first, first + count)
    allowed = _allowed(torch.arange(first, first + count, device=q.device), mask, starts, q.device)
    nothing = _nothing(allowed)

    def run():
        query, key = q, new_k
        if q_gain is not None:
            query, key = rms(q, q_gain, 1e-5), rms(key, k_gain, 1e-5)
        if rope is not None:
            query, key = rotate(query, rope[length - 1]), rotate(key, rope[length - 1])
        if key is not None and place < k.shape[2]:
            k[:, :, place], v[:, :, place] = key, new_v
        if count == 0:
            return torch.zeros_like(query)
        out = F.scaled_dot_product_attention(query[:, :, None], k[:, :, read], v[:, :, read], attn_mask=allowed)
        return out[:, :, 0] if allowed is None else out.masked_fill(nothing, 0)[:, :, 0]

    return run


def _prefill_attention(shape, q, k, v, *, span=None, starts=None, mask=None):
    length, queries = shape["length"], shape["queries"]
    positions = torch.arange(length, device=q.device)
    allowed = _allowed(positions, mask, starts, q.device)
    causal = span is None and allowed is None and queries == length
    if not causal:
        square = positions[None] <= positions[length - queries :, None]
        if span is not None:
            square = torch.zeros_like(square)
            for row, position in enumerate(range(length - queries, length)):
                start, stride, count = span.keys(position)
                square[row, start : start + stride * count : stride] = True
        allowed = square if allowed is None else allowed & square
    nothing = _nothing(allowed)

    def run():
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=None if causal else allowed, is_causal=causal)
        return out if causal else out.masked_fill(nothing, 0)

    return run


def _allowed(positions, mask, starts, device):
    """bool [B, 1, 1, keys], or None where all keys may be read."""
    allowed = None if mask is None else mask[:, positions]
    if starts is not None:
        from_start = positions >= starts[:, None]
        allowed = from_start if allowed is None else allowed & from_start
    return None if allowed is None else allowed[:, None, None]


def _nothing(allowed):
    """Which queries may read no key: PyTorch gives NaN, 0 or the mean of all values, whichever of its kernels runs."""
    return None if allowed is None else ~allowed.any(-1, keepdim=True)


def _sample(shape, logits, noise, *, weights, allowed=None, temperature=1.0, top_k=0, top_p=1.0):
    return _draw(shape, logits, weights, allowed, temperature, top_k, top_p)


def _sample_step(shape, logits, plan, out, failed, step, *, seeds, rows, weights, allowed=None, temperature=1.0,
                 top_k=0, top_p=1.0):  # fmt: skip
    return _draw(shape, logits, weights[0].tolist(), allowed, temperature, top_k, top_p)


def _draw(shape, logits, weights, allowed, temperature, top_k, top_p):
    """Guidance, temperature, top-k, top-p, softmax and multinomial, as generation loops write them."""
    blocks = logits.unflatten(0, (len(weights), -1))

    def run():
        scores = sum(weight * block.float() for weight, block in zip(weights, blocks, strict=True))
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


def _embed(shape, tokens, table, position, *, blocks, prefix, positions=None, additive=None):
    offsets = torch.arange(tokens.shape[1], device=tokens.device) * (len(table) // tokens.shape[1])
    place = position.long() if isinstance(position, torch.Tensor) else torch.tensor([position], device=tokens.device)

    def run():
        x = F.embedding(tokens + offsets, table).sum(1).repeat(blocks, 1)
        if positions is not None:
            x = x + positions[place]
        return x if additive is None else x + additive.index_select(1, place - prefix)[:, 0]

    return run


_TORCH = {
    "norm_linear": _norm_linear,
    "linear_residual": _linear_residual,
    "decode_attention": _decode_attention,
    "prefill_attention": _prefill_attention,
    "sample": _sample,
    "sample_step": _sample_step,
    "embed": _embed,
}
