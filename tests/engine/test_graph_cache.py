"""A captured step that serves later calls: the same tokens as from a fresh one, whatever was drawn before."""

import copy
import gc
import weakref
from dataclasses import replace

import pytest
import torch
from frozen_steps import captured_steps
from tiny_decoders import drawing_decoder

import clavilux
from clavilux import graph as graphs
from clavilux import graph_cache, model
from clavilux.captured_loop import generate_captured
from clavilux.checkpoint import find
from clavilux.conditioning import Conditioning
from clavilux.context_window import first_window
from clavilux.graph_cache import GraphCache, StepShape
from clavilux.layout import OPEN, Delay
from clavilux.loop import generate_tokens
from clavilux.packing import pack_for_cpu
from clavilux.sampling import SamplingSpec, Schedule
from clavilux.timings import Timings
from clavilux.windows import Windows


@pytest.fixture(autouse=True)
def capturing(monkeypatch):
    captured_steps(monkeypatch)


def make(**words):
    return drawing_decoder(**{"max_positions": 200, **words})


def open_plan(steps, codebooks=1):
    return torch.full((1, codebooks, steps), OPEN)


def prompts(seed, batch=2, codebooks=1, length=2):
    return torch.randint(13, (batch, codebooks, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def draw(decoder, cache, sampling, prompt, plan, **words):
    return torch.stack(list(generate_captured(decoder, sampling, prompt, plan, graphs=cache, **words)), 2)


def by_loop(decoder, sampling, prompt, plan, **words):
    return torch.stack(list(generate_tokens(decoder, sampling, prompt, plan=plan, **words)), 2)


def everything(seed, rows=4, prefix=3, memory=4):
    """All that may condition, other values for each seed."""
    torch.manual_seed(seed)
    return Conditioning(
        prefix=torch.randn(rows, prefix, 16),
        memory=torch.randn(rows, memory, 16),
        memory_mask=torch.rand(rows, memory) < 0.7,
        additive=torch.randn(rows, 190, 16),
        window_prefixes=tuple(torch.randn(2, rows, prefix, 16)),
        pad_lengths=torch.randint(prefix, (rows,)),
        output_additive=torch.randn(rows, 193, 16),
    )


@pytest.mark.parametrize("windows", [None, Windows(19, 7), Windows(20, 5, 2)], ids=str)
def test_later_calls_draw_what_a_fresh_one_does(windows):
    decoder = make(cross_attention=True, codebooks=2, vocabulary=14, output_vocabulary=13, positions="rope")
    layout, cache = Delay(2, 13, (0, 1), special=13), GraphCache()
    start = torch.full((2, 2, 1), 13)
    drawn = []
    for seed, frames, guidance in ((1, 40, 2.0), (2, 57, 3), (3, 33, 0.5), (1, 40, 2.0)):
        given, known = everything(seed), prompts(seed, 1, 2, 1 + seed)
        plan = layout.arrange(known, frames)
        sampling = SamplingSpec(seed=(seed, 40 + seed), guidance=guidance, top_k=9)
        words = {"layout": layout, "conditioning": given, "windows": windows}
        drawn.append(draw(decoder, cache, sampling, start, plan, **words))
        assert torch.equal(drawn[-1], draw(decoder, GraphCache(), sampling, start, plan, **words))
        assert torch.equal(drawn[-1], by_loop(decoder, sampling, start, plan, **words))
        assert torch.equal(layout.restore(drawn[-1])[:, :, : 1 + seed], known.expand(2, -1, -1))
    assert cache.num_captured == len(cache) == 1
    assert torch.equal(drawn[0], drawn[3]) and not torch.equal(drawn[0][:, :, :33], drawn[1][:, :, :33])


@pytest.mark.parametrize(
    "words",
    [{}, {"spans": ["row", "previous_row"], "block": 8}, {"spans": ["column", "prefix"], "block": 8}, {"codebooks": 3}],
    ids=str,
)
def test_what_was_cached_before_is_not_read(words):
    decoder, cache = make(**words), GraphCache()
    for seed, length, steps in ((1, 9, 110), (2, 2, 115), (3, 30, 85)):
        prompt, plan = prompts(seed, 2, decoder.spec.codebooks, length), open_plan(steps, decoder.spec.codebooks)
        sampling = SamplingSpec(seed=(seed, 9), temperature=1.5)
        given = draw(decoder, cache, sampling, prompt, plan)
        assert torch.equal(given, draw(decoder, GraphCache(), sampling, prompt, plan))
        assert len(given.unique()) > 3
    assert cache.num_captured == 1


def test_guidance_may_change_from_step_to_step_and_from_call_to_call():
    decoder, cache = make(), GraphCache()
    torch.manual_seed(4)
    given = Conditioning(prefix=torch.randn(4, 1, 16))
    for scales in ((1.0, 2.0, 3.0), tuple(float(step) for step in range(1, 60)), (0.5, 0.25)):
        sampling = SamplingSpec(seed=5, guidance=Schedule(scales))
        words = {"conditioning": given}
        drawn = draw(decoder, cache, sampling, prompts(1), open_plan(30), **words)
        assert torch.equal(drawn, by_loop(decoder, sampling, prompts(1), open_plan(30), **words))
    assert cache.num_captured == 1


def test_temperature_top_k_and_top_p_may_change_from_call_to_call():
    decoder, cache = make(), GraphCache()
    for temperature, top_k, top_p in ((0.7, 9, 0.9), (1.3, 2, 0.9), (1.7, 9, 0.4), (0.7, 9, 0.9)):
        sampling = SamplingSpec(seed=5, temperature=temperature, top_k=top_k, top_p=top_p)
        drawn = draw(decoder, cache, sampling, prompts(1), open_plan(30))
        assert torch.equal(drawn, by_loop(decoder, sampling, prompts(1), open_plan(30)))
    assert cache.num_captured == 1
    for words in ({"temperature": 1.0}, {"temperature": 0}, {"top_k": 0}, {"top_k": 13}, {"top_p": 1.0}):
        draw(decoder, cache, replace(sampling, **words), prompts(1), open_plan(30))
    assert cache.num_captured == 5  # a rank as high as there are tokens is none


@pytest.mark.parametrize("most_steps", [1, 7, 64])
def test_a_large_vocabularys_noise_is_made_ahead_for_each_call_anew(monkeypatch, most_steps):
    monkeypatch.setattr(graphs, "NOISE_AHEAD", 12)
    monkeypatch.setattr(graphs._NoiseAhead, "MOST_STEPS", most_steps)
    decoder, cache = make(), GraphCache()
    assert decoder.spec.num_outputs == 13
    for seed, steps, windows in ((1, 50, None), (2, 95, Windows(19, 7)), (1, 50, None)):
        sampling = SamplingSpec(seed=(seed, 9), temperature=1.5)
        drawn = draw(decoder, cache, sampling, prompts(seed), open_plan(steps), windows=windows)
        assert torch.equal(drawn, by_loop(decoder, sampling, prompts(seed), open_plan(steps), windows=windows))
    kept = cache._all()[-1].graph
    assert kept._noise is not None and len(kept._noise.steps) == most_steps
    draw(decoder, cache, SamplingSpec(temperature=0), prompts(1), open_plan(9))
    assert cache._all()[-1].graph._noise is None  # nothing is drawn with it


@pytest.mark.parametrize("changed", ["tokens", "prefix"])
def test_a_captured_first_pass_reads_what_is_new(changed):
    decoder, cache, drawn = make(), GraphCache(), []
    for seed in (1, 2):
        torch.manual_seed(seed if changed == "prefix" else 0)
        words = {"conditioning": Conditioning(prefix=torch.randn(2, 3, 16))}
        prompt = prompts(seed if changed == "tokens" else 0, length=5)
        drawn.append(draw(decoder, cache, SamplingSpec(seed=1), prompt, open_plan(30), **words))
        assert torch.equal(drawn[-1], by_loop(decoder, SamplingSpec(seed=1), prompt, open_plan(30), **words))
    [kept] = cache._all()
    assert kept.graph._first is not None and not torch.equal(*drawn)


def test_the_buffers_stay_where_they_are():
    """A replaced tensor would leave the graph with the old one's values, or with freed memory."""
    decoder, cache = make(cross_attention=True), GraphCache()
    sampling = SamplingSpec(seed=1, guidance=2.0)
    places = []
    for seed in (1, 2):
        draw(decoder, cache, replace(sampling, seed=seed), prompts(seed), open_plan(20), conditioning=everything(seed))
        [kept] = cache._all()
        places.append([(part.data_ptr(), part.shape, part.stride()) for part in kept.graph.buffers()])
        assert kept.num_bytes >= kept.graph.state.cache_bytes + 4 * 2 * 16 * 80
    assert places[0] == places[1] and len(places[0]) > 20


def shape_of(decoder, batch=2, sampling=None, steps=50, layout=None, given=None, windows=None):
    sampling = SamplingSpec() if sampling is None else sampling
    held, capacity = first_window(decoder, given, windows, steps + 1)
    memory = decoder.read_memory(Conditioning() if given is None else held)
    return StepShape.of(decoder, batch, sampling, steps, layout, held, capacity, memory)


def test_what_has_to_be_alike():
    decoder = make()
    usual = shape_of(decoder)
    assert shape_of(decoder, sampling=SamplingSpec(seed=8), steps=60) == usual
    prefix = Conditioning(prefix=torch.zeros(2, 4, 16))
    assert shape_of(decoder, given=prefix, steps=40) == usual  # no step reads a prefix, only its keys and values
    added = Conditioning(prefix=prefix.prefix, additive=torch.zeros(2, 90, 16))
    shorter = Conditioning(prefix=torch.zeros(2, 3, 16), additive=torch.zeros(2, 90, 16))
    alike = Conditioning(prefix=prefix.prefix, additive=torch.zeros(1, 90, 16).expand(2, -1, -1))
    pads = replace(prefix, pad_lengths=torch.zeros(2, dtype=torch.int64))
    half = replace(added, additive=added.additive.bfloat16())
    others = [
        shape_of(decoder, batch=3), shape_of(decoder, steps=70), shape_of(decoder, layout=Delay(1, 13)),
        *(shape_of(decoder, given=given) for given in (added, shorter, alike, pads, half)),
        *(shape_of(decoder, sampling=SamplingSpec(**words)) for words in (
            {"temperature": 0}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.5}, {"guidance": 2.0},
            {"guidance": (1.0, 2.0, -2.0)}, {"guidance": Schedule((1.0, 2.0))},
        )),
    ]  # fmt: skip
    assert len({usual, *others}) == len(others) + 1
    guided = shape_of(decoder, sampling=SamplingSpec(guidance=2.0))
    assert shape_of(decoder, sampling=SamplingSpec(guidance=7)) == guided


def test_memories_of_nearly_one_length_share_a_step():
    decoder, cache = make(cross_attention=True), GraphCache()
    for length in (3, 8, 5, 9):
        given = Conditioning(memory=torch.randn(2, length, 16))
        drawn = draw(decoder, cache, SamplingSpec(seed=1), prompts(1), open_plan(20), conditioning=given)
        assert torch.equal(drawn, by_loop(decoder, SamplingSpec(seed=1), prompts(1), open_plan(20), conditioning=given))
    assert cache.num_captured == 3  # up to 8 without a mask, up to 8 with one, up to 16


def test_the_first_call_says_what_capturing_took():
    decoder, cache, took = make(), GraphCache(), []
    for seed in (1, 2):
        timings = Timings()
        steps = generate_captured(decoder, SamplingSpec(seed=seed), prompts(1), open_plan(20), graphs=cache)
        with torch.no_grad():
            assert len(list(timings.drawn(steps))) == 20
        took.append(timings.seconds())
    assert took[0]["capture_s"] >= cache.capture_s - 1e-6 > 0  # rounded
    assert "capture_s" not in took[1]


def test_two_at_once_have_a_step_each():
    decoder, cache = make(), GraphCache()
    with torch.no_grad():
        one, other = (
            generate_captured(decoder, SamplingSpec(seed=seed), prompts(seed), open_plan(100), graphs=cache)
            for seed in (1, 2)
        )
        mixed = [(next(one), next(other)) for _ in range(100)]
        assert next(one, None) is next(other, None) is None
    for seed, drawn in ((1, [pair[0] for pair in mixed]), (2, [pair[1] for pair in mixed])):
        fresh = draw(decoder, GraphCache(), SamplingSpec(seed=seed), prompts(seed), open_plan(100))
        assert torch.equal(torch.stack(drawn, 2), fresh)
    assert len(cache) == cache.num_captured == 2


def test_one_that_is_given_up_serves_the_next():
    decoder, cache = make(), GraphCache()
    with torch.inference_mode():
        steps = generate_captured(decoder, SamplingSpec(seed=1), prompts(1), open_plan(100), graphs=cache)
        next(steps), next(steps)
    assert len(cache) == 0
    steps.close()
    assert len(cache) == 1
    sampling, prompt, plan = SamplingSpec(seed=2), prompts(2), open_plan(98)
    drawn = draw(decoder, cache, sampling, prompt, plan)  # outside inference mode, where its buffers were made
    assert cache.num_captured == 1 and torch.equal(drawn, by_loop(decoder, sampling, prompt, plan))


def test_one_that_failed_is_not_kept():
    decoder, cache = make(), GraphCache()
    bad = copy.deepcopy(decoder)
    with torch.no_grad():
        bad.head.weight[3] = torch.nan
    with pytest.raises(ValueError, match="at step 0: the logits hold NaN"):
        draw(bad, cache, SamplingSpec(), prompts(1), open_plan(20))
    assert len(cache) == 0
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(20))
    assert len(cache) == 1


