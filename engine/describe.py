"""What a checkpoint, a job, a sound, MIDI or picture file is, as plain facts: the `info` and `models` commands.

Knows how to look without loading: a checkpoint's weights are not read, only their names and shapes.
"""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

from . import journal
from .audio.codecs.files import is_token_file, load_tokens
from .audio.codecs.load import load_codec
from .audio.programs import program_name
from .audio.reading import SoundReader
from .audio.saving import receipt_from
from .audio.score import Score
from .checkpoint import FAMILIES, PICTURES, PRETRAINED, bundled, read_config
from .checkpoint_io import open_safetensors, read_json, unwrapped_names
from .decoder import DecoderSpec
from .errors import CheckpointError
from .families.configs import describing, section
from .families.musicgen import licence
from .families.recognise import JUKEBOX, LLAMAGEN, folder_of_file
from .files import check_readable
from .image import io as image_io
from .image.codecs import vq
from .model import device_named
from .precision import held_bytes, usual

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
_CODECS = ("encodec", "dac", "jukebox_vqvae")  # model_type
_WEIGHTS = (".safetensors", ".bin", ".pth", ".th")


def bundled_models() -> list[dict[str, Any]]:
    """The facts of each bundled checkpoint, and what it accepts."""
    models = []
    for name in bundled():
        facts = checkpoint_facts(PRETRAINED / name)
        accepts = import_module(FAMILIES[facts["family"]]).ACCEPTS
        models.append({"name": name, **facts, "accepts": accepts})
    return models


def describe(path: str | Path, seconds: float = 30.0, batch: int = 1, *, strict: bool = False) -> dict[str, Any]:
    """Facts about a checkpoint (its folder, weights or config), a codec, tokens, a job, a MIDI, sound or picture file.

    Args:
        path: what to look at.
        seconds, batch: length and number of the pieces that a checkpoint's memory is estimated for.
        strict: what would be a remark on a damaged file is an error.

    Returns:
        JSON values.

    Raises:
        ValueError: nothing is there, or it is a file of another kind.
        CheckpointError: a damaged checkpoint.
    """
    path = Path(path)
    if str(path) in bundled() and not path.exists():
        path = PRETRAINED / path
    if not path.exists():
        names = ", ".join(bundled())
        raise ValueError(f"there is no file or folder {str(path)!r}, and no bundled model of that name ({names})")
    if is_token_file(path):
        return token_facts(path)
    if _is_codec(path):
        return codec_facts(path)
    if (path / "job.json").is_file():
        return journal.facts(path)
    if path.is_dir():
        return checkpoint_facts(path, seconds, batch)
    if path.suffix == LLAMAGEN and path.name.startswith("vq"):
        return picture_codec_facts(path)
    if path.suffix.lower() in (".safetensors", ".bin", ".json", LLAMAGEN) or JUKEBOX.fullmatch(path.name):
        return checkpoint_facts(folder_of_file(path), seconds, batch)
    if path.suffix.lower() in _PICTURES:
        return picture_facts(path, strict)
    check_readable(path, "sound file")  # or a MIDI file, which its own reader limits further
    with open(path, "rb") as file:
        head = file.read(12)
    is_midi = head[:4] == b"MThd" or head[8:] == b"RMID" or path.suffix.lower() in (".mid", ".midi", ".rmi")
    return midi_facts(path, strict) if is_midi else sound_facts(path, strict)


def checkpoint_facts(folder: Path, seconds: float = 30.0, batch: int = 1) -> dict[str, Any]:
    """Family, size, licence, context and the memory needed. Raises CheckpointError."""
    family, config = read_config(folder)
    module = import_module(FAMILIES[family])
    if family in PICTURES:
        size = module.picture_size(folder, config)
        needed = module.memory_needed(folder, config, size, batch)
        return module.facts(folder, config) | {f"memory_for_{batch}_x_{size}_pixels_bytes": needed}
    if hasattr(module, "facts"):
        needed = module.memory_needed(folder, config, seconds, batch)
        return module.facts(folder, config) | {f"memory_for_{batch}_x_{seconds:g}_s_bytes": needed}
    with describing(f"the config.json in {str(folder)!r}", "decoder"):
        spec = DecoderSpec.from_dict(section(config, "decoder"))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{str(folder)!r} holds no safetensors file, so its weights are missing")
    shapes = [shape for file in files for shape in _shapes(file).items()]
    parameters = sum(math.prod(shape) for _, shape in shapes)
    device = device_named("auto")
    dtype = usual(parameters, device)
    in_matrices, in_others, in_cache = held_bytes(dtype, device)
    matrices = sum(math.prod(shape) for name, shape in shapes if name.startswith("decoder.layers.") and len(shape) == 2)
    others = parameters - matrices
    if spec.tied and in_matrices != in_others:  # the table is packed once more, as the head
        matrices += spec.vocabulary * spec.width
    cached = 2 * spec.layers * spec.heads * spec.head_dim * spec.max_positions
    return {
        "kind": "checkpoint",
        "family": family,
        "parameters": parameters,
        "size_bytes": sum(file.stat().st_size for file in files),
        "licence": config.get("licence", "not stated"),
        "context_tokens": spec.max_positions,
        "layers": spec.layers,
        "width": spec.width,
        "dtype": dtype,
        "memory_for_weights_bytes": matrices * in_matrices + others * in_others,
        "memory_for_each_piece_bytes": cached * in_cache,
    }


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Of a safetensors file's tensors, by name. Raises CheckpointError."""
    with open_safetensors(path) as file:
        return {n: tuple(file.get_slice(theirs).get_shape()) for n, theirs in unwrapped_names(file.keys()).items()}


