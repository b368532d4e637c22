"""What is measured: decoders of real models' sizes with random weights, never zeros, and what their steps move.

Knows the sizes in `clavilux.kernels.model_shapes` and the ops' cost models; times nothing.
"""

import copy
from dataclasses import dataclass, replace

import torch

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.kernels.catalog import Case, Shape
from clavilux.kernels.model_shapes import MODELS, ModelShape
from clavilux.kernels.span import Span
from clavilux.layout import Delay, Layout, parallel
from clavilux.precision import DTYPES, prepare
from clavilux.sampling import SamplingSpec
from clavilux.skeleton import skeletons

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
TEXT_LENGTH = 32  # positions of a prompt's memory; T5 makes one of each word or two


@dataclass(frozen=True)
class Subject:
    """A decoder, what its rows are conditioned on, and how it is drawn from.

    Attributes:
        model: the sizes it was built from.
        decoder: on the device, in the numbers it computes in.
        dtype: the word for those numbers; those that `clavilux.kernels.quantized` packs are, on an x86 CPU.
        error: of packed weights, relative, root mean square; None where nothing is lost.
    """

    model: ModelShape
    decoder: Decoder
    dtype: str
    error: float | None = None

    @property
    def device(self) -> torch.device:
        return self.decoder.embed.weight.device

    @property
    def sampling(self) -> SamplingSpec:
        model = self.model
        return SamplingSpec(
            temperature=model.temperature, top_k=model.top_k, top_p=model.top_p, guidance=model.weights, seed=7
        )

    def greedy(self) -> SamplingSpec:
        return SamplingSpec(temperature=0.0, guidance=self.model.weights)

    def conditioning(self, batch: int = 1, length: int | None = None) -> Conditioning:
        """For `batch` pieces: memory of a text, and of none (masked) for guidance; what is added at each position.

        The same numbers for every dtype and device.
        """
        model, dtype = self.model, self.decoder.embed.weight.dtype
        generator = torch.Generator().manual_seed(3)
        memory = additive = mask = None
        if model.cross:
            memory = torch.zeros(model.rows * batch, TEXT_LENGTH, model.width)
            memory[:batch].normal_(generator=generator)
            mask = torch.zeros(memory.shape[:2], dtype=torch.bool, device=self.device)
            mask[:batch] = True
        if model.additive:
            size = (model.rows * batch, length or model.context, model.width)
            additive = torch.empty(size).normal_(std=0.1, generator=generator)
        parts = (None if part is None else part.to(self.device, dtype) for part in (memory, additive))
        memory, additive = parts
        return Conditioning(memory=memory, memory_mask=mask, additive=additive)

    @property
    def cache_dtype(self) -> str:
        """The word for the dtype of its keys and values."""
        return str(self.decoder.cache_dtype or self.decoder.embed.weight.dtype).removeprefix("torch.")

    def plain_in(self, dtype: str) -> "Subject":
        """A copy with tensors of that dtype for weights, as plain torch computes with them."""
        return Subject(self.model, copy.deepcopy(self.decoder).to(DTYPES[dtype]), dtype)

    def in_dtype(self, dtype: str) -> "Subject":
        """A copy that computes in other numbers, as `clavilux.precision` makes them."""
        decoder = copy.deepcopy(self.decoder)
        found = prepare(decoder, decoder, self.device, dtype)
        error = found.get("weights_error")
        return Subject(self.model, decoder, str(found["dtype"]), None if error is None else float(error))


def named(name: str) -> ModelShape:
    """A model's sizes. Raises ValueError for a name that nobody knows."""
    if name not in MODELS:
        raise ValueError(f"the model {name!r} is not known; those known are {', '.join(MODELS)}")
    return MODELS[name]


def shortened(model: ModelShape, quick: bool) -> ModelShape:
    """In a quick run two layers stand for all, and its name says so."""
    return replace(model, layers=2, name=f"{model.name}-of-2-layers") if quick and model.layers > 2 else model


def build(model: ModelShape, device: torch.device, dtype: torch.dtype = torch.float32, seed: int = 0) -> Subject:
    """A decoder of that size. Every weight counts: gains and biases differ from 1 and 0, and what a layer adds is about
    as large as what it reads. A peer that swaps two of them, or reads another token, is found out.
    """
    torch.manual_seed(seed)
    with torch.device(device):
        decoder = Decoder(DecoderSpec(**model.decoder)).eval().requires_grad_(False)
        for name, parameter in decoder.named_parameters():
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, mean=0.0 if name.endswith("bias") else 1.0, std=0.1)
            else:
                counts = model.tied or not name.startswith(("embed", "positions"))
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5 if counts else 0.5)
    word = str(dtype).removeprefix("torch.")
    return Subject(model, decoder.to(dtype), word)


def layout_of(model: ModelShape) -> Layout:
    """MusicGen's delays where there are several codebooks."""
    if model.codebooks == 1:
        return parallel(1, model.vocabulary)
    return Delay(model.codebooks, model.vocabulary, tuple(range(model.codebooks)), special=model.vocabulary)


def num_parameters(model: ModelShape) -> int:
    """Of the decoder, without building it."""
    with skeletons():
        return sum(p.numel() for p in Decoder(DecoderSpec(**model.decoder)).parameters())


