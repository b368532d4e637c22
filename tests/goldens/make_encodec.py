"""Makes encodec.safetensors: two small random codecs of PyPI's encodec 0.1.1, a sound, its codes and their decode.

Run it in an environment of its own: `pip install torch numpy einops safetensors && pip install --no-deps encodec`,
then `python make_encodec.py`. That package imports torchaudio, which is not needed here: an empty module stands in.
"""

import sys
import types
import warnings
from pathlib import Path

warnings.simplefilter("ignore")  # the package uses the old weight norm
sys.modules["torchaudio"] = types.ModuleType("torchaudio")

import torch  # noqa: E402
from encodec.model import EncodecModel  # noqa: E402
from encodec.modules import SEANetDecoder, SEANetEncoder  # noqa: E402
from encodec.quantization import ResidualVectorQuantizer  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

DIMENSION, BINS, CODEBOOKS = 8, 64, 4


def tune(channels: int, rate: int, samples: int) -> torch.Tensor:
    """[1, channels, samples]: a few decaying notes with overtones, and some noise."""
    time = torch.arange(samples) / rate
    sound = 0.01 * torch.randn(1, channels, samples)
    for index, hertz in enumerate((110.0, 164.8, 220.0, 277.2, 329.6)):
        since = (time - index * samples / rate / 6).clamp(min=0)
        note = sum(torch.sin(2 * torch.pi * hertz * k * since) / k for k in (1, 2, 3)) * torch.exp(-4 * since)
        sound += 0.2 * note * torch.tensor([1.0, 0.3 + 0.1 * index])[:channels, None]
    return sound


def draw_codebooks(model: EncodecModel, sound: torch.Tensor) -> None:
    """Vectors near the latents of a sound and what the codebooks before leave over, so that all kinds are chosen."""
    rest = model.encoder(sound).transpose(1, 2)[0]
    for layer in model.quantizer.vq.layers:
        chosen = rest[torch.randint(len(rest), (BINS,))]
        vectors = chosen + 0.5 * rest.std() * torch.randn(BINS, DIMENSION)
        layer._codebook.embed.copy_(vectors)
        rest = rest - vectors[torch.cdist(rest, vectors).argmin(1)]


def make(name: str, *, causal: bool, channels: int, norm: str, ratios: list, rate: int, segment, samples: int) -> dict:
    common = {"channels": channels, "ratios": ratios, "causal": causal, "norm": norm}
    sizes = common | {"dimension": DIMENSION, "n_filters": 3, "lstm": 1}
    bits = 6 * rate // int(torch.tensor(ratios).prod())
    model = EncodecModel(
        SEANetEncoder(**sizes),
        SEANetDecoder(**sizes),
        ResidualVectorQuantizer(dimension=DIMENSION, n_q=CODEBOOKS, bins=BINS, kmeans_init=False),
        [CODEBOOKS * bits / 1000],
        rate,
        channels,
        normalize=norm == "time_group_norm",
        segment=segment,
    ).eval()
    model.set_target_bandwidth(model.target_bandwidths[0])
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("weight_g"):
            parameter.mul_(1.8)  # as drawn, the sound fades from layer to layer
    sound = tune(channels, rate, samples)
    draw_codebooks(model, sound / sound.square().mean().sqrt() if model.normalize else sound)
    frames = model.encode(sound)
    golden = {f"{name}.state.{key}": value for key, value in model.state_dict().items()}
    golden[f"{name}.samples"] = sound
    golden[f"{name}.codes"] = torch.cat([codes for codes, _ in frames], dim=2).to(torch.int16)
    golden[f"{name}.decoded"] = model.decode(frames)
    if model.normalize:
        golden[f"{name}.scales"] = torch.cat([scale for _, scale in frames], dim=1)
    for codebook in golden[f"{name}.codes"][0]:
        print(name, "distinct codes", len(codebook.unique()), "of", len(codebook))
    return golden


if __name__ == "__main__":
    torch.manual_seed(5)
    with torch.no_grad():
        mono = {"causal": True, "channels": 1, "norm": "weight_norm", "ratios": [5, 4, 2], "rate": 24000}
        stereo = {"causal": False, "channels": 2, "norm": "time_group_norm", "ratios": [4, 3, 2], "rate": 2400}
        golden = make("mono", **mono, segment=None, samples=3001)
        golden |= make("stereo", **stereo, segment=0.5, samples=2500)
    path = Path(__file__).with_name("encodec.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, path)
    print(path.stat().st_size, "bytes")
