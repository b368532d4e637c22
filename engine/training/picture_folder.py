"""A folder of pictures as people have them, made ready for training: squares of one size, classes, what is held out.

Knows files, folders and sizes. Does not know what is trained on the pixels.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clavilux.checks import number_from, whole_number
from clavilux.files import PathLike, atomic_path, checked_folder, free_memory_bytes
from clavilux.image.frames import PICTURES
from clavilux.image.picture import Picture

HELD_OUT_SHARE = 0.1
_FEWEST = 2  # one to learn from, one to measure with
_HOLDS = "pictures in it"  # as an error says
_NAMED = 5  # files that an error lists


class Skipped(NamedTuple):
    """A file that is called a picture and could not be read.

    Attributes:
        file: its path below the folder.
        reason: in a sentence.
    """

    file: str
    reason: str


@dataclass(frozen=True, eq=False)
class PictureFolder:
    """Pictures to train on.

    Attributes:
        pixels: uint8 [N, 3, S, S], red, green, blue.
        labels: int64 [N], which of `classes` each is of.
        held_out: bool [N]; at least one is, and one is not.
        classes: the names of the subfolders, those right below; "" for what lies in the folder itself.
        files: where each was, below the folder, with "/".
        skipped: what could not be read.
        listing: SHA-256 of the names and sizes of all pictures, read or not: what a run recognises its folder by.
    """

    pixels: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray
    classes: tuple[str, ...]
    files: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    listing: str

    @property
    def size(self) -> int:
        """S, pixels a side."""
        return self.pixels.shape[2]

    @property
    def taught(self) -> np.ndarray:
        """int64: the rows that are learned from."""
        return np.flatnonzero(~self.held_out)

    @property
    def unseen(self) -> np.ndarray:
        """int64: the rows that are measured with."""
        return np.flatnonzero(self.held_out)

    def save(self, path: PathLike) -> None:
        """Write all of it into an .npz."""
        about = {"classes": self.classes, "files": self.files, "skipped": self.skipped, "listing": self.listing}
        with atomic_path(path) as temporary:
            np.savez(temporary, pixels=self.pixels, labels=self.labels, held_out=self.held_out, about=json.dumps(about))

    @classmethod
    def load(cls, path: PathLike) -> PictureFolder:
        """What `save` wrote."""
        with np.load(path) as arrays:
            about: dict[str, Any] = json.loads(str(arrays["about"]))
            return cls(
                arrays["pixels"], arrays["labels"], arrays["held_out"], tuple(about["classes"]), tuple(about["files"]),
                tuple(Skipped(*each) for each in about["skipped"]), about["listing"],
            )  # fmt: skip


def read_pictures(
    folder: PathLike,
    size: int,
    *,
    held_out: PathLike | None = None,
    share: float = HELD_OUT_SHARE,
    progress: Callable[[float, float], None] | None = None,
) -> PictureFolder:
    """Read a folder: each picture's middle square, scaled to `size`, on white where it is transparent.

    The subfolders right below are classes, with all that is in them. Of an animation the first frame is read. Hidden
    files and folders, and files that are not called pictures, are passed over; a file that is damaged or cut short is
    skipped and named.

    Args:
        folder: of png, jpg, webp, gif, bmp, tiff and ppm files.
        size: pixels a side, 8 to 1024.
        held_out: another folder, whose pictures are measured with and never learned from.
        share: without `held_out`, how many of the pictures are held out, 0 to 0.5: by a hash of a file's bytes, so that
            copies of a file stay together and more pictures change nothing for those that there were. At least one is.
        progress: told of (done, total) files.

    Raises:
        ValueError: no such folder, fewer than two pictures that can be read, or more than the free memory holds.
    """
    whole_number("size", size, 8, 1024)
    number_from("share", share, 0, 0.5)
    roots = [checked_folder(folder, _HOLDS), *([] if held_out is None else [checked_folder(held_out, _HOLDS)])]
    paths = [(number, path) for number, root in enumerate(roots) for path in picture_files(root)]
    _check_memory(len(paths), size)
    pixels: list[np.ndarray] = []
    found: list[tuple[int, str, bytes]] = []  # which root, path below it, hash
    skipped: list[Skipped] = []
    for done, (number, path) in enumerate(paths):
        name = path.relative_to(roots[number]).as_posix()
        try:
            squared = Picture.load(path, strict=True).fit(size).pixels
            digest = hashlib.sha256(path.read_bytes()).digest()
        except (ValueError, OSError) as error:
            skipped.append(Skipped(name, str(error)))
        else:
            pixels.append(squared.permute(2, 0, 1).numpy())
            found.append((number, name, digest))
        if progress is not None:
            progress(done + 1, len(paths))
    _check_enough(roots[0], [number for number, *_ in found], skipped, held_out is not None)
    if held_out is None:
        unseen = _by_hash([digest for *_, digest in found], share)
    else:
        unseen = np.array([number == 1 for number, *_ in found])
    kinds = [name.partition("/")[0] if "/" in name else "" for _, name, _ in found]
    classes = sorted(set(kinds))
    labels = np.array([classes.index(kind) for kind in kinds], np.int64)
    files = tuple(name for _, name, _ in found)
    return PictureFolder(
        np.stack(pixels), labels, unseen, tuple(classes), files, tuple(skipped), listing(folder, held_out)
    )


def pictures_of_run(
    kept: Path,
    folder: PathLike,
    size: int,
    held_out: PathLike | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> PictureFolder:
    """The pictures of a run: read once, and kept in its file `kept`, so that it always goes on with the same ones.

    Raises:
        ValueError: as `read_pictures`; or the folder holds other pictures now than when the run began.
    """
    if not kept.exists():
        found = read_pictures(folder, size, held_out=held_out, progress=progress)
        found.save(kept)
        return found
    for root in (folder, held_out):
        if root is not None:
            checked_folder(root, _HOLDS)
    found = PictureFolder.load(kept)
    if found.listing != listing(folder, held_out):
        raise ValueError(
            f"the run in {str(kept.parent)!r} began with other pictures than those in {str(folder)!r} now"
            f"{'' if held_out is None else f' and {str(held_out)!r}'}; give it the same ones, or begin another run"
        )
    return found


def picture_files(folder: Path) -> Iterator[Path]:
    """The files below a folder that are called pictures, in the order of their names; links to folders are passed."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(PICTURES):
                yield Path(where) / name


