"""What Jukebox's priors are, whatever files they come in: sizes, what their layers read, what conditions them.

Both layouts' readers give a `PriorConfig` a level (arXiv 2005.00341, sections 4 and 5, and appendix B). Levels are the
VQ-VAE's: 0 has the shortest hop, and the highest is the top prior's. Knows sizes only; reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clavilux.checks import whole_number
from clavilux.spec import DecoderSpec

ROWS = ("row", "column", "previous_row")
ORDERS = (0, 2, 10, 12)
# Larger than any model there is; a number above these is a broken file, and would take all memory to find out.
_MOST = {
    "width": 1 << 16, "layers": 1024, "heads": 1024, "attention_width": 1 << 16, "ffn_width": 1 << 18,
    "positions": 1 << 18, "blocks": 1 << 18, "vocabulary": 1 << 20,
}  # fmt: skip
_MOST_OF_A_PRIOR = {
    "context": 1 << 18, "genres": 1 << 20, "artists": 1 << 24, "most_genres": 64, "sample_rate": 655_350,
}  # fmt: skip


def order_of(number: int, layers: int) -> tuple[str, ...]:
    """What each layer reads: one of `clavilux.spec.SPANS`; "none" is one that attends to the lyrics alone.

    Raises:
        ValueError: an order that is not known.
    """
    if number not in ORDERS:
        raise ValueError(f"the attention order is {number!r}; those known are {', '.join(map(str, ORDERS))}")
    return tuple(_span(number, layer) for layer in range(layers))


def _span(order: int, layer: int) -> str:
    if order == 0:
        return "full"
    if order == 10:  # nine of rows, then nine of rows and one of lyrics, again and again; 79 in all
        layer %= 79
        return ROWS[layer % 3] if layer < 9 else "none" if (layer - 9) % 10 == 9 else ROWS[(layer - 9) % 10 % 3]
    if order == 12 and layer % 16 == 15:
        return "full" if layer % 3 == 2 else "prefix"
    return ROWS[layer % 3]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A transformer: the prior's own, or the lyric encoder's.

    Attributes:
        width, layers, heads, attention_width, ffn_width: sizes; all heads together have the attention's width.
        positions, blocks: of the context, and into how many it is cut.
        order: which of the known orders its layers have.
        vocabulary: ids that it reads.
        prefix: tokens before the music, which prime layers read; 0 for none.

    Raises:
        ValueError: a number outside its range, or some that do not fit each other.
    """

    width: int
    layers: int
    heads: int
    attention_width: int
    ffn_width: int
    positions: int
    blocks: int
    order: int
    vocabulary: int
    prefix: int = 0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            whole_number(name, getattr(self, name), 1, most)
        if self.attention_width % self.heads:
            raise ValueError(f"the attention is {self.attention_width} wide; {self.heads} heads do not divide it")
        if self.positions % self.blocks:
            raise ValueError(f"there are {self.positions} positions; {self.blocks} blocks do not divide them")
        if "prefix" in order_of(self.order, self.layers) and not self.prefix:
            raise ValueError(f"the attention order {self.order} has prime layers; there are no lyrics before the music")

    @property
    def cross_layers(self) -> tuple[int, ...]:
        """The layers that attend to the lyrics alone."""
        return tuple(n for n, span in enumerate(order_of(self.order, self.layers)) if span == "none")

    def spec(self, *, output_vocabulary: int | None = None, tied: bool = False) -> DecoderSpec:
        """The decoder's spec, with what its head scores and whether that is the table (as `DecoderSpec`)."""
        return DecoderSpec(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            head_dim=self.attention_width // self.heads,
            ffn_width=self.ffn_width,
            vocabulary=self.vocabulary,
            max_positions=self.positions,
            norm="layer",
            norm_bias=True,
            activation="quick_gelu",
            attention_bias=True,
            ffn_bias=True,
            cross_attention=self.cross_layers or False,
            spans=order_of(self.order, self.layers),
            block=self.positions // self.blocks,
            prefix_span=(self.prefix // self.blocks + 1) * self.blocks,
            final_norm=False,
            output_vocabulary=output_vocabulary,
            tied=tied,
        )

    @property
    def parameters(self) -> int:
        """How many parameters it has, without tables and head."""
        d, inner, wide = self.width, self.attention_width, self.ffn_width
        return self.layers * (4 * d * inner + 3 * inner + d + 2 * d * wide + wide + d + 4 * d)


@dataclass(frozen=True, kw_only=True)
class UpsamplerConfig:
    """How the tokens above become a vector for each position: convolutions, and `ratio` positions a token.

    Attributes:
        width, depth: channels between its residual blocks, and how many of those there are at each stride.
        hidden: channels inside a residual block.
        downs, stride: the ratio is stride ** downs.
        growth, cycle: residual block d has the dilation growth ** (d modulo cycle).
        scaled: whether what a block adds is divided by the root of the depth.
    """

    width: int
    depth: int
    hidden: int
    downs: int
    stride: int
    growth: int
    cycle: int | None
    scaled: bool = False

    def __post_init__(self) -> None:
        for name, most in (
            ("width", 1 << 16), ("depth", 64), ("hidden", 1 << 16), ("downs", 16), ("stride", 1024), ("growth", 1024),
        ):  # fmt: skip
            whole_number(f"upsampling {name}", getattr(self, name), 1, most)
        if self.cycle is not None:
            whole_number("dilation cycle", self.cycle, 1, 64)
        if self.stride % 2 or self.growth ** (max(self.dilation_steps)) > 1 << 20:
            raise ValueError(f"a stride of {self.stride} and a growth of {self.growth} are no upsampling's")

    @property
    def dilation_steps(self) -> list[int]:
        """Of each residual block, the power of `growth` that is its dilation."""
        return [index % (self.cycle or self.depth) for index in range(self.depth)]

    @property
    def ratio(self) -> int:
        """Positions for each token above."""
        return self.stride**self.downs


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """One prior.

    Attributes:
        level: the VQ-VAE's level whose tokens it draws.
        stack: its transformer.
        context: music tokens of a window.
        vocabulary: ids of music tokens.
        lyrics: "none", "before" (lyric tokens stand before the music) or "beside" (an encoder's memory).
        lyric_tokens: characters that a window sees; 0 for none.
        lyric_vocabulary: their ids.
        encoder: the lyric encoder's transformer, for "beside".
        untied: whether the head has its own weights, and the condition is not added again before it.
        genres, artists: ids.
        most_genres: genres of one song.
        time_bins: bins of each time embedding; 0: it has none.
        upsampling: for a prior below the top; None for the top.
        sample_rate: Hz, which time is counted by.
        shortest_s, longest_s: what a song's length may be.
        hop: samples a token.
        alignment: the layer and the head that show which lyric is sung; None where there are no lyrics.
    """

    level: int
    stack: TransformerConfig
    context: int
    vocabulary: int
    lyrics: str
    lyric_tokens: int
    lyric_vocabulary: int
    encoder: TransformerConfig | None
    untied: bool
    genres: int
    artists: int
    most_genres: int
    time_bins: int
    upsampling: UpsamplerConfig | None
    sample_rate: int
    shortest_s: float
    longest_s: float
    hop: int
    alignment: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, most in _MOST_OF_A_PRIOR.items():
            whole_number(name, getattr(self, name), 1, most)
        if not 0 <= self.shortest_s < self.longest_s:
            raise ValueError(f"songs are from {self.shortest_s} s to {self.longest_s} s long; the first should be less")
        if (self.lyrics == "beside") != bool(self.stack.cross_layers):
            raise ValueError(f"lyrics are {self.lyrics}; order {self.stack.order} has cross-attention, or lacks it")
        if self.upsampling is not None and self.context % self.upsampling.ratio:
            raise ValueError(f"the context is {self.context}; {self.upsampling.ratio} positions a token do not fit")

    @property
    def window_s(self) -> float:
        """Seconds of a window."""
        return self.context * self.hop / self.sample_rate

    @property
    def spec(self) -> DecoderSpec:
        """The decoder's spec. Its table has the music's ids first, then the lyrics'."""
        shared = not self.untied and self.lyrics != "before"
        return self.stack.spec(output_vocabulary=self.vocabulary, tied=shared)

    @property
    def parameters(self) -> int:
        """How many parameters it has; a head that is the table is counted once."""
        d = self.stack.width
        count = self.stack.parameters + (self.stack.vocabulary + self.stack.positions) * d
        count += self.vocabulary * d if self.untied else 0
        count += (self.genres + self.artists + 3 * self.time_bins) * d
        if self.encoder is not None:
            e = self.encoder
            count += e.parameters + (e.vocabulary + e.positions + 1) * e.width + (e.width + 3) * d
        return count + (0 if self.upsampling is None else self._parameters_of(self.upsampling))

    def _parameters_of(self, u: UpsamplerConfig) -> int:
        d = self.stack.width
        block = 3 * u.width * u.hidden + u.hidden + u.hidden * u.width + u.width
        strided = [u.width] * (u.downs - 1) + [d]
        ups = sum(2 * u.stride * u.width * out + out for out in strided)
        return self.vocabulary * d + 3 * d * u.width + u.width + u.downs * u.depth * block + ups + 2 * d


def as_json(sizes: PriorConfig) -> Mapping[str, Any]:
    """Everything that distinguishes one prior's sizes from another's, as JSON values."""
    from dataclasses import asdict

    return asdict(sizes)
