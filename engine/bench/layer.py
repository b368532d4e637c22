"""One layer's step at half the context, beside the same layer written in plain torch.

Several layers with weights of their own go round, so that none is in the cache when its turn comes again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.bench.parity import LIMITS, relative_error
from clavilux.bench.steps import fits, usual_dtypes, usual_models
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side, buffers_needed, captured, rotating
from clavilux.bench.torch_peer import cross_attention, feed_forward, queries_keys_values
from clavilux.bench.variants import filled_state
from clavilux.bench.workloads import Subject, build, layer_cost, named
from clavilux.kernels.model_shapes import ModelShape
from clavilux.layers import Layer
from clavilux.spec import DecoderSpec

Call = Callable[[], Tensor]  # of a step of one layer


def run_layer(bench: Bench, models: tuple[str, ...] = (), dtype: str = "auto") -> None:
    """The suite."""
    for name in models or usual_models(bench.device):
        model = named(name)
        if bench.late(f"one layer of {name}"):
            continue
        length = 32 if bench.quick else model.context // 2
        num_bytes, _ = layer_cost(model, length, "int8", "bfloat16")
        few = replace(model, layers=min(model.layers, buffers_needed(num_bytes, bench.device)))
        dtypes = usual_dtypes(bench.device) if dtype == "auto" else (dtype,)
        if not fits(bench, few, dtypes):
            continue
        with torch.inference_mode():
            _compare(bench, few, dtypes, length)


def _compare(bench: Bench, model: ModelShape, dtypes: Sequence[str], length: int) -> None:
    plain = build(model, bench.device)
    x = torch.randn(model.rows, model.width, device=bench.device)
    truth = _torch_calls(plain, x, length)[0]()
    sides = []
    for dtype in dtypes:
        subject = plain if dtype == "float32" else plain.in_dtype(dtype)
        calls, folded_keys = _calls(subject, x, length)
        sides.append(_checked(bench, f"clavilux {dtype}", subject, calls, truth, length, folded_keys=folded_keys))
    for dtype in ("float32", "bfloat16") if bench.device.type == "cpu" else ("bfloat16",):
        subject = plain if dtype == "float32" else plain.plain_in(dtype)
        calls = _torch_calls(subject, x, length)
        sides.append(_checked(bench, f"torch {dtype}", subject, calls, truth, length, peer=True))
    bench.compare("layer", model.name, f"length {length}", sides, least_s=0.01)


def _checked(
    bench: Bench, name: str, subject: Subject, calls: Sequence[Call], truth: Tensor, length: int, *, peer: bool = False,
    folded_keys: int = 0,
) -> Side:  # fmt: skip
    """A side whose result lies close to that of torch in float32. Raises Mismatch where it does not."""
    model, dtype = subject.model, subject.dtype
    error = relative_error(calls[0]().float(), truth.float())
    if error > LIMITS[dtype]:
        raise Mismatch(f"a layer of {model.name} by {name} is {error:.2g} from torch's in float32")
    items = str(subject.decoder.embed.weight.dtype).removeprefix("torch.")
    num_bytes, flops = layer_cost(model, length, dtype, items, subject.cache_dtype, folded_keys)
    facts: dict[str, object] = {"dtype": dtype, "bytes": num_bytes, "flops": flops, "error": error}
    if peer:
        facts["peer"] = True
    if bench.device.type == "cuda":
        return Side(name, captured(calls, bench.device), per_run=len(calls), facts=facts)
    return Side(name, rotating(calls), facts=facts)


def _calls(subject: Subject, x: Tensor, length: int) -> tuple[list[Call], int]:
    """A step of each layer, and the positions of a memory that is folded."""
    state, decoder = filled_state(subject, length), subject.decoder
    x = x.to(decoder.embed.weight.dtype)

    def step(index: int, layer: nn.Module) -> Call:
        assert isinstance(layer, Layer)
        memory, caches = state.memory.of(index), (state.k[index], state.v[index])
        return lambda: layer.step(x, decoder.rope, *caches, length, memory, state.conditioning)

    return [step(index, layer) for index, layer in enumerate(decoder.layers)], state.memory.folded_shape[1]


def _torch_calls(subject: Subject, x: Tensor, length: int) -> list[Call]:
    state, decoder = filled_state(subject, length), subject.decoder
    x = x.to(decoder.embed.weight.dtype)

    def step(index: int, layer: nn.Module) -> Call:
        assert isinstance(layer, Layer)
        caches, kv = (state.k[index], state.v[index]), state.memory.kv.get(index)
        return lambda: torch_layer(decoder.spec, index, layer, x, *caches, length, decoder.rope, kv)

    return [step(index, layer) for index, layer in enumerate(decoder.layers)]


def torch_layer(
    spec: DecoderSpec,
    index: int,
    layer: Layer,
    x: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    length: int,
    rope: Tensor | None,
    memory_kv: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """A step of a layer with plain weights, as one would write it in torch over a static cache; [B, D] to [B, D]."""
    attention = layer.attention
    assert attention is not None  # the measured models attend in every layer
    q, k, v = queries_keys_values(spec, attention, x, None if rope is None else rope[length - 1])
    span, slots = spec.span(index), k_cache.shape[2]
    place = length - 1 if span is None else span.slot(length - 1, slots)
    first, count = (0, length) if span is None else span.slots_read(length - 1, slots)
    if place < slots:
        k_cache[:, :, place], v_cache[:, :, place] = k, v
    read = slice(first, first + count)
    y = F.scaled_dot_product_attention(q[:, :, None], k_cache[:, :, read], v_cache[:, :, read])
    y = y if count else torch.zeros_like(y)
    x = x + F.linear(y.reshape(len(x), -1), attention.out.weight, attention.out.bias)
    if memory_kv is not None:
        assert layer.cross is not None
        x = cross_attention(spec, layer.cross, x, *memory_kv)
    return feed_forward(spec, layer.ffn, x)
