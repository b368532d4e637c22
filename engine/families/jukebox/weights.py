"""Our names of a Jukebox prior's tensors -> a checkpoint's, in both layouts, and reading them one by one.

Weights of a Conv1D lie [in, out]; here they are turned. A tensor is read, turned and brought to its dtype before the
next one is: a prior never lies in memory twice. Knows names and files, no sizes but those of `PriorConfig`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clavilux.checkpoint_io import check_names, open_safetensors, read_torch, shards_of, unwrapped_names
from clavilux.decoder import Decoder
from clavilux.errors import CheckpointError
from clavilux.families.jukebox.config import PriorConfig
from clavilux.families.jukebox.prior import Prior
from clavilux.families.tensors import fingerprint
from clavilux.skeleton import skeletons
from clavilux.strict_weights import Shapes, is_finite

# ours -> (original, transformers), inside a layer
_LAYER = {
    "attention.norm": ("ln_0", "layer_norm_0"), "cross.norm": ("ln_0", "layer_norm_0"),
    "ffn.norm": ("ln_1", "layer_norm_1"), "attention.qkv": ("attn.c_attn",) * 2, "cross.q": ("attn.c_attn",) * 2,
    "cross.kv": ("attn.c_enc_kv",) * 2, "attention.out": ("attn.c_proj",) * 2, "cross.out": ("attn.c_proj",) * 2,
    "ffn.up": ("mlp.c_fc",) * 2, "ffn.down": ("mlp.c_proj",) * 2,
}  # fmt: skip
_WHOLE = {
    "decoder.positions": ("prior.pos_emb.pos_emb", "prior.pos_emb.pos_emb"),
    "labels.artist.weight": ("y_emb.artist_emb.emb.weight", "metadata_embedding.artist_emb.weight"),
    "labels.genre.weight": ("y_emb.bow_genre_emb.emb.weight", "metadata_embedding.bow_genre_emb.weight"),
    "upsampler.embed.weight": ("conditioner_blocks.0.x_emb.weight", "conditioner_blocks.embed_tokens.weight"),
    "upsampler.norm.weight": ("conditioner_blocks.0.ln.weight", "conditioner_blocks.layer_norm.weight"),
    "upsampler.norm.bias": ("conditioner_blocks.0.ln.bias", "conditioner_blocks.layer_norm.bias"),
    "lyrics.decoder.embed.weight": ("prime_prior.x_emb.weight", "encoder.embed_tokens.weight"),
    "lyrics.decoder.positions": ("prime_prior.pos_emb.pos_emb", "encoder.pos_emb.pos_emb"),
    "lyrics.start": ("prime_prior.start_token", "encoder.start_token"),
    "lyrics.project.weight": ("prime_state_proj.w", "encoder.proj_in.weight"),
    "lyrics.project.bias": ("prime_state_proj.b", "encoder.proj_in.bias"),
    "lyrics.norm.weight": ("prime_state_ln.weight", "encoder.final_layer_norm.weight"),
    "lyrics.norm.bias": ("prime_state_ln.bias", "encoder.final_layer_norm.bias"),
}  # fmt: skip
_TIMES = {"total": "total_length", "absolute": "absolute_pos", "relative": "relative_pos"}
_SEEN = 128 << 20  # bytes of a file that are read before it is opened anew
# The lyric encoder's own head predicts lyrics, which nothing here needs.
_NOT_READ = (("prime_x_out.weight",), ("encoder.lm_head.weight",))


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: the names whose rows follow each other, as (name, first row, end); whether it is turned."""

    rows: tuple[tuple[str, int, int | None], ...]
    turned: bool = False


def places(sizes: PriorConfig, names: list[str], original: bool) -> dict[str, Place]:
    """Where each of our tensors lies, `names` being those of a `Prior` of these sizes."""
    return {ours: _place(ours, sizes, 0 if original else 1) for ours in names}


