"""Credentials in a file, by C2PA: written into it or beside it, and read again.

Knows the library c2pa, which is imported when a file is signed or read, not before. Asks no host: no timestamp server,
no revocation, no remote manifest. Does not know what a manifest should say (`manifest`) or whose keys there are.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clavilux.files import atomic_path
from clavilux.provenance.formats import BESIDE, EMBEDDED, mime_of, side_file
from clavilux.provenance.identity import Identity
from clavilux.provenance.keys import Known
from clavilux.provenance.verdict import ABSENT, CHANGED, VALID, Credentials

if TYPE_CHECKING:
    import c2pa

Source = tuple[dict[str, Any], Path | None]  # an ingredient as C2PA has it, and its file where it is still there
RECEIPT, INGREDIENTS = "org.clavilux.receipt", "org.clavilux.ingredients"
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
# The description box of a manifest store (C2PA 2.2, section 11.1.4.2): there where credentials are, even in a file
# whose container is broken. JPEG and GIF split what is in them, but not in the first bytes.
_STORE = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x008\x9bq"
_HEAD = 64  # bytes that tell a format


def sign(file: Path, name: str, manifest: Mapping[str, Any], sources: Sequence[Source], who: Identity) -> None:
    """Write credentials into a file; what is read from it otherwise stays the same.

    Args:
        file: changed in place, at the end of all work; its ending is a key of `EMBEDDED`.
        name: what it will be called.
        manifest: as c2pa's builder takes it.
        sources: what the manifest's ingredients are, with the files whose own credentials are kept.
        who: signs.

    Raises:
        ValueError: the file cannot be signed.
        OSError: writing failed.
    """
    with tempfile.TemporaryFile(dir=file.parent) as signed:  # whose disk has room, or the save fails anyway
        with open(file, "rb") as source:
            _signed(source, EMBEDDED[file.suffix.lower()], name, manifest, sources, who, signed)
        signed.seek(0)
        with open(file, "wb") as target:
            shutil.copyfileobj(signed, target, 1 << 20)


def sign_beside(file: Path, name: str, manifest: Mapping[str, Any], sources: Sequence[Source], who: Identity) -> Path:
    """Write the credentials of a file that cannot carry them beside it; the path. Arguments and errors as `sign`."""
    target = side_file(file.with_name(name))
    with open(file, "rb") as source:
        store = _signed(source, BESIDE[file.suffix.lower()], name, manifest, sources, who, None)
    with atomic_path(target) as temporary:
        temporary.write_bytes(store)
    return target


def _signed(
    source: Any, mime: str, name: str, manifest: Mapping[str, Any],
    sources: Sequence[Source], who: Identity, target: Any | None,
) -> bytes:  # fmt: skip
    """The manifest store; with a `target`, the file with it is written there."""
    import c2pa

    settings = c2pa.Settings.from_dict(_OFFLINE | {"builder": {"thumbnail": {"enabled": False}}})
    info = c2pa.C2paSignerInfo(who.algorithm.encode(), who.certificates, who.key, None)
    try:
        with (
            c2pa.Context(settings) as context,
            c2pa.Builder(dict(manifest) | {"title": name}, context=context) as builder,
            c2pa.Signer.from_info(info) as signer,
        ):
            for ingredient, path in sources:
                _add(builder, ingredient, path)
            if target is not None:
                return builder.sign(signer, mime, source, target)
            builder.set_no_embed()
            return builder.sign(signer, mime, source, io.BytesIO())
    except c2pa.C2paError as error:
        raise ValueError(f"{name!r} could not be signed ({error}); --no-credentials saves it unsigned") from None


def _add(builder: c2pa.Builder, ingredient: dict[str, Any], path: Path | None) -> None:
    """Add what a file was made from: with its own credentials, where it can carry some and is not damaged."""
    import c2pa

    data = b"" if path is None else path.read_bytes()
    mime = None if path is None else mime_of(path, data[:_HEAD])
    if mime in EMBEDDED.values():
        with suppress(c2pa.C2paError):
            builder.add_ingredient(ingredient, mime, io.BytesIO(data))
            return
    builder.add_ingredient(ingredient, "application/octet-stream", io.BytesIO(b""))


def read(path: Path, known: Sequence[Known] = (), given: bytes = b"") -> Credentials:
    """The credentials of a file, or of the side file next to it.

    Args:
        path: of a file that can be opened; its pixels or samples are not looked at.
        known: whose files are this user's own.
        given: certificates that are trusted besides, PEM.
    """
    import c2pa

    with open(path, "rb") as file:
        mime = mime_of(path, file.read(_HEAD))
        if mime is None:
            return Credentials(ABSENT)
        beside = side_file(path)
        store = beside.read_bytes() if mime in BESIDE.values() and beside.is_file() else None
        for trusted, anchors in (("own", b"".join(each.root for each in known)), ("given", given), ("", b"")):
            if trusted and not anchors:
                continue
            file.seek(0)
            try:
                with c2pa.Context(_trusting(anchors)) as context, c2pa.Reader(
                    mime, file, manifest_data=store, context=context
                ) as reader:  # fmt: skip
                    found = _credentials(json.loads(reader.json()), trusted)
            except c2pa.C2paError as error:
                return _without_manifest(path, str(error), store)
            if found.trusted == trusted:
                return found
    return found


def _trusting(anchors: bytes) -> c2pa.Settings:
    import c2pa

    trust = {"trust": {"user_anchors": anchors.decode()}} if anchors else {}
    return c2pa.Settings.from_dict({"verify": _OFFLINE["verify"] | {"verify_trust": True}} | trust)


def _without_manifest(path: Path, error: str, store: bytes | None) -> Credentials:
    """Where the library found none: none is there, or what is left of them in a file that was damaged."""
    if store is not None or _holds_store(path):
        return Credentials(CHANGED, problems=(error.split(":")[0],))
    return Credentials(ABSENT)


def _holds_store(path: Path) -> bool:
    with open(path, "rb") as file:
        before = b""
        while block := file.read(1 << 20):
            if _STORE in before + block:
                return True
            before = block[-len(_STORE) :]
    return False


def _credentials(report: Mapping[str, Any], trusted: str) -> Credentials:
    """What the library's report means."""
    active = report["manifests"].get(report.get("active_manifest"), {})
    assertions = {each["label"]: each["data"] for each in active.get("assertions", ()) if "data" in each}
    actions = [data["actions"] for label, data in assertions.items() if label.startswith("c2pa.actions")]
    sources = [each["digitalSourceType"] for each in itertools.chain(*actions) if "digitalSourceType" in each]
    program = (active.get("claim_generator_info") or [{}])[0]
    by = active.get("signature_info", {})
    results = report.get("validation_results", {}).get("activeManifest", {})
    problems = [each["code"] for each in results.get("failure", ())]
    broken = [code for code in problems if code != "signingCredential.untrusted"]
    recognised = any(each["code"] == "signingCredential.trusted" for each in results.get("success", ()))
    valid = report.get("validation_state") in ("Valid", "Trusted") and not broken
    signer = {"name": by.get("common_name"), "organization": by.get("issuer"), "serial": by.get("cert_serial_number")}
    return Credentials(
        VALID if valid else CHANGED,
        trusted if recognised else "",
        {name: value for name, value in signer.items() if value},
        sources[0].rpartition("/")[2] if sources else "",
        f"{program.get('name', '')} {program.get('version', '')}".strip(),
        assertions.get(RECEIPT, {}).get("receipt", {}),
        assertions.get(INGREDIENTS, {}).get("ingredients", []),
        tuple(broken),
    )
