"""Run `mypy` over the four packages: `python tests/helpers/check_types.py`, part of `make lint`.

mypy finds modules by folder, and here `engine/` is `clavilux` and `kernels/` is `clavilux.kernels` by pyproject.toml's
mapping alone. So the sources are copied to `build/types/` as the wheel lays them out, unchanged files with their old
times, which keeps mypy's cache valid; its messages name the files of the checkout. Settings are in pyproject.toml.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from import_graph import package_folders

ROOT = Path(__file__).resolve().parents[2]


def lay_out(root: Path, target: Path) -> dict[Path, Path]:
    """Copy every module to where the wheel has it. Returns the copy's path, relative to `target` -> the file's."""
    homes = {}
    for package, source in package_folders(root).items():
        for path in sorted((root / source).rglob("*.py")):
            homes[Path(*package.split("."), path.relative_to(root / source))] = path
    for copy in set(target.rglob("*.py")) - {target / name for name in homes}:
        copy.unlink()  # moved or deleted in the checkout
    for name, path in homes.items():
        copy = target / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    return homes


def in_checkout(line: str, homes: Mapping[Path, Path], root: Path) -> str:
    """A line of mypy's, with the checkout's file for the copy's."""
    found = re.match(r"[^:]+\.py(?=:)", line)
    home = homes.get(Path(found[0])) if found else None
    return line if home is None else f"{home.relative_to(root)}{line[found.end() :]}"


def main() -> int:
    target = ROOT / "build" / "types"
    homes = lay_out(ROOT, target)
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "clavilux"]
    run = subprocess.run([*mypy, *sys.argv[1:]], cwd=target, capture_output=True, text=True)
    print("\n".join(in_checkout(line, homes, ROOT) for line in run.stdout.splitlines()))
    print(run.stderr, end="", file=sys.stderr)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