def test_those_used_last_are_kept():
    decoder, cache = make(), GraphCache(most=2)
    for steps in (20, 70, 20, 90):
        draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(steps))
    assert cache.num_captured == 3 and {each.shape.positions for each in cache._all()} == {64, 96}
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(20))
    assert cache.num_captured == 3
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(70))
    assert cache.num_captured == 4


def test_what_is_kept_has_a_size_that_it_keeps_to():
    decoder, cache = make(), GraphCache()
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(20))
    one = cache.num_bytes
    assert one > 2 * 2 * 2 * 2 * 64 * 8 * 4  # keys and values, layers, rows, heads
    cache = GraphCache(most_bytes=int(1.6 * one))
    for batch in (2, 1):
        draw(decoder, cache, SamplingSpec(), prompts(1, batch), open_plan(20))
    assert len(cache) == 2  # one row is half
    draw(decoder, cache, SamplingSpec(), prompts(1, 3), open_plan(20))
    assert len(cache) == 1 and cache.num_bytes <= 1.6 * one  # three rows are half as much again
    draw(decoder, cache, SamplingSpec(), prompts(1, 8), open_plan(20))
    assert len(cache) == 0  # more than all that may be kept


def test_a_render_keeps_its_own_however_large_it_is():
    decoder, cache = make(), GraphCache(most_bytes=0)
    with cache.held():
        for seed in (1, 2, 3):
            drawn = draw(decoder, cache, SamplingSpec(seed=seed), prompts(seed), open_plan(20))
            assert torch.equal(drawn, by_loop(decoder, SamplingSpec(seed=seed), prompts(seed), open_plan(20)))
        assert cache.num_captured == len(cache) == 1
        draw(decoder, cache, SamplingSpec(), prompts(1, 3), open_plan(20))
        assert cache.num_captured == 2 and len(cache) == 1
    assert len(cache) == 0


