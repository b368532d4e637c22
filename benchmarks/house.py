"""The state of the house: `python benchmarks/house.py --json house.json`; with `--tests` also the tests and their time.

Files and lines of each folder, circles of imports, imports that point up, long functions and modules, type errors and
repeated code, so that two commits can be held against each other. Reads text; nothing of the packages is imported. Type
errors are those of `mypy --strict` without settings, over a copy that is laid out as the packages are installed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from import_graph import circles, folder_graph, import_graph, layer_of, package_folders, unplaced, upward  # noqa: E402
from repeated_code import repeated  # noqa: E402

OTHERS = ("tests", "benchmarks", "examples")
LONG_FUNCTION, LONG_MODULE, SHOWN = 40, 400, 8


def folders(root: Path) -> dict[str, dict[str, int]]:
    """Python files and their lines: of each top folder, and of what lies in it, "(root)" for its own files."""
    found: dict[str, Counter] = {}
    for path in sources(root, [*package_folders(root).values(), *OTHERS]):
        parts = path.relative_to(root).parts
        lines = len(path.read_text(encoding="utf-8").splitlines())
        for name in (f"{parts[0]}/", f"{parts[0]}/{parts[1]}/" if len(parts) > 2 else f"{parts[0]}/ (root)"):
            found.setdefault(name, Counter()).update(files=1, lines=lines)
    return {name: dict(found[name]) for name in sorted(found)}


def sources(root: Path, names) -> list[Path]:
    return sorted(path for name in names for path in (root / name).rglob("*.py"))


def functions(root: Path, paths: list[Path]) -> list[tuple[int, str]]:
    """(lines, "file: name") of every function, the longest first."""
    found = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.append((node.end_lineno - node.lineno + 1, f"{path.relative_to(root)}: {node.name}"))
    return sorted(found, key=lambda function: (-function[0], function[1]))


def shape(root: Path, names) -> dict[str, Any]:
    """Functions and modules of some top folders, and what stands in them twice."""
    paths = sources(root, names)
    found = functions(root, paths)
    lengths = {str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    blocks = repeated({path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths})
    return {
        "functions": len(found),
        "median_function_lines": statistics.median(lines for lines, _ in found) if found else 0,
        "longest_functions": found[:3],
        f"functions_over_{LONG_FUNCTION}_lines": sum(lines > LONG_FUNCTION for lines, _ in found),
        f"modules_over_{LONG_MODULE}_lines": {name: n for name, n in lengths.items() if n > LONG_MODULE},
        "repeated_blocks": len(blocks),
        "repeated_lines": sum(block.lines for block in blocks),
        "longest_repeated": [str(block) for block in sorted(blocks, key=lambda block: -block.lines)[:SHOWN]],
    }


def imports(root: Path) -> dict[str, Any]:
    """Circles and upward imports; once more with what tables of modules name in strings."""
    graph, late = import_graph(root), import_graph(root, strings=True)
    points_up = [f"{a} [{layer_of(a)[1]}] -> {b} [{layer_of(b)[1]}]" for a, b in upward(graph)]
    return {
        "edges": sum(map(len, graph.values())),
        "circles_of_files": circles(graph), "circles_of_folders": circles(folder_graph(graph)),
        "circles_of_folders_with_strings": circles(folder_graph(late)),
        "upward": points_up, "upward_with_strings": len(upward(late)), "without_a_layer": unplaced(graph),
    }  # fmt: skip


def type_errors(root: Path) -> dict[str, Any] | str:
    """Errors of mypy, all together and by folder and code; a sentence where it is not installed.

    `--strict` without settings counts what libraries without annotations cause as well; `with_settings` is what
    `make lint` says.
    """
    if find_spec("mypy") is None:
        return "mypy is not installed"
    mapping = package_folders(root)
    with tempfile.TemporaryDirectory() as folder:
        for package, source in sorted(mapping.items()):
            ignored = shutil.ignore_patterns("__pycache__", "pretrained", "soundfonts")
            shutil.copytree(root / source, Path(folder, *package.split(".")), ignore=ignored)
        found = [mypy_output(folder, words) for words in (["--strict", "--config-file="], settings_of(root))]
    if not all(code in (0, 1) for code, _ in found):
        return f"mypy failed: {next(text for code, text in found if code not in (0, 1)).strip()[-300:]}"
    strict, with_settings = (count_errors(text, mapping) for _, text in found)
    return {"mypy": version("mypy"), "with_settings": with_settings["errors"], **strict}


def settings_of(root: Path) -> list[str]:
    """mypy's arguments for the settings in pyproject.toml; `--strict` where there are none."""
    path = root / "pyproject.toml"
    has = "mypy" in tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    return ["--config-file", str(path)] if has else ["--strict", "--config-file="]


