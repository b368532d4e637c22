"""MusicGen in audiocraft's layout: the same weights as in the other layout, the same tokens."""

import shutil

import pytest
import torch
from greedy_frames import greedy

from clavilux.errors import CheckpointError
from clavilux.families.musicgen import audiocraft_layout, transformers_layout
from clavilux.families.musicgen.int8_copy import write_int8
from clavilux.families.registry import detect
from clavilux.family import Request

pytest.importorskip("transformers")
CPU = torch.device("cpu")
SETTINGS = """
solver: {solver}
sample_rate: 16000
channels: 1
dataset:
  segment_duration: 2
interleave_stereo_codebooks:
  use: {stereo}
  per_timestep: false
fuser:
  cross_attention_pos_emb: false
  sum: []
  prepend: {prepend}
  cross: {cross}
conditioners:
  self_wav:
    model: chroma_stem
    chroma_stem:
      sample_rate: ${{sample_rate}}
      n_chroma: 12
      radix2_exp: 14
  description:
    model: t5
    t5:
      name: tiny
      normalize_text: false
lm_model: transformer_lm
codebooks_pattern:
  modeling: delay
  delay:
    delays: {delays}
    flatten_first: 0
    empty_initial: 0
transformer_lm:
  n_q: {codebooks}
  card: 32
  dim: 32
  num_heads: 2
  num_layers: 2
  hidden_scale: 2
  norm_first: true
  bias_ff: false
  bias_attn: false
  bias_proj: false
  positional_embedding: sin
  norm: layer_norm
  activation: gelu
"""
NORMS = {"self_attn_layer_norm": "norm1", "encoder_attn_layer_norm": "norm_cross", "final_layer_norm": "norm2"}
ATTENTIONS = {"self_attn": "self_attn", "encoder_attn": "cross_attention"}


def renamed(model) -> dict[str, torch.Tensor]:
    """A transformers model's decoder under audiocraft's names."""
    state = {}
    body = model.decoder.model.decoder
    for k, (table, head) in enumerate(zip(body.embed_tokens, model.decoder.lm_heads, strict=True)):
        state[f"emb.{k}.weight"], state[f"linears.{k}.weight"] = table.weight, head.weight
    state["out_norm.weight"], state["out_norm.bias"] = body.layer_norm.weight, body.layer_norm.bias
    for n, layer in enumerate(body.layers):
        there = f"transformer.layers.{n}"
        for ours, theirs in ATTENTIONS.items():
            part = getattr(layer, ours, None)
            if part is not None:
                fused = torch.cat([part.q_proj.weight, part.k_proj.weight, part.v_proj.weight])
                state[f"{there}.{theirs}.in_proj_weight"] = fused
                state[f"{there}.{theirs}.out_proj.weight"] = part.out_proj.weight
        for ours, theirs in NORMS.items():
            part = getattr(layer, ours, None)
            if part is not None:
                state[f"{there}.{theirs}.weight"], state[f"{there}.{theirs}.bias"] = part.weight, part.bias
        state[f"{there}.linear1.weight"], state[f"{there}.linear2.weight"] = layer.fc1.weight, layer.fc2.weight
    for name, part in (("description", "enc_to_dec_proj"), ("self_wav", "audio_enc_to_dec_proj")):
        if hasattr(model, part):
            for word in ("weight", "bias"):
                key = f"condition_provider.conditioners.{name}.output_proj.{word}"
                state[key] = getattr(getattr(model, part), word)
    if "condition_provider.conditioners.self_wav.output_proj.bias" in state:
        state["condition_provider.conditioners.self_wav.chroma.spec.window"] = torch.hann_window(16384)
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def settings(kind, **changes):
    values = {
        "solver": "musicgen",
        "stereo": str(kind == "stereo").lower(),
        "prepend": "[self_wav, description]" if kind == "melody" else "[]",
        "cross": "[]" if kind == "melody" else "[description]",
        "delays": [0, 0, 1, 1, 2, 2, 3, 3] if kind == "stereo" else [0, 1, 2, 3],
        "codebooks": 8 if kind == "stereo" else 4,
    }
    return SETTINGS.format(**(values | changes))


