"""Folders of MusicGen in the transformers layout: what is read, and what is wrong with those that are not."""

import json
import pickle
import shutil
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from clavilux.audio.clip import Audio
from clavilux.errors import CheckpointError
from clavilux.families.musicgen import source_separation
from clavilux.families.musicgen import transformers_layout as family
from clavilux.family import Request
from clavilux.music_model import MusicModel

pytest.importorskip("transformers")
CPU = torch.device("cpu")


@pytest.fixture
def folder(musicgen, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(musicgen("mono")[0], tmp_path / "copy")


def load(folder):
    return family.load(folder, json.loads((folder / "config.json").read_text()), CPU, "float32")


def tokens(loaded):
    return MusicModel(loaded).generate("slow rain", seconds=0.05, temperature=0).tokens


def rewrite(folder, change):
    """Save the tensors anew after change(tensors)."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


def test_shards_are_read(musicgen, folder):
    theirs, model = musicgen("mono")
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert torch.equal(tokens(load(folder)), tokens(load(theirs)))
    next(iter(sorted(folder.glob("model-*.safetensors")))).unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        load(folder)


def test_a_plain_bin_is_read_and_one_with_code_is_not(musicgen, folder, tmp_path):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert torch.equal(tokens(load(folder)), tokens(load(musicgen("mono")[0])))

    class RunsCode:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        save({"weight": RunsCode()}, folder / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match="could run code|damaged"):
            load(folder)
    assert not (tmp_path / "ran").exists()


def test_older_files_are_read(folder):
    """They name the text's table twice, and hold the sines of the positions."""

    def change(tensors):
        tensors["text_encoder.encoder.embed_tokens.weight"] = tensors["text_encoder.shared.weight"].clone()
        tensors["decoder.model.decoder.embed_positions.weights"] = torch.zeros(1024, 32)

    before = tokens(load(folder))
    rewrite(folder, change)
    assert torch.equal(tokens(load(folder)), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("decoder.lm_heads.2.weight"), r"lacks decoder\.lm_heads\.2\.weight"),
        (lambda t: t.update(odd=torch.zeros(1)), "it has odd"),
        (
            lambda t: t.update({"decoder.lm_heads.2.weight": torch.zeros(31, 32)}),
            r"decoder\.lm_heads\.2\.weight is \(31, 32\), not \(32, 32\)",
        ),
        (
            lambda t: t["decoder.lm_heads.2.weight"][3, 4].fill_(torch.nan),
            r"not finite in decoder\.lm_heads\.2\.weight",
        ),
        (
            lambda t: t["decoder.lm_heads.2.weight"][3, 4].fill_(-torch.inf),
            r"not finite in decoder\.lm_heads\.2\.weight",
        ),
        (lambda t: t.pop("text_encoder.shared.weight"), r"text encoder .* lacks shared\.weight"),
        (lambda t: t.update({"text_encoder.odd": torch.zeros(1)}), r"text encoder .* has odd"),
        (lambda t: t.update({"audio_encoder.odd": torch.zeros(1)}), r"codec of the checkpoint .* has odd"),
        (lambda t: t.pop("enc_to_dec_proj.bias"), r"lacks enc_to_dec_proj\.bias"),
    ],
)
def test_tensors_that_differ_are_named(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_damaged_files(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    flipped = bytearray(whole)
    flipped[20] ^= 0x04
    for damaged in (b"", whole[:5], whole[: header // 2], whole[:-100], bytes(flipped), whole + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            load(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="holds no weights"):
        load(folder)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (
            "decoder",
            {"hidden_size": 10**12},
            "hidden_size is 1000000000000; it should be a whole number",
        ),
        ("decoder", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ("decoder", {"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ("decoder", {"num_attention_heads": 3}, "multiple of the 3 heads"),
        ("decoder", {"num_attention_heads": 0}, "num_attention_heads is 0"),
        ("decoder", {"vocab_size": "2048"}, "vocab_size is '2048'"),
        ("decoder", {"num_codebooks": 3, "audio_channels": 2}, "two channels need an even number"),
        ("decoder", {"audio_channels": 6}, "audio_channels is 6"),
        ("decoder", {"activation_function": "relu"}, "activation_function is 'relu'"),
        ("decoder", {"tie_word_embeddings": True}, "tie_word_embeddings"),
        ("decoder", {"pad_token_id": 0}, "pad_token_id is 0; it should be 32"),
        ("decoder", {"max_position_embeddings": 1}, "the context is 1 frames"),
        ("decoder", {"num_hidden_layers": 3}, r"lacks decoder\.model\.decoder\.layers\.2"),
        ("text_encoder", {"model_type": "umt5"}, "the text encoder is 'umt5'; t5 is known"),
        ("text_encoder", {"d_model": None}, "d_model is None"),
        ("text_encoder", {"num_layers": 3}, "text encoder"),
        ("audio_encoder", {"model_type": "dac"}, "the codec 'dac'; encodec is known"),
        ("audio_encoder", {"sampling_rate": 0}, "sampling_rate is 0"),
        ("audio_encoder", {"codebook_size": 16}, "codec"),
        ("audio_encoder", {"normalize": True}, "in chunks or with scales"),
        ("audio_encoder", {"upsampling_ratios": []}, "codec of the checkpoint .* 1 to 12 ratios"),
    ],
)
def test_configs_that_do_not_do_are_named(folder, part, change, message):
    config = json.loads((folder / "config.json").read_text())
    config[part] |= change
    with pytest.raises(CheckpointError, match=message):
        family.load(folder, config, CPU, "float32")


@pytest.mark.parametrize("part", ["decoder", "text_encoder", "audio_encoder"])
def test_a_part_that_is_missing_is_named(folder, part):
    config = json.loads((folder / "config.json").read_text())
    del config[part]
    with pytest.raises(CheckpointError, match=part):
        family.load(folder, config, CPU, "float32")
    with pytest.raises(CheckpointError, match="describes no MusicGen"):
        family.load(folder, config | {part: 3}, CPU, "float32")


def test_a_generation_config_that_is_no_json(folder):
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is no JSON"):
        load(folder)


def test_facts_without_reading_weights(folder):
    config = json.loads((folder / "config.json").read_text())
    facts = family.facts(folder, config)
    model = MusicModel(load(folder))
    assert facts["parameters"] == model.family.stage.decoder.num_parameters
    assert facts["family"] == "MusicGen (mono)"
    assert facts["licence"] == "not stated"
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A model\n")
    assert family.facts(folder, config)["licence"] == "cc-by-nc-4.0"
    short, long = (family.memory_needed(folder, config, seconds, 1, "float32") for seconds in (0.1, 100))
    assert 4 * facts["parameters"] < short < long < family.memory_needed(folder, config, 100, 8, "float32")
    json.dumps(facts)


def test_memory_of_the_released_sizes():
    """MusicGen-small: 420 M parameters in the decoder, 110 M in T5, 59 M in the codec."""
    text = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "vocab_size": 32128}
    config = {
        "model_type": "musicgen",
        "decoder": {"pad_token_id": 2048},
        "text_encoder": text,
        "audio_encoder": {"model_type": "encodec", "sampling_rate": 32000, "upsampling_ratios": [8, 5, 4, 4]},
    }
    sizes = family._blueprint(config, {})
    assert sizes.decoder_parameters == pytest.approx(420e6, rel=0.01)
    assert sizes.text_parameters == pytest.approx(110e6, rel=0.01)
    assert sizes.windows.context == 1503
    # Resident at their peaks, measured with 2 s (float32: 0.4 s) and random weights.
    for dtype, measured in {"auto": 4139, "float32": 3625}.items():
        assert sizes.memory_bytes(2, 1, dtype) == pytest.approx(measured * 2**20, rel=0.1)
    # On a GPU both have a captured step's room for 768 positions: what differs is their sound.
    short, long = (sizes.memory_bytes(seconds, 1, "bfloat16") for seconds in (15.1, 15.2))
    assert long - short == 3 * 4 * 3200


@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_a_recording_is_continued(musicgen, kind, tmp_path):
    loaded = load(musicgen(kind)[0])
    model, codec = MusicModel(loaded), loaded.stage.codec
    clip = Audio(0.1 * torch.randn(2, 44_100 // 4, generator=torch.Generator().manual_seed(0)), 44_100)
    song = model.generate("rain", seconds=0.5, continue_from=clip, seed=1)
    given = clip.resample(16000)
    given = given.samples if kind == "stereo" else given.to_mono().samples
    frames = codec.encode(given[None, :, : 4000 // 32 * 32])
    assert torch.equal(song.tokens[:, :125], frames[0])
    assert song.samples.shape == (1 + (kind == "stereo"), 8000)
    assert any("continues a recording" in note for note in song.receipt["notes"])
    clip.save(tmp_path / "given.wav", loudness=False)
    again = model.generate("rain", seconds=0.5, continue_from=tmp_path / "given.wav", seed=1)
    assert again.tokens.shape == song.tokens.shape


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"continue_from": Audio(torch.zeros(1, 1), 16000)}, ValueError, "has 1 samples at 16000 Hz; .* at least 32"),
        ({"continue_from": Audio(torch.zeros(1, 16000), 16000)}, ValueError, "lasts 1.00 s already; ask for more"),
        ({"continue_from": "tune.mid"}, ValueError, "MIDI file"),
        ({"continue_from": "nothing.wav"}, ValueError, "here is no file"),
        ({"continue_from": 3}, TypeError, "should be a sound file or an Audio"),
        ({"padding": "both"}, ValueError, "padding is 'both'; it should be masked or unmasked"),
        ({"window_s": 0}, ValueError, "window_s is 0; it should be above 0 and at most 2.048"),
        ({"window_s": 60.0}, ValueError, "window_s is 60.0"),
        ({"window_s": "all"}, TypeError, "window_s is 'all'"),
        ({"stride_s": float("nan")}, ValueError, "stride_s is nan"),
        ({"melody": "hum.wav"}, TypeError, "does not take melody"),
    ],
)
def test_controls_that_do_not_do_are_named(musicgen, options, error, message):
    with pytest.raises(error, match=message):
        MusicModel(load(musicgen("mono")[0])).generate("rain", seconds=0.5, **options)


def test_a_melody_is_read_from_a_file_and_said_to_be_a_mix(musicgen, tmp_path):
    loaded = load(musicgen("melody")[0])
    Audio(0.1 * torch.sin(torch.arange(20_000) * 0.2)[None], 22_050).save(tmp_path / "hum.wav")
    song = MusicModel(loaded).generate("rain", seconds=0.1, melody=tmp_path / "hum.wav", seed=0)
    assert song.receipt["controls"]["melody"] == "hum.wav"
    assert song.receipt["notes"] == ["the melody is taken from the whole mix"]
    plain = loaded.generation(Request("rain", 0.1, 0))
    with_melody = loaded.generation(Request("rain", 0.1, 0, controls={"melody": str(tmp_path / "hum.wav")}))
    assert plain.conditioning.num_prefix == with_melody.conditioning.num_prefix == 235 + 2
    assert not torch.equal(plain.conditioning.prefix, with_melody.conditioning.prefix)
    assert torch.equal(plain.unconditional.prefix, with_melody.unconditional.prefix)


def test_a_melody_too_short_for_a_pitch_is_refused(musicgen):
    model = MusicModel(load(musicgen("melody")[0]))
    with pytest.raises(ValueError, match=r"the melody lasts 6.25e-05 s; it should last 0.256 s at least"):
        model.generate("rain", seconds=0.1, melody=Audio(torch.zeros(1, 1), 16_000))
    assert model.generate("rain", seconds=0.1, melody=Audio(torch.zeros(1, 4096), 16_000)).tokens.shape == (4, 50)


def separator(monkeypatch, get_model):
    """Stands in for Demucs 4: drums, bass and the rest are shares of the mix, as large as it was normalized to."""
    parts = {name: ModuleType(name) for name in ("demucs", "demucs.apply", "demucs.pretrained")}
    parts["demucs.pretrained"].get_model = get_model
    parts["demucs.apply"].apply_model = lambda model, mix, shifts, split, device: torch.stack(
        [mix * share for share in (0.3, 0.2, 0.1, 0.4)], 1
    )
    for name, module in parts.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(source_separation, "installed", lambda: True)
    source_separation._demucs.cache_clear()
    monkeypatch.setattr(source_separation, "_demucs", source_separation._demucs.__wrapped__)  # not kept for other tests


def test_a_melody_is_heard_without_drums_and_bass_where_demucs_is_installed(musicgen, monkeypatch):
    model = SimpleNamespace(samplerate=44_100, sources=["drums", "bass", "other", "vocals"])
    model.eval = lambda: model
    separator(monkeypatch, lambda name: model)
    hum = Audio(0.1 * torch.sin(torch.arange(20_000) * 0.2)[None], 22_050)
    left = source_separation.without_rhythm(hum, torch.device("cpu"))
    assert torch.allclose(left.samples, 0.5 * hum.resample(44_100).samples.expand(2, -1), atol=1e-4)
    song = MusicModel(load(musicgen("melody")[0])).generate("rain", seconds=0.1, melody=hum, seed=0)
    assert song.receipt["notes"] == ["the melody is taken from the mix without drums and bass, by demucs"]


def test_a_demucs_without_weights_is_said(musicgen, monkeypatch):
    def get_model(name):
        raise OSError("no network")

    separator(monkeypatch, get_model)
    hum = Audio(0.1 * torch.sin(torch.arange(20_000) * 0.2)[None], 22_050)
    song = MusicModel(load(musicgen("melody")[0])).generate("rain", seconds=0.1, melody=hum, seed=0)
    assert song.receipt["notes"] == [
        "the melody is taken from the whole mix: demucs is installed and cannot be used (no network)"
    ]


def test_a_very_long_prompt_is_cut_and_said_to_be(musicgen):
    job = load(musicgen("mono")[0]).generation(Request("rain " * 20_000, 0.1, 0))
    assert job.conditioning.memory.shape == (1, 512, 32)
    assert job.receipt["notes"] == ["the last 19489 tokens of the prompt were too many to be read"]
    assert len(job.receipt["prompt"]) == 500


def test_a_melody_goes_on_in_later_windows(musicgen):
    loaded = load(musicgen("melody")[0])
    samples = torch.sin(torch.arange(30_000) * torch.linspace(0.05, 0.4, 30_000))
    request = Request("rain", 4.0, 0, controls={"melody": Audio(samples[None], 16_000)})
    conditioning = loaded.generation(request).conditioning
    assert loaded.stage.windows.stride == 614  # of 1024 frames
    assert len(conditioning.window_prefixes) == 2
    repeated = samples.repeat(4)
    for index, prefix in enumerate((conditioning.prefix, *conditioning.window_prefixes)):
        held = repeated[index * 614 * 32 :][: 1024 * 32]
        moved = Request("rain", 1.0, 0, controls={"melody": Audio(held[None], 16_000)})
        torch.testing.assert_close(prefix, loaded.generation(moved).conditioning.prefix)
    song = MusicModel(loaded).generate("rain", seconds=4.0, seed=0, melody=Audio(samples[None], 16_000))
    assert song.tokens.shape == (4, 2000)
