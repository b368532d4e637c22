"""The user's data folder, where keys are kept, and files in it that nobody else may read.

Knows the places that systems have for this. Does not know what a key is.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

VARIABLE = "CLAVILUX_DATA"  # another folder
_OWNER_ONLY = 0o600


def data_folder() -> Path:
    """Where the user's data lie; the folder need not be there yet.

    `CLAVILUX_DATA`, else `clavilux` in the system's place: `XDG_DATA_HOME` or ~/.local/share, on macOS
    ~/Library/Application Support, on Windows %LOCALAPPDATA%.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path("~/AppData/Local").expanduser()) / "clavilux"
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/clavilux").expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()) / "clavilux"


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, whole or not at all; folders on the way are made likewise.

    Raises:
        OSError: the folder cannot be made, or the file cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as file:
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def tighten(path: Path) -> None:
    """Take from others what they may do with a secret of ours, should somebody have given it to them."""
    if os.name != "nt" and path.stat().st_mode & 0o077:
        path.chmod(_OWNER_ONLY)
