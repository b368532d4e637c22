"""EnCodec and DAC on three seconds of music, against what the original packages made of it (frozen outputs)."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from ties import check_codes, recorded

from clavilux.audio.clip import Audio
from clavilux.audio.codecs import dac, encodec

GOLDENS = Path(__file__).parents[1] / "goldens"
STRIDE = 7  # of the samples of a decode that are kept


@pytest.fixture(scope="module")
def frozen():
    return load_file(GOLDENS / "codec_music.safetensors")


@pytest.fixture(scope="module")
def music():
    """48 kHz stereo and 24 kHz mono, as the script has them."""
    stereo = Audio.load(GOLDENS / "codec_music.flac").samples[None]
    assert stereo.shape == (1, 2, 3 * 48000) and stereo.std() > 0.02
    return {48000: stereo, 24000: stereo.mean(1, keepdim=True).unflatten(2, (-1, 2)).mean(3)}


@pytest.mark.parametrize(("golden", "name", "rate"), [("mono", "24khz", 24000), ("stereo", "48khz", 48000)])
def test_encodec_is_that_of_the_encodec_package(frozen, music, tmp_path, golden, name, rate):
    stem = f"{golden}.state."
    weights = load_file(GOLDENS / "encodec.safetensors")
    save_file({k.removeprefix(stem): v for k, v in weights.items() if k.startswith(stem)}, tmp_path / "a.safetensors")
    codec = encodec.load(tmp_path / "a.safetensors")
    assert codec.sample_rate == rate
    codes, scales = frozen[f"encodec_{name}.codes"].long(), frozen.get(f"encodec_{name}.scales")
    with recorded(codec) as latents:
        tokens, found = codec.encode_scaled(music[rate])
    check_codes(tokens, codes, latents(1), codec.quantizer.vectors)
    if scales is not None:
        torch.testing.assert_close(found, scales, atol=1e-6, rtol=1e-5)
    decoded = codec.decode(codes, scales)[..., ::STRIDE]
    torch.testing.assert_close(decoded, frozen[f"encodec_{name}.decoded"], atol=1e-4, rtol=0)


def test_dac_is_that_of_the_original_package(frozen, music):
    with safe_open(GOLDENS / "dac.safetensors", "pt") as file:
        kwargs = json.loads(file.metadata()["kwargs"])
    weights = load_file(GOLDENS / "dac.safetensors")
    state = {k.removeprefix("weights."): v for k, v in weights.items() if k.startswith("weights.")}
    codec = dac.from_original({"state_dict": state, "metadata": {"kwargs": kwargs}})
    codes = frozen["dac.codes"].long()
    assert torch.equal(codec.encode(music[24000]), codes)
    torch.testing.assert_close(codec.decode(codes)[..., ::STRIDE], frozen["dac.decoded"], atol=1e-4, rtol=0)
