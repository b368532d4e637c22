"""The snippets of the README and of the pages in docs/ run as a reader would run them, and their tables and links hold.

Page by page: the shell's snippets in order, then Python's in one session, all in one folder. A snippet that a test
cannot run stands after an HTML comment `<!-- not run: the reason -->`; those that need a checkpoint run with a small
random one in its place. Lengths are a tenth of what is written.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from import_graph import LAYERS
from jukebox_goldens import save_toy
from PIL import Image
from seen import needs_lite0
from styles import needs_styles, scene
from typer.testing import CliRunner

from clavilux.cli.app import app
from clavilux.image.arts.dream import DreamSpec
from clavilux.image.arts.fine_style import Stage

ROOT = Path(__file__).resolve().parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *PAGES]
FENCE = re.compile(
    r"(?P<mark><!-- not run: .+? -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
SMALL_PICTURES = "<!-- not run: it needs photographs; a test runs it with small ones -->\n"
SMALL_ONE = "<!-- not run: it needs a checkpoint; a test runs it with a small one -->\n"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def snippets(page: Path, language: str, mark: str | None = None) -> str:
    """All snippets of a language with this mark, one after the other, for a tenth of the seconds."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    bodies = [match["body"] for match in found if match["language"] == language and match["mark"] == mark]
    return re.sub(r"(seconds[= ])(\d+)0\b", r"\1\2", "\n".join(bodies))


def pages_with(mark: str | None) -> list[Path]:
    return [page for page in PAGES if snippets(page, "bash", mark) or snippets(page, "python", mark)]


