"""The bundled index of what the bundled models were taught: fingerprints, names, sources, licences.

Knows its files. How a fingerprint is made of notes or of pixels is `nearest_scores`' and `nearest_pictures`'; what
writes the files is `training.nearest`.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "index"
ABOUT = "index.json"
PERCENTS = (0.1, 1, 5, 25, 50, 75, 95, 99)  # of which the distances of strangers are kept


@dataclass(frozen=True, eq=False)
class Index:
    """One kind of fingerprints.

    Attributes:
        arrays: fingerprints, and for each entry its number among `names` and its number among `sources`.
        names: of the pieces or pictures.
        sources: of collections: name, licence.
        strangers: distances of works that are not in it, at `PERCENTS`, nearest first, for each size of what was
            looked at.
    """

    arrays: dict[str, np.ndarray]
    names: list[str]
    sources: list[dict[str, str]]
    strangers: dict[str, list[float]]

    def source_of(self, number: int) -> dict[str, str]:
        """Where an entry is from."""
        return self.sources[int(self.arrays["source"][number])]

    def rarity(self, distance: float, size: str) -> float:
        """How many in a hundred strangers are at most so far, rounded up to one of `PERCENTS`; 100 above them all."""
        reached = [percent for percent, far in zip(PERCENTS, self.strangers[size], strict=True) if distance <= far]
        return reached[0] if reached else 100.0


def about(folder: Path = FOLDER) -> dict[str, Any]:
    """What `index.json` says. ValueError where it is missing or damaged."""
    path = folder / ABOUT
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(f"the index of training works is missing ({path}); install Clavilux anew") from None
    except ValueError:
        raise ValueError(f"the index of training works is damaged ({path}); install Clavilux anew") from None


@functools.lru_cache(maxsize=4)
def load(kind: str, folder: Path = FOLDER) -> Index:
    """The index of "scores" or "pictures". ValueError where it is missing, or is not the file that was built."""
    said = about(folder)[kind]
    path = folder / f"{kind}.npz"
    try:
        content = path.read_bytes()
    except OSError:
        raise ValueError(f"the index of training {kind} is missing ({path}); install Clavilux anew") from None
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        raise ValueError(f"the index of training {kind} is damaged ({path}); install Clavilux anew")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    if kind == "scores":
        unpacked = {name: _unpacked(arrays[name]) for name in ("runs", "pieces", "common")}
        arrays |= unpacked | {name: unpacked[name].cumsum() for name in ("runs", "common")}
    names = bytes(arrays.pop("names")).decode().split("\n")
    return Index(arrays, names, said["sources"], said["strangers"])


def packed(values: np.ndarray) -> np.ndarray:
    """uint8 [4, N]: the bytes of whole numbers below 2^32, those of like worth together: half as large compressed."""
    return np.ascontiguousarray(values.astype("<u4").view(np.uint8).reshape(-1, 4).T)


def _unpacked(planes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(planes.T).view("<u4")[:, 0].astype(np.int64)


def save(
    kind: str, arrays: dict[str, np.ndarray], names: list[str], sources: list[dict[str, Any]], folder: Path = FOLDER
) -> None:
    """Write the file of a kind and what `index.json` says of it, without the distances of strangers.

    Args:
        kind: "scores" or "pictures".
        arrays: `source`, and fingerprints as their module reads them.
        names: of each entry, without line breaks.
        sources: name, licence, number of entries.
        folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = np.frombuffer("\n".join(names).encode(), np.uint8)
    path = folder / f"{kind}.npz"
    np.savez_compressed(path, allow_pickle=False, names=text, **arrays)
    said = json.loads((folder / ABOUT).read_text(encoding="utf-8")) if (folder / ABOUT).exists() else {}
    said[kind] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "sources": sources, "strangers": {}}
    _write(folder, said)


def calibrate(kind: str, distances: dict[str, list[float]], folder: Path = FOLDER) -> None:
    """Keep how far strangers are, for each size of what is looked at: `PERCENTS` of those distances."""
    said = about(folder)
    said[kind]["strangers"] = {
        size: [round(float(each), 4) for each in np.percentile(found, PERCENTS, method="lower")]
        for size, found in distances.items()
    }
    said[kind]["works compared"] = {size: len(found) for size, found in distances.items()}
    _write(folder, said)


def _write(folder: Path, said: dict[str, Any]) -> None:
    (folder / ABOUT).write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
