"""What the files beside a checkpoint's weights say of it: its name, its licence, its size."""

from __future__ import annotations

import re
from pathlib import Path


def size_bytes(folder: Path) -> int:
    """Of a folder's weights on disk."""
    return sum(path.stat().st_size for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern))


def licence(folder: Path) -> str:
    """The licence that the folder's model card states in its head, or its licence file's first line."""
    card = folder / "README.md"
    if card.is_file():
        lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
        head = lines[1 : lines.index("---", 1)] if lines[:1] == ["---"] and "---" in lines[1:] else []
        for line in head:
            if line.startswith("license:"):
                return line.partition(":")[2].strip()
    for path in sorted(folder.glob("LICEN[SC]E*")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        return next((line for line in lines if line), "not stated")
    return "not stated"


def data_of(folder: Path) -> list[str]:
    """What a folder's model card says of the data that the model learned from: the paragraphs and list items below its
    heading "Data", each as one line; nothing without such a card.
    """
    card = folder / "README.md"
    if not card.is_file():
        return []
    _, _, rest = card.read_text(encoding="utf-8", errors="replace").partition("\n## Data\n")
    section = rest.partition("\n## ")[0]
    found = re.split(r"\n\s*\n|\n(?=- )", section)
    return [" ".join(each.split()).removeprefix("- ") for each in found if each.strip()]


def model_name(folder: Path) -> str:
    """A folder's name; the owner and name of what the hub's client keeps as models--owner--name/snapshots/revision."""
    folder = folder.resolve()
    cached = folder.parent.parent.name if folder.parent.name == "snapshots" else ""
    return "/".join(cached.split("--")[1:]) if cached.startswith("models--") else folder.name
