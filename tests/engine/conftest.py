"""Small random checkpoints of MusicGen, as the transformers library saves them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

WORDS = [
    "slow", "fast", "church", "organ", "chorale", "drums", "and", "a", "bass", "in", "the", "night", "of", "rain",
]  # fmt: skip
K, V = 4, 32  # codebooks of a channel, and their ids
SIZES = {
    "small": {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "ffn_dim": 64},
    "large": {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 3, "ffn_dim": 192},
}


@pytest.fixture(scope="session")
def musicgen(tmp_path_factory):
    """make(kind, size) -> (folder, the transformers model that was saved there), each made once.

    kind is mono, stereo or melody; size is small (a projected text) or large (a text as wide as the decoder).
    """
    pytest.importorskip("transformers")
    made = {}

    def make(kind: str, size: str = "small"):
        if (kind, size) not in made:
            folder = tmp_path_factory.mktemp(f"{kind}-{size}")
            made[kind, size] = folder, save_musicgen(folder, kind, size)
        return made[kind, size]

    return make


def save_musicgen(folder: Path, kind: str, size: str):
    """Save a random model and a tokenizer of few words; the model, in eval mode."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    melody = "Melody" if kind == "melody" else ""
    channels = 2 if kind == "stereo" else 1
    text = transformers.T5Config(d_model=48, d_kv=8, d_ff=32, num_layers=2, num_heads=3, vocab_size=32)
    codec = transformers.EncodecConfig(
        sampling_rate=16000, audio_channels=1, normalize=False, chunk_length_s=None, num_filters=4,
        upsampling_ratios=[4, 4, 2], codebook_size=V, codebook_dim=16, hidden_size=16, num_lstm_layers=1,
        target_bandwidths=[10.0], use_causal_conv=False, norm_type="weight_norm", pad_mode="reflect",
    )  # fmt: skip
    decoder = getattr(transformers, f"Musicgen{melody}DecoderConfig")(
        vocab_size=V, max_position_embeddings=1024, num_codebooks=K * channels, pad_token_id=V, bos_token_id=V,
        audio_channels=channels, **SIZES[size],
    )  # fmt: skip
    config = getattr(transformers, f"Musicgen{melody}Config")(text_encoder=text, audio_encoder=codec, decoder=decoder)
    torch.manual_seed(len(kind) + len(size))
    model = getattr(transformers, f"Musicgen{melody}ForConditionalGeneration")(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Large enough that the likeliest token stands out: the library's own draw is nearly flat.
            if name.startswith(("decoder.", "enc_to_dec", "audio_enc_to_dec")) and parameter.ndim > 1:
                parameter.normal_(std=0.7 / parameter.shape[1] ** 0.5 if "embed" not in name else 0.5)
            elif "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for head in model.decoder.lm_heads:
            head.weight.mul_(3)
    model.generation_config.decoder_start_token_id = V
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return model


def save_tokenizer(folder: Path) -> None:
    """A tokenizer of whole words, which ends each text with id 1."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
