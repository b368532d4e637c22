"""Every bundled model says what it learned from and under which licences, and `clavilux info` shows it."""

import json
import re

import pytest
from commands import call

from clavilux.checkpoint import PRETRAINED
from clavilux.families.model_card import data_of
from clavilux.training import pictures

FOLDERS = sorted(path.parent for path in PRETRAINED.rglob("*.safetensors"))
LICENCE = re.compile(r"CC0|CC BY|public\s+domain|Open Font License|Apache-2\.0|MIT\b|BSD")
# Of the packages that the trainers of pictures read, those that pictures come from; others hold names.
PACKAGES = re.findall(r"`(fonts-noto-color-emoji|openclipart-png)`", pictures.__doc__)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_source_has_a_licence(folder):
    said = data_of(folder)
    sources = [
        line for line in said if line.rstrip(".;").count(" ") > 2 and re.search(r"Corpus|Quartets|Project|`", line)
    ]
    assert sources and all(LICENCE.search(line) for line in sources), said
    config = json.loads((folder / "config.json").read_text())
    assert config["licence"] == "Apache-2.0" and "licence | Apache-2.0 |" in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["lumia", "vae"])
def test_the_card_names_the_packages_that_the_trainer_reads(name):
    said = " ".join(data_of(PRETRAINED / name))
    assert len(PACKAGES) == 2 and all(f"`{package}`" in said for package in PACKAGES)


def test_info_shows_them():
    for folder in FOLDERS:
        facts = json.loads(call("info", folder.name, "--json").stdout)
        assert list(facts["learned_from"].values()) == data_of(folder)
    assert "CC0" in call("info", "aria").stdout


def test_a_folder_without_a_card_says_nothing(tmp_path):
    assert data_of(tmp_path) == []
    (tmp_path / "README.md").write_text("# a model\n\n## Training\n\nlong\n")
    assert data_of(tmp_path) == []
