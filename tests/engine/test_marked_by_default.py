"""What is drawn is marked where nobody says otherwise: songs, their sound, pictures, genes; and the ways to have none.

Families with checkpoints of their own have the same in `helpers.marked_draws`.
"""

import json

import pytest
import torch
from commands import call
from marked_draws import chance_of

import clavilux
from clavilux.breeding import replay
from clavilux.breeding.lineage import Lineage, Step
from clavilux.breeding.models import load_breeder
from clavilux.breeding.verbs import random_genome, replayed
from clavilux.image import pixel_mark
from clavilux.mark_key import PUBLIC, read_key
from clavilux.marking import PAINTED_KIND
from clavilux.provenance.mark_pixels import find_in_pixels

QUARTET = ("string quartet in D", "--seconds", 30, "--seed", 5)
KEY = {"key": PUBLIC.id}


@pytest.fixture(autouse=True)
def as_a_newcomer(monkeypatch):
    """The other tests have CLAVILUX_MARK=0."""
    monkeypatch.delenv("CLAVILUX_MARK")


@pytest.fixture(scope="module")
def aria():
    return clavilux.load("aria")


@pytest.fixture(scope="module")
def lumia():
    return clavilux.load("lumia")


def told(*arguments):
    return json.loads(call(*arguments, "--json").stdout)


def is_found(path):
    [mark] = told("verify", path)["marks"]
    assert mark["key"] == PUBLIC.id and mark["enough"]
    return mark["found"]


def test_a_song_is_found_by_anyone_in_its_notes_and_in_its_sound(tmp_path):
    call("render", *QUARTET, "-o", tmp_path / "song.ogg", "--midi", tmp_path / "song.mid", "--quiet")
    assert told("info", tmp_path / "song.ogg")["receipt"]["mark"] == KEY
    assert is_found(tmp_path / "song.mid") and is_found(tmp_path / "song.ogg")


