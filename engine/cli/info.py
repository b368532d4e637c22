"""What a checkpoint, a job, a file of sound, notes or a picture is, as plain facts: the `info` and `models` commands.

Knows how to look at files. torch is not imported for sound, notes or a picture, nor for the list of models: what
needs it, because it is about weights, is `describe_models`'.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from clavilux.audio.programs import program_name
from clavilux.checkpoint import GENERATORS, PRETRAINED, bundled, bundled_generators, find
from clavilux.checkpoint_io import open_safetensors, read_json
from clavilux.families.model_card import data_of
from clavilux.families.registry import JUKEBOX, LLAMAGEN, folder_of_file
from clavilux.files import NOTATION_READ, check_readable, is_midi

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
_CODECS = ("encodec", "dac", "jukebox_vqvae")  # model_type
_WEIGHTS = (".safetensors", ".bin", ".pth", ".th")
_SCALE = "_scale"  # ends the names of what matrices of whole numbers are multiplied with: no parameters


def bundled_models() -> list[dict[str, Any]]:
    """What each bundled checkpoint is and accepts; `describe` says more of one."""
    from clavilux.families.aria.controls import ACCEPTS as MUSIC
    from clavilux.families.lumia.prompt import ACCEPTS as PAINTING

    models = []
    for name in bundled():
        found = find(name)
        file = PRETRAINED / name / "model.safetensors"
        decoder, beside = _count_parameters(file)
        pictures = found.makes == "pictures"
        facts = {
            "name": name,
            "kind": "checkpoint",
            "family": found.family,
            "parameters": decoder if pictures else decoder + beside,
            "size_bytes": file.stat().st_size,
            "licence": found.config.get("licence", "not stated"),
            "accepts": PAINTING if pictures else MUSIC,
        }
        models.append(facts)
    return models + [{"name": name, **generator_facts(PRETRAINED / name)} for name in bundled_generators()]


def generator_facts(folder: Path) -> dict[str, Any]:
    """What the folder of a VAE or a GAN of pictures is, from its config and the names and shapes of its weights."""
    config, file = read_json(folder / "config.json"), folder / "model.safetensors"
    return {
        "kind": "generator",
        "family": config["family"],
        "parameters": sum(_elements(file).values()),
        "size_bytes": file.stat().st_size,
        "licence": config.get("licence", "not stated"),
        "classes": [name for name in config.get("classes", ()) if name],
        "training": config.get("training", {}),
        "accepts": {},
    }


def _count_parameters(path: Path) -> tuple[int, int]:
    """(of the decoder, beside it), from the names and shapes in a bundled model's file."""
    counts = [0, 0]
    for name, count in _elements(path).items():
        if not name.endswith(_SCALE):
            counts[not name.startswith("decoder.")] += count
    return counts[0], counts[1]


def _elements(path: Path) -> dict[str, int]:
    """How many numbers each tensor of a file has; of the file its head alone is read, and no torch is imported."""
    with open_safetensors(path, framework="numpy") as file:
        names = file.keys()
        return {name: math.prod(file.get_slice(name).get_shape()) for name in names}


