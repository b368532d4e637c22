"""LlamaGen (arXiv 2406.06525) as its authors publish it: a file of the transformer, and one of the VQ codec.

Knows the names of its tensors, and how its sizes follow from their shapes, as there is no config. Conditioned
on a class of ImageNet, or on a text through a T5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.errors import CheckpointError
from clavilux.families.grid_family import (
    VQ_FLOATS,
    VQ_PARAMETERS,
    GridFamily,
    checked,
    facts_of,
    memory_bytes,
    placed,
    tensors_of,
)
from clavilux.families.registry import llamagen_files
from clavilux.families.t5 import TextEncoder, from_name
from clavilux.families.tensors import fingerprint
from clavilux.image.codecs import vq
from clavilux.image.codecs.vq import VQ
from clavilux.image.codecs.vq_spec import VQSpec
from clavilux.image_family import PictureGeneration, PictureRequest
from clavilux.precision import text_dtype
from clavilux.sampling import SamplingSpec
from clavilux.spec import DecoderSpec
from clavilux.strict_weights import check

BY_CLASS = SamplingSpec(temperature=1.0, top_k=2000, guidance=4.0)
BY_TEXT = SamplingSpec(temperature=1.0, top_k=1000, guidance=7.5)
ACCEPTS = {"class_id": "the number of an ImageNet class"}  # of those that are conditioned on a class
T5, T5_PARAMETERS = "flan-t5-xl", 1_223_527_424  # its encoder
_PATCH, _SIZE = 16, 256  # where nothing says otherwise
_SIZE_IN_NAME = re.compile(r"(?<!\d)(256|384|512)(?!\d)")
_HEADS = {3200: 32, 4096: 32}  # of the widths whose heads are not 64 wide
_TABLES = ("freqs_cis",)  # saved by some, and computed here
_LABELS, _CAPTION = "cls_embedding.embedding_table.weight", "cls_embedding.cap_proj.fc1.weight"
_FEW_NAMES = {
    "embed.weight": "tok_embeddings.weight",
    "norm.weight": "norm.weight",
    "head.weight": "output.weight",
}
_LAYER_NAMES = {
    "attention.norm.weight": "attention_norm.weight",
    "attention.qkv.weight": "attention.wqkv.weight",
    "attention.out.weight": "attention.wo.weight",
    "ffn.norm.weight": "ffn_norm.weight",
    "ffn.down.weight": "feed_forward.w2.weight",
}


@dataclass(frozen=True)
class Sizes:
    """What the shapes of a transformer's tensors show.

    Attributes:
        spec: of the decoder, for pictures of `size` pixels.
        size: pixels a side that it was trained on, or 256 where nothing says.
        classes: how many it knows; None where it is conditioned on a text.
        text_width: of the text's features; None where it is conditioned on a class.
    """

    spec: DecoderSpec
    size: int
    classes: int | None
    text_width: int | None


class LlamaGen(GridFamily):
    """A decoder that reads its conditions as a prefix: a class, or the text's features padded on the left."""

    def __init__(
        self,
        decoder: Decoder,
        codec: VQ,
        size: int,
        identity: dict[str, Any],
        tables: dict[str, Tensor],
        text: TextEncoder | None,
    ) -> None:
        by_class = _LABELS in tables
        super().__init__("llamagen", decoder, codec, BY_CLASS if by_class else BY_TEXT, size, identity)
        self._tables, self._text = tables, text
        if by_class:
            self.accepts = {"class_id": f"the number of an ImageNet class, 0 to {len(tables[_LABELS]) - 2}"}

    @torch.inference_mode()
    def generation(self, request: PictureRequest) -> PictureGeneration:
        """One picture. ValueError for a class or a prompt that the model does not take."""
        conditionings = self._by_class(request) if self._text is None else self._by_text(request, self._text)
        decoder = self.decoder_for(request.size)
        if decoder is not self.decoder:
            request.notes.append(f"painted at {request.size} pixels; the model was trained on {self.size}")
        return PictureGeneration(self, request, decoder, *conditionings)

    def _by_class(self, request: PictureRequest) -> tuple[Conditioning, Conditioning]:
        table, number = self._tables[_LABELS], request.controls.get("class_id")
        last = len(table) - 2  # after which comes the unconditional one
        if number is None:
            raise ValueError(
                f"{self.identity['model']} paints classes, not words; give class_id, a number from 0 to {last}"
            )
        if request.prompt.strip():
            raise ValueError(
                f"the prompt is {request.prompt[:60]!r}; {self.identity['model']} takes class_id alone, so leave it out"
            )
        if type(number) is not int or not 0 <= number <= last:
            raise ValueError(f"class_id is {number!r}; it should be a whole number from 0 to {last}")
        conditional, unconditional = (self._fit(table[row].view(1, 1, -1)) for row in (number, last + 1))
        return Conditioning(prefix=conditional), Conditioning(prefix=unconditional)

    def _by_text(self, request: PictureRequest, encoder: TextEncoder) -> tuple[Conditioning, Conditioning]:
        nothing = self._tables["cls_embedding.uncond_embedding"].float()
        longest = len(nothing)
        if request.prompt.strip():
            states, unread = encoder.encode(cleaned(request.prompt), longest)
            if unread:
                request.notes.append(f"the last {unread} tokens of the prompt were too many to be read")
        else:
            states = nothing[None]
        start = longest - states.shape[1]
        starts = torch.tensor([start], device=self.decoder.embed.weight.device)
        padded = F.pad(self._projected(states[0].to(nothing)), (0, 0, start, 0))
        conditional, unconditional = (self._fit(features[None]) for features in (padded, self._projected(nothing)))
        return (
            Conditioning(prefix=conditional, pad_lengths=starts),
            Conditioning(prefix=unconditional, pad_lengths=starts),
        )

    def _projected(self, states: Tensor) -> Tensor:
        """[S, text width] -> [S, D]"""
        up, down = (self._tables[f"cls_embedding.cap_proj.{name}.weight"].float() for name in ("fc1", "fc2"))
        return F.gelu(states @ up.t(), approximate="tanh") @ down.t()

    def _fit(self, prefix: Tensor) -> Tensor:
        return prefix.to(self.decoder.embed.weight)


