"""The nearest of what the bundled models were taught: found whatever the key, tempo, size and format are."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import clavilux
from clavilux.audio.notation.files import read_score
from clavilux.audio.score import NOTE, Score
from clavilux.checkpoint import PRETRAINED
from clavilux.provenance import nearest_index, nearest_pictures, nearest_scores
from clavilux.provenance.verdict import Nearest
from clavilux.training.nearest import PICTURE_SOURCES, SCORE_SOURCES, build_pictures

# As it is in O'Neill's Music of Ireland (Chicago 1903) and, which aria was taught, in Ryan's Mammoth Collection.
SOLDIERS_JOY = """X:1
T:somebody's song
M:4/4
L:1/8
Q:1/4=160
K:D
AFDF AFDF|A2d2 d2cB|AFDF AFDF|G2E2 E2FG|AFDF AFDF|A2d2 d2de|fafd egec|d2d2 d2FG|
AFDF AFDF|A2d2 d2cB|AFDF AFDF|G2E2 E2FG|AFDF AFDF|A2d2 d2de|fafd egec|d2d2 d4|
"""


@pytest.fixture(scope="module")
def index():
    return nearest_index.load("scores")


@pytest.fixture
def tune(tmp_path):
    (tmp_path / "tune.abc").write_text(SOLDIERS_JOY)
    return tmp_path / "tune.abc"


def changed(score, semitones, stretch):
    notes = score.notes.copy()
    notes["pitch"] += semitones
    notes["start"] *= stretch
    notes["duration"] *= stretch
    return replace(score, notes=notes, length=score.length * stretch, tempos=((0.0, 66.0),), metres=((0.0, (2, 4)),))


def test_the_index_is_small_and_as_it_was_built(index):
    files = list(nearest_index.FOLDER.iterdir())
    assert {path.name for path in files} == {"index.json", "scores.npz", "pictures.npz"}
    assert sum(path.stat().st_size for path in files) < 2 * 2**20
    pictures = nearest_index.load("pictures")
    assert len(index.names) == len(index.arrays["source"]) > 5000
    assert len(pictures.names) == len(pictures.arrays["prints"]) > 5000
    assert (np.diff(index.arrays["runs"]) >= 0).all() and index.arrays["pieces"].max() < len(index.names)


@pytest.mark.parametrize(("semitones", "stretch"), [(0, 1), (5, 1), (-3, 2), (0, 0.5)])
def test_a_training_piece_is_found_in_another_key_and_at_another_tempo(index, tune, semitones, stretch):
    found = nearest_scores.nearest_to_score(index, changed(read_score(tune), semitones, stretch))
    assert "SOLDIERS' JOY" in found.name and found.licence == "public domain"
    assert found.distance == 0 and found.rarity <= 1


def test_notes_at_random_are_far(index):
    random = np.random.default_rng(3)
    rows = [(n / 2, 0.5, int(p), 80, 0, False) for n, p in enumerate(random.integers(55, 80, 200))]
    found = nearest_scores.nearest_to_score(index, Score(np.array(rows, dtype=NOTE)))
    assert found.distance > 0.8 and found.rarity >= 50


def test_a_second_voice_does_not_hide_a_tune(index, tune):
    score = read_score(tune)
    above = score.notes[::3].copy()
    above["pitch"], above["program"] = 88 + np.arange(len(above)) % 5, 40
    found = nearest_scores.nearest_to_score(index, replace(score, notes=np.concatenate([score.notes, above])))
    assert "SOLDIERS' JOY" in found.name


def test_verify_says_it_in_a_sentence_and_as_json(tune):
    found = clavilux.verify(tune, nearest=True)
    assert found.nearest is not None and found.as_dict()["nearest"]["name"] == found.nearest.name
    assert "it is nearest at bar" in found.says and "SOLDIERS' JOY" in found.says and "in 100" in found.says
    assert clavilux.verify(tune).as_dict()["nearest"] is None


def test_what_cannot_be_compared_is_said(tmp_path):
    (tmp_path / "short.abc").write_text("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|G4|\n")
    silence = clavilux.Audio(torch.zeros(1, 8000), 8000)
    silence.save(tmp_path / "song.wav")
    for name, word in (("short.abc", "thirty notes"), ("song.wav", "--midi")):
        found = clavilux.verify(tmp_path / name, nearest=True)
        assert found.nearest is None and any(word in remark for remark in found.remarks)


def test_a_missing_or_damaged_index_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="is missing .*install Clavilux anew"):
        nearest_index.load("scores", tmp_path)
    shutil.copytree(nearest_index.FOLDER, tmp_path / "index")
    (tmp_path / "index" / "scores.npz").unlink()
    with pytest.raises(ValueError, match="scores is missing"):
        nearest_index.load("scores", tmp_path / "index")
    with open(tmp_path / "index" / "pictures.npz", "r+b") as file:
        file.seek(1000)
        file.write(b"?")
    with pytest.raises(ValueError, match="pictures is damaged"):
        nearest_index.load("pictures", tmp_path / "index")


def drawing(seed):
    """A picture of 64 x 64 pixels: some discs of many colours on white."""
    random, pixels = np.random.default_rng(seed), np.full((64, 64, 3), 255, np.uint8)
    rows, columns = np.mgrid[:64, :64]
    for _ in range(6):
        row, column, radius = random.integers(16, 48), random.integers(16, 48), random.integers(4, 14)
        pixels[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = random.integers(0, 200, 3)
    return pixels


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    prints = np.stack([nearest_pictures.fingerprint(drawing(seed)) for seed in range(40)])
    arrays = {"prints": prints, "source": np.zeros(40, np.uint8)}
    sources = [{"name": "discs", "licence": "CC0 1.0", "works": 40}]
    nearest_index.save("pictures", arrays, [f"discs {seed}" for seed in range(40)], sources, folder)
    far = nearest_pictures.distances(
        nearest_index.load("pictures", folder),
        np.stack([nearest_pictures.fingerprint(drawing(seed)) for seed in range(100, 200)]),
    )
    nearest_index.load.cache_clear()
    nearest_index.calibrate("pictures", {nearest_pictures.SIZE: far.min(1).tolist()}, folder)
    return nearest_index.load("pictures", folder)


@pytest.mark.parametrize(("ending", "side"), [("png", 256), ("jpg", 64), ("jpg", 200), ("webp", 96), ("gif", 64)])
def test_a_picture_that_was_saved_again_and_scaled_is_found(gallery, tmp_path, ending, side):
    image = Image.fromarray(drawing(7)).resize((side, side), Image.Resampling.BICUBIC)
    image.save(tmp_path / f"again.{ending}", **({"quality": 75} if ending in ("jpg", "webp") else {}))
    pixels = clavilux.Picture.load(tmp_path / f"again.{ending}").pixels.numpy()
    found = nearest_pictures.nearest_to_pictures(gallery, [pixels])
    assert found.name == "discs 7" and found.distance < 12 and found.rarity <= 1


def test_a_picture_at_another_place_and_a_stranger(gallery):
    wide = np.full((100, 160, 3), 255, np.uint8)
    wide[20:84, 80:144] = drawing(9)
    assert nearest_pictures.nearest_to_pictures(gallery, [drawing(500), wide]) == Nearest(
        "lumia", "discs 9", "discs", "CC0 1.0", pytest.approx(0, abs=1), 0.1, "picture 2 of the sheet"
    )
    assert nearest_pictures.nearest_to_pictures(gallery, [drawing(501)]).rarity > 1


def test_runs_are_the_same_in_any_key_and_pace():
    starts, pitches = np.arange(40) / 2, np.random.default_rng(0).integers(50, 80, 40)
    numbers, places = nearest_scores.runs(starts, pitches)
    assert len(numbers) == len(places) > 0
    assert np.array_equal(nearest_scores.runs(starts * 2, pitches + 7)[0], numbers)
    assert not set(nearest_scores.runs(starts, pitches[::-1])[0]) & set(numbers)
    assert len(nearest_scores.runs(starts[:7], pitches[:7])[0]) == 0


def card_of(model):
    return " ".join((PRETRAINED / model / "README.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("model", "kind"), [("aria", "scores"), ("lumia", "pictures")])
def test_a_card_names_each_source_that_is_in_the_index_and_its_licence(model, kind):
    card, sources = card_of(model), nearest_index.load(kind).sources
    assert sources and all(source["works"] > 0 for source in sources)
    for source in sources:
        assert source["name"] in card and source["licence"] in card, source
    works = np.bincount(nearest_index.load(kind).arrays["source"], minlength=len(sources))
    assert works.tolist() == [source["works"] for source in sources]


def test_the_index_has_as_many_scores_as_aria_s_card_says_and_other_cards_name_their_pictures(index):
    assert f"{len(index.names):,} MIDI files" in card_of("aria")
    first_two = nearest_index.load("pictures").sources[:2]
    for model in ("gan", "vae"):
        assert all(source["name"] in card_of(model) and source["licence"] in card_of(model) for source in first_two)
    assert {path.name for path in PRETRAINED.iterdir()} == {"aria", "lumia", "gan", "vae"}  # a new one needs a card


def test_training_names_the_sources_that_the_index_has(index):
    for known, said in ((SCORE_SOURCES, index.sources), (PICTURE_SOURCES, nearest_index.load("pictures").sources)):
        assert list(known.values()) == [(source["name"], source["licence"]) for source in said]


def test_sources_that_nobody_named_stop_the_building(tmp_path):
    about = '[{"words": ["cat"], "source": "found somewhere", "held_out": false}]'
    np.savez(tmp_path / "pictures.npz", drawings=np.zeros((1, 64, 64, 4), np.uint8), about=about)
    with pytest.raises(ValueError, match="found somewhere"):
        build_pictures(tmp_path / "pictures.npz", tmp_path)
