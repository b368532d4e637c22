import numpy as np
import pytest

import clavilux
from clavilux.audio.clip import Audio
from clavilux.audio.melodies import melody_of
from clavilux.audio.notes import NOTE
from clavilux.audio.score import Score
from clavilux.families.aria.family import check_controls
from clavilux.families.aria.melody_song import nearest_band

PITCHES = (62, 66, 69, 74, 73, 71, 69, 67, 66, 64, 69, 67, 66, 64, 62)


@pytest.fixture(scope="module")
def aria():
    return clavilux.load("aria", device="cpu")


@pytest.fixture
def tune(tmp_path):
    starts = [*range(14), 14]
    notes = [(s, 1 if s < 14 else 2, p, 80, 73, False) for s, p in zip(starts, PITCHES, strict=True)]
    Score(np.array(notes, NOTE), ((0.0, 150.0),)).save_midi(tmp_path / "tune.mid")
    return tmp_path / "tune.mid"


def lead_of(song):
    notes = song.score.notes
    return notes[(notes["part"] == 0) & ~notes["drum"]]


@pytest.mark.parametrize("style", ["jazz swing", "bossa nova", "four-part hymn"])
def test_the_melody_is_kept_and_a_band_plays(aria, tune, style):
    song = aria.generate("", melody=tune, style=style, seed=1)
    lead = lead_of(song)
    assert lead["pitch"].tolist() == list(PITCHES)
    assert np.abs(lead["start"] - np.arange(15)).max() < 1e-6  # beats are never swung
    assert song.score.key == melody_of(Score.from_midi(tune)).key and song.score.tempos == ((0.0, 150.0),)
    assert len(set(song.score.notes["part"].tolist())) >= 3 and len(song.score.chords) >= 2
    late = song.as_played().score.notes["start"] - song.score.notes["start"]
    assert len(late) == len(song.score.notes) and 0 < np.abs(late).max() * 60 / 150 < 0.08
    controls = song.receipt["controls"]
    assert controls["style"] == style and controls["melody"] == "tune.mid" and controls["bars"] == 4
    assert aria.generate("", melody=tune, style=style, seed=1).samples.equal(song.samples)


def test_without_a_style_the_nearest_is_said_and_seconds_are_exact(aria, tune):
    song = aria.generate("", melody=tune, seconds=16, seed=2)
    assert song.samples.shape[1] == 16 * 44100
    assert any(note.startswith("the nearest style to the melody is ") for note in song.receipt["notes"])
    assert len(lead_of(song)) == 30 and song.receipt["controls"]["form"].startswith("intro 2")
    jig = aria.generate("baroque in E minor at 100 bpm", melody=tune, seed=2)
    assert str(jig.score.key) == "E minor" and jig.score.tempos[0][1] == 100
    assert any("baroque has no band" in note for note in jig.receipt["notes"])


def test_streamed_it_is_the_same_and_an_audio_is_a_melody_too(aria, tune):
    whole = aria.generate("pop", melody=tune, seed=3)
    pieces = list(aria.stream("pop", melody=tune, seed=3))
    assert len(pieces) > 3 and np.array_equal(np.concatenate([p.samples for p in pieces], axis=1), whole.samples)
    again = aria.generate("pop", melody=Audio(whole.samples, 44100, score=Score.from_midi(tune)), seed=3)
    assert again.samples.equal(whole.samples)


def test_the_nearest_band_has_the_melody_s_metre_and_pace():
    def near(metre, tempo):
        quarters = metre[0] * 4 / metre[1]
        notes = np.array([(i * quarters, quarters, 60 + i % 5, 80, 0, False) for i in range(8)], NOTE)
        return nearest_band(melody_of(Score(notes, ((0.0, tempo),), ((0.0, metre),))))

    assert near((3, 4), 150) == "jazz waltz" and near((4, 4), 110) == "pop"
    assert near((4, 4), 66) in ("ballad", "lullaby")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"seconds": 2.0}, "seconds is 2, and the melody lasts 6.4 s at 150"),
        ({"density": "sparse"}, "density is 'sparse', and a given melody is played as it is"),
        ({"continue_from": "tune.mid"}, "both melody and continue_from are given"),
        ({"style": "bosa nova"}, "unknown style 'bosa nova'"),
        ({"melody": 3}, "melody is int; it should be a file of notes or of sound"),
        ({"melody": "nowhere.mid"}, "nowhere.mid"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(aria, tune, more, says):
    with pytest.raises((ValueError, TypeError), match=says):
        aria.generate("", **({"melody": tune} | more))


def test_a_wrong_melody_is_found_before_weights_are_read(tune, tmp_path):
    Score(np.array([(0, 1, 60, 80, 0, False)], NOTE)).save_midi(tmp_path / "short.mid")
    with pytest.raises(ValueError, match="has 1 note; it should have 4 or more"):
        check_controls(tmp_path, {}, "", {"melody": tmp_path / "short.mid"})
    check_controls(tmp_path, {}, "", {"melody": tune})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"style": "typo"}, "unknown style 'typo'"), ({"drums": "loud"}, "drums is 'loud'"), ({"key": "H"}, "'H'"),
        ({"instruments": "kazoo"}, "unknown instrument 'kazoo'"), ({"bars": 0}, "bars is 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_a_sound_is_listened_to(options, says, tmp_path, monkeypatch):
    def listening(*_, **__):
        raise AssertionError("it was listened to")

    monkeypatch.setattr("clavilux.audio.transcribing.transcribe", listening)
    tone = Audio(np.zeros((1, 8000), np.float32), 8000)
    with pytest.raises(ValueError, match=says):
        check_controls(tmp_path, {}, "", {"melody": tmp_path / "hum.wav", **options})
    with pytest.raises(ValueError, match=says):
        clavilux.load("aria", device="cpu").generate("", melody=tone, **options)
