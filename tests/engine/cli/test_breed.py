"""The `breed` commands with a tiny generator: what they write, and one sentence for what they cannot do."""

import json
import shutil

import numpy as np
import pytest
import torch
from commands import call, refuse
from PIL import Image

from clavilux.breeding import Genome, models
from clavilux.image.picture import Picture


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder whose family is the tests' own, and the working folder of the commands."""
    monkeypatch.setitem(models.BREEDERS, "toy", "toy_breeder")
    monkeypatch.chdir(tmp_path)
    return save_toy(tmp_path / "toy", b"weights")


def save_toy(folder, weights):
    folder.mkdir()
    (folder / "config.json").write_text('{"family": "toy"}')
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with models and genomes, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.BREEDERS, "toy", "toy_breeder")
        patch.chdir(folder)
        save_toy(folder / "toy", b"weights")
        save_toy(folder / "other", b"other weights")
        call("breed", "random", "disc", "-n", 4, "-o", "kids", "--seed", 5, "--model", "toy")
        call("breed", "random", "-n", 1, "-o", "others", "--model", "other")
    return folder


@pytest.fixture
def kids(made, tmp_path, monkeypatch):
    monkeypatch.setitem(models.BREEDERS, "toy", "toy_breeder")
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "kids"


def left_over(folder):
    return sorted(path.name for path in folder.iterdir() if ".part" in path.name)


def test_random_writes_its_genomes_and_no_other_json(kids):
    assert sorted(path.name for path in kids.glob("*.json")) == ["1.json", "2.json", "3.json", "4.json"]
    assert sorted(path.name for path in kids.glob("*.png")) == ["1.png", "2.png", "3.png", "4.png", "sheet.png"]
    seeds = [Genome.load(kids / f"{n}.json").history.last.settings["seed"] for n in (1, 2, 3, 4)]
    assert seeds == [5, 6, 7, 8]


def test_the_walk_of_the_guide(kids):
    call("breed", "cross", kids / "1.json", kids / "4.json", "-o", "child.json", "--show", "child.png")
    call("breed", "mutate", "child.json", "--strength", 0.2, "--seed", 3, "-o", "m.json")
    call("breed", "show", "m.json", "-o", "m.png", "--size", 96)
    assert Picture.load("m.png").width == 96
    call("breed", "tree", "m.json", "-o", "tree.svg")
    assert (kids.parent / "tree.svg").read_text().count("<image ") == 4
    call("breed", "replay", "m.json", "-o", "again.json", "--show", "again.png")
    assert (kids.parent / "again.json").read_bytes() == (kids.parent / "m.json").read_bytes()
    call("breed", "cross", kids / "1.json", kids / "4.json", "-o", "twin.json", "--quiet")
    assert (kids.parent / "twin.json").read_bytes() == (kids.parent / "child.json").read_bytes()


def test_a_picture_holds_its_genome_and_is_a_parent(kids):
    by_json = call("breed", "cross", kids / "1.json", kids / "2.json", "-o", "a.json", "--json").stdout
    call("breed", "cross", kids / "1.png", kids / "2.png", "-o", "b.json")
    assert (kids.parent / "a.json").read_bytes() == (kids.parent / "b.json").read_bytes()
    assert json.loads(by_json)["files"] == {"genome": "a.json"}
    receipt = Picture.load(kids / "1.png").receipt
    assert receipt["verb"] == "breed" and receipt["genome"] + "\n" == (kids / "1.json").read_text()


def test_litters_are_folders_of_siblings(kids):
    call("breed", "cross", kids / "1.json", kids / "2.json", "-n", 3, "--seed", 1, "-o", "litter")
    call("breed", "mutate", "litter/2.json", "-n", 2, "-o", "more")
    names = {Genome.load(kids.parent / "litter" / f"{n}.json").name for n in (1, 2, 3)}
    assert len(names) == 3 and (kids.parent / "more" / "sheet.png").is_file()


def test_between_is_a_sheet_or_an_animation(kids):
    call("breed", "between", kids / "1.json", kids / "2.json", kids / "3.json", "--steps", 4, "-o", "way.png")
    assert Picture.load("way.png").width == 4 + 4 * (120 + 4)  # 24 pixels, five times as large, four in a row
    call("breed", "between", kids / "1.json", kids / "2.json", "--frames", 5, "-o", "way.gif", "--size", 48)
    with Image.open("way.gif") as frames:
        assert frames.n_frames == 5 and frames.size == (48, 48)
        first = np.asarray(frames.convert("RGB")).astype(int)
    found = Picture.load(kids / "1.png").resized(48, 48).pixels.numpy()
    assert abs(first - found).mean() < 4  # of 256 colors


def test_mutation_by_0_gives_the_same_picture(kids):
    call("breed", "mutate", kids / "2.json", "--strength", 0, "-o", "same.json", "--show", "same.png")
    assert (kids.parent / "same.json").read_bytes() == (kids / "2.json").read_bytes()
    assert torch.equal(Picture.load("same.png").pixels, Picture.load(kids / "2.png").pixels)


