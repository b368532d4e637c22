"""Every op's cases: shapes, dtype, tolerance, bytes moved. Tests, benchmarks and compile gates read them.

The toy cases are small and odd; the others are steps of real models, whose names they carry, and odd sizes at full
length. Knows no op's code; `case_inputs` makes the tensors of a case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypedDict

from clavilux.kernels.model_shapes import MODELS, ModelShape

ITEM_BYTES: Mapping[str, int] = MappingProxyType({"float32": 4, "float16": 2, "bfloat16": 2})

# The largest error against float64, as a share of the largest value of the result.
TOLERANCE: Mapping[str, float] = MappingProxyType({"float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2})


class Shape(TypedDict, total=False):
    """An op's sizes by name, and words such as norm or activation. What is left out is absent or false."""

    rows: int
    # linear
    width: int
    out: int
    norm: str
    activation: str
    bias: bool  # True where it is left out
    weights: str  # "int8"
    folded: bool  # the norm, into the matrix
    # attention
    heads: int
    head_dim: int
    length: int
    queries: int
    capacity: int  # of the cache; as length where it is left out
    write: bool
    rope: bool
    qk_norm: bool
    span: str
    span_size: int
    starts: bool
    mask: bool
    on_device: bool  # the length, or the position of embed, is a tensor
    # sample
    blocks: int
    codebooks: int
    vocabulary: int
    temperature: float
    top_k: int
    top_p: float
    allowed: bool
    late_noise: bool  # of sample_step with a large vocabulary: made in the call, not beforehand
    groups: int  # of a marked draw
    steps: int  # of gumbel
    # embed: rows, blocks, codebooks, vocabulary, width, on_device, and
    positions: bool
    additive: bool
    prefix: int  # length is that of positions and of prefix and additive together


@dataclass(frozen=True)
class Case:
    """One call of one op.

    Attributes:
        op: the function's name; its folder's, but for sample_step and gumbel, which are in sample.
        name: model and place, or what is odd about it.
        shape: the op's sizes and words.
        dtype: of the tensors that are read and written.
        toy: small enough for an interpreter.
    """

    op: str
    name: str
    shape: Shape
    dtype: str = "float32"
    toy: bool = False

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.dtype]

    @property
    def bytes_moved(self) -> int:
        """What must be read and written at least, each tensor once; the floor of the op's time."""
        return COSTS[self.op](self.shape, ITEM_BYTES[self.dtype])

    def with_dtype(self, dtype: str) -> "Case":
        """The same call in another dtype."""
        return replace(self, dtype=dtype)

    def __str__(self) -> str:
        return f"{self.op}-{self.name}-{self.dtype}"


def _linear_bytes(shape: Shape, item: int) -> int:
    rows, width, out = shape["rows"], shape["width"], shape["out"]
    residual = "norm" not in shape
    written = out // 2 if shape.get("activation") == "swiglu" else out
    gains = {"layer": 2, "rms": 1}.get(shape.get("norm", "none"), 0) * width
    bias = out if shape.get("bias", True) else 0
    if shape.get("folded"):  # row sums of a layer norm, and an offset in float32
        layer = shape["norm"] == "layer"
        gains, bias = 0, (layer + bool(layer or bias)) * out * 4 // item
    # An int8 matrix is one byte a weight and a float32 scale a row.
    matrix = out * (width + 4) if shape.get("weights") == "int8" else out * width * item
    return matrix + item * (rows * (width + written + (out if residual else 0)) + gains + bias)


def _keys_read(shape: Shape) -> int:
    """How many keys the last position reads."""
    length, size, position = shape["length"], shape.get("span_size", 0), shape["length"] - 1
    return {
        None: length,
        "row": position % max(size, 1) + 1,
        "column": position // max(size, 1) + 1,
        "previous_row": size if position >= size else 0,
        "prefix": min(size, length),
    }[shape.get("span")]


def _decode_bytes(shape: Shape, item: int) -> int:
    # Keys and values; the query and the result; the new key and value come in and are written to the cache.
    vectors = 2 * _keys_read(shape) + 2 + (2 if shape.get("write") else 0)
    return shape["rows"] * shape["heads"] * shape["head_dim"] * vectors * item


