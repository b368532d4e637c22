"""When lyrics are sung: attention against frozen outputs of transformers 4.57.6, and the way through it."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from jukebox_goldens import frozen, labels_of, numbers, prior_of, save_toy
from safetensors.torch import load_file

import clavilux
from clavilux.families.jukebox.alignment import Alignment, aligned, attention, draw, monotone

GOLDEN = Path(__file__).parents[2] / "goldens" / "jukebox_alignment.safetensors"


@pytest.mark.parametrize(("name", "layer"), [("separate", 18), ("merged", 15), ("merged", 31)])
def test_attention_is_that_of_transformers(name, layer):
    prior, expected = prior_of(name), load_file(GOLDEN)[f"{name}.{layer}"]
    start, tokens = numbers()["start"], frozen(name)[2]["tokens"].long()
    for row, head in product(range(2), range(2)):
        labels = labels_of(name, row)
        given, prompt = prior.conditioning(labels, [start], None), prior.prompt(labels, start, 1)
        found = attention(prior, tokens[row : row + 1, None], prompt, given, layer, head)
        torch.testing.assert_close(found[0], expected[row, head], rtol=0, atol=1e-5)


def test_a_song_takes_each_token_from_the_window_that_drew_it():
    prior, labels = prior_of("separate"), labels_of("separate")
    prior.sizes = replace(prior.sizes, alignment=(18, 1))
    tokens = frozen("separate")[2]["greedy"].long()[:, :67]
    song = aligned(prior, labels, "x" * 40, tokens, [(0, 48), (19, 67)], 0.5)
    given, prompt = prior.conditioning(labels, [19], None), prior.prompt(labels, 19, 1)
    second = attention(prior, tokens[:, None, 19:], prompt, given, 18, 1)[0].numpy()
    shown = np.flatnonzero(song.weights[60])
    assert shown[-1] - shown[0] == 11
    np.testing.assert_allclose(song.weights[48:, shown[0] : shown[-1] + 1], second[29:], atol=1e-6)
    assert song.path.shape == (67,) and (np.diff(song.path) >= 0).all()
    with pytest.raises(ValueError, match="the song has no lyrics"):
        aligned(prior, labels, "", tokens, [(0, 48)], 0.5)


def test_the_way_never_goes_back_and_is_the_best():
    weights = np.random.default_rng(3).random((5, 4)).astype(np.float32)
    ways = [way for way in product(range(4), repeat=5) if list(way) == sorted(way)]
    best = max(ways, key=lambda way: sum(np.log(weights[step, place] + 1e-6) for step, place in enumerate(way)))
    assert tuple(monotone(weights)) == best


def test_words_have_times(tmp_path):
    path = np.array([0, 0, 1, 3, 3, 4, 7, 8, 8])
    song = Alignment(np.ones((9, 11), np.float32), path, "la da di du", 0.5)
    assert song.words() == [
        {"word": "la", "first_character": 0, "start_s": 0.0, "end_s": 1.5},
        {"word": "da", "first_character": 3, "start_s": 1.5, "end_s": 3.0},
        {"word": "di", "first_character": 6, "start_s": 3.0, "end_s": 3.5},
    ]  # "du" is not reached
    draw(song, tmp_path / "song.png")
    assert (tmp_path / "song.png").stat().st_size > 1000


def test_a_job_is_aligned_on_the_command_line(tmp_path, monkeypatch, capsys):
    from clavilux.cli import app as cli

    folder = save_toy(tmp_path / "toy", "original", "separate")
    own = json.loads((folder / "jukebox.json").read_text())
    own["levels"]["2"]["alignment"] = [18, 0]
    (folder / "jukebox.json").write_text(json.dumps(own))
    clavilux.load(folder, device="cpu").generate(
        seconds=80, seed=2, levels=1, hop=0.4, lyrics="la la lu, do re mi", song_s=100, job=tmp_path / "job",
        job_metadata={"model": str(folder), "output": "x.wav", "loudness": False},
    )  # fmt: skip
    command = ["clavilux", "align", str(tmp_path / "job"), "-o", str(tmp_path / "lyrics.json")]
    monkeypatch.setattr("sys.argv", [*command, "--plot", str(tmp_path / "lyrics.png")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0, capsys.readouterr().err
    words = json.loads((tmp_path / "lyrics.json").read_text())["words"]
    assert words and words[0]["word"] == "la" and all(word["start_s"] <= word["end_s"] <= 80.7 for word in words)
    assert (tmp_path / "lyrics.png").exists()
    monkeypatch.setattr("sys.argv", [*command[:-1], "lyrics.txt"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2 and "should end in .json" in capsys.readouterr().err
