"""Spans in the decoder: every way to read a sequence gives the same, at every offset inside a block."""

import pytest
import torch

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.graph import StepGraph
from clavilux.layout import OPEN
from clavilux.loop import generate_tokens
from clavilux.sampling import SamplingSpec
from clavilux.windows import Windows

BLOCK, PREFIX_SPAN, LENGTH = 5, 7, 18
WORDS = {
    "width": 8, "heads": 2, "head_dim": 3, "ffn_width": 8, "vocabulary": 9, "max_positions": 20, "norm_bias": True,
    "activation": "quick_gelu", "attention_bias": True, "ffn_bias": True, "final_norm": False,
    "block": BLOCK, "prefix_span": PREFIX_SPAN,
}  # fmt: skip
STACKS = [
    *(("full", kind) for kind in ("row", "column", "previous_row", "prefix")),
    ("row", "column", "previous_row", "none", "prefix", "full"),
]
EVERY = pytest.mark.parametrize("spans", STACKS, ids="-".join)


def make(spans, rows=2):
    torch.manual_seed(0)
    cross = tuple(n for n, word in enumerate(spans) if word == "none") or False
    decoder = Decoder(DecoderSpec(**WORDS, layers=len(spans), spans=spans, cross_attention=cross)).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.5 + (1.0 if parameter.ndim == 1 else 0.0))
    memory = torch.randn(rows, 4, 8) if cross else None
    again = torch.randn(rows, 20, 8)
    given = Conditioning(prefix=torch.randn(rows, 1, 8), memory=memory, additive=again[:, 1:], output_additive=again)
    return decoder.requires_grad_(False), given, torch.randint(9, (rows, 1, LENGTH))


@EVERY
def test_prefill_and_step_agree_at_every_offset_of_three_blocks(spans):
    decoder, given, tokens = make(spans)
    whole = decoder(tokens, conditioning=given)[:, :, :, :]  # [B, 1, T, V]
    for first in range(3 * BLOCK + 1):
        for second in (0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 1):  # read in one more pass, in the middle of a block
            state = decoder.new_state(2, given)
            decoder.prefill(tokens[:, :, :first], state)
            end = min(first + second, LENGTH - 2)
            if end > first:
                logits = decoder.prefill(tokens[:, :, first:end], state)
                torch.testing.assert_close(logits, whole[:, :, end - 1], rtol=0, atol=2e-5)
            for t in range(max(first, end), LENGTH):
                logits = decoder.step(tokens[:, :, t], state)
                torch.testing.assert_close(logits, whole[:, :, t], rtol=0, atol=2e-5)


@EVERY
def test_rewound_inside_a_block_it_goes_on_as_before(spans):
    decoder, given, tokens = make(spans)
    whole = decoder(tokens, conditioning=given)
    state = decoder.new_state(2, given)
    decoder.prefill(tokens[:, :, :13], state)
    state.rewind(11)
    torch.testing.assert_close(decoder.step(tokens[:, :, 10], state), whole[:, :, 10], rtol=0, atol=2e-5)
    state.rewind(0)
    torch.testing.assert_close(decoder.prefill(tokens[:, :, :3], state), whole[:, :, 2], rtol=0, atol=2e-5)


def test_previous_row_adds_exactly_nothing_in_the_first_block():
    decoder, _, _ = make(("previous_row",))
    attention = decoder.layers[0].attention
    attention.out.bias.zero_()
    x = torch.randn(2 * 3 * BLOCK, 8)
    moved = (attention(x, 2, None, None, None) - x).view(2, 3 * BLOCK, 8)
    assert (moved[:, :BLOCK] == 0).all() and (moved[:, BLOCK:].abs().amax(2) > 0).all()
    k, v = torch.full((2, 2, 2, 2 * BLOCK, 3), torch.nan)
    for t in range(3 * BLOCK):
        now = x.view(2, -1, 8)[:, t]
        step = attention.step_end(now, attention.heads(now, None, k, v, t + 1, None)) - now
        torch.testing.assert_close(step, moved[:, t], rtol=0, atol=1e-5)
        assert t >= BLOCK or (step == 0).all()


@EVERY
def test_a_step_whose_position_is_a_tensor(spans):
    decoder, given, tokens = make(spans)
    whole = decoder(tokens, conditioning=given)
    state = decoder.new_state(2, given)
    decoder.prefill(tokens[:, :, :3], state)
    plan = torch.full((2, 1, 6), OPEN)
    graph = StepGraph(decoder, state, SamplingSpec(temperature=0), plan)
    graph.tokens.copy_(tokens[:, :, 3])
    graph.run(4, 0, 1)
    assert torch.equal(plan[:, :, 0], whole[:, :, 3].argmax(-1)) and state.position == 5


@EVERY
def test_windows_move_on_where_rows_are_overwritten(spans):
    decoder, given, tokens = make(spans)
    given = Conditioning(
        given.prefix, given.memory, additive=torch.randn(2, 40, 8), output_additive=torch.randn(2, 41, 8)
    )
    windows = Windows(12, 5, keep=1)
    greedy = SamplingSpec(temperature=0)
    steps = list(generate_tokens(decoder, greedy, tokens[:, :, :4], num_steps=20, conditioning=given, windows=windows))
    drawn = torch.cat([tokens[:, :, :4], torch.stack(steps, 2)], 2)
    for dropped, new, end in windows.spans(23):
        held = torch.cat([drawn[:, :, :1], drawn[:, :, dropped + 1 : end]], 2) if dropped else drawn[:, :, :end]
        logits = decoder(held, conditioning=given.window(1, 1 + dropped))
        for t in range(max(new, 3), end):
            assert torch.equal(logits[:, :, t - dropped].argmax(-1), drawn[:, :, t + 1])