def step_cost(
    model: ModelShape, length: int, weights: str, items: str, cache: str | None = None, folded_keys: int = 0
) -> tuple[int, int]:
    """Bytes that one step must move at least, and its floating-point operations, from the ops' own cost models.

    Args:
        model: whose step.
        length: positions up to the step's own, of which every layer reads what its span says.
        weights: the word for the layers' and the head's matrices.
        items: the dtype of everything else.
        cache: that of the keys and values; None: as everything else.
        folded_keys: positions of a memory that is folded (`clavilux.memory_folding`); 0: it is not.
    """
    once = [_head_case(model, weights, items), *_token_cases(model, items)]
    cases = [*_cases_of_layers(model, length, weights, items, cache, folded_keys), *once]
    return sum(case.bytes_moved for case in cases), sum(flops(case) for case in cases)


def layer_cost(
    model: ModelShape, length: int, weights: str, items: str, cache: str | None = None, folded_keys: int = 0
) -> tuple[int, int]:
    """As `step_cost`, of one layer; the mean, where their spans differ."""
    cases = _cases_of_layers(model, length, weights, items, cache, folded_keys)
    num_bytes, num_flops = (sum(map(cost, cases)) for cost in (lambda case: case.bytes_moved, flops))
    return num_bytes // model.layers, num_flops // model.layers


def _cases_of_layers(
    model: ModelShape, length: int, weights: str, items: str, cache: str | None, folded_keys: int
) -> list[Case]:
    linears = layer_linears(model, weights, items)
    crossed: list[Case] = []
    if folded_keys:
        linears = [linears[0], *linears[2:4]]  # without the output, and the cross-attention's two
        heads: Shape = {"heads": model.heads, "head_dim": model.head_dim, "length": folded_keys, "mask": True}
        shape: Shape = {**heads, "rows": model.rows, "width": model.width, "bias": model.biases, "norm": model.norm}
        crossed = [_linear_case("cross_step", shape, weights, items)]
    cases = []
    for layer in range(model.layers):
        attention = attention_cases(model, layer, length, items, cache)
        cases += [*linears, *(attention[:1] if folded_keys else attention), *crossed]
    return cases


def layer_linears(model: ModelShape, weights: str, items: str) -> list[Case]:
    """The matrix products of one layer."""
    inner = model.heads * model.head_dim
    up = 2 * model.ffn if model.activation == "swiglu" else model.ffn
    norm: Shape = {"norm": model.norm, "activation": "none"}
    sizes: list[tuple[str, Shape]] = [
        ("norm_linear", {**norm, "width": model.width, "out": 3 * inner}),
        ("linear_residual", {"width": inner, "out": model.width}),
        ("norm_linear", {**norm, "width": model.width, "out": up, "activation": model.activation}),
        ("linear_residual", {"width": model.ffn, "out": model.width}),
    ]
    if model.cross:
        sizes += [
            ("norm_linear", {**norm, "width": model.width, "out": inner}),
            ("linear_residual", {"width": inner, "out": model.width}),
        ]
    return [
        _linear_case(op, {**shape, "rows": model.rows, "bias": model.biases}, weights, items) for op, shape in sizes
    ]


def flops(case: Case) -> int:
    """Multiplications and additions of a case's products; norms and activations are not counted."""
    shape = case.shape
    if case.op in ("norm_linear", "linear_residual"):
        return 2 * shape["rows"] * shape["width"] * shape["out"]
    if case.op == "cross_step":
        inner, scores = shape["heads"] * shape["head_dim"], shape["heads"] * shape["length"]
        readable = shape["rows"] - bool(shape.get("mask") and shape["rows"] > 1)
        return 2 * (shape["rows"] * shape["width"] * inner + readable * scores * (2 * shape["width"] + inner))
    if case.op in ("decode_attention", "prefill_attention"):
        queries, length = shape.get("queries", 1), shape["length"]
        pairs = sum(range(length - queries + 1, length + 1))
        if "span" in shape:
            span = Span(shape["span"], shape["span_size"])
            pairs = sum(span.keys(position)[2] for position in range(length - queries, length))
        return 4 * shape["rows"] * shape["heads"] * shape["head_dim"] * pairs
    return 0


def _linear_case(op: str, shape: Shape, weights: str, items: str) -> Case:
    if weights == "int8":
        return Case(op, "", {**shape, "weights": "int8"}, items)
    # A matrix in half precision beside activations in another dtype costs as if all were: the matrix is nearly all.
    return Case(op, "", shape, weights)


def _head_case(model: ModelShape, weights: str, items: str) -> Case:
    shape: Shape = {"rows": model.rows, "width": model.width, "out": model.codebooks * model.vocabulary, "bias": False}
    norm: Shape = {"norm": model.norm if model.final_norm else "none", "activation": "none"}
    return _linear_case("norm_linear", {**shape, **norm}, weights, items)


def attention_cases(model: ModelShape, layer: int, length: int, items: str, cache: str | None) -> list[Case]:
    """Self-attention of one layer, and cross-attention where the model has it."""
    heads: Shape = {"rows": model.rows, "heads": model.heads, "head_dim": model.head_dim}
    span = model.span(layer)
    words: Shape = {} if span is None else {"span": span[0], "span_size": span[1]}
    cases = [Case("decode_attention", "", {**heads, **words, "length": length, "write": True}, cache or items)]
    if model.cross:
        cases.append(Case("decode_attention", "", {**heads, "length": TEXT_LENGTH}, items))
    return cases


def _token_cases(model: ModelShape, items: str) -> list[Case]:
    embed: Shape = {"positions": model.positions in ("learned", "sinusoidal"), "additive": model.additive}
    sizes: Shape = {"blocks": model.rows, "rows": 1, "codebooks": model.codebooks, "vocabulary": model.vocabulary}
    return [
        Case("embed", "", {**sizes, **embed, "width": model.width}, items),
        Case("sample_step", "", sizes, items),
    ]
