"""Steps on a memory that is folded, against the same decoder's on keys and values; Triton's kernels, interpreted."""

from dataclasses import replace

import pytest
import torch
from frozen_steps import captured_steps
from tiny_decoders import drawing_decoder

from clavilux import memory_folding
from clavilux.captured_loop import generate_captured
from clavilux.conditioning import Conditioning
from clavilux.graph_cache import GraphCache
from clavilux.kernels.backend import recorded, using
from clavilux.layout import OPEN
from clavilux.loop import generate_tokens
from clavilux.packing import pack_for_cpu, pack_for_gpu
from clavilux.sampling import SamplingSpec

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def make(**words):
    # Of few and large heads, so that texts of up to 15 positions take fewer bytes folded.
    sizes = {"cross_attention": True, "layers": 1, "width": 32, "head_dim": 16}
    return drawing_decoder(**{**sizes, **words}).to(DEVICE)


def texts(*ends, empty=0, width=32, seed=3):
    """A row for each text, of so many positions, and rows without one."""
    torch.manual_seed(seed)
    longest = max(ends)
    mask = torch.arange(longest) < torch.tensor([*ends, *[0] * empty])[:, None]
    memory = torch.randn(len(mask), longest, width) * mask[:, :, None]
    return Conditioning(memory=memory.to(DEVICE), memory_mask=mask.to(DEVICE))


def logits(decoder, given, backend, steps=2):
    """Of a step each, [T, B, K, V]."""
    torch.manual_seed(5)
    tokens = torch.randint(13, (steps, len(given.memory), 1), device=DEVICE)
    with using(backend), torch.no_grad():
        state = decoder.new_state(len(given.memory), given)
        return torch.stack([decoder.step(each, state) for each in tokens]), state.memory


@pytest.mark.parametrize("words", [{}, {"norm": "rms", "attention_bias": False}], ids=str)
@pytest.mark.parametrize("packed", [False, True])
def test_steps_are_those_on_keys_and_values(words, packed):
    decoder, given = make(layers=2, **words), texts(5, 9, 3, empty=1)
    if packed:
        pack_for_gpu(decoder, "float16", torch.device(DEVICE))
        decoder, given = decoder.half(), replace(given, memory=given.memory.half())
    ours, memory = logits(decoder, given, "triton")
    theirs, plain = logits(decoder, given, "reference")
    assert memory.folded_shape == (3, 9, True) and not plain.folded
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=4e-2 if packed else 1e-4)
    other, _ = logits(decoder, replace(given, memory=given.memory.flip(0)), "triton")
    assert (ours - other).abs().max() > 0.1  # what is read counts


def test_a_step_is_two_kernels_shorter_a_layer():
    decoder, counts = make(), {}
    for short in (True, False):
        given = texts(5 if short else 40, empty=1)
        with using("triton"), torch.no_grad():
            state = decoder.new_state(2, given)
            with recorded() as calls:
                decoder.step(torch.zeros(2, 1, dtype=torch.int64, device=DEVICE), state)
        counts[short] = [call.op for call in calls].count
    assert counts[True]("cross_step") == 1 and counts[False]("cross_step") == 0  # of two kernels
    assert counts[True]("linear_residual") == counts[False]("linear_residual") - 2
    assert counts[True]("norm_linear") == counts[False]("norm_linear") - 1
    assert counts[True]("decode_attention") == counts[False]("decode_attention") - 1


