"""Nothing is lost: a render that is killed goes on from its journal to the same tokens."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from jukebox_goldens import save_toy

import clavilux
from clavilux.cli.info import describe
from clavilux.cli.jobs import open_job
from clavilux.families.jukebox.journal import Journal, LevelJournal, dtype_of, whole_frames

HEAD = {"level": 1, "rows": 2, "vocabulary": 24}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return save_toy(tmp_path_factory.mktemp("toy") / "jukebox", "transformers", "plain")


def held(path, head=HEAD):
    with LevelJournal(path, head) as journal:
        return journal.tokens


def test_what_was_appended_is_there(tmp_path):
    tokens = torch.arange(12).view(2, 6)
    for first in (0, 4):
        with LevelJournal(tmp_path / "level", HEAD) as journal:
            assert torch.equal(journal.tokens, tokens[:, :first])
            for column in tokens[:, first : first + 4].unbind(1):
                journal.append(column)
    assert torch.equal(held(tmp_path / "level"), tokens)


def test_what_a_crash_cut_short_or_garbled_is_dropped(tmp_path):
    path, tokens = tmp_path / "level", torch.arange(10).view(2, 5)
    with LevelJournal(path, HEAD) as journal:
        for column in tokens.unbind(1):
            journal.append(column)
            journal.flush()
    whole = path.read_bytes()
    frame = 8 + 2 * 2
    for cut in range(len(whole) - 5 * frame, len(whole) + 1):
        path.write_bytes(whole[:cut])
        known = (cut - (len(whole) - 5 * frame)) // frame
        assert torch.equal(held(path), tokens[:, :known])
        assert torch.equal(held(path), tokens[:, :known])  # and what is left is a journal
    for place in range(len(whole) - 2 * frame, len(whole) - frame):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        assert torch.equal(held(path), tokens[:, :3])
    path.write_bytes(whole[:7])  # not even the first line
    assert held(path).shape == (2, 0)


def test_a_journal_of_something_else_is_refused(tmp_path):
    held(tmp_path / "level")
    with pytest.raises(clavilux.CheckpointError, match="vocabulary was 24 and is 25"):
        held(tmp_path / "level", HEAD | {"vocabulary": 25})
    with pytest.raises(ValueError, match="holds no job.json"):
        Journal(tmp_path)
    (tmp_path / "job.json").write_text('{"format": 7}')
    with pytest.raises(ValueError, match="no job of format 1"):
        Journal(tmp_path)
    with pytest.raises(ValueError, match="is a job already"):
        Journal.create(tmp_path, {}, {})
    (tmp_path / "job.json").rename(tmp_path / "mine.json")
    with pytest.raises(ValueError, match="is there and is no job"):
        Journal.create(tmp_path, {}, {})


def test_only_one_process_is_at_a_job(tmp_path):
    with Journal.create(tmp_path / "job", {"a": 1}, {2: torch.arange(3)[None]}) as journal:
        assert journal.job["a"] == 1 and journal.given()[2].tolist() == [[0, 1, 2]]
        with pytest.raises(ValueError, match="being worked on by another process"):
            Journal(tmp_path / "job")
    Journal(tmp_path / "job").close()


def test_a_process_that_is_killed_leaves_no_lock(tmp_path):
    """Another process is told so in a sentence while the first is alive, and goes on when it was killed."""
    folder = tmp_path / "job"
    Journal.create(folder, {"a": 1}, {}).close()
    program = (
        "import sys, pathlib\nfrom clavilux.families.jukebox.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=r"job' is being worked on by another process; wait for it, or end it$"):
            Journal(folder)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert (folder / "lock").exists()
    with Journal(folder) as journal:
        assert journal.job["a"] == 1


def test_a_lock_of_an_older_version_is_heeded(tmp_path):
    """0.1 took the same file by the system's own call, and left it there."""
    fcntl = pytest.importorskip("fcntl")
    Journal.create(tmp_path / "job", {"a": 1}, {}).close()
    with open(tmp_path / "job" / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(ValueError, match="being worked on by another process"):
            Journal(tmp_path / "job")
    Journal(tmp_path / "job").close()


def test_a_journal_may_be_closed_by_another_thread(tmp_path):
    journal = Journal.create(tmp_path / "job", {"a": 1}, {})
    closing = threading.Thread(target=journal.close)
    closing.start()
    closing.join()
    Journal(tmp_path / "job").close()


class Cut(Exception):
    pass


@pytest.mark.parametrize("options", [{}, {"batch": 2}, {"parallel_windows": 2}], ids=str)
def test_a_song_that_was_cut_off_goes_on_to_the_same(toy, tmp_path, options):
    """Cut at random columns, many times over one song; the state of a window is read again, step by step."""
    model = clavilux.load(toy, device="cpu", dtype="float32")
    options = {"seconds": 80, "levels": 2, "seed": 4, "hop": 0.4, **options}
    expected = model.generate(**options)
    chance, cuts = random.Random(5), 0

    def stop(*_):
        if chance.random() < 0.03:
            raise Cut

    songs = None
    while songs is None:
        try:
            if cuts:
                songs = clavilux.load(toy, device="cpu", dtype="float32").resume(tmp_path / "job", progress=stop)
            else:
                songs = model.generate(job=tmp_path / "job", progress=stop, **options)
        except Cut:
            cuts += 1
    expected = expected if isinstance(expected, list) else [expected]
    assert cuts > 3
    for song, whole in zip(songs if isinstance(songs, list) else [songs], expected, strict=True):
        assert torch.equal(song.tokens, whole.tokens) and torch.equal(song.samples, whole.samples)


def test_a_sketch_is_gone_on_with(toy, tmp_path):
    model = clavilux.load(toy, device="cpu")
    sketch = model.generate(seconds=20, seed=2, levels=1, job=tmp_path / "job")
    facts = describe(tmp_path / "job")
    assert facts["kind"] == "job" and facts["level_2"] == "16 of 16 tokens" and "level_1" not in facts
    song = model.resume(tmp_path / "job", levels=3)[0]
    assert describe(tmp_path / "job")["level_0"] == "256 of 256 tokens"
    assert song.tokens.shape[1] == 16 * sketch.tokens.shape[1]
    assert torch.equal(song.tokens, model.generate(seconds=20, seed=2).tokens)
    again = model.resume(tmp_path / "job")[0]
    assert torch.equal(again.samples, song.samples)
    assert min(song.timings[f"{name}_s"] for name in ("load", "prefill", "steps", "codec")) > 0
    assert again.timings["steps_s"] == 0 < again.timings["codec_s"]  # it is made again from its tokens
    with pytest.raises(ValueError, match="levels is 4"):
        model.resume(tmp_path / "job", levels=4)


def test_another_checkpoint_or_setting_is_refused(toy, tmp_path):
    model = clavilux.load(toy, device="cpu")
    model.generate(seconds=10, seed=2, levels=1, job=tmp_path / "job")
    other = clavilux.load(save_toy(tmp_path / "other", "transformers", "plain", sample_rate=101), device="cpu")
    with pytest.raises(clavilux.CheckpointError, match="begun with another checkpoint .* they differ in config"):
        other.resume(tmp_path / "job")
    third = clavilux.load(save_toy(tmp_path / "third", "transformers", "merged"), device="cpu")
    with pytest.raises(
        clavilux.CheckpointError, match="begun with another checkpoint .* differ in config, model.safetensors"
    ):
        third.resume(tmp_path / "job")
    path = tmp_path / "job" / "job.json"
    job = json.loads(path.read_text())
    job["settings"]["temperatures"]["2"] = 0.5
    path.write_text(json.dumps(job))
    with pytest.raises(clavilux.CheckpointError, match="temperature was 0.99 and is 0.5"):
        model.resume(tmp_path / "job")


def test_killed_in_the_middle_and_resumed_on_the_command_line(toy, tmp_path):
    """kill -9, as soon as tokens are on the disk; `clavilux resume` writes the file of an uninterrupted run."""
    run = [sys.executable, "-c", "from clavilux.cli import main; main()"]
    command = [*run, "render", "--model", str(toy), "--seconds", "40", "--seed", "3", "--no-loudness", "--quiet"]
    process = subprocess.Popen([*command, "--levels", "2", "--dtype", "float32", "-o", "cut.wav"], cwd=tmp_path)
    level = tmp_path / "cut.job" / "level-2.tokens"
    while not (level.exists() and level.stat().st_size > 300) and process.poll() is None:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut.wav").exists()
    subprocess.run([*run, "resume", "cut.job", "--quiet"], cwd=tmp_path, check=True)
    whole = clavilux.load(toy, device="cpu", dtype="float32").generate(seconds=40, seed=3, levels=2)
    whole.save(tmp_path / "whole.wav", loudness=False)
    assert (tmp_path / "cut.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


def test_a_job_is_counted_as_it_is_resumed(toy, tmp_path):
    """`info` counts no frame that a crash cut short or garbled, as going on drops it."""
    clavilux.load(toy, device="cpu").generate(seconds=40, seed=2, levels=1, job=tmp_path / "job")
    path = tmp_path / "job" / "level-2.tokens"
    whole = path.read_bytes()
    frames = list(whole_frames(whole, whole.index(b"\n") + 1, 1, dtype_of(24)))
    kept = 32 - len(frames[-1][0])  # how often the disk is written to is a matter of time
    assert describe(tmp_path / "job")["level_2"] == "32 of 32 tokens"
    path.write_bytes(whole[:-1])
    assert describe(tmp_path / "job")["level_2"] == f"{kept} of 32 tokens"
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert describe(tmp_path / "job")["level_2"] == f"{kept} of 32 tokens"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"format": 1, "settings": {"seconds": ' + "9" * 5000 + "}}", "cannot be read"),
        ('{"format": 1, "settings": {"seconds": NaN}}', "NaN is no number of JSON"),
        ('{"format": 1}', "it holds no settings"),
        ("[1]", "no job of format 1"),
    ],
)
def test_a_hostile_job_is_one_sentence(tmp_path, text, said):
    (tmp_path / "job.json").write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, clavilux.CheckpointError), match=said):
        describe(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds", 1e9), ("seconds", None), ("levels", [0, 1, 2]), ("levels", [[]]), ("levels", []), ("seeds", 3),
        ("seeds", [1.5]), ("seeds", [10**400]), ("hops", {"2": 0}), ("hops", {}), ("temperatures", {"2": "hot"}),
        ("artist", {"2": -1}), ("parallel_windows", 0), ("characters", "abc"), ("top_p", True),
    ],
)  # fmt: skip
def test_settings_that_no_render_has(toy, tmp_path, name, value):
    folder = tmp_path / "job"
    model = clavilux.load(toy, device="cpu")
    model.generate(seconds=10, seed=2, levels=1, job=folder)
    job = json.loads((folder / "job.json").read_text())
    job["settings"][name] = value
    (folder / "job.json").write_text(json.dumps(job))
    for function in (model.resume, describe):
        with pytest.raises(clavilux.CheckpointError, match=rf"is damaged: {name}"):
            function(folder)


def test_a_job_is_held_until_it_is_resumed(toy, tmp_path, monkeypatch):
    """While the checkpoint loads nobody else can begin."""
    model = clavilux.load(toy, device="cpu")
    words = {"model": str(toy), "output": "a.wav", "loudness": False}
    model.generate(seconds=10, seed=2, levels=1, job=tmp_path / "job", job_metadata=words)

    def loading(*_, **__):
        with pytest.raises(ValueError, match="being worked on"):
            Journal(tmp_path / "job")
        return model

    monkeypatch.setattr(clavilux, "load", loading)
    with open_job(tmp_path / "job", None, "cpu") as (loaded, journal, _, songs):
        assert songs == 1 and len(loaded.resume(journal)) == 1
        with pytest.raises(ValueError, match="being worked on"):
            Journal(tmp_path / "job")
    Journal(tmp_path / "job").close()