@pytest.fixture
def folders(musicgen, tmp_path):
    """make(kind, **settings) -> (the transformers folder, the same in audiocraft's layout)."""

    def make(kind, **changes):
        theirs, model = musicgen(kind)
        model.text_encoder.save_pretrained(tmp_path / "tiny")
        shutil.copy(theirs / "tokenizer.json", tmp_path / "tiny")
        model.audio_encoder.save_pretrained(tmp_path / "codec")
        content = {"best_state": renamed(model), "xp.cfg": settings(kind, **changes), "version": "1", "exported": True}
        torch.save(content, tmp_path / "state_dict.bin")
        torch.save({"pretrained": "facebook/codec", "exported": True}, tmp_path / "compression_state_dict.bin")
        return theirs, tmp_path

    return make


def asked(padding):
    texts = ("slow rain", "fast drums at night")
    return [Request(text, 0.128, 0, controls={"padding": padding}) for text in texts]


@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
def test_both_layouts_give_the_same_tokens(folders, kind):
    theirs, ours = folders(kind)
    assert detect(ours) == ("audiocraft", {})
    a = transformers_layout.load(theirs, detect(theirs)[1], CPU, "float32")
    b = audiocraft_layout.load(ours, {}, CPU, "float32")
    assert b.stage.layout == a.stage.layout
    if kind == "melody":  # this file's is for 2 s, that one's for 30 s
        assert b.sizes.melody.length == 1 + 32_000 // 4096
        b.sizes = a.sizes
    padding = "unmasked" if kind == "melody" else "masked"
    frames = greedy(a, asked(padding))
    assert frames.shape[2] == 64
    assert len(frames.unique()) > 8
    assert torch.equal(frames, greedy(b, asked(padding)))


def test_half_precision_weights_are_read(folders):
    _, ours = folders("mono")
    content = torch.load(ours / "state_dict.bin", weights_only=True)
    content["best_state"] = {name: tensor.half() for name, tensor in content["best_state"].items()}
    torch.save(content, ours / "state_dict.bin")
    family = audiocraft_layout.load(ours, {}, CPU, "float32")
    assert family.stage.decoder.embed.weight.dtype == torch.float32


def test_windows_are_those_of_the_recipe(folders):
    _, ours = folders("mono")
    windows = audiocraft_layout.load(ours, {}, CPU, "float32").stage.windows
    assert (windows.context, windows.stride, windows.keep) == (1003, 600, 1)  # 2 s of 500 frames


def test_an_audiogen_moves_on_by_a_fifth(folders):
    _, ours = folders("mono", solver="audiogen")
    assert audiocraft_layout.load(ours, {}, CPU, "float32").stage.windows.stride == 200
    facts = audiocraft_layout.facts(ours, {})
    assert facts["family"] == "AudioGen (mono)"


