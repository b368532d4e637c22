"""Checkpoint folders of VAEs: `config.json`, and `model.safetensors` in float16. Names and shapes are strict."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from clavilux import checkpoint_io
from clavilux.errors import CheckpointError
from clavilux.files import PathLike, atomic_path, sha256_of, write_json
from clavilux.image.latents.statistics import Statistics
from clavilux.image.latents.vae import VAE, VAESpec
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill, is_finite

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MEAN, SCALE, COMPONENTS = "latent_mean", "latent_scale", "components"
_STATISTICS = (MEAN, SCALE, COMPONENTS)


@dataclass(frozen=True)
class LoadedVAE:
    """A VAE of a checkpoint folder.

    Attributes:
        vae: float32 on the CPU, without gradients.
        statistics: of the latents of its training pictures.
        config: the file as it is: "family" is "vae"; "name", "spec", "classes" and "training", "licence" where stated.
        fingerprint: SHA-256 of the file of weights.
    """

    vae: VAE
    statistics: Statistics
    config: dict[str, Any]
    fingerprint: str


def save_vae(
    folder: PathLike,
    vae: VAE,
    statistics: Statistics,
    *,
    name: str,
    classes: Collection[str] = (),
    training: Mapping[str, Any] | None = None,
    licence: str | None = None,
) -> None:
    """Write a checkpoint folder, over one that is there; each of its files whole or not at all.

    Args:
        folder: made where it is not there.
        vae: its weights become float16.
        statistics: of the latents of its training pictures, by this network.
        name: what the model is called.
        classes: names of the kinds of pictures that it was trained on.
        training: what is to be known of how it was made, plain JSON values.
        licence: of the weights.
    """
    config = config_of("vae", name, licence, {"spec": vae.spec.to_dict()}, classes, training)
    tensors = {**vae.state_dict(), **dict(zip(_STATISTICS, statistics, strict=True))}
    write_folder(Path(folder), config, tensors)


def load_vae(folder: PathLike) -> LoadedVAE:
    """Read a checkpoint folder.

    Raises:
        CheckpointError: no such folder, another family, a spec that makes no VAE, or weights that are not its own.
    """
    config = read_config(Path(folder), "vae")
    path = Path(folder) / WEIGHTS
    label = repr(str(path))
    try:
        spec = VAESpec.from_dict(config.get("spec", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{str(Path(folder) / CONFIG)!r} describes no VAE: {error}") from None
    with skeletons():
        vae = VAE(spec)
    tensors = checkpoint_io.read_tensors(path)
    fill(vae, tensors, label, skip=_STATISTICS)
    return LoadedVAE(
        vae.requires_grad_(False).eval(), read_statistics(tensors, spec.latent_shape, label), config, sha256_of(path)
    )


def read_config(folder: Path, family: str) -> dict[str, Any]:
    """The config of a checkpoint folder of that family. CheckpointError for anything else."""
    config = checkpoint_io.read_json(folder / CONFIG)
    if config.get("family") != family:
        raise CheckpointError(f"{str(folder)!r} is of the family {config.get('family')!r}; a {family} is wanted")
    return config


def read_statistics(tensors: Mapping[str, Tensor], shape: tuple[int, int, int], label: str) -> Statistics:
    """The statistics among a checkpoint's tensors, float32. CheckpointError unless they fit latents of this shape."""
    missing = [name for name in _STATISTICS if name not in tensors]
    if missing:
        raise CheckpointError(f"{label} lacks {', '.join(missing)}")
    found = Statistics(*(tensors[name].float() for name in _STATISTICS))
    wanted = {MEAN: shape, SCALE: (shape[0], 1, 1), COMPONENTS: (len(found.components), *shape)}
    for name, tensor in zip(_STATISTICS, found, strict=True):
        if tuple(tensor.shape) != wanted[name]:
            raise CheckpointError(f"{label}: {name} is {tuple(tensor.shape)}, not {wanted[name]}")
        if not is_finite(tensor):
            raise CheckpointError(f"{label} holds values that are not finite in {name}")
    return found


def config_of(
    family: str,
    name: str,
    licence: str | None,
    sizes: Mapping[str, Any],
    classes: Collection[str],
    training: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A checkpoint's config, its keys in the order in which people look for them."""
    stated = {} if licence is None else {"licence": licence}
    return {
        "family": family, "name": name, **stated, **sizes, "classes": list(classes), "training": dict(training or {}),
    }  # fmt: skip


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a config, and tensors as float16."""
    folder.mkdir(exist_ok=True)
    halves = {name: tensor.detach().half().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(halves, temporary)
    write_json(config, folder / CONFIG)
