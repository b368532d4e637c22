"""`clavilux.examine`: a picture measured against works that the user brings.

Knows the order of the work: references, measurements, confounds, comparison. What is measured is
`clavilux.image.examination`'s, what is said of it `examination`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clavilux.checks import check_flag, short
from clavilux.examining.examination import UNLIKE, Examination, Near
from clavilux.examining.kept import Kept
from clavilux.examining.works import ENOUGH, Measurer, Work, Works, read_folder, read_work, side_for
from clavilux.files import PathLike
from clavilux.image.arts import INSTALL, LITE0
from clavilux.image.examination import confounds, patches
from clavilux.image.examination.classes import Classification, classify
from clavilux.image.examination.measurements import GROUPS, LEAST, Measured
from clavilux.image.examination.quality import Quality
from clavilux.image.examination.space import Comparison, compare
from clavilux.image.picture import Picture

if TYPE_CHECKING:
    from clavilux.image.arts.features import Features

__all__ = ["examine", "explain", "stacked"]

NEAREST = 5
Progress = Callable[[float, float], None]


def examine(
    picture: Picture | PathLike,
    reference: PathLike | Sequence[PathLike],
    *,
    keep: bool = True,
    progress: Progress | None = None,
) -> Examination:
    """Compare a picture with works of one hand, school or period: measurements and a p-value, no verdict on authorship.

    Args:
        picture: png, jpg, webp, gif, bmp, tiff or ppm, 32 pixels a side at least; or a `Picture`.
        reference: a folder of works, or several: the p-value is of the first, and the others are other styles or
            periods that it may be like. Subfolders are subjects: works of one are not compared with each other.
        keep: keep measurements of files by their content, in `examined` in the user's data folder.
        progress: told of (done, total) pictures.

    Returns:
        An `Examination`: `p`, `verdict`, `confounds`, each measurement's share, a map of what is unlike, the nearest
        references; `save("page.html")`.

    Raises:
        ValueError: a picture that cannot be read or is too small, a folder with fewer than two works, with files that
            are no pictures, with damaged ones; or the same folder twice.
        TypeError: no path where one should be.
    """
    check_flag("keep", keep)
    source, digest = _picture_of(picture)
    folders = _named(tuple(read_folder(each, digest) for each in _paths(reference)))
    all_works = [each for folder in folders for each in folder.works]
    features = _layers()
    kept = Kept() if keep else None
    measurer = Measurer(side_for(folders[0].works), features, kept)
    measured = measurer(all_works, progress)
    here = measurer.of_pixels(source.pixels.numpy())
    parts = _split(measured, folders)
    first = parts[0]
    comparison = compare(stacked(first, here), folders[0].subjects)
    found, alike_p = explain(
        source.pixels.numpy(), here, folders[0], first, measurer, comparison, only_find=len(first) < ENOUGH
    )
    return Examination(
        picture=source, references=folders, comparison=comparison, confounds=tuple(found), alike_p=alike_p,
        unlike=patches.unlike(here.cells, np.stack([each.cells for each in first])),
        nearest=_nearest(comparison, folders[0]), folder_p=_folder_p(parts, here, folders, comparison),
        classification=_classification(parts, here, folders), side=measurer.side,
        remarks=_remarks(source, folders, features, kept),
    )  # fmt: skip


def stacked(references: Sequence[Measured], here: Measured) -> dict[str, np.ndarray]:
    """Group -> float64 [N + 1, n], the picture last."""
    rows = [*references, here]
    return {name: np.stack([each.groups[name] for each in rows]) for name in GROUPS if name in here.groups}


def explain(
    pixels: np.ndarray,
    here: Measured,
    works: Works,
    measured: Sequence[Measured],
    measurer: Measurer,
    comparison: Comparison,
    only_find: bool = False,
) -> tuple[list[confounds.Confound], float | None]:
    """The confounds of a picture, and its p once the references have them too; None where nothing is to be explained.

    Args:
        pixels: uint8 [H, W, 3], of the picture.
        here: its measurements.
        works: the references.
        measured: theirs.
        measurer: what measured them.
        comparison: of the picture with them as they are.
        only_find: explain nothing, which takes as long as measuring the references.
    """
    qualities = [each.quality for each in measured]
    found, qualities = confounds.find(here.quality, qualities, lambda number: works.works[number].pixels())
    if not found or comparison.p >= UNLIKE or only_find:
        return found, None
    usual = Quality(*np.median(np.array(qualities), 0))

    def alike(pair: tuple[Work, Quality]) -> Measured:
        work, own = pair
        return measurer.of_pixels(confounds.made_alike(work.pixels(), own, here.quality, usual, found))

    worse = measurer.in_turns(alike, list(zip(works.works, qualities, strict=True)))
    return found, compare(stacked(worse, here), works.subjects).p


def _picture_of(given: Picture | PathLike) -> tuple[Picture, str]:
    """(the picture, SHA-256 of its file; "" of one that is of no file)."""
    if isinstance(given, (str, Path)):
        work = read_work(given)
        return Picture.load(given), work.digest
    if not isinstance(given, Picture):
        raise TypeError(f"picture is {short(given)}; it should be a picture or the path of one")
    if min(given.width, given.height) < LEAST:
        raise ValueError(f"the picture has {given.width} x {given.height} pixels; {LEAST} and more a side are examined")
    return given, "" if given.origin is None else read_work(given.origin).digest


def _paths(given: PathLike | Sequence[PathLike]) -> list[PathLike]:
    paths = [given] if isinstance(given, (str, Path)) else list(given) if isinstance(given, (list, tuple)) else []
    if not paths or not all(isinstance(each, (str, Path)) for each in paths):
        raise TypeError(f"reference is {short(given)}; it should be the path of a folder, or a list of such")
    return paths


def _named(folders: tuple[Works, ...]) -> tuple[Works, ...]:
    """With names that differ: their paths, where two folders are called alike. ValueError where two are the same."""
    if len({each.folder.resolve() for each in folders}) < len(folders):
        raise ValueError("a folder of references is given twice; give each once")
    if len({each.name for each in folders}) == len(folders):
        return folders
    return tuple(replace(each, name=str(each.folder)) for each in folders)


def _layers() -> Features | None:
    if find_spec(LITE0) is None:
        return None
    from clavilux.image.arts.features import load_features

    return load_features()


def _split(measured: Sequence[Measured], folders: Sequence[Works]) -> list[Sequence[Measured]]:
    parts, begin = [], 0
    for folder in folders:
        parts.append(measured[begin : begin + len(folder.works)])
        begin += len(folder.works)
    return parts


def _folder_p(
    parts: Sequence[Sequence[Measured]], here: Measured, folders: Sequence[Works], first: Comparison
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for number, (works, folder) in enumerate(zip(parts, folders, strict=True)):
        comparison = first if number == 0 else compare(stacked(works, here), folder.subjects)
        found[folder.name] = comparison.p if len(folder.works) >= ENOUGH else None
    return found


def _classification(
    parts: Sequence[Sequence[Measured]], here: Measured, folders: Sequence[Works]
) -> Classification | None:
    if len(folders) == 1:
        return None
    owners = [number for number, works in enumerate(parts) for _ in works]
    subjects = [subject for folder in folders for subject in folder.subjects]
    rows = [each for works in parts for each in works]
    return classify(stacked(rows, here), owners, subjects, [folder.name for folder in folders])


def _nearest(comparison: Comparison, works: Works) -> tuple[Near, ...]:
    usual = float(np.median(comparison.others))
    found = []
    for number in np.argsort(comparison.distances, kind="stable")[:NEAREST]:
        by_likeness = sorted(comparison.apart, key=lambda name: comparison.apart[name][number])
        shares = tuple(GROUPS[name].title for name in by_likeness[:2])
        found.append(Near(works.works[number].path, float(comparison.distances[number]) / usual, shares))
    return tuple(found)


def _remarks(
    source: Picture, folders: Sequence[Works], features: Features | None, kept: Kept | None
) -> tuple[str, ...]:
    remarks = [*source.remarks, *(remark for folder in folders for remark in folder.remarks)]
    if features is None:
        remarks.append(f"early layers were not measured: {INSTALL} brings what looks")
    if kept is not None and kept.failed:
        remarks.append(f"the measurements could not be kept for the next time: {kept.failed}")
    return tuple(remarks)