def run(command: list[str], folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run_lines(text: str) -> None:
    """Commands in this process, line by line: each start takes seconds."""
    for line in text.replace("\\\n", " ").splitlines():
        if not (words := shlex.split(line, comments=True)):
            continue
        program, *arguments = words
        assert program == "clavilux", line
        result = CliRunner().invoke(app, arguments, prog_name="clavilux")
        assert result.exit_code == 0, f"{line}\n{result.output}{result.stderr}"


def run_page(page: Path, mark: str | None, changed=lambda text: text) -> None:
    """Both languages in this process, in the current folder."""
    run_lines(changed(snippets(page, "bash", mark)))
    exec(compile(changed(snippets(page, "python", mark)), str(page), "exec"), {"__name__": "page"})


@pytest.fixture(autouse=True)
def as_a_newcomer(monkeypatch):
    """What is drawn is marked, as it is where nobody says otherwise."""
    monkeypatch.delenv("CLAVILUX_MARK")


def test_the_readme_in_python(tmp_path):
    run([sys.executable, "-c", snippets(README, "python")], tmp_path)
    assert list(tmp_path.glob("*.flac")) and list(tmp_path.glob("*.mid"))


def test_the_readme_in_the_shell(tmp_path):
    run(["bash", "-euo", "pipefail", "-c", snippets(README, "bash")], tmp_path)
    assert list(tmp_path.glob("*.flac")) and list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("page", pages_with(None), ids=name_of)
def test_pages(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    if page.stem == "provenance":  # the other pages' files are not signed, as in all tests
        monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")
    run_page(page, None)


@needs_styles
@needs_lite0
@pytest.mark.parametrize("page", pages_with(SMALL_PICTURES), ids=name_of)
def test_pages_with_small_photographs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("clavilux.image.arts.fine_style.FAITHFUL", (Stage(48, 2), Stage(64, 1)))
    monkeypatch.setattr("clavilux.arts.dream.ON_SHEET", DreamSpec(octaves=1, iterations=1))
    pictures = {"photo.jpg": scene(), "other.png": scene(48, 64).flip(1), "painting.png": scene(64, 64).flip(2)}
    for name, pixels in (pictures | {"mask.png": scene() // 128 * 255}).items():
        Image.fromarray(pixels.numpy()).save(name)
    for folder in ("hokusai", "hiroshige"):
        for number in range(3):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(scene(48 + len(folder), 48 + number).numpy()).save(tmp_path / folder / f"{number}.png")
    frames = [Image.fromarray(scene(32, 48).roll(shift, 1).numpy()) for shift in range(3)]
    frames[0].save("clip.gif", save_all=True, append_images=frames[1:], duration=50)
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(frames):
        frame.save(tmp_path / "frames" / f"{number}.png")
    run_page(page, SMALL_PICTURES)


def test_every_page_that_needs_a_checkpoint_is_run_with_a_small_one():
    assert {page.stem for page in pages_with(SMALL_ONE)} == {"pictures", "jukebox", "musicgen", "codecs"}
    assert not snippets(README, "bash", SMALL_ONE) and not snippets(README, "python", SMALL_ONE)


def test_pictures_with_a_small_llamagen(tmp_path, llamagen, monkeypatch):
    """It paints 8 pixels where the page's paints 256."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LlamaGen").mkdir()
    for name, as_named in (("c2i_T_256.pt", "c2i_B_256.pt"), ("vq_ds16_c2i.pt", "vq_ds16_c2i.pt")):
        (tmp_path / "LlamaGen" / as_named).symlink_to(llamagen / name)
    keep = re.compile(r"\b0,( ?)0,( ?)256,( ?)128\b")
    run_page(DOCS / "guides" / "pictures.md", SMALL_ONE, lambda text: keep.sub(r"0,\g<1>0,\g<2>8,\g<3>4", text))
    written = {"ostriches.png", "ostrich.png", "now.png", "why.png", "legs.png", "other-1.png", "other-2.png"}
    assert written <= {path.name for path in tmp_path.iterdir()}


def test_jukebox_with_a_small_one(tmp_path, monkeypatch):
    """It has fewer artists and genres, sees twelve characters, and a token of it lasts a second."""
    monkeypatch.chdir(tmp_path)
    save_toy(tmp_path / "jukebox", "original", "separate")
    own = json.loads((tmp_path / "jukebox" / "jukebox.json").read_text())
    own["levels"]["2"]["alignment"] = [18, 0]
    (tmp_path / "jukebox" / "jukebox.json").write_text(json.dumps(own))
    (tmp_path / "song.txt").write_text("rain and sun")
    soundfile.write("voice.wav", np.random.default_rng(0).normal(0, 0.1, 20_800).astype(np.float32), 1600)
    numbers = {"--artist 12": "--artist 1", "--genre 3,7": "--genre 1,2", "--prime-seconds 12": "--prime-seconds 2"}
    run_page(
        DOCS / "guides" / "jukebox.md",
        SMALL_ONE,
        lambda text: re.sub("|".join(numbers), lambda found: numbers[found[0]], text),
    )
    assert json.loads((tmp_path / "lyrics.json").read_text())["words"]


@pytest.fixture
def small_musicgen(tmp_path, monkeypatch) -> Path:
    """A folder to work in, with a small MusicGen where the pages name checkpoints of the hub."""
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("toys", ROOT / "benchmarks" / "toys.py")
    toys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toys)
    toys.MAKERS["musicgen"](tmp_path / "facebook" / "musicgen-small")
    for name in ("facebook/encodec_24khz", "encodec_24khz"):
        (tmp_path / name).symlink_to(tmp_path / "facebook" / "musicgen-small")
    soundfile.write("voice.wav", np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32), 16000)
    return tmp_path


@pytest.mark.parametrize("page", ["musicgen", "codecs"])
def test_frames_with_a_small_musicgen(page, small_musicgen):
    """500 frames are a second of it, so a piece is a hundredth as long."""
    shorter = re.compile(r"(seconds[= ])(\d)")
    run_page(DOCS / "guides" / f"{page}.md", SMALL_ONE, lambda text: shorter.sub(r"\g<1>0.\2", text))
    names = {"musicgen": {"synth.flac", "rain.wav", "drums.flac"}, "codecs": {"voice.safetensors", "again.wav"}}
    assert names[page] <= {path.name for path in small_musicgen.iterdir()}


def test_unrun_snippets_have_a_known_language():
    for document in DOCUMENTS:
        languages = {match["language"] for match in FENCE.finditer(document.read_text(encoding="utf-8"))}
        assert languages <= {"python", "bash", "text", "json"}, name_of(document)


def test_links_to_files_lead_somewhere():
    for document in DOCUMENTS:
        links = re.findall(r"(?:\]\(|src=\")(?!https?:|#)([^)#\"]+)", document.read_text(encoding="utf-8"))
        assert not [link for link in links if not (document.parent / link).exists()], name_of(document)


def test_files_that_the_documents_name_are_there():
    folders = "engine|kernels|audio|image|tests|benchmarks|docs|examples"
    for document in DOCUMENTS:
        named = re.findall(rf"(?:`|\()((?:{folders})/[\w./-]*)[`)]", document.read_text(encoding="utf-8"))
        assert not [name for name in named if not (ROOT / name).exists()], name_of(document)


def test_scripts_that_measure_are_listed(monkeypatch, capsys):
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in (ROOT / "benchmarks").glob("*.py") if f"`{path.name}`" not in text]
    monkeypatch.chdir(ROOT)
    exec(compile(snippets(ROOT / "benchmarks" / "README.md", "python"), "benchmarks/README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert len(list((ROOT / "benchmarks" / "results").glob("*gpu*"))) == len(
        list((ROOT / "benchmarks" / "results").glob("????-??-??-gpu.json"))
    )


def test_the_design_names_every_file_of_the_layers():
    text = (DOCS / "design.md").read_text(encoding="utf-8")
    files = [Path(name) for layer in LAYERS for names in layer.values() for name in names if name.endswith(".py")]
    assert not [
        str(file)
        for file in files
        if f"`{file.stem}`" not in text and f"{file.name}`" not in text and file.stem[0] != "_"
    ]


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [name_of(page) for page in PAGES if page.relative_to(DOCS).as_posix() not in menu]


# The tables of steps in docs/performance.md: which side of the file a row is, at a length and for a generation.
SIDES = {
    "clavilux, float16 weights (the default)": ("clavilux float16",) * 2,
    "clavilux, float16 weights": ("clavilux float16",) * 2,
    "clavilux, bfloat16 weights (the default there)": ("clavilux bfloat16",) * 2,
    "clavilux, int8": ("clavilux int8",) * 2,
    "clavilux, float32": ("clavilux float32",) * 2,
    "clavilux": ("+ sampler", "clavilux bfloat16"),
    "transformers, eager": ("transformers eager", "transformers generate"),
    "transformers, static cache and `torch.compile`": ("transformers compiled",) * 2,
}
AT = ("length 1", "length 751", "length 1503", "generation of 48 frames")
LADDER = {
    "the eager loop": "eager",
    "+ one CUDA graph a step": "+ graph",
    "+ fused kernels": "+ fused",
    "+ the sampler as a kernel": "+ sampler",
    "+ int8 weights": "+ int8",
}
HALVES = {
    "musicgen-small": "length 751", "musicgen-large": "length 751", "llamagen-b": "length 288",
    "llamagen-3b": "length 288", "imagegpt-large": "length 512",
}  # fmt: skip


def rows_of_steps(text: str):
    """(cells, [(subject, at, side) of each], medians in seconds by those) for each row below its file."""
    medians, subject = {}, "musicgen-small"
    for line in text.splitlines():
        if named := re.search(r"benchmarks/results/[\w-]+\.json", line):
            found = json.loads((ROOT / named[0]).read_text()).get("results", [])
            steps = [row for row in found if row.get("suite") == "steps"]
            medians = {(row["subject"], row["at"], row["side"]): row["median_s"] for row in steps}
        label, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not medians or "length of the cache" in label or not all(re.fullmatch(r"[\d.]+", cell) for cell in cells):
            continue
        if len(cells) == len(HALVES):
            yield cells, [(name, at, LADDER[label]) for name, at in HALVES.items()], medians
        if len(cells) == len(AT):
            model, _, side = label.partition(", ")
            subject = model.lower() if model.startswith("MusicGen") else subject
            alone, together = SIDES[side if model.startswith(("MusicGen", "the same")) else label]
            yield cells, [(subject, at, alone) for at in AT[:-1]] + [(subject, AT[-1], together)], medians


def test_tables_of_steps_are_those_of_the_files():
    compared = 0
    for cells, places, medians in rows_of_steps((DOCS / "performance.md").read_text(encoding="utf-8")):
        for cell, place in zip(cells, places, strict=True):
            assert float(cell) == float(f"{1e3 * medians[place]:.3g}"), place
            compared += 1
    assert compared == 4 * (5 + 6 + 6) + 5 * 5


def test_quoted_lines_stand_in_the_files_they_are_quoted_from():
    """Blocks after `<!-- from FILE -->`, but for how far they are indented."""
    quotes = re.findall(
        r"<!-- from (\S+) -->\n```text\n(.*?)```", (DOCS / "guides/generators.md").read_text(), re.DOTALL
    )
    assert len(quotes) == 7
    for file, quoted in quotes:
        lines = [line.strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
        wanted = [line.strip() for line in quoted.splitlines()]
        assert any(lines[n : n + len(wanted)] == wanted for n in range(len(lines))), f"{file}: {quoted}"