def test_steps_die_with_their_decoder():
    decoder, cache = make(), GraphCache()
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(20))
    [kept] = cache._all()
    kept.graph._graph = kept.graph._first._graph = None  # `Frozen` keeps what it runs, as no graph does
    buffers, gone = weakref.ref(kept.graph.state.k[0]), weakref.ref(decoder)
    del kept
    gc.disable()  # they have to go at once, not when someone looks for circles
    try:
        del decoder
        assert gone() is None and buffers() is None and len(cache) == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("change", [lambda decoder: decoder.bfloat16(), lambda decoder: pack_for_cpu(decoder, "int8")])
def test_where_weights_were_moved_a_step_is_captured_anew(change):
    decoder, cache = make(), GraphCache()
    draw(decoder, cache, SamplingSpec(seed=1), prompts(1), open_plan(20))
    with torch.no_grad():
        change(decoder)
    drawn = draw(decoder, cache, SamplingSpec(seed=1), prompts(1), open_plan(20))
    assert torch.equal(drawn, by_loop(decoder, SamplingSpec(seed=1), prompts(1), open_plan(20)))
    assert cache.num_captured == 2 and len(cache) == 1  # the first is of no use to anyone


def failing(call, times):
    """`call`, out of memory so many times at first."""
    left = [times]

    def run(*arguments, **words):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("out of memory")
        return call(*arguments, **words)

    return run


