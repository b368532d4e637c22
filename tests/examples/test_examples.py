"""Every example runs as it stands, in a folder of its own, and writes what it says; notebooks cell by cell."""

import json
import os
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(ROOT / "benchmarks"))  # toys: checkpoints for those that take one

# Script -> its arguments; {musicgen} and the like are toy checkpoints.
ARGUMENTS = {
    "exact_chords.py": "--seconds 4",
    "continue_midi.py": "tune.mid --seconds 6",
    "play_transposed.py": "tune.mid",
    "seeds_and_receipts.py": "chorale --seconds 3",
    "sheet_of_pictures.py": "apple --count 2",
    "what_it_thought.py": "frog",
    "which_prompt_fits.py": "--seconds 3",
    "stream_musicgen.py": "{musicgen} organ --seconds 0.5",
    "resume_jukebox.py": "{jukebox} --seconds 0.3",
    "codec_round_trip.py": "{musicgen} tune.wav",
    "kernel_benchmark.py": "--op linear_residual --model aria-composer --repeats 1",
}
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))


@pytest.fixture(scope="module")
def tune(tmp_path_factory):
    """A folder with two bars of a tune, as notes and as sound."""
    import clavilux

    folder = tmp_path_factory.mktemp("tune")
    song = clavilux.load("aria").generate("waltz for piano", seconds=3, seed=1, tempo=150)
    song.save(folder / "tune.mid")
    song.save(folder / "tune.wav")
    return folder


@pytest.fixture
def here(tmp_path, tune, monkeypatch):
    for path in tune.iterdir():
        os.link(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """toy(name) -> a toy checkpoint, each made once."""
    pytest.importorskip("transformers")
    import toys

    folder = tmp_path_factory.mktemp("toys")

    def make(name):
        if not (folder / name).exists():
            toys.MAKERS[name](folder / name)
        return str(folder / name)

    return make


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_a_script_writes_what_it_says(script, here, toy, monkeypatch, capsys):
    arguments = [toy(part[1:-1]) if part.startswith("{") else part for part in ARGUMENTS[script].split()]
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.strip()
    promised = re.findall(r"[\w-]+\.(?:flac|wav|mid|png)", " ".join(re.findall(r"^wrote .*", printed, re.M)))
    assert all((here / name).stat().st_size for name in promised)
    assert bool(promised) == ("writes" in (EXAMPLES / script).read_text().lower().split('"""')[1]), "as its docstring"
    assert "False" not in printed  # of those that compare


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_the_top(name, here):
    """The code cells one after the other, as a kernel would; a display of the last line is its value's repr."""
    cells = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells), "outputs are not committed"
    scope: dict = {"__name__": "__main__"}
    values = []
    for cell in cells:
        if cell["cell_type"] == "code":
            *body, last = "".join(cell["source"]).rstrip().split("\n")
            exec(compile("\n".join(body), name, "exec"), scope)
            try:
                values.append(eval(compile(last.rstrip(";"), name, "eval"), scope))
            except SyntaxError:  # the last line is a statement
                exec(compile(last, name, "exec"), scope)
    assert values and all(value is not False for value in values)


def test_the_list_of_examples_is_whole():
    listed = set(re.findall(r"\]\(([\w.]+)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in EXAMPLES.iterdir() if path.name not in ("README.md", "__pycache__")}
    assert set(ARGUMENTS) == {path.name for path in EXAMPLES.glob("*.py")}
