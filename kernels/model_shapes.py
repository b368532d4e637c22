"""The sizes of real models, from their published configs: what the catalog's cases and a whole step are made of.

Knows numbers only. A benchmark builds a decoder from `ModelShape.decoder`; no weights and no loader are needed for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """One decoder, and how it is sampled.

    Attributes:
        width, layers, heads, head_dim, ffn: sizes; ffn is the value half's, for swiglu.
        context: positions, the prefix and the conditioning tokens included.
        vocabulary: ids that each codebook's head scores.
        table: rows of each codebook's embedding; 0: as `vocabulary`.
        norm, activation, positions: as a decoder's spec has them.
        biases: whether the layers' matrices have a bias; heads have none.
        qk_norm, final_norm, tied: as a decoder's spec has them.
        additive: whether a vector of the conditioning is added at every position.
        cross: positions of the memory that every layer attends to; 0 for none.
        spans: what the layers read, by turns: "full", "row", "column", "previous_row".
        exceptions: layers, by number, that read something else; "prefix" as well.
        block, prefix: sizes of those spans.
        guidance: the default scale; 0: there is no second row.
        temperature, top_k, top_p: the defaults.
        grammar: whether a mask says which tokens may come.
        dtype: what it is run in on a GPU.
        int8: whether int8 weights are worth a case: the large music models.
    """

    name: str
    width: int
    layers: int
    heads: int
    head_dim: int
    ffn: int
    context: int
    vocabulary: int
    table: int = 0
    codebooks: int = 1
    norm: str = "layer"
    activation: str = "gelu"
    positions: str = "learned"
    biases: bool = False
    qk_norm: bool = False
    final_norm: bool = True
    tied: bool = False
    additive: bool = False
    cross: int = 0
    spans: tuple[str, ...] = ("full",)
    exceptions: tuple[tuple[int, str], ...] = ()
    block: int = 0
    prefix: int = 0
    guidance: float = 0.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    grammar: bool = False
    dtype: str = "bfloat16"
    int8: bool = False

    @property
    def rows(self) -> int:
        """Rows of a step for one song or picture."""
        return 2 if self.guidance else 1

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the rows in the guided sum of the logits."""
        return (self.guidance, 1 - self.guidance) if self.guidance else (1.0,)

    def span(self, layer: int) -> tuple[str, int] | None:
        """The kind and size of what a layer reads; None for everything before it."""
        kind = dict(self.exceptions).get(layer, self.spans[layer % len(self.spans)])
        return None if kind == "full" else (kind, self.prefix if kind == "prefix" else self.block)

    @property
    def decoder(self) -> dict[str, Any]:
        """The words of a decoder's spec."""
        spans = tuple((self.span(layer) or ("full", 0))[0] for layer in range(self.layers))
        return {
            "width": self.width,
            "layers": self.layers,
            "heads": self.heads,
            "head_dim": self.head_dim,
            "ffn_width": self.ffn,
            "vocabulary": self.table or self.vocabulary,
            "output_vocabulary": self.vocabulary,
            "max_positions": self.context,
            "codebooks": self.codebooks,
            "norm": self.norm,
            "norm_bias": self.norm == "layer",
            "activation": self.activation,
            "attention_bias": self.biases,
            "ffn_bias": self.biases,
            "positions": self.positions,
            "qk_norm": self.qk_norm,
            "cross_attention": self.cross > 0,
            "final_norm": self.final_norm,
            "tied": self.tied,
            "spans": spans if set(spans) != {"full"} else (),
            "block": max(1, self.block),
            "prefix_span": max(1, self.prefix),
        }


def _musicgen(size: str, width: int, layers: int) -> ModelShape:
    # 30 s at 50 Hz and the delay of 4 codebooks; T5 gives a memory of about as many positions as the prompt has words.
    return ModelShape(
        name=f"musicgen-{size}", width=width, layers=layers, heads=width // 64, head_dim=64, ffn=4 * width,
        context=1503, vocabulary=2048, table=2049, codebooks=4, positions="sinusoidal", cross=64,
        guidance=3.0, top_k=250, int8=True,
    )  # fmt: skip


def _llamagen(
    size: str, width: int, layers: int, heads: int, ffn: int, *, tokens: int = 576, prefix: int = 1, top_k: int = 2000
) -> ModelShape:
    # 24 x 24 tokens of 384 pixels after a class, or 32 x 32 after 120 positions of text.
    return ModelShape(
        name=f"llamagen-{size}", width=width, layers=layers, heads=heads, head_dim=width // heads, ffn=ffn,
        context=tokens + prefix, vocabulary=16384, norm="rms", activation="swiglu", positions="rope",
        guidance=4.0 if prefix == 1 else 7.5, top_k=top_k,
    )  # fmt: skip


def _imagegpt(size: str, width: int, layers: int, heads: int) -> ModelShape:
    return ModelShape(
        name=f"imagegpt-{size}", width=width, layers=layers, heads=heads, head_dim=width // heads, ffn=4 * width,
        context=1024, vocabulary=512, table=513, norm="rms", activation="quick_gelu", biases=True,
    )  # fmt: skip


def _jukebox(
    size: str, width: int, layers: int, heads: int, head_dim: int, *, context: int = 8192, block: int = 64, **words: Any
) -> ModelShape:
    # Attention is a quarter of the width and the wide part is no wider (arXiv 2005.00341, and the released sizes).
    return ModelShape(
        name=f"jukebox-{size}", width=width, layers=layers, heads=heads, head_dim=head_dim, ffn=width,
        context=context, vocabulary=2048, activation="quick_gelu", biases=True, final_norm=False, additive=True,
        spans=("row", "column", "previous_row"), block=block, temperature=0.99, int8=True, **words,
    )  # fmt: skip


_ALL = (
    _musicgen("small", 1024, 24),
    _musicgen("medium", 1536, 48),
    _musicgen("large", 2048, 48),
    _llamagen("b", 768, 12, 12, 2048),
    _llamagen("l", 1024, 24, 16, 2816),
    _llamagen("xl", 1280, 36, 20, 3584),
    _llamagen("xxl", 1536, 48, 24, 4096),
    _llamagen("3b", 3200, 24, 32, 8704),
    _llamagen("xl-text", 1280, 36, 20, 3584, tokens=1024, prefix=120, top_k=1000),
    _imagegpt("small", 512, 24, 8),
    _imagegpt("medium", 1024, 36, 8),
    _imagegpt("large", 1536, 48, 16),
    _jukebox("5b", 4800, 72, 8, 150),
    _jukebox(
        "1b", 2048, 72, 2, 256, context=6528, block=102, prefix=448, tied=True,
        exceptions=((15, "prefix"), (31, "prefix"), (47, "full"), (63, "prefix")),
    ),
    _jukebox("upsampler", 1920, 72, 1, 480, tied=True),
    ModelShape(
        name="aria-composer", width=192, layers=6, heads=4, head_dim=48, ffn=512, context=1024, vocabulary=831,
        norm="rms", activation="swiglu", positions="rope", tied=True, top_p=0.99, grammar=True,
        dtype="float32",
    ),
)  # fmt: skip

MODELS: Mapping[str, ModelShape] = MappingProxyType({model.name: model for model in _ALL})
