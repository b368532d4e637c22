"""Makes jukebox_priors.safetensors: small random priors of transformers 4.57.6, their logits, and what they draw.

Run it as `make_jukebox_vqvae.py`. Each prior has the shape of a published one: `plain` of 5b, `separate` of 5b_lyrics
(a lyric encoder, cross-attention alone in layer 18), `merged` of 1b_lyrics (lyrics before the music, prime layers 15
and 31, a dense one 47) and `upsampler` of an upsampler. The weights fit float16, and are kept in it.

`greedy` is what the likeliest token of every step gives over several windows. Where a window begins, the tokens that
it shares with the one before are read again. Each step is a pass over the whole window with `mask=True`; the library's
own sampling, with its cache, is compared where it draws music only. Lyric ids are never drawn here; the library would
draw them, and call them 0.
"""

import json
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxPriorConfig  # noqa: E402
from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxPrior, get_starts  # noqa: E402

COMMON = {
    "mask": True, "music_vocab_size": 24, "lyric_vocab_size": 80, "hidden_size": 16, "n_heads": 2, "n_ctx": 48,
    "blocks": 6, "metadata_dims": [5, 7], "max_nb_genres": 3, "timing_dims": 8, "sampling_rate": 100,
    "min_duration": 0, "max_duration": 600, "res_downs_t": [3, 2, 2], "res_strides_t": [2, 2, 2],
}  # fmt: skip
ROWS = "raw_column_previous_row_attention"
ENCODER = {
    **COMMON, "hidden_size": 24, "num_layers": 3, "attention_pattern": ROWS, "blocks": 4, "merged_decoder": True,
    "nb_relevant_lyric_tokens": 12, "is_encoder_decoder": False, "n_ctx": 12,
}  # fmt: skip
CONFIGS = {
    "plain": {
        "level": 0, "num_layers": 6, "attention_pattern": ROWS, "is_encoder_decoder": False, "merged_decoder": True,
        "nb_relevant_lyric_tokens": 0,
    },
    "separate": {
        "level": 0, "num_layers": 20, "attention_pattern": "large_separated_enc_dec_w_lyrics",
        "is_encoder_decoder": False, "merged_decoder": True, "nb_relevant_lyric_tokens": 12,
        "encoder_config": ENCODER,
    },
    "merged": {
        "level": 0, "num_layers": 48, "attention_pattern": "enc_dec_with_lyrics", "is_encoder_decoder": True,
        "merged_decoder": False, "nb_relevant_lyric_tokens": 12,
    },
    "upsampler": {
        "level": 1, "num_layers": 4, "attention_pattern": ROWS, "is_encoder_decoder": False, "merged_decoder": False,
        "nb_relevant_lyric_tokens": 0, "n_heads": 1, "res_conv_depth": 3, "res_conv_width": 6,
        "res_dilation_growth_rate": 3, "res_dilation_cycle": 2,
    },
}  # fmt: skip
TOTAL, HOP = 260, 19  # tokens that are drawn, and by how many a window moves on
LYRICS = 40  # characters of all lyrics
TOTAL_SAMPLES = 128 * 300


def draw(prior: JukeboxPrior) -> None:
    """Weights under which the likeliest token stands out and every condition shows."""
    for name, value in prior.named_parameters():
        if "layer_norm" in name:
            value.copy_((1.0 if name.endswith("weight") else 0.0) + 0.1 * torch.randn(value.shape))
        elif name.endswith("bias"):
            value.normal_(std=0.1)
        elif "emb" in name or "start_token" in name:
            value.normal_(std=0.7)
        elif "conv" in name or "upsample" in name or "proj_in" in name:
            value.normal_(std=1.2 * value[0].numel() ** -0.5)
        else:
            value.normal_(std=0.6 * value.shape[0] ** -0.5)
        value.copy_(value.half().float())


def metadata_at(prior: JukeboxPrior, labels: torch.Tensor, start: int) -> torch.Tensor:
    return prior.get_metadata(labels, start, TOTAL_SAMPLES, 0)


def logits_of(prior: JukeboxPrior, tokens: torch.Tensor, above: torch.Tensor | None, metadata: torch.Tensor):
    """[B, n_ctx, V] over the music ids; the tokens fill the window's beginning."""
    rest = torch.zeros(len(tokens), prior.n_ctx - tokens.shape[1], dtype=torch.long)
    tokens = torch.cat([tokens, rest], 1)
    audio, start, lyrics = prior.get_cond([above], metadata)
    if prior.is_encoder_decoder:
        tokens, audio = prior.prior_preprocess([lyrics, tokens], [None, audio])
        _, preds = prior.prior(tokens, audio, start, get_sep_loss=True, get_preds=True)
        shift = prior.embed_dim_shift[1]
        return preds[:, prior.nb_relevant_lyric_tokens :, shift:]
    encoded = prior.get_encoder_states(lyrics) if prior.nb_relevant_lyric_tokens else None
    return prior.prior(tokens, audio, start, encoded, get_preds=True)[1]