def _place(ours: str, sizes: PriorConfig, side: int) -> Place:
    if ours in _WHOLE:
        return Place(((_WHOLE[ours][side], 0, None),), ours == "lyrics.project.weight")
    if ours in ("decoder.embed.weight", "decoder.head.weight"):
        return Place(_table(ours, sizes, side))
    kind, _, rest = ours.partition(".")
    if kind == "labels":
        time = _TIMES[rest.partition(".")[0]]
        return Place(((f"{('y_emb', 'metadata_embedding')[side]}.{time}_emb.emb.weight", 0, None),))
    if kind == "upsampler":
        assert sizes.upsampling is not None, "only such a Prior has an upsampler"
        return Place(((_upsampler(rest, sizes.upsampling.depth, side), 0, None),))
    layer = re.search(r"layers\.(\d+)\.(\w+\.\w+)\.(weight|bias)$", ours)
    assert layer is not None, f"{ours} is no tensor of a Prior"
    stem = "prior" if kind == "decoder" else ("prime_prior", "encoder")[side]
    theirs, ending = _LAYER[layer[2]][side], layer[3]
    linear = "norm" not in layer[2]
    if linear and side == 0:
        ending = ending[0]  # .w and .b
    name = f"{stem}.transformer._attn_mods.{layer[1]}.{theirs}.{ending}"
    return Place(((name, 0, None),), linear and layer[3] == "weight")


def _table(ours: str, sizes: PriorConfig, side: int) -> tuple[tuple[str, int, int | None], ...]:
    """Rows of the table or the head. Lyrics that stand before the music have the first ids, in ours the last ones."""
    table = ("prior.x_emb.weight", "prior.embed_tokens.weight")[side]
    head = ("prior.x_out.weight", "prior.fc_proj_out.weight")[side] if sizes.untied else table
    before = sizes.stack.vocabulary - sizes.vocabulary
    name = head if "head" in ours else table
    music = ((name, before, None),)
    return music if "head" in ours or not before else (*music, (name, 0, before))


def _upsampler(rest: str, depth: int, side: int) -> str:
    """layers.I... -> the same layer's name in the checkpoint."""
    _, digits, inside = rest.split(".", 2)
    index = int(digits)
    stem = ("conditioner_blocks.0.cond.model", "conditioner_blocks.upsampler")[side]
    if index == 0:
        return f"{stem}.{('0', 'proj_in')[side]}.{inside}"
    up, block = divmod(index - 1, depth + 1)
    if block == depth:
        return f"{stem}.{up + 1}.1.{inside}" if side == 0 else f"{stem}.upsample_block.{2 * up + 1}.{inside}"
    if side == 0:
        inside = inside.replace("conv1", "model.1").replace("conv2", "model.3")
        return f"{stem}.{up + 1}.0.blocks.{block}.{inside}"
    inside = inside.replace("conv1", "conv1d_1").replace("conv2", "conv1d_2")
    return f"{stem}.upsample_block.{2 * up}.resnet_block.{block}.{inside}"


class Source:
    """The tensors of one prior in a checkpoint.

    Attributes:
        label: what errors call it.
        shapes: of each tensor, by name, without what stands before them in the file.
        original: the layout.
        settings: those of an original file, whatever it holds as "hps".
        path: that file; None for what lies in a folder, or in memory.
    """

    def __init__(
        self,
        label: str,
        shapes: Shapes,
        original: bool,
        read: Callable[[], Callable[[str], Tensor]],
        settings: Any = None,
        path: Path | None = None,
    ) -> None:
        self.label, self.shapes, self.original, self.settings = label, dict(shapes), original, settings
        self.path = path
        self._read = read

    def tensors(self) -> Callable[[str], Tensor]:
        """Read a tensor by its name, each once. Original files that are not zip files are read whole now."""
        return self._read()


def folder_source(folder: Path, prefix: str) -> Source:
    """The tensors of a transformers folder whose names begin with `prefix`. Raises CheckpointError."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        files = [folder / "model.safetensors"]
    elif index.is_file():
        files = sorted(set(shards_of(index).values()))
    else:
        return _from_torch(folder / "pytorch_model.bin", prefix)
    found: dict[str, tuple[Path, tuple[int, ...]]] = {}  # by the names in the files
    for path in files:
        with open_safetensors(path) as file:
            found |= {name: (path, tuple(file.get_slice(name).get_shape())) for name in file.keys()}  # noqa: SIM118
    names = unwrapped_names(found)
    names = {name[len(prefix) :]: theirs for name, theirs in names.items() if name.startswith(prefix)}

    def read(name: str) -> Tensor:
        # Opened for each: what is mapped of a file counts as memory until it is closed.
        path, _ = found[names[name]]
        with open_safetensors(path) as file:
            return file.get_tensor(names[name]).clone()

    shapes = {name: found[theirs][1] for name, theirs in names.items()}
    return Source(f"the checkpoint {str(folder)!r}", shapes, False, lambda: read)


def _from_torch(path: Path, prefix: str) -> Source:
    tensors = read_torch(path)
    return held_source(f"the checkpoint {str(path)!r}", tensors, prefix, original=False)


def file_source(path: Path) -> Source:
    """The tensors of an original file, `prior_level_N.pth.tar`, whose shapes alone are read now. CheckpointError."""
    label = f"the checkpoint {str(path)!r}"
    content = read_torch(path, device="meta")
    weights = content.get("model", content)
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{label} holds no state dict of tensors as 'model'")
    shapes = {str(name): tuple(value.shape) for name, value in weights.items()}

    def read() -> Callable[[str], Tensor]:
        if zipfile.is_zipfile(path):
            return _Mapped(path)
        content = read_torch(path)
        return dict(content.get("model", content)).pop  # what is read is let go of

    return Source(label, shapes, True, read, content.get("hps"), path)


class _Mapped:
    """Tensors of a PyTorch file that stays on the disk. They are to be copied before the next one is asked for."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, _SEEN
        self._held: dict[str, Tensor] = {}

    def __call__(self, name: str) -> Tensor:
        if self._seen >= _SEEN:  # what is mapped of a file counts as memory until it is closed
            self._held, self._seen = {}, 0
            content = read_torch(self._path, mmap=True)
            self._held = dict(content.get("model", content))
        self._seen += self._held[name].numel() * self._held[name].element_size()
        return self._held[name]


