"""`clavilux.verify`: what is known of where a file comes from.

Knows files and folders. How credentials are read, and how marks are found, is `provenance`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clavilux.files import PathLike, check_readable, read_text
from clavilux.provenance import credentials, keys
from clavilux.provenance.formats import BESIDE, EMBEDDED
from clavilux.provenance.identity import blocks
from clavilux.provenance.verdict import Verdict


def verify(path: PathLike, *, trust: PathLike | None = None) -> Verdict:
    """Read the credentials of a sound, a picture or a score, whether or not it can be decoded.

    Args:
        path: of the file. Beside an .ogg or .mid file, `song.ogg.c2pa` is looked at.
        trust: a PEM file with certificates that are trusted besides the user's own.

    Returns:
        A `Verdict`: `credentials` ("valid", "changed" or "absent", who vouches for the signer, the signed receipt),
        `marks`, and `says`, a sentence on both.

    Raises:
        ValueError: nothing is there, it is empty or no regular file, or `trust` holds no certificate.
    """
    path = check_readable(path, "sound, picture or score")
    return Verdict(path, credentials.read(path, keys.known(), certificates(trust)))


def media_in(folder: PathLike) -> Iterator[Path]:
    """The files in a folder, and in those below it, whose names are of sounds, pictures or scores; sorted."""
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() in EMBEDDED | BESIDE and path.is_file() and not path.name.startswith("."):
            yield path


def certificates(trust: PathLike | None) -> bytes:
    """The certificates of a PEM file, without any private key. ValueError for none."""
    if trust is None:
        return b""
    found = [each for each in blocks(read_text(trust).encode()) if each.startswith(b"-----BEGIN CERTIFICATE-----")]
    if not found:
        raise ValueError(f"{str(trust)!r} holds no certificate; it should be a PEM file with one or more")
    return b"".join(found)