def greedy(prior: JukeboxPrior, labels: torch.Tensor, above: torch.Tensor | None) -> torch.Tensor:
    drawn = torch.zeros(1, 0, dtype=torch.long)
    margin, windows = 9.0, []
    for start in get_starts(TOTAL, prior.n_ctx, HOP):
        metadata = metadata_at(prior, labels, start)
        part = None if above is None else above_at(prior, above, start)
        windows.append((start, drawn.shape[1] - start))
        before = drawn
        while drawn.shape[1] < start + prior.n_ctx:
            held = drawn[:, start:]
            logits = logits_of(prior, held, part, metadata)[:, held.shape[1]]
            two = logits.topk(2)[0][0]
            margin = min(margin, float(two[0] - two[1]))
            drawn = torch.cat([drawn, logits.argmax(-1, keepdim=True)], 1)
        if not prior.is_encoder_decoder:
            given = {"music_tokens": before[:, start:], "music_tokens_conds": None if part is None else [part]}
            if prior.nb_relevant_lyric_tokens == 0:
                prior.get_encoder_states = lambda *_, **__: None
            sampled = prior.sample(1, metadata=metadata, top_k=1, chunk_size=7, **given)
            equal = int((sampled == drawn[:, start:]).sum())
            print("  the library's sampling agrees in", equal, "of", sampled.numel(), "from", start)
    print("windows (start, read again)", windows, "least margin", margin, "ids", len(drawn.unique()))
    return drawn


def above_at(prior: JukeboxPrior, above: torch.Tensor, start: int) -> torch.Tensor:
    """What conditions a window: the tokens above it."""
    ratio = prior.cond_downsample
    return above[:, start // ratio : (start + prior.n_ctx) // ratio]


def make(name: str) -> tuple[dict, dict]:
    config = JukeboxPriorConfig(**{**COMMON, **CONFIGS[name]})
    prior = JukeboxPrior(config, nb_priors=3).eval()
    draw(prior)
    golden = {f"{name}.weights.{key}": value.half() for key, value in prior.state_dict().items()}
    tokens = torch.randint(24, (2, prior.n_ctx))
    lyrics = torch.randint(1, 80, (2, LYRICS)) if prior.nb_relevant_lyric_tokens else torch.zeros(2, 0).long()
    genres = torch.tensor([[1, 4, -1], [2, -1, -1]])
    labels = torch.cat([torch.zeros(2, 3).long(), torch.tensor([[3], [6]]), genres, lyrics], 1)
    start = 80
    above = torch.randint(24, (1, TOTAL // 4)) if prior.level else None
    # get_metadata gives every row the first one's lyrics: one row at a time
    metadata = torch.cat([metadata_at(prior, labels[row : row + 1], start) for row in range(2)])
    part = None if above is None else above_at(prior, above, start).repeat(2, 1)
    golden |= {f"{name}.tokens": tokens, f"{name}.labels": labels, f"{name}.metadata": metadata}
    golden[f"{name}.logits"] = logits_of(prior, tokens, part, metadata)
    if above is not None:
        golden[f"{name}.above"] = above
        golden[f"{name}.conditioning"] = prior.embed_tokens([part[:1]])
    print(name, "logits deviate by", float(golden[f"{name}.logits"].std()))
    golden[f"{name}.greedy"] = greedy(prior, labels[:1], above)
    return golden, {**config.to_dict(), "model_type": "jukebox_prior"}


if __name__ == "__main__":
    tensors, metadata = {}, {"package": f"transformers {transformers.__version__}", "torch": torch.__version__}
    metadata["numbers"] = json.dumps(
        {"hop": HOP, "total_samples": TOTAL_SAMPLES, "start": 80, "sampling_rate": COMMON["sampling_rate"]}
    )
    with torch.no_grad():
        for name in CONFIGS:
            torch.manual_seed(len(name))
            golden, config = make(name)
            tensors |= golden
            metadata[name] = json.dumps(config)
    path = Path(__file__).with_name("jukebox_priors.safetensors")
    small = {name: value.to(torch.int32) if value.dtype == torch.int64 else value for name, value in tensors.items()}
    save_file({name: value.contiguous() for name, value in small.items()}, path, metadata)
    print(path.stat().st_size, "bytes")
