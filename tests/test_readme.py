"""The README's snippets run in order, as a reader would run them: Python in one session, shell in one folder.

A snippet that a test cannot run stands after an HTML comment `<!-- not run: the reason -->`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
FENCE = re.compile(
    r"(?P<mark><!-- not run: .+? -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


def snippets(language: str) -> str:
    """All snippets of a language that are to be run, one after the other, for a tenth of the seconds."""
    found = FENCE.finditer(README.read_text(encoding="utf-8"))
    bodies = [match["body"] for match in found if match["language"] == language and not match["mark"]]
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


def test_unrun_snippets_have_a_known_language():
    languages = {match["language"] for match in FENCE.finditer(README.read_text(encoding="utf-8"))}
    assert languages <= {"python", "bash", "text"}


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README.read_text(encoding="utf-8"))
    assert not [link for link in links if not (README.parent / link).exists()]
