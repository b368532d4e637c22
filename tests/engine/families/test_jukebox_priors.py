"""Jukebox's priors against frozen outputs of transformers 4.57.6, in both layouts of files."""

import math

import pytest
import torch
from jukebox_goldens import NAMES, OWN, VQVAE, frozen, labels_of, level_of, numbers, original_names, prior_of, sizes_of

from clavilux.errors import CheckpointError
from clavilux.families.jukebox.checkpoint_config import from_original
from clavilux.families.jukebox.config import order_of
from clavilux.families.jukebox.prior import seen_lyrics
from clavilux.families.jukebox.weights import filled, held_source
from clavilux.layout import OPEN
from clavilux.loop import generate_tokens
from clavilux.sampling import SamplingSpec

EACH = pytest.mark.parametrize("name", NAMES)


def conditions(prior, name, row, start):
    above = None
    if "above" in frozen(name)[2]:
        above = frozen(name)[2]["above"].long()[:, start // 4 : (start + 48) // 4]
    labels = labels_of(name, row)
    return prior.prompt(labels, start, 1), prior.conditioning(labels, [start], above)


@EACH
def test_logits_are_those_of_transformers(name):
    prior, expected = prior_of(name), frozen(name)[2]
    start = numbers()["start"]
    for row in range(2):
        prompt, given = conditions(prior, name, row, start)
        tokens = expected["tokens"][row : row + 1, None].long()
        logits = prior.decoder(torch.cat([prompt, tokens], 2)[:, :, :-1], conditioning=given)[0, 0]
        first = prior.decoder.prefill(prompt, prior.decoder.new_state(1, given))[0]
        logits = torch.cat([first, logits[prompt.shape[2] :]])
        torch.testing.assert_close(logits, expected["logits"][row], rtol=0, atol=1e-4)


def test_the_upsamplers_conditioning_is_that_of_transformers():
    prior, expected = prior_of("upsampler"), frozen("upsampler")[2]
    start = numbers()["start"]
    above = expected["above"].long()[:, start // 4 : (start + 48) // 4]
    torch.testing.assert_close(prior.upsampler(above), expected["conditioning"], rtol=0, atol=1e-5)
    given = prior.conditioning(labels_of("upsampler"), [start], above[:, :7])  # the song ends: id 0 follows
    padded = torch.cat([above[:, :7], torch.zeros(1, 5, dtype=torch.int64)], 1)
    torch.testing.assert_close(given.output_additive, prior.upsampler(padded), rtol=0, atol=1e-6)


@EACH
def test_greedy_tokens_are_those_of_transformers_over_windows(name):
    """260 tokens in 13 windows, which are read again from offsets inside a block: 29 + 1 of blocks of 8 and 10."""
    prior, expected = prior_of(name), frozen(name)[2]["greedy"].long()
    total, context, hop = expected.shape[1], 48, numbers()["hop"]
    starts = [*range(0, total - context, hop), total - context]
    drawn = torch.zeros(1, 1, 0, dtype=torch.int64)
    for start in starts:
        prompt, given = conditions(prior, name, 0, start)
        held = drawn[:, :, start:]
        plan = torch.cat([held, torch.full((1, 1, context - held.shape[2]), OPEN)], 2)
        steps = list(generate_tokens(prior.decoder, SamplingSpec(temperature=0), prompt, plan=plan, conditioning=given))
        drawn = torch.cat([drawn[:, :, :start], torch.stack(steps, 2)], 2)
    assert torch.equal(drawn[0], expected)


@EACH
def test_the_original_layout_gives_the_same(name):
    weights = original_names(frozen(name)[1])
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    sizes = from_original(shapes, None, level_of(name), VQVAE, OWN[name])
    theirs = sizes_of(name)
    assert sizes.spec == theirs.spec and sizes.parameters == theirs.parameters
    loaded, expected = filled(sizes, held_source("it", weights, original=True), torch.float32), prior_of(name)
    assert loaded.fingerprint == expected.fingerprint
    state = expected.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


@EACH
def test_parameters_are_counted(name):
    prior = prior_of(name)
    count = sum(parameter.numel() for parameter in prior.parameters())
    if name == "merged":  # the head is a part of the table
        count -= prior.decoder.head.weight.numel()
    assert prior.sizes.parameters == count


def test_the_published_sizes():
    shapes = {"x": (1, 1)}
    with pytest.raises(ValueError, match="not the weights of a Jukebox prior"):
        from_original(shapes, None, 2, VQVAE, {})
    assert [n for n, word in enumerate(order_of(10, 79)) if word == "none"] == [18, 28, 38, 48, 58, 68, 78]
    merged = order_of(12, 72)
    assert [merged[n] for n in (15, 31, 47, 63)] == ["prefix", "prefix", "full", "prefix"]
    assert [word for n, word in enumerate(merged) if n % 16 != 15] == [
        ("row", "column", "previous_row")[n % 3] for n in range(72) if n % 16 != 15
    ]
    assert set(order_of(0, 5)) == {"full"}
    with pytest.raises(ValueError, match="the attention order is 4"):
        order_of(4, 3)
    spec = sizes_of("merged").spec
    assert (spec.block, spec.prefix_span) == (10, 18)  # 60 positions in 6 blocks; (12 // 6 + 1) * 6 lyrics


def test_another_levels_file_is_told():
    upsampler, plain = (original_names(frozen(name)[1]) for name in ("upsampler", "plain"))
    shapes = [{key: tuple(value.shape) for key, value in weights.items()} for weights in (upsampler, plain)]
    with pytest.raises(ValueError, match="an upsampler's checkpoint, and level 2 is the top one"):
        from_original(shapes[0], None, 2, VQVAE, OWN["upsampler"])
    with pytest.raises(ValueError, match="a top prior's checkpoint, and level 1 is an upsampler's"):
        from_original(shapes[1], None, 1, VQVAE, OWN["plain"])
    with pytest.raises(ValueError, match="it is of level 0, not 1"):
        from_original(shapes[0], {"level": 0}, 1, VQVAE, OWN["upsampler"])
    with pytest.raises(ValueError, match="do not tell heads, blocks, order"):
        from_original(shapes[1], None, 2, VQVAE, {})
    with pytest.raises(CheckpointError, match=r"lacks conditioner_blocks.*another level's"):
        filled(sizes_of("upsampler"), held_source("it", frozen("plain")[1]), torch.float32)


def test_weights_that_are_missing_misshapen_or_infinite():
    weights, sizes = dict(frozen("plain")[1]), sizes_of("plain")
    name = "prior.pos_emb.pos_emb"
    for change, message in (
        ({name: None}, f"lacks {name}"),
        ({"prior.more": torch.zeros(1)}, "has prior.more"),
        ({name: torch.zeros(47, 16)}, rf"{name} is \(47, 16\), not \(48, 16\)"),
        ({name: torch.full((48, 16), math.inf)}, f"not finite in {name}"),
    ):
        wrong = {key: value for key, value in (weights | change).items() if value is not None}
        with pytest.raises(CheckpointError, match=message):
            filled(sizes, held_source("it", wrong), torch.float32)


def test_the_lyrics_that_a_window_sees():
    sizes, labels = sizes_of("separate"), labels_of("separate")
    frozen_rows = frozen("separate")[2]["metadata"][0, 7:].tolist()
    first, end = seen_lyrics(labels, sizes, numbers()["start"])
    assert list(labels.lyrics[first:end]) == frozen_rows
    assert seen_lyrics(labels, sizes, 0)[0] == 0 and seen_lyrics(labels, sizes, 100_000)[1] == len(labels.lyrics)
    few = type(labels)(0, (), (1, 2, 3), 1000)
    assert seen_lyrics(few, sizes, 50) == (0, 3)
