"""What a file's credentials say: what was done, by what, from what, with the receipt.

Knows the words of C2PA (2.2) and IPTC's digital source types, and what a receipt means in them. Does not know how a
manifest is signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clavilux.files import sha256_of
from clavilux.provenance.credentials import INGREDIENTS, RECEIPT

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
# What a file is made from -> whether what is heard or seen of it stays in the result.
STAYS = {
    "continue_from": True, "prime": True, "source": True, "picture": True, "played": True, "tokens": True,
    "tune": True, "melody": False, "guide": False, "painting": False, "mask": False, "lyrics": False, "parent": True,
}  # fmt: skip
# Fields of a receipt, at any depth, that hold or quote what somebody wrote, or name a file.
_WORDS = frozenset((
    "prompt", "unknown", "unmet", "taken", "notes", "lyrics", "artist", "genres", "words", "played", "genome", "file",
    "remarks", "melody", "guide", "paintings", "soundfont", "source", "title",
))  # fmt: skip


@dataclass(frozen=True)
class Ingredient:
    """Something that a file was made from.

    Attributes:
        use: a key of `STAYS`.
        name: of its file, without folders; "" for what was given in memory.
        sha256: of its file, or of its pixels or samples where it was given in memory.
        path: of its file, whose own credentials are kept; None without one.
    """

    use: str
    name: str
    sha256: str
    path: Path | None = None
    state: tuple[int, int] = (0, 0)  # of the file: bytes, and when it was changed

    @classmethod
    def of_file(cls, use: str, path: Path) -> Ingredient:
        """That of a file, as it is now."""
        return cls(use, path.name, sha256_of(path), path, _state(path))

    @property
    def by_hash(self) -> Ingredient:
        """The same, without its file."""
        return Ingredient(self.use, self.name, self.sha256)

    @property
    def file(self) -> Path | None:
        """Its file, where it is still there as it was."""
        return self.path if self.path is not None and self.path.is_file() and _state(self.path) == self.state else None

    def as_dict(self) -> dict[str, Any]:
        """What the credentials say of it."""
        return {"use": self.use, "name": self.name, "sha256": self.sha256}


def without_words(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """A receipt without what somebody wrote: prompts, lyrics, names of files; and a word that they were left out."""
    return _bare(receipt) | {"private": True}


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _bare(each) for name, each in value.items() if name not in _WORDS}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def source_type(receipt: Mapping[str, Any], ingredients: Sequence[Ingredient]) -> str | None:
    """The digital source type of what a receipt tells of; None where nothing was generated."""
    if "pictures" in receipt:  # a sheet
        found = [source_type(each, ingredients) for each in receipt["pictures"]]
        return next((each for each in found if each is not None), None)
    if receipt.get("verb") in ("dream", "style"):
        return COMPOSITE
    if "model" not in receipt and "verb" not in receipt:  # what plays notes that a model wrote is made with them
        return COMPOSITE if isinstance(receipt.get("of"), dict) and source_type(receipt["of"], ()) else None
    return COMPOSITE if has_parent(ingredients) else TRAINED


def has_parent(ingredients: Sequence[Ingredient]) -> bool:
    """Whether something stays of one of them in the result."""
    return any(STAYS[each.use] for each in ingredients)


def manifest_of(
    receipt: Mapping[str, Any], ingredients: Sequence[Ingredient], made: str | None, version: str
) -> dict[str, Any]:
    """The manifest of a file, as c2pa's builder takes it.

    Args:
        receipt: as the file has it.
        ingredients: what it was made from.
        made: as `source_type` says; None needs an ingredient that stays, which is what was opened.
        version: Clavilux's.
    """
    agent = {"name": str(receipt.get("model") or receipt.get("verb") or "Clavilux")}
    if fingerprint := receipt.get("fingerprint") or receipt.get("model_sha256"):
        agent["version"] = str(fingerprint)
    if made is None:
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [instance(_parent(ingredients))]}}
        actions = [opened, {"action": "c2pa.converted", "softwareAgent": agent}]
    else:
        actions = [{"action": "c2pa.created", "digitalSourceType": SOURCE_TYPES + made, "softwareAgent": agent}]
    assertions: list[dict[str, Any]] = [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]
    if receipt:
        assertions.append({"label": RECEIPT, "data": {"receipt": dict(receipt)}, "kind": "Json"})
    if ingredients:
        listed = [each.as_dict() for each in ingredients]
        assertions.append({"label": INGREDIENTS, "data": {"ingredients": listed}, "kind": "Json"})
    return {"claim_generator_info": [{"name": "Clavilux", "version": version}], "assertions": assertions}


def relations(ingredients: Sequence[Ingredient], made: str | None) -> list[dict[str, Any]]:
    """The ingredients as C2PA has them: what was opened is the parent, the rest is input."""
    parent = None if made is not None else _parent(ingredients)
    return [
        {
            "title": each.name or each.use, "instance_id": instance(number),
            "relationship": "parentOf" if number == parent else "inputTo",
        }
        for number, each in enumerate(ingredients)
    ]  # fmt: skip


def instance(number: int) -> str:
    """What an ingredient is called inside a manifest."""
    return f"xmp:iid:clavilux-{number}"


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _parent(ingredients: Sequence[Ingredient]) -> int:
    return next(number for number, each in enumerate(ingredients) if STAYS[each.use])