def mypy_output(folder: str, words: list[str]) -> tuple[int, str]:
    """(exit code, what it printed) over the packages that are laid out in a folder."""
    command = [sys.executable, "-m", "mypy", *words, "--no-error-summary", "--cache-dir", f"{folder}/cache"]
    run = subprocess.run([*command, "-p", "clavilux"], cwd=folder, capture_output=True, text=True)
    return run.returncode, run.stdout or run.stderr


def count_errors(output: str, mapping: Mapping[str, str]) -> dict[str, Any]:
    """Of what mypy prints: how many errors, in how many files, by folder and by code."""
    errors = re.findall(r"^([^:\n]+):\d+: error: .*?(?:\[([\w-]+)\])?$", output, re.M)
    packages = {tuple(package.split(".")): source for package, source in mapping.items()}
    homes = [max((p for p in packages if Path(file).parts[: len(p)] == p), key=len) for file, _ in errors]
    return {
        "errors": len(errors), "files": len({file for file, _ in errors}),
        "by_folder": {packages[package]: count for package, count in Counter(homes).most_common()},
        "by_code": dict(Counter(code for _, code in errors).most_common(SHOWN)),
    }  # fmt: skip


def tests(root: Path) -> dict[str, Any]:
    """How many there are, how they ended, and how long they took, with the slowest."""
    pytest = [sys.executable, "-m", "pytest", "-q"]
    listed = subprocess.run([*pytest, "--collect-only"], cwd=root, capture_output=True, text=True)
    started, before = time.perf_counter(), os.times()
    run = subprocess.run([*pytest, f"--durations={SHOWN}"], cwd=root, capture_output=True, text=True)
    elapsed_s, after = time.perf_counter() - started, os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "collected": sum("::" in line for line in listed.stdout.splitlines()),
        "outcome": (run.stdout.strip().splitlines() or ["nothing was printed"])[-1],
        "elapsed_s": round(elapsed_s, 1),
        "cpu_s": round(cpu_s, 1),  # of all its processes: says more than the clock where others are at work
        "slowest": re.findall(r"^[\d.]+s (?:call|setup|teardown) .+$", run.stdout, re.M),
    }


def commit(root: Path) -> str:
    """The commit, with "+" where tracked files have changed since."""
    said = [
        subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout.strip()
        for words in (("log", "-1", "--format=%h"), ("status", "--porcelain", "-uno"))
    ]
    return said[0] + ("+" if said[1] else "")


def measure(root: Path, with_tests: bool) -> dict[str, Any]:
    """All of it, JSON values."""
    return {
        "commit": commit(root), "date": time.strftime("%Y-%m-%d"), "python": sys.version.split()[0],
        "folders": folders(root), "imports": imports(root), "types": type_errors(root),
        "packages": shape(root, package_folders(root).values()), "tests_and_benchmarks": shape(root, OTHERS),
        **({"tests": tests(root)} if with_tests else {}),
    }  # fmt: skip


def show(name: str, value: Any, indent: int = 0) -> None:
    """Print a value below its name: numbers in the line, lists with their count and an entry a line."""
    space = " " * indent
    if isinstance(value, dict) and value:
        print(f"{space}{name}")
        for key, inner in value.items():
            show(key, inner, indent + 2)
    elif isinstance(value, list):
        print(f"{space}{name:34} {len(value) if value else 'none'}")
        for entry in value:
            print(f"{space}  {entry if isinstance(entry, str) else ', '.join(map(str, entry))}")
    else:
        print(f"{space}{name:34} {'none' if value == {} else value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write it too")
    parser.add_argument("--tests", action="store_true", help="run the tests as well")
    options = parser.parse_args()
    found = measure(ROOT, options.tests)
    print(f"{'folder':28}{'files':>6}{'lines':>8}")
    for name, counts in found["folders"].items():
        top = name.count("/") == 1 and name.endswith("/")
        print(f"{'' if top else '  '}{name:{28 if top else 26}}{counts['files']:6}{counts['lines']:8}")
    for name, value in found.items():
        if name != "folders":
            show(name, value)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
