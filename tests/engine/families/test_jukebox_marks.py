"""The mark in the top level of a Jukebox: found in its tokens, the same in windows and jobs, and not below."""

import json

import pytest
import torch
from frozen_steps import captured_steps
from jukebox_goldens import save_toy
from marked_draws import assert_marked, chance_of

import clavilux
from clavilux import loop
from clavilux.audio.clip import Audio
from clavilux.audio.codecs.token_files import codec_identity, save_tokens
from clavilux.families.jukebox.journal import Journal
from clavilux.mark_key import PUBLIC, new_key
from clavilux.marking import Place
from clavilux.provenance import mark_codecs
from clavilux.provenance.mark import find_in_tokens

SKETCH = {"seconds": 110.0, "levels": 1}  # 86 tokens, in windows of 48 that move on by 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_toy(tmp_path_factory.mktemp("toy") / "jukebox", "transformers", "plain")


@pytest.fixture
def model(folder):
    return clavilux.load(folder, device="cpu", dtype="float32")


def p_of(model, song, key=PUBLIC, first=0):
    """The detector's p-value of the tokens of a sketch from one on."""
    marked = model.family.marked
    groups = marked.groups[song.tokens[0, first:]].tolist()
    places = [Place(first + at) for at in range(len(groups))]
    return find_in_tokens(key, marked.kind, [(groups, places)], marked.num_groups).p


class Stopped(Exception):
    """Raised in the middle of a render."""


def stopped_at(job, model, steps, **options):
    """A job that was stopped after so many steps."""
    seen = []

    def stop(*_):
        seen.append(1)
        if len(seen) == steps:
            raise Stopped

    with pytest.raises(Stopped):
        model.generate(job=job, progress=stop, **options)


def test_its_tokens_carry_it_and_its_detector_finds_it(model):
    assert_marked(model, seeds=(3, 300), **SKETCH)
    marked, plain = (model.generate(seed=3, mark=mark, **SKETCH) for mark in (True, False))
    assert p_of(model, marked) < 1e-9 and p_of(model, plain) > 1e-3
    assert torch.equal(model.generate(seed=3, **SKETCH).tokens, plain.tokens)
    assert plain.receipt["mark"] == model.generate(seed=3, **SKETCH).receipt["mark"] == "none"


def test_a_row_does_not_depend_on_its_batch_and_other_seeds_are_other_songs(model):
    alone = model.generate(seed=4, mark=True, **SKETCH)
    rows = model.generate(["", ""], seed=[9, 4], mark=True, **SKETCH)
    assert torch.equal(rows[1].tokens, alone.tokens)
    assert (rows[0].tokens != alone.tokens).float().mean() > 0.3


def test_captured_windows_draw_it_too(model, monkeypatch):
    expected = model.generate(seed=5, batch=2, mark=True, **SKETCH)
    monkeypatch.setattr(loop, "_is_captured", lambda device: True)
    captured_steps(monkeypatch)
    songs = model.generate(seed=5, batch=2, mark=True, **SKETCH)
    assert all(torch.equal(song.tokens, other.tokens) for song, other in zip(songs, expected, strict=True))


def test_the_levels_below_are_drawn_as_without_it(model, tmp_path):
    """From the same top level and the same seed they are the same."""
    song = model.generate(seconds=30, seed=6, mark=True, levels=2)
    top = model.generate(seconds=30, seed=6, mark=True, levels=1)
    save_tokens(tmp_path / "top.safetensors", top.tokens, codec_identity(model.family.codec.level(2)))
    below = model.generate(seconds=30, seed=6, mark=True, levels=2, tokens=tmp_path / "top.safetensors")
    assert torch.equal(below.tokens, song.tokens)
    assert "mark" not in below.receipt and song.receipt["mark"] == {"key": PUBLIC.id}  # nothing of its top was drawn


def test_the_likeliest_token_is_never_marked(model):
    for how in ({"temperature": 0}, {"temperatures": "0,1,1"}):
        marked, plain = (model.generate(seed=7, mark=mark, seconds=60, levels=1, **how) for mark in (True, None))
        assert torch.equal(marked.tokens, plain.tokens) and "mark" not in marked.receipt


