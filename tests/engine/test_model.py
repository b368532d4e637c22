"""The bundled model end to end: repeatable, exact, streamed, continued; bad input in one sentence."""

import json
import shutil

import numpy as np
import pytest
import torch

import clavilux
from clavilux.audio.chart import parse_chords
from clavilux.audio.clip import Audio
from clavilux.checkpoint import PRETRAINED

PROMPT = "slow church organ chorale in G minor"


@pytest.fixture(scope="module")
def model():
    return clavilux.load("aria")


@pytest.fixture(scope="module")
def song(model):
    return model.generate(PROMPT, seconds=8, seed=3)


def test_the_same_seed_gives_the_same_song_and_another_differs(model, song):
    again = model.generate(PROMPT, seconds=8, seed=3)
    assert torch.equal(song.tokens, again.tokens)
    assert torch.equal(song.samples, again.samples)
    other = model.generate(PROMPT, seconds=8, seed=4)
    assert song.tokens.shape != other.tokens.shape or not torch.equal(song.tokens, other.tokens)


def test_a_row_does_not_depend_on_its_batch(model, song):
    rows = model.generate(["ragtime piano", PROMPT, "brass chorale"], seconds=8, seed=[11, 3, 5])
    assert torch.equal(rows[1].tokens, song.tokens)
    assert torch.equal(rows[1].samples, song.samples)
    assert rows[0].receipt["seed"] == 11


def test_a_batch_has_seeds_one_after_another(model, song):
    two = model.generate(PROMPT, seconds=8, seed=2, batch=2)
    assert torch.equal(two[1].tokens, song.tokens)


def test_pieces_of_a_stream_are_the_whole(model, song):
    pieces = list(model.stream(PROMPT, seconds=8, seed=3))
    assert len(pieces) > 1
    assert torch.equal(torch.cat([p.samples for p in pieces], dim=1), song.samples)


def test_what_is_asked_is_exact(model):
    song = model.generate(
        "string quartet", seconds=20, seed=1, key="E minor", tempo=72, metre="3/4", chords="Em Am B7 Em"
    )
    assert song.samples.shape == (2, 20 * 44100)
    score = song.score
    assert score.tempos == ((0.0, 72.0),) and score.metres == ((0.0, (3, 4)),)
    assert str(score.key) == "E minor" and score.duration_s == pytest.approx(20)
    asked = [bar[0] for bar in parse_chords("Em Am B7 Em")] * 2
    starts = dict(score.chords)
    current, heard = None, []
    for bar in range(8):
        current = starts.get(bar * 3.0, current)
        heard.append(current)
    assert heard == asked
    assert set(score.notes["program"].tolist()) == {40, 41, 42}
    bars = np.floor(score.notes["start"] / 3 + 1e-6)
    assert set(bars.tolist()) >= set(range(8))


