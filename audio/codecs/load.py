"""A neural codec from whatever checkpoint holds one, told by what is in the files and not by their names.

Knows the marks of each layout. Does not know sizes or weights: the codecs read those.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clavilux.audio.codecs import dac, encodec, vqvae
from clavilux.audio.codecs.vqvae import VQVAE
from clavilux.checkpoint_io import FOLDER_FILES, beginning_with, read_json, read_tensors, read_torch
from clavilux.checks import short

if TYPE_CHECKING:
    from clavilux.audio.codecs import NeuralCodec, ScaledCodec
    from clavilux.audio.codecs.dac import Dac
    from clavilux.audio.codecs.encodec import Encodec, StereoEncodec
    from clavilux.audio.codecs.vqvae import VQVAELevel

    # a type checker sees here that each is what the engine asks of a codec
    def _neural(codec: Encodec | StereoEncodec | Dac | VQVAELevel) -> NeuralCodec:
        return codec

    def _scaled(codec: Encodec) -> ScaledCodec:
        return codec


__all__ = ["load_codec"]

_WHOLE_MODELS = ("musicgen", "musicgen_melody")  # of transformers, with an EnCodec inside
_ENDINGS = (".pth", ".th", ".pt", ".bin", ".safetensors", ".tar")
_CODEC_FILES = ("compression_state_dict.bin", "weights.pth", "vqvae.pth.tar")
_UNDERSTOOD = (
    "understood are EnCodec, DAC and Jukebox's VQ-VAE as transformers saves them (config.json with model_type "
    "'encodec', 'dac', 'jukebox_vqvae' or 'jukebox', or a whole MusicGen), EnCodec's original state dict, audiocraft's "
    "compression_state_dict.bin, DAC's original weights.pth, and Jukebox's original vqvae.pth.tar"
)


def load_codec(path: str | Path, *, level: int | None = None) -> Encodec | StereoEncodec | Dac | VQVAELevel:
    """The codec that a folder or a file holds, float32 on the CPU.

    Args:
        path: a folder as transformers saves it, a folder with one original file, or a file of either.
        level: of a VQ-VAE, which has several; 0, with the shortest hop, by default.

    Raises:
        ValueError: nothing there, or nothing that is understood (the error lists what is), damaged files, or a level
            that there is not.
    """
    codec = _loaded(path)
    if isinstance(codec, VQVAE):
        return codec.level(0 if level is None else level)
    if level is not None:
        raise ValueError(f"{str(path)!r} holds a codec without levels, so there is no level {level!r}")
    return codec


def _loaded(path: str | Path) -> Encodec | StereoEncodec | Dac | VQVAE:
    path = Path(path)
    if not path.exists():
        raise ValueError(f"there is no file or folder {str(path)!r}")
    # a file of a transformers folder stands for the folder
    if path.name in ("config.json", *FOLDER_FILES) and (path.parent / "config.json").is_file():
        path = path.parent
    if (path / "config.json").is_file():
        return _from_transformers(path)
    return _from_file(_only_file(path) if path.is_dir() else path)


def _from_transformers(folder: Path) -> Encodec | StereoEncodec | Dac | VQVAE:
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind in ("dac", "encodec"):
        codec = dac if kind == "dac" else encodec
        return codec.from_config(config, read_tensors(folder), repr(str(folder)))
    if kind in ("jukebox", "jukebox_vqvae"):
        return vqvae.load(folder)
    if kind in _WHOLE_MODELS:
        return _inside(folder, config)
    said = f"its model_type is {short(kind)}" if kind else "it has no model_type"
    raise ValueError(f"{str(folder / 'config.json')!r} is not that of a codec: {said}; {_UNDERSTOOD}")


def _inside(folder: Path, config: dict[str, Any]) -> Encodec | StereoEncodec:
    """The codec of a whole MusicGen; for one that writes stereo, on both channels."""
    inner, decoder = config.get("audio_encoder"), config.get("decoder")
    if not isinstance(inner, dict) or not isinstance(decoder, dict) or inner.get("model_type") != "encodec":
        raise ValueError(f"{str(folder / 'config.json')!r} describes no MusicGen with an EnCodec inside")
    prefix = "audio_encoder."
    weights = {
        name.removeprefix(prefix): tensor for name, tensor in read_tensors(folder, beginning_with(prefix)).items()
    }
    codec = encodec.from_config(inner, weights, f"the codec of {str(folder)!r}")
    return encodec.StereoEncodec(codec) if decoder.get("audio_channels") == 2 else codec


def _only_file(folder: Path) -> Path:
    """The weights in a folder without a config; some have those of the language model beside the codec's."""
    files = sorted(file for file in folder.iterdir() if file.suffix in _ENDINGS and file.is_file())
    codecs = [file for file in files if file.name in _CODEC_FILES] or files
    if len(codecs) != 1:
        found = f"{len(codecs)} files that may hold one" if codecs else "no codec"
        raise ValueError(f"{str(folder)!r} holds {found}; {_UNDERSTOOD}")
    return codecs[0]


def _from_file(path: Path) -> Encodec | StereoEncodec | Dac | VQVAE:
    label = repr(str(path))
    if path.suffix == ".safetensors":
        names = read_tensors(path)
    else:
        content = read_torch(path)
        if "state_dict" in content and "metadata" in content:
            return dac.from_original(content, label)
        if "best_state" in content or "pretrained" in content:
            return encodec.load(path)
        names = content["model"] if isinstance(content.get("model"), dict) else content
    if any(str(name).startswith("quantizer.vq.layers.") for name in names):
        return encodec.load(path)
    if any(str(name).startswith("encoders.0.level_blocks.") for name in names):
        return vqvae.load(path)
    if any(str(name).startswith("quantizer.quantizers.") for name in names):
        raise ValueError(
            f"{label} holds the tensors of a DAC without its sizes; its config.json should lie beside it, or the file "
            "should hold 'state_dict' and 'metadata'"
        )
    raise ValueError(f"{label} holds no codec that is understood; {_UNDERSTOOD}")
