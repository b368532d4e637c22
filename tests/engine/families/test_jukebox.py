"""A whole Jukebox, from files to sound: frozen greedy tokens of transformers 4.57.6, requests, and what is refused."""

import json
from functools import partial

import pytest
import torch
from frozen_steps import captured_steps
from jukebox_goldens import VQVAE, frozen, numbers, save_toy

import clavilux
from clavilux import loop
from clavilux.audio.clip import Audio
from clavilux.audio.codecs.token_files import codec_identity, save_tokens
from clavilux.cli.info import describe
from clavilux.families.jukebox import cascade
from clavilux.families.jukebox.cascade import LevelPlan
from clavilux.families.jukebox.config import TransformerConfig
from clavilux.families.jukebox.memory import cache_bytes
from clavilux.graph_cache import GraphCache
from clavilux.memory import needed_bytes
from clavilux.state import places_of

LAYOUTS = ("transformers", "original")
SONG_S = numbers()["total_samples"] / VQVAE.sample_rate


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """toy(name, layout) -> the folder of a Jukebox, each made once."""
    made = {}

    def make(name="plain", layout="transformers"):
        if (name, layout) not in made:
            made[name, layout] = save_toy(tmp_path_factory.mktemp("toy") / f"{name}-{layout}", layout, name)
        return made[name, layout]

    return make


def spoken(name):
    """The artist, genres and lyrics of the frozen song."""
    labels = frozen(name)[2]["labels"][0].tolist()
    said = {"artist": labels[3], "genre": [genre for genre in labels[4:7] if genre >= 0]}
    if len(labels) > 7:
        from clavilux.families.jukebox.labels import ALPHABETS

        said["lyrics"] = "".join(ALPHABETS[80][number - 1] for number in labels[7:])
    return said


@pytest.mark.parametrize(
    ("name", "layout"), [("plain", "transformers"), ("separate", "original"), ("merged", "transformers")]
)
def test_greedy_songs_are_those_of_transformers(toy, name, layout):
    """260 tokens of the top level in 13 windows that move on by 19, with everything that conditions the song."""
    model = clavilux.load(toy(name, layout), device="cpu", dtype="float32")
    expected = frozen(name)[2]["greedy"].long()
    seconds = expected.shape[1] * VQVAE.hop(2) / VQVAE.sample_rate
    song = model.generate(seconds=seconds, song_s=SONG_S, levels=1, hop=0.4, temperature=0, **spoken(name))
    assert torch.equal(song.tokens, expected)
    assert song.samples.shape == (1, round(seconds * VQVAE.sample_rate))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_greedy_upsampling_is_that_of_transformers(toy, tmp_path, layout):
    """From given tokens of the top level: the level below, window by window under what is above it."""
    golden = frozen("upsampler")[2]
    expected, above = golden["greedy"].long(), golden["above"].long()
    model = clavilux.load(toy("plain", layout), device="cpu", dtype="float32")
    path = tmp_path / "above.safetensors"
    save_tokens(path, above, codec_identity(model.family.codec.level(2)))
    said = {"seconds": above.shape[1] * VQVAE.hop(2) / VQVAE.sample_rate, "song_s": SONG_S, **spoken("upsampler")}
    song = model.generate(tokens=path, levels=2, hop=0.4, temperature=0, **said)
    # The library's windows move on by 19, ours by whole tokens above: the first one is the same.
    assert torch.equal(song.tokens[:, :48], expected[:, :48])
    assert torch.equal(model.family.codec.level(1).decode(song.tokens[None])[0], song.samples)


def test_both_layouts_draw_the_same_song_of_exact_length(toy):
    songs = [clavilux.load(toy("plain", layout), device="cpu").generate(seconds=7.03, seed=5) for layout in LAYOUTS]
    assert torch.equal(songs[0].tokens, songs[1].tokens) and torch.equal(songs[0].samples, songs[1].samples)
    assert songs[0].samples.shape == (1, 703) and songs[0].tokens.shape == (1, 6 * 16)
    assert songs[0].receipt["seed"] == 5 and "seed" in json.dumps(songs[0].receipt)


def test_files_from_before_torch_had_zip_files(toy, tmp_path):
    source = toy("plain", "original")
    for path in source.iterdir():
        if path.suffix == ".tar":
            content = torch.load(path, weights_only=True)
            torch.save(content, tmp_path / path.name, _use_new_zipfile_serialization=False)
    (tmp_path / "jukebox.json").write_bytes((source / "jukebox.json").read_bytes())
    old, new = (clavilux.load(folder, device="cpu").generate(seconds=3, seed=1) for folder in (tmp_path, source))
    assert torch.equal(old.tokens, new.tokens)


def test_a_row_does_not_depend_on_its_batch(toy):
    model = clavilux.load(toy(), device="cpu", dtype="float32")
    rows = model.generate(seconds=30, seed=3, batch=2, levels=2)
    assert torch.equal(rows[1].tokens, model.generate(seconds=30, seed=4, levels=2).tokens)
    assert not torch.equal(rows[0].tokens, rows[1].tokens)
    pieces = list(model.stream(seconds=30, seed=4, levels=2))
    assert torch.equal(torch.cat([piece.samples for piece in pieces], 1), rows[1].samples)


