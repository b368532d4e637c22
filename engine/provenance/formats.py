"""Which format a file has, by its first bytes or else by its name, and what C2PA calls it.

Knows signatures of containers. Does not open what is in them.
"""

from __future__ import annotations

from pathlib import Path

# Ending -> MIME type. Into those of the first table credentials are embedded; for others there can be a side file.
EMBEDDED = {
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac", ".png": "image/png", ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4",
}  # fmt: skip
BESIDE = {
    ".ogg": "audio/ogg", ".mid": "audio/midi", ".midi": "audio/midi",
    ".musicxml": "application/vnd.recordare.musicxml+xml", ".abc": "text/vnd.abc",
}  # fmt: skip
SIDE_ENDING = ".c2pa"
_RIFF = {b"WAVE": ".wav", b"WEBP": ".webp"}
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"fLaC", ".flac"),
    (b"OggS", ".ogg"), (b"MThd", ".mid"), (b"ID3", ".mp3"),
)  # fmt: skip


def mime_of(path: Path, head: bytes) -> str | None:
    """The MIME type of a file with these first bytes; None for none that can carry credentials here."""
    ending = path.suffix.lower()
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        ending = _RIFF[head[8:12]]
    elif head[4:8] == b"ftyp":
        ending = ".mp4"
    else:
        ending = next((found for signature, found in _SIGNATURES if head.startswith(signature)), ending)
    return (EMBEDDED | BESIDE).get(ending)


def side_file(path: Path) -> Path:
    """Where the credentials of a file are that cannot carry them: `song.ogg.c2pa` beside it."""
    return path.with_name(path.name + SIDE_ENDING)
