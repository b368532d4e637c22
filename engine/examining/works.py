"""The works that a picture is compared with: folders of pictures, measured once and kept by their content.

Knows files, folders and what is kept of them. Does not know what is compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from clavilux.examining.kept import Kept
from clavilux.files import PathLike, checked_folder, sha256_of
from clavilux.image import io
from clavilux.image.examination.canvas import SIDES
from clavilux.image.examination.measurements import LEAST, Measured, measure
from clavilux.image.frames import PICTURES

if TYPE_CHECKING:
    from clavilux.image.arts.features import Features

__all__ = ["ENOUGH", "Measurer", "Work", "Works", "read_folder", "read_work", "side_for"]

Each = TypeVar("Each")
Progress = Callable[[float, float], None]
ENOUGH = 40  # references from which p is said: with 40 it can be .024
_NAMED = 3  # files that an error lists


@dataclass(frozen=True)
class Work:
    """A picture's file.

    Attributes:
        path: of the file.
        subject: the folder that it lies in, below the reference folder; "" right in it.
        digest: SHA-256 of the file.
        size: (width, height) in pixels.
    """

    path: Path
    subject: str
    digest: str
    size: tuple[int, int]

    def pixels(self) -> np.ndarray:
        """uint8 [H, W, 3]. ValueError: the file is damaged."""
        return io.read(self.path, strict=True).pixels


@dataclass(frozen=True)
class Works:
    """A folder of references.

    Attributes:
        folder: as it was given.
        name: for reports.
        works: in the order of their names, no file twice.
        remarks: what was passed over, each a sentence without its end.
    """

    folder: Path
    name: str
    works: tuple[Work, ...]
    remarks: tuple[str, ...]

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Of each work; all "" where the folder has no two subfolders; what lies beside subfolders is its own."""
        if len({work.subject for work in self.works} - {""}) < 2:
            return ("",) * len(self.works)
        return tuple(work.subject or work.path.name for work in self.works)


def read_work(path: PathLike, subject: str = "") -> Work:
    """A picture's file, looked at but not decoded.

    Raises:
        ValueError: it is no picture that can be read, or smaller than 32 pixels a side.
    """
    width, height = io.size_of(path)
    if min(width, height) < LEAST:
        raise ValueError(f"{str(path)!r} has {width} x {height} pixels; {LEAST} and more a side can be examined")
    return Work(Path(path), subject, sha256_of(path), (width, height))


def read_folder(folder: PathLike, picture: str) -> Works:
    """The references in a folder and those below it.

    Args:
        folder: of pictures alone; hidden files are passed over.
        picture: SHA-256 of the file in question: a copy of it is no reference.

    Raises:
        ValueError: no such folder, files among its pictures that are none, damaged or tiny ones, or fewer than two.
    """
    root = checked_folder(folder, "works to compare with")
    paths, strange = list[Path](), list[Path]()
    for where, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            (paths if name.lower().endswith(PICTURES) else strange).append(Path(where) / name)
    if strange:
        named = ", ".join(path.relative_to(root).as_posix() for path in strange[:_NAMED])
        more = ", ..." if len(strange) > _NAMED else ""
        what = "1 file that is no picture" if len(strange) == 1 else f"{len(strange)} files that are no pictures"
        raise ValueError(
            f"the folder {str(folder)!r} holds {what} ({named}{more}); references are a folder of pictures alone"
        )
    found = dict[str, Work]()
    copies, itself = 0, 0
    for path in paths:
        work = read_work(path, path.parent.relative_to(root).as_posix().removeprefix("."))
        itself += work.digest == picture
        copies += work.digest in found and work.digest != picture
        if work.digest != picture:
            found.setdefault(work.digest, work)
    if len(found) < 2:
        there = "no pictures" if not paths else "one picture" if len(found) == 1 else "the picture in question alone"
        raise ValueError(
            f"the folder {str(folder)!r} holds {there}; give a folder with two references at least, better 40 or more"
        )
    remarks = []
    if itself:
        remarks.append(f"the picture itself lies in {str(folder)!r} and was not compared with itself")
    if copies:
        remarks.append(f"{copies} files in {str(folder)!r} are copies of others and count once")
    return Works(root, root.resolve().name, tuple(found.values()), tuple(remarks))


def side_for(works: Sequence[Work]) -> int:
    """The scale that pictures are brought to: what four in five of the references have without being enlarged."""
    roots = [(work.size[0] * work.size[1]) ** 0.5 for work in works]
    least = float(np.percentile(roots, 20))
    return max([side for side in SIDES if side <= least], default=SIDES[0])


class Measurer:
    """Measures works at one scale, each once.

    Args:
        side: the scale.
        features: Lite0, or None where it is not installed.
        kept: what was measured before; None keeps nothing.
    """

    def __init__(self, side: int, features: Features | None, kept: Kept | None):
        self.side = side
        self.features = features
        self._kept = kept

    def __call__(self, works: Sequence[Work], progress: Callable[[float, float], None] | None = None) -> list[Measured]:
        """The measurements of each, in order, two at a time; `progress` is told of (done, total).

        Raises:
            ValueError: a file is damaged.
        """
        return self.in_turns(self._one, works, progress)

    def in_turns(
        self,
        one: Callable[[Each], Measured],
        given: Sequence[Each],
        progress: Callable[[float, float], None] | None = None,
    ) -> list[Measured]:
        """What `one` makes of each, in order, on all cores."""
        found = []
        with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
            for done, each in enumerate(pool.map(one, given), 1):
                found.append(each)
                if progress is not None:
                    progress(done, len(given))
        return found

    def of_pixels(self, pixels: np.ndarray) -> Measured:
        """Of a picture that is no file: never kept."""
        return measure(pixels, self.side, self.features)

    def _one(self, work: Work) -> Measured:
        key = f"{work.digest}-{self.side}{'-layers' if self.features is not None else ''}"
        if self._kept is not None and (there := self._kept.get(key)) is not None:
            return there
        found = self.of_pixels(work.pixels())
        if self._kept is not None:
            self._kept.put(key, found)
        return found
