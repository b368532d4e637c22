"""Jukebox's sizes out of a checkpoint: from transformers' config.json, or from the shapes in an original file.

Knows both layouts' names. Reads no weights; what it gives is `config.PriorConfig`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clavilux.audio.codecs.vqvae_spec import VQVAESpec
from clavilux.checks import number_from, short, whole_number
from clavilux.families.jukebox.config import PriorConfig, TransformerConfig, UpsamplerConfig

_PATTERNS = {
    "full_dense_attention": 0,
    "raw_column_previous_row_attention": 2,
    "large_separated_enc_dec_w_lyrics": 10,
    "enc_dec_with_lyrics": 12,
}
# What the library takes where a prior's config leaves something out.
_THEIRS = {
    "act_fn": "quick_gelu", "alignment_head": 2, "alignment_layer": 68, "attention_multiplier": 0.25,
    "attention_pattern": "enc_dec_with_lyrics", "attn_res_scale": False, "blocks": 64, "conv_res_scale": None,
    "num_layers": 72, "encoder_config": None, "hidden_size": 2048, "is_encoder_decoder": True, "lyric_vocab_size": 80,
    "merged_decoder": True, "metadata_dims": (604, 7898), "mlp_multiplier": 1.0, "music_vocab_size": 2048,
    "n_ctx": 6144, "n_heads": 2, "nb_relevant_lyric_tokens": 384, "res_conv_depth": 3, "res_conv_width": 128,
    "res_convolution_multiplier": 1, "res_dilation_cycle": None, "res_dilation_growth_rate": 1,
    "res_downs_t": (3, 2, 2), "res_strides_t": (2, 2, 2),
}  # fmt: skip
_SHARED = {
    "sampling_rate": 44100, "timing_dims": 64, "min_duration": 0, "max_duration": 600.0, "max_nb_genres": 5,
    "metadata_conditioning": True,
}  # fmt: skip
# The published models' settings that no shape shows, by width and layers (arXiv 2005.00341, appendix B).
_PUBLISHED: Mapping[tuple[int, int], Mapping[str, Any]] = {
    (4800, 72): {"heads": 8, "blocks": 128, "order": 2, "shortest_s": 60.0},
    (4800, 79): {
        "heads": 8, "blocks": 128, "order": 10, "shortest_s": 60.0, "alignment": (68, 2), "encoder_heads": 4,
        "encoder_blocks": 32, "encoder_order": 2,
    },
    (2048, 72): {
        "heads": 2, "blocks": 64, "order": 12, "context": 6144, "lyric_tokens": 384, "shortest_s": 17.84,
        "alignment": (63, 0), "most_genres": 1,
    },
    (1920, 72): {"heads": 1, "blocks": 128, "order": 2, "growth": 3, "cycle": 8},
}  # fmt: skip
# The names of an original file's settings -> ours.
_SETTINGS = {
    "heads": "heads", "blocks": "blocks", "attn_order": "order", "n_ctx": "context", "n_tokens": "lyric_tokens",
    "prime_heads": "encoder_heads", "prime_blocks": "encoder_blocks", "prime_attn_order": "encoder_order",
    "cond_dilation_growth_rate": "growth", "cond_dilation_cycle": "cycle", "min_duration": "shortest_s",
    "max_duration": "longest_s", "sr": "sample_rate", "max_bow_genre_size": "most_genres",
    "merged_decoder": "untied", "level": "level",
}  # fmt: skip
NAMES = {*_SETTINGS.values(), "alignment"}


def from_transformers(config: Mapping[str, Any], vqvae: VQVAESpec) -> dict[int, PriorConfig]:
    """Every prior of a whole Jukebox's config, by level.

    Raises:
        KeyError, TypeError, ValueError: what it lacks or cannot be.
    """
    count = whole_number("nb_priors", config.get("nb_priors", 3), 1, vqvae.levels)
    if count != vqvae.levels:
        raise ValueError(f"nb_priors is {count}; the VQ-VAE has {vqvae.levels} levels, and each needs a prior")
    parts = config.get("prior_config_list") or [config.get(f"prior_{index}") or {} for index in range(count)]
    if len(parts) != count:
        raise ValueError(f"there are {len(parts)} configs of priors; nb_priors is {count}")
    shared = _SHARED | {name: config[name] for name in _SHARED if name in config}
    if not shared["metadata_conditioning"]:
        raise ValueError("metadata_conditioning is false; a prior without artist and genre is not known")
    return {count - 1 - index: _prior(_THEIRS | part, shared, count, index, vqvae) for index, part in enumerate(parts)}


def _prior(c: Mapping[str, Any], shared: Mapping[str, Any], count: int, index: int, vqvae: VQVAESpec) -> PriorConfig:
    level = count - 1 - index
    if c["act_fn"] != "quick_gelu" or c["attn_res_scale"]:
        raise ValueError(f"prior {index} has act_fn {c['act_fn']!r} or attn_res_scale; quick_gelu without is known")
    tokens = whole_number("nb_relevant_lyric_tokens", c["nb_relevant_lyric_tokens"], 0, 1 << 16)
    lyrics = "none" if not tokens else "before" if c["is_encoder_decoder"] else "beside"
    prefix = tokens if lyrics == "before" else 0
    context = whole_number("n_ctx", c["n_ctx"], 2, 1 << 18)
    lyric_ids = whole_number("lyric_vocab_size", c["lyric_vocab_size"], 1, 1 << 16)
    ids = c["music_vocab_size"] + (lyric_ids if c["is_encoder_decoder"] else 0)
    if c["is_encoder_decoder"] and not tokens:
        raise ValueError(f"prior {index} is an encoder-decoder without lyric tokens, which is not known")
    stack = _stack(c, prefix + context, ids, prefix)
    encoder = None
    if lyrics == "beside":
        e = _THEIRS | c["encoder_config"]
        encoder = _stack(e, tokens, lyric_ids, 0)
    upsampling = None
    if index:
        upsampling = UpsamplerConfig(
            width=c["res_conv_width"], depth=c["res_conv_depth"],
            hidden=c["res_convolution_multiplier"] * c["res_conv_width"],
            downs=c["res_downs_t"][index], stride=c["res_strides_t"][index],
            growth=c["res_dilation_growth_rate"], cycle=c["res_dilation_cycle"], scaled=bool(c["conv_res_scale"]),
        )  # fmt: skip
    if not isinstance(c["metadata_dims"], (list, tuple)) or len(c["metadata_dims"]) != 2:
        raise ValueError(f"metadata_dims is {short(c['metadata_dims'])}; it should be two numbers, genres and artists")
    genres, artists = c["metadata_dims"]
    sizes = PriorConfig(
        level=level, stack=stack, context=context, vocabulary=c["music_vocab_size"], lyrics=lyrics,
        lyric_tokens=tokens, lyric_vocabulary=lyric_ids, encoder=encoder, untied=bool(c["merged_decoder"]),
        genres=genres, artists=artists, most_genres=shared["max_nb_genres"],
        time_bins=0 if index else whole_number("timing_dims", shared["timing_dims"], 1, 1 << 16), upsampling=upsampling,
        sample_rate=shared["sampling_rate"], shortest_s=number_from("min_duration", shared["min_duration"], 0, 1e6),
        longest_s=number_from("max_duration", shared["max_duration"], 0, 1e6), hop=vqvae.hop(level),
        alignment=_alignment(stack, lyrics, (c["alignment_layer"], c["alignment_head"])),
    )  # fmt: skip
    return _fitting(vqvae, sizes)


def _stack(c: Mapping[str, Any], positions: int, ids: int, prefix: int) -> TransformerConfig:
    if c["attention_pattern"] not in _PATTERNS:
        raise ValueError(f"attention_pattern is {c['attention_pattern']!r}; known are {', '.join(_PATTERNS)}")
    width = whole_number("hidden_size", c["hidden_size"], 1, 1 << 16)
    return TransformerConfig(
        width=width, layers=c["num_layers"], heads=c["n_heads"],
        attention_width=int(number_from("attention_multiplier", c["attention_multiplier"], 0, 64) * width),
        ffn_width=int(number_from("mlp_multiplier", c["mlp_multiplier"], 0, 64) * width), positions=positions,
        blocks=c["blocks"], order=_PATTERNS[c["attention_pattern"]], vocabulary=ids, prefix=prefix,
    )  # fmt: skip


def _alignment(stack: TransformerConfig, lyrics: str, place: tuple[int, int]) -> tuple[int, int] | None:
    """The place, if lyrics are read there."""
    layer, head = place
    span = {"before": "prefix", "beside": "none"}.get(lyrics)
    spans = stack.spec().spans
    return (layer, head) if 0 <= layer < stack.layers and head < stack.heads and spans[layer] == span else None


def _fitting(vqvae: VQVAESpec, sizes: PriorConfig) -> PriorConfig:
    """Sizes that fit the codec whose tokens they are about. Raises ValueError."""
    level, up = sizes.level, sizes.upsampling
    if sizes.vocabulary != vqvae.vocabulary or sizes.sample_rate != vqvae.sample_rate:
        raise ValueError(
            f"the prior of level {level} draws {sizes.vocabulary} ids at {sizes.sample_rate} Hz; its VQ-VAE has "
            f"{vqvae.vocabulary} at {vqvae.sample_rate} Hz"
        )
    if up is not None and up.ratio * vqvae.hop(level) != vqvae.hop(level + 1):
        raise ValueError(
            f"the prior of level {level} draws {up.ratio} tokens for one above; the VQ-VAE has "
            f"{vqvae.hop(level + 1) // vqvae.hop(level)}: is it another level's checkpoint?"
        )
    return sizes


def from_original(
    shapes: Mapping[str, tuple[int, ...]], settings: Any, level: int, vqvae: VQVAESpec, own: Mapping[str, Any]
) -> PriorConfig:
    """One prior's sizes from the shapes of its tensors, by the original names without "module.".

    Args:
        shapes: of all its tensors.
        settings: the file's own ("hps"), where they are plain values; else they are not read.
        level: which level the file is to be of.
        vqvae: the codec's.
        own: the user's, by the names of `NAMES`; they win.

    Raises:
        ValueError: it is no prior, another level's, or something that no shape shows is not stated.
    """
    top = level == vqvae.levels - 1
    stack = _original_stack(shapes, "prior")
    has_above = any(name.startswith("conditioner_blocks.") for name in shapes)
    if has_above == top:
        kind = "an upsampler's" if has_above else "a top prior's"
        wanted = "the top one" if top else "an upsampler's"
        raise ValueError(f"it is {kind} checkpoint, and level {level} is {wanted}: is it another level's file?")
    stated = dict(_PUBLISHED.get((stack["width"], stack["layers"]), {}))
    if isinstance(settings, Mapping):
        stated |= {ours: settings[theirs] for theirs, ours in _SETTINGS.items() if settings.get(theirs) is not None}
    stated |= own
    if stated.get("level", level) != level:
        raise ValueError(f"it is of level {stated['level']}, not {level}: is it another level's file?")
    lacking = [word for word in ("heads", "blocks", "order") if word not in stated]
    if lacking:
        raise ValueError(f"its shapes do not tell {', '.join(lacking)}; say so in a jukebox.json beside it")
    lyrics = "beside" if any(name.startswith("prime_prior.") for name in shapes) else "none"
    if stack["vocabulary"] > vqvae.vocabulary:
        lyrics = "before"
    tokens = {"none": 0, "beside": 0, "before": stack["positions"] - stated.get("context", stack["positions"])}[lyrics]
    encoder = None
    if lyrics == "beside":
        inner = _original_stack(shapes, "prime_prior")
        encoder = TransformerConfig(
            **inner, **{word: stated[f"encoder_{word}"] for word in ("heads", "blocks", "order")}
        )
        tokens = inner["positions"]
    prefix = tokens if lyrics == "before" else 0
    outer = TransformerConfig(
        **stack, heads=stated["heads"], blocks=stated["blocks"], order=stated["order"], prefix=prefix
    )
    sizes = PriorConfig(
        level=level, stack=outer, context=outer.positions - prefix, vocabulary=vqvae.vocabulary, lyrics=lyrics,
        lyric_tokens=tokens, lyric_vocabulary=encoder.vocabulary if encoder else outer.vocabulary - vqvae.vocabulary,
        encoder=encoder, untied=bool(stated.get("untied", top and lyrics != "before")),
        genres=_rows(shapes, "y_emb.bow_genre_emb.emb.weight"), artists=_rows(shapes, "y_emb.artist_emb.emb.weight"),
        most_genres=stated.get("most_genres", 5),
        time_bins=_rows(shapes, "y_emb.total_length_emb.emb.weight") if top else 0,
        upsampling=None if top else _original_upsampling(shapes, stated),
        sample_rate=stated.get("sample_rate", vqvae.sample_rate), shortest_s=stated.get("shortest_s", 0.0),
        longest_s=stated.get("longest_s", 600.0), hop=vqvae.hop(level),
        alignment=_alignment(outer, lyrics, stated.get("alignment", (-1, 0))),
    )  # fmt: skip
    return _fitting(vqvae, sizes)


def _original_stack(shapes: Mapping[str, tuple[int, ...]], name: str) -> dict[str, int]:
    stem = f"{name}.transformer._attn_mods"
    layers = [key for key in shapes if re.fullmatch(rf"{re.escape(stem)}\.\d+\.ln_0\.weight", key)]
    try:
        vocabulary, width = shapes[f"{name}.x_emb.weight"]
        return {
            "width": width, "layers": len(layers), "attention_width": shapes[f"{stem}.0.attn.c_proj.w"][0],
            "ffn_width": shapes[f"{stem}.0.mlp.c_fc.w"][1], "positions": shapes[f"{name}.pos_emb.pos_emb"][0],
            "vocabulary": vocabulary,
        }  # fmt: skip
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"these are not the weights of a Jukebox prior in its original layout ({error})") from None


def _original_upsampling(shapes: Mapping[str, tuple[int, ...]], stated: Mapping[str, Any]) -> UpsamplerConfig:
    stem = "conditioner_blocks.0.cond.model"
    ups = sorted(key for key in shapes if re.fullmatch(rf"{re.escape(stem)}\.\d+\.1\.weight", key))
    blocks = [key for key in shapes if re.fullmatch(rf"{re.escape(stem)}\.1\.0\.blocks\.\d+\.model\.1\.weight", key)]
    if not ups or not blocks:
        raise ValueError(f"its {stem} is not what an upsampler's is")
    hidden, width, _ = shapes[blocks[0]]
    if "growth" not in stated:
        raise ValueError("its shapes do not tell growth; say so in a jukebox.json beside it")
    return UpsamplerConfig(
        width=width, depth=len(blocks), hidden=hidden, downs=len(ups), stride=shapes[ups[0]][2] // 2,
        growth=stated["growth"], cycle=stated.get("cycle"),
    )  # fmt: skip


def _rows(shapes: Mapping[str, tuple[int, ...]], name: str) -> int:
    if name not in shapes:
        raise ValueError(f"it lacks {name}")
    return shapes[name][0]
