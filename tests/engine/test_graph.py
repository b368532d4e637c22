"""The step over static buffers against the plain loop: the same tokens, with and without Triton's kernels.

Without a GPU the step is run as it stands, not captured; what a capture must show is at the end, for a GPU.
"""

from dataclasses import replace

import pytest
import torch
from tiny_decoders import drawing_decoder

from clavilux import graph, loop
from clavilux.captured_loop import CHUNK, generate_captured
from clavilux.conditioning import Conditioning
from clavilux.graph import StepGraph
from clavilux.graph_cache import GraphCache
from clavilux.kernels.backend import using
from clavilux.layout import OPEN, Delay, Flattened
from clavilux.loop import generate_tokens
from clavilux.marking import Mark, MarkedTokens
from clavilux.sampling import SamplingSpec
from clavilux.windows import Windows

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def make(**words):
    return drawing_decoder(**{"max_positions": 48, **words}).to(DEVICE)


def by_graph(decoder, sampling, prompt, plan, **words):
    with torch.no_grad():
        return torch.stack(list(generate_captured(decoder, sampling, prompt, plan, graphs=GraphCache(), **words)), 2)


def by_loop(decoder, sampling, prompt, plan, **words):
    """The plain loop, which a GPU takes for steps under a grammar."""
    return torch.stack([step.cpu() for step in generate_tokens(decoder, sampling, prompt, plan=plan, **words)], 2)


def prompts(batch, codebooks, length):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(13, (batch, codebooks, length), generator=generator).to(DEVICE)


@pytest.mark.parametrize(
    "words", [{}, {"positions": "rope", "norm": "rms", "qk_norm": True}, {"codebooks": 3}], ids=str
)
@pytest.mark.parametrize("windows", [None, Windows(9, 4), Windows(9, 9), Windows(10, 3, 2)], ids=str)
def test_equals_the_loop(words, windows):
    decoder = make(**words)
    prompt = prompts(2, decoder.spec.codebooks, 3)
    plan = torch.full((1, decoder.spec.codebooks, CHUNK + 9), OPEN)
    sampling = SamplingSpec(seed=(4, 5), temperature=1.5, top_k=9)
    given = by_graph(decoder, sampling, prompt, plan, windows=windows)
    assert torch.equal(given, by_loop(decoder, sampling, prompt, plan, windows=windows))
    assert len(given[0].unique()) > 3


def test_a_mark_drawn_by_a_captured_step_equals_the_loop():
    decoder, graphs, drawn = make(codebooks=2), GraphCache(), []
    layout = Delay(2, 12, (1, 2), special=12)
    plan = torch.full((1, 2, graph._MarksAhead.STEPS + 9), OPEN)
    prompt = torch.full((2, 2, 1), 12, device=DEVICE)
    tokens = MarkedTokens("toy", torch.arange(12) // 3, delay=1)
    for mark in (Mark(77, tokens), Mark(-5, tokens), None):
        sampling = SamplingSpec(seed=(4, 500), temperature=1.5, top_k=9, mark=mark)
        words = {"windows": Windows(40, 9), "layout": layout}
        with torch.no_grad():
            steps = generate_captured(decoder, sampling, prompt, plan, graphs=graphs, **words)
            drawn.append(torch.stack([step.cpu() for step in steps], 2))
        assert torch.equal(drawn[-1], by_loop(decoder, sampling, prompt, plan, **words))
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2]) and len(graphs) == 2


@pytest.mark.parametrize("words", [{"top_k": 9}, {"top_k": 9, "top_p": 0.9}], ids=str)
def test_noise_made_ahead_and_settings_of_a_later_call_equal_the_loop(monkeypatch, words):
    monkeypatch.setattr(graph, "NOISE_AHEAD", 12)  # as for a vocabulary of thousands
    decoder, graphs = make(), GraphCache()
    for temperature in (1.5, 0.7):
        sampling = SamplingSpec(seed=(4, 5), temperature=temperature, **words)
        plan = torch.full((1, 1, 2 * graph._NoiseAhead.MOST_STEPS + 9), OPEN)
        windows = Windows(40, 9)
        steps = generate_captured(decoder, sampling, prompts(2, 1, 3), plan, windows=windows, graphs=graphs)
        with torch.no_grad():
            given = torch.stack(list(steps), 2)
        assert torch.equal(given, by_loop(decoder, sampling, prompts(2, 1, 3), plan, windows=windows))
    assert len(graphs) == 1