def held_source(label: str, tensors: Mapping[str, Tensor], prefix: str = "", original: bool = False) -> Source:
    """Tensors that are in memory already, those whose names begin with `prefix`."""
    held = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    return Source(label, {n: tuple(t.shape) for n, t in held.items()}, original, lambda: held.__getitem__)


def filled(sizes: PriorConfig, source: Source, dtype: torch.dtype) -> Prior:
    """A prior that holds a checkpoint's weights in this dtype, on the CPU.

    Raises:
        CheckpointError: tensors that are missing, unexpected, misshapen or not finite; they are named.
    """
    with skeletons():
        prior = Prior(sizes)
    wanted = {name: tuple(tensor.shape) for name, tensor in prior.state_dict().items()}
    where = places(sizes, list(wanted), source.original)
    _check(sizes, source, wanted, where)
    read, weights = source.tensors(), {}
    for ours, place in where.items():
        if ours == "decoder.head.weight" and not sizes.untied:
            continue
        weights[ours] = _tensor(read, place, dtype)
        if not is_finite(weights[ours]):
            raise CheckpointError(f"{source.label} holds numbers that are not finite in {place.rows[0][0]}")
    if "decoder.head.weight" in wanted and not sizes.untied:
        weights["decoder.head.weight"] = weights["decoder.embed.weight"][: sizes.vocabulary]
    prior.load_state_dict(weights, strict=True, assign=True)
    for part in prior.modules():
        if isinstance(part, Decoder):
            part.make_tables()  # which no file holds, and a skeleton lacks
    prior.fingerprint = fingerprint(weights)
    return prior.requires_grad_(False).eval()


def _tensor(read: Callable[[str], Tensor], place: Place, dtype: torch.dtype) -> Tensor:
    held = {name: read(name) for name in dict.fromkeys(name for name, _, _ in place.rows)}
    parts = [held[name][first:end] for name, first, end in place.rows]
    tensor = parts[0] if len(parts) == 1 else torch.cat(parts)
    tensor = tensor.t() if place.turned else tensor
    # Straight into its place: a turned tensor that is first brought to its dtype left 40 % more of memory in use.
    return torch.empty(tensor.shape, dtype=dtype).copy_(tensor)


def _check(sizes: PriorConfig, source: Source, wanted: Shapes, where: Mapping[str, Place]) -> None:
    needed = {name for place in where.values() for name, _, _ in place.rows}
    unread = {*_NOT_READ[0 if source.original else 1]}
    if not sizes.untied:  # the head is the table, which some files hold twice
        unread |= {"prior.x_out.weight", "prior.fc_proj_out.weight"}
    try:
        check_names(source.shapes, needed, f"{source.label} does not fit the prior of level {sizes.level}", unread)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; is it another level's?") from None
    for ours, place in where.items():
        shape = source.shapes[place.rows[0][0]]
        fits = tuple(reversed(wanted[ours])) if place.turned else wanted[ours]
        if len(shape) != len(fits) or shape[1:] != fits[1:] or (len(place.rows) == 1 and not place.rows[0][1]
                                                               and shape[0] != fits[0]):  # fmt: skip
            raise CheckpointError(
                f"{source.label} does not fit the prior of level {sizes.level}: {place.rows[0][0]} is {shape}, "
                f"not {fits}; is it another level's?"
            )
