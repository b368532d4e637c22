"""DecoderSpec: the fields in which a checkpoint family describes its decoder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from clavilux.kernels.span import KINDS, Span

NORMS = ("layer", "rms")
ACTIVATIONS = ("gelu", "quick_gelu", "swiglu")
POSITIONS = ("none", "learned", "sinusoidal", "rope", "rope_2d")
SPANS = ("full", *KINDS, "none")
# Larger than any model there is; above these a number is a broken config, found before its layers are built.
MOST_LAYERS, LARGEST = 1024, 1 << 24


@dataclass(frozen=True, kw_only=True)
class DecoderSpec:
    """A decoder's shape. Layers are pre-norm: x + attention(norm(x)), x + cross(norm(x)), x + ffn(norm(x)).

    Attributes:
        width: D, the residual stream's size.
        layers: how many.
        heads: H, in each layer; every head has its own keys and values.
        head_dim: E; heads * head_dim need not be the width.
        ffn_width: size of the wide layer (of its value half, for swiglu).
        vocabulary: rows of each codebook's input embedding.
        output_vocabulary: ids that each codebook's head scores; None: as `vocabulary`.
        codebooks: K; their embeddings are summed, and each has its own head.
        max_positions: the context, a prefix included.
        norm: "layer" or "rms" (not centred).
        norm_bias: layer norm only.
        eps: of every norm.
        activation: "gelu" (exact), "quick_gelu" or "swiglu".
        attention_bias: whether the linear layers of attention have a bias.
        ffn_bias: whether those of the feed-forward layers do.
        head_bias: whether the head does.
        positions: "none", "learned" and "sinusoidal" (added to the embeddings), "rope" (half-split pairs), or "rope_2d"
            (rope by the row and the column of a picture; see `positions.grid_table`).
        rope_theta: base of the rotation rates.
        grid_columns: for "rope_2d": tokens in a row of the picture.
        grid_prefix: for "rope_2d": positions before its first token.
        qk_norm: RMS norm of each head's queries and keys, before rope, with one gain for all heads.
        cross_attention: True for all layers, False for none, or the indices of the layers that have it.
        spans: what the self-attention of each layer reads, one kind a layer: "full", "row", "column",
            "previous_row" and "prefix" (see `clavilux.kernels.span`), or "none" for a layer that has only
            cross-attention. Empty: all of them are full.
        block: positions of a block, for row, column and previous_row.
        prefix_span: positions that prefix reads.
        final_norm: a norm before the head.
        head_width: a layer of this width with a GELU between the final norm and the head; None: there is none.
        tied: the head is the embedding's table.

    Raises:
        ValueError, TypeError: a value outside its range or of another type, named.
    """

    width: int
    layers: int
    heads: int
    head_dim: int
    ffn_width: int
    vocabulary: int
    max_positions: int
    output_vocabulary: int | None = None
    codebooks: int = 1
    norm: str = "layer"
    norm_bias: bool = False
    eps: float = 1e-5
    activation: str = "gelu"
    attention_bias: bool = False
    ffn_bias: bool = False
    head_bias: bool = False
    positions: str = "learned"
    rope_theta: float = 10000.0
    grid_columns: int | None = None
    grid_prefix: int = 0
    qk_norm: bool = False
    cross_attention: bool | tuple[int, ...] = False
    spans: tuple[str, ...] = ()
    block: int = 1
    prefix_span: int = 1
    final_norm: bool = True
    head_width: int | None = None
    tied: bool = False

    def __post_init__(self) -> None:
        if self.output_vocabulary is None:
            object.__setattr__(self, "output_vocabulary", self.vocabulary)
        for name in ("cross_attention", "spans"):
            if isinstance(getattr(self, name), list):  # JSON has no tuples
                object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_numbers()
        self._check_spans()
        for name, kinds in (("norm", NORMS), ("activation", ACTIVATIONS), ("positions", POSITIONS)):
            if getattr(self, name) not in kinds:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it should be one of {', '.join(kinds)}")
        if self.norm_bias and self.norm != "layer":
            raise ValueError(f"norm_bias is True with norm {self.norm!r}; only layer norm has a bias")
        if self.positions == "rope" and self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; rope needs an even one")
        self._check_grid()
        if self.positions == "sinusoidal" and (self.width % 2 or self.width < 4):
            raise ValueError(f"width is {self.width}; sinusoidal positions need an even one of at least 4")
        untied = self.head_bias or self.head_width is not None
        if self.tied and (self.codebooks > 1 or self.output_vocabulary != self.vocabulary or untied):
            raise ValueError("tied is True; it needs one codebook, equal vocabularies, no head_bias and no head_width")

    def _check_numbers(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int or field.type == int | None and value is not None:
                least = 0 if field.name == "grid_prefix" else 1
                most = MOST_LAYERS if field.name == "layers" else LARGEST
                if type(value) is not int:
                    raise TypeError(f"{field.name} is {value!r}; it should be a whole number")
                if value < least:
                    raise ValueError(f"{field.name} is {value}; it should be at least {least}")
                if value > most:
                    raise ValueError(f"{field.name} is {value}; it should be at most {most}")
            elif field.type is bool and type(value) is not bool:
                raise TypeError(f"{field.name} is {value!r}; it should be True or False")
            elif field.name in ("eps", "rope_theta") and not (isinstance(value, (int, float)) and value > 0):
                raise ValueError(f"{field.name} is {value!r}; it should be a number above 0")
        if not isinstance(self.cross_attention, bool):
            bad = [n for n in self.cross_attention if type(n) is not int or not 0 <= n < self.layers]
            if bad:
                raise ValueError(f"cross_attention names the layers {bad}; there are layers 0 to {self.layers - 1}")

    def _check_grid(self) -> None:
        if self.positions != "rope_2d":
            if self.grid_columns is not None or self.grid_prefix:
                raise ValueError(
                    f"grid_columns or grid_prefix is given with positions {self.positions!r}, not 'rope_2d'"
                )
        elif self.head_dim % 4:
            raise ValueError(f"head_dim is {self.head_dim}; grid positions need a multiple of 4")
        elif self.grid_columns is None or self.grid_prefix >= self.max_positions:
            raise ValueError(
                f"grid_columns is {self.grid_columns} and grid_prefix {self.grid_prefix}; grid positions need columns, "
                f"and a prefix below the {self.max_positions} positions"
            )

    def _check_spans(self) -> None:
        unknown = [kind for kind in self.spans if kind not in SPANS]
        if unknown or len(self.spans) not in (0, self.layers):
            given = f"the kinds {unknown}" if unknown else f"{len(self.spans)} kinds"
            raise ValueError(
                f"spans has {given}; it should have one for each of {self.layers} layers, of {', '.join(SPANS)}"
            )
        empty = [n for n, kind in enumerate(self.spans) if kind == "none" and n not in self.cross_layers]
        if empty:
            raise ValueError(f"spans is 'none' for the layers {empty}, which have no cross-attention either")

    def span(self, layer: int) -> Span | None:
        """What a layer's self-attention reads; None for everything before it."""
        kind = self.spans[layer] if self.spans else "full"
        if kind in ("full", "none"):
            return None
        return Span(kind, self.prefix_span if kind == "prefix" else self.block)

    def attends(self, layer: int) -> bool:
        """Whether a layer has self-attention."""
        return not self.spans or self.spans[layer] != "none"

    @property
    def num_outputs(self) -> int:
        """V of the logits."""
        return self.vocabulary if self.output_vocabulary is None else self.output_vocabulary

    @property
    def columns(self) -> int:
        """Tokens in a row of the picture; only with the positions "rope_2d"."""
        assert self.grid_columns is not None, "checked where the spec is made"
        return self.grid_columns

    @property
    def cross_layers(self) -> tuple[int, ...]:
        """The indices of the layers that have cross-attention."""
        if isinstance(self.cross_attention, bool):
            return tuple(range(self.layers)) if self.cross_attention else ()
        return self.cross_attention

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DecoderSpec":
        """Build a spec from a mapping such as a JSON object.

        Raises:
            ValueError: a key that a spec does not have, or a missing one that has no default.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"a decoder spec has no {', '.join(unknown)}; its fields are {', '.join(sorted(known))}")
        missing = [
            name
            for name in ("width", "layers", "heads", "head_dim", "ffn_width", "vocabulary", "max_positions")
            if name not in values
        ]
        if missing:
            raise ValueError(f"a decoder spec needs {', '.join(missing)} as well")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Its fields, fit for JSON and for `from_dict`."""
        return asdict(self)
