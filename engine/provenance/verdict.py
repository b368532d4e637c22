"""What a verification says of a file: its credentials, the marks that were looked for, and one sentence on both.

Knows words. Does not know how either is found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clavilux.mark_key import PUBLIC

TOKENS, CELLS, BLOCKS = "tokens", "cells", "blocks"  # what a mark can be in
# Below which a mark's p-value says nothing; 2000 cells are 2 s of sound, 128 blocks 22 x 22 pixels.
FEWEST = {TOKENS: 24, CELLS: 2000, BLOCKS: 128}
LARGEST_P = 1e-3  # that is taken for a mark
ABSENT, VALID, CHANGED = "absent", "valid", "changed"


@dataclass(frozen=True)
class Credentials:
    """What the signed credentials of a file are worth.

    Attributes:
        state: "valid": signed, and the file is as it was then; "changed": the file, or what was signed, is not;
            "absent": it carries none, as after most programs have saved it again.
        trusted: who vouches for the signer: "own" is an identity of this user's, "given" a certificate that was named;
            "" is nobody known here.
        signer: name, organization and serial number of the certificate, as the file gives them.
        made: the last part of the C2PA actions' digitalSourceType, "trainedAlgorithmicMedia"; "" where the file claims
            nothing.
        program: what signed it, "Clavilux 0.1.0".
        receipt: the signed receipt; {} where there is none.
        ingredients: what it says that it was made from.
        problems: C2PA's codes of what did not hold.
    """

    state: str
    trusted: str = ""
    signer: dict[str, str] = field(default_factory=dict)
    made: str = ""
    program: str = ""
    receipt: dict[str, Any] = field(default_factory=dict)
    ingredients: list[dict[str, Any]] = field(default_factory=list)
    problems: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the file is as it was signed, whoever signed it."""
        return self.state == VALID

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "valid": self.valid, "state": self.state, "trusted": self.trusted, "signer": self.signer,
            "made": self.made, "program": self.program, "receipt": self.receipt, "ingredients": self.ingredients,
            "problems": list(self.problems),
        }  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """What was found of a mark, for one key.

    Attributes:
        key: its id.
        p: how likely so strong a trace, or a stronger one, is in a file without this mark.
        tokens: how many tokens that rests on, or cells of time and frequency, or blocks of pixels.
        of: "tokens", drawn by a model; "cells", of a sound that was played from notes; or "blocks", of a picture.
    """

    key: str
    p: float
    tokens: int
    of: str = TOKENS

    @property
    def enough(self) -> bool:
        """Whether there is so much evidence that its p-value says something."""
        return self.tokens >= FEWEST[self.of]

    @property
    def found(self) -> bool:
        """Whether the mark is there."""
        return self.enough and self.p <= LARGEST_P

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "key": self.key, "p": self.p, "tokens": self.tokens, "of": self.of, "enough": self.enough,
            "found": self.found,
        }  # fmt: skip


@dataclass(frozen=True)
class Nearest:
    """Which of the works that a bundled model was taught a file is nearest to.

    Attributes:
        model: "aria" for scores, "lumia" for pictures.
        name: of the work; "" where a score shares not one run of notes with any.
        source, licence: the collection that it is from.
        distance: of scores 0 to 1, the part of a passage's runs of eight notes that is not in the work, at the passage
            that shares most; of pictures the root mean square difference of small copies, in levels of 255.
        rarity: how many in a hundred works that the model was not taught are as near to one that it was, or nearer;
            rounded up to .1, 1, 5, 25, 50, 75, 95, 99 or 100.
        where: in the file: "bar 5", "picture 3 of the sheet", or "".
    """

    model: str
    name: str
    source: str
    licence: str
    distance: float
    rarity: float
    where: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "model": self.model, "name": self.name, "source": self.source, "licence": self.licence,
            "distance": self.distance, "rarity": self.rarity, "where": self.where,
        }  # fmt: skip

    @property
    def says(self) -> str:
        """One clause of a sentence: how near that is."""
        if not self.name:
            return f"none of its runs of eight notes that were compared is in a work that {self.model} is trained on"
        far = f"{self.distance:.2f} of 1" if self.model == "aria" else f"{self.distance:.0f} of 255"
        at = f" at {self.where}" if self.where else ""
        title = self.name if len(self.name) <= _LONGEST_TITLE else self.name[:_LONGEST_TITLE].rstrip() + "…"
        return (
            f'of what {self.model} is trained on it is nearest{at} to "{title}" ({self.source}, {self.licence}), at a '
            f"distance of {far}: " + _RARITIES[self.rarity < 100].format(self.rarity)
        )


@dataclass(frozen=True)
class Verdict:
    """What is known of a file.

    Attributes:
        path: of the file.
        credentials: what was signed.
        marks: of every key that was looked for; empty where none was.
        remarks: what could not be looked at, each the end of a sentence.
        nearest: which of the works that a bundled model was taught it is nearest to; None where that was not asked for,
            or could not be told.
    """

    path: Path
    credentials: Credentials
    marks: tuple[Mark, ...] = ()
    remarks: tuple[str, ...] = ()
    nearest: Nearest | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as `clavilux verify --json` prints them."""
        return {
            "file": str(self.path), "credentials": self.credentials.as_dict(),
            "marks": [mark.as_dict() for mark in self.marks], "remarks": list(self.remarks),
            "nearest": None if self.nearest is None else self.nearest.as_dict(), "says": self.says,
        }  # fmt: skip

    @property
    def says(self) -> str:
        """One sentence on what this means, and what it does not."""
        of_credentials = _of_credentials(self.credentials)
        if self.credentials.state == ABSENT and any(mark.found for mark in self.marks):
            of_credentials = (
                "credentials gone, mark found: a program that saved it has dropped the first and kept the other"
            )
        of_nearest = [] if self.nearest is None else [self.nearest.says]
        return "; ".join([of_credentials, *map(_of_mark, self.marks), *of_nearest]) + "."


_LONGEST_TITLE = 70
_RARITIES = {
    True: "of works that it is not trained on at most {:g} in 100 are as near",
    False: "works that it is not trained on are as near",
}
_MADE = {
    "trainedAlgorithmicMedia": "made by a model",
    "compositeWithTrainedAlgorithmicMedia": "made by a model together with something that was given to it",
    "algorithmicMedia": "made by a program without a model",
}
_TRUST = {
    "own": "with a key of this user's",
    "given": "with a key that you trust",
    "": "with a key that nobody known here vouches for, so who signed is not proven",
}


def _of_mark(found: Mark) -> str:
    whose = "the public mark of Clavilux" if found.key == PUBLIC.id else f"the mark of the key {found.key}"
    if not found.enough:
        return f"for {whose} there is not enough evidence in {found.tokens:,} {found.of}"
    if not found.found:
        return f"{whose} was not found, which does not say that no model made it"
    return (
        f"{whose} was found (p = {found.p:.2g}): one in {1 / max(found.p, 1e-99):,.3g} files without it would look "
        "like that, and one that is made to look like it could"
    )


def _of_credentials(found: Credentials) -> str:
    if found.state == ABSENT:
        return "it carries no credentials, which says nothing about how it was made: most programs drop them on saving"
    if found.state == CHANGED:
        return "its credentials do not fit: the file was changed after it was signed, or they are damaged"
    made = _MADE.get(found.made)
    claim = f"it says that it was {made}" if made else "it makes no claim of having been generated"
    by = f" by {found.program}" if found.program else ""
    return f"{claim}, signed{by} {_TRUST[found.trusted]}; it is unchanged since"
