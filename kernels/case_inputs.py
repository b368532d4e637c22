"""The tensors of a case: what a test, a benchmark, the check on a GPU and the compile gate call an op with.

Knows every op's arguments. Never zeros: a product with zeros is faster on a GPU, and hides mistakes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

import torch

from clavilux.kernels.catalog import Case, Shape
from clavilux.kernels.cross_step.memory import FoldedMemory, fold_memory
from clavilux.kernels.folded import FoldedWeight, fold
from clavilux.kernels.quantized import Int8Weight, quantize
from clavilux.kernels.sample.api import NOISE_AHEAD
from clavilux.kernels.sample.reference import OPEN
from clavilux.kernels.span import Span

Op = Callable[..., torch.Tensor | None]
GUIDANCE = {1: (1.0,), 2: (3.0, -2.0), 3: (3.0, -1.5, -0.5)}
STEPS, STEP = 8, 3  # of a plan; which of them is drawn
_FILTERS: tuple[Literal["temperature", "top_k", "top_p"], ...] = ("temperature", "top_k", "top_p")


@dataclass(frozen=True)
class Call:
    """A call of one op, ready to be made as often as wanted.

    Attributes:
        function: the op, from its `api`.
        arguments, words: what it takes.
        written: the tensors that it writes in place.
    """

    function: Op
    arguments: tuple[Any, ...]
    words: Mapping[str, Any]
    written: tuple[torch.Tensor, ...] = ()

    def __call__(self, backend: str | None = None) -> torch.Tensor | None:
        return self.function(*self.arguments, **self.words, backend=backend)

    def results(self, backend: str | None = None) -> list[torch.Tensor]:
        """Make it; what it returned, and copies of what it wrote. Those tensors are then as they were before."""
        before = [tensor.clone() for tensor in self.written]
        returned = self(backend)
        results = [*(() if returned is None else (returned,)), *(tensor.clone() for tensor in self.written)]
        for tensor, values in zip(self.written, before, strict=True):
            tensor.copy_(values)
        return results


class _Maker:
    """Tensors on a device: random ones, or (`values` False) only their shapes, which costs no memory on a CPU."""

    def __init__(self, case: Case, device: str | torch.device, seed: int, values: bool) -> None:
        self.device, self.values = torch.device(device), values
        self.dtype: torch.dtype = getattr(torch, case.dtype)
        self.generator = torch.Generator(self.device).manual_seed(seed) if values else None

    def normal(
        self, *size: int, scale: float = 1.0, mean: float = 0.0, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        out = torch.empty(size, device=self.device, dtype=dtype or self.dtype)
        return out.normal_(mean, scale, generator=self.generator) if self.values else out

    def whole(self, high: int, *size: int, low: int = 0) -> torch.Tensor:
        out = torch.empty(size, device=self.device, dtype=torch.int64)
        return out.random_(low, high, generator=self.generator) if self.values else out

    def coin(self, *size: int) -> torch.Tensor:
        out = torch.empty(size, device=self.device, dtype=torch.bool)
        return out.random_(0, 2, generator=self.generator) if self.values else out

    def given(self, values: Sequence[object], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(values, device=self.device, dtype=dtype)

    def weight(self, shape: Shape) -> torch.Tensor | Int8Weight:
        out, width = shape["out"], shape["width"]
        if shape.get("weights") != "int8":
            return self.normal(out, width, scale=width**-0.5)
        if self.values:
            return quantize(self.normal(out, width, scale=width**-0.5, dtype=torch.float32))
        values = torch.empty(out, width, device=self.device, dtype=torch.int8)
        return Int8Weight(values, torch.empty(out, device=self.device))

    def folded(
        self, shape: Shape, gain: torch.Tensor | None, shift: torch.Tensor | None, bias: torch.Tensor | None
    ) -> tuple[FoldedWeight, torch.Tensor | None]:
        out, width = shape["out"], shape["width"]
        if self.values:
            kind = "int8" if shape.get("weights") == "int8" else self.dtype
            return fold(self.normal(out, width, scale=width**-0.5, dtype=torch.float32), gain, shift, bias, kind)
        sums = torch.empty(out, device=self.device)
        offset = None if shift is None and bias is None else torch.empty(out, device=self.device)
        return FoldedWeight(self.weight(shape), sums), offset


def call(case: Case, device: str | torch.device = "cpu", *, seed: int = 0, values: bool = True) -> Call:
    """The call that a case describes.

    Args:
        case: of the catalog.
        device: where its tensors are.
        seed: of their values; the same on one device, seed and case.
        values: False leaves the tensors as they are allocated, which is enough to note what would be launched.
    """
    folder = "sample" if case.op in ("sample_step", "gumbel") else case.op
    function = getattr(import_module(f"clavilux.kernels.{folder}"), case.op)
    return _MAKERS[case.op](function, case.shape, _Maker(case, device, seed, values))


def _norm_linear(function: Op, shape: Shape, make: _Maker) -> Call:
    width, norm = shape["width"], shape["norm"]
    gain = None if norm == "none" else make.normal(width, scale=0.2, mean=1.0)
    shift = make.normal(width, scale=0.2) if norm == "layer" else None
    bias = make.normal(shape["out"], scale=0.2) if shape.get("bias", True) else None
    x = make.normal(shape["rows"], width, mean=0.3)
    words = {"norm": norm, "activation": shape["activation"]}
    if not shape.get("folded"):
        return Call(function, (x, gain, shift, make.weight(shape), bias), words)
    return Call(function, (x, None, None, *make.folded(shape, gain, shift, bias)), words)


def _linear_residual(function: Op, shape: Shape, make: _Maker) -> Call:
    bias = make.normal(shape["out"], scale=0.2) if shape.get("bias", True) else None
    x, residual = make.normal(shape["rows"], shape["width"]), make.normal(shape["rows"], shape["out"])
    return Call(function, (x, make.weight(shape), bias, residual), {})


def _attention_words(shape: Shape, make: _Maker, keys: int) -> dict[str, Any]:
    rows, length = shape["rows"], shape["length"]
    words: dict[str, Any] = {}
    if shape.get("span"):
        words["span"] = Span(shape["span"], shape["span_size"])
    if shape.get("starts"):  # of three rows and more, the last one reads nothing
        starts = [length if 2 <= row == rows - 1 else row * length // rows for row in range(rows)]
        words["starts"] = make.given(starts, torch.int64)
    if shape.get("mask"):  # of two rows and more, the last one reads nothing: guidance without a prompt
        mask = make.coin(rows, keys)
        mask[0, 0] = True
        mask[max(1, rows - 1) :] = False
        words["mask"] = mask
    return words


def _cross_step(function: Op, shape: Shape, make: _Maker) -> Call:
    rows, width, heads, size, keys = (shape[name] for name in ("rows", "width", "heads", "head_dim", "length"))
    inner, biases = heads * size, shape.get("bias", True)
    mask = _attention_words(shape, make, keys).get("mask")
    gain, shift = make.normal(width, scale=0.2, mean=1.0), make.normal(width, scale=0.2)
    ends: Shape = {"out": width, "width": inner}
    out = make.weight(ends)
    before = make.weight({**ends, "weights": shape.get("weights", "")})
    bias, out_bias, query_bias = (make.normal(size, scale=0.2) if biases else None for size in (width, width, inner))
    x, y = make.normal(rows, width, mean=0.3), make.normal(rows, inner)
    words = {"norm": shape["norm"]}
    if make.values:
        query = make.normal(inner, width, scale=width**-0.5)
        folded = fold(query, gain, shift if shape["norm"] == "layer" else None, query_bias, make.dtype)
        k, v = (make.normal(rows, heads, keys, size) for _ in range(2))
        read = torch.ones(rows, dtype=torch.bool, device=make.device) if mask is None else mask.any(1)
        slots = torch.where(read, read.cumsum(0) - 1, -1).int()  # nothing is kept of a row that reads nothing
        memory = replace(fold_memory(k[read], v[read], *folded, out, before, bias), slots=slots)
        return Call(function, (x, y, before, bias, memory, mask, out_bias), words)
    readable_rows, scores = rows - bool(shape.get("mask") and rows > 1), heads * keys
    single = [torch.empty(readable_rows, scores, device=make.device) for _ in range(3)]
    sizes = (scores, width), (scores, inner), (width, scores)
    matrices = [make.normal(readable_rows, *two) for two in sizes]
    start, offset = single[1] if biases else None, single[2] if biases or shape["norm"] == "layer" else None
    slots = torch.empty(rows, device=make.device, dtype=torch.int32)
    memory = FoldedMemory(matrices[0], matrices[1], matrices[2], single[0], start, offset, slots, heads)
    return Call(function, (x, y, before, bias, memory, mask, out_bias), words)


def _rope(make: _Maker, positions: int, head_dim: int) -> torch.Tensor:
    angles = make.normal(positions, head_dim // 2, dtype=torch.float32)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1)], 1).to(make.dtype)


def _decode_attention(function: Op, shape: Shape, make: _Maker) -> Call:
    rows, heads, head_dim, length = shape["rows"], shape["heads"], shape["head_dim"], shape["length"]
    capacity, place = shape.get("capacity", length), length - 1
    span: Span | None = None
    positions = capacity
    if shape.get("span"):  # the cache holds what the span can still read
        span = Span(shape["span"], shape["span_size"])
        capacity = span.num_slots(capacity)
        place = span.slot(place, capacity)
    k, v = make.normal(rows, heads, capacity, head_dim), make.normal(rows, heads, capacity, head_dim)
    words = _attention_words(shape, make, capacity)
    qkv = make.normal(rows, 3, heads, head_dim)  # as the fused product leaves them
    written: tuple[torch.Tensor, ...] = ()
    if shape.get("write"):
        words |= {"new_k": qkv[:, 1], "new_v": qkv[:, 2]}
        written = (k[:, :, place : place + 1], v[:, :, place : place + 1])
    if make.values:  # what must not be read
        last = make.given([length - 1], torch.int64)
        unread = torch.arange(capacity, device=make.device) >= length
        unread = unread if span is None else ~span.reads_slots(last, capacity)
        if shape.get("write") and place < capacity:
            unread[place] = True
        k[:, :, unread], v[:, :, unread] = torch.nan, torch.nan
    if shape.get("rope"):
        words["rope"] = _rope(make, positions, head_dim)
    if shape.get("qk_norm"):
        words |= {name: make.normal(head_dim, scale=0.2, mean=1.0) for name in ("q_gain", "k_gain")}
    valid = make.given([length], torch.int32) if shape.get("on_device") else length
    return Call(function, (qkv[:, 0], k, v, valid), words, written)


def _prefill_attention(function: Op, shape: Shape, make: _Maker) -> Call:
    rows, heads, head_dim, length = shape["rows"], shape["heads"], shape["head_dim"], shape["length"]
    queries = shape["queries"]
    words = _attention_words(shape, make, length)
    qkv = make.normal(rows, length, 3, heads, head_dim)
    q, k, v = qkv.transpose(1, 3).unbind(2)  # [B, H, T, E]
    return Call(function, (q[:, :, length - queries :], k, v), words)


def _logits(shape: Shape, make: _Maker) -> tuple[torch.Tensor, dict[str, Any], torch.Tensor | None]:
    blocks, rows, codebooks, vocabulary = shape["blocks"], shape["rows"], shape["codebooks"], shape["vocabulary"]
    logits = make.normal(blocks * rows, codebooks, vocabulary, scale=3.0)
    words: dict[str, Any] = {name: shape[name] for name in _FILTERS if name in shape}
    allowed = None
    if shape.get("allowed"):
        allowed = make.coin(1, codebooks, vocabulary)
        allowed[..., 0] = True
    return logits, words, allowed


def _keys(shape: Shape, make: _Maker) -> tuple[torch.Tensor, torch.Tensor]:
    rows = shape["rows"]
    return make.whole(2**62, rows), make.given(list(range(rows)), torch.int64)


def _gumbel(function: Op, shape: Shape, make: _Maker) -> Call:
    return Call(function, (*_keys(shape, make), STEP, shape["steps"], shape["codebooks"], shape["vocabulary"]), {})


def _marking(shape: Shape, make: _Maker, *before: int) -> dict[str, torch.Tensor]:
    """Groups of most tokens and keyed noise, of several steps where `before` says how many; nothing without a mark."""
    if "groups" not in shape:
        return {}
    rows, codebooks, count = shape["rows"], shape["codebooks"], shape["groups"]
    groups = make.whole(count + 1, 1, codebooks, shape["vocabulary"]) - 1
    return {"groups": groups, "keyed": make.normal(*before, rows, codebooks, count, dtype=torch.float32)}


def _sample(function: Op, shape: Shape, make: _Maker) -> Call:
    logits, words, allowed = _logits(shape, make)
    drawn = shape["rows"], shape["codebooks"], shape["vocabulary"]
    noise = None
    if words.get("temperature", 1.0) > 0:
        uniform = make.normal(*drawn, dtype=torch.float32)
        noise = -torch.log(-torch.log(uniform.uniform_(1e-6, 1 - 1e-6, generator=make.generator)))
    words |= {"weights": GUIDANCE[shape["blocks"]], "allowed": allowed, **_marking(shape, make)}
    return Call(function, (logits, noise), words)


def _sample_step(function: Op, shape: Shape, make: _Maker) -> Call:
    logits, words, allowed = _logits(shape, make)
    rows, codebooks = shape["rows"], shape["codebooks"]
    plan = make.given([[[OPEN] * STEPS] * codebooks] * rows, torch.int64)
    plan[:, 1::4] = 1  # every fourth codebook's token is known
    out, failed = make.given([[OPEN] * codebooks] * rows, torch.int64), make.given([-1] * rows, torch.int32)
    seeds, numbers = _keys(shape, make)
    words |= {"seeds": seeds, "rows": numbers, "allowed": allowed, "temperature": shape.get("temperature", 1.0)}
    words["weights"] = make.given([GUIDANCE[shape["blocks"]]], torch.float32)
    # As a captured step has them: by address, and for a large vocabulary the noise of several steps.
    filters = [shape.get(name, default) for name, default in (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0))]
    words["settings"] = make.given(filters, torch.float64)
    if shape["vocabulary"] > NOISE_AHEAD and not shape.get("late_noise"):
        words["noise"] = make.normal(2, rows, codebooks, shape["vocabulary"], dtype=torch.float32)
    words |= _marking(shape, make, 2)
    step = make.given([STEP], torch.int32)
    return Call(function, (logits, plan, out, failed, step), words, (plan, out, failed))


def _embed(function: Op, shape: Shape, make: _Maker) -> Call:
    rows, codebooks, vocabulary, width = shape["rows"], shape["codebooks"], shape["vocabulary"], shape["width"]
    blocks, prefix = shape.get("blocks", 1), shape.get("prefix", 0)
    length = shape.get("length", prefix + 5)
    position = length - 2 if length > prefix + 1 else length - 1
    words: dict[str, Any] = {"blocks": blocks, "prefix": prefix}
    if shape.get("positions"):
        words["positions"] = make.normal(length, width)
    if shape.get("additive"):
        words["additive"] = make.normal(blocks * rows, length - prefix, width)
    tokens, table = make.whole(vocabulary, rows, codebooks), make.normal(codebooks * vocabulary, width)
    at = make.given([position], torch.int32) if shape.get("on_device") else position
    return Call(function, (tokens, table, at), words)


_MAKERS: Mapping[str, Callable[[Op, Shape, _Maker], Call]] = {
    "norm_linear": _norm_linear,
    "linear_residual": _linear_residual,
    "decode_attention": _decode_attention,
    "prefill_attention": _prefill_attention,
    "cross_step": _cross_step,
    "sample": _sample,
    "sample_step": _sample_step,
    "gumbel": _gumbel,
    "embed": _embed,
}