def test_behind_a_recording_each_token_has_its_place_in_the_song(model):
    sound = Audio(0.3 * torch.sin(torch.arange(6400) / 3)[None], 100)  # 50 tokens, more than a window
    song = model.generate(seed=8, continue_from=sound, mark=True, **SKETCH)
    assert p_of(model, song, first=50) < 1e-6
    assert chance_of(model.family, [song], [8]) < 1e-6  # all tokens, from the beginning on


@pytest.mark.parametrize("private", [False, True])
def test_a_job_goes_on_to_the_same_song(model, tmp_path, private):
    key = tmp_path / "own.key"
    mark = new_key(key) if private else True
    whole = model.generate(seed=9, mark=mark, **SKETCH)
    job = tmp_path / "song.job"
    stopped_at(job, model, 60, seed=9, mark=mark, **SKETCH)
    kept = json.loads((job / "job.json").read_text())["settings"]["mark"]
    assert kept == whole.receipt["mark"]["key"]
    if private:
        with pytest.raises(ValueError, match=f"the mark of the private key {kept}; give its file .*--mark-key"):
            model.resume(job)
    [song] = model.resume(job, mark_key=key if private else None)
    assert torch.equal(song.tokens, whole.tokens) and song.receipt == whole.receipt
    [again] = model.resume(job)  # the top level is whole: no key is needed
    assert torch.equal(again.tokens, whole.tokens) and again.receipt == whole.receipt
    if private:
        assert not any(key.read_text().strip().encode() in path.read_bytes() for path in job.iterdir())


@pytest.mark.parametrize("old", [False, True])
def test_a_job_without_one_goes_on_without_one(model, tmp_path, monkeypatch, old):
    """One that says so, and one from before there were marks, which says nothing."""
    plain = model.generate(seed=10, mark=False, **SKETCH)
    stopped_at(tmp_path / "song.job", model, 60, seed=10, mark=False, **SKETCH)
    if old:
        path = tmp_path / "song.job" / "job.json"
        about = json.loads(path.read_text())
        assert about["settings"].pop("mark") == plain.receipt.pop("mark") == "none"
        path.write_text(json.dumps(about))
    key = tmp_path / "own.key"
    own = new_key(key)
    with pytest.raises(ValueError, match=f"the key {own.id} is given, and the job was begun without a mark"):
        model.resume(tmp_path / "song.job", mark_key=key)
    monkeypatch.delenv("CLAVILUX_MARK")
    [song] = model.resume(tmp_path / "song.job")
    assert torch.equal(song.tokens, plain.tokens) and song.receipt == plain.receipt


def test_another_key_and_a_damaged_one_are_refused(model, tmp_path):
    job, key = tmp_path / "song.job", tmp_path / "other.key"
    stopped_at(job, model, 30, seed=11, mark=True, **SKETCH)
    own = new_key(key)
    with pytest.raises(ValueError, match=f"the key {own.id} is given, .* begun with the mark of the key {PUBLIC.id}"):
        model.resume(job, mark_key=key)
    text = (job / "job.json").read_text()
    (job / "job.json").write_text(text.replace(f'"mark": "{PUBLIC.id}"', '"mark": "deadbeef"'))
    with pytest.raises(clavilux.CheckpointError, match=f"mark was '{PUBLIC.id}' and is 'deadbeef'"):
        model.resume(job)
    (job / "job.json").write_text(text.replace(f'"mark": "{PUBLIC.id}"', '"mark": 7'))
    with pytest.raises(clavilux.CheckpointError, match="mark is '7'; it should be a key's id, or 'none'"):
        model.resume(job)
    (job / "job.json").write_text(text.replace(f' "mark": "{PUBLIC.id}"', ' "mark": "none"'))
    with Journal(job) as journal, pytest.raises(clavilux.CheckpointError, match="mark was .* and is None"):
        model.resume(journal)


def test_verify_listens_with_the_codec_of_its_top_level(model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(mark_codecs, "LATEST", 10)
    song = model.generate(seed=12, mark=True, **SKETCH)
    song.save(tmp_path / "song.wav", loudness=False)
    verdict = clavilux.verify(tmp_path / "song.wav", model=str(folder))
    assert [mark.of for mark in verdict.marks] == ["cells", "tokens"]
    assert verdict.marks[1].tokens == song.tokens.shape[1]
