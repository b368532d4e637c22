"""Freezes a small random model of `descript-audio-codec` 1.0.0, a sound, its codes and their decode.

    pip install --no-deps descript-audio-codec==1.0.0 && pip install torch einops numpy safetensors
    python tests/goldens/make_dac.py

Of the package only the network runs. What else it imports (files, losses, arguments) is replaced by nothing.
"""

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import torch
from safetensors.torch import save_file

for name in ("audiotools", "audiotools.core", "audiotools.core.util", "audiotools.ml", "argbind", "tqdm"):
    sys.modules[name] = MagicMock()
sys.modules["audiotools"].ml = sys.modules["audiotools.ml"]
sys.modules["audiotools.ml"].BaseModel = type("BaseModel", (torch.nn.Module,), {"INTERN": [], "EXTERN": []})

from dac.model import DAC  # noqa: E402

KWARGS = {
    "encoder_dim": 4,
    "encoder_rates": [2, 3, 5],  # odd ones decode to less than they were made from
    "latent_dim": 24,
    "decoder_dim": 32,
    "decoder_rates": [5, 3, 2],
    "n_codebooks": 3,
    "codebook_size": 64,
    "codebook_dim": [8, 4, 8],
    "quantizer_dropout": 0.5,
    "sample_rate": 16000,
}


def randomised(model):
    """Weights that keep the sizes of signals, so that codes differ and the output is loud but not clipped."""
    for name, value in model.state_dict().items():
        if name.endswith("alpha"):
            value.uniform_(0.3, 2.0)
        elif name.endswith("weight_g"):
            value.uniform_(0.4, 0.9)
        elif name.endswith("bias"):
            value.normal_(std=0.1)
        else:
            value.normal_()
    return model.eval()


def sound(num_samples, sample_rate):
    """A chord with a bow's noise, [2, 1, N]; the second row is noise alone."""
    time = torch.arange(num_samples) / sample_rate
    chord = sum(torch.sin(2 * torch.pi * f * n * time) / n for f in (220, 277.2, 329.6) for n in range(1, 6))
    noise = torch.randn(2, num_samples)
    return torch.stack([0.1 * chord + 0.01 * noise[0], 0.3 * noise[1]])[:, None]


def main():
    torch.manual_seed(6546)
    model = randomised(DAC(**KWARGS))
    samples = sound(3001, KWARGS["sample_rate"])
    with torch.no_grad():
        padded = model.preprocess(samples, KWARGS["sample_rate"])
        latent, codes, *_ = model.encode(padded)
        decoded = model.decode(latent)
        from_two = model.decode(model.quantizer.from_codes(codes[:, :2])[0])
    tensors = {f"weights.{name}": value for name, value in model.state_dict().items()}
    tensors |= {"samples": samples, "codes": codes.to(torch.int16), "decoded": decoded, "decoded_from_two": from_two}
    path = Path(__file__).with_name("dac.safetensors")
    metadata = {"kwargs": json.dumps(KWARGS), "package": "descript-audio-codec 1.0.0", "torch": torch.__version__}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)
    print(path, path.stat().st_size, "bytes; codes used:", [len(codes[:, k].unique()) for k in range(codes.shape[1])])
    print("decoded: deviation", float(decoded.std()), "most", float(decoded.abs().max()))


if __name__ == "__main__":
    main()
