"""Which files from outside may be opened."""

import os

import pytest

from clavilux import files


def test_a_regular_file_is_readable(tmp_path):
    path = tmp_path / "tune.mid"
    path.write_bytes(b"MThd")
    assert files.check_readable(path, "MIDI file") == path


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no file .*; give the path of a MIDI file"):
        files.check_readable(tmp_path / "none.mid", "MIDI file")
    with pytest.raises(ValueError, match="is a folder; give the path of a picture"):
        files.check_readable(tmp_path, "picture")
    with pytest.raises(ValueError, match="null"):
        files.check_readable("a\0b", "picture")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(ValueError, match="pipe.wav' is a pipe, a device or a socket"):
        files.check_readable(tmp_path / "pipe.wav", "sound file")


def test_empty_and_large_files(tmp_path, monkeypatch):
    path = tmp_path / "a.mid"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        files.check_readable(path, "MIDI file")
    monkeypatch.setitem(files.LARGEST_BYTES, "MIDI file", files.MIB)
    path.write_bytes(b"0" * (3 * files.MIB))
    with pytest.raises(ValueError, match="has 3 MiB; a MIDI file may have 1"):
        files.check_readable(path, "MIDI file")


def test_text_of_another_encoding(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffla la".encode())
    assert files.read_text(path) == "la la"
    path.write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match="words.txt' is no UTF-8 from byte 3 on; save it as UTF-8"):
        files.read_text(path)


def test_midi_is_told_by_its_name_or_its_first_bytes(tmp_path):
    for name in ("a.mid", "a.MIDI", "a.rmi", "a.kar"):
        assert files.is_midi(tmp_path / name)  # which need not be there
    contents = {"a.bin": b"MThd\0\0\0\6", "b.bin": b"RIFF\0\0\0\0RMID", "c.wav": b"RIFF\0\0\0\0WAVE", "d.bin": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert [name for name in contents if files.is_midi(tmp_path / name)] == ["a.bin", "b.bin"]
    assert not files.is_midi(tmp_path) and not files.is_midi(tmp_path / "none.wav")
