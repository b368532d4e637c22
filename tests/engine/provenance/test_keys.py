"""Keys: made once, kept by their owner, never said aloud; others' are taken where they can sign."""

import os
import subprocess
import sys

import pytest
import torch

import clavilux
from clavilux.image.picture import Picture
from clavilux.provenance import keys
from clavilux.provenance.identity import blocks, new_identity
from clavilux.provenance.signing import signing
from clavilux.provenance.stamp import stamp_of


@pytest.fixture(autouse=True)
def own_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")


def save(path):
    pixels = torch.zeros(8, 8, 3, dtype=torch.uint8)
    Picture(pixels, receipt={"model": "lumia", "seed": 1}, stamp=stamp_of()).save(path)
    return path


def secret(identity):
    """The middle line of a private key."""
    return identity.key.splitlines()[1]


def test_the_first_file_makes_the_key_and_later_ones_use_it(tmp_path):
    assert keys.current_identity() is None and keys.known() == []
    first = clavilux.verify(save(tmp_path / "a.png")).credentials
    second = clavilux.verify(save(tmp_path / "b.png")).credentials
    own = keys.current_identity()
    assert own is not None and own == keys.own_identity() and [each.id for each in keys.known()] == [own.id]
    assert first.signer == second.signer and first.signer["name"] == f"Clavilux {own.id}" == own.name


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_nobody_else_may_read_it(tmp_path):
    save(tmp_path / "a.png")
    file = keys.keys_folder() / "current.pem"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    file.chmod(0o644)
    save(tmp_path / "b.png")
    assert file.stat().st_mode & 0o777 == 0o600
    keys.export(tmp_path / "mine.pem")
    assert (tmp_path / "mine.pem").stat().st_mode & 0o777 == 0o600


def test_the_key_is_in_no_file_that_is_signed_and_in_no_word(tmp_path):
    path = save(tmp_path / "a.png")
    own = keys.own_identity()
    assert secret(own) not in path.read_bytes() and secret(own).decode() not in repr(own)
    broken = own.pem.replace(secret(own), secret(own)[::-1])
    (tmp_path / "broken.pem").write_bytes(broken)
    with pytest.raises(ValueError) as caught:
        keys.take(tmp_path / "broken.pem")
    text = str(caught.value) + repr(caught.value.__cause__)
    assert secret(own).decode() not in text and secret(own)[::-1].decode() not in text


def test_rotation_keeps_what_was_signed_before_one_s_own(tmp_path):
    old = save(tmp_path / "old.png")
    before = keys.own_identity()
    after = keys.rotate()
    new = save(tmp_path / "new.png")
    assert after.id != before.id and [each.id for each in keys.known()] == [after.id, before.id]
    assert clavilux.verify(old).credentials.trusted == clavilux.verify(new).credentials.trusted == "own"
    assert clavilux.verify(new).credentials.signer["name"] == after.name


def test_a_key_moves_to_another_machine_and_a_certificate_to_others(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png")
    mine = keys.own_identity()
    keys.export(tmp_path / "mine.pem")
    keys.export(tmp_path / "public.pem", public=True)
    assert b"PRIVATE" not in (tmp_path / "public.pem").read_bytes()
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "elsewhere"))
    stranger = clavilux.verify(path)
    assert stranger.credentials.valid and stranger.credentials.trusted == ""
    assert "nobody known here vouches" in stranger.says
    assert clavilux.verify(path, trust=tmp_path / "public.pem").credentials.trusted == "given"
    assert keys.take(tmp_path / "mine.pem").id == mine.id
    assert clavilux.verify(path).credentials.trusted == "own"


def test_another_identity_signs_inside_a_with(tmp_path):
    other = new_identity()
    (tmp_path / "office.pem").write_bytes(other.pem)
    with signing(identity=tmp_path / "office.pem"):
        path = save(tmp_path / "a.png")
    assert keys.current_identity() is None  # none was needed
    found = clavilux.verify(path, trust=tmp_path / "office.pem").credentials
    assert found.trusted == "given" and found.signer["name"] == other.name


def test_what_is_no_identity_is_said_in_a_sentence(tmp_path):
    own = new_identity()
    first, second = blocks(own.certificates)
    wrong = {
        "nothing.pem": (b"hello", "holds 0 private keys and 0 certificates"),
        "alone.pem": (own.key + first, "holds one certificate"),
        "swapped.pem": (own.key + second + first, "is not that of its first certificate"),
        "strangers.pem": (own.key + first + blocks(new_identity().certificates)[1], "are no chain"),
        "cut.pem": (own.key + first.replace(first[200:240], b""), "is damaged"),
    }
    for name, (content, said) in wrong.items():
        (tmp_path / name).write_bytes(content + (second if name == "cut.pem" else b""))
        with pytest.raises(ValueError, match=said):
            keys.take(tmp_path / name)
    assert keys.current_identity() is None


def test_two_processes_that_begin_at_once_make_one_key(tmp_path):
    program = "from clavilux.provenance import keys; print(keys.own_identity().id)"
    runs = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert len({run.communicate()[0] for run in runs}) == 1


def test_credentials_are_imported_only_where_they_are_used():
    """`c2pa` is 50 MB, and `cryptography` takes 50 ms to import."""
    program = (
        "import sys, clavilux\nfrom clavilux.image.picture import Picture\nimport clavilux.image_model\n"
        "import clavilux.cli.app, clavilux.cli.paint\n"
        "sys.exit(f'imported {found}' if (found := {'c2pa', 'cryptography'} & set(sys.modules)) else 0)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
