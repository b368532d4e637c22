"""What people install: the wheel holds what it should, and makes a song and a picture away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import soundfile
from PIL import Image
from repository import PACKAGES, ROOT, tracked_files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the tracked files, so that nothing untracked slips in."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in tracked_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    build = subprocess.run([*command, "--wheel-dir", target, source], capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    return next(target.glob("clavilux-*.whl"))


def test_wheel_holds_what_the_checkout_holds(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    tracked = [path.relative_to(ROOT).parts for path in tracked_files()]
    expected = {"/".join([*PACKAGES[top].split("."), *rest]) for top, *rest in tracked if top in PACKAGES}
    assert sorted(expected - held) == []
    assert [name for name in sorted(held - expected) if ".dist-info/" not in name] == []
    assert any(name.endswith(".dist-info/licenses/NOTICE") for name in held)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder with the wheel installed and nothing else; its dependencies are this Python's."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel]
    install = subprocess.run(command, capture_output=True, text=True)
    assert install.returncode == 0, install.stderr
    return folder


def run(installed: Path, where: Path, *command: str) -> str:
    """What a command prints that runs in another folder and finds the installed package alone."""
    environment = os.environ | {"PYTHONPATH": str(installed)}  # before the editable install of this checkout
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_packages_come_from_the_wheel(installed, tmp_path):
    names = ("clavilux", "clavilux.audio", "clavilux.kernels", "clavilux.image", "clavilux.cli")
    program = f"import {', '.join(names)}; print({', '.join(f'{name}.__file__' for name in names)})"
    found = run(installed, tmp_path, sys.executable, "-c", program).split()
    assert len(found) == 5 and all(Path(name).is_relative_to(installed) for name in found)


def test_what_is_installed_renders_plays_and_paints(installed, tmp_path):
    """The installed command, in a folder of its own: 3 s of song with its notes, the notes played, a picture."""
    clavilux = str(installed / "bin" / "clavilux")
    prompt = ["slow church organ chorale", "--seconds", "3", "--seed", "1"]
    run(installed, tmp_path, clavilux, "render", *prompt, "--output", "song.wav", "--midi", "song.mid")
    run(installed, tmp_path, clavilux, "play", "song.mid", "--output", "played.flac")
    run(installed, tmp_path, clavilux, "paint", "red apple", "--seed", "1", "--output", "apple.png")
    samples, rate = soundfile.read(tmp_path / "song.wav")
    assert samples.shape == (3 * rate, 2) and abs(samples).max() > 0.1
    played, rate = soundfile.read(tmp_path / "played.flac")
    assert len(played) > 2 * rate and abs(played).max() > 0.1
    with Image.open(tmp_path / "apple.png") as picture:
        assert min(picture.size) >= 64 and len(picture.convert("RGB").getcolors(1 << 16)) > 8
    assert {path.name for path in tmp_path.iterdir()} == {"song.wav", "song.mid", "played.flac", "apple.png"}