def _cross_step_bytes(shape: Shape, item: int) -> int:
    # The self-attention's output, and of all rows but a masked last one the folded memory and its sums and offsets.
    inner, scores = shape["heads"] * shape["head_dim"], shape["heads"] * shape["length"]
    out: Shape = {"rows": shape["rows"], "width": inner, "out": shape["width"], "bias": shape.get("bias", True)}
    out["weights"] = shape.get("weights", "")  # the folded memory is not rounded to 8 bits
    readable = shape["rows"] - bool(shape.get("mask") and shape["rows"] > 1)
    vectors = 1 + (shape["norm"] == "layer") + bool(shape.get("bias", True))
    return _linear_bytes(out, item) + readable * scores * ((2 * shape["width"] + inner) * item + 4 * vectors)


def _prefill_bytes(shape: Shape, item: int) -> int:
    return shape["rows"] * shape["heads"] * shape["head_dim"] * 2 * (shape["length"] + shape["queries"]) * item


def _sample_bytes(shape: Shape, item: int) -> int:
    # Logits of every block, and the mask; noise is made on the fly, tokens are few.
    drawn = shape["rows"] * shape["codebooks"] * shape["vocabulary"]
    return shape["blocks"] * drawn * item + (drawn if shape.get("allowed") else 0)


def _gumbel_bytes(shape: Shape, item: int) -> int:
    return shape["steps"] * shape["rows"] * shape["codebooks"] * shape["vocabulary"] * item


def _embed_bytes(shape: Shape, item: int) -> int:
    # A row of the table a codebook, what is added to it, and the sum, for each row that is written.
    added = bool(shape.get("positions")) + bool(shape.get("additive"))
    return shape.get("blocks", 1) * shape["rows"] * (shape["codebooks"] + added + 1) * shape["width"] * item


COSTS: Mapping[str, Callable[[Shape, int], int]] = MappingProxyType(
    {
        "embed": _embed_bytes,
        "norm_linear": _linear_bytes,
        "linear_residual": _linear_bytes,
        "decode_attention": _decode_bytes,
        "prefill_attention": _prefill_bytes,
        "cross_step": _cross_step_bytes,
        "sample": _sample_bytes,
        "sample_step": _sample_bytes,
        "gumbel": _gumbel_bytes,
    }
)


def _linear_cases(model: ModelShape) -> list[Case]:
    inner = model.heads * model.head_dim
    up = 2 * model.ffn if model.activation == "swiglu" else model.ffn
    common: Shape = {"rows": model.rows, "bias": model.biases}
    norm: Shape = {"width": model.width, "norm": model.norm, "activation": "none", **common}
    norm["folded"] = model.dtype != "float32"  # there a norm stays as it is: for comparing values
    head: Shape = {**norm, "bias": False}
    if not model.final_norm:
        head = {**head, "norm": "none", "folded": False}
    cases: list[tuple[str, str, Shape]] = [
        ("norm_linear", "qkv", {**norm, "out": 3 * inner}),
        ("norm_linear", "up", {**norm, "out": up, "activation": model.activation}),
        ("norm_linear", "head", {**head, "out": model.codebooks * model.vocabulary}),
        ("linear_residual", "out", {**common, "width": inner, "out": model.width}),
        ("linear_residual", "down", {**common, "width": model.ffn, "out": model.width}),
    ]
    if model.cross:
        cases.append(("norm_linear", "cross-q", {**norm, "out": inner}))
        step: Shape = {**norm, "heads": model.heads, "head_dim": model.head_dim, "mask": True}
        cases += [("cross_step", f"cross-{keys}", {**step, "length": keys}) for keys in (13, 32)]
    if model.int8:
        cases += [(op, f"{place}-int8", {**shape, "weights": "int8"}) for op, place, shape in cases]
    return [Case(op, f"{model.name}-{place}", shape, model.dtype) for op, place, shape in cases]


def _attention_cases(model: ModelShape) -> list[Case]:
    heads: Shape = {"rows": model.rows, "heads": model.heads, "head_dim": model.head_dim}
    step: Shape = {"capacity": model.context, "write": True, "on_device": True, "qk_norm": model.qk_norm}
    step = {**heads, **step, "rope": model.positions == "rope"}
    half, full, quarter = model.context // 2, model.context, model.context // 4
    cases: list[tuple[str, str, Shape]] = []
    for span in sorted({model.span(layer) for layer in range(model.layers)}, key=str):
        words: Shape = {} if span is None else {"span": span[0], "span_size": span[1]}
        place = "" if span is None else f"{span[0].replace('_', '-')}-"
        cases += [
            ("decode_attention", f"{place}half", {**step, **words, "length": half}),
            ("decode_attention", f"{place}full", {**step, **words, "length": full}),
            ("prefill_attention", f"{place}quarter", {**heads, **words, "length": quarter, "queries": quarter}),
        ]
    if model.cross:
        cases.append(("decode_attention", "cross", {**heads, "length": model.cross, "mask": True}))
    return [Case(op, f"{model.name}-{place}", shape, model.dtype) for op, place, shape in cases]