def test_a_level_is_one_captured_step(toy, monkeypatch):
    """On a GPU: its windows draw on one state, kept between them even where it is too large to be kept for good."""
    model = clavilux.load(toy("separate"), device="cpu", dtype="float32")
    said = {"seconds": 80, "seed": 3, "batch": 2, "hop": 0.4, "levels": 2, **spoken("separate")}
    said["lyrics"] = said["lyrics"][:12]
    expected = model.generate(**said)
    cache = GraphCache(most_bytes=0)
    monkeypatch.setattr(cascade, "GRAPHS", cache)
    monkeypatch.setattr(loop, "generate_captured", partial(loop.generate_captured, graphs=cache))
    monkeypatch.setattr(loop, "_is_captured", lambda device: True)
    captured_steps(monkeypatch)
    songs = model.generate(**said)
    assert all(torch.equal(song.tokens, other.tokens) for song, other in zip(songs, expected, strict=True))
    assert cache.num_captured == 2 and len(cache) == 0


def test_the_estimate_knows_the_room_of_a_captured_step(toy):
    sizes = clavilux.load(toy(), device="cpu").family.files.sizes[0]
    alike = [cache_bytes(sizes, tokens, 1, 2, captured=True) for tokens in (20, 40)]  # both below the least room
    assert alike[0] == alike[1] == cache_bytes(sizes, sizes.context, 1, 2) > cache_bytes(sizes, 20, 1, 2)


def test_progress_ends_at_the_whole_and_never_goes_back(toy):
    said = []
    clavilux.load(toy(), device="cpu").generate(seconds=10, seed=1, progress=lambda *done: said.append(done))
    assert said == sorted(said) and said[-1] == (10.0, 10.0) and 0 < said[0][0] < 1


def test_a_recording_comes_first(toy, tmp_path):
    """Primed with the first seconds of a file, and going on from all of one: every level begins with its codes."""
    model = clavilux.load(toy(), device="cpu", dtype="float32")
    sound = Audio(0.3 * torch.sin(torch.arange(2000) / 3)[None], 100)
    for given, seconds in (({"continue_from": sound}, 20.0), ({"prime": sound, "prime_s": 7.7}, 7.7)):
        song = model.generate(seconds=30, seed=2, **given)
        whole = int(seconds * 100) // 128
        codes = model.family.codec.level(0).encode(sound.samples[None, :, : whole * 128])[:, 0]
        assert torch.equal(song.tokens[:, : whole * 16], codes)
        assert song.samples.shape == (1, 3000) and "begins with" in song.receipt["notes"][0]
    primed = model.generate(seconds=70, seed=2, prime=Audio(sound.samples.repeat(1, 4), 100), levels=1)
    assert "61.44 s" in primed.receipt["notes"][0]  # a window of 48 tokens


def test_lanes_meet_the_whole_song(toy):
    """Windows side by side: the same length, and the first lane as it would be alone."""
    model = clavilux.load(toy(), device="cpu", dtype="float32")
    alone, lanes = (model.generate(seconds=128, seed=7, levels=2, parallel_windows=n) for n in (1, 3))
    plan = LevelPlan(level=1, total=400, context=48, hop=24, ratio=4, lanes=3)
    assert plan.firsts == [0, 136, 264] and plan.length == 136
    assert lanes.tokens.shape == alone.tokens.shape == (1, 400)
    # A lane's last window is moved to its end, so what it draws is seen from another place.
    assert torch.equal(lanes.tokens[:, :120], alone.tokens[:, :120])
    assert not torch.equal(lanes.tokens[:, 136:], alone.tokens[:, 136:])


def test_info_says_what_it_is(toy):
    for layout in LAYOUTS:
        facts = describe(toy("separate", layout), seconds=20, batch=2)
        assert facts["family"] == "Jukebox" and facts["layout"] == layout and facts["hops"] == [8, 32, 128]
        assert [prior["level"] for prior in facts["priors"]] == [2, 1, 0] and facts["priors"][0]["lyrics"] == 12
        assert facts["memory_for_2_x_20_s_bytes"] > 0
    assert needed_bytes(toy(), 300, 4, device="cpu") > needed_bytes(toy(), 1, device="cpu") > 0
    assert describe(toy("plain", "original") / "prior_level_1.pth.tar")["family"] == "Jukebox"
    assert describe(toy("plain", "original") / "vqvae.pth.tar")["kind"] == "codec"
    assert "JukeboxModel" in repr(clavilux.load(toy()))


def test_a_cache_holds_about_a_third():
    """The published shapes, 1b_lyrics and an upsampler: the goal was 40 %."""
    shape = {"vocabulary": 2048, "layers": 72}
    top = {"width": 2048, "heads": 2, "attention_width": 512, "ffn_width": 2048, "blocks": 64, "order": 12}
    below = {"width": 1920, "heads": 1, "attention_width": 480, "ffn_width": 1920, "blocks": 128, "order": 2}
    for stack, share in (
        (TransformerConfig(**shape, **top, positions=6528, prefix=384), 0.351),
        (TransformerConfig(**shape, **below, positions=8192), 0.341),
    ):
        kept = sum(places_of(stack.spec(), stack.positions))
        assert kept / (stack.layers * stack.positions) == pytest.approx(share, abs=5e-4)


