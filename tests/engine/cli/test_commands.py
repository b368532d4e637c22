"""The command line: what it prints, what it writes, and one line and exit code 2 for whatever is wrong."""

import functools
import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import symusic
from commands import call, refuse

import clavilux
from clavilux.audio.notation.files import save_score
from clavilux.audio.score import Score
from clavilux.checkpoint import PRETRAINED

CACHED_LOAD = functools.lru_cache(clavilux.load)


@pytest.fixture(autouse=True)
def load_once(monkeypatch):
    """The bundled model is read from its file once for the whole module; errors are not kept."""
    monkeypatch.setattr(clavilux, "load", lambda found, **words: CACHED_LOAD(found.folder, **words))


@pytest.fixture
def midi(tmp_path):
    """Two bars at 120: a C major scale on a sitar (program 104), which is not bundled, and a kick drum."""
    score = symusic.Score(480)
    sitar, drums = symusic.Track(program=104), symusic.Track(is_drum=True)
    for step, pitch in enumerate((60, 62, 64, 65, 67, 69, 71, 72)):
        sitar.notes.append(symusic.Note(480 * step, 480, pitch, 90))
    drums.notes.append(symusic.Note(0, 240, 36, 100))
    score.tracks.extend([sitar, drums])
    score.tempos.append(symusic.Tempo(0, 120))
    score.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    path = tmp_path / "scale.mid"
    score.dump_midi(path)
    return path


@pytest.fixture
def sound(tmp_path):
    """Three seconds of an A minor chord, stereo, at 22050 Hz."""
    times = np.arange(3 * 22050) / 22050
    wave = sum(np.sin(2 * np.pi * frequency * times) for frequency in (220.0, 261.63, 329.63)) / 4
    path = tmp_path / "chord.wav"
    soundfile.write(path, np.stack([wave, wave], axis=1), 22050)
    return path


# Asking for help


def test_no_arguments_show_the_commands():
    result = call(code=2)
    assert "render" in result.output and "analyze" in result.output


def test_version():
    assert call("--version").stdout.startswith("clavilux 0.")


# render


@pytest.fixture(scope="module")
def chorale(tmp_path_factory):
    """Two seconds of music with its score and the printed report."""
    folder = tmp_path_factory.mktemp("chorale")
    options = [
        "--seconds",
        "2",
        "--seed",
        "3",
        "--tempo",
        "120",
        "-o",
        folder / "a.wav",
        "--midi",
        folder / "a.mid",
    ]
    result = call("render", "organ chorale in G minor, wibbly", *options)
    return folder, result.stdout


def test_render_says_what_it_took_and_what_it_did_not_know(chorale):
    folder, said = chorale
    assert "taken from the words: organ = church organ" in said and "G minor" in said
    assert said.startswith("not understood: wibbly\n")
    assert "key: G minor" in said and "tempo: 120" in said and "seed: 3" in said
    assert re.search(r"\nby part: text \d+\.\d+ s, prefill .* s, steps .* s, codec .* s, file \d+\.\d+ s\n$", said)
    assert str(folder / "a.wav") in said and str(folder / "a.mid") in said


def test_render_writes_the_length_and_the_tempo_that_were_asked(chorale):
    folder, _ = chorale
    assert soundfile.info(folder / "a.wav").frames == 2 * soundfile.info(folder / "a.wav").samplerate
    assert [round(tempo.qpm, 3) for tempo in symusic.Score(folder / "a.mid").tempos] == [120.0]


def test_render_twice_gives_the_same_file_and_another_seed_another(chorale, tmp_path):
    folder, _ = chorale
    options = ["--seconds", "2", "--tempo", "120", "--quiet"]
    call("render", "organ chorale in G minor, wibbly", *options, "--seed", "3", "-o", tmp_path / "b.wav")
    call("render", "organ chorale in G minor, wibbly", *options, "--seed", "4", "-o", tmp_path / "c.wav")
    first = (folder / "a.wav").read_bytes()
    assert (tmp_path / "b.wav").read_bytes() == first != (tmp_path / "c.wav").read_bytes()


