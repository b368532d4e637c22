"""What was found when a picture was compared with references: numbers, pictures, words; and its files.

Knows what is said of a comparison. Never says who made a picture, nor that it is authentic or forged: measurements do
not tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.examining.works import ENOUGH, Works
from clavilux.files import PathLike, atomic_path, check_ending, write_json
from clavilux.image.examination.classes import Classification
from clavilux.image.examination.confounds import Confound
from clavilux.image.examination.measurements import GROUPS
from clavilux.image.examination.space import Comparison
from clavilux.image.picture import Picture

__all__ = ["ENDINGS", "Examination", "Near"]

UNLIKE = 0.05
ENDINGS = (".html", ".png", ".json")
NOT_ENOUGH = "not enough evidence"


@dataclass(frozen=True)
class Near:
    """A reference that is near the picture.

    Attributes:
        path: of its file.
        distance: to the picture; what is usual from a reference to its nearest ones is 1.
        shares: titles of the groups of measurements in which they are most alike.
    """

    path: Path
    distance: float
    shares: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Examination:
    """A picture among references.

    Attributes:
        picture: what was examined.
        references: one folder or several; `p` and all else but `classification` are of the first.
        comparison: distances, shares and the p-value that is said only from 40 references on.
        confounds: those found, by `clavilux.image.examination.confounds`.
        alike_p: the p-value once the references have the same confounds; None where nothing had to be explained, and
            below 40 references.
        unlike: float64 [8, 8], 0 to 1: how unlike cells of the references each cell of the picture is.
        nearest: the nearest references, nearest first.
        folder_p: folder -> p of the picture among its works, None below 40.
        classification: of several folders, which one it is like; None of a single one.
        side: root of the area that all were measured at, in pixels.
        remarks: what the reader should know besides, each a sentence without its end.
    """

    picture: Picture
    references: tuple[Works, ...]
    comparison: Comparison
    confounds: tuple[Confound, ...]
    alike_p: float | None
    unlike: np.ndarray
    nearest: tuple[Near, ...]
    folder_p: dict[str, float | None] = field(default_factory=dict)
    classification: Classification | None = None
    side: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether there are 40 references."""
        return len(self.references[0].works) >= ENOUGH

    @property
    def p(self) -> float | None:
        """The conformal p-value: how often one more work of the same kind would be as unlike; None below 40."""
        return self.comparison.p if self.enough else None

    @property
    def explained(self) -> bool:
        """Whether confounds explain what is unlike: references that have them too are as unlike."""
        return self.enough and self.alike_p is not None and self.alike_p >= UNLIKE

    @property
    def verdict(self) -> str:
        """A few words: "not enough evidence", "as the references are", "explained by blur", "unlike the references"."""
        if not self.enough:
            return NOT_ENOUGH
        if self.comparison.p >= UNLIKE:
            return "as the references are"
        if self.explained:
            return "explained by " + " and ".join(each.name for each in self.confounds)
        return "unlike the references"

    @property
    def says(self) -> str:
        """What was found, in two or three sentences."""
        count = len(self.references[0].works)
        if not self.enough:
            return (
                f"There are {count} references; from {ENOUGH} on it is said how unlike them the picture is. What was "
                "measured stands below, and proves nothing."
            )
        p = f"p = {self.comparison.p:.3f} of {count} references"
        if self.comparison.p >= UNLIKE:
            return (
                f"The picture is no more unlike the references than they are among themselves ({p}). Other hands can "
                "be as like: this is no proof of whose it is."
            )
        if self.explained:
            what = "; ".join(each.sentence for each in self.confounds)
            return (
                f"The picture is unlike the references ({p}), and how it was copied explains that: {what}. References "
                f"that were made worse alike are as unlike (p = {self.alike_p:.3f})."
            )
        what = " Confounds were found, and do not explain it." if self.confounds else ""
        return (
            f"The picture is more unlike the references than nearly all of them are ({p}).{what} That can be another "
            "hand, another time, subject or material of the same hand; it is no verdict."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: what `--json` prints."""
        found: dict[str, Any] = {
            "p": self.p,
            "verdict": self.verdict,
            "says": self.says,
            "confounds": [
                {"name": each.name, "size": round(each.size, 4), "unit": each.unit, "says": each.sentence}
                for each in self.confounds
            ],
            "p_made_alike": self.alike_p,
            "picture": {"file": _file(self.picture), "width": self.picture.width, "height": self.picture.height},
            "references": [
                {"folder": str(each.folder), "works": len(each.works), "p": self.folder_p.get(each.name)}
                for each in self.references
            ],
            "measured_at_px": self.side,
            "remarks": list(self.remarks),
        }
        if not self.explained:
            found["measurements"] = [
                {
                    "name": name, "share": round(self.comparison.shares[name], 4),
                    "times_usual": round(self.comparison.times[name], 3), "most_unlike": self.most_unlike(name),
                    "source": GROUPS[name].source,
                }
                for name in self.comparison.shares
            ]  # fmt: skip
            found["nearest"] = [
                {"file": str(each.path), "distance": round(each.distance, 3), "share": list(each.shares)}
                for each in self.nearest
            ]
            found["unlike"] = np.round(self.unlike, 3).tolist()
            if self.classification is not None:
                found["classification"] = self.classification.as_dict()
        return found

    def save(self, path: PathLike) -> None:
        """Write the report: a page that holds all it shows (.html), the same as a picture (.png), or numbers (.json).

        Raises:
            ValueError: another ending, or a place where nothing can be written.
            OSError: writing failed; nothing is left behind.
        """
        ending = check_ending(path, ENDINGS)
        if ending == ".json":
            write_json(self.as_dict(), path)
        elif ending == ".png":
            from clavilux.examining.report_picture import draw

            draw(self, path)
        else:
            from clavilux.examining.report_page import page_of

            text = page_of(self)
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def most_unlike(self, group: str, count: int = 2) -> list[str]:
        """The numbers of a group that are furthest off: "warmth +2.1", in deviations of the references."""
        values = self.comparison.deviations[group]
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        return [f"{GROUPS[group].names[number]} {values[number]:+.1f}" for number in order]

    def __repr__(self) -> str:
        return f"Examination({self.verdict!r}, p={self.p}, {len(self.references[0].works)} references)"


def _file(picture: Picture) -> str | None:
    return None if picture.origin is None else str(picture.origin)
