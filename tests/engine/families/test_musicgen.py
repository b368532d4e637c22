"""MusicGen in the transformers layout, against that library: the same weights, the same tokens."""

import json
import shutil

import pytest
import torch
from greedy_frames import greedy

import clavilux
from clavilux.cli.info import describe
from clavilux.conditioning import Conditioning
from clavilux.families.musicgen import transformers_layout as family
from clavilux.family import Request
from clavilux.layout import Delay
from clavilux.music_model import MusicModel
from clavilux.sampling import SamplingSpec

pytest.importorskip("transformers")
NUM_FRAMES = 64
PROMPTS = ["slow church organ", "fast drums and a bass in the night", "rain"]
V = 32


@pytest.fixture(autouse=True)
def one_thread():
    """Steps of so few numbers only wait for a second thread."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def load(folder, dtype="float32"):
    config = json.loads((folder / "config.json").read_text())
    return family.load(folder, config, torch.device("cpu"), dtype)


def asked(prompts, num_frames=NUM_FRAMES, **controls):
    seconds = num_frames / 500  # 16 kHz, 32 samples a frame
    return [Request(prompt, seconds, seed, controls=controls) for seed, prompt in enumerate(prompts)]


def their_inputs(folder, prompts):
    """(ids, mask) [B, S], padded to the longest."""
    from clavilux.families.t5 import tokenizer

    rows = [tokenizer(folder)(prompt) for prompt in prompts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def their_frames(model, folder, prompts, **inputs):
    """The frames that the library generates greedily, taken where it hands them to its codec."""
    ids, mask = their_inputs(folder, prompts)
    caught = []
    decode = model.audio_encoder.decode
    model.audio_encoder.decode = lambda codes, *args, **kwargs: (caught.append(codes[0]), decode(codes, [None]))[1]
    try:
        model.generate(
            input_ids=ids, attention_mask=mask, do_sample=False, guidance_scale=3.0, max_new_tokens=NUM_FRAMES + 3,
            **inputs,
        )  # fmt: skip
    finally:
        del model.audio_encoder.decode
    # A stereo model decodes left and right one after the other.
    return caught[0] if len(caught) == 1 else torch.stack(caught, dim=2).flatten(1, 2)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_greedy_tokens_are_those_of_transformers(musicgen, kind, size, batch):
    folder, theirs = musicgen(kind, size)
    frames = greedy(load(folder), asked(PROMPTS[:batch]))
    assert frames.shape == (batch, 8 if kind == "stereo" else 4, NUM_FRAMES)
    assert len(frames.unique()) > 8, "a model that always says the same proves nothing"
    assert torch.equal(frames, their_frames(theirs, folder, PROMPTS[:batch]))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", ["small", "large"])
def test_melody_tokens_are_those_of_transformers(musicgen, size, batch):
    from clavilux.audio.clip import Audio
    from clavilux.audio.frontend import melody_chroma

    folder, theirs = musicgen("melody", size)
    samples = 0.3 * torch.sin(torch.arange(40_000) * 0.1 * torch.linspace(1, 2, 40_000))
    loaded = load(folder)
    clip = Audio(samples[None], 16000)
    pitches = melody_chroma(samples[: loaded.sizes.context_frames * 32], 16000)[None].repeat(batch, 1, 1)
    frames = greedy(loaded, asked(PROMPTS[:batch], melody=clip, padding="unmasked"))
    assert torch.equal(frames, their_frames(theirs, folder, PROMPTS[:batch], input_features=pitches))
    without = greedy(loaded, asked(PROMPTS[:batch], padding="unmasked"))
    assert torch.equal(without, their_frames(theirs, folder, PROMPTS[:batch]))
    assert not torch.equal(frames, without)


def test_progress_goes_on_while_the_first_of_two_kinds_of_rows_is_made(musicgen):
    """Prompts of different lengths are prefixes of different lengths, which are not made together."""
    folder, _ = musicgen("melody")
    reports = []
    MusicModel(load(folder)).generate(
        ["rain", "slow church organ"], seconds=1.0, seed=1, progress=lambda done, whole: reports.append(done)
    )
    assert reports == sorted(reports) and reports[-1] == 1.0
    assert any(0 < done < 0.5 for done in reports) and any(0.5 < done < 1 for done in reports)


@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_logits_are_those_of_transformers(musicgen, kind, size):
    folder, theirs = musicgen(kind, size)
    loaded = load(folder)
    stage = loaded.stage
    codebooks = stage.layout.codebooks
    frames = torch.randint(0, V, (3, codebooks, 40), generator=torch.Generator().manual_seed(1))
    steps = torch.cat([torch.full((3, codebooks, 1), V), stage.layout.arrange(frames)], dim=2)
    jobs = loaded.begin(asked(PROMPTS, padding="unmasked" if kind == "melody" else "masked"))
    ours = stage.decoder(steps, conditioning=Conditioning.stack([job.conditioning for job in jobs]))
    ids, mask = their_inputs(folder, PROMPTS)
    with torch.no_grad():
        logits = theirs(input_ids=ids, attention_mask=mask, decoder_input_ids=steps.flatten(0, 1)).logits
    if kind == "melody":
        # Its forward masks the padding that its generate attends to; rows without padding are the same in both.
        rows = [1]
        assert mask[1].all()
    else:
        rows = [0, 1, 2]
    logits = logits.view(3, codebooks, -1, V)[:, :, -steps.shape[2] :]
    torch.testing.assert_close(ours[rows], logits[rows], atol=1e-4, rtol=0)
    assert logits.std() > 0.5


def test_a_row_is_the_same_alone_and_in_a_batch(musicgen):
    folder, _ = musicgen("mono")
    loaded = load(folder)
    together = greedy(loaded, asked(PROMPTS))
    for row, prompt in enumerate(PROMPTS):
        assert torch.equal(greedy(loaded, asked([prompt]))[0], together[row])


def test_unmasked_padding_is_attended_to(musicgen):
    folder, _ = musicgen("mono")
    loaded = load(folder)
    masked = Conditioning.stack([job.conditioning for job in loaded.begin(asked(PROMPTS))])
    unmasked = Conditioning.stack([job.conditioning for job in loaded.begin(asked(PROMPTS, padding="unmasked"))])
    assert unmasked.memory_mask is None
    assert torch.equal(masked.memory_mask, torch.tensor([[s < n for s in range(9)] for n in (4, 9, 2)]))
    assert torch.equal(unmasked.memory, masked.memory)


def test_no_prompt_is_the_null_condition(musicgen):
    folder, _ = musicgen("mono")
    job = load(folder).generation(asked([" "])[0])
    assert not job.conditioning.memory_mask.any()


def test_the_usual_settings_and_those_that_are_stated(musicgen, tmp_path):
    folder, _ = musicgen("mono")
    assert load(folder).sampling == SamplingSpec(temperature=1.0, top_k=250, guidance=3.0)
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "generation_config.json").write_text('{"guidance_scale": 2, "top_k": 5, "do_sample": false}')
    assert load(copy).sampling == SamplingSpec(temperature=0, top_k=5, guidance=2.0)


def test_delays_of_one_and_two_channels(musicgen):
    assert load(musicgen("mono")[0]).stage.layout == Delay(4, V, (0, 1, 2, 3), V)
    assert load(musicgen("stereo")[0]).stage.layout == Delay(8, V, (0, 0, 1, 1, 2, 2, 3, 3), V)


@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
def test_generate_gives_a_piece_of_exactly_the_length(musicgen, kind):
    song = MusicModel(load(musicgen(kind)[0])).generate("slow rain", seconds=0.1234, seed=3)
    channels = 2 if kind == "stereo" else 1
    assert song.samples.shape == (channels, round(0.1234 * 16000))
    assert song.tokens.shape == (4 * channels, 62)  # 61.7 frames
    assert int(song.tokens.max()) < V
    assert song.receipt["seed"] == 3
    assert song.receipt["prompt"] == "slow rain"
    json.dumps(song.receipt)


def test_streamed_pieces_are_the_whole(musicgen):
    model = MusicModel(load(musicgen("stereo")[0]))
    whole = model.generate("slow rain", seconds=2.5, seed=3)
    pieces = list(model.stream("slow rain", seconds=2.5, seed=3))
    assert [piece.duration_s > 0.9 for piece in pieces] == [False, True, True, False]  # at 0.25, 1.25, 2.25 and 2.5 s
    torch.testing.assert_close(torch.cat([p.samples for p in pieces], 1), whole.samples, atol=1e-4, rtol=0)
    stage = model.family.stage
    at_once = stage.codec.decode(whole.tokens[None])[0, :, : whole.samples.shape[1]]
    torch.testing.assert_close(whole.samples, at_once, atol=1e-4, rtol=0)


def test_windows_move_on_beyond_the_context(musicgen):
    loaded = load(musicgen("mono")[0])
    model = MusicModel(loaded)
    long = model.generate("rain", seconds=0.3, seed=1, window_s=0.1, stride_s=0.06)
    assert long.tokens.shape == (4, 150)
    assert int(long.tokens.max()) < V
    plain = model.generate("rain", seconds=0.3, seed=1)
    windows = loaded.generation(asked(["rain"], window_s=0.1, stride_s=0.06)[0]).windows
    assert (windows.context, windows.stride, windows.keep) == (53, 30, 1)
    assert torch.equal(long.tokens[0, :50], plain.tokens[0, :50])
    assert not torch.equal(long.tokens, plain.tokens)


def test_melody_rows_of_different_lengths_are_as_alone(musicgen):
    """Their prefixes differ in length, so they are drawn in turn."""
    model = MusicModel(load(musicgen("melody")[0]))
    seeds = [5, 6, 7]
    songs = model.generate(PROMPTS, seconds=0.05, seed=seeds)
    assert [song.receipt["prompt"] for song in songs] == PROMPTS
    for prompt, seed, song in zip(PROMPTS, seeds, songs, strict=True):
        alone = model.generate(prompt, seconds=0.05, seed=seed)
        assert torch.equal(song.tokens, alone.tokens)
        torch.testing.assert_close(song.samples, alone.samples)


def test_unmasked_melody_rows_are_drawn_together(musicgen):
    jobs = load(musicgen("melody")[0]).begin(asked(PROMPTS, padding="unmasked"))
    assert {job.conditioning.num_prefix for job in jobs} == {235 + 9}


def test_load_recognises_the_folder(musicgen):
    folder, _ = musicgen("stereo")
    model = clavilux.load(folder, device="cpu", dtype="float32")
    assert model.family.identity["model"] == folder.name
    assert describe(folder)["family"] == "MusicGen (stereo)"
    assert "melody" not in model.accepts


def test_a_file_of_the_folder_is_as_good(musicgen):
    folder, _ = musicgen("mono")
    for name in ("model.safetensors", "config.json"):
        model = clavilux.load(folder / name, device="cpu", dtype="float32")
        assert model.family.identity["model"] == folder.name
        assert describe(folder / name) == describe(folder)
