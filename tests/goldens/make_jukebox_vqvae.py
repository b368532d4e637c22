"""Makes jukebox_vqvae.safetensors: two small random VQ-VAEs of transformers 4.57.6, a sound, its codes, their decode.

Run it in an environment of its own, for later versions have no Jukebox: `pip install torch transformers==4.57.6`,
then `python make_jukebox_vqvae.py`. `published` has the shape of the published one: width and depth doubled at level
0, dilations that grow threefold, reversed in the decoder. `other` has what that one leaves at its default.
"""

import json
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxVQVAEConfig  # noqa: E402
from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxVQVAE  # noqa: E402

COMMON = {"levels": 3, "embed_dim": 6, "nb_discrete_codes": 32, "sample_length": 1024}
CONFIGS = {
    "published": {
        "multipliers": [2, 1, 1],
        "res_conv_width": 3,
        "res_conv_depth": 2,
        "res_dilation_growth_rate": 3,
        "res_downs_t": [3, 2, 2],
        "res_strides_t": [2, 2, 2],
    },
    "other": {
        "conv_input_shape": 2,
        "conv_res_scale": True,
        "multipliers": [1, 3, 2],
        "res_conv_width": 2,
        "res_conv_depth": 2,
        "res_convolution_multiplier": 2,
        "res_dilation_cycle": 3,
        "res_dilation_growth_rate": 2,
        "res_downs_t": [1, 1, 2],
        "res_strides_t": [4, 6, 2],
    },
}


def tune(rows: int, num_samples: int, channels: int) -> torch.Tensor:
    """[rows, num_samples, channels]: a few decaying notes with overtones, and some noise; each row is another."""
    time = torch.arange(num_samples)
    sound = 0.02 * torch.randn(rows, num_samples, channels)
    for index, cycles in enumerate((0.011, 0.017, 0.025, 0.034)):  # a sample
        since = (time - index * num_samples / 5).clamp(min=0)
        note = sum(torch.sin(2 * torch.pi * cycles * k * since) / k for k in (1, 2, 3)) * torch.exp(-since / 300)
        gains = 0.3 * torch.rand(rows, 1, channels)
        sound += gains * note[None, :, None]
    return sound


def draw(model: JukeboxVQVAE, sound: torch.Tensor) -> None:
    """Weights that keep the size of signals, and vectors near the latents of a sound, so that all kinds are chosen."""
    for value in model.parameters():
        fan_in = value[0].numel() if value.ndim > 1 else 0
        value.normal_(std=1.2 * fan_in**-0.5 if fan_in else 0.1)
    for encoder, block in zip(model.encoders, model.bottleneck.level_blocks, strict=True):
        latent = encoder(sound.transpose(1, 2))[-1].transpose(1, 2).flatten(0, 1)  # [frames, D]
        chosen = latent[torch.randint(len(latent), block.codebook.shape[:1])]
        block.codebook = chosen + 0.3 * latent.std() * torch.randn(block.codebook.shape)
        nearest, second = torch.cdist(latent, block.codebook).topk(2, largest=False)[0].unbind(1)
        print("least margin between two vectors", float((second / nearest).min()))
    for level, decoder in enumerate(model.decoders):
        codes = model.encode(sound, level, level + 1)
        loudness = model.decode(codes, level, level + 1).std()
        decoder.out.weight.div_(3 * loudness)
        decoder.out.bias.div_(3 * loudness)


def make(name: str) -> tuple[dict, dict]:
    config = JukeboxVQVAEConfig(**COMMON, **CONFIGS[name])
    model = JukeboxVQVAE(config).eval()
    sound = tune(2, 8 * int(model.hop_lengths[-1]), config.conv_input_shape)
    draw(model, sound)
    golden = {f"{name}.weights.{key}": value for key, value in model.state_dict().items()}
    golden[f"{name}.samples"] = sound.transpose(1, 2)  # [2, channels, N]
    for level, codes in enumerate(model.encode(sound)):
        decoded = model.decode([codes], start_level=level, end_level=level + 1)
        golden[f"{name}.codes.{level}"] = codes.to(torch.int16)
        golden[f"{name}.decoded.{level}"] = decoded.transpose(1, 2)
        spread = f"deviation {float(decoded.std()):.3g}, most {float(decoded.abs().max()):.3g}"
        print(
            name,
            "level",
            level,
            "hop",
            model.hop_lengths[level],
            "codes",
            len(codes.unique()),
            "of",
            codes.numel(),
            spread,
        )
    return golden, config.to_dict()


if __name__ == "__main__":
    torch.manual_seed(341)
    tensors, metadata = {}, {"package": f"transformers {transformers.__version__}", "torch": torch.__version__}
    with torch.no_grad():
        for name in CONFIGS:
            golden, config = make(name)
            tensors |= golden
            metadata[name] = json.dumps(config)
    path = Path(__file__).with_name("jukebox_vqvae.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    print(path.stat().st_size, "bytes")
