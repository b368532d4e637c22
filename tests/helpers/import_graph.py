"""Which file imports which: the imports of this checkout as a graph, its circles, and the layers they should keep to.

Knows Python's syntax and the mapping of packages to folders in pyproject.toml; runs nothing of what it reads. Imports
inside functions count, those under TYPE_CHECKING do not. That a package's `__init__.py` runs before its modules is not
an edge: only what a file names is.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = dict[str, set[str]]  # file -> the files that it imports, all relative to the root, with "/"

# Rows from the ground up: a file may import its own layer and those of the rows below, not a neighbour in its row.
# A name with "/" at its end is a folder. The most particular name counts, so a folder's file can stand elsewhere.
LAYERS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "ground": tuple(f"engine/{name}.py" for name in (
            "capture", "checkpoint_io", "checks", "errors", "files", "half_decoding", "html_page", "skeleton", "stamp",
            "strict_weights", "timings",
        )),
        "kernels": ("kernels/",),
    },
    {"audio": ("audio/",), "image": ("image/",)},
    {"core": tuple(f"engine/{name}.py" for name in (
        "captured_loop", "conditioning", "context_window", "decoder", "graph", "graph_cache", "layers", "layout",
        "loop", "mark_key", "marking", "memory_folding", "packing", "positions", "precision", "sampling", "spec",
        "state", "teacher_forcing",
        "threads", "windows",
    ))},
    {"provenance": ("engine/provenance/",)},
    {"models": tuple(f"engine/{name}.py" for name in (
        "family", "image_family", "image_model", "inpainting", "model", "music_model", "requests", "surprisal",
    ))},
    {"families": ("engine/families/",)},
    {"loading": ("engine/loading.py", "engine/checkpoint.py", "engine/memory.py")},
    {"arts": ("engine/arts/",), "breeding": ("engine/breeding/",), "verifying": ("engine/verifying.py",),
     "examining": ("engine/examining/",)},
    {"teaching": ("engine/teaching/",)},
    {"public": ("engine/__init__.py",)},
    {"bench": ("engine/bench/",), "training": ("engine/training/",), "serve": ("engine/serve/",)},
    {"cli": ("engine/cli/", "engine/__main__.py")},
)  # fmt: skip


def package_folders(root: Path) -> dict[str, str]:
    """Dotted package -> folder, as pyproject.toml maps them ("clavilux.audio" -> "audio")."""
    return dict(tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"])


def module_names(root: Path, folders: Mapping[str, str]) -> dict[str, str]:
    """Dotted name -> file of every module; a package's own name stands for its `__init__.py`."""
    found = {}
    for package, folder in folders.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path.relative_to(root).as_posix()
    return found


def import_graph(root: Path, folders: Mapping[str, str] | None = None, *, strings: bool = False) -> Graph:
    """Every module of the packages, with the modules of theirs that it imports; never itself.

    Args:
        root: the checkout.
        folders: dotted package -> folder; those of its pyproject.toml if None.
        strings: also what a string names, "clavilux.model": tables of modules that are imported late hold such.
    """
    names = module_names(root, folders or package_folders(root))
    graph: Graph = {}
    for name, file in names.items():
        package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
        tree = ast.parse((root / file).read_text(encoding="utf-8"))
        found = {names[target] for node in _imports(tree) for target in _targets(node, package, names)}
        if strings:
            found |= {names[node.value] for node in ast.walk(tree) if _names_a_module(node, names)}
        graph[file] = found - {file}
    return graph


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All of them below a node, but for those that only a type checker runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif isinstance(child, ast.expr):
            continue
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in (
            getattr(child.test, "id", ""), getattr(child.test, "attr", "")
        ):  # fmt: skip
            for other in child.orelse:
                yield from _imports(ast.Module([other], []))
        else:
            yield from _imports(child)


def _targets(node: ast.Import | ast.ImportFrom, package: str, names: Mapping[str, str]) -> Iterator[str]:
    """Dotted names of our modules that an import names: of `from a import b`, b where it is a module, else a."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in names)
        return
    parents = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
    base = ".".join([*parents, *([node.module] if node.module else [])])
    for alias in node.names:
        whole = f"{base}.{alias.name}"
        if whole in names or base in names:
            yield whole if whole in names else base


def _names_a_module(node: ast.AST, names: Mapping[str, str]) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value and node.value in names


def folder_node(file: str) -> str:
    """The node of a file at the level of folders: itself at the root of its top folder, else the folder below that."""
    top, *rest = file.split("/")
    return file if len(rest) == 1 else f"{top}/{rest[0]}/"


def folder_graph(graph: Graph) -> Graph:
    """The same edges between `folder_node`s."""
    found: Graph = {}
    for file, imported in graph.items():
        node = folder_node(file)
        found.setdefault(node, set()).update(folder_node(other) for other in imported)
    return {node: others - {node} for node, others in found.items()}


def circles(graph: Graph) -> list[list[str]]:
    """The largest groups of nodes that all reach each other, two or more in each, sorted."""
    reached = {node: _reachable(graph, node) for node in graph}
    groups = {frozenset(other for other in found if node in reached[other]) for node, found in reached.items()}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reachable(graph: Graph, start: str) -> set[str]:
    found, waiting = set(), list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph[node]
    return found


def layer_of(file: str, layers=LAYERS) -> tuple[int, str] | None:
    """(row, layer) of a file; None where the table has no place for it."""
    fitting = [
        (len(entry), row, name) for row, layer in enumerate(layers) for name, entries in layer.items()
        for entry in entries if file == entry or entry.endswith("/") and file.startswith(entry)
    ]  # fmt: skip
    return max(fitting)[1:] if fitting else None


def upward(graph: Graph, layers=LAYERS) -> list[tuple[str, str]]:
    """(file, what it imports) of each edge that goes to a higher row, or to a neighbour in the same one."""
    places = {file: layer_of(file, layers) for file in graph}
    found = []
    for file, imported in graph.items():
        for other in imported:
            here, there = places[file], places[other]
            if here and there and here != there and there[0] >= here[0]:
                found.append((file, other))
    return sorted(found)


def unplaced(graph: Graph, layers=LAYERS) -> list[str]:
    """The files that the table has no place for."""
    return sorted(file for file in graph if layer_of(file, layers) is None)