def test_weights_of_parents_are_read(kids):
    call("breed", "cross", kids / "1.json", kids / "2.json", "--structure", "1,0", "--style", "0,1", "-o", "c.json")
    child, first, second = (Genome.load(path) for path in ("c.json", kids / "1.json", kids / "2.json"))
    assert child.latents["place"] == first.latents["place"] and child.latents["color"] == second.latents["color"]
    assert "'2;1'; it should be a weight for each parent, such as 2,1" in refuse(
        "breed", "cross", kids / "1.json", kids / "2.json", "--style", "2;1"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("cross", "kids/1.json", "-o", "x.json"), "1 genome is given; cross takes 2 to 8"),
        (("cross", *["kids/1.json"] * 9, "-o", "x.json"), "9 genomes are given; cross takes 2 to 8"),
        (("cross", "kids/1.json", "kids/9.json", "-o", "x.json"), "there is no file 'kids/9.json'"),
        (("cross", "kids/1.json", "kids/2.json", "-o", "x.png"), "'x.png' should end in .json"),
        (("cross", "kids/1.json", "kids/2.json", "-o", "no/x.json"), "there is no folder"),
        (("cross", "kids/1.json", "kids/2.json", "-o", "kids/1.json"), "would take the place of the file that is read"),
        (("cross", "kids/1.json", "kids/2.json", "--style", "1"), "style is [1.0]; it should be a weight"),
        (("cross", "kids/1.json", "kids/2.json", "-o", "x.json", "--show", "x.mid"), "'x.mid' should end in .png"),
        (
            ("mutate", "kids/1.json", "--strength", "1.5", "-o", "x.json"),
            "strength is 1.5; it should be a number from 0",
        ),
        (
            ("mutate", "kids/1.json", "--strength", "much", "-o", "x.json"),
            "--strength should be a number",
        ),
        (("mutate", "kids/1.json", "--gene", "3", "-o", "x.json"), "--gene is '3'; it should be a name and a number"),
        (("mutate", "kids/1.json", "--gene", "1=2", "-o", "x.json"), "has no genes to slide"),
        (("mutate", "kids/1.json", "-n", "2", "--show", "x.png"), "leave --show out"),
        (("mutate", "list.json", "-o", "x.json"), "'list.json' is not understood: it is no genome"),
        (("show", "photo.png", "-o", "x.png"), "'photo.png' is a picture without a genome, and no model is given"),
        (("show", "photo.png", "-o", "x.png", "--model", "toy"), "and toy reads none; a vae reads photographs"),
        (("show", "kids/1.json", "-o", "x.flac"), "'x.flac' should end in .png"),
        (("show", "kids/1.json", "-o", "x.png", "--size", "3"), "size is 3; it should be a whole number from 8"),
        (("between", "kids/1.json", "kids/2.json", "-o", "x.gif"), "say how many --frames it has"),
        (("between", "kids/1.json", "-o", "x.png"), "1 genome is given; between takes 2 to 8"),
        (("tree", "kids/1.json", "-o", "x.png"), "'x.png' should end in .svg"),
        (("genes", "--model", "toy", "-o", "x"), "toy has no genes to move"),
        (("genes", "--model", "toy", "-o", "x", "--reach", "99"), "reach is 99.0; it should be a number from 0.1"),
        (("random", "cat", "--model", "toy", "-o", "x"), "'cat' is no class of toy; it has disc, square"),
        (("random", "--model", "toy", "-o", "kids"), "'kids' is there already; give the name of a new folder"),
        (("random", "--model", "gone", "-o", "x"), "no model 'gone' is bundled, and no folder of that name holds one"),
        (
            ("show", "kids/1.json", "-o", "x.png", "--model", "other"),
            "the genome is for a model toy of the fingerprint",
        ),
        (("cross", "kids/1.json", "others/1.json", "-o", "x.json"), "the genomes are of different models, toy"),
    ],
)
def test_one_sentence_and_nothing_written(kids, arguments, sentence):
    folder = kids.parent
    (folder / "list.json").write_text("[1]")
    Picture(torch.zeros(8, 8, 3, dtype=torch.uint8)).save(folder / "photo.png")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert sentence in refuse("breed", *arguments)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not left_over(folder)


def test_a_genome_that_was_edited_by_hand_is_found_out_by_its_history(kids):
    text = (kids / "1.json").read_text().replace('"seed": 5', '"seed": 6')
    (kids / "1.json").write_text(text)
    assert "was changed by hand" in refuse("breed", "replay", kids / "1.json")


def test_ctrl_c_leaves_no_folder(toy, monkeypatch):
    import toy_breeder

    def stop(self, genes):
        raise KeyboardInterrupt

    monkeypatch.setattr(toy_breeder.ToyBreeder, "show", stop)
    result = call("breed", "random", "-n", 2, "-o", "kids", "--model", "toy", code=130)
    assert "stopped, nothing written" in result.stderr
    assert not (toy.parent / "kids").exists() and not left_over(toy.parent)
