"""`clavilux encode` and `decode`: tokens on disk and back, and one line for whatever is wrong."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from commands import call, refuse
from safetensors.torch import load_file

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.load import load_codec


@pytest.fixture(scope="module")
def codecs(tmp_path_factory):
    """name -> folder: an EnCodec of 16 kHz, one of 48 kHz in chunks, a DAC with odd rates."""
    transformers = pytest.importorskip("transformers")
    small = {"num_filters": 4, "hidden_size": 16, "codebook_size": 64}
    stereo = {
        "sampling_rate": 48000, "audio_channels": 2, "use_causal_conv": False, "norm_type": "time_group_norm",
        "normalize": True, "chunk_length_s": 1.0, "overlap": 0.01, "target_bandwidths": [1.8, 3.6],
    }  # fmt: skip
    dac = {"encoder_hidden_size": 4, "decoder_hidden_size": 16, "downsampling_ratios": [3, 5], "n_codebooks": 2}
    models = {
        "mono": transformers.EncodecModel(transformers.EncodecConfig(**small, target_bandwidths=[1.8])),
        "stereo": transformers.EncodecModel(transformers.EncodecConfig(**small, **stereo)),
        "dac": transformers.DacModel(transformers.DacConfig(**dac, codebook_size=16)),
    }
    folder = tmp_path_factory.mktemp("codecs")
    for name, model in models.items():
        model.save_pretrained(folder / name)
    return folder


@pytest.fixture
def sound(tmp_path):
    """A second and a bit of two tones, stereo, at 22050 Hz."""
    times = np.arange(25000) / 22050
    wave = np.stack([np.sin(2 * np.pi * 220 * times), np.sin(2 * np.pi * 331 * times)], axis=1)
    soundfile.write(tmp_path / "in.wav", 0.4 * wave, 22050)
    return tmp_path / "in.wav"


@pytest.mark.parametrize(("name", "rate", "channels"), [("mono", 24000, 1), ("stereo", 48000, 2), ("dac", 16000, 1)])
def test_there_and_back(codecs, sound, tmp_path, name, rate, channels):
    tokens, output = tmp_path / "tokens.safetensors", tmp_path / "out.wav"
    said = call("encode", sound, "-o", tokens, "--codec", codecs / name).stdout
    assert f"resampled from 22050 to {rate} Hz" in said and str(tokens) in said
    assert ("2 channels mixed to 1" in said) == (channels == 1)
    facts = json.loads(call("decode", tokens, "-o", output, "--codec", codecs / name, "--json").stdout)
    assert facts["sample_rate"] == rate and facts["channels"] == channels
    info = soundfile.info(output)
    assert (info.samplerate, info.channels, info.frames) == (rate, channels, round(25000 * rate / 22050))
    codec, clip = load_codec(codecs / name), Audio.load(sound).resample(rate)
    clip = clip if channels == 2 else clip.to_mono()
    scales = None
    if channels == 2:
        expected, scales = codec.encode_scaled(clip.samples[None])
    else:
        expected = codec.encode(clip.samples[None])
    assert torch.equal(load_file(tokens)["tokens"].long(), expected[0])
    decoded = codec.decode(expected, *([scales] if channels == 2 else []))[0, :, : info.frames].clamp(-1, 1)
    heard = Audio.load(output).samples[:, : decoded.shape[1]]
    torch.testing.assert_close(heard, decoded, atol=1e-4, rtol=0)


def test_a_musicgen_lends_its_codec(musicgen, sound, tmp_path):
    for kind, codebooks in (("mono", 4), ("stereo", 8)):
        folder, _ = musicgen(kind)
        call("encode", sound, "-o", tmp_path / "t.safetensors", "--codec", folder, "--quiet")
        assert load_file(tmp_path / "t.safetensors")["tokens"].shape[0] == codebooks
        call("decode", tmp_path / "t.safetensors", "-o", tmp_path / "a.flac", "--codec", folder / "model.safetensors")
        assert soundfile.info(tmp_path / "a.flac").channels == codebooks // 4
    said = refuse("decode", tmp_path / "t.safetensors", "-o", tmp_path / "b.wav", "--codec", musicgen("mono")[0])
    assert "not made by this codec" in said and not (tmp_path / "b.wav").exists()


def test_fewer_codebooks(codecs, sound, tmp_path):
    path = tmp_path / "t.safetensors"
    call("encode", sound, "-o", path, "--codec", codecs / "dac", "--codebooks", "1")
    assert load_file(path)["tokens"].shape[0] == 1
    call("decode", path, "-o", tmp_path / "a.wav", "--codec", codecs / "dac")
    assert "1 to 2 codebooks, not 3" in refuse("encode", sound, "-o", path, "--codec", codecs / "dac", "--codebooks", 3)


def damaged(kind, tmp_path):
    """A sound file that cannot be encoded."""
    path = tmp_path / "bad.wav"
    if kind == "NaN":
        soundfile.write(path, np.full(8000, np.nan, np.float32), 8000, subtype="FLOAT")
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0, np.float32), 8000)
    elif kind == "0 Hz":
        soundfile.write(path, np.zeros(800, np.float32), 8000)
        content = bytearray(path.read_bytes())
        content[24:28] = struct.pack("<I", 0)
        path.write_bytes(content)
    elif kind == "0 bytes":
        path.touch()
    elif kind == "text":
        path.write_text("this is no music")
    return path


@pytest.mark.parametrize("kind", ["NaN", "no samples", "0 Hz", "0 bytes", "text", "missing"])
def test_sound_that_cannot_be_encoded(codecs, tmp_path, kind):
    path = damaged(kind, tmp_path)
    assert str(path) in refuse("encode", path, "-o", tmp_path / "t.safetensors", "--codec", codecs / "mono")
    assert not (tmp_path / "t.safetensors").exists()


def test_one_sample_is_encoded(codecs, tmp_path):
    soundfile.write(tmp_path / "one.wav", np.full(1, 0.5), 24000)
    call("encode", tmp_path / "one.wav", "-o", tmp_path / "t.safetensors", "--codec", codecs / "mono")
    call("decode", tmp_path / "t.safetensors", "-o", tmp_path / "a.wav", "--codec", codecs / "mono")
    assert soundfile.info(tmp_path / "a.wav").frames == 1


def test_what_else_is_wrong(codecs, sound, tmp_path):
    def encode(output="t.safetensors", codec=codecs / "mono"):
        return refuse("encode", sound, "-o", tmp_path / output, "--codec", codec)

    assert "saved as .safetensors" in encode("t.wav")
    assert "there is no folder" in encode("no/t.safetensors")
    assert "neither a bundled model" in encode(codec="nothing")
    assert "holds no codec" in encode(codec=tmp_path)
    assert "without levels" in refuse("encode", sound, "--codec", codecs / "mono", "--level", 1)
    (tmp_path / "t.safetensors").write_bytes(b"12345678")
    said = refuse("decode", tmp_path / "t.safetensors", "-o", tmp_path / "a.wav", "--codec", codecs / "mono")
    assert "no readable safetensors" in said
    assert "'.xyz'" in refuse("decode", tmp_path / "t.safetensors", "-o", "a.xyz", "--codec", codecs / "mono")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "t.safetensors"]


def test_a_full_disk(codecs, sound, tmp_path):
    """A limit on the size of files stands in for it."""
    limit = "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)); "
    program = limit + "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from clavilux.cli import main; main()"
    command = ["encode", str(sound), "-o", str(tmp_path / "t.safetensors"), "--codec", str(codecs / "mono")]
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("clavilux: Could not write"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_info_of_a_codec_and_of_tokens(codecs, sound, tmp_path):
    for path in (codecs / "mono", codecs / "mono" / "model.safetensors"):
        facts = json.loads(call("info", path, "--json").stdout)
        assert (facts["kind"], facts["family"], facts["sample_rate"]) == ("codec", "encodec", 24000)
    assert facts["parameters"] > 1000
    call("encode", sound, "-o", tmp_path / "t.safetensors", "--codec", codecs / "dac")
    facts = json.loads(call("info", tmp_path / "t.safetensors", "--json").stdout)
    assert (facts["kind"], facts["duration_s"], facts["codebooks"]) == ("tokens", 1.134, 2)
    assert facts["codec"]["family"] == "dac"
