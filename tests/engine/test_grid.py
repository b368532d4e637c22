"""The words of picture decoders, each by itself: grid positions with zero rows, left padding, wide heads, schedules."""

import math

import pytest
import torch

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.graph import StepGraph
from clavilux.kernels.rotary import rotate
from clavilux.loop import generate_tokens
from clavilux.positions import grid_table
from clavilux.sampling import Sampler, SamplingSpec, Schedule

COLUMNS, PREFIX, V = 3, 4, 11
LLAMAGEN = {
    "width": 24, "layers": 2, "heads": 2, "head_dim": 8, "ffn_width": 20, "vocabulary": V, "max_positions": 16,
    "norm": "rms", "activation": "swiglu", "positions": "rope_2d", "grid_columns": COLUMNS, "grid_prefix": PREFIX,
}  # fmt: skip


def make(**words):
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(**{**LLAMAGEN, **words})).eval().requires_grad_(False)
    for parameter in decoder.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.4 + (1.0 if parameter.ndim == 1 else 0.0))
    return decoder


def conditions(rows, starts=None, width=24):
    prefix = torch.randn(rows, PREFIX, width, generator=torch.Generator().manual_seed(rows))
    return Conditioning(prefix=prefix, pad_lengths=None if starts is None else torch.tensor(starts))


def tokens_for(rows, length, seed=1):
    return torch.randint(V, (rows, 1, length), generator=torch.Generator().manual_seed(seed))