def _token_cases(model: ModelShape) -> list[Case]:
    # One picture or song, and its guidance rows.
    shape: Shape = {"blocks": model.rows, "rows": 1, "codebooks": model.codebooks}
    embed: Shape = {"width": model.width, "positions": model.positions in ("learned", "sinusoidal"), "on_device": True}
    embed = {**embed, "vocabulary": model.table or model.vocabulary, "additive": model.additive}
    draw: Shape = {
        "temperature": model.temperature,
        "top_k": model.top_k,
        "top_p": model.top_p,
        "allowed": model.grammar,
    }
    draw = {**shape, **draw, "vocabulary": model.vocabulary}
    return [
        Case("embed", model.name, {**shape, **embed, "length": model.context}, model.dtype),
        Case("sample", model.name, draw, model.dtype),
        Case("sample_step", model.name, draw, model.dtype),
    ]


def _odd_cases() -> list[Case]:
    """Sizes that no model above has: more rows, head sizes, memories, vocabularies and filters."""
    cases = []
    for rows in (1, 3, 5, 8, 9, 16, 17, 32, 64):  # beyond 16 PyTorch's own
        norm: Shape = {"rows": rows, "norm": "layer", "bias": True, "folded": True}
        cases += [
            Case("norm_linear", f"{rows}-rows", {**norm, "width": 1536, "out": 4608, "activation": "none"}),
            Case("norm_linear", f"{rows}-rows-gelu", {**norm, "width": 1920, "out": 1920, "activation": "gelu"}),
            Case("linear_residual", f"{rows}-rows", {"rows": rows, "width": 6144, "out": 1536}),
        ]
    swiglu: Shape = {"width": 3200, "out": 17408, "norm": "rms", "activation": "swiglu", "bias": False, "folded": True}
    int8: Shape = {"width": 2048, "out": 8192, "norm": "layer", "activation": "gelu", "weights": "int8"}
    uneven: Shape = {"rows": 2, "width": 1021, "out": 2049, "activation": "none"}
    cases += [
        Case("norm_linear", "5-rows-swiglu", {**swiglu, "rows": 5}),
        Case("norm_linear", "16-rows-swiglu", {**swiglu, "rows": 16}),
        Case("norm_linear", "16-rows-swiglu-int8", {**swiglu, "rows": 16, "weights": "int8"}),
        Case("norm_linear", "16-rows-int8", {**int8, "rows": 16}),
        Case("norm_linear", "2-rows-int8-folded", {**int8, "rows": 2, "folded": True}),
        Case("norm_linear", "16-rows-int8-folded", {**int8, "rows": 16, "folded": True}),
        Case("linear_residual", "16-rows-int8", {"rows": 16, "width": 6144, "out": 1536, "weights": "int8"}),
        Case("norm_linear", "uneven-out", {**uneven, "norm": "rms", "folded": True}),
        Case("norm_linear", "uneven-not-folded", {**uneven, "norm": "layer"}),
        Case("linear_residual", "uneven-width", {"rows": 2, "width": 1021, "out": 1023}),
    ]
    step: Shape = {"capacity": 1024, "write": True, "on_device": True}
    for head_dim in (48, 80, 100, 150, 480):
        odd: Shape = {"rows": 3, "heads": 4, "head_dim": head_dim, "length": 777, **step}
        cases.append(Case("decode_attention", f"head-{head_dim}", odd))
    heads: Shape = {"rows": 2, "heads": 8, "head_dim": 150}
    cases += [
        Case("decode_attention", "cross-150", {**heads, "length": 512, "mask": True}),
        Case("decode_attention", "left-pad", {**heads, "head_dim": 64, "length": 600, **step, "starts": True}),
        Case("decode_attention", "qk-norm", {**heads, "head_dim": 128, "length": 600, **step, "qk_norm": True}),
        Case("decode_attention", "16-rows", {"rows": 16, "heads": 24, "head_dim": 64, "length": 1000, **step}),
        Case("decode_attention", "one-key", {**heads, "length": 1, **step}),
    ]
    draws: dict[str, Shape] = {
        "2049": {"vocabulary": 2049, "blocks": 2, "top_k": 250},
        "16384-top-p": {"vocabulary": 16384, "blocks": 2, "top_p": 0.92, "top_k": 600},
        "three-blocks": {"vocabulary": 2048, "blocks": 3, "codebooks": 8, "top_k": 250},
        "5-rows-allowed": {"vocabulary": 831, "rows": 5, "allowed": True, "top_p": 0.9},
        "greedy": {"vocabulary": 2048, "blocks": 2, "codebooks": 4, "temperature": 0.0},
        "marked": {"vocabulary": 2048, "blocks": 2, "codebooks": 4, "top_k": 250, "groups": 64},
        "4096-marked": {"vocabulary": 4096, "blocks": 2, "top_k": 1000, "top_p": 0.95, "groups": 64},
    }
    for name, draw in draws.items():
        shape: Shape = {"blocks": 1, "rows": 1, "codebooks": 1, **draw}
        cases += [Case("sample", name, shape), Case("sample_step", name, shape)]
    late: Shape = {"blocks": 2, "rows": 1, "codebooks": 1, "vocabulary": 16384, "top_k": 600, "late_noise": True}
    cases += [
        Case("sample_step", "16384-late-noise", late),
        Case("sample_step", "16384-top-p-late-noise", {**late, "top_p": 0.92}),
    ]
    tables: Shape = {"rows": 5, "blocks": 2, "codebooks": 4, "vocabulary": 2049, "width": 1021}
    cases.append(Case("embed", "uneven", {**tables, "positions": True, "additive": True, "length": 700, "prefix": 3}))
    cases = [replace(case, name=f"odd-{case.name}", dtype="bfloat16") for case in cases]
    noise: dict[str, Shape] = {
        "16-steps": {"steps": 16, "rows": 5, "codebooks": 4, "vocabulary": 2049},
        "one-step": {"steps": 1, "rows": 1, "codebooks": 1, "vocabulary": 16384},
    }
    return cases + [Case("gumbel", name, shape) for name, shape in noise.items()]  # always float32


