"""`clavilux verify` and `clavilux keys`, and the options of what writes files."""

import json
import os
import subprocess
import sys

import pytest
from commands import call, refuse

from clavilux.provenance import keys


@pytest.fixture(autouse=True)
def own_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Pictures of the bundled painter: as usual, private, by another, unsigned, not painted here."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("painted")
        patch.setenv("CLAVILUX_DATA", str(folder / ".data"))
        patch.setenv("CLAVILUX_CREDENTIALS", "1")
        call("keys", "export", "-o", folder / "other.pem")
        call("keys", "rotate")
        options = {"a": [], "b": ["--private"], "c": ["--identity", folder / "other.pem"], "d": ["--no-credentials"]}
        for name, more in options.items():
            call("paint", "red apple", "--seed", "1", "-q", "-o", folder / f"{name}.png", *more)
        return folder


def verified(path):
    return json.loads(call("verify", path, "--json").stdout)


def test_one_object_and_exit_code_0_for_every_state(painted):
    found = {name: verified(painted / f"{name}.png") for name in "abcd"}
    assert [found[name]["credentials"]["state"] for name in "abcd"] == ["valid", "valid", "valid", "absent"]
    first = found["a"]
    assert first["credentials"]["valid"] is True
    assert [mark["found"] for mark in first["marks"]] == [False] and first["marks"][0]["of"] == "tokens"
    assert first["credentials"]["made"] == "trainedAlgorithmicMedia"
    assert (
        first["credentials"]["receipt"]["prompt"] == "red apple"
        and "prompt" not in found["b"]["credentials"]["receipt"]
    )
    assert b"red apple" not in (painted / "b.png").read_bytes()
    assert first["credentials"]["signer"] != found["c"]["credentials"]["signer"]
    assert found["d"]["credentials"]["valid"] is False


def test_a_changed_file_is_told_in_words(painted, tmp_path):
    data = bytearray((painted / "a.png").read_bytes())
    data[-20] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    said = call("verify", tmp_path / "a.png").stdout
    assert "credentials: changed" in said and "was changed after it was signed" in said
    assert "credentials: valid" in call("verify", painted / "a.png").stdout


def test_a_folder_is_a_table_and_still_one_object(painted, monkeypatch):
    said = call("verify", painted).stdout
    assert said.count("by a model") == said.count("(not known)") == 3 and said.count(".png") == 4
    assert said.count("not found") == 4  # a picture's mark, which none was asked to carry
    monkeypatch.setenv("CLAVILUX_DATA", str(painted / ".data"))
    assert [line.split()[2] for line in call("verify", painted).stdout.splitlines()[1:4]] == ["you"] * 3
    found = json.loads(call("verify", painted, "--json").stdout)
    assert [row["credentials"]["valid"] for row in found["files"]] == [True, True, True, False]


def test_what_cannot_be_read_ends_with_2(tmp_path):
    assert "there is no file" in refuse("verify", tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    assert "is empty" in refuse("verify", tmp_path / "empty.png")
    (tmp_path / "folder").mkdir()
    assert "holds no sounds, pictures or scores" in refuse("verify", tmp_path / "folder")
    (tmp_path / "a.txt").write_text("no certificate")
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert "holds no certificate" in refuse("verify", tmp_path / "a.png", "--trust", tmp_path / "a.txt")
    assert "has no codec that reads" in refuse("verify", tmp_path / "a.png", "--model", "aria")
    assert verified(tmp_path / "a.png")["credentials"]["state"] == "absent"


def test_wrong_identities_are_refused_before_anything_is_made(tmp_path):
    missing = refuse("paint", "red apple", "--identity", tmp_path / "no.pem", "-o", tmp_path / "a.png")
    assert "there is no file" in missing
    said = refuse("paint", "red apple", "--no-credentials", "--side-file", "-o", tmp_path / "a.png")
    assert "leave one of the two out" in said
    (tmp_path / "id.pem").write_bytes(keys.own_identity().pem)
    said = refuse("paint", "x", "--no-credentials", "--identity", tmp_path / "id.pem", "-o", tmp_path / "a.png")
    assert "an identity is given and files are not signed" in said
    assert not (tmp_path / "a.png").exists()


def test_keys(tmp_path):
    first = json.loads(call("keys", "show", "--json").stdout)
    assert first["former"] == [] and first["id"] in first["name"]
    assert "PRIVATE" not in call("keys", "show").stdout
    call("keys", "export", "-o", tmp_path / "me.pem")
    second = json.loads(call("keys", "rotate", "--json").stdout)
    assert second["id"] != first["id"] and second["former"] == [first["id"]]
    third = json.loads(call("keys", "import", tmp_path / "me.pem", "--json").stdout)
    assert third["id"] == first["id"] and third["former"] == [second["id"]]
    assert "there is no folder" in refuse("keys", "export", "-o", tmp_path / "no" / "me.pem")
    assert "there is no file" in refuse("keys", "import", tmp_path / "no.pem")


def test_a_home_that_cannot_be_written_is_one_note(tmp_path):
    (tmp_path / "blocked").touch()
    program = "from clavilux.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", program, "paint", "red apple", "--seeds", "1,2", "-q", "-o", str(tmp_path / "a.png")],
        env=os.environ | {"CLAVILUX_DATA": str(tmp_path / "blocked" / "data")}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0 and run.stdout == ""
    assert run.stderr.startswith("note: files are saved without credentials: no key can be kept in ")
    assert run.stderr.count("\n") == 1
    assert verified(tmp_path / "a-2.png")["credentials"]["state"] == "absent"
