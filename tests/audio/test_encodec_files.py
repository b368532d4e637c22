"""EnCodec's checkpoints: every layout gives the same codec, and bad files are refused in one sentence."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from clavilux.audio.codecs.encodec import Encodec, EncodecSpec, checkpoint_names, from_config, load, pretrained_name
from clavilux.audio.codecs.seanet import SeanetSpec

GOLDEN = Path(__file__).parents[1] / "goldens" / "encodec.safetensors"
CONFIG = {
    "model_type": "encodec", "sampling_rate": 16000, "num_filters": 4, "hidden_size": 8, "upsampling_ratios": [4, 2],
    "num_lstm_layers": 1, "use_causal_conv": False, "codebook_size": 32, "target_bandwidths": [20.0],
    "pad_mode": "constant", "use_conv_shortcut": False, "vocab_size": 5,
}  # fmt: skip
CFG = """
compression_model: encodec
sample_rate: 16000
channels: 1
solver: 'compression'
encodec:
  autoencoder: seanet
  quantizer: rvq
  sample_rate: ${sample_rate}
  channels: ${channels}
  causal: false
  renormalize: false
seanet:
  dimension: 8
  channels: ${channels}
  causal: ${encodec.causal}
  n_filters: 4
  n_residual_layers: 1
  ratios:
  - 4
  - 2
  activation: ELU
  activation_params:
    alpha: 1.0
  norm: weight_norm
  norm_params: {}
  kernel_size: 7
  residual_kernel_size: 3
  last_kernel_size: 7
  dilation_base: 2
  pad_mode: constant
  true_skip: true
  compress: 2
  lstm: 1
  disable_norm_outer_blocks: 0
  encoder: {}
  decoder:
    trim_right_ratio: 1.0
    final_activation: null
rvq:
  n_q: 2
  bins: 32
