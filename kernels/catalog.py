"""Every op's cases: shapes, dtype, tolerance, bytes moved. Tests, benchmarks and compile gates read them.

The toy cases are small and odd; the others are steps of real models, whose names they carry. Knows no op's
code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ITEM_BYTES: Mapping[str, int] = MappingProxyType({"float32": 4, "float16": 2, "bfloat16": 2})

# The largest error against float64, as a share of the largest value of the result.
TOLERANCE: Mapping[str, float] = MappingProxyType({"float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2})


@dataclass(frozen=True)
class Case:
    """One call of one op.

    Attributes:
        op: the folder's name.
        name: model and place, or what is odd about it.
        shape: the op's sizes by name; words such as norm or activation as well.
        dtype: of the tensors that are read and written.
        toy: small enough for an interpreter.
    """

    op: str
    name: str
    shape: Mapping[str, int | str | bool]
    dtype: str = "float32"
    toy: bool = False

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.dtype]

    @property
    def bytes_moved(self) -> int:
        """What must be read and written at least, each tensor once; the floor of the op's time."""
        return COSTS[self.op](self.shape) * ITEM_BYTES[self.dtype]

    def __str__(self) -> str:
        return f"{self.op}-{self.name}-{self.dtype}"


def _linear_items(shape):
    rows, width, out = shape["rows"], shape["width"], shape["out"]
    written = out // 2 if shape.get("activation") == "swiglu" else out
    residual = rows * out if "norm" not in shape else 0
    return out * width + rows * (width + written) + residual


def _attention_items(shape):
    queries = shape.get("queries", 1)
    read = 2 * shape["length"] + queries  # keys, values, queries
    return shape["rows"] * shape["heads"] * shape["head_dim"] * (read + queries)


def _sample_items(shape):
    # Logits of every block; noise is made on the fly, tokens are few.
    return shape["blocks"] * shape["rows"] * shape["codebooks"] * shape["vocabulary"]


def _embed_items(shape):
    # A row of the table a codebook, what is added to it, and the sum, for each row that is written.
    added = bool(shape.get("positions")) + bool(shape.get("additive"))
    return shape.get("blocks", 1) * shape["rows"] * (shape["codebooks"] + added + 1) * shape["width"]


COSTS = MappingProxyType(
    {
        "embed": _embed_items,
        "norm_linear": _linear_items,
        "linear_residual": _linear_items,
        "decode_attention": _attention_items,
        "prefill_attention": _attention_items,
        "sample": _sample_items,
    }
)


@dataclass(frozen=True)
class Model:
    """The sizes of a real model's step, from its published config."""

    name: str
    rows: int  # guidance included
    width: int
    heads: int
    head_dim: int
    ffn: int
    context: int
    vocabulary: int
    codebooks: int = 1
    norm: str = "layer"
    activation: str = "gelu"


MODELS = (
    Model("musicgen-small", 2, 1024, 16, 64, 4096, 1503, 2048, 4),
    Model("musicgen-medium", 2, 1536, 24, 64, 6144, 1503, 2048, 4),
    Model("musicgen-large", 2, 2048, 32, 64, 8192, 1503, 2048, 4),
    Model("imagegpt-small", 1, 512, 8, 64, 2048, 1024, 512, 1, "rms", "quick_gelu"),
    Model("imagegpt-medium", 1, 1024, 8, 128, 4096, 1024, 512, 1, "rms", "quick_gelu"),
    Model("imagegpt-large", 1, 1536, 16, 96, 6144, 1024, 512, 1, "rms", "quick_gelu"),
    Model("aria-composer", 1, 192, 4, 48, 512, 512, 500, 1, "rms", "swiglu"),
)