@pytest.mark.parametrize("name", ["new_state", "prefill", "step_at"])
def test_where_memory_runs_out_what_is_kept_makes_room(name, monkeypatch):
    decoder, cache = make(), GraphCache()
    sampling, prompt, plan = SamplingSpec(seed=2), prompts(2), open_plan(70)
    expected = by_loop(decoder, sampling, prompt, plan)
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(20))
    monkeypatch.setattr(decoder, name, failing(getattr(decoder, name), 1))
    assert torch.equal(draw(decoder, cache, sampling, prompt, plan), expected)
    assert len(cache) == 1 and cache.num_captured == 2
    cache.let_go()
    monkeypatch.setattr(decoder, name, failing(getattr(decoder, name), 1))
    with pytest.raises(torch.OutOfMemoryError):  # nothing is left to let go of
        draw(decoder, cache, sampling, prompt, plan)
    assert len(cache) == 0


def test_a_long_first_pass_is_not_captured(monkeypatch):
    decoder = make()
    monkeypatch.setattr(graphs, "FEW", 2 * 30)
    for length, captured in ((31, False), (29, True)):
        cache = GraphCache()
        prompt = prompts(1, length=length)
        drawn = draw(decoder, cache, SamplingSpec(seed=1), prompt, open_plan(90))
        assert torch.equal(drawn, by_loop(decoder, SamplingSpec(seed=1), prompt, open_plan(90)))
        assert (cache._all()[0].graph._first is not None) == captured


def test_a_model_that_is_loaded_or_moved_finds_room(monkeypatch):
    decoder, cache = make(), GraphCache()
    monkeypatch.setattr(graph_cache, "GRAPHS", cache)
    monkeypatch.setattr(model, "GRAPHS", cache)
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(20))
    module = find("lumia").module
    monkeypatch.setattr(module, "load", failing(module.load, 1))
    lumia = clavilux.load("lumia", device="cpu")
    assert len(cache) == 0
    draw(decoder, cache, SamplingSpec(), prompts(1), open_plan(20))
    lumia.to("cpu")  # it is there
    assert len(cache) == 1
    monkeypatch.setattr(model, "device_named", lambda name: torch.device("meta"))
    lumia._read = lambda device: lumia.family
    lumia.to("cuda")
    assert len(cache) == 0