def load(
    path: Path, config: Mapping[str, Any], device: torch.device, dtype: str, codec: str | Path | None = None
) -> LlamaGen:
    """Read the transformer's file, or the only one in a folder, and its codec.

    Args:
        path: the file or the folder.
        config: not used, there is none.
        codec: a file or folder with the VQ codec; None: the file beside the transformer whose name begins with "vq".

    Raises:
        CheckpointError: what is missing, damaged, extra, misshapen or not understood.
        ValueError: as `clavilux.precision.prepare`.
    """
    file, beside = llamagen_files(path)
    codec = beside if codec is None else Path(codec)
    if codec is None:
        raise CheckpointError(
            f"{str(file)!r} is LlamaGen's transformer, and no file beside it is its VQ codec (vq_ds16_c2i.pt, for "
            "one); put it there, or say where it is (codec, --codec)"
        )
    tensors = tensors_of(file)
    loaded = checked(vq.load, codec)
    label = f"the checkpoint {str(file)!r}"
    sizes = sizes_of(file, tensors, loaded.downsampling)
    if loaded.vocabulary != sizes.spec.num_outputs:
        raise CheckpointError(
            f"the codec {str(codec)!r} has {loaded.vocabulary} tokens; {label} paints {sizes.spec.num_outputs}"
        )
    check(tensors, _shapes(sizes), label, _TABLES)
    decoder = Decoder.from_weights(sizes.spec, weights_of(sizes.spec, tensors))
    tables = {name: tensor.to(device) for name, tensor in tensors.items() if name.startswith("cls_embedding.")}
    identity = {"model": file.stem, "fingerprint": fingerprint(tensors)} | placed(decoder, loaded, device, dtype)
    text = None if sizes.text_width is None else _text_encoder(file.parent, sizes.text_width, device, dtype)
    return LlamaGen(decoder, loaded, sizes.size, identity, tables, text)


def sizes_of(file: Path, tensors: Mapping[str, Tensor], patch: int = _PATCH) -> Sizes:
    """What the tensors of a transformer show, and its name where they do not. CheckpointError for what cannot be."""
    label = f"the checkpoint {str(file)!r}"

    def shape(name: str, dimensions: int = 2) -> tuple[int, ...]:
        found = tuple(tensors[name].shape) if name in tensors else None
        if found is None or len(found) != dimensions or 0 in found:
            said = "lacks it" if found is None else f"has it as {found}"
            raise CheckpointError(f"{label} is no LlamaGen: one has {name} in {dimensions} dimensions, and this {said}")
        return found

    vocabulary, width = shape("tok_embeddings.weight")
    layers = 1 + max((int(n) for n in re.findall(r"^layers\.(\d{1,3})\.", "\n".join(tensors), re.MULTILINE)), default=0)
    by_class = _LABELS in tensors
    prefix = 1 if by_class else shape("cls_embedding.uncond_embedding")[0]
    head_dim, size = _head_dim(width, label), _size_named(file)
    if "freqs_cis" in tensors:
        rows, pairs, _ = shape("freqs_cis", 3)
        head_dim, size = 2 * pairs, round((rows - prefix) ** 0.5) * patch
    if head_dim is None or width % head_dim:
        raise CheckpointError(f"{label} is {width} wide, and how many heads that makes is not known")
    columns = size // patch
    try:
        spec = DecoderSpec(
            width=width, layers=layers, heads=width // head_dim, head_dim=head_dim,
            ffn_width=shape("layers.0.feed_forward.w1.weight")[0], vocabulary=vocabulary,
            max_positions=prefix + columns**2, norm="rms", activation="swiglu", positions="rope_2d",
            grid_columns=columns, grid_prefix=prefix,
        )  # fmt: skip
    except ValueError as error:
        raise CheckpointError(f"{label} is no LlamaGen: {error}") from None
    classes = shape(_LABELS)[0] - 1 if by_class else None
    return Sizes(spec, size, classes, None if by_class else shape(_CAPTION)[1])


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The controls that the model takes."""
    return ACCEPTS


def usual_length(path: Path, config: Mapping[str, Any]) -> int:
    """Pixels a side that the model was trained on. Raises CheckpointError."""
    return _looked_at(path)[2].size


def memory_needed(path: Path, config: Mapping[str, Any], size: int, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that painting takes at its peak, loading included. Raises CheckpointError."""
    _, _, sizes = _looked_at(path)
    beside = VQ_PARAMETERS + (0 if sizes.text_width is None else T5_PARAMETERS)
    return memory_bytes(sizes.spec, size, batch, dtype, blocks=2, beside=beside, floats=VQ_FLOATS)