@pytest.mark.parametrize("later", [0, 2])
@pytest.mark.parametrize("windows", [None, Windows(9, 4), Windows(10, 3, 2)], ids=str)
def test_conditioning_guidance_and_delays_equal_the_loop(windows, later):
    decoder = make(cross_attention=True, codebooks=3, vocabulary=14, output_vocabulary=13)
    torch.manual_seed(2)
    one = Conditioning(torch.randn(2, 3, 16), torch.randn(2, 4, 16), torch.rand(2, 4) < 0.7, torch.randn(2, 60, 16))
    one = replace(one, window_prefixes=tuple(torch.randn(later, 2, 3, 16)))
    conditioning = Conditioning.stack([one, Conditioning(prefix=torch.randn(2, 3, 16))])
    layout = Delay(3, 13, (0, 1, 2), special=13)
    frames = prompts(2, 3, 4).cpu()
    plan = layout.arrange(frames, 20)
    start = torch.full((2, 3, 1), 13)
    sampling = SamplingSpec(seed=(4, 5), guidance=2.0, top_k=7, top_p=0.95)
    words = {"layout": layout, "conditioning": conditioning, "windows": windows}
    given = by_graph(decoder, sampling, start, plan, **words)
    assert torch.equal(given, by_loop(decoder, sampling, start, plan, **words))
    assert torch.equal(layout.restore(given)[:, :, :4], frames)
    assert torch.equal(plan, layout.arrange(frames, 20))  # the caller's is left alone


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("windows", [None, Windows(9, 4)], ids=str)
def test_one_draw_makes_one_state(monkeypatch, captured, windows):
    """The keys and values of a large model are gigabytes. Captured steps are run here as they stand."""
    decoder, states = make(), []
    new_state = decoder.new_state
    monkeypatch.setattr(loop, "_is_captured", lambda device: captured)
    monkeypatch.setattr(decoder, "new_state", lambda *words: states.append(new_state(*words)) or states[-1])
    steps = generate_tokens(decoder, SamplingSpec(seed=3), prompts(2, 1, 2), num_steps=12, windows=windows)
    with torch.no_grad():
        assert len(list(steps)) == 12
    assert len(states) == 1


def test_a_flattened_layout_restricts_every_step():
    decoder = make(vocabulary=12)
    layout = Flattened(3, 4)
    plan = torch.full((1, 1, 12), OPEN)
    given = by_graph(decoder, SamplingSpec(seed=3), prompts(2, 1, 1) % 12, plan, layout=layout)
    assert layout.restore(given).shape == (2, 3, 4)
    assert torch.equal(given, by_loop(decoder, SamplingSpec(seed=3), prompts(2, 1, 1) % 12, plan, layout=layout))


def test_known_steps_cost_nothing_and_come_first():
    decoder = make()
    plan = torch.full((1, 1, 10), OPEN)
    plan[:, :, :6] = 5
    given = by_graph(decoder, SamplingSpec(seed=3), prompts(2, 1, 2), plan)
    assert (given[:, :, :6] == 5).all() and given.shape == (2, 1, 10)
    assert torch.equal(by_graph(decoder, SamplingSpec(), prompts(2, 1, 2), plan[:, :, :6]), given[:, :, :6])