BAD = [
    ({"hop": 0}, "hop is 0.0; it should be a fraction"),
    ({"hop": 1.5}, "hop is 1.5; it should be a fraction"),
    ({"hop": "0.5,0.5"}, "hop is '0.5,0.5'; it should be a number, or 3 of them"),
    ({"levels": 4}, "levels is 4; it should be a whole number from 1 to 3"),
    ({"artist": 7}, "artist is number 7; the prior of level 2 knows 0 to 6"),
    ({"artist": "Nobody"}, "the artist 'Nobody' is a name, and no labels are given"),
    ({"genre": "1,2,3,4"}, "there are 4 genres; the prior of level 2 takes 1 to 3"),
    ({"lyrics": "la la"}, "lyrics are given; .* takes none"),
    ({"song_s": 5}, "the whole song is said to last 5 s, and 10 s of it are to be made"),
    ({"parallel_windows": 0}, "parallel_windows is 0"),
    ({"temperatures": "1,-1,1"}, "temperature is -1.0"),
    ({"prime_s": 3}, "prime_s is 3, and nothing is given to prime with"),
    ({"prime": Audio(torch.zeros(1, 200), 100)}, "lasts 2.00 s, which is shorter than a window .* 61.44 s"),
    ({"prime": Audio(torch.zeros(1, 200), 100), "prime_s": 3}, "3 s of 'the recording' .* it lasts 2.00 s"),
    ({"continue_from": Audio(torch.zeros(1, 100), 100)}, "less than one token of the top level, 1.28 s"),
    ({"continue_from": Audio(torch.zeros(1, 1200), 100)}, "begins with 11.52 s .*ask for more"),
    ({"continue_from": "x.wav", "tokens": "y.safetensors"}, "cannot begin with both continue_from and tokens"),
    ({"prompt": "a song"}, "a prompt is given, 'a song'; .* is conditioned on an artist, genres and lyrics"),
    ({"seconds": 601}, "this model knows songs from 0 to 600 s"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"), BAD, ids=[next(iter(options)) + str(n) for n, (options, _) in enumerate(BAD)]
)
def test_what_cannot_be_is_refused(toy, options, message):
    with pytest.raises(ValueError, match=message):
        clavilux.load(toy(), device="cpu").generate(**{"seconds": 10, **options})


def test_what_it_does_not_take(toy):
    with pytest.raises(TypeError, match="does not take tempo; it takes artist, batch"):
        clavilux.load(toy()).generate(seconds=1, tempo=100)
    with pytest.raises(TypeError, match="does not take guidance"):
        clavilux.load(toy()).generate(seconds=1, guidance=3.0)


def test_lyrics_that_no_window_sees(toy):
    model = clavilux.load(toy("merged"), device="cpu")
    with pytest.raises(
        ValueError, match=r"lyrics have 500 characters; a window sees 12 .* none would see those from 0"
    ):
        model.generate(seconds=60, lyrics="la la" * 100)
    model.generate(seconds=2, levels=1, lyrics="la la la!")


def test_files_that_are_wrong_or_missing(toy, tmp_path):
    source = toy("plain", "original")
    folder = tmp_path / "jukebox"
    folder.mkdir()

    def linked(**names):
        for path in folder.iterdir():
            path.unlink()
        for name in ("vqvae.pth.tar", "jukebox.json", *(f"prior_level_{level}.pth.tar" for level in range(3))):
            place = names.get(name.split(".")[0], name)
            if place:
                (folder / place).symlink_to(source / name)
        return folder

    with pytest.raises(clavilux.CheckpointError, match="holds priors but no vqvae.pth.tar"):
        clavilux.load(linked(vqvae=None))
    swapped = {"prior_level_1": "prior_level_2.pth.tar", "prior_level_2": "prior_level_1.pth.tar"}
    with pytest.raises(clavilux.CheckpointError, match="an upsampler's checkpoint, and level 2 is the top one"):
        clavilux.load(linked(**swapped))
    only_top = linked(prior_level_0=None, prior_level_1=None)
    model = clavilux.load(only_top, device="cpu")
    with pytest.raises(ValueError, match="the prior of level 1 is not in .*, which holds level 2; draw fewer levels"):
        model.generate(seconds=2)
    assert model.generate(seconds=2, levels=1).samples.shape == (1, 200)
    elsewhere = json.loads((source / "jukebox.json").read_text())
    elsewhere["files"] = {str(level): str(source / f"prior_level_{level}.pth.tar") for level in (0, 1)}
    (only_top / "jukebox.json").unlink()
    (only_top / "jukebox.json").write_text(json.dumps(elsewhere))
    assert clavilux.load(only_top, device="cpu").generate(seconds=2, seed=1).tokens.shape == (1, 32)
