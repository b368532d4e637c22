"""Sound files as the world has them: read to their real end, and what is missing said."""

import io
import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from clavilux.audio import containers, mpeg, reading
from clavilux.audio.clip import Audio

RATE, SECONDS = 16000, 1.5
KINDS = {
    "wav": ("WAV", "PCM_16"), "rf64": ("RF64", "PCM_16"), "w64": ("W64", "PCM_16"), "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"), "caf": ("CAF", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"),
}  # fmt: skip
SIZED = ["wav", "rf64", "w64", "aiff", "au", "caf"]


def tone(seconds=SECONDS, rate=RATE, channels=1):
    noise = np.random.default_rng(0).standard_normal(round(seconds * rate))  # so that no format makes it tiny
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate) + 0.05 * noise
    return np.repeat(wave[:, None], channels, axis=1)


def payload(kind, *arguments, **more) -> bytes:
    buffer, rate = io.BytesIO(), more.get("rate", RATE)
    soundfile.write(buffer, tone(*arguments, **more), rate, KINDS[kind][1], format=KINDS[kind][0])
    return buffer.getvalue()


def read(folder, content, **more):
    (folder / "a").write_bytes(content)
    return reading.read(folder / "a", **more)


def seconds(sound):
    return sound.samples.shape[1] / sound.sample_rate


def patched(content, *patches) -> bytes:
    """Bytes with (mark, offset from it, new bytes) written over."""
    content = bytearray(content)
    for mark, offset, value in patches:
        at = content.index(mark) + offset
        content[at : at + len(value)] = value
    return bytes(content)


