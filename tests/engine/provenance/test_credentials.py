"""Files are signed when they are saved, in seven formats, and what was changed since is noticed."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from commands import call
from PIL import Image

import clavilux
from clavilux.audio.clip import Audio
from clavilux.audio.notes import NOTE
from clavilux.audio.score import Score
from clavilux.image.animation import write_animation
from clavilux.image.picture import Picture
from clavilux.provenance.signing import signing
from clavilux.provenance.stamp import stamp_of

SOUNDS, PICTURES = (".wav", ".mp3", ".flac"), (".png", ".jpg", ".webp", ".gif")
RECEIPT = {
    "model": "lumia",
    "fingerprint": "0123456789abcdef",
    "prompt": "red apple",
    "seed": 7,
    "controls": {"a": 0.1},
}


@pytest.fixture(autouse=True)
def own_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "1")


def picture(**more):
    pixels = torch.randint(0, 256, (24, 24, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return Picture(pixels, receipt=dict(RECEIPT), stamp=stamp_of(**more))


def clip(**more):
    samples = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(1))
    return Audio(samples, 16000, receipt=RECEIPT | {"model": "aria"}, stamp=stamp_of(**more))


def save(path):
    """A generated file of any format."""
    if path.suffix == ".gif":
        with write_animation(path, 5, RECEIPT, stamp=stamp_of()) as animation:
            for number in range(2):
                animation.add(picture().pixels.roll(number, 0))
    elif path.suffix in SOUNDS:
        clip().save(path)
    else:
        picture().save(path)
    return path


def content(path):
    """What is seen or heard of a file."""
    if path.suffix in SOUNDS:
        return soundfile.read(path)[0]
    with Image.open(path) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(np.array(image.convert("RGB")))
        return np.stack(frames)


@pytest.mark.parametrize("ending", SOUNDS + PICTURES)
def test_a_file_is_signed_and_a_flipped_byte_is_noticed(ending, tmp_path):
    path = save(tmp_path / f"made{ending}")
    found = clavilux.verify(path).credentials
    assert (found.state, found.trusted, found.made) == ("valid", "own", "trainedAlgorithmicMedia")
    assert found.receipt == RECEIPT | {"model": "aria" if ending in SOUNDS else "lumia"}
    assert found.problems == () and found.program.startswith("Clavilux ")

    data = bytearray(path.read_bytes())
    with signing(credentials=False):
        length = len(data) - save(tmp_path / f"plain{ending}").stat().st_size
    at = data.find(b"jumdc2pa")
    # Of the credentials themselves a few bytes are padding, which nothing depends on.
    outside = [place for place in range(8, len(data)) if not at - 64 <= place < at + length]
    for place in (outside[len(outside) * n // 12] for n in range(12)):
        data[place] ^= 1
        path.write_bytes(data)
        assert clavilux.verify(path).credentials.state == "changed", f"byte {place} of {len(data)}"
        data[place] ^= 1
    path.write_bytes(data)
    assert clavilux.verify(path).credentials.state == "valid"


@pytest.mark.parametrize("ending", SOUNDS + PICTURES)
def test_signing_changes_nothing_that_is_seen_or_heard(ending, tmp_path):
    signed = save(tmp_path / f"signed{ending}")
    again = save(tmp_path / f"again{ending}")
    with signing(credentials=False):
        plain = save(tmp_path / f"plain{ending}")
        same = save(tmp_path / f"same{ending}")
    assert plain.read_bytes() == same.read_bytes()  # without credentials the same bytes
    assert signed.read_bytes() != again.read_bytes()  # with them an id and a time
    assert np.array_equal(content(signed), content(plain)) and np.array_equal(content(signed), content(again))
    if ending != ".gif":  # whose comment is not read as a receipt
        load = Audio.load if ending in SOUNDS else Picture.load
        assert load(signed).receipt == load(plain).receipt == load(again).receipt != {}
    assert clavilux.verify(plain).credentials.state == "absent"


def test_a_file_that_is_saved_again_by_others_has_none(tmp_path):
    with Image.open(save(tmp_path / "a.png")) as image:
        image.save(tmp_path / "b.png")
    samples, rate = soundfile.read(save(tmp_path / "a.wav"))
    soundfile.write(tmp_path / "b.wav", samples, rate)
    for name in ("b.png", "b.wav"):
        found = clavilux.verify(tmp_path / name)
        assert found.credentials.state == "absent"
        assert "says nothing about how it was made" in found.says


def test_damage_that_stops_the_decoder_does_not_stop_the_verdict(tmp_path):
    for ending, cut in ((".png", 40), (".jpg", 30), (".flac", 60), (".wav", 40)):
        path = save(tmp_path / f"a{ending}")
        data = bytearray(path.read_bytes())
        data[12:20] = b"\xff" * 8  # inside the header of each
        path.write_bytes(data)
        assert clavilux.verify(path).credentials.state == "changed", ending
        path.write_bytes(data[: len(data) - cut])
        assert clavilux.verify(path).credentials.state in ("changed", "absent"), ending
    path = save(tmp_path / "b.png")
    path.write_bytes(path.read_bytes()[:5000])  # the credentials are in front of the pixels
    with pytest.raises(ValueError):
        Picture.load(path, strict=True)
    assert clavilux.verify(path).credentials.state == "changed"


def test_what_a_file_was_made_from_is_named_with_its_own_credentials(tmp_path):
    first = save(tmp_path / "first.png")
    picture(continue_from=first).save(tmp_path / "second.png")
    found = clavilux.verify(tmp_path / "second.png").credentials
    assert found.valid and found.made == "compositeWithTrainedAlgorithmicMedia"
    sha256 = hashlib.sha256(first.read_bytes()).hexdigest()
    assert found.ingredients == [{"use": "continue_from", "name": "first.png", "sha256": sha256}]
    import c2pa

    with c2pa.Reader(str(tmp_path / "second.png")) as reader:
        assert len(json.loads(reader.json())["manifests"]) == 2  # its own, and that of what it was made from


def test_a_damaged_or_missing_source_is_named_by_its_hash(tmp_path):
    source = save(tmp_path / "first.png")
    shutil.copy(source, tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes(source.read_bytes()[:3000])
    made = picture(continue_from=[tmp_path / "cut.png", source])
    source.unlink()
    made.save(tmp_path / "second.png")
    found = clavilux.verify(tmp_path / "second.png").credentials
    assert found.valid and [each["name"] for each in found.ingredients] == ["cut.png", "first.png"]


def test_a_melody_that_is_only_followed_makes_no_composite(tmp_path):
    tune = save(tmp_path / "tune.wav")
    clip(melody=tune).save(tmp_path / "song.wav")
    found = clavilux.verify(tmp_path / "song.wav").credentials
    assert found.made == "trainedAlgorithmicMedia" and found.ingredients[0]["use"] == "melody"


def test_private_leaves_words_out_of_the_whole_file(tmp_path):
    source = tmp_path / "holiday.png"
    with signing(credentials=False):
        picture().save(source)
    with signing(private=True):
        picture(continue_from=source).save(tmp_path / "a.png")
        clip().save(tmp_path / "a.wav")
    for name in ("a.png", "a.wav"):
        data = (tmp_path / name).read_bytes()
        assert b"apple" not in data and b"holiday" not in data
        found = clavilux.verify(tmp_path / name).credentials
        assert found.valid and found.receipt["private"] is True and found.receipt["seed"] == 7
    assert found.made == "trainedAlgorithmicMedia"


def test_what_was_only_played_claims_no_generation(tmp_path):
    tune = tmp_path / "tune.mid"
    tune.write_bytes(b"MThd")
    sound = clip(played=tune)
    sound.receipt = {"played": "tune.mid"}
    sound.save(tmp_path / "a.wav")
    found = clavilux.verify(tmp_path / "a.wav")
    assert found.credentials.valid and found.credentials.made == ""
    assert "no claim of having been generated" in found.says


def test_notes_that_a_model_wrote_are_known_when_they_are_played(tmp_path):
    rows = [(0, 1, 60, 90, 0, False), (1, 3, 64, 90, 0, False)]
    song = clip()
    song.score = Score(np.array(rows, NOTE))
    song.save(tmp_path / "song.mid")
    assert Score.from_midi(tmp_path / "song.mid").receipt == song.receipt
    assert Score.from_midi(tmp_path / "song.mid").remarks == ()
    call("play", tmp_path / "song.mid", "-q", "-o", tmp_path / "a.wav")
    found = clavilux.verify(tmp_path / "a.wav").credentials
    assert found.made == "compositeWithTrainedAlgorithmicMedia" and found.receipt["of"] == song.receipt
    song.score.save_midi(tmp_path / "plain.mid")
    call("play", tmp_path / "plain.mid", "-q", "-o", tmp_path / "b.wav")
    assert clavilux.verify(tmp_path / "b.wav").credentials.made == ""


def test_side_files(tmp_path):
    clip().save(tmp_path / "plain.ogg")
    assert clavilux.verify(tmp_path / "plain.ogg").credentials.state == "absent"
    with signing(side_files=True):
        clip().save(tmp_path / "song.ogg")
    assert (tmp_path / "song.ogg").read_bytes() == (tmp_path / "plain.ogg").read_bytes()
    found = clavilux.verify(tmp_path / "song.ogg").credentials
    assert found.valid and found.trusted == "own" and found.receipt["model"] == "aria"
    data = bytearray((tmp_path / "song.ogg").read_bytes())
    data[-1] ^= 1
    (tmp_path / "song.ogg").write_bytes(data)
    assert clavilux.verify(tmp_path / "song.ogg").credentials.state == "changed"


def test_another_program_reads_the_same_file(tmp_path):
    """The library's own reader, without this project's settings: valid, by nobody that it knows."""
    import c2pa

    path = save(tmp_path / "a.png")
    with c2pa.Reader(str(path)) as reader:
        report = json.loads(reader.json())
    assert report["validation_state"] == "Valid"
    codes = [each["code"] for each in report["validation_results"]["activeManifest"]["failure"]]
    assert codes in (["signingCredential.untrusted"], [])


def test_a_home_that_cannot_be_written_leaves_the_file_unsigned_with_a_warning(tmp_path, monkeypatch):
    (tmp_path / "blocked").write_text("a file")
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "blocked" / "data"))
    with pytest.warns(UserWarning, match="saved without credentials") as caught:
        picture().save(tmp_path / "a.png")
    assert len(caught) == 1
    assert clavilux.verify(tmp_path / "a.png").credentials.state == "absent"
    assert Picture.load(tmp_path / "a.png").receipt == RECEIPT


def test_the_environment_says_yes_or_no(monkeypatch, tmp_path):
    monkeypatch.setenv("CLAVILUX_CREDENTIALS", "perhaps")
    with pytest.raises(ValueError, match="should be 0"):
        picture().save(tmp_path / "a.png")
    assert not list(tmp_path.glob("*.png"))
