"""The README's snippets run in order, as a reader would run them: Python in one session, shell in one folder.

A snippet that a test cannot run stands after an HTML comment `<!-- not run: the reason -->`.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clavilux.cli.app import app

README = Path(__file__).resolve().parents[1] / "README.md"
FENCE = re.compile(
    r"(?P<mark><!-- not run: .+? -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


SMALL_ONE = "<!-- not run: it needs a checkpoint; a test runs it with a small one -->\n"


def snippets(language: str, mark: str | None = None) -> str:
    """All snippets of a language with this mark, one after the other, for a tenth of the seconds."""
    found = FENCE.finditer(README.read_text(encoding="utf-8"))
    bodies = [match["body"] for match in found if match["language"] == language and match["mark"] == mark]
    assert bodies, f"the README has no {language} snippet"
    return re.sub(r"(seconds[= ])(\d+)0\b", r"\1\2", "\n".join(bodies))


def run(command: list[str], folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_snippets(tmp_path):
    run([sys.executable, "-c", snippets("python")], tmp_path)
    assert list(tmp_path.glob("*.flac")) and list(tmp_path.glob("*.mid"))


def test_shell_snippets(tmp_path):
    run(["bash", "-euo", "pipefail", "-c", snippets("bash")], tmp_path)
    assert list(tmp_path.glob("*.flac"))


@pytest.fixture
def ostriches(tmp_path, llamagen, monkeypatch):
    """(folder, text(language) -> snippets), with a model that paints 8 pixels where the README's paints 256."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LlamaGen").mkdir()
    for name, as_named in (("c2i_T_256.pt", "c2i_B_256.pt"), ("vq_ds16_c2i.pt", "vq_ds16_c2i.pt")):
        (tmp_path / "LlamaGen" / as_named).symlink_to(llamagen / name)
    keep = re.compile(r"\b0,( ?)0,( ?)256,( ?)128\b")
    return tmp_path, lambda language: keep.sub(r"0,\g<1>0,\g<2>8,\g<3>4", snippets(language, SMALL_ONE))


def test_picture_snippets_in_python(ostriches):
    folder, text = ostriches
    run([sys.executable, "-c", text("python")], folder)
    assert {"ostrich.png", "now.png", "why.png"} <= {path.name for path in folder.iterdir()}


def test_picture_snippets_in_the_shell(ostriches):
    """In this process, line by line: each start of the command takes seconds."""
    folder, text = ostriches
    lines = [shlex.split(line, comments=True) for line in text("bash").splitlines()]
    assert len(lines) >= 5 and all(line[0] == "clavilux" for line in lines)
    for line in lines:
        result = CliRunner().invoke(app, line[1:], prog_name="clavilux")
        assert result.exit_code == 0, result.output + result.stderr
    written = {"ostriches.png", "ostrich.png", "now.png", "why.png", "legs.png", "other-1.png", "other-2.png"}
    assert written <= {path.name for path in folder.iterdir()}


def test_unrun_snippets_have_a_known_language():
    languages = {match["language"] for match in FENCE.finditer(README.read_text(encoding="utf-8"))}
    assert languages <= {"python", "bash", "text"}


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README.read_text(encoding="utf-8"))
    assert not [link for link in links if not (README.parent / link).exists()]


def test_files_that_the_documents_name_are_there():
    root, folders = README.parent, "engine|kernels|audio|image|tests|benchmarks|docs"
    for document in (README, root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))):
        named = re.findall(rf"(?:`|\()((?:{folders})/[\w./-]*)[`)]", document.read_text(encoding="utf-8"))
        assert not [name for name in named if not (root / name).exists()], document.name