def describe(path: str | Path, seconds: float = 30.0, batch: int = 1, *, strict: bool = False) -> dict[str, Any]:
    """Facts about a checkpoint (its folder, weights or config), a codec, tokens, a job, sound, notes or a picture.

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
    known = [*bundled(), *bundled_generators()]
    if str(path) in known and not path.exists():
        path = PRETRAINED / path
    if not path.exists():
        names = ", ".join(known)
        raise ValueError(f"there is no file or folder {str(path)!r}, and no bundled model of that name ({names})")
    if _is_of_a_model(path):
        return _model_facts(path, seconds, batch)
    if path.suffix.lower() in _PICTURES:
        return picture_facts(path, strict)
    if path.suffix.lower() in NOTATION_READ:
        return score_facts(path, "MusicXML or ABC file", strict)
    midi = is_midi(path)
    check_readable(path, "MIDI file" if midi else "sound file")
    return score_facts(path, "MIDI file", strict) if midi else sound_facts(path, strict)


def _is_of_a_model(path: Path) -> bool:
    """Whether it is a folder, or a file that may hold weights, tokens or a config."""
    endings = (*_WEIGHTS, ".json", LLAMAGEN)
    return (
        path.is_dir() or path.suffix.lower() in endings or JUKEBOX.fullmatch(path.name) is not None or _is_codec(path)
    )


def _model_facts(path: Path, seconds: float, batch: int) -> dict[str, Any]:
    from clavilux.audio.codecs.token_files import is_token_file
    from clavilux.cli import info_models
    from clavilux.families.jukebox import journal

    if is_token_file(path):
        return info_models.token_facts(path)
    if _is_codec(path):
        return info_models.codec_facts(path)
    if (path / "job.json").is_file():
        return journal.facts(path)
    if path.is_dir() and _is_generator(path):
        facts = {name: value for name, value in generator_facts(path).items() if name != "accepts"}
        return facts | _data_facts(path)
    if path.is_dir():
        return info_models.checkpoint_facts(path, seconds, batch) | _data_facts(path)
    if path.suffix == LLAMAGEN and path.name.startswith("vq"):
        return info_models.picture_codec_facts(path)
    return info_models.checkpoint_facts(folder_of_file(path), seconds, batch)


def _data_facts(folder: Path) -> dict[str, Any]:
    """What the model learned from, and under which licences, as its card says."""
    found = data_of(folder)
    return {"learned_from": {str(number): each for number, each in enumerate(found, 1)}} if found else {}


def _is_generator(folder: Path) -> bool:
    """Whether a folder's config is of a family of `GENERATORS`."""
    try:
        return read_json(folder / "config.json").get("family") in GENERATORS
    except ValueError:
        return False  # what is wrong with it is said where it is read


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


def score_facts(path: Path, kind: str, strict: bool = False) -> dict[str, Any]:
    """Of a file of notes: length, bars, key, tempi, metres, who plays, and what was passed over."""
    from clavilux.audio.notation.files import read_score

    score = read_score(path, strict=strict)
    pitched = score.notes[~score.notes["drum"]]
    key = score.key or score.signature
    facts = {
        "kind": kind,
        "duration_s": round(score.duration_s, 3),
        "bars": len(score.bar_starts()),
        "notes": len(score.notes),
        "key": str(key) if key else "not stated",
        "metres": list(dict.fromkeys(f"{a}/{b}" for _, (a, b) in score.metres)),
        "tempos": _span([tempo for _, tempo in score.tempos]),
        "instruments": [program_name(program) for program in sorted(set(pitched["program"].tolist()))]
        or ["none but drums"],
        "drum_notes": len(score.notes) - len(pitched),
    }
    if score.chords:
        facts["chords"] = [chord.name(score.key) for _, chord in score.chords]
    if score.remarks:
        facts["remarks"] = list(score.remarks)
    return facts | ({"receipt": score.receipt} if score.receipt else {})


def sound_facts(path: Path, strict: bool = False) -> dict[str, Any]:
    """Length, rate, channels, level, the receipt of a file that was written here, and what is wrong with the file.

    Read block by block: a recording may be longer than the memory.
    """
    from clavilux.audio.reading import SoundReader, receipt_from

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
    from clavilux.image import io as image_io

    found = image_io.read(path, strict=strict)
    height, width, _ = found.pixels.shape
    facts = {"kind": "picture file", "width": width, "height": height, "size_bytes": path.stat().st_size}
    if found.remarks:
        facts["remarks"] = list(found.remarks)
    return facts | ({"receipt": found.receipt} if found.receipt else {})


def _span(values: list[float]) -> list[float]:
    """The lowest and the highest value, or the only one."""
    return list(dict.fromkeys([min(values), max(values)]))