def codec_facts(path: Path) -> dict[str, Any]:
    """What a neural codec is. It is loaded to find out: it is small. Raises ValueError."""
    codec = load_codec(path)
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.suffix in _WEIGHTS]
    return {
        "kind": "codec",
        "family": codec.family,
        "parameters": sum(p.numel() for p in codec.parameters()),
        "size_bytes": sum(file.stat().st_size for file in files),
        "licence": licence(path if path.is_dir() else path.parent),
        "sample_rate": codec.sample_rate,
        "channels": codec.channels,
        "frame_rate": codec.frame_rate,
        "codebooks": codec.codebooks,
        "vocabulary": codec.vocabulary,
    }


def picture_codec_facts(path: Path) -> dict[str, Any]:
    """What a VQ codec of pictures is. It is loaded to find out: it is small. Raises ValueError."""
    codec = vq.load(path)
    return {
        "kind": "picture codec",
        "family": codec.family,
        "parameters": sum(p.numel() for p in codec.parameters()),
        "size_bytes": path.stat().st_size,
        "licence": licence(path.parent),
        "vocabulary": codec.vocabulary,
        "downsampling": codec.downsampling,
    }


def _is_codec(path: Path) -> bool:
    """Whether this is a codec by itself: transformers' config says so, or the ending is one of the originals'."""
    config = path / "config.json" if path.is_dir() else path.parent / "config.json"
    if path.suffix in (".pth", ".th") or path.name == "vqvae.pth.tar":
        return True
    if not config.is_file() or path.is_file() and path.suffix not in (".json", *_WEIGHTS):
        return False
    try:
        return read_json(config).get("model_type") in _CODECS
    except ValueError:
        return False  # what is wrong with it is said where it is read


def token_facts(path: Path) -> dict[str, Any]:
    """What a file of a codec's tokens holds. Raises ValueError."""
    file = load_tokens(path)
    frames, codec = file.tokens.shape[-1], file.codec
    seconds = frames / codec["frame_rate"] if file.num_samples is None else file.num_samples / codec["sample_rate"]
    return {
        "kind": "tokens",
        "duration_s": round(seconds, 3),
        "codebooks": file.tokens.shape[-2],
        "frames": frames,
        "codec": {name: value for name, value in codec.items() if name != "weights"},
        "size_bytes": path.stat().st_size,
    }


def midi_facts(path: Path, strict: bool = False) -> dict[str, Any]:
    """Length, bars, key, tempi, metres, who plays, and what was passed over."""
    score = Score.from_midi(path, strict=strict)
    pitched = score.notes[~score.notes["drum"]]
    key = score.key or score.signature
    facts = {
        "kind": "MIDI file",
        "duration_s": round(score.duration_s, 3),
        "bars": len(score.bar_starts()),
        "notes": len(score.notes),
        "key": str(key) if key else "not stated",
        "metres": list(dict.fromkeys(f"{a}/{b}" for _, (a, b) in score.metres)),
        "tempos": _span([tempo for _, tempo in score.tempos]),
        "instruments": [program_name(program) for program in sorted(set(pitched["program"].tolist()))],
        "drum_notes": len(score.notes) - len(pitched),
    }
    if score.chords:
        facts["chords"] = [chord.name(score.key) for _, chord in score.chords]
    if score.remarks:
        facts["remarks"] = list(score.remarks)
    return facts


def sound_facts(path: Path, strict: bool = False) -> dict[str, Any]:
    """Length, rate, channels, level, the receipt of a file that was written here, and what is wrong with the file.

    Read block by block: a recording may be longer than the memory.
    """
    with SoundReader(path, strict=strict) as reader:
        peak = max(float(abs(block).max()) for block in reader)
    facts = {
        "kind": "sound file",
        "duration_s": round(reader.num_samples / reader.sample_rate, 3),
        "sample_rate": reader.sample_rate,
        "channels": reader.channels,
        "peak_dbfs": round(20 * math.log10(peak), 2) if peak else "silence",
        "size_bytes": path.stat().st_size,
        "remarks": list(reader.remarks),
    }
    receipt = receipt_from(reader.comment)
    return facts | ({"receipt": receipt} if receipt else {})


def picture_facts(path: Path, strict: bool = False) -> dict[str, Any]:
    """Size, what is damaged, and the receipt of a file that was painted here."""
    found = image_io.read(path, strict=strict)
    height, width, _ = found.pixels.shape
    facts = {"kind": "picture file", "width": width, "height": height, "size_bytes": path.stat().st_size}
    if found.remarks:
        facts["remarks"] = list(found.remarks)
    return facts | ({"receipt": found.receipt} if found.receipt else {})


def _span(values: list[float]) -> list[float]:
    """The lowest and the highest value, or the only one."""
    return list(dict.fromkeys([min(values), max(values)]))
