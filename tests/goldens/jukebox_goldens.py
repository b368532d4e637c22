"""The frozen priors of tests/goldens/jukebox_priors.safetensors, and the same weights by the original names."""

import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clavilux.audio.codecs import vqvae
from clavilux.audio.codecs.vqvae_spec import VQVAESpec
from clavilux.families.jukebox.checkpoint_config import from_transformers
from clavilux.families.jukebox.prior import Labels
from clavilux.families.jukebox.weights import filled, held_source

GOLDEN = Path(__file__).parent / "jukebox_priors.safetensors"
NAMES = ("plain", "separate", "merged", "upsampler")
VQVAE = VQVAESpec(sample_rate=100, vocabulary=24)
# The original layout's words that no shape tells.
OWN = {
    "plain": {"heads": 2, "blocks": 6, "order": 2},
    "separate": {
        "heads": 2, "blocks": 6, "order": 10, "encoder_heads": 2, "encoder_blocks": 4, "encoder_order": 2,
    },
    "merged": {"heads": 2, "blocks": 6, "order": 12, "context": 48},
    "upsampler": {"heads": 1, "blocks": 6, "order": 2, "growth": 3, "cycle": 2},
}  # fmt: skip


@lru_cache
def frozen(name, path=GOLDEN):
    """(config, weights by transformers' names, other tensors) of one model of a golden file; a prior by default."""
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()[name])
    tensors = {key.removeprefix(f"{name}."): value for key, value in load_file(path).items() if key.startswith(name)}
    weights = {key[8:]: value for key, value in tensors.items() if key.startswith("weights.")}
    return config, weights, {key: value for key, value in tensors.items() if not key.startswith("weights.")}


@lru_cache
def numbers():
    with safe_open(GOLDEN, "pt") as file:
        return json.loads(file.metadata()["numbers"])


def level_of(name):
    return 1 if name == "upsampler" else 2


def whole_config(name="separate"):
    """The config of a Jukebox of three levels whose top prior is the named one."""
    top, below = frozen(name if name != "upsampler" else "plain")[0], frozen("upsampler")[0]
    words = ("sampling_rate", "timing_dims", "min_duration", "max_duration", "max_nb_genres")
    return {
        "model_type": "jukebox", "nb_priors": 3, "prior_config_list": [top, below, {**below, "level": 2}],
        **{word: top[word] for word in words},
    }  # fmt: skip


def sizes_of(name):
    return from_transformers(whole_config(name), VQVAE)[level_of(name)]


def prior_of(name, dtype=torch.float32):
    return filled(sizes_of(name), held_source("it", frozen(name)[1]), dtype)


def labels_of(name, row=0):
    labels = frozen(name)[2]["labels"][row].tolist()
    genres = tuple(genre for genre in labels[4:7] if genre >= 0)
    return Labels(labels[3], genres, tuple(labels[7:]), numbers()["total_samples"])


def original_names(weights):
    """The same weights by the original names, found by rules of their own."""
    renamed = {}
    for key, value in weights.items():
        key = re.sub(r"metadata_embedding\.(artist|bow_genre)_emb\.", r"y_emb.\1_emb.emb.", key)
        key = key.replace("metadata_embedding.", "y_emb.").replace("encoder.proj_in.", "prime_state_proj.")
        key = key.replace("encoder.final_layer_norm", "prime_state_ln").replace("encoder.lm_head", "prime_x_out")
        key = key.replace("encoder.", "prime_prior.").replace("layer_norm_", "ln_")
        key = key.replace("prior.embed_tokens", "prior.x_emb").replace("prior.fc_proj_out", "prior.x_out")
        if re.search(r"(attn|mlp)\.c_|prime_state_proj", key):
            key = key.replace(".weight", ".w").replace(".bias", ".b")
        key = key.replace("conditioner_blocks.embed_tokens", "conditioner_blocks.0.x_emb")
        key = key.replace("conditioner_blocks.layer_norm", "conditioner_blocks.0.ln")
        key = key.replace("conditioner_blocks.upsampler.proj_in", "conditioner_blocks.0.cond.model.0")
        key = re.sub(
            r"conditioner_blocks\.upsampler\.upsample_block\.(\d+)",
            lambda m: f"conditioner_blocks.0.cond.model.{int(m[1]) // 2 + 1}.{int(m[1]) % 2}", key,
        )  # fmt: skip
        key = re.sub(r"resnet_block\.(\d+)\.conv1d_([12])", lambda m: f"blocks.{m[1]}.model.{2 * int(m[2]) - 1}", key)
        renamed[key] = value
    return renamed


def save_toy(folder, layout, name="plain", sample_rate=100):
    """A whole Jukebox of three levels: the named prior, two upsamplers, and a VQ-VAE of random weights.

    Args:
        folder: where it is saved; made here.
        layout: "transformers" or "original".
        name: the top prior, one of `NAMES` but the upsampler.
        sample_rate: Hz.
    """
    spec = replace(VQVAE, sample_rate=sample_rate, widths=(4, 4, 4), depths=(2, 2, 2), hidden_widths=(4, 4, 4))
    torch.manual_seed(11)
    codec = vqvae.VQVAE(spec)
    for value in codec.parameters():
        value.data.normal_(std=1.2 * value[0].numel() ** -0.5 if value.ndim > 1 else 0.1)
    original = layout == "original"
    theirs = vqvae.checkpoint_names(codec, original)
    weights = {theirs[ours]: value.detach().clone() for ours, value in codec.state_dict().items()}
    priors = [frozen(name)[1], frozen("upsampler")[1], frozen("upsampler")[1]]
    folder.mkdir(parents=True)
    if original:
        torch.save({"model": weights}, folder / "vqvae.pth.tar")
        for level, prior in zip((2, 1, 0), priors, strict=True):
            named = {f"module.{key}": value for key, value in original_names(prior).items()}
            torch.save({"model": named, "step": 1, "opt": None}, folder / f"prior_level_{level}.pth.tar")
        own = {"levels": {"2": OWN[name], "1": OWN["upsampler"], "0": OWN["upsampler"]}}
        own |= {"vqvae": {"sample_rate": sample_rate}}
        (folder / "jukebox.json").write_text(json.dumps(own))
        return folder
    held = {f"vqvae.{key}": value for key, value in weights.items()}
    for index, prior in enumerate(priors):
        held |= {f"priors.{index}.{key}": value.clone() for key, value in prior.items()}
    save_file(held, folder / "model.safetensors")
    codec_config = {
        "levels": 3, "embed_dim": spec.latent_width, "nb_discrete_codes": 24, "res_conv_width": 4, "res_conv_depth": 2,
        "multipliers": [1, 1, 1], "res_downs_t": [3, 2, 2], "res_strides_t": [2, 2, 2],
    }  # fmt: skip
    config = whole_config(name) | {"sampling_rate": sample_rate, "vqvae_config": codec_config}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
