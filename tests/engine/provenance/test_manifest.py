"""What is claimed of a file, by the verb that made it and by what it was made from."""

import pytest
import torch

import clavilux
from clavilux.breeding.breeder import Genes
from clavilux.breeding.genome import Genome
from clavilux.breeding.lineage import Lineage, Step
from clavilux.breeding.showing import stamp
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.provenance.manifest import COMPOSITE, TRAINED, Ingredient, source_type, without_words
from clavilux.provenance.stamp import stamp_of

PAINTED, GENOME = {"model": "lumia", "seed": 1}, {"verb": "breed", "model": "vae", "genome": "{}"}


def of(use):
    return [Ingredient(use, "a.png", "0" * 64)]


@pytest.mark.parametrize(
    ("receipt", "ingredients", "claim"),
    [
        (PAINTED, [], TRAINED),
        (PAINTED, of("melody"), TRAINED),
        (PAINTED, of("tune"), COMPOSITE),
        (PAINTED, of("continue_from"), COMPOSITE),
        ({"model": "jukebox"}, of("prime"), COMPOSITE),
        ({"verb": "dream"}, of("picture"), COMPOSITE),
        ({"verb": "style"}, [], COMPOSITE),
        (GENOME, [], TRAINED),
        (GENOME, of("parent"), COMPOSITE),
        ({"played": "a.mid"}, of("played"), None),
        ({"played": "a.mid", "of": PAINTED}, of("played"), COMPOSITE),
        ({"played": "a.mid", "of": {"by": "somebody"}}, of("played"), None),
        ({}, of("tokens"), None),
        ({"columns": 2, "pictures": [PAINTED, PAINTED]}, [], TRAINED),
        ({"columns": 2, "pictures": [GENOME]}, of("parent"), COMPOSITE),
        ({"columns": 1, "pictures": [{}]}, [], None),
    ],
)
def test_claims(receipt, ingredients, claim):
    assert source_type(receipt, ingredients) == claim


def test_without_words_at_any_depth():
    inner = {"taken": ["my love"], "controls": {"tempo": 3, "melody": "love.wav", "soundfont": "mine.sf2"}}
    receipt = {"prompt": "my love", "title": "For you", "seed": 1, "of": inner, "pictures": [PAINTED]}
    assert without_words(receipt) == {
        "seed": 1, "of": {"controls": {"tempo": 3}}, "pictures": [PAINTED], "private": True,
    }  # fmt: skip


def test_a_genome_names_the_photographs_of_its_ancestors():
    read = Step("encode", (), {"file": "holiday.jpg", "file_sha256": "a" * 64})
    drawn = Step("random", (), {"seed": 1, "words": ""})
    genes = Genes({}, {})
    child = Genome("0" * 64, "vae", genes, Lineage((read, drawn, Step("cross", (read.name, drawn.name), {}))))
    assert stamp(child).ingredients == (Ingredient("parent", "holiday.jpg", "a" * 64),)
    assert stamp(Genome("0" * 64, "vae", genes, Lineage((drawn,)))).ingredients == ()


def test_a_sheet_is_signed_for_all_of_its_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")
    source = Picture(torch.zeros(8, 8, 3, dtype=torch.uint8))
    source.save(tmp_path / "photo.png")  # nothing generated: not signed
    assert clavilux.verify(tmp_path / "photo.png").credentials.state == "absent"
    pixels = torch.zeros(8, 8, 3, dtype=torch.uint8)
    first = Picture(pixels, receipt=PAINTED, stamp=stamp_of())
    second = Picture(pixels, receipt=PAINTED, stamp=stamp_of(continue_from=Picture.load(tmp_path / "photo.png")))
    contact_sheet([first, second]).save(tmp_path / "sheet.png")
    found = clavilux.verify(tmp_path / "sheet.png").credentials
    assert found.valid and found.made == COMPOSITE and [each["name"] for each in found.ingredients] == ["photo.png"]
    contact_sheet([first, first]).save(tmp_path / "sheet.png")
    assert clavilux.verify(tmp_path / "sheet.png").credentials.made == TRAINED


def test_a_picture_in_memory_is_named_by_its_pixels(tmp_path):
    picture = Picture(torch.zeros(8, 8, 3, dtype=torch.uint8))
    found = stamp_of(continue_from=picture, mask=None).ingredients
    assert len(found) == 1 and found[0].name == "" and len(found[0].sha256) == 64
    assert stamp_of(continue_from=[picture, picture]).ingredients == found