def test_render_json_is_all_there_is(tmp_path):
    options = ["--seconds", "2", "--seed", "1", "--batch", "2", "--json", "--instrument", "flute, guitar"]
    result = call("render", *options, "-o", tmp_path / "a.ogg", "--midi", tmp_path / "a.mid")
    report = json.loads(result.stdout)
    songs, timings = report["songs"], report["timings"]
    assert list(timings) == ["text_s", "prefill_s", "steps_s", "codec_s", "file_s"] and min(timings.values()) > 0
    assert sum(timings.values()) - timings["file_s"] <= report["elapsed_s"] < report["process_s"]
    assert [song["receipt"]["seed"] for song in songs] == [1, 2]
    assert songs[0]["receipt"]["controls"]["instruments"] == ["flute", "guitar"]
    assert [song["files"]["audio"] for song in songs] == [str(tmp_path / f"a-{i}.ogg") for i in (1, 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.mid", "a-1.ogg", "a-2.mid", "a-2.ogg"]


def test_render_continues(midi, tmp_path):
    options = ["--continue-from", midi, "--seconds", "6", "--seed", "1", "-o", tmp_path / "more.mid"]
    said = call("render", "", *options).stdout
    assert "continues a score of 2 bars" in said and "tempo: 120" in said
    notes = symusic.Score(tmp_path / "more.mid").to("quarter").tracks[0].notes
    assert [note.pitch for note in notes if note.time < 8][:8] == [60, 62, 64, 65, 67, 69, 71, 72]


# play


def test_play_says_what_it_replaced(midi, tmp_path):
    output = tmp_path / "scale.flac"
    result = call("play", midi, "-o", output)
    assert "sitar by banjo" in result.stdout
    assert str(output) in result.stdout
    assert soundfile.info(output).duration >= 4.0


def test_play_says_what_is_damaged(midi, tmp_path):
    midi.write_bytes(midi.read_bytes()[:-20])
    result = call("play", midi, "-o", tmp_path / "a.wav")
    assert result.stdout.startswith("note: ") and "--strict" not in result.stdout
    receipt = json.loads(call("play", midi, "-o", tmp_path / "a.wav", "--json").stdout)["songs"][0]["receipt"]
    assert receipt["remarks"]
    for arguments in (["play", midi], ["render", "waltz", "--continue-from", midi]):
        assert "scale.mid" in refuse(*arguments, "--strict", "-o", tmp_path / "b.wav")
    assert not (tmp_path / "b.wav").exists()


def test_play_on_another_instrument(midi, tmp_path):
    result = call("play", midi, "--instrument", "church organ", "-o", tmp_path / "a.wav", "--json")
    receipt = json.loads(result.stdout)["songs"][0]["receipt"]
    assert receipt["instrument"] == "church organ" and receipt["replaced_programs"] == {}
    assert "church organ" in call("info", tmp_path / "a.wav").stdout


def test_play_quietly_with_a_picture(midi, tmp_path):
    picture = tmp_path / "scale.png"
    result = call("play", midi, "-o", tmp_path / "a.ogg", "--plot", picture, "--quiet")
    assert result.stdout == "" and result.stderr == ""
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["kazoo", "violin, cello", "drums", ""])
def test_play_needs_one_known_instrument(midi, tmp_path, name):
    refuse("play", midi, "--instrument", name, "-o", tmp_path / "a.wav")
    assert not (tmp_path / "a.wav").exists()


# info and models


def test_info_of_a_midi_file(midi):
    facts = json.loads(call("info", midi, "--json").stdout)
    assert facts["notes"] == 9 and facts["bars"] == 2 and facts["metres"] == ["4/4"]
    assert facts["instruments"] == ["sitar"] and facts["drum_notes"] == 1
    assert facts["duration_s"] == 4.0


@pytest.mark.parametrize("name", ["tune.musicxml", "tune.abc"])
def test_info_of_notation_says_the_same(midi, tmp_path, name):
    save_score(Score.from_midi(midi), tmp_path / name)
    facts, expected = (json.loads(call("info", path, "--json").stdout) for path in (tmp_path / name, midi))
    assert facts["kind"] == "MusicXML or ABC file"
    for same in ("bars", "notes", "drum_notes", "duration_s", "metres"):
        assert facts[same] == expected[same]


def test_info_of_a_sound_file(sound):
    facts = json.loads(call("info", sound, "--json").stdout)
    assert facts["duration_s"] == 3.0 and facts["sample_rate"] == 22050 and facts["channels"] == 2
    assert "22,050" in call("info", sound).stdout


def test_info_of_a_bundled_model():
    facts = json.loads(call("info", "aria", "--json").stdout)
    assert facts["kind"] == "checkpoint" and facts["licence"] == "Apache-2.0"
    assert facts["size_bytes"] <= 10 * 2**20
    family = CACHED_LOAD(PRETRAINED / "aria", device="auto", dtype="auto").family
    decoder = family.stage.decoder
    assert facts["dtype"] == family.identity["dtype"]
    sound = 30 * 44100 * 2 * 4
    least = 2 * facts["parameters"] + decoder.new_state(1).cache_bytes + sound
    assert least < facts["memory_for_1_x_30_s_bytes"] < 4 * least


def test_models_lists_what_each_accepts():
    models = json.loads(call("models", "--json").stdout)
    aria = next(model for model in models if model["name"] == "aria")
    assert {"style", "key", "tempo", "metre", "chords", "instruments"} <= set(aria["accepts"])
    assert "aria" in call("models").stdout


# analyze


def test_analyze(sound, tmp_path):
    picture = tmp_path / "chord.png"
    facts = json.loads(call("analyze", sound, "--json", "--plot", picture).stdout)
    assert facts["key"] == "A minor" and facts["duration_s"] == 3.0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "A minor" in call("analyze", sound).stdout


# What is wrong


@pytest.mark.parametrize(
    "options",
    [
        "--seconds 0", "--seconds -1", "--seconds nan", "--seconds 1e9",
        "--key H", "--tempo 0", "--tempo 10000", "--tempo nan", "--metre 7/0", "--metre waltz",
        "--chords H#", "--chords ,", "--instrument kazoo", "--instrument ,", "--style dubstep",
        "--density much", "--section end", "--temperature -1", "--temperature nan", "--top-k -1",
        "--top-p 0", "--top-p 2", "--batch 65", "--model nothing", "--device abacus",
        "--continue-from nothing.mid", "--continue-from nothing.wav",
    ],
)  # fmt: skip
def test_values_that_cannot_be(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse("render", "waltz", *options.split(" ", 1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "missing", "not JSON"])
def test_a_damaged_checkpoint(damage, tmp_path):
    folder = shutil.copytree(PRETRAINED / "aria", tmp_path / "model")
    weights, config = folder / "model.safetensors", folder / "config.json"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "missing":
        weights.unlink()
    else:
        config.write_text("{")
    output = tmp_path / "a.wav"
    for arguments in (("render", "--model", folder, "-o", output), ("info", folder)):
        assert str(folder) in refuse(*arguments)
    assert not output.exists()


@pytest.mark.parametrize(
    "words",
    [[""], ["xyzzy", "--anything"], ["\N{VIOLIN}"], ["organ " * 20000]],
    ids=["none", "anything", "emoji", "long"],
)
def test_prompts_of_every_kind_are_music(words, tmp_path):
    said = call("render", *words, "--seconds", "1", "--seed", "1", "-o", tmp_path / "a.wav").stdout
    assert "style: " in said and "key: " in said and len(said) < 5000
    assert said.startswith("not understood: xyzzy\n") == ("xyzzy" in words)


def test_nothing_is_made_of_words_that_are_not_understood(tmp_path):
    output = tmp_path / "a.wav"
    said = refuse("render", "xyzzy brontosaurus 130 bpm", "-o", output)
    assert "only 130 bpm was understood" in said and "--anything" in said and "chorale" in said
    assert not output.exists()


@pytest.mark.parametrize("command", ["analyze", "info", "play"])
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder"])
def test_files_that_are_not_what_they_should_be(command, kind, tmp_path):
    path = tmp_path / ("tune.mid" if command == "play" else "tune.wav")
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("" if kind == "empty" else "this is no music\n")
    before = sorted(tmp_path.iterdir())
    options = ["-o", tmp_path / "out.wav"] if command == "play" else []
    assert "tune" in refuse(command, path, *options)
    assert sorted(tmp_path.iterdir()) == before


def test_sound_with_nan(tmp_path):
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.full(8000, np.nan, np.float32), 8000, subtype="FLOAT")
    assert "NaN" in refuse("analyze", path)


@pytest.mark.parametrize("output", ["no/such/folder/a.wav", "a.xyz", "a", "."])
def test_an_output_that_cannot_be_written_is_found_first(midi, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("clavilux.audio.synth.render_score", lambda *_: pytest.fail("rendered before checking"))
    refuse("play", midi, "-o", output)
    assert sorted(tmp_path.iterdir()) == [midi]


def test_two_outputs_of_one_name(tmp_path):
    refuse("render", "waltz", "-o", tmp_path / "a.mid", "--midi", tmp_path / "a.mid")


def test_a_full_disk(midi, tmp_path):
    """A limit on the size of files stands in for it: writing fails half-way, with the same kind of error."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    program = limit + ignore + "from clavilux.__main__ import main; main()"
    command = [sys.executable, "-c", program, "play", str(midi), "-o", str(tmp_path / "a.wav")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("clavilux: "), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [midi]


def test_ctrl_c_leaves_nothing(tmp_path):
    """The signal comes once rendering has begun, which the open progress call shows by touching a file."""
    begun = tmp_path / "begun"
    program = (
        "import pathlib\nfrom clavilux import cli\nfrom clavilux.cli import display\n"
        "from contextlib import contextmanager\n"
        "@contextmanager\n"
        "def progress_bar(hidden, at):\n"
        f"    yield lambda done, total: pathlib.Path({str(begun)!r}).touch()\n"
        "display.progress_bar = progress_bar\n"
        "cli.main()\n"
    )
    output = tmp_path / "a.wav"
    command = [sys.executable, "-c", program, "render", "waltz", "--seconds", "600", "-o", str(output)]
    # A suite that runs in the background of a shell ignores the signal, and its children would too.
    listen = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **listen) as running:
        while not begun.exists():
            assert running.poll() is None, running.stderr.read()
        running.send_signal(signal.SIGINT)
        said, complained = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == "" and complained == "clavilux: stopped, nothing written\n"
    assert list(tmp_path.iterdir()) == [begun]
