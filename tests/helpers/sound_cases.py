"""Writes sound files as the world has them into a folder: `python tests/helpers/sound_cases.py FOLDER`.

Each stands for a kind: a length that a header states wrongly or not at all, streams one after another, what stands
before the first frame, a file that broke off. All hold 1.5 s at 16 kHz if they are whole.
"""

import io
import struct
import sys
from pathlib import Path

import numpy as np
import soundfile


def encoded(file_format, subtype, rate=16000, seconds=1.5) -> bytes:
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(times))
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.3 * np.sin(2 * np.pi * 440 * times) + 0.05 * noise, rate, subtype, format=file_format)
    return buffer.getvalue()


def patched(content, mark, offset, value) -> bytes:
    at = content.index(mark) + offset
    return content[:at] + value + content[at + len(value) :]


def cases() -> dict[str, bytes]:
    wav, flac, aiff = (encoded(each, "PCM_16") for each in ("WAV", "FLAC", "AIFF"))
    w64, ogg, mp3 = encoded("W64", "PCM_16"), encoded("OGG", "VORBIS"), encoded("MP3", "MPEG_LAYER_III")
    tag = b"ID3\4\0\0" + bytes([0, 64, 0, 0]) + bytes(64 << 14)
    return {
        "piped.wav": patched(patched(wav, b"RIFF", 4, b"\xff" * 4), b"data", 4, b"\xff" * 4),
        "begun.wav": patched(patched(wav, b"RIFF", 4, struct.pack("<I", 36)), b"data", 4, bytes(4)),
        "huge-length.flac": patched(flac, b"fLaC", 22, b"\xff" * 4),
        "sizes-zero.w64": patched(patched(w64, b"riff", 16, bytes(8)), b"data", 16, bytes(8)),
        "chain.ogg": ogg + encoded("OGG", "VORBIS", seconds=0.7),
        "chain-changes-rate.ogg": ogg + encoded("OGG", "VORBIS", rate=24000),
        "zeros-and-big-tag.mp3": bytes(4096) + tag + bytes(4096) + mp3,
        "no-length-header.mp3": mp3.replace(b"Xing", bytes(4), 1),
        "cut.flac": flac[: round(len(flac) * 0.6)],
        "cut.mp3": mp3[: round(len(mp3) * 0.6)],
        "cut.ogg": encoded("OGG", "VORBIS", seconds=12.0)[:40000],
        "cut.aiff": aiff[: round(len(aiff) * 0.6)],
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in cases().items():
        (folder / name).write_bytes(content)
