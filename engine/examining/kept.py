"""Measurements that are kept between calls: a small file for each picture, named by its content.

Knows a folder in the user's data. A file that cannot be read, or is of another version, counts as not there.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.files import atomic_path
from clavilux.image.examination.measurements import GROUPS, VERSION, Measured
from clavilux.image.examination.quality import Quality
from clavilux.provenance.folder import data_folder

__all__ = ["Kept"]

FOLDER = "examined"


class Kept:
    """What was measured before.

    Attributes:
        failed: why nothing can be kept, once something could not be; else "".
    """

    def __init__(self, folder: Path | None = None):
        self._folder = data_folder() / FOLDER if folder is None else folder
        self.failed = ""

    def get(self, key: str) -> Measured | None:
        """What was kept under a key, or None."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with np.load(path) as arrays:
                groups = {name: arrays[name] for name in GROUPS if name in arrays}
                whole = all(len(values) == len(GROUPS[name].names) for name, values in groups.items())
                quality, cells = Quality(*arrays["quality"].tolist()), arrays["cells"]
                width, height = arrays["size"].tolist()
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            return None
        return Measured(groups, quality, cells, (width, height)) if whole else None

    def put(self, key: str, found: Measured) -> None:
        """Keep it; where that is not possible, `failed` says why."""
        arrays: dict[str, Any] = {
            "quality": np.array(found.quality), "cells": found.cells, "size": np.array(found.size), **found.groups
        }  # fmt: skip
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(self._path(key)) as temporary:
                np.savez(temporary, **arrays)
        except (OSError, ValueError) as error:  # a full disk, a home that cannot be written
            self.failed = str(error)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}-v{VERSION}.npz"