def _toy_cases(dtype: str) -> list[Case]:
    linear: list[tuple[str, Shape]] = [
        ("one-row", {"rows": 1, "width": 16, "out": 24}),
        ("odd", {"rows": 3, "width": 13, "out": 10}),
        ("many-rows", {"rows": 17, "width": 8, "out": 6}),
        ("one-column", {"rows": 2, "width": 1, "out": 2}),
    ]
    decode: list[tuple[str, Shape]] = [
        ("one-key", {"rows": 1, "heads": 1, "head_dim": 4, "length": 1}),
        ("odd", {"rows": 3, "heads": 5, "head_dim": 6, "length": 7}),
        ("wide-head", {"rows": 2, "heads": 1, "head_dim": 150, "length": 33}),
        ("left-pad", {"rows": 3, "heads": 2, "head_dim": 8, "length": 9, "starts": True}),
        ("masked", {"rows": 3, "heads": 2, "head_dim": 8, "length": 9, "mask": True}),
        ("padded-and-masked", {"rows": 3, "heads": 2, "head_dim": 8, "length": 9, "starts": True, "mask": True}),
    ]
    step: Shape = {"rows": 2, "heads": 2, "head_dim": 8, "capacity": 24, "write": True}
    turned: Shape = {"rope": True, "on_device": True}
    decode += [
        ("written", {**step, "length": 7}),
        ("first", {**step, **turned, "length": 1, "qk_norm": True}),
        ("several-pieces", {**step, **turned, "length": 290, "capacity": 300, "starts": True}),
        ("head-48", {**step, **turned, "rows": 3, "head_dim": 48, "length": 20, "qk_norm": True}),
        ("head-80-masked", {**step, **turned, "head_dim": 80, "length": 24, "mask": True}),
        ("head-100-prefix", {**step, **turned, "head_dim": 100, "length": 14, "span": "prefix", "span_size": 9}),
        ("in-prefix", {**step, "length": 8, "span": "prefix", "span_size": 9}),
        ("head-150-column", {**step, "head_dim": 150, "length": 20, "span": "column", "span_size": 6}),
        ("many-columns", {**step, "length": 290, "capacity": 300, "span": "column", "span_size": 2}),
        ("head-480-row", {**step, "head_dim": 480, "length": 16, "span": "row", "span_size": 6}),
        ("prefix-padded", {**step, "rows": 3, "length": 16, "span": "prefix", "span_size": 6, "starts": True}),
        ("previous-row", {**step, **turned, "length": 17, "span": "previous_row", "span_size": 5}),
        ("first-row", {**step, "length": 5, "span": "previous_row", "span_size": 5}),
    ]
    cross: list[tuple[str, Shape]] = [
        ("one-key", {"rows": 1, "width": 16, "heads": 2, "head_dim": 8, "length": 1, "norm": "layer"}),
        ("guided", {"rows": 2, "width": 16, "heads": 2, "head_dim": 4, "length": 5, "norm": "layer", "mask": True}),
        ("odd", {"rows": 3, "width": 13, "heads": 3, "head_dim": 5, "length": 9, "norm": "rms", "mask": True}),
        ("no-bias", {"rows": 9, "width": 600, "heads": 6, "head_dim": 8, "length": 7, "norm": "layer", "bias": False}),
    ]
    embed: list[tuple[str, Shape]] = [
        ("plain", {"rows": 1, "codebooks": 1, "vocabulary": 5, "width": 16}),
        ("books", {"rows": 3, "codebooks": 4, "vocabulary": 3, "width": 33, "positions": True}),
        (
            "guided",
            {"rows": 2, "codebooks": 2, "vocabulary": 7, "width": 24, "blocks": 2, "additive": True, "prefix": 2},
        ),
        ("wide", {"rows": 1, "codebooks": 1, "vocabulary": 2, "width": 600, "positions": True, "additive": True}),
    ]
    sample: list[tuple[str, Shape]] = [
        ("plain", {"blocks": 1, "rows": 2, "codebooks": 1, "vocabulary": 11, "top_k": 0}),
        ("guided", {"blocks": 2, "rows": 3, "codebooks": 4, "vocabulary": 33, "top_k": 5}),
        ("three-blocks", {"blocks": 3, "rows": 1, "codebooks": 2, "vocabulary": 7, "top_k": 7}),
        ("one-token", {"blocks": 1, "rows": 1, "codebooks": 2, "vocabulary": 1, "top_k": 2}),
        ("filtered", {"blocks": 2, "rows": 2, "codebooks": 1, "vocabulary": 257, "top_k": 40, "top_p": 0.9}),
        ("allowed", {"blocks": 1, "rows": 2, "codebooks": 2, "vocabulary": 9, "top_p": 0.5, "allowed": True}),
        ("greedy", {"blocks": 2, "rows": 2, "codebooks": 1, "vocabulary": 13, "temperature": 0.0}),
        ("marked", {"blocks": 2, "rows": 3, "codebooks": 2, "vocabulary": 33, "top_k": 9, "groups": 5}),
    ]
    cases = []
    for name, shape in linear:
        for norm in ("none", "layer", "rms"):
            for activation in ("none", "gelu", "quick_gelu", "swiglu"):
                words: Shape = {"norm": norm, "activation": activation}
                cases.append(Case("norm_linear", f"{name}-{norm}-{activation}", {**shape, **words}, dtype, True))
                if norm != "none":
                    words["folded"] = True
                    name_of = f"{name}-folded-{norm}-{activation}"
                    cases.append(Case("norm_linear", name_of, {**shape, **words}, dtype, True))
        cases.append(Case("linear_residual", name, shape, dtype, True))
    for name, shape in decode:
        cases.append(Case("decode_attention", name, shape, dtype, True))
        length = shape["length"]
        for queries in {1, (length + 1) // 2, length}:
            whole: Shape = {**shape, "queries": queries}
            cases.append(Case("prefill_attention", f"{name}-{queries}", whole, dtype, True))
    for op, shapes in (("cross_step", cross), ("embed", embed), ("sample", sample), ("sample_step", sample)):
        cases += [Case(op, name, shape, dtype, True) for name, shape in shapes]
    if dtype == "float32":
        cases.append(Case("gumbel", "odd", {"steps": 3, "rows": 2, "codebooks": 2, "vocabulary": 13}, dtype, True))
    return cases


CASES: tuple[Case, ...] = (
    *(case for dtype in ITEM_BYTES for case in _toy_cases(dtype)),
    *(case for model in MODELS.values() for case in _linear_cases(model)),
    *(case for model in MODELS.values() for case in _attention_cases(model)),
    *(case for model in MODELS.values() for case in _token_cases(model)),
    *_odd_cases(),
)


def cases(op: str, *, toy: bool) -> tuple[Case, ...]:
    """The cases of one op, either the toy ones or the real ones.

    Raises:
        ValueError: an op that does not exist.
    """
    if op not in COSTS:
        raise ValueError(f"op is {op!r}; it should be one of {', '.join(COSTS)}")
    return tuple(case for case in CASES if case.op == op and case.toy == toy)