def test_a_row_is_what_it_is_alone():
    """Beside longer texts and shorter ones, one that is not folded, and none at all."""
    decoder, given = make(), texts(5, 9, 24, 5, empty=1)
    given.memory[3] = given.memory[0]
    together, memory = logits(decoder, given, "triton")
    assert memory.folded_shape == (2, 16, False)  # the first and the fourth share one
    torch.manual_seed(5)
    tokens = torch.randint(13, (2, 5, 1), device=DEVICE)
    for row in range(5):
        size = max(8, int(given.memory_mask[row].sum()))
        one = Conditioning(
            memory=given.memory[row, None, :size], memory_mask=given.memory_mask[row, None, :size]
        ).padded_memory(8)
        with using("triton"), torch.no_grad():
            state = decoder.new_state(1, one)
            alone = torch.stack([decoder.step(each[row : row + 1], state) for each in tokens])
        if DEVICE == "cpu":  # the interpreter's products are NumPy's, in an order of their own
            torch.testing.assert_close(alone[:, 0], together[:, row], rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(alone[:, 0], together[:, row]), row


def test_later_calls_are_served_by_the_same_step(monkeypatch):
    captured_steps(monkeypatch)
    if DEVICE == "cpu":  # folded all the same, and read by the reference: the interpreter takes a minute
        monkeypatch.setattr(memory_folding, "usual", lambda device: "triton")
    decoder, cache = make(), GraphCache()
    prompt, plan = torch.zeros(2, 1, 1, dtype=torch.int64, device=DEVICE), torch.full((1, 1, 12), OPEN)
    drawn = []
    for seed, ends in ((1, (5, 7)), (2, (8, 3)), (1, (5, 7)), (3, (8, 30)), (4, (6, 6))):
        given = texts(*ends, empty=2, seed=seed)
        if seed == 4:
            given.memory[1] = given.memory[0]
        sampling = SamplingSpec(seed=(1, 2), guidance=2.0)
        with torch.no_grad():
            words = {"conditioning": given}
            drawn.append(
                torch.stack(list(generate_captured(decoder, sampling, prompt, plan, graphs=cache, **words)), 2)
            )
            padded = given.padded_memory(8)
            steps = generate_tokens(decoder, sampling, prompt, plan=plan, conditioning=padded)
            assert torch.equal(drawn[-1], torch.stack([step.cpu() for step in steps], 2))
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    # One for two short texts, one where the second is not folded, one where both are the same.
    assert cache.num_captured == len(cache) == 3
    assert {each.shape.folded for each in cache._all()} == {(2, 8, True), (1, 8, False), (1, 8, True)}


def plan_of(decoder, given, backend="triton"):
    with using(backend):
        return decoder.read_memory(given).folded_shape


def test_what_is_folded():
    decoder = make()
    assert plan_of(decoder, texts(5, 9, empty=2)) == (2, 9, True)
    assert plan_of(decoder, texts(40, empty=1)) == (0, 0, False)  # more bytes than keys and values
    assert plan_of(decoder, texts(40, 5)) == (1, 8, False)
    assert plan_of(decoder, texts(5, empty=1), "reference") == (0, 0, False)
    assert plan_of(decoder, texts(*[5] * 17)) == (0, 0, False)  # rows that a library multiplies
    assert plan_of(decoder, replace(texts(5, 5), memory_mask=None)) == (2, 5, True)
    one = texts(5, empty=1)
    assert plan_of(decoder, replace(one, memory=torch.cat([one.memory[:1]] * 2), memory_mask=None)) == (1, 5, True)
    assert plan_of(make(cross_attention=False), Conditioning()) == (0, 0, False)


def test_what_cannot_be_folded():
    given = texts(5, empty=1)
    for kind in ("int8", "float32"):
        decoder = make().cpu()
        pack_for_cpu(decoder, kind)  # whose products are laid out for a CPU
        if DEVICE == "cpu":
            assert plan_of(decoder, given) == (0, 0, False)
    decoder = make().half()
    half = replace(given, memory=given.memory.half())
    assert plan_of(decoder, half) == (1, 5, True)
    with torch.no_grad():
        decoder.layers[0].cross.kv.weight.fill_(1.0)
        decoder.layers[0].cross.q.weight.fill_(1e4)
    assert plan_of(decoder, half) == (0, 0, False)  # beyond float16


def test_int8_matrices_leave_less_to_gain():
    decoder, eight = make(), make()
    pack_for_gpu(decoder, "float16", torch.device(DEVICE))
    pack_for_gpu(eight, "int8", torch.device(DEVICE))
    assert plan_of(decoder, texts(14)) == (1, 14, True)
    assert plan_of(eight, texts(14)) == (0, 0, False)
    assert plan_of(eight, texts(3)) == (1, 3, True)
    ours, _ = logits(eight, texts(3, empty=1), "triton")
    theirs, _ = logits(eight, texts(3, empty=1), "reference")
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