def id3(count) -> bytes:
    return b"ID3\4\0\0" + bytes(count >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(count)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_read_whole_and_nothing_is_remarked(tmp_path, kind):
    sound = read(tmp_path, payload(kind, channels=2))
    assert sound.samples.shape == (2, round(SECONDS * RATE)) and sound.remarks == ()
    expected, _ = soundfile.read(tmp_path / "a", dtype="float32")
    # soundfile seeks in front of the first block, and libmpg123's overlap is rounded otherwise after that.
    assert np.abs(sound.samples.numpy().T - expected).max() <= (1e-6 if kind == "mp3" else 0)


# a length that a header states is not believed

FF = b"\xff"
LIES = {
    "flac of unknown length": ("flac", (b"fLaC", 21, b"\xf0\0\0\0\0")),
    "flac of all ones": ("flac", (b"fLaC", 21, FF * 5)),
    "wav of sizes 0": ("wav", (b"RIFF", 4, bytes(4)), (b"data", 4, bytes(4))),
    "wav as it was begun": ("wav", (b"RIFF", 4, struct.pack("<I", 36)), (b"data", 4, bytes(4))),
    "wav from a pipe": ("wav", (b"RIFF", 4, FF * 4), (b"data", 4, FF * 4)),
    "wav from sox": ("wav", (b"RIFF", 4, struct.pack("<I", 0x7FFFF024)), (b"data", 4, struct.pack("<I", 0x7FFFF000))),
    "rf64 of sizes 0": ("rf64", (b"ds64", 8, bytes(24))),
    "w64 of sizes 0": ("w64", (b"riff", 16, bytes(8)), (b"data", 16, bytes(8))),
    "aiff of sizes 0": ("aiff", (b"FORM", 4, bytes(4)), (b"COMM", 10, bytes(4)), (b"SSND", 4, bytes(4))),
    "au of unknown length": ("au", (b".snd", 8, FF * 4)),
    "au of size 0": ("au", (b".snd", 8, bytes(4))),
    "caf of unknown length": ("caf", (b"data", 4, FF * 8)),
    "caf of size 0": ("caf", (b"data", 4, bytes(8))),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_length_that_is_not_stated_is_found(tmp_path, lie):
    kind, *patches = LIES[lie]
    whole = read(tmp_path, payload(kind)).samples
    flac_info = [
        (mark, at, value) if mark != b"fLaC" else (mark, at, _bits(payload(kind), value)) for mark, at, value in patches
    ]
    sound = read(tmp_path, patched(payload(kind), *flac_info))
    assert np.array_equal(sound.samples, whole) and sound.remarks == ()


def _bits(content, value):
    """The five bytes that end in FLAC's 36 bits of length; the other 4 bits are kept."""
    return bytes([content[21] & 0xF0 | value[0] & 0x0F]) + value[1:]


def test_a_header_that_says_too_little_is_not_believed(tmp_path):
    content = payload("flac")
    sound = read(tmp_path, patched(content, (b"fLaC", 22, struct.pack(">I", RATE // 2))))
    assert seconds(sound) == SECONDS
    assert sound.remarks == ("wrong header: it promises 0.5 s, 1.5 s are there",)


def test_nothing_is_allocated_for_what_a_header_claims(tmp_path):
    content = payload("flac", 0.1)
    (tmp_path / "a").write_bytes(patched(content, (b"fLaC", 21, _bits(content, b"\x0e" + FF * 4))))
    tracemalloc.start()
    sound = reading.read(tmp_path / "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds(sound) == 0.1 and sound.remarks[0].startswith("cut off: the header promises 4026")
    assert peak < 10 * 2**20


def test_a_wav_that_holds_nothing_says_so(tmp_path):
    with pytest.raises(ValueError, match="no samples"):
        read(tmp_path, payload("wav", 0.0))


# cut off


@pytest.mark.parametrize("kind", [*SIZED, "flac", "mp3"])
def test_a_file_that_was_cut_says_what_its_header_promises(tmp_path, kind):
    content = payload(kind)
    sound = read(tmp_path, content[: round(0.6 * len(content))])
    assert 0.3 < seconds(sound) < 1.2
    assert sound.remarks == (f"cut off: the header promises 1.5 s, {seconds(sound):.1f} s are there",)
    assert Audio.load(tmp_path / "a").remarks == sound.remarks
    with pytest.raises(ValueError, match="refused .*cut off: the header promises 1.5 s"):
        Audio.load(tmp_path / "a", strict=True)


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_an_ogg_that_was_cut_cannot_say_how_long_it_was(tmp_path, kind):
    content = payload(kind, 12.0)
    sound = read(tmp_path, content[: round(0.6 * len(content))])
    assert 4 < seconds(sound) < 9 and "nothing says how long" in sound.remarks[0]


def test_a_flac_with_a_hole_is_damaged_not_cut(tmp_path):
    content = bytearray(payload("flac", 12.0))
    content[len(content) // 2 :][:2000] = b""
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    sound = read(tmp_path, bytes(content))
    assert 3 < seconds(sound) < 7 and sound.remarks[0].startswith("damaged: the header promises 12.0 s, ")


@pytest.mark.parametrize("missing", [1, 2])
def test_a_single_sample_that_is_missing_is_said(tmp_path, missing):
    sound = read(tmp_path, payload("wav", channels=1)[: -2 * missing])
    assert sound.samples.shape[1] == round(SECONDS * RATE) - missing
    assert sound.remarks[0].startswith("cut off: the header promises 1.500 s")


# chains


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_every_link_of_a_chain_is_read(tmp_path, kind):
    first, second = payload(kind, 1.5), payload(kind, 0.7)
    sound = read(tmp_path, first + second + first)
    alone = [read(tmp_path, content).samples for content in (first, second, first)]
    assert np.array_equal(sound.samples, np.concatenate(alone, axis=1)) and sound.remarks == ()


@pytest.mark.parametrize(
    ("more", "says"), [({"rate": 24000}, "24000 Hz and 1 channel"), ({"channels": 2}, "2 channels")]
)
def test_a_chain_that_changes_its_format_is_one_sentence(tmp_path, more, says):
    with pytest.raises(ValueError, match="changes after 1.5 s from 16000 Hz and 1 channel") as caught:
        read(tmp_path, payload("ogg") + payload("ogg", **more))
    assert says in str(caught.value) and "\n" not in str(caught.value)


# mp3


BEFORE = {
    "3 zeros": bytes(3), "70000 zeros": bytes(70000), "a tag": id3(100), "a big tag": id3(3_000_000),
    "two tags": id3(50) + id3(3000), "a tag and zeros": id3(300) + bytes(5000), "junk": b"junk" * 999,
}  # fmt: skip


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_what_stands_before_the_first_frame_is_passed_over(tmp_path, before):
    content = payload("mp3")
    sound = read(tmp_path, before + content)
    assert np.array_equal(sound.samples, read(tmp_path, content).samples) and sound.remarks == ()


def test_an_mp3_of_varying_rate_without_a_header_is_read_to_its_end(tmp_path, capfd):
    content = payload("mp3", 6.0)
    (tmp_path / "plain").write_bytes(content)
    without = content.replace(b"Xing", bytes(4), 1)
    (tmp_path / "without").write_bytes(without)
    believed = soundfile.info(tmp_path / "without").duration
    sound = reading.read(tmp_path / "without")
    assert believed < 5 and seconds(sound) == pytest.approx(6.0, abs=0.1) and sound.remarks == ()
    assert seconds(read(tmp_path, content + content)) == pytest.approx(12.0, abs=0.2)
    assert capfd.readouterr().err == ""  # libmpg123 warns of wrong counts there


def test_the_tag_is_read_behind_zeros_too(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.mp3", "w", RATE, 1) as file:
        file.comment = "für Elise"
        file.write(tone())
    content = (tmp_path / "a.mp3").read_bytes()
    assert read(tmp_path, content).comment == read(tmp_path, bytes(100) + content).comment == "für Elise"


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (44100, 2), (48000, 1)])
def test_frames_of_every_kind_are_walked(rate, channels):
    content = payload("mp3", 0.5, rate, channels)
    found = mpeg.scan(io.BytesIO(content), len(content))
    assert found.header.num_frames == found.num_frames and not found.is_cut
    frame = mpeg.info_frame(found.first, 7, 1000)
    assert mpeg.frame_bytes(frame[:4]) == len(frame)
    assert mpeg.scan(io.BytesIO(content[:-1]), len(content) - 1).is_cut


# what is no sound


def test_bad_sound_files(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not sound, but long enough to be a header of something else\n")
    (tmp_path / "random.mp3").write_bytes(np.random.default_rng(1).bytes(200_000))
    os.mkfifo(tmp_path / "pipe.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 44100, "FLOAT")
    for name, says in (
        ("missing.wav", "no file"),
        ("empty.wav", "empty"),
        ("text.wav", "not a readable sound file"),
        ("random.mp3", "not a readable sound file"),
        ("nan.wav", "NaN"),
        ("", "a folder"),
        ("pipe.wav", "a pipe"),
        ("/dev/zero", "a device"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            reading.read(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_beginning_of_a_file_is_read_or_is_one_sentence(tmp_path, kind):
    content = payload(kind, 0.2)
    for length in [*range(1, 120, 7), *range(120, len(content), len(content) // 12)]:
        try:
            sound = read(tmp_path, content[:length])
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert sound.remarks, length


def test_more_sound_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "free_memory_bytes", lambda: 50_000)
    with pytest.raises(ValueError, match="too long for the 0.0 GiB of memory"):
        read(tmp_path, payload("wav"))


def test_a_plan_leaves_what_it_does_not_know(tmp_path):
    content = b"VOC?" + bytes(range(200))
    assert containers.plan_of(io.BytesIO(content), len(content)) == containers.Plan((((0, len(content)),),))


def test_an_ogg_without_a_whole_page_of_sound_says_that_it_was_cut(tmp_path):
    content = payload("ogg", 0.5)
    with pytest.raises(ValueError, match=r"holds no samples \(it is cut off before the first one\)"):
        read(tmp_path, content[:-500])


def test_a_midi_file_is_said_to_be_one(tmp_path):
    with pytest.raises(ValueError, match="'.*a' is a MIDI file, which has notes and no sound"):
        read(tmp_path, b"MThd\0\0\0\6\0\0\0\1\0\x60")