@pytest.mark.parametrize("known", [7, CHUNK + 5])
def test_what_is_retraced_goes_on_as_it_did(known):
    """Steps that are known already are read one by one from where they were drawn so."""
    decoder, prompt, sampling = make(spans=["row", "previous_row"], block=4), prompts(2, 1, 2), SamplingSpec(seed=3)
    plan = torch.full((1, 1, CHUNK + 9), OPEN)
    plan[:, :, :4] = 5
    whole = by_graph(decoder, sampling, prompt, plan)
    cut = torch.where(torch.arange(CHUNK + 9) < known, whole.to(plan), OPEN)
    assert torch.equal(by_graph(decoder, sampling, prompt, cut, replay_from=4), whole)
    passes = []
    handle = decoder.layers[0].register_forward_pre_hook(lambda *_: passes.append(1))
    assert torch.equal(by_loop(decoder, sampling, prompt, cut, replay_from=4), whole)
    handle.remove()
    assert len(passes) == 1  # of many positions: only what was known when it was drawn


def test_a_row_equals_the_same_row_alone():
    decoder = make(positions="rope")
    plan, prompt = torch.full((1, 1, 20), OPEN), prompts(3, 1, 3)
    together = by_graph(decoder, SamplingSpec(seed=(7, 8, 9)), prompt, plan)
    for row, seed in enumerate((7, 8, 9)):
        alone = by_graph(decoder, SamplingSpec(seed=(seed,)), prompt[row : row + 1], plan)
        assert torch.equal(alone[0], together[row])


def test_a_step_that_can_draw_nothing_is_named():
    decoder = make()
    with torch.no_grad():
        decoder.head.weight[3] = torch.nan
    with pytest.raises(ValueError, match="at step 0: the logits hold NaN"):
        by_graph(decoder, SamplingSpec(), prompts(1, 1, 2), torch.full((1, 1, 5), OPEN))


def test_an_additive_that_ends_too_early_is_named():
    decoder = make()
    conditioning = Conditioning(additive=torch.zeros(1, 5, 16))
    with pytest.raises(ValueError, match="additive has 5"):
        by_graph(decoder, SamplingSpec(), prompts(1, 1, 2), torch.full((1, 1, 9), OPEN), conditioning=conditioning)


@pytest.mark.skipif(DEVICE == "cuda", reason="the kernels are the default there")
@pytest.mark.parametrize("windows", [None, Windows(7, 3)], ids=str)
def test_tritons_kernels_draw_the_same_tokens(windows):
    """A whole model through every kernel: guidance, delays, memory, rope and norms of heads."""
    decoder = make(
        cross_attention=True, codebooks=2, vocabulary=14, output_vocabulary=13, positions="rope", qk_norm=True
    )
    torch.manual_seed(2)
    one = Conditioning(None, torch.randn(1, 4, 16), None, None)
    conditioning = Conditioning.stack([one, Conditioning()])
    layout = Delay(2, 13, (0, 1), special=13)
    plan, start = layout.arrange(torch.zeros(1, 2, 0, dtype=torch.int64), 9), torch.full((1, 2, 1), 13)
    sampling = SamplingSpec(seed=6, guidance=2.0, top_k=7)
    words = {"layout": layout, "conditioning": conditioning, "windows": windows}
    with using("triton"):
        given = by_graph(decoder, sampling, start, plan, **words)
    assert torch.equal(given, by_loop(decoder, sampling, start, plan, **words))


@pytest.mark.skipif(DEVICE == "cpu", reason="no GPU to capture on")
def test_a_run_is_replayed_without_a_word_from_the_host():
    decoder = make().bfloat16()
    plan = torch.full((2, 1, 20), OPEN, device=DEVICE)
    state = decoder.new_state(2)
    graph = StepGraph(decoder, state, SamplingSpec(seed=1), plan)
    graph.draw(decoder.prefill(prompts(2, 1, 3), state), 0)
    graph.run(3, 1, 2)  # captures
    assert graph.captured
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            graph.run(5, 3, 10)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    calls = {event.key: event.count for event in profile.key_averages()}
    assert calls.get("cudaGraphLaunch") == 10
    assert calls.get("cudaLaunchKernel", 0) <= 3  # the clock is set once a run
    assert (plan[:, :, 1:13] >= 0).all() and (plan[:, :, 13:] == OPEN).all()