@pytest.mark.parametrize("how", ["--no-mark", "environment"])
def test_a_song_without_one_is_not_and_says_so(tmp_path, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("CLAVILUX_MARK", "0")
    words = [how] if how == "--no-mark" else []
    call("render", *QUARTET, *words, "-o", tmp_path / "song.ogg", "--midi", tmp_path / "song.mid", "--quiet")
    assert told("info", tmp_path / "song.ogg")["receipt"]["mark"] == "none"
    assert not is_found(tmp_path / "song.mid") and not is_found(tmp_path / "song.ogg")


def test_the_command_line_is_stronger_than_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAVILUX_MARK", "0")
    call("paint", "red apple", "--seed", 3, "--mark", "-o", tmp_path / "apple.png", "--quiet")
    assert told("info", tmp_path / "apple.png")["receipt"]["mark"] == KEY


def test_an_environment_that_says_neither_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAVILUX_MARK", "no")
    said = call("paint", "red apple", "-o", tmp_path / "apple.png", code=2).stderr
    assert "CLAVILUX_MARK is 'no'; it should be 1, or 0 for no mark" in said


@pytest.mark.parametrize(("name", "words"), [("aria", {"prompt": "irish jig", "seconds": 3}), ("lumia", {})])
def test_the_likeliest_tokens_are_never_marked(name, words, request):
    model, asked = request.getfixturevalue(name), {"prompt": "cat", "seed": 1, "temperature": 0, **words}
    greedy, unmarked = model.generate(**asked), model.generate(**asked, mark=False)
    made = "samples" if name == "aria" else "pixels"
    assert torch.equal(getattr(greedy, made), getattr(unmarked, made)) and "mark" not in greedy.receipt


def test_streams_and_bars_written_anew_and_continuations_have_it(aria, tmp_path):
    asked = {"seconds": 4, "seed": 3}
    song = aria.generate("slow piano waltz", **asked)
    pieces = [piece.samples for piece in aria.stream("slow piano waltz", **asked)]
    assert torch.equal(torch.cat(pieces, dim=1), song.samples)
    song.save(tmp_path / "song.mid")
    longer = aria.generate("", seconds=6, seed=4, continue_from=tmp_path / "song.mid")
    assert song.receipt["mark"] == longer.receipt["mark"] == KEY
    anew = ("regenerate", tmp_path / "song.mid", "--bars", "1", "--seed", 2, "-o", tmp_path / "anew.wav")
    sounds = []
    for words, expected in (((), KEY), (("--no-mark",), "none")):
        call(*anew, *words, "--quiet")
        sound = clavilux.Audio.load(tmp_path / "anew.wav")
        assert sound.receipt["mark"] == expected
        sounds.append(sound.samples[:, : 2 * sound.sample_rate])
    assert not torch.equal(*sounds)


def test_a_receipt_is_made_again_with_what_it_says(aria):
    marked, plain = (aria.generate("irish jig on fiddle", seconds=4, seed=9, mark=mark) for mark in (None, False))
    assert marked.receipt["mark"] == KEY and marked.tokens.tolist() != plain.tokens.tolist()
    again = aria.generate("irish jig on fiddle", seconds=4, seed=9, mark=True)
    assert torch.equal(again.samples, marked.samples) and again.receipt == marked.receipt


def test_pictures_fit_the_key_whole_and_where_they_are_painted_on(lumia):
    seeds = list(range(32))
    pictures, plain = (lumia.generate(["red apple"] * 32, seed=seeds, **said) for said in ({}, {"mark": False}))
    assert chance_of(lumia.family, pictures, seeds) < 1e-6 < 1e-3 < chance_of(lumia.family, plain, seeds)
    assert {each.receipt["mark"]["key"] for each in pictures} == {PUBLIC.id}
    kept = lumia.generate("red apple", seed=7, continue_from=plain[0], keep=(0, 0, 64, 32))
    assert kept.receipt["mark"] == KEY


def p_of(picture, key=PUBLIC):
    return find_in_pixels(picture, [key], 64)[0].p


def test_a_picture_is_found_by_anyone_in_its_pixels_and_its_tokens_are_what_they_were(lumia):
    asked = {"prompt": "red apple", "seed": 3}
    picture = lumia.generate(**asked)
    decoded = lumia.decode(picture.tokens)
    assert torch.equal(picture.pixels, pixel_mark.marked(decoded.pixels, PUBLIC.word(PAINTED_KIND)))
    assert p_of(picture) < 1e-12 and p_of(decoded) > 1e-3 < p_of(lumia.generate(**asked, mark=False))
    *_, last = shown = list(lumia.stream(**asked, every=4))
    assert torch.equal(last.pixels, picture.pixels) and shown[0].pixels[32:].eq(128).all()
    assert not torch.equal(shown[0].pixels[:32], lumia.decode(picture.tokens[:, : 4 * 8], rows=4).pixels)
    assert torch.equal(lumia.generate(["boat", "red apple"], seed=[2, 3])[1].pixels, picture.pixels)
    assert lumia.encode(picture).shape == picture.tokens.shape


def test_a_picture_of_a_private_key_is_found_by_that_alone(lumia, tmp_path):
    key = tmp_path / "own.key"
    picture = lumia.generate("red apple", seed=3, mark=key)
    assert p_of(picture, read_key(key)) < 1e-12 and p_of(picture) > 1e-3


def test_what_a_picture_was_given_has_no_pattern(lumia):
    """Nor is it changed by the one around it: it is what its tokens are decoded to."""
    given = lumia.generate("black cat", seed=1, mark=False)
    picture = lumia.generate("red apple", seed=7, continue_from=given, keep=(0, 0, 64, 32))
    kept, painted = (torch.equal(picture.pixels[part], lumia.decode(picture.tokens).pixels[part])
                     for part in (slice(0, 32), slice(32, 64)))  # fmt: skip
    assert kept and not painted and p_of(picture) < 1e-6


def test_a_sheet_is_found_by_anyone(tmp_path):
    sheet = ("paint", "red apple", "--seed", 1, "--batch", 4, "--sheet", "--quiet")
    for words, found in (((), True), (("--no-mark",), False)):
        call(*sheet, *words, "-o", tmp_path / "apples.png")
        assert is_found(tmp_path / "apples.png") is found


def test_the_environment_has_the_last_word_where_nobody_says_anything(lumia, monkeypatch):
    monkeypatch.setenv("CLAVILUX_MARK", "0")
    assert p_of(lumia.generate("red apple", seed=3)) > 1e-3
    assert p_of(lumia.generate("red apple", seed=3, mark=True)) < 1e-12


def test_genes_name_the_key_and_old_ones_that_name_none_are_drawn_without_one():
    painter = load_breeder("lumia")
    apple, plain = (random_genome(painter, seed=3, words="red apple", mark=mark) for mark in (None, False))
    assert apple.history.last.settings["mark"] == PUBLIC.id and replay(apple, model=painter) == apple
    settings = dict(plain.history.last.settings)
    assert settings.pop("mark") == "none"
    old = Step("random", (), settings)
    [genes] = replayed(type(plain)(plain.model_sha256, plain.model, plain.genes, Lineage((old,))), painter).values()
    assert genes == plain.genes
