"""Which checkpoint a name means: its folder, its family and its config, asked for once and handed on.

Knows the bundled models, folders and the hub. Reads no weights, and imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clavilux.errors import CheckpointError
from clavilux.families.registry import FAMILIES, Entry, detect, folder_of_file, needed

if TYPE_CHECKING:
    from clavilux.family import FamilyModule
    from clavilux.model import Model

PRETRAINED = Path(__file__).parent / "pretrained"
# Families of pictures from latents: they predict no tokens, so they are no `Model`. Bundled ones are called like them.
GENERATORS = ("gan", "vae")
_HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:/([\w.-]+))?")
_HUB_S = 10.0  # that the hub may take to say what it has


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that was found. Made by `find`.

    Attributes:
        name: as it was asked for.
        folder: where its files are; of LlamaGen's, the transformer's file.
        family: one of `FAMILIES`.
        config: its config.json, {} where there is none.
    """

    name: str
    folder: Path
    family: str
    config: Mapping[str, Any]

    @property
    def entry(self) -> Entry:
        """The family's row of the registry."""
        return FAMILIES[self.family]

    @property
    def makes(self) -> str:
        """What it makes: "music" or "pictures"."""
        return self.entry.makes

    @property
    def module(self) -> FamilyModule:
        """The family's, imported now: most of them need torch."""
        return cast("FamilyModule", import_module(self.entry.module))

    @property
    def model(self) -> type[Model]:
        """The class of its loaded model, imported now with torch."""
        module, _, name = self.entry.model.rpartition(".")
        return cast("type[Model]", getattr(import_module(module), name))

    def check_prompt(self, prompt: str, anything: bool = False) -> None:
        """Refuse a prompt as the model itself would, before its weights and torch are read.

        Raises:
            ValueError: nothing was understood, unless `anything`; families without `prompts` understand all.
        """
        if self.entry.prompts is not None:
            import_module(self.entry.prompts).check_prompt(self.config, prompt, anything)


def find(source: str | Path | Checkpoint) -> Checkpoint:
    """The checkpoint that `clavilux.load` would load; one that was found already is given back.

    Raises:
        CheckpointError: nothing is there, or it is of an unknown family.
    """
    if isinstance(source, Checkpoint):
        return source
    folder = folder_of(source)
    return Checkpoint(str(source), folder, *read_config(folder))


def bundled() -> list[str]:
    """The names of the bundled models that `clavilux.load` loads."""
    return sorted({path.parent.name for path in PRETRAINED.glob("*/config.json")} - set(GENERATORS))


def bundled_generators() -> list[str]:
    """The names of the bundled generators that there are, of `GENERATORS`."""
    return [name for name in GENERATORS if (PRETRAINED / name / "config.json").exists()]


def read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """A checkpoint's family, one of `FAMILIES`, and its config.json. Raises CheckpointError."""
    name, config = detect(folder)
    if name in GENERATORS:
        raise CheckpointError(
            f"{str(folder)!r} is a {name.upper()}: it makes pictures of latents, not of tokens; only models of tokens "
            "are loaded here"
        )
    if name not in FAMILIES:
        raise CheckpointError(
            f"{str(folder / 'config.json')!r} is of the family {name!r}; those known are {', '.join(sorted(FAMILIES))}"
        )
    return name, config


def folder_of(source: str | Path) -> Path:
    """Where a model's files are, downloaded if it is a hub id. Raises CheckpointError."""
    name = str(source)
    if name in bundled():
        return PRETRAINED / name
    if Path(source).is_dir():
        return Path(source)
    if Path(source).exists():
        return folder_of_file(Path(source))
    hub = _HUB_ID.fullmatch(name)
    if hub is None or name.startswith((".", "/")):
        raise CheckpointError(f"{name!r} is neither a bundled model ({', '.join(bundled())}) nor a folder nor a hub id")
    repository, file = hub.groups()
    folder = _downloaded(repository, file)
    return folder if file is None else folder_of_file(folder / file)


def _downloaded(repository: str, file: str | None) -> Path:
    """A repository of the hub, as far as it is needed; what was downloaded before, where the hub does not answer."""
    import huggingface_hub

    try:
        # Asked once: its listing of files tries six times, with a line each, for 23 s without a network.
        about = huggingface_hub.HfApi().model_info(repository, timeout=_HUB_S)
        offered = [sibling.rfilename for sibling in about.siblings or ()]
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=needed(offered, file)))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        try:
            return Path(huggingface_hub.snapshot_download(repository, local_files_only=True))
        except Exception:
            raise CheckpointError(
                f"{repository!r} is no folder here, and the hub could not be asked for it "
                f"({type(error).__name__}); check the name and the network"
            ) from error
