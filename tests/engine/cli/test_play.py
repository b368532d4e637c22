"""`play` streams: the file that the whole sound would be, limits said before the work, nothing left of a failure."""

import json

import pytest
import symusic
from commands import call, refuse

from clavilux.audio import saving, synth
from clavilux.audio.clip import Audio
from clavilux.audio.notation.files import save_score
from clavilux.audio.score import Score
from clavilux.cli import play as cli_play


def write_midi(path, *notes):
    """Notes (start, length, pitch) in quarters at 120 on a piano and a violin in turn."""
    score = symusic.Score(480)
    score.tempos.append(symusic.Tempo(0, 120))
    tracks = [symusic.Track(program=program) for program in (0, 40)]
    for number, (start, length, pitch) in enumerate(notes):
        tracks[number % 2].notes.append(symusic.Note(round(480 * start), round(480 * length), pitch, 90))
    score.tracks.extend(tracks)
    score.dump_midi(path)
    return path


@pytest.fixture
def midi(tmp_path):
    return write_midi(tmp_path / "tune.mid", *[(i, 1.5, 60 + i) for i in range(8)])


@pytest.mark.parametrize("option", ["--loudness", "--no-loudness"])
def test_what_is_streamed_is_the_whole_bit_for_bit(midi, tmp_path, option):
    report = json.loads(call("play", midi, "-o", tmp_path / "streamed.wav", option, "--json").stdout)
    song = report["songs"][0]
    whole = Audio(synth.render_score(Score.from_midi(midi)), synth.SAMPLE_RATE, receipt=song["receipt"])
    whole.save(tmp_path / "whole.wav", loudness=option == "--loudness")
    assert (tmp_path / "streamed.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    assert song["duration_s"] == whole.duration_s and song["sample_rate"] == 44100


def test_a_title_goes_on(midi, tmp_path):
    save_score(Score.from_midi(midi), tmp_path / "a.mid", receipt={"title": "Evening walk"})
    for source, title in ((midi, "tune"), (tmp_path / "a.mid", "Evening walk")):
        call("play", source, "-o", tmp_path / "b.mid", "--score", tmp_path / "b.abc")
        call("play", tmp_path / "b.mid", "-o", tmp_path / "c.wav", "--score", tmp_path / "c.abc")
        named = {"b": title, "c": title if source != midi else "b"}
        for name, said in named.items():
            assert f"T:{said}" in (tmp_path / f"{name}.abc").read_text().splitlines()


def test_what_would_take_hours_is_refused_at_once(tmp_path, monkeypatch):
    far = write_midi(tmp_path / "far.mid", (0, 1, 60), (0, 1, 64), (9000, 1, 60))
    said = refuse("play", far, "-o", tmp_path / "a.wav")
    assert "s; play takes at most 3,600 s" in said
    long = write_midi(tmp_path / "long.mid", (0, 1, 60), (1300, 1, 64))
    assert "--plot draws at most 600 s" in refuse("play", long, "-o", tmp_path / "a.wav", "--plot", tmp_path / "a.png")
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda folder: saving.shutil._ntuple_diskusage(1, 1, 1000))
    assert "GiB are free" in refuse("play", long, "-o", tmp_path / "a.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.mid", "long.mid"]


def test_a_stop_in_the_middle_leaves_nothing(midi, tmp_path, monkeypatch):
    stream_score = synth.stream_score
    monkeypatch.setattr(synth, "stream_score", lambda *a: _stopped(stream_score(*a)))
    result = call("play", midi, "-o", tmp_path / "a.ogg", code=130)
    assert "nothing written" in result.stderr and [path.name for path in tmp_path.iterdir()] == ["tune.mid"]


def _stopped(pieces):
    yield next(pieces)
    raise KeyboardInterrupt


def test_progress_goes_to_the_end(midi, tmp_path, monkeypatch):
    seen = []

    class Bar:
        def __enter__(self):
            return lambda done, total: seen.append((done, total))

        def __exit__(self, *_):
            pass

    from clavilux.cli import display

    monkeypatch.setattr(display, "progress_bar", lambda **options: Bar())
    call("play", midi, "-o", tmp_path / "a.wav")
    done = [each for each, _ in seen]
    assert done == sorted(done) and done[-1] == seen[-1][1] and len(set(done)) > 2


def test_notes_alone_need_no_sound(midi, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_play, "_play_to", None)
    call("play", midi, "--instrument", "flute", "-o", tmp_path / "a.mid")
    assert set(Score.from_midi(tmp_path / "a.mid").notes["program"].tolist()) == {73}


def test_a_bank_that_is_not_held_is_said(tmp_path):
    score = symusic.Score(480)
    track = symusic.Track(program=0)
    track.notes.append(symusic.Note(480, 480, 60, 90))
    track.controls.append(symusic.ControlChange(0, 0, 8))
    score.tracks.append(track)
    score.dump_midi(tmp_path / "variation.mid")
    report = json.loads(call("play", tmp_path / "variation.mid", "-o", tmp_path / "a.wav", "--json").stdout)
    assert report["songs"][0]["receipt"]["remarks"] == [
        "banks that the SoundFont does not have are played as bank 0: 8/0"
    ]
