"""Genomes as pictures and sounds with receipts, and the way back: from a file of either to the genome in it.

Knows files of genomes, pictures and scores. Does not know what is bred of them (`verbs`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from clavilux.breeding import marks
from clavilux.breeding.breeder import Breeder, Genes
from clavilux.breeding.genome import ENDING, Genome, formatted
from clavilux.breeding.lineage import Lineage, Step
from clavilux.breeding.models import Model, breeder_for, load_breeder
from clavilux.files import PathLike, check_readable, is_midi, sha256_of
from clavilux.mark_key import OwnKey, in_receipt
from clavilux.provenance.manifest import Ingredient
from clavilux.provenance.stamp import CredentialStamp

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio
    from clavilux.image.picture import Picture

ON_SHEET = 128  # pixels a side that a smaller picture is brought to on a sheet
GENOME = "genome"  # of a receipt
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


class Encodes(Protocol):
    """A breeder that reads genes from what it did not make."""

    def encode(self, path: PathLike) -> Genes:
        """The genes of a picture's or a score's file. ValueError."""


def show(genome: Genome, *, model: Model | None = None, mark_key: OwnKey = None) -> Picture | Audio:
    """What a genome looks or sounds like; the receipt holds the genome.

    Args:
        genome: which.
        model: where it is, if not where the genome says.
        mark_key: the file of the private key that the last step is marked with, whose mark the sound or the pixels then
            have too; the public key's needs none.

    Raises:
        ValueError: it is for another model, or a file that is no key.
        CheckpointError: no such model.
    """
    return shown(genome, breeder_for([genome], model), mark_key)


def shown(genome: Genome, breeder: Breeder, mark_key: OwnKey = None) -> Picture | Audio:
    """As `show`, by a breeder that it is for."""
    step = genome.history.last
    key = marks.known_key(step, mark_key)
    found = marks.drawing(breeder, key).show(genome.genes)
    found.receipt = found.receipt | receipt(genome)
    if key is None and (held := marks.id_of(step)) is not None:
        what = "the sound has" if breeder.makes == "music" else "the pixels have"
        found.receipt["notes"].append(f"{what} no mark: the private key {held} was not given")
    found.stamp = stamp(genome)
    return found


def portrait(genome: Genome, breeder: Breeder, mark_key: OwnKey = None) -> Picture:
    """A picture that stands for a genome; the receipt holds the genome. Arguments as `shown`, of whose pictures it is
    one, unless the genome is of music.
    """
    if breeder.makes == "pictures":
        return cast("Picture", shown(genome, breeder, mark_key))
    found = breeder.portrait(genome.genes)
    found.receipt = receipt(genome)
    found.stamp = stamp(genome)
    return found


def receipt(genome: Genome) -> dict[str, Any]:
    """What a file that shows a genome says of it; the genome as text, as receipts do not keep the order of keys."""
    about = {"verb": "breed", "model": genome.model, GENOME: formatted(genome.to_dict()), "notes": []}
    return about | in_receipt(genome.history.last.settings)


def stamp(*genomes: Genome) -> CredentialStamp:
    """What signs a file that shows genomes: it names the pictures and scores that their ancestors were read from."""
    read_from = [step.settings for genome in genomes for step in genome.history.steps if step.verb == "encode"]
    parents = [Ingredient("parent", str(each.get("file", "")), str(each.get("file_sha256", ""))) for each in read_from]
    return CredentialStamp(tuple(dict.fromkeys(parents)))


def sheet(pictures: Sequence[Picture], columns: int | None = None, labels: Sequence[str] = ()) -> Picture:
    """Pictures of one size on a sheet, small ones enlarged."""
    from clavilux.image.sheet import contact_sheet

    scale = max(1, ON_SHEET // max(pictures[0].width, pictures[0].height))
    larger = [picture.resized(scale * picture.width, scale * picture.height) for picture in pictures]
    return contact_sheet(larger, columns, labels=labels)


def holds_genome(path: PathLike) -> bool:
    """Whether a file is a genome's, or says so in its receipt."""
    return Path(path).suffix.lower() == ENDING or GENOME in _receipt_of(path)


def read(path: PathLike, *, model: Model | None = None) -> Genome:
    """The genome in a file: a genome's own, or one that shows a genome; or of a photograph or a MIDI file, by a model
    that can read it.

    Args:
        path: .json; a picture; or a MIDI file.
        model: what reads a photograph or a MIDI file; of no use for others.

    Raises:
        ValueError: nothing is there, it is no genome and no picture, or the model cannot read it.
        CheckpointError: no such model.
    """
    if Path(path).suffix.lower() == ENDING:
        return Genome.load(path)
    inside = _receipt_of(path).get(GENOME)
    if inside is not None:
        try:
            return Genome.from_dict(json.loads(inside))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"the genome in {str(path)!r} is not understood: {error}") from None
    return _encoded(path, "a MIDI file" if is_midi(path) else "a picture without a genome", model)


def _receipt_of(path: PathLike) -> dict[str, Any]:
    """What a picture or a sound says of how it was made; {} of a MIDI file. ValueError for what is none of them."""
    if is_midi(path):
        check_readable(path, "MIDI file")
        return {}
    if Path(path).suffix.lower() in SOUNDS:
        from clavilux.audio.reading import SoundReader, receipt_from

        with SoundReader(path) as reader:
            return receipt_from(reader.comment)
    from clavilux.image import io

    return io.read(path).receipt


def _encoded(path: PathLike, kind: str, model: Model | None) -> Genome:
    breeder = None if model is None else load_breeder(model)
    if breeder is None or not hasattr(breeder, "encode"):
        reader = "no model is given" if breeder is None else f"{breeder.name} reads none"
        raise ValueError(
            f"{str(path)!r} is {kind}, and {reader}; a vae reads photographs and aria MIDI files (--model)"
        )
    genes = cast("Encodes", breeder).encode(path)
    settings = {
        "file": Path(path).name,
        "file_sha256": sha256_of(path),
        "latents": {layer: list(numbers) for layer, numbers in genes.latents.items()},
        "classes": dict(genes.classes),
    }
    history = Lineage((Step("encode", (), settings),))
    return Genome(breeder.model_sha256, breeder.name, genes, history)
