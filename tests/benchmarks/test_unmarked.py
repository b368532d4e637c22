"""What benchmarks time and measure has no mark unless they ask for one: commands and calls that say nothing draw it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DRAWS = {"generate", "stream", "random_genome"}
OTHERS = ("soundfont_render.py",)  # tinysoundfont's generate
SCRIPTS = [path for path in sorted((ROOT / "benchmarks").glob("*.py")) if path.name not in OTHERS]


def says_nothing(call: ast.Call) -> bool:
    named = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return named in DRAWS and "mark" not in {keyword.arg for keyword in call.keywords}


def drawing() -> list[Path]:
    """The scripts with a call that leaves open whether it is marked."""
    return [
        path
        for path in SCRIPTS
        if any(isinstance(node, ast.Call) and says_nothing(node) for node in ast.walk(ast.parse(path.read_text())))
    ]


def test_some_are_looked_at():
    assert {"composers.py", "painter.py", "musicgen_render.py"} <= {path.name for path in drawing()}


@pytest.mark.parametrize("path", drawing(), ids=lambda path: path.name)
def test_a_script_that_draws_begins_without_marks(path):
    text = path.read_text()
    assert "import checkout" in text or '"CLAVILUX_MARK": "0"' in text


def test_what_scripts_begin_with_turns_marks_off():
    done = "import checkout; from clavilux.mark_key import key_of; print(key_of(None))"
    environment = {"PATH": "", "PYTHONPATH": str(ROOT / "benchmarks")}
    run = subprocess.run([sys.executable, "-c", done], env=environment, capture_output=True, text=True)
    assert run.stdout == "None\n", run.stderr
