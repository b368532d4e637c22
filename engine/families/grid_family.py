"""What the families of pictures share: their class, how their files are read and described, and the memory they take.

Knows no family's names of tensors or controls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from clavilux.checkpoint_io import Select
from clavilux.decoder import Decoder
from clavilux.errors import CheckpointError
from clavilux.families.model_card import licence
from clavilux.family import Stage
from clavilux.image.codecs import Codec
from clavilux.image.codecs import weights as files
from clavilux.image.codecs.clusters import ColourClusters
from clavilux.image.codecs.decoding import MOST_CAPTURED
from clavilux.image.codecs.residual import ResidualVQ
from clavilux.image.codecs.vq import VQ
from clavilux.image_family import PictureGeneration, PictureRequest
from clavilux.layout import Layout, parallel
from clavilux.marking import MarkedTokens
from clavilux.precision import BYTES, around_bytes, place_codec, prepare, step_bytes
from clavilux.sampling import SamplingSpec
from clavilux.skeleton import skeletons
from clavilux.spec import DecoderSpec

# What decoding keeps at its peak: so many float32 values a pixel, measured on VQ-16 at 256 and 384 pixels.
VQ_FLOATS = 900
VQ_PARAMETERS = 72_000_000  # VQ-16, with its encoder

PictureCodec = VQ | ResidualVQ | ColourClusters
P = ParamSpec("P")
R = TypeVar("R")


class GridFamily:
    """A decoder of rows of picture tokens (`clavilux.image_family.PictureFamily`); `generation` is each family's own.

    Attributes:
        decoder: of pictures of `size` pixels.
    """

    accepts: dict[str, Any] = {}  # noqa: RUF012  never changed; families with controls have a dict of their own
    sizes: str | None = None

    def __init__(
        self,
        name: str,
        decoder: Decoder,
        codec: PictureCodec,
        sampling: SamplingSpec,
        size: int,
        identity: dict[str, Any],
        layout: Layout | None = None,
    ) -> None:
        """layout: how the codec's tokens become steps; one step a place if None."""
        self.name, self.sampling, self.size, self.identity = name, sampling, size, identity
        self.decoder = decoder
        layout = parallel(1, codec.vocabulary) if layout is None else layout
        self._codec = codec
        self.stage: Stage[Codec] = Stage(decoder, layout, None, codec)
        self._resized: tuple[int, Decoder] | None = None

    @cached_property
    def marked(self) -> MarkedTokens:
        """The first codebook's tokens, in clusters of its vectors."""
        codec = self._codec
        if isinstance(codec, ResidualVQ):
            vectors = codec.codebook[0]
        else:
            vectors = codec.codebook if isinstance(codec, VQ) else codec.clusters
        return MarkedTokens.of_codec(f"picture {codec.family} {codec.vocabulary}", vectors, self.stage.layout)

    def begin(self, requests: list[PictureRequest]) -> list[PictureGeneration]:
        """A generation a request; one at a time, as none depends on another."""
        return [self.generation(request) for request in requests]

    def generation(self, request: PictureRequest) -> PictureGeneration:
        """One picture."""
        raise NotImplementedError

    def decoder_for(self, size: int) -> Decoder:
        """The decoder for pictures of `size` pixels. The last of another size is kept: what is captured is its own."""
        if size == self.size:
            return self.decoder
        if self._resized is None or self._resized[0] != size:
            columns = size // self.stage.codec.downsampling
            self._resized = size, self.decoder.for_image_size(columns, columns)
        return self._resized[1]


def placed(decoder: Decoder, codec: PictureCodec, device: torch.device, dtype: str) -> dict[str, Any]:
    """Both on their device: the decoder in its dtype, the codec as `place_codec` does; what was settled on."""
    place_codec(codec, device, dtype)
    return prepare(decoder, decoder, device, dtype)


def tensors_of(path: Path, select: Select = set) -> dict[str, Tensor]:
    """Tensors of a file or a folder. CheckpointError as `image.codecs.weights.read_tensors`."""
    return files.read_tensors(path, select)


def checked(read: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What a reader of `clavilux.image` gives; its ValueError is a CheckpointError here."""
    try:
        return read(*args, **kwargs)
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def memory_bytes(spec: DecoderSpec, size: int, batch: int, dtype: str, *, blocks: int, beside: int, floats: int) -> int:
    """About how much memory loading and painting take at their peak, in bytes.

    Args:
        spec: of the decoder.
        size: pixels a side.
        batch: pictures side by side.
        dtype: as for `clavilux.load`; "auto" is reckoned as on a CPU, where weights pass through float32.
        blocks: of rows, 2 with guidance.
        beside: parameters of the codec and of the text's part.
        floats: values a pixel that decoding keeps; on a GPU a small picture's graph keeps them too.
    """
    cache = 2 * spec.layers * blocks * batch * spec.max_positions * spec.heads * spec.head_dim * step_bytes(dtype)
    logits = 4 * blocks * batch * spec.num_outputs * 4
    parameter, number = around_bytes(dtype)
    kept = 2 if number < 4 and size * size <= MOST_CAPTURED else 1
    decoding = kept * number * floats * size * size
    return num_parameters(spec) * BYTES[dtype] + parameter * beside + cache + logits + decoding


def num_parameters(spec: DecoderSpec) -> int:
    """How many parameters a decoder has."""
    with skeletons():
        return Decoder(spec).num_parameters


def facts_of(
    path: Path, family: str, spec: DecoderSpec, size: int, tokens: int, beside: int, read: list[Path]
) -> dict[str, Any]:
    """What `clavilux info` says of a checkpoint whose weights are in the files `read`; JSON values."""
    return {
        "kind": "checkpoint",
        "family": family,
        "parameters": num_parameters(spec),
        "parameters_beside": beside,
        "size_bytes": sum(file.stat().st_size for file in read),
        "licence": licence(path if path.is_dir() else path.parent),
        "picture": f"{size} x {size} pixels",
        "tokens": tokens,
        "vocabulary": spec.num_outputs,
        "layers": spec.layers,
        "width": spec.width,
    }