def _model_cases(model: Model, dtype: str) -> list[Case]:
    inner = model.heads * model.head_dim
    up = 2 * model.ffn if model.activation == "swiglu" else model.ffn
    rows = {"rows": model.rows}
    norm = {"norm": model.norm}
    heads = {"heads": model.heads, "head_dim": model.head_dim}
    cases = [
        ("norm_linear", "qkv", {"width": model.width, "out": 3 * inner, "activation": "none", **norm}),
        ("norm_linear", "up", {"width": model.width, "out": up, "activation": model.activation, **norm}),
        (
            "norm_linear",
            "head",
            {"width": model.width, "out": model.codebooks * model.vocabulary, "activation": "none", **norm},
        ),
        ("linear_residual", "out", {"width": inner, "out": model.width}),
        ("linear_residual", "down", {"width": model.ffn, "out": model.width}),
        ("decode_attention", "half", {**heads, "length": model.context // 2}),
        ("decode_attention", "full", {**heads, "length": model.context}),
        (
            "prefill_attention",
            "quarter",
            {**heads, "length": model.context // 4, "queries": model.context // 4},
        ),
    ]
    cases = [Case(op, f"{model.name}-{place}", {**rows, **shape}, dtype) for op, place, shape in cases]
    blocks = model.rows  # one picture or song, and its guidance rows
    shape = {"blocks": blocks, "rows": 1, "codebooks": model.codebooks, "vocabulary": model.vocabulary}
    cases.append(Case("embed", model.name, {**shape, "width": model.width, "positions": model.norm == "layer"}, dtype))
    return [*cases, Case("sample", model.name, {**shape, "top_k": 250})]


def _toy_cases(dtype: str) -> list[Case]:
    linear = [
        ("one-row", {"rows": 1, "width": 16, "out": 24}),
        ("odd", {"rows": 3, "width": 13, "out": 10}),
        ("many-rows", {"rows": 17, "width": 8, "out": 6}),
        ("one-column", {"rows": 2, "width": 1, "out": 2}),
    ]
    decode = [
        ("one-key", {"rows": 1, "heads": 1, "head_dim": 4, "length": 1}),
        ("odd", {"rows": 3, "heads": 5, "head_dim": 6, "length": 7}),
        ("wide-head", {"rows": 2, "heads": 1, "head_dim": 150, "length": 33}),
        ("left-pad", {"rows": 3, "heads": 2, "head_dim": 8, "length": 9, "starts": True}),
        ("masked", {"rows": 3, "heads": 2, "head_dim": 8, "length": 9, "mask": True}),
    ]
    embed = [
        ("plain", {"rows": 1, "codebooks": 1, "vocabulary": 5, "width": 16}),
        ("books", {"rows": 3, "codebooks": 4, "vocabulary": 3, "width": 33, "positions": True}),
        (
            "guided",
            {"rows": 2, "codebooks": 2, "vocabulary": 7, "width": 24, "blocks": 2, "additive": True, "prefix": 2},
        ),
        ("wide", {"rows": 1, "codebooks": 1, "vocabulary": 2, "width": 600, "positions": True, "additive": True}),
    ]
    sample = [
        ("plain", {"blocks": 1, "rows": 2, "codebooks": 1, "vocabulary": 11, "top_k": 0}),
        ("guided", {"blocks": 2, "rows": 3, "codebooks": 4, "vocabulary": 33, "top_k": 5}),
        ("three-blocks", {"blocks": 3, "rows": 1, "codebooks": 2, "vocabulary": 7, "top_k": 7}),
    ]
    cases = []
    for name, shape in linear:
        for norm in ("none", "layer", "rms"):
            for activation in ("none", "gelu", "quick_gelu", "swiglu"):
                words = {"norm": norm, "activation": activation}
                cases.append(Case("norm_linear", f"{name}-{norm}-{activation}", {**shape, **words}, dtype, True))
        cases.append(Case("linear_residual", name, shape, dtype, True))
    for name, shape in decode:
        cases.append(Case("decode_attention", name, shape, dtype, True))
        length = shape["length"]
        for queries in {1, (length + 1) // 2, length}:
            words = {**shape, "queries": queries}
            cases.append(Case("prefill_attention", f"{name}-{queries}", words, dtype, True))
    cases += [Case("embed", name, shape, dtype, True) for name, shape in embed]
    return cases + [Case("sample", name, shape, dtype, True) for name, shape in sample]


CASES: tuple[Case, ...] = (
    *(case for dtype in ITEM_BYTES for case in _toy_cases(dtype)),
    *(case for model in MODELS for case in _model_cases(model, "float32" if "aria" in model.name else "bfloat16")),
)


def cases(op: str, *, toy: bool) -> tuple[Case, ...]:
    """The cases of one op, either the toy ones or the real ones.

    Raises:
        ValueError: an op that does not exist.
    """
    if op not in COSTS:
        raise ValueError(f"op is {op!r}; it should be one of {', '.join(COSTS)}")
    return tuple(case for case in CASES if case.op == op and case.toy == toy)
