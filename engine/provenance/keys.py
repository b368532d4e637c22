"""The user's own identity: made at first use, kept in the user's data folder, exported, imported, rotated.

Knows files and which identity signs now. Does not know certificates (`identity`) or what is signed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clavilux.files import PathLike, atomic_path, check_target, read_text
from clavilux.provenance.folder import data_folder, tighten, write_secret
from clavilux.provenance.identity import Identity, blocks, certificate_id, new_identity, read_identity

_WAIT_S = 20.0  # for another process that makes the first identity


@dataclass(frozen=True)
class Known:
    """A certificate that this user's files are recognised by.

    Attributes:
        id: of the identity.
        root: PEM; who trusts it, trusts what this identity signs.
    """

    id: str
    root: bytes


def keys_folder() -> Path:
    """Where identities are kept: `current.pem`, and former ones by their ids."""
    return data_folder() / "keys"


def own_identity() -> Identity:
    """The user's identity; one is made where there is none yet.

    Raises:
        ValueError: the file is damaged.
        OSError: the folder cannot be written or read.
    """
    return current_identity() or _settle(new_identity(), replaces=False)


def current_identity() -> Identity | None:
    """The user's identity; None where there is none yet. Errors as `own_identity`."""
    path = keys_folder() / "current.pem"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    tighten(path)
    return read_identity(content, repr(str(path)))


def identity_in(path: PathLike) -> Identity:
    """The identity in a file of the user's, such as an organisation's. ValueError, as `read_identity`."""
    return read_identity(read_text(path).encode(), repr(str(path)))


def known() -> list[Known]:
    """What the user's files are recognised by: the identity that signs now first, then former ones. What cannot be read
    is passed over: a file can be verified without keys.
    """
    folder, found = keys_folder(), []
    for path in [folder / "current.pem", *sorted((folder / "former").glob("*.pem"))]:
        with suppress(OSError, ValueError):
            certificates = [each for each in blocks(path.read_bytes()) if each.startswith(b"-----BEGIN CERT")]
            if certificates:
                found.append(Known(certificate_id(certificates[0]), certificates[-1]))
    return found


def rotate() -> Identity:
    """A new identity that signs from now on; files that the former one signed are still recognised. OSError."""
    return _settle(new_identity(), replaces=True)


def take(path: PathLike) -> Identity:
    """Sign with the identity in a file from now on. ValueError for a file that holds none, OSError."""
    return _settle(identity_in(path), replaces=True)


def export(path: PathLike, *, public: bool = False) -> Identity:
    """Write the identity to a file: with its private key for another machine, its owner alone may read it; or the
    certificates alone, for others to trust.

    Raises:
        ValueError: a file cannot be written there.
        OSError: writing failed.
    """
    check_target(path)
    found = own_identity()
    if not public:
        write_secret(Path(path), found.pem)
        return found
    with atomic_path(path) as temporary:
        temporary.write_bytes(found.certificates)
    return found


def _settle(identity: Identity, *, replaces: bool) -> Identity:
    """Make an identity the one that signs; unless it `replaces`, one that is there by now stays."""
    from filelock import FileLock

    folder = keys_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=_WAIT_S):
        present = current_identity()
        if present is not None:
            if not replaces or present.id == identity.id:
                return present
            write_secret(folder / "former" / f"{present.id}.pem", present.pem)
        write_secret(folder / "current.pem", identity.pem)
        (folder / "former" / f"{identity.id}.pem").unlink(missing_ok=True)  # it came back
    return identity