def listing(folder: PathLike, held_out: PathLike | None = None) -> str:
    """SHA-256 of the names and sizes of the pictures below a folder, and of those below `held_out`."""
    digest = hashlib.sha256()
    for root in (Path(folder), *([] if held_out is None else [Path(held_out)])):
        for path in picture_files(root):
            size = path.stat().st_size if path.exists() else -1  # a link to nothing
            digest.update(f"{path.relative_to(root).as_posix()}\0{size}\n".encode(errors="surrogateescape"))
        digest.update(b"\0")
    return digest.hexdigest()


def _by_hash(digests: list[bytes], share: float) -> np.ndarray:
    """bool [N]: which hashes lie below the share; the least one always, the greatest never, copies alike.

    Raises:
        ValueError: all are the same.
    """
    limit = int(share * 2**64)
    numbers = [int.from_bytes(digest[:8], "big") for digest in digests]
    least, greatest = min(numbers), max(numbers)
    if least == greatest:
        raise ValueError(f"all {len(digests):,} pictures are copies of one file; two different ones are the least")
    return np.array([(number < limit and number != greatest) or number == least for number in numbers])


def _check_memory(count: int, size: int) -> None:
    free, needed = free_memory_bytes(), 2 * count * 3 * size * size  # once as a list, once stacked
    if free is not None and needed > free:
        raise ValueError(
            f"{count:,} pictures of {size} x {size} pixels take {needed / 2**30:.1f} GiB while they are read and "
            f"{free / 2**30:.1f} are free; give a smaller folder or a smaller size"
        )


def _check_enough(folder: Path, roots: list[int], skipped: list[Skipped], apart: bool) -> None:
    """ValueError for fewer pictures than there must be, with those named that could not be read."""
    count, unseen = roots.count(0), roots.count(1)
    if apart and count and unseen or not apart and count >= _FEWEST:
        return
    broken = ", ".join(each.file for each in skipped[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    also = f" beside what could not be read ({broken}{more})" if skipped else ""
    if apart:
        which = "the folder that is held out" if count else repr(str(folder))
        raise ValueError(f"{which} holds no picture{also}; one is the least, and hundreds are better")
    held = "no picture" if count == 0 else "one picture"
    raise ValueError(
        f"{str(folder)!r} holds {held}{also}; {_FEWEST} are the least, one to learn from and one to measure with, and "
        "hundreds are better"
    )