def test_grid_turns_interleaved_pairs_by_row_and_column():
    """The published form: pair i of a head is (2i, 2i + 1); rows turn the first half of the pairs, columns the rest."""
    size, theta = 12, 100.0
    table = grid_table(PREFIX + 8, size, theta, COLUMNS, PREFIX)
    x = torch.randn(size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    halves = torch.cat([x[0::2], x[1::2]])  # as the weights are permuted when they are read
    for place in range(8):
        row, column = divmod(place, COLUMNS)
        expected = torch.empty(size, dtype=torch.float64)
        for i in range(size // 2):
            angle = row / theta ** (i / 3) if i < 3 else column / theta ** ((i - 3) / 3)
            a, b = x[2 * i], x[2 * i + 1]
            expected[2 * i] = a * math.cos(angle) - b * math.sin(angle)
            expected[2 * i + 1] = b * math.cos(angle) + a * math.sin(angle)
        turned = rotate(halves, table[PREFIX + place].double())
        torch.testing.assert_close(torch.stack(turned.chunk(2), 1).flatten(), expected, rtol=1e-6, atol=1e-6)


def test_the_prefix_has_rows_of_zeros():
    table = grid_table(PREFIX + 8, 8, 1e4, COLUMNS, PREFIX)
    assert not table[:PREFIX].any()
    assert (table[PREFIX:, 0].abs() <= 1).all() and table[PREFIX, 0].eq(1).all()
    x = torch.randn(2, 3, PREFIX, 8)
    assert not rotate(x, table[:PREFIX]).any()


def test_positions_of_the_prefix_are_read_alike():
    """With queries and keys of 0, a prefix position takes the mean of the values up to it, whatever they are."""
    decoder = make(layers=1)
    given = conditions(2)
    x = decoder.read(tokens_for(2, 1), conditioning=given)[:, :PREFIX]
    attention, ffn = decoder.layers[0].attention, decoder.layers[0].ffn
    normed = torch.nn.functional.rms_norm(given.prefix, (24,), attention.norm.weight, 1e-5)
    values = (normed @ attention.qkv.weight.T).chunk(3, -1)[2]  # [B, P, H * E]
    means = values.cumsum(1) / torch.arange(1, PREFIX + 1).view(1, -1, 1)
    expected = ffn((given.prefix + means @ attention.out.weight.T).flatten(0, 1)).unflatten(0, (2, PREFIX))
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)


def test_another_grid_shares_the_weights():
    decoder = make()
    wide = decoder.for_image_size(5, 4)
    assert wide.spec.max_positions == PREFIX + 20 and decoder.spec.max_positions == 16
    assert wide.embed.weight is decoder.embed.weight
    assert torch.equal(wide.rope, grid_table(PREFIX + 20, 8, 1e4, 5, PREFIX))
    assert torch.equal(decoder.rope, grid_table(16, 8, 1e4, COLUMNS, PREFIX))
    tokens, given = tokens_for(2, 9), conditions(2)
    same = decoder.for_image_size(COLUMNS, 4)(tokens, conditioning=given)
    assert torch.equal(same, decoder(tokens, conditioning=given))
    assert not torch.allclose(wide(tokens, conditioning=given), same, atol=1e-3)


@pytest.mark.parametrize("words", [{}, {"positions": "learned", "grid_columns": None, "grid_prefix": 0}], ids=str)
@pytest.mark.parametrize("first", [0, 1, 5])
def test_a_left_padded_row_is_as_without_its_padding(words, first):
    """What the padding holds is not read, in a prefill or a step; every row starts where its own text does."""
    decoder = make(**words)
    starts, tokens = [0, 3, 2], tokens_for(3, 9)
    given, other = conditions(3, starts), conditions(3, starts)
    for row, start in enumerate(starts):
        other.prefix[row, :start] = 1e4
    for conditioning in (given, other):
        whole = decoder(tokens, conditioning=conditioning)
        state = decoder.new_state(3, conditioning)
        out = [decoder.prefill(tokens[:, :, :first], state)]
        out += [decoder.step(tokens[:, :, t], state) for t in range(first, 9)]
        torch.testing.assert_close(torch.stack(out[1:], 2), whole[:, :, first:], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(whole, decoder(tokens, conditioning=given), rtol=1e-5, atol=1e-5)
    unpadded = decoder(tokens, conditioning=Conditioning(prefix=given.prefix))
    torch.testing.assert_close(whole[:1], unpadded[:1], rtol=1e-4, atol=1e-4)
    assert (whole[1:] - unpadded[1:]).abs().amax((1, 2, 3)).min() > 1e-2


def test_a_padded_grid_row_equals_a_shorter_prefix():
    """Zero rows hold no position, so a padded text is the same as one that takes fewer positions."""
    decoder, short = make(), make(grid_prefix=1)
    tokens, given = tokens_for(2, 9), conditions(2, [3, 3])
    alone = short(tokens, conditioning=Conditioning(prefix=given.prefix[:, 3:]))
    torch.testing.assert_close(decoder(tokens, conditioning=given), alone, rtol=1e-4, atol=1e-4)


def test_pad_lengths_are_stacked_and_checked():
    both = Conditioning.stack([conditions(2), conditions(1, [3])])
    assert both.pad_lengths.tolist() == [0, 0, 3]
    assert Conditioning.stack([conditions(2), conditions(1)]).pad_lengths is None
    with pytest.raises(ValueError, match="pad_lengths are .*; they should be from 0 to 3"):
        conditions(2, [0, 4])
    with pytest.raises(ValueError, match=r"pad_lengths is torch.int64 \(1,\); it should be int64 \[2\]"):
        conditions(2, [0])


def plain(decoder, tokens, given):
    """The same function written out; its angles are made here, from rows and columns."""
    spec, size = decoder.spec, decoder.spec.head_dim
    x = torch.cat([given.prefix, decoder.embed.weight[tokens[:, 0]]], 1)  # [B, P + T, D]
    places = torch.arange(x.shape[1] - PREFIX)
    rates = spec.rope_theta ** (-torch.arange(size // 4) / (size / 4))
    angles = torch.cat([(places // COLUMNS)[:, None] * rates, (places % COLUMNS)[:, None] * rates], 1)
    turns = torch.cat([torch.zeros(PREFIX, size // 2), torch.polar(torch.ones_like(angles), angles)])
    allowed = torch.ones(x.shape[1], x.shape[1]).tril().bool().repeat(len(x), 1, 1)
    for row, start in enumerate([0] * len(x) if given.pad_lengths is None else given.pad_lengths.tolist()):
        allowed[row, :, :start] = False
    for layer in decoder.layers:
        y = rms(x, layer.attention.norm.weight) @ layer.attention.qkv.weight.T
        q, k, v = y.unflatten(-1, (3, spec.heads, size)).permute(2, 0, 3, 1, 4)  # [B, H, P + T, E]
        q, k = (torch.view_as_real(torch.complex(*part.chunk(2, -1)) * turns) for part in (q, k))
        scores = (q.flatten(-2) @ k.flatten(-2).mT / math.sqrt(size)).masked_fill(~allowed[:, None], -1e30)
        read = (scores.softmax(-1) * allowed[:, None]) @ v
        x = x + read.transpose(1, 2).flatten(2) @ layer.attention.out.weight.T
        gate, value = (rms(x, layer.ffn.norm.weight) @ layer.ffn.up.weight.T).chunk(2, -1)
        x = x + (gate * gate.sigmoid() * value) @ layer.ffn.down.weight.T
    return (rms(x, decoder.norm.weight) @ decoder.head.weight.T)[:, None, PREFIX:]


def rms(x, weight):
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


@pytest.mark.parametrize("starts", [None, [1, 0]])
@pytest.mark.parametrize("words", [{}, {"heads": 3, "head_dim": 100, "width": 60}], ids=["heads-of-8", "heads-of-100"])
def test_grid_decoder_against_plain_torch(words, starts):
    """Heads of 100, LlamaGen-3B's, have 25 rates for the rows and 25 for the columns."""
    decoder = make(**words)
    tokens, given = tokens_for(2, 8), conditions(2, starts, decoder.spec.width)
    expected = plain(decoder, tokens, given)
    torch.testing.assert_close(decoder(tokens, conditioning=given), expected, rtol=1e-4, atol=1e-4)
    state = decoder.new_state(2, given)
    out = [decoder.prefill(tokens[:, :, :1], state), *(decoder.step(tokens[:, :, t], state) for t in range(1, 8))]
    torch.testing.assert_close(torch.stack(out, 2), expected, rtol=1e-4, atol=1e-4)


def test_a_schedule_goes_in_straight_lines():
    assert Schedule.between([1, 7], 4).scales == (1, 3, 5, 7)
    assert Schedule.between([1, 3, 2], 5).scales == (1, 2, 3, 2.5, 2)
    assert Schedule.between([1, 7], 1).scales == (1,)
    spec = SamplingSpec(guidance=Schedule((1.0, 4.0)))
    assert (spec.weights, spec.table) == ((1, 0), ((1, 0), (4, -3)))
    with pytest.raises(ValueError, match="schedule of guidance is empty"):
        Schedule(())
    with pytest.raises(TypeError, match="guidance is 'a'"):
        Schedule(("a",))


def test_every_step_is_drawn_with_its_own_scale():
    decoder, given = make(), Conditioning.stack([conditions(2), conditions(1), conditions(1)])
    schedule = Schedule((1.0, 5.0, -2.0))
    spec = SamplingSpec(temperature=0.0, guidance=schedule)
    steps = torch.stack(list(generate_tokens(decoder, spec, tokens_for(2, 0), num_steps=6, conditioning=given)), dim=2)
    for step in range(6):
        logits = decoder.prefill(steps[:, :, :step].repeat(2, 1, 1), decoder.new_state(4, given))
        scale = schedule.scales[min(step, 2)]
        expected = (logits[2:] + scale * (logits[:2] - logits[2:])).argmax(-1)
        assert torch.equal(steps[:, :, step], expected)
        assert torch.equal(Sampler(spec, 2, 1, V).draw(logits, step), expected)
    greedy = SamplingSpec(temperature=0.0, guidance=5.0)
    fixed = torch.stack(
        list(generate_tokens(decoder, greedy, tokens_for(2, 0), num_steps=6, conditioning=given)), dim=2
    )
    assert not torch.equal(fixed, steps)


def test_a_captured_step_follows_the_schedule_too():
    decoder, given = make(), Conditioning.stack([conditions(2), conditions(2)])
    spec = SamplingSpec(guidance=Schedule.between([1, 7], 6), seed=(3, 4), top_k=5)
    expected = torch.stack(
        list(generate_tokens(decoder, spec, tokens_for(2, 0), num_steps=6, conditioning=given)), dim=2
    )
    state, plan = decoder.new_state(4, given), torch.full((2, 1, 6), -1)
    graph = StepGraph(decoder, state, spec, plan)
    graph.draw(decoder.prefill(torch.zeros(4, 1, 0, dtype=torch.int64), state), 0)
    graph.run(PREFIX, 1, 5)
    assert torch.equal(graph.plan, expected)
