"""Genome: what a picture or a score inherited, as a small file of JSON that people can read.

Knows the file. Does not know what the numbers look like (`Breeder.show`) or how they come about (`verbs`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clavilux.breeding.breeder import Genes
from clavilux.breeding.lineage import Lineage
from clavilux.checks import is_number, short
from clavilux.files import PathLike, atomic_path, check_ending, read_text

ENDING = ".json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEYS = ("model_sha256", "model", "latents", "classes", "history")


@dataclass(frozen=True)
class Genome:
    """What a picture or a score inherited, and how.

    Attributes:
        model_sha256: of the file of weights that it is for, 64 hexadecimal digits.
        model: a bundled model's name or a folder, as it was given.
        genes: numbers by layer, and what the model is conditioned on.
        history: every step that led here.

    Raises:
        ValueError: a fingerprint that is none, or latents that are no numbers.
    """

    model_sha256: str
    model: str
    genes: Genes
    history: Lineage

    def __post_init__(self) -> None:
        if not isinstance(self.model_sha256, str) or not _SHA256.fullmatch(self.model_sha256):
            raise ValueError(f"its model_sha256 is {short(self.model_sha256)}; it should be 64 hexadecimal digits")
        if not isinstance(self.model, str) or not self.model:
            raise ValueError(f"its model is {short(self.model)}; it should be a bundled model's name or a folder")

    @property
    def latents(self) -> Mapping[str, tuple[float, ...]]:
        """Numbers by layer."""
        return self.genes.latents

    @property
    def classes(self) -> Mapping[str, Any]:
        """What the model is conditioned on."""
        return self.genes.classes

    @property
    def name(self) -> str:
        """Its step's, 12 hexadecimal digits."""
        return self.history.last.name

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, the fingerprint first."""
        return {
            "model_sha256": self.model_sha256,
            "model": self.model,
            "latents": {layer: list(numbers) for layer, numbers in self.latents.items()},
            "classes": dict(self.classes),
            "history": self.history.to_list(),
        }

    @classmethod
    def from_dict(cls, value: Any) -> Genome:
        """Read what `to_dict` gives. ValueError for anything else, the end of a sentence."""
        if not isinstance(value, dict) or "model_sha256" not in value:
            raise ValueError("it is no genome: it has no model_sha256")
        if set(value) != set(_KEYS):
            raise ValueError(f"it has the keys {short(sorted(value))}; a genome has {', '.join(_KEYS)}")
        if not isinstance(value["classes"], dict):
            raise ValueError(f"its classes are {short(value['classes'])}; they should be names with values")
        genes = Genes(read_latents(value["latents"]), value["classes"])
        return cls(value["model_sha256"], value["model"], genes, Lineage.from_list(value["history"]))

    @classmethod
    def load(cls, path: PathLike) -> Genome:
        """Read a genome's file.

        Raises:
            ValueError: nothing is there, or it is no genome; the sentence says what it lacks.
        """
        text = read_text(path, "JSON file")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"{str(path)!r} is no genome: it is no JSON") from None
        try:
            return cls.from_dict(value)
        except ValueError as error:
            raise ValueError(f"{str(path)!r} is not understood: {error}") from None

    def save(self, path: PathLike) -> None:
        """Write it to a .json file, the whole of it or nothing.

        Raises:
            ValueError: another ending, or a folder that is missing or not writable.
            OSError: writing failed.
        """
        check_ending(path, (ENDING,))
        text = formatted(self.to_dict()) + "\n"
        with atomic_path(path) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")


def read_latents(value: Any) -> dict[str, tuple[float, ...]]:
    """Numbers by layer. ValueError for anything else, the end of a sentence."""
    if not isinstance(value, dict) or not value:
        raise ValueError(f"its latents are {short(value)}; they should be lists of numbers by layer")
    for layer, numbers in value.items():
        if not isinstance(numbers, list) or not numbers or not all(map(is_number, numbers)):
            raise ValueError(f"its latents of layer {layer!r} are {short(numbers)}; they should be a list of numbers")
    return {layer: tuple(numbers) for layer, numbers in value.items()}


def formatted(value: Any, indent: int = 0) -> str:
    """JSON with every key on a line of its own, and numbers of a list on one."""
    if isinstance(value, dict) and value:
        lines = [f"{json.dumps(key)}: {formatted(each, indent + 1)}" for key, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        lines = [formatted(each, indent + 1) for each in value]
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = ",\n".join(" " * (indent + 1) + line for line in lines)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}\n{' ' * indent}{closing}"
