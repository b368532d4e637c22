"""Makes tests/goldens/files_0_1/: a file of each kind that version 0.1 writes, which later versions must still read.

Run with 0.1 only: `python tests/goldens/make_files_of_0_1.py FOLDER` (needs transformers). What a user keeps: a job of
Jukebox's that was stopped in its second level, songs and pictures with their receipts, tokens of two codecs, a MIDI
file, an int8 copy of a MusicGen. `expected.json` says what each holds. The Jukebox that began the job is made again by
`save_jukebox`, from frozen tensors and whole numbers, so its files are the same on every machine.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from commands import call
from jukebox_goldens import save_toy
from safetensors import safe_open
from safetensors.torch import load_file

import clavilux

os.environ["CLAVILUX_MARK"] = "0"  # the files have none
JOB = {"seconds": 20, "seed": 4, "temperature": 0}
STOP_AT = 40  # of 16 + 64 + 256 steps: within the second level
SONG = ("irish jig on fiddle", "--seed", "11", "--tempo", "120", "--quiet", "-o")


class Stop(Exception):
    """The end of a render before its end."""


def save_jukebox(folder: Path) -> Path:
    """The toy Jukebox of the goldens, its VQ-VAE of multiples of 1/64: no processor's normal numbers."""
    save_toy(folder, "transformers", "plain")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in sorted(tensors):
        if name.startswith("vqvae."):
            count = tensors[name].numel()
            numbers = (torch.arange(count) * 7919 + len(name) * 104729) % 127 - 63
            tensors[name] = (numbers / 64).float().reshape(tensors[name].shape)
    path.write_bytes(_safetensors(tensors))
    return folder


def _safetensors(tensors: dict[str, torch.Tensor]) -> bytes:
    """As the library writes them, but in an order of our own: a job knows its checkpoint by the bytes of its files."""
    header, parts, end = {}, [], 0
    for name in sorted(tensors):
        parts.append(tensors[name].numpy().tobytes())
        offsets, end = [end, end + len(parts[-1])], end + len(parts[-1])
        dtype = {torch.float32: "F32", torch.float16: "F16"}[tensors[name].dtype]
        header[name] = {"dtype": dtype, "shape": list(tensors[name].shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def save_musicgen(folder: Path) -> None:
    """A MusicGen of random weights, as small as one can be."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    codec = transformers.EncodecConfig(
        sampling_rate=16000, audio_channels=1, normalize=False, chunk_length_s=None, num_filters=2,
        upsampling_ratios=[8, 4], codebook_size=32, codebook_dim=8, hidden_size=8, num_lstm_layers=1,
        target_bandwidths=[10.0], use_causal_conv=False, norm_type="weight_norm", pad_mode="reflect",
    )  # fmt: skip
    decoder = transformers.MusicgenDecoderConfig(
        vocab_size=32, max_position_embeddings=1024, num_codebooks=4, pad_token_id=32, bos_token_id=32,
        audio_channels=1, hidden_size=32, num_attention_heads=2, num_hidden_layers=2, ffn_dim=64,
    )  # fmt: skip
    text = transformers.T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=8)
    torch.manual_seed(12)
    config = transformers.MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=decoder)
    model = transformers.MusicgenForConditionalGeneration(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if name.startswith("decoder.") and parameter.ndim > 1:  # so large that the likeliest token stands out
            parameter.normal_(std=2 * parameter.shape[1] ** -0.5 if "lm_heads" in name else 0.5)
    for name, buffer in model.named_buffers():
        if name.endswith("codebook.embed"):  # the library begins with zeros
            buffer.normal_()
    model.generation_config.decoder_start_token_id = 32
    model.save_pretrained(folder)
    words = {word: number for number, word in enumerate(("<pad>", "</s>", "<unk>", "slow", "rain"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))


def tone(sample_rate: int, seconds: float) -> clavilux.Audio:
    """A ramp between -0.5 and 0.5, exact in 16 bits, as a sound."""
    numbers = (torch.arange(round(sample_rate * seconds)) * 251) % 4096 - 2048
    return clavilux.Audio((numbers / 4096).float()[None], sample_rate)


def _job(target: Path, scratch: Path) -> dict[str, Any]:
    model = clavilux.load(save_jukebox(scratch / "jukebox"), device="cpu", dtype="float32")
    calls = 0

    def stop(*_: float) -> None:
        nonlocal calls
        calls += 1
        if calls == STOP_AT:
            raise Stop

    words = {"model": "jukebox", "output": "song.wav", "loudness": False}
    try:
        model.generate(job=target / "song.job", job_metadata=words, progress=stop, **JOB)
    except Stop:
        (target / "song.job" / "lock").unlink()
        facts = json.loads(call("info", target / "song.job", "--json").stdout)
        return {"facts": facts, "tokens": model.generate(**JOB).tokens.tolist()}
    raise AssertionError("the render was over before it could be stopped")


def _media(target: Path) -> dict[str, Any]:
    """Songs, pictures and notes, with what `info` says of each."""
    for ending in ("wav", "flac", "ogg", "mp3"):  # a tenth of a second each
        call("render", *SONG, target / f"song.{ending}", "--seconds", "0.1")
    call("render", *SONG, target / "song.mid", "--seconds", "4")
    for ending in ("png", "jpg", "webp"):
        call("paint", "red apple", "--seed", "3", "-o", target / f"apple.{ending}", "--quiet")
    paths = [path for path in sorted(target.iterdir()) if path.stem in ("song", "apple") and path.is_file()]
    return {path.name: json.loads(call("info", path, "--json").stdout) for path in paths}


def _musicgen(target: Path, scratch: Path) -> dict[str, Any]:
    save_musicgen(scratch / "musicgen")
    call("quantize", scratch / "musicgen", "-o", target / "musicgen-int8", "--quiet")
    model = clavilux.load(target / "musicgen-int8", device="cpu", dtype="float32")
    song = model.generate("slow rain", seconds=0.1, temperature=0, seed=1)
    return {"tokens": song.tokens.tolist(), "prompt": "slow rain", "seconds": 0.1}


def _tokens(target: Path, scratch: Path) -> dict[str, Any]:
    found = {}
    codecs = {"encodec": (target / "musicgen-int8", 16000, 0.1), "vqvae": (scratch / "jukebox", 100, 10)}
    for name, (folder, rate, seconds) in codecs.items():
        path, level = target / f"{name}.safetensors", ("--level", "1") if name == "vqvae" else ()
        tone(rate, seconds).save(scratch / "tone.wav", loudness=False)
        call("encode", scratch / "tone.wav", "--codec", folder, "-o", path, "--quiet", *level)
        with safe_open(path, "pt") as file:
            about, tokens = json.loads(file.metadata()["clavilux"]), file.get_tensor("tokens").tolist()
        facts = json.loads(call("info", path, "--json").stdout)
        found[path.name] = {"tokens": tokens, "num_samples": about["num_samples"], "facts": facts}
    return found


def main(target: Path) -> None:
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        expected = {
            "version": call("--version").stdout.strip(), "job": _job(target, scratch), "media": _media(target),
            "int8": _musicgen(target, scratch), "tokens": _tokens(target, scratch),
        }  # fmt: skip
    text = json.dumps(expected, sort_keys=True).replace(f"{target}/", "")
    (target / "expected.json").write_text(text + "\n")
    for path in sorted(target.rglob("*")):
        print(path, path.stat().st_size)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    if where.exists():
        shutil.rmtree(where)
    main(where)
