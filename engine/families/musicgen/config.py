"""What MusicGen and its relatives are, whatever files they come in: sizes, delays, what conditions them, how long.

Both layouts' config readers give a `MusicGenConfig`. Knows sizes only; reads no file and holds no weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clavilux.families.t5 import LONGEST
from clavilux.layout import Delay
from clavilux.precision import BYTES, around_bytes, step_bytes
from clavilux.sampling import SamplingSpec
from clavilux.spec import DecoderSpec
from clavilux.state import rounded_up
from clavilux.windows import Windows

HEAD_ROWS = 2  # blocks of rows that guidance makes
_PROGRAM = 460 << 20  # Python, torch, transformers and what else is imported
_CODEC_PARAMETERS = 59_000_000  # EnCodec at 32 kHz
_CODEC_FLOATS = 20_000  # what decoding one frame keeps at its peak, measured on EnCodec at 32 kHz
# Larger than any model there is; a number above these is a broken file, and would take all memory to find out.
_LIMITS = {
    "width": 65_536,
    "layers": 1024,
    "heads": 1024,
    "ffn_width": 1 << 20,
    "vocabulary": 1 << 20,
    "codebooks": 128,
    "context_frames": 1 << 20,
    "text_width": 65_536,
    "sample_rate": 384_000,
    "hop": 1 << 20,
}


@dataclass(frozen=True)
class Melody:
    """How a melody is put before the tokens: `length` frames of `num_chroma` pitch classes."""

    num_chroma: int
    length: int


@dataclass(frozen=True, kw_only=True)
class MusicGenConfig:
    """A decoder of codec frames that a text conditions.

    Attributes:
        width, layers, heads, ffn_width: of the decoder.
        vocabulary: V, ids of each codebook; id V stands where there is no frame.
        codebooks: K, the decoder's streams; with two channels the left's and the right's in turn.
        channels: 1 or 2.
        delays: one a stream, in steps.
        text_width, text_parameters: of the text encoder: its hidden states' width, how many parameters it has.
        text_projected: whether a linear layer takes them to the decoder's width.
        melody: where a melody (and the text) is put before the tokens; None: the text is attended to.
        sample_rate, hop: Hz of the codec, and samples a frame.
        context_frames: frames that the decoder was trained on at once.
        stride_frames: by how many a window moves on in longer pieces.
        sampling: the usual settings.

    Raises:
        ValueError: a size outside its range.
    """

    width: int
    layers: int
    heads: int
    ffn_width: int
    vocabulary: int
    codebooks: int
    channels: int
    delays: tuple[int, ...]
    text_width: int
    text_parameters: int
    text_projected: bool
    melody: Melody | None
    sample_rate: int
    hop: int
    context_frames: int
    stride_frames: int
    sampling: SamplingSpec

    def __post_init__(self) -> None:
        for name, most in _LIMITS.items():
            count(name, getattr(self, name), most)
        if not 1 <= self.stride_frames < self.context_frames:
            raise ValueError(
                f"the context is {self.context_frames} frames and the stride {self.stride_frames}; "
                "the context should be longer, and both at least 1"
            )
        if self.channels not in (1, 2):
            raise ValueError(f"there are {self.channels!r} channels; there should be 1 or 2")
        if self.width % self.heads:
            raise ValueError(f"the width is {self.width}; it should be a multiple of the {self.heads} heads")
        if self.channels == 2 and self.codebooks % 2:
            raise ValueError(f"there are {self.codebooks} codebooks; two channels need an even number")
        if self.melody is not None:
            count("num_chroma", self.melody.num_chroma, 65_536)
            count("chroma_length", self.melody.length, 65_536)
        self.layout  # noqa: B018  its own checks
        self.windows  # noqa: B018

    @property
    def special(self) -> int:
        """The id that stands where there is no frame."""
        return self.vocabulary

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    @property
    def layout(self) -> Delay:
        """How frames become steps."""
        return Delay(self.codebooks, self.vocabulary, self.delays, self.special)

    @property
    def windows(self) -> Windows:
        """The usual windows."""
        return self.windows_of(self.context_frames, self.stride_frames)

    def windows_of(self, context_frames: int, stride_frames: int) -> Windows:
        """Windows that hold the start, `context_frames` frames and what their delays add, less what is only drawn."""
        return Windows(context_frames + max(self.delays), stride_frames, keep=1)

    @property
    def num_prefix(self) -> int:
        """The most positions that stand before the tokens."""
        return 0 if self.melody is None else self.melody.length + LONGEST

    @property
    def spec(self) -> DecoderSpec:
        """The decoder's spec."""
        return DecoderSpec(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            head_dim=self.width // self.heads,
            ffn_width=self.ffn_width,
            vocabulary=self.vocabulary + 1,
            output_vocabulary=self.vocabulary,
            codebooks=self.codebooks,
            max_positions=self.windows.context + self.num_prefix,
            norm="layer",
            norm_bias=True,
            activation="gelu",
            positions="sinusoidal",
            cross_attention=self.melody is None,
        )

    @property
    def decoder_parameters(self) -> int:
        """How many parameters the decoder has."""
        d = self.width
        attentions = 1 if self.melody else 2
        layer = attentions * (4 * d * d + 2 * d) + 2 * d * self.ffn_width + 2 * d
        return self.layers * layer + 2 * d + self.codebooks * (2 * self.vocabulary + 1) * d

    def _decoder_bytes(self, dtype: str, rounded: bool) -> int:
        """Of its weights while it is loaded. What becomes one tensor of several is there twice."""
        square = self.layers * self.width**2
        of_text = 2 * square if self.melody is None else 0  # keys and values, which a copy keeps as they are
        if not rounded or dtype == "float32":
            return self.decoder_parameters * BYTES[dtype] + (3 * square + of_text) * 4
        kept = of_text + self.codebooks * (self.vocabulary + 1) * self.width
        # The rest as it lies in the file, and packed.
        return (self.decoder_parameters - kept) * 2 + kept * 4 + 3 * square + of_text * 4

    def memory_bytes(
        self, seconds: float, batch: int = 1, dtype: str = "auto", *, beside: int | None = None, rounded: bool = False
    ) -> int:
        """About how much memory loading and a render take at their peak, in bytes.

        Measured for MusicGen-small on a CPU with AMX, resident and with all that is mapped of its file: 4,139 MiB for
        2 s in bfloat16 (auto), 4,326 in float16 and 3,761 in int8, where 4,220 are reckoned for each; 3,625 (3,388) in
        float32; 2,648 to 2,825 (2,515) for its int8 copy.

        Args:
            seconds: length of each piece.
            batch: pieces side by side, of one text.
            dtype: as for `clavilux.load`; "auto" is reckoned as on a CPU, where weights pass through float32.
            beside: parameters of the text encoder and the codec, where they are known.
            rounded: whether the files are an int8 copy, which is expanded for float32 only.
        """
        frames = math.ceil(seconds * self.frame_rate)
        weights = self._decoder_bytes(dtype, rounded)
        parameter, number = around_bytes(dtype)
        weights += parameter * (self.text_parameters + _CODEC_PARAMETERS if beside is None else beside)
        positions = min(frames + max(self.delays), self.windows.context) + self.num_prefix
        folded = 0
        if number < 4:  # on a GPU, where a captured step has room for nearly alike lengths
            positions = rounded_up(positions, self.windows.context + self.num_prefix)
            if self.melody is None:  # a text that is folded takes less than two matrices; it is there twice at first
                folded = 2 * self.layers * 2 * self.width**2 * number
        rows = HEAD_ROWS * batch
        cached = positions + (LONGEST if self.melody is None else 0)
        cache = 2 * self.layers * rows * cached * self.width * step_bytes(dtype)
        logits = 4 * rows * self.codebooks * self.vocabulary * 4
        sound = 4 * batch * self.channels * math.ceil(seconds * self.sample_rate) * 3
        decoding = number * batch * self.channels * _CODEC_FLOATS * math.ceil(self.frame_rate)
        return _PROGRAM + weights + cache + folded + logits + sound + decoding


def count(name: str, value: Any, most: int) -> int:
    """`value`, if it is a whole number from 1 to `most`; else ValueError."""
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} is {value!r}; it should be a whole number from 1 to {most}")
    return value


def t5_parameters(config: Mapping[str, Any]) -> int:
    """How many parameters a T5 encoder of this config has. KeyError, ValueError for what it lacks or cannot be."""
    for name in ("d_model", "num_heads", "d_kv", "d_ff", "vocab_size", "num_layers"):
        count(name, config[name], 1024 if name == "num_layers" else 1 << 20)
    d, inner = config["d_model"], config["num_heads"] * config["d_kv"]
    wide = 3 if "gated" in str(config.get("feed_forward_proj", "relu")) else 2
    layer = 4 * d * inner + wide * d * config["d_ff"] + 2 * d
    buckets = count("relative_attention_num_buckets", config.get("relative_attention_num_buckets", 32), 1 << 20)
    buckets *= config["num_heads"]
    return config["vocab_size"] * d + config["num_layers"] * layer + buckets + d


def delays_of(codebooks: int, channels: int) -> tuple[int, ...]:
    """A step later with each codebook; with two channels, the same for left and right."""
    return tuple(k // channels for k in range(codebooks))
