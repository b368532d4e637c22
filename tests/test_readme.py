"""The README's snippets run in order, as a reader would run them: Python in one session, shell in one folder.

A snippet that a test cannot run stands after an HTML comment `<!-- not run: the reason -->`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("language", ["bash", "python"])
def test_picture_snippets(tmp_path, llamagen, language):
    """With a model that paints 8 pixels where the README's paints 256."""
    (tmp_path / "LlamaGen").mkdir()
    for name, as_named in (("c2i_T_256.pt", "c2i_B_256.pt"), ("vq_ds16_c2i.pt", "vq_ds16_c2i.pt")):
        (tmp_path / "LlamaGen" / as_named).symlink_to(llamagen / name)
    text = re.sub(r"\b0,( ?)0,( ?)256,( ?)128\b", r"0,\g<1>0,\g<2>8,\g<3>4", snippets(language, SMALL_ONE))
    run({"bash": ["bash", "-euo", "pipefail", "-c", text], "python": [sys.executable, "-c", text]}[language], tmp_path)
    assert {"ostrich.png", "now.png", "why.png"} <= {path.name for path in tmp_path.iterdir()}


def test_unrun_snippets_have_a_known_language():
    languages = {match["language"] for match in FENCE.finditer(README.read_text(encoding="utf-8"))}
    assert languages <= {"python", "bash", "text"}


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README.read_text(encoding="utf-8"))
    assert not [link for link in links if not (README.parent / link).exists()]
