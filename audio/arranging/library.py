"""Where band styles lie: those of the package, and a folder of one's own.

Knows files and names. Does not know what stands in them (`style_file`).
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from clavilux.audio.arranging.band import Band
from clavilux.audio.arranging.style_file import read_style, read_words
from clavilux.files import PathLike

ENDING = ".band"
OWN_FOLDER = "CLAVILUX_BANDS"  # the environment's variable that names a folder of further styles
_BUNDLED = Path(__file__).parent / "styles"
_LARGEST = 1 << 20  # bytes; a style is a few thousand


def band_names() -> tuple[str, ...]:
    """The names of all band styles, sorted."""
    return tuple(sorted(_found(os.environ.get(OWN_FOLDER, ""))))


def band_words() -> dict[str, tuple[str, ...]]:
    """Name -> the words that ask for it, its name among them."""
    return {name: words for name, (_, words) in _found(os.environ.get(OWN_FOLDER, "")).items()}


def load_band(name: PathLike) -> Band:
    """A band style by its name, or from a file that ends in .band.

    Raises:
        ValueError: no such style, the names there are being listed, or a file with a mistake, its line being named.
    """
    if str(name).endswith(ENDING):
        return _read(Path(name))
    found = _found(os.environ.get(OWN_FOLDER, ""))
    if str(name).lower() not in found:
        from difflib import get_close_matches

        near = get_close_matches(str(name).lower(), found, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"unknown band style {str(name)[:40]!r}{hint}: it must be one of {', '.join(sorted(found))}")
    return _read(found[str(name).lower()][0])


@lru_cache(8)
def _found(own: str) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """Name -> (file, words). One's own styles come later, and so replace bundled ones of their name."""
    folders = [_BUNDLED]
    if own:
        if not Path(own).is_dir():
            raise ValueError(f"{OWN_FOLDER} is {own!r}, which is no folder; it should hold {ENDING} files")
        folders.append(Path(own))
    styles = {}
    for path in (path for folder in folders for path in sorted(folder.glob(f"*{ENDING}"))):
        name, words = read_words(_text(path))
        if not name:
            raise ValueError(f"{path.name}, line 1: no line says 'style'")
        styles[name.lower()] = (path, (name.lower(), *words))
    return styles


@lru_cache(64)
def _parsed(path: Path, _changed_ns: int) -> Band:
    return read_style(_text(path), path.name)


def _read(path: Path) -> Band:
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        raise ValueError(f"there is no band style {str(path)!r}") from None
    return _parsed(path, changed)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{str(path)!r} is too large for a band style: it holds more than {_LARGEST} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{str(path)!r} cannot be read as a text") from None