def test_longer_than_the_context(model):
    song = model.generate("ragtime piano", seconds=60, seed=2)
    assert song.tokens.shape[1] > model.family.stage.windows.context
    bar = 2.0
    last = song.score.bar_starts()[-2]
    assert {int(q // bar) for q in song.score.notes["start"] if q < last} == set(range(int(last // bar)))


def test_greedy_and_guidance_are_taken(model):
    greedy = [model.generate("waltz", seconds=4, seed=s, temperature=0, key="C", tempo=120, style="romantic",
                             form="free", instruments="piano") for s in (1, 2)]  # fmt: skip
    assert torch.equal(greedy[0].tokens, greedy[1].tokens)
    assert model.generate("waltz", seconds=4, seed=1, guidance=1.5).samples.shape[1] == 4 * 44100


def test_continuing_a_midi_file(model, tmp_path):
    first = model.generate("string quartet", seconds=8, seed=6, key="D minor", tempo=90, metre="3/4")
    first.save(tmp_path / "first.mid")
    more = model.generate("", seconds=20, seed=7, continue_from=tmp_path / "first.mid")
    assert more.score.metres == ((0.0, (3, 4)),) and more.score.tempos == ((0.0, 90.0),)
    assert str(more.score.key) == "D minor"
    given = clavilux.audio.score.Score.from_midi(tmp_path / "first.mid").notes
    same = more.score.notes[: len(given)]
    for field in ("start", "pitch", "program", "velocity"):
        assert (same[field] == given[field]).all()
    assert len(more.score.notes) > len(given) and more.duration_s == 20
    assert any("continues a score" in note for note in more.receipt["notes"])


def test_continuing_a_recording(model, tmp_path):
    first = model.generate("ragtime piano", seconds=8, seed=6, key="C major", tempo=100, chords="C F G7 C")
    mono = Audio(first.samples.mean(dim=0, keepdim=True), 44100).resample(22050)
    mono.save(tmp_path / "first.wav")
    done = []
    more = model.generate(
        "piano", seconds=14, seed=7, continue_from=tmp_path / "first.wav", progress=lambda at, _: done.append(at)
    )
    assert more.samples.shape == (2, 14 * 44100)
    assert min(done) > 8 and max(done) == 14  # the recording counts
    assert any("continues a recording" in note for note in more.receipt["notes"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": 1e9}, "at most 3600"),
        ({"tempo": 0}, "20"),
        ({"tempo": 10_000}, "300"),
        ({"metre": "7/0"}, "metre"),
        ({"chords": "C H#"}, "H#"),
        ({"key": "Q flat"}, "Q flat"),
        ({"style": "polka metal"}, "style"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": [1, 2]}, "2 seeds"),
        ({"temperature": -1}, "temperature is -1"),
        ({"continue_from": "nowhere.mid"}, "nowhere.mid"),
    ],
)
def test_bad_arguments_are_one_clear_sentence(model, options, sentence):
    with pytest.raises(ValueError, match=sentence.replace("#", r"\#")) as error:
        model.generate("waltz", **{"seconds": 4, **options})
    assert "\n" not in str(error.value)


def test_an_argument_that_it_does_not_take_names_those_it_does(model):
    with pytest.raises(TypeError, match="does not take lyrics; it takes anything, bars, batch, chords"):
        model.generate("waltz", seconds=4, lyrics="la la")


@pytest.fixture
def copy(tmp_path):
    source = PRETRAINED / "aria"
    return shutil.copytree(source, tmp_path / "copy")


def test_a_folder_loads_like_the_bundled_name(copy, song):
    again = clavilux.load(copy).generate(PROMPT, seconds=8, seed=3)
    assert torch.equal(again.tokens, song.tokens)


def test_damaged_checkpoints_are_named(copy):
    weights = copy / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    with pytest.raises(clavilux.CheckpointError, match="is damaged"):
        clavilux.load(copy)
    weights.unlink()
    with pytest.raises(clavilux.CheckpointError, match="is missing"):
        clavilux.load(copy)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "nan"])
def test_weights_that_do_not_fit_are_named(copy, change):
    from safetensors.torch import load_file, save_file

    path = copy / "model.safetensors"
    weights = load_file(path)
    name = "decoder.layers.0.ffn.up.weight"
    if change == "missing":
        del weights[name]
    elif change == "extra":
        weights["decoder.layers.9.extra"] = torch.zeros(1)
        name = "decoder.layers.9.extra"
    elif change == "shape":
        weights[name] = weights[name][:, :-1].contiguous()
    else:
        weights[name][0, 0] = float("nan")
    save_file(weights, path)
    with pytest.raises(clavilux.CheckpointError, match=name.replace(".", r"\.")):
        clavilux.load(copy)


def test_a_decoder_with_another_number_of_ids_is_no_composer(copy):
    """Config and weights agree with each other, not with the vocabulary that the config names."""
    from safetensors.torch import load_file, save_file

    config, path = json.loads((copy / "config.json").read_text()), copy / "model.safetensors"
    ids = config["decoder"]["vocabulary"]
    weights = load_file(path)
    for name, tensor in weights.items():
        if tensor.shape[0] == ids:
            weights[name] = torch.cat([tensor, tensor[:1]])
    save_file(weights, path)
    config["decoder"] |= {name: ids + 1 for name, value in config["decoder"].items() if value == ids}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(clavilux.CheckpointError, match=f"of {ids + 1} ids, .* has 1 of {ids}, {ids} of them"):
        clavilux.load(copy)


def test_unknown_family_and_source(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "family": "opera"}))
    with pytest.raises(clavilux.CheckpointError, match="'opera'; those known are aria"):
        clavilux.load(copy)
    with pytest.raises(clavilux.CheckpointError, match="neither a bundled model"):
        clavilux.load("nothing-here")