def test_the_settings_follow_references():
    read = audiocraft_layout.Settings({"a": "${b.c}", "b": {"c": 5, "d": "???"}, "e": "${e}"})
    assert read.get("a") == 5
    assert read.get("b.d", 1) == 1
    with pytest.raises(ValueError, match="b.x is not stated"):
        read.get("b.x")
    with pytest.raises(ValueError, match="e -> e goes round in circles"):
        read.get("e")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("norm_first: true", "norm_first: false", "norm_first is False; it should be True"),
        ("bias_ff: false", "bias_ff: true", "bias_ff"),
        ("positional_embedding: sin", "positional_embedding: rope", "positional_embedding is 'rope'"),
        ("modeling: delay", "modeling: coarse_first", "codebooks_pattern.modeling is 'coarse_first'"),
        ("num_heads: 2", "num_heads: 3", "the width is 32; it should be a multiple of the 3 heads"),
        ("num_layers: 2", "num_layers: 1000000000", "layers is 1000000000; it should be a whole number from 1 to 1024"),
        ("cross: [description]", "cross: [genre]", "the fuser"),
        ("  card: 32\n", "", "transformer_lm.card is not stated"),
        ("solver: musicgen", "solver: [", "no YAML"),
        ("solver: musicgen", "solver: !!python/object/apply:os.system [true]", "no YAML"),
    ],
)
def test_settings_that_do_not_do_are_named(folders, old, new, message):
    _, ours = folders("mono")
    content = torch.load(ours / "state_dict.bin", weights_only=True)
    assert old in content["xp.cfg"]
    content["xp.cfg"] = content["xp.cfg"].replace(old, new)
    torch.save(content, ours / "state_dict.bin")
    with pytest.raises(CheckpointError, match=message):
        audiocraft_layout.load(ours, {}, CPU, "float32")


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_runs_code_is_refused(folders, tmp_path):
    _, ours = folders("mono")
    torch.save({"best_state": {}, "xp.cfg": RunsCode(tmp_path / "ran")}, ours / "state_dict.bin")
    with pytest.raises(CheckpointError, match="could run code"):
        audiocraft_layout.load(ours, {}, CPU, "float32")
    assert not (tmp_path / "ran").exists()


def test_files_that_are_missing_or_damaged(folders):
    _, ours = folders("mono")
    whole = (ours / "state_dict.bin").read_bytes()
    (ours / "state_dict.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        audiocraft_layout.load(ours, {}, CPU, "float32")
    torch.save({"model": {}}, ours / "state_dict.bin")
    with pytest.raises(CheckpointError, match="holds no 'best_state'"):
        audiocraft_layout.load(ours, {}, CPU, "float32")
    (ours / "compression_state_dict.bin").unlink()
    with pytest.raises(CheckpointError, match="no compression_state_dict.bin"):
        detect(ours)


def test_a_codec_that_is_not_to_be_had(folders, monkeypatch):
    _, ours = folders("mono")
    shutil.rmtree(ours / "codec")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="the codec 'facebook/codec' is neither a folder in"):
        audiocraft_layout.load(ours, {}, CPU, "float32")


def test_tensors_that_differ_are_named(folders):
    _, ours = folders("mono")
    content = torch.load(ours / "state_dict.bin", weights_only=True)
    state = content["best_state"]
    state["emb.9.weight"] = state.pop("emb.0.weight")
    torch.save(content, ours / "state_dict.bin")
    with pytest.raises(CheckpointError, match=r"lacks emb\.0\.weight and has emb\.9\.weight"):
        audiocraft_layout.load(ours, {}, CPU, "float32")


@pytest.mark.parametrize("kind", ["mono", "melody"])
def test_an_int8_copy_holds_its_norms_but_for_what_is_not_rounded(folders, kind, tmp_path_factory):
    """The matrix of cross-attention is one, of which a step reads a third: it stays as it is, and its norm too."""
    folder, target = folders(kind)[1], tmp_path_factory.mktemp("copies") / "copy"
    write_int8(folder, target)
    held, exact = (torch.load(path / "state_dict.bin")["best_state"] for path in (target, folder))
    assert held["clavilux.int8_format"].tolist() == [2]
    for name in ("norm1", "norm2", "norm_cross"):
        gain = f"transformer.layers.0.{name}.weight"
        if gain in exact:
            assert bool((held[gain] == 1).all()) == (name != "norm_cross")
    qkv, shift = "transformer.layers.0.self_attn.in_proj_weight", exact["transformer.layers.0.norm1.bias"]
    torch.testing.assert_close(held[f"{qkv}_offset"], exact[qkv] @ shift)
    assert audiocraft_layout.load(target, {}, torch.device("cpu"), "float32").identity["dtype"] == "float32"
