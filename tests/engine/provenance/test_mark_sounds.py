"""The mark in aria's sound: found in what was saved again, in stems, loops and streams, and not where it is not."""

import pytest
import soundfile
import torch

import clavilux
from clavilux.mark_key import PUBLIC, MarkKey
from clavilux.provenance import credentials
from clavilux.provenance.mark_sounds import find_in_sound


@pytest.fixture(scope="module")
def song():
    return clavilux.load("aria").generate("slow piano waltz", seconds=8, seed=3, mark=True)


def p_of(sound, key=PUBLIC):
    return find_in_sound(sound, [key])[0].p


@pytest.mark.parametrize(("signed", "again"), [("wav", "mp3"), ("mp3", "mp3"), ("flac", "flac"), ("mp3", "wav")])
def test_a_song_saved_again_has_lost_its_credentials_and_kept_its_mark(song, tmp_path, monkeypatch, signed, again):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")
    song.save(tmp_path / f"song.{signed}")
    assert credentials.read(tmp_path / f"song.{signed}").state == "valid"
    samples, rate = soundfile.read(tmp_path / f"song.{signed}")
    soundfile.write(tmp_path / f"again.{again}", samples[10000:], rate)
    verdict = clavilux.verify(tmp_path / f"again.{again}")
    assert verdict.credentials.state == "absent"
    [mark] = verdict.marks
    assert mark.p < 1e-6 and mark.key == PUBLIC.id and mark.of == "cells" and mark.tokens > 5000
    assert verdict.says.startswith("credentials gone, mark found") and f"(p = {mark.p:.2g})" in verdict.says


def test_a_stream_the_stems_and_the_loop_carry_it_too(song):
    asked = {"seconds": 8, "seed": 3}
    pieces = clavilux.load("aria").stream("slow piano waltz", mark=True, **asked)
    assert torch.equal(torch.cat([piece.samples for piece in pieces], dim=1), song.samples)
    stems = song.stems()  # which refuses stems that do not sum to the song
    assert all(p_of(stem) < 1e-6 for stem in stems.values())
    assert p_of(song.loop()) < 1e-6


def test_without_a_mark_nothing_is_found_and_nothing_is_changed(song):
    plain = clavilux.load("aria").generate("slow piano waltz", seconds=8, seed=3, mark=False)
    assert p_of(plain) > 1e-3 and p_of(song, MarkKey(bytes(32))) > 1e-3
    assert p_of(song) < 1e-6


def test_a_short_sound_is_not_enough_evidence(song, tmp_path):
    song.slice(2.0, 3.0).save(tmp_path / "short.wav")
    verdict = clavilux.verify(tmp_path / "short.wav")
    assert not verdict.marks[0].enough and "there is not enough evidence in" in verdict.says