"""


def golden(name):
    """(state dict by the original names, the other tensors) of a codec of encodec 0.1.1."""
    tensors = {key.removeprefix(name + "."): value for key, value in load_file(GOLDEN).items() if key.startswith(name)}
    state = {key.removeprefix("state."): value for key, value in tensors.items() if key.startswith("state.")}
    return state, tensors


def error(found, expected):
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


@pytest.mark.parametrize("ending", [".th", ".safetensors"])
def test_the_causal_codec_of_the_encodec_package(tmp_path, ending):
    state, tensors = golden("mono")
    path = tmp_path / ("encodec_24khz" + ending)
    save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
    codec = load(path)
    assert (codec.sample_rate, codec.channels, codec.hop, codec.codebooks) == (24000, 1, 40, 4)
    assert codec.spec.network.causal and not codec.scaled
    assert torch.equal(codec.encode(tensors["samples"]), tensors["codes"].long())
    assert tensors["decoded"].abs().max() > 0.1
    assert error(codec.decode(tensors["codes"].long()), tensors["decoded"]) < 1e-5


def test_the_chunked_codec_of_the_encodec_package(tmp_path):
    state, tensors = golden("stereo")
    save_file(state, tmp_path / "a.safetensors")
    codec = load(tmp_path / "a.safetensors")
    spec = codec.spec
    assert (codec.sample_rate, codec.channels, codec.hop, codec.scaled) == (48000, 2, 24, True)
    assert (spec.chunk_samples, spec.stride_samples, spec.network.causal) == (48000, 47520, False)
    # the golden is of a lower rate and shorter chunks, to be small
    codec = load(tmp_path / "a.safetensors", replace(spec, sample_rate=2400, chunk_samples=1200, stride_samples=1188))
    tokens, scales = codec.encode_scaled(tensors["samples"])
    assert torch.equal(tokens, tensors["codes"].long())
    assert error(scales, tensors["scales"]) < 1e-6
    assert error(codec.decode(tokens, scales), tensors["decoded"]) < 1e-5


def stored(original, *, newer_norm=True):
    """Random weights of `CONFIG` by a checkpoint's names: transformers' or the original ones, with weight norm."""
    torch.manual_seed(4)
    codec = Encodec(EncodecSpec.from_transformers(CONFIG))
    tensors = {}
    for ours, theirs in checkpoint_names(codec, original).items():
        tensor = torch.randn(codec.state_dict()[ours].shape) / 4
        if theirs.endswith(("conv.weight", "convtr.weight")):
            stem = theirs.removesuffix("weight")
            g, v = ("parametrizations.weight.original0", "parametrizations.weight.original1")
            g, v = (g, v) if newer_norm else ("weight_g", "weight_v")
            norm = tensor.flatten(1).norm(dim=1)[:, None, None]
            tensors |= {stem + g: norm, stem + v: tensor * 3}
        else:
            tensors[theirs] = tensor
    for index in range(codec.codebooks):
        stem = f"quantizer.vq.layers.{index}._codebook." if original else f"quantizer.layers.{index}.codebook."
        tensors |= {stem + "inited": torch.ones(1), stem + "cluster_size": torch.ones(32)}
        tensors[stem + "embed_avg"] = torch.zeros(32, 8)
    return tensors


@pytest.fixture(scope="module")
def expected():
    """Sound, its tokens and their decode."""
    codec = from_config(CONFIG, stored(False))
    torch.manual_seed(9)
    sound = torch.randn(1, 1, 700)
    tokens = codec.encode(sound)
    assert len(tokens.unique()) > 8
    return sound, tokens, codec.decode(tokens)


def same(codec, expected):
    sound, tokens, decoded = expected
    return torch.equal(codec.encode(sound), tokens) and error(codec.decode(tokens), decoded) < 1e-6


@pytest.mark.parametrize("newer_norm", [True, False])
def test_a_transformers_folder(tmp_path, expected, newer_norm):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    weights = stored(False, newer_norm=newer_norm)
    save_file(weights, tmp_path / "model.safetensors")
    assert same(load(tmp_path), expected)
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    assert same(load(tmp_path), expected)


def test_shards(tmp_path, expected):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    weights = stored(False)
    names = sorted(weights)
    shards = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, part in shards.items() for name in part}}))
    assert same(load(tmp_path), expected)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(ValueError, match=r"b.safetensors' is missing"):
        load(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    with pytest.raises(ValueError, match="outside its folder"):
        load(tmp_path)


def test_an_audiocraft_file(tmp_path, expected):
    path = tmp_path / "compression_state_dict.bin"
    torch.save({"best_state": stored(True, newer_norm=False), "xp.cfg": CFG, "version": "1", "exported": True}, path)
    codec = load(path)
    assert same(codec, expected) and codec.spec == replace(EncodecSpec.from_transformers(CONFIG), bandwidths=())
    assert pretrained_name(path) is None
    torch.save({"pretrained": "facebook/encodec_32khz", "exported": True}, path)
    assert pretrained_name(path) == "facebook/encodec_32khz"
    with pytest.raises(ValueError, match="load 'facebook/encodec_32khz'"):
        load(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  n_q: 2\n", "", "lacks 'rvq.n_q'"),
        ("\nsample_rate: 16000", "", "lacks 'sample_rate', which is needed by way of encodec.sample_rate"),
        ("\nchannels: 1", "\nchannels: ${encodec.channels}", "round in circles"),
        ("activation: ELU", "activation: Snake", "seanet.activation of the checkpoint's xp.cfg is 'Snake'"),
        ("compression_model: encodec", "compression_model: dac", "only 'encodec' is supported"),
        ("norm: weight_norm", "norm: layer_norm", "seanet.norm"),
        ("pad_mode: constant", "pad_mode: !!python/object:os.system", "pad_mode"),
        (
            "n_filters: 4",
            "n_filters: 4000000000",
            "filters of EnCodec is [0-9]+; it should be a whole number from 1 to 65536",
        ),
        ("final_activation: null", "final_activation: Tanh", "final_activation"),
    ],
)
def test_audiocraft_configs_that_are_not_understood(old, new, said):
    assert CFG.count(old) >= 1
    with pytest.raises(ValueError, match=said):
        EncodecSpec.from_audiocraft(CFG.replace(old, new, 1))


def test_other_ways_to_write_yaml():
    spec = EncodecSpec.from_audiocraft(CFG)
    text = CFG.replace("ratios:\n  - 4\n  - 2", "ratios: [4, 2]  # down to up").replace(
        "true_skip: true", "true_skip: True"
    )
    assert EncodecSpec.from_audiocraft(text) == spec
    assert EncodecSpec.from_audiocraft(CFG.replace("  - ", "    - ")) == spec
    assert spec.network == SeanetSpec(
        latent_width=8, filters=4, ratios=(4, 2), lstm_layers=1, causal=False, pad_mode="constant", conv_shortcut=False
    )


def altered(change):
    weights = stored(False)
    change(weights)
    return weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("encoder.layers.0.conv.bias"), r"lacks encoder.layers.0.conv.bias"),
        (lambda w: w.update({"encoder.extra": torch.ones(1)}), "has encoder.extra"),
        (lambda w: w.update({"encoder.layers.0.conv.bias": torch.ones(5)}), r"conv.bias is \(5,\), not \(4,\)"),
        (lambda w: w["encoder.layers.0.conv.bias"].fill_(torch.nan), "not finite in encoder.layers.0.conv.bias"),
        (lambda w: w.pop("encoder.layers.0.conv.parametrizations.weight.original0"), "layers.0.conv has only the"),
        (lambda w: w.update({"quantizer.layers.2.codebook.embed": torch.ones(32, 8)}), "has quantizer.layers.2"),
        (lambda w: w.update({"decoder.layers.0.conv.bias": [1]}), "tensors only, but decoder.layers.0.conv.bias"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit(change, said):
    with pytest.raises(ValueError, match=said):
        from_config(CONFIG, altered(change))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"model_type": "dac"}, "of a 'dac'; it should be of an 'encodec'"),
        ({"num_filters": 10**9}, "filters of EnCodec is [0-9]+; it should be a whole number from 1 to 65536"),
        ({"upsampling_ratios": [4] * 10**4}, "1 to 12 ratios"),
        ({"upsampling_ratios": 7}, "1 to 12 ratios"),
        ({"upsampling_ratios": [4, "2"]}, "ratios of EnCodec"),
        ({"target_bandwidths": []}, "target_bandwidths"),
        ({"target_bandwidths": [1e-9]}, "codebooks of EnCodec is [0-9]+; it should be a whole number from 1"),
        ({"norm_type": "batch"}, "norm_type"),
        ({"pad_mode": "circular"}, "pad_mode"),
        ({"chunk_length_s": 1.0}, "overlap"),
        ({"codebook_dim": 3}, "codebook_dim 3"),
        ({"sampling_rate": 0}, "sampling_rate"),
        ({"trim_right_ratio": 0.5}, "needs causal"),
        ({"use_causal_conv": "yes"}, "causal of EnCodec is 'yes'; it should be true or false"),
        ({"num_residual_layers": 0}, "residual_layers"),
        ({"compress": 9}, "compress 9"),
    ],
)
def test_configs_that_are_impossible(entry, said):
    with pytest.raises(ValueError, match=said):
        EncodecSpec.from_transformers(CONFIG | entry)


class _Runs:
    """A pickle of this would make a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_damaged_and_dangerous_files(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(ValueError, match="holds no weights; there should be one of model.safetensors"):
        load(tmp_path)
    save_file(stored(False), tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    for damaged in (b"", content[:100], content[:-1000], b"\xff" + content[1:]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged|is empty"):
            load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        load(tmp_path)
    torch.save({"weights": _Runs(tmp_path / "ran")}, tmp_path / "a.th")
    with pytest.raises(ValueError, match="could run code, so it was not read"):
        load(tmp_path / "a.th")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "b.th").write_bytes((tmp_path / "a.th").read_bytes()[:50])
    torch.save([1], tmp_path / "c.th")
    torch.save({"a": torch.ones(2)}, tmp_path / "d.th")
    torch.save({"best_state": {}, "xp.cfg": 3}, tmp_path / "e.bin")
    for file, said in {
        "b.th": "is damaged", "c.th": "holds a list", "d.th": "not the weights of an EnCodec",
        "e.bin": "its config 'xp.cfg' as text", "none.th": "is missing",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=said):
            load(tmp_path / file)