def facts(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Raises CheckpointError."""
    file, codec, sizes = _looked_at(path)
    condition = "text" if sizes.classes is None else f"{sizes.classes} classes"
    beside = VQ_PARAMETERS + (T5_PARAMETERS if sizes.classes is None else 0)
    read = [file] if codec is None else [file, codec]
    tokens = sizes.spec.max_positions - sizes.spec.grid_prefix
    found = facts_of(path, f"LlamaGen ({condition})", sizes.spec, sizes.size, tokens, beside, read)
    return found | {"codec": "not found" if codec is None else codec.name}


def _looked_at(path: Path) -> tuple[Path, Path | None, Sizes]:
    """The transformer, its codec, and their sizes; the files are mapped, so their weights are not read."""
    file, codec = llamagen_files(path)
    patch = _PATCH
    if codec is not None:
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors_of(codec).items()}
        patch = checked(VQSpec.from_shapes, shapes, repr(str(codec))).downsampling
    return file, codec, sizes_of(file, tensors_of(file), patch)


def cleaned(prompt: str) -> str:
    """In small letters with single spaces, as the captions were that it was trained on (those had also lost
    addresses, markup and odd signs).
    """
    return " ".join(prompt.lower().split())


def _text_encoder(folder: Path, width: int, device: torch.device, dtype: str) -> TextEncoder:
    name = T5 if (folder / T5).is_dir() else f"google/{T5}"
    return from_name(name, folder, width, device, text_dtype(device, dtype))


def _size_named(file: Path) -> int:
    found = _SIZE_IN_NAME.findall(file.stem)
    return int(found[-1]) if found else _SIZE


def _head_dim(width: int, label: str) -> int | None:
    if width in _HEADS:
        return width // _HEADS[width]
    return 64 if width % 64 == 0 else None


def _shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """What the file should hold."""
    spec = sizes.spec
    width, wide, vocabulary = spec.width, spec.ffn_width, spec.vocabulary
    found: dict[str, tuple[int, ...]] = {
        "tok_embeddings.weight": (vocabulary, width),
        "output.weight": (vocabulary, width),
        "norm.weight": (width,),
    }
    if sizes.text_width is not None:
        found |= {
            "cls_embedding.uncond_embedding": (spec.grid_prefix, sizes.text_width),
            _CAPTION: (width, sizes.text_width),
            "cls_embedding.cap_proj.fc2.weight": (width, width),
        }
    if sizes.classes is not None:
        found[_LABELS] = (sizes.classes + 1, width)
    for n in range(spec.layers):
        found |= {
            f"layers.{n}.attention.wqkv.weight": (3 * width, width),
            f"layers.{n}.attention.wo.weight": (width, width),
            f"layers.{n}.feed_forward.w1.weight": (wide, width),
            f"layers.{n}.feed_forward.w2.weight": (width, wide),
            f"layers.{n}.feed_forward.w3.weight": (wide, width),
            f"layers.{n}.attention_norm.weight": (width,),
            f"layers.{n}.ffn_norm.weight": (width,),
        }
    return found


def weights_of(spec: DecoderSpec, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The decoder's tensors by our names."""
    found = {ours: tensors[theirs] for ours, theirs in _FEW_NAMES.items()}
    for n in range(spec.layers):
        found |= {f"layers.{n}.{ours}": tensors[f"layers.{n}.{theirs}"] for ours, theirs in _LAYER_NAMES.items()}
        gate, value = (tensors[f"layers.{n}.feed_forward.{name}.weight"] for name in ("w1", "w3"))
        found[f"layers.{n}.ffn.up.weight"] = torch.cat([gate, value])
        qkv = f"layers.{n}.attention.qkv.weight"
        found[qkv] = halved(found[qkv], spec.heads)
    return found


def halved(qkv: Tensor, heads: int) -> Tensor:
    """The rows of queries and keys in another order: pairs (2i, 2i + 1) of each head become (i, i + E/2).

    Args:
        qkv: [3 * H * E, D].
    """
    q, k, v = qkv.chunk(3)
    q, k = (part.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2) for part in (q, k))  # [H, E/2, 2, D]
    return torch.cat([q, k, v])
