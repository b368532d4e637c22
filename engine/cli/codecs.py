"""The commands for checkpoints themselves: `encode` and `decode` sound with a codec, `quantize` a model.

Knows arguments and what is said; how a codec works is `clavilux.audio.codecs`'. torch is imported inside a command
only, so that `--help` is instant.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.cli.options import AsJson, Device, Quiet, Strict
from clavilux.files import check_new_folder, check_target

if TYPE_CHECKING:
    import torch

    from clavilux.audio.codecs.dac import Dac
    from clavilux.audio.codecs.encodec import Encodec
    from clavilux.audio.codecs.encodec_stereo import StereoEncodec
    from clavilux.audio.codecs.vqvae import VQVAELevel

CodecPath = Annotated[
    str, typer.Option("--codec", help="A codec's or a MusicGen's folder, one of its files, or a hub id.")
]
Level = Annotated[int | None, typer.Option(help="Jukebox's VQ-VAE: 0, with the most tokens, to 2.", min=0)]


def encode(
    file: Annotated[Path, typer.Argument(help="A sound file: wav, flac, ogg or mp3.")],
    codec: CodecPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .safetensors.")] = Path(
        "tokens.safetensors"
    ),
    codebooks: Annotated[int | None, typer.Option(help="Only the first ones: a lower bandwidth.", min=1)] = None,
    level: Level = None,
    strict: Strict = False,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Turn sound into a neural codec's tokens."""
    from clavilux.audio.clip import Audio
    from clavilux.audio.codecs.encode_clip import encode_clip
    from clavilux.audio.codecs.token_files import check_place, codec_identity, save_tokens

    check_place(output)
    clip = Audio.load(file, strict=strict)
    loaded = _codec(codec, level)
    identity = codec_identity(loaded)
    started = time.perf_counter()
    found = encode_clip(loaded.to(_device(device)), clip, codebooks)
    elapsed_s = time.perf_counter() - started
    save_tokens(output, found.tokens[0], identity, num_samples=found.num_samples, scales=found.scales)
    facts = {
        "codec": identity["family"], "sample_rate": identity["sample_rate"], "codebooks": found.tokens.shape[1],
        "frames": found.tokens.shape[2], "duration_s": round(clip.duration_s, 3), "notes": found.notes,
        "remarks": list(clip.remarks),
    }  # fmt: skip
    _show_report(facts, output, clip.duration_s, elapsed_s, as_json, quiet)


def decode(
    file: Annotated[Path, typer.Argument(help="Tokens that `clavilux encode` wrote.")],
    codec: CodecPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .wav, .flac, .ogg or .mp3.")] = Path(
        "sound.wav"
    ),
    level: Level = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Turn a neural codec's tokens back into sound, as loud as it was."""
    from clavilux.audio import io
    from clavilux.audio.clip import Audio
    from clavilux.audio.codecs.token_files import decode_tokens, load_tokens
    from clavilux.provenance.stamp import stamp_of

    io.format_of(output)
    check_target(output)
    tokens = load_tokens(file)
    if tokens.tokens.ndim == 3 and len(tokens.tokens) > 1:
        raise ValueError(f"{str(file)!r} holds {len(tokens.tokens)} pieces side by side; decode takes one")
    loaded = _codec(codec, level).to(_device(device))
    started = time.perf_counter()
    clip = Audio(decode_tokens(tokens, loaded)[0].float().cpu(), loaded.sample_rate)
    elapsed_s = time.perf_counter() - started
    clip.stamp = stamp_of(tokens=file)
    clip.save(output, loudness=False)
    facts = {"codec": loaded.family, "sample_rate": loaded.sample_rate, "channels": clip.channels}
    _show_report(facts | {"duration_s": round(clip.duration_s, 3)}, output, clip.duration_s, elapsed_s, as_json, quiet)


def quantize(
    source: Annotated[str, typer.Argument(metavar="PATH", help="A MusicGen or AudioGen: folder, file or hub id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new folder.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a copy in 8 bits: smaller, and loaded like the original."""
    from clavilux.checkpoint import folder_of
    from clavilux.cli import display
    from clavilux.families.musicgen.int8_copy import write_int8

    check_new_folder(output)
    facts = {**write_int8(folder_of(source), output), "wrote": str(output)}
    if as_json:
        display.print_json(facts)
    elif not quiet:
        display.show_facts(facts)


def _codec(source: str, level: int | None) -> Encodec | StereoEncodec | Dac | VQVAELevel:
    from clavilux.audio.codecs.load import load_codec
    from clavilux.checkpoint import folder_of

    return load_codec(source if Path(source).exists() else folder_of(source), level=level)


def _device(name: str) -> torch.device:
    from clavilux.precision import device_named

    return device_named(name)


def _show_report(
    facts: dict[str, Any], output: Path, sound_s: float, elapsed_s: float, as_json: bool, quiet: bool
) -> None:
    from clavilux.cli import display

    facts |= {"wrote": str(output), "real_time_factor": round(sound_s / max(elapsed_s, 1e-9), 2)}
    if as_json:
        display.print_json(facts)
    elif not quiet:
        display.show_facts({name: value for name, value in facts.items() if value != []})
