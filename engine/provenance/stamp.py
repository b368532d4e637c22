"""The stamp that songs and pictures made here carry: it signs the files that they are saved as.

Knows what a file was made from, and what happens where it cannot be signed. What its credentials say is `manifest`'s,
how they get into it `credentials`'.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from clavilux.provenance import keys
from clavilux.provenance.formats import BESIDE, EMBEDDED
from clavilux.provenance.identity import Identity
from clavilux.provenance.manifest import Ingredient, has_parent, manifest_of, relations, source_type, without_words
from clavilux.provenance.signing import current
from clavilux.stamp import Stamp

if TYPE_CHECKING:
    import torch


Thing = TypeVar("Thing", bound="Made")


class Unsigned(UserWarning):
    """A file was saved without credentials, as there is nowhere to keep a key."""


@dataclass(frozen=True)
class CredentialStamp:
    """A `Stamp` that signs. What was not generated, and was made from nothing that could be named, stays unsigned.

    Attributes:
        ingredients: what the thing was made from.
    """

    ingredients: tuple[Ingredient, ...] = ()

    def public(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """As `Stamp.public`: without words where that is chosen."""
        return without_words(receipt) if current().private else dict(receipt)

    def __call__(self, file: Path, name: str, receipt: Mapping[str, Any]) -> None:
        """As `Stamp.__call__`. Where no key can be kept the file stays unsigned, with a warning."""
        choice, ending = current(), file.suffix.lower()
        if not choice.credentials or ending not in EMBEDDED and not (choice.side_files and ending in BESIDE):
            return
        made = source_type(receipt, self.ingredients)
        if made is None and not has_parent(self.ingredients):
            return  # nothing to say
        who = choice.identity or _own()
        if who is not None:
            self._sign(file, name, receipt, made, choice.private, who)

    def joined(self, others: Sequence[Stamp | None]) -> CredentialStamp:
        """As `Stamp.joined`."""
        found = [each for other in (self, *others) if isinstance(other, CredentialStamp) for each in other.ingredients]
        return CredentialStamp(tuple(dict.fromkeys(found)))

    def by_hash(self) -> CredentialStamp:
        """One for many files of the same making: it does not read what they were made from again for each."""
        return CredentialStamp(tuple(each.by_hash for each in self.ingredients))

    def _sign(
        self, file: Path, name: str, receipt: Mapping[str, Any], made: str | None, private: bool, who: Identity
    ) -> None:
        from importlib.metadata import version

        from clavilux.provenance import credentials

        ingredients = list(self.ingredients)
        if private:
            ingredients = [Ingredient(each.use, "", each.sha256) for each in ingredients]
        about, files = relations(ingredients, made), [each.file for each in ingredients]
        manifest = manifest_of(self.public(receipt), ingredients, made, version("clavilux"))
        sign = credentials.sign if file.suffix.lower() in EMBEDDED else credentials.sign_beside
        sign(file, name, manifest, list(zip(about, files, strict=True)), who)


def stamp_of(**sources: object) -> CredentialStamp:
    """The stamp of something that was made from these, by what they were for (`manifest.STAYS`).

    Args:
        sources: paths; clips and pictures, whose own files count where they were read from one; tensors; lists of
            those; None is passed over.
    """
    return CredentialStamp(tuple(_ingredients(sources)))


class Made(Protocol):
    """A song or a picture."""

    receipt: dict[str, Any]
    stamp: Stamp | None


def stamped(things: list[Thing], **sources: object) -> list[Thing]:
    """Give songs or pictures that were made from these sources (as `stamp_of`) their stamp; previews have no receipt,
    and get none.
    """
    stamp = stamp_of(**sources)
    for thing in things:
        thing.stamp = stamp if thing.receipt else None
    return things


def _ingredients(sources: Mapping[str, object]) -> list[Ingredient]:
    found: list[Ingredient] = []
    for use, source in sources.items():
        for each in source if isinstance(source, (list, tuple)) else (source,):
            if each is not None:
                found.append(_ingredient(use, each))
    return list(dict.fromkeys(found))


def _ingredient(use: str, source: Any) -> Ingredient:
    path = Path(source) if isinstance(source, (str, os.PathLike)) else getattr(source, "origin", None)
    if path is not None and path.is_file():
        return Ingredient.of_file(use, path)
    content: torch.Tensor = getattr(source, "pixels", getattr(source, "samples", source))
    return Ingredient(use, "", hashlib.sha256(content.detach().cpu().contiguous().numpy().tobytes()).hexdigest())


def _own() -> Identity | None:
    """The user's identity; None, with a warning that Python shows once, where none can be kept."""
    try:
        return keys.own_identity()
    except OSError as error:
        where = keys.keys_folder()
        warnings.warn(
            f"files are saved without credentials: no key can be kept in {str(where)!r} ({error.strerror or error}); "
            "CLAVILUX_DATA names another folder",
            Unsigned,
            stacklevel=2,
        )
        return None
