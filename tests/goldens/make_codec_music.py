"""Makes codec_music.flac, three seconds of the bundled model, and codec_music.safetensors: what the original packages
make of it with the weights that lie in encodec.safetensors and dac.safetensors.

    pip install --no-deps encodec==0.1.1 descript-audio-codec==1.0.0 && pip install torch einops numpy safetensors
    python tests/goldens/make_codec_music.py     (clavilux itself is needed for the sound only, if it is not there yet)

EnCodec as published works at 24 kHz, and at 48 kHz in chunks of a second. Of each decode every `STRIDE`-th sample is
kept: the stride divides no hop, so all places in a frame are seen.
"""

import json
import sys
import types
import warnings
from pathlib import Path
from unittest.mock import MagicMock

warnings.simplefilter("ignore")  # both packages use the old weight norm
sys.modules["torchaudio"] = types.ModuleType("torchaudio")
for name in ("audiotools", "audiotools.core", "audiotools.core.util", "audiotools.ml", "argbind", "tqdm"):
    sys.modules[name] = MagicMock()

import soundfile  # noqa: E402
import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

sys.modules["audiotools"].ml = sys.modules["audiotools.ml"]
sys.modules["audiotools.ml"].BaseModel = type("BaseModel", (torch.nn.Module,), {"INTERN": [], "EXTERN": []})

from dac.model import DAC  # noqa: E402
from encodec.model import EncodecModel  # noqa: E402
from encodec.modules import SEANetDecoder, SEANetEncoder  # noqa: E402
from encodec.quantization import ResidualVectorQuantizer  # noqa: E402

HERE = Path(__file__).parent
SOUND = HERE / "codec_music.flac"
STRIDE = 7


def music() -> torch.Tensor:
    """[1, 2, 144000], 48 kHz, rendered by the bundled model if it is not there yet."""
    if not SOUND.exists():
        import clavilux

        song = clavilux.load("aria", device="cpu", dtype="float32").generate("lively string quartet", seconds=3, seed=1)
        song.resample(48000).save(SOUND)
    samples, _ = soundfile.read(SOUND, dtype="float32", always_2d=True)
    return torch.from_numpy(samples).T[None].contiguous()


def at_24_khz(samples: torch.Tensor) -> torch.Tensor:
    """[1, 2, N] at 48 kHz -> [1, 1, N / 2]: means of four samples of 16 bits, which float32 holds exactly."""
    return samples.mean(1, keepdim=True).unflatten(2, (-1, 2)).mean(3)


def encodec(name: str, rate: int, **sizes) -> EncodecModel:
    """The model of make_encodec.py with this name, at its published rate."""
    stem = f"{name}.state."
    state = {k.removeprefix(stem): v for k, v in load_file(HERE / "encodec.safetensors").items() if k.startswith(stem)}
    common = sizes | {"dimension": 8, "n_filters": 3, "lstm": 1}
    quantizer = ResidualVectorQuantizer(dimension=8, n_q=4, bins=64, kmeans_init=False)
    chunked = {"normalize": True, "segment": 1.0} if name == "stereo" else {"normalize": False, "segment": None}
    hop = int(torch.tensor(sizes["ratios"]).prod())
    bandwidth = 4 * 6 * rate / hop / 1000
    model = EncodecModel(SEANetEncoder(**common), SEANetDecoder(**common), quantizer, [bandwidth], rate,
                         sizes["channels"], **chunked)  # fmt: skip
    model.load_state_dict(state)
    model.set_target_bandwidth(bandwidth)
    return model.eval()


def dac() -> DAC:
    """The model of make_dac.py."""
    with safe_open(HERE / "dac.safetensors", "pt") as file:
        kwargs = json.loads(file.metadata()["kwargs"])
    tensors = load_file(HERE / "dac.safetensors")
    model = DAC(**kwargs)
    model.load_state_dict({k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")})
    return model.eval()


@torch.no_grad()
def main() -> None:
    sound = music()
    mono = at_24_khz(sound)
    golden = {}
    causal = encodec("mono", 24000, causal=True, channels=1, norm="weight_norm", ratios=[5, 4, 2])
    chunked = encodec("stereo", 48000, causal=False, channels=2, norm="time_group_norm", ratios=[4, 3, 2])
    for name, model, samples in (("encodec_24khz", causal, mono), ("encodec_48khz", chunked, sound)):
        frames = model.encode(samples)
        golden[f"{name}.codes"] = torch.cat([codes for codes, _ in frames], dim=2)
        golden[f"{name}.decoded"] = model.decode(frames)
        if model.normalize:
            golden[f"{name}.scales"] = torch.cat([scale for _, scale in frames], dim=1)
    model = dac()
    padded = model.preprocess(mono, model.sample_rate)
    latent, codes, *_ = model.encode(padded)
    golden |= {"dac.codes": codes, "dac.decoded": model.decode(latent)}
    for name in list(golden):
        if name.endswith("codes"):
            golden[name] = golden[name].to(torch.int16)
            print(name, list(golden[name].shape), "distinct", [len(k.unique()) for k in golden[name][0]])
        elif name.endswith("decoded"):
            print(name, list(golden[name].shape), "deviation", float(golden[name].std()))
            golden[name] = golden[name][..., ::STRIDE].contiguous()
    path = SOUND.with_suffix(".safetensors")
    packages = {"packages": "encodec 0.1.1, descript-audio-codec 1.0.0", "torch": torch.__version__}
    save_file(golden, path, packages)
    print(path.stat().st_size, "bytes, and", SOUND.stat().st_size, "of sound")


if __name__ == "__main__":
    main()
