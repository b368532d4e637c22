"""Which model breeds: a name or a folder becomes a breeder, and genomes are held against it.

Knows names, folders and fingerprints. A breeder's own module is imported when it is asked for, torch with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

from clavilux.breeding.breeder import Breeder
from clavilux.breeding.genome import Genome
from clavilux.checkpoint import PRETRAINED
from clavilux.checkpoint_io import check_file, read_json
from clavilux.checks import short
from clavilux.errors import CheckpointError
from clavilux.files import PathLike, sha256_of

Model = Breeder | PathLike
DEFAULT = "gan"
BREEDERS = {  # family -> the module whose `load(name, folder, model_sha256)` gives its breeder
    "lumia": "clavilux.breeding.lumia",
    "aria": "clavilux.breeding.aria",
    "gan": "clavilux.breeding.gan",
    "vae": "clavilux.breeding.vae",
}
MUSIC = ("aria",)  # families whose genes are scores


def load_breeder(model: Model) -> Breeder:
    """The breeder of a model; one that is loaded is given back.

    Args:
        model: a bundled model's name, or a folder with config.json and model.safetensors.

    Raises:
        CheckpointError: nothing is there, or it is damaged or of a family that does not breed.
    """
    if not isinstance(model, (str, Path)):
        return cast("Breeder", model)
    name, folder = str(model), folder_of(model)
    family = family_of(model)
    load = cast("Callable[[str, Path, str], Breeder]", import_module(BREEDERS[family]).load)
    return load(name, folder, fingerprint(folder))


def family_of(model: PathLike) -> str:
    """A key of `BREEDERS`; nothing but the config is read. CheckpointError."""
    family = read_json(folder_of(model) / "config.json").get("family")
    if family not in BREEDERS:
        raise CheckpointError(
            f"{str(model)!r} is of the family {short(family)}; those that breed are {', '.join(BREEDERS)}"
        )
    return str(family)


def folder_of(model: PathLike) -> Path:
    """Where a model's files are. CheckpointError."""
    name, folder = str(model), Path(model)
    bundled = [each for each in BREEDERS if (PRETRAINED / each / "config.json").is_file()]
    if name in bundled:
        return PRETRAINED / name
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"no model {name!r} is bundled, and no folder of that name holds one; give {', '.join(bundled)} or a "
            "folder that `clavilux train` wrote (model, --model)"
        )
    return folder


def fingerprint(folder: Path) -> str:
    """SHA-256 of its weights' file. CheckpointError where there is none."""
    return sha256_of(check_file(folder / "model.safetensors"))


def breeder_for(genomes: Sequence[Genome], model: Model | None = None) -> Breeder:
    """The breeder of genomes: where they say it is, or another place that is given.

    Raises:
        ValueError: they are of several models, or for another one than this.
        CheckpointError: no such model.
    """
    first = genomes[0]
    for other in genomes[1:]:
        if other.model_sha256 != first.model_sha256:
            raise ValueError(
                f"the genomes are of different models, {first.model} ({first.model_sha256[:12]}) and {other.model} "
                f"({other.model_sha256[:12]}); only genomes of one model can be mixed"
            )
    breeder = load_breeder(first.model if model is None else model)
    if breeder.model_sha256 != first.model_sha256:
        raise ValueError(
            f"the genome is for a model {first.model} of the fingerprint {first.model_sha256[:12]}, and {breeder.name} "
            f"here is {breeder.model_sha256[:12]}; give the folder of the model that it is for (model, --model)"
        )
    for genome in genomes:
        breeder.check(genome.genes)
    return breeder
