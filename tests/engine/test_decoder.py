"""Each word of DecoderSpec against a few lines of plain torch, and prefill against step."""

import math

import pytest
import torch
import torch.nn.functional as F
from tiny_decoders import READING

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec


def make(**words):
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(**{**READING, **words})).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():  # gains and biases too: a word that is not read must show
            parameter.copy_(torch.randn(parameter.shape) * 0.4 + (1.0 if parameter.ndim == 1 else 0.0))
    return decoder


def tokens_for(decoder, batch=2, length=7, seed=1):
    generator = torch.Generator().manual_seed(seed)
    spec = decoder.spec
    return torch.randint(spec.vocabulary, (batch, spec.codebooks, length), generator=generator)


def plain(decoder, tokens, conditioning=None):
    """The same function written out, one head and one query at a time."""
    spec, weights = decoder.spec, dict(decoder.named_parameters())
    conditioning = conditioning or Conditioning()
    x = sum(weights["embed.weight"][k * spec.vocabulary + tokens[:, k]] for k in range(spec.codebooks))
    if conditioning.additive is not None:
        x = x + conditioning.additive[:, : x.shape[1]]
    if conditioning.prefix is not None:
        x = torch.cat([conditioning.prefix, x], 1)
    if spec.positions == "learned":
        x = x + weights["positions"][: x.shape[1]]
    if spec.positions == "sinusoidal":
        half = spec.width // 2
        for t in range(x.shape[1]):
            angles = torch.tensor([t / 10000 ** (i / (half - 1)) for i in range(half)])
            x[:, t] = x[:, t] + torch.cat([angles.cos(), angles.sin()])
    for n in range(spec.layers):
        x = plain_layer(spec, lambda name, n=n: weights.get(f"layers.{n}.{name}"), x, n, conditioning)
    if spec.final_norm:
        x = plain_norm(spec, weights["norm.weight"], weights.get("norm.bias"), x)
    if spec.head_width is not None:
        x = F.gelu(x @ weights["head_up.weight"].T + weights.get("head_up.bias", torch.zeros(1)))
    head = weights["embed.weight"] if spec.tied else weights["head.weight"]
    y = x @ head.T + weights.get("head.bias", torch.zeros(1))
    y = y.unflatten(-1, (spec.codebooks, -1)).transpose(1, 2)
    return y[:, :, conditioning.num_prefix :]


def plain_norm(spec, weight, bias, x):
    if spec.norm == "layer":
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + spec.eps).sqrt()
    else:
        x = x / (x.square().mean(-1, keepdim=True) + spec.eps).sqrt()
    return x * weight + (0 if bias is None else bias)


def plain_linear(get, name, x):
    bias = get(f"{name}.bias")
    return x @ get(f"{name}.weight").T + (0 if bias is None else bias)


def plain_heads(spec, q, k, v, readable):
    out = torch.zeros_like(q)
    for h in range(spec.heads):
        part = slice(h * spec.head_dim, (h + 1) * spec.head_dim)
        for b in range(q.shape[0]):
            for t in range(q.shape[1]):
                keys = [s for s in range(k.shape[1]) if readable(b, t, s)]
                if keys:
                    scores = k[b, keys, part] @ q[b, t, part] / math.sqrt(spec.head_dim)
                    out[b, t, part] = scores.softmax(0) @ v[b, keys, part]
    return out


def plain_turn(spec, x):
    """rope on [B, T, H * E]: pair (i, i + E/2) of a head is turned by t / theta^(2i/E)."""
    x, half = x.clone(), spec.head_dim // 2
    for h in range(spec.heads):
        for t in range(x.shape[1]):
            for i in range(half):
                a, b = h * spec.head_dim + i, h * spec.head_dim + i + half
                angle = t / spec.rope_theta ** (2 * i / spec.head_dim)
                one, two = x[:, t, a].clone(), x[:, t, b].clone()
                x[:, t, a] = one * math.cos(angle) - two * math.sin(angle)
                x[:, t, b] = two * math.cos(angle) + one * math.sin(angle)
    return x


def plain_layer(spec, get, x, n, conditioning):
    y = plain_norm(spec, get("attention.norm.weight"), get("attention.norm.bias"), x)
    q, k, v = plain_linear(get, "attention.qkv", y).chunk(3, -1)
    if spec.qk_norm:
        q, k = (
            (F.normalize(part.unflatten(-1, (spec.heads, -1)), dim=-1) * math.sqrt(spec.head_dim) * gain).flatten(-2)
            for part, gain in ((q, get("attention.q_norm.weight")), (k, get("attention.k_norm.weight")))
        )
    if spec.positions == "rope":
        q, k = plain_turn(spec, q), plain_turn(spec, k)
    starts = [0] * len(x) if conditioning.pad_lengths is None else conditioning.pad_lengths.tolist()
    x = x + plain_linear(get, "attention.out", plain_heads(spec, q, k, v, lambda b, t, s: starts[b] <= s <= t))
    if n in spec.cross_layers:
        y = plain_norm(spec, get("cross.norm.weight"), get("cross.norm.bias"), x)
        k, v = plain_linear(get, "cross.kv", conditioning.memory).chunk(2, -1)
        mask = conditioning.memory_mask
        out = plain_heads(spec, plain_linear(get, "cross.q", y), k, v, lambda b, t, s: mask is None or bool(mask[b, s]))
        x = x + plain_linear(get, "cross.out", out)
    y = plain_linear(get, "ffn.up", plain_norm(spec, get("ffn.norm.weight"), get("ffn.norm.bias"), x))
    if spec.activation == "gelu":
        y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
    elif spec.activation == "quick_gelu":
        y = y / (1 + torch.exp(-1.702 * y))
    else:
        gate, value = y.chunk(2, -1)
        y = gate / (1 + torch.exp(-gate)) * value
    return x + plain_linear(get, "ffn.down", y)


def memory_for(decoder, batch=2, size=5, masked=True):
    torch.manual_seed(3)
    mask = torch.ones(batch, size, dtype=torch.bool)
    mask[0, 3:] = False
    mask[1] = False  # an empty memory
    return Conditioning(memory=torch.randn(batch, size, decoder.spec.width), memory_mask=mask if masked else None)


WORDS = [
    {},
    {"norm": "rms"},
    {"norm": "layer", "norm_bias": True},
    {"norm": "rms", "eps": 0.5},
    {"norm": "layer", "eps": 0.5},
    {"activation": "gelu"},
    {"activation": "quick_gelu"},
    {"activation": "swiglu"},
    {"attention_bias": True},
    {"ffn_bias": True},
    {"head_bias": True},
    {"positions": "learned"},
    {"positions": "sinusoidal"},
    {"positions": "rope"},
    {"positions": "rope", "rope_theta": 50.0},
    {"qk_norm": True},
    {"qk_norm": True, "positions": "rope"},
    {"final_norm": False},
    {"tied": True},
    {"output_vocabulary": 9},
    {"head_width": 7, "head_bias": True},
    {"head_width": 5, "codebooks": 2, "norm": "rms"},
    {"head_width": 5, "final_norm": False},
    {"codebooks": 3},
    {"codebooks": 3, "output_vocabulary": 10, "head_bias": True},
    {"layers": 1, "heads": 5, "head_dim": 6, "ffn_width": 7},
]
FAMILIES = [  # the words as they come together in ImageGPT and in a small modern decoder
    {
        "norm": "rms",
        "activation": "quick_gelu",
        "positions": "learned",
        "attention_bias": True,
        "ffn_bias": True,
    },
    {"norm": "rms", "activation": "swiglu", "positions": "rope", "qk_norm": True, "tied": True},
]


@pytest.mark.parametrize("words", WORDS + FAMILIES, ids=str)
def test_word_against_plain_torch(words):
    decoder = make(**words)
    tokens = tokens_for(decoder)
    with torch.no_grad():
        torch.testing.assert_close(decoder(tokens), plain(decoder, tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layers", [True, (1,), (0, 2)], ids=str)
@pytest.mark.parametrize("masked", [True, False])
def test_cross_attention_against_plain_torch(layers, masked):
    decoder = make(layers=3, cross_attention=layers, attention_bias=True, norm_bias=True)
    tokens, conditioning = tokens_for(decoder), memory_for(decoder, masked=masked)
    with torch.no_grad():
        out = decoder(tokens, conditioning=conditioning)
        torch.testing.assert_close(out, plain(decoder, tokens, conditioning), rtol=1e-4, atol=1e-4)


def test_musicgen_shape_against_plain_torch():
    decoder = make(codebooks=4, vocabulary=9, output_vocabulary=8, norm_bias=True, positions="sinusoidal",
                   cross_attention=True)  # fmt: skip
    torch.manual_seed(5)
    conditioning = Conditioning(
        prefix=torch.randn(2, 3, 12), memory=memory_for(decoder).memory, additive=torch.randn(2, 7, 12)
    )
    tokens = tokens_for(decoder)
    with torch.no_grad():
        out = decoder(tokens, conditioning=conditioning)
        assert out.shape == (2, 4, 7, 8)
        torch.testing.assert_close(out, plain(decoder, tokens, conditioning), rtol=1e-4, atol=1e-4)


def full_conditioning(decoder, batch=2, length=9):
    torch.manual_seed(4)
    width = decoder.spec.width
    memory = memory_for(decoder, batch) if decoder.spec.cross_layers else Conditioning()
    return Conditioning(
        torch.randn(batch, 3, width), memory.memory, memory.memory_mask, torch.randn(batch, length, width)
    )


STREAMED = [
    {"positions": "learned"},
    {"positions": "rope", "norm": "rms", "qk_norm": True, "activation": "swiglu"},
    {"positions": "sinusoidal", "codebooks": 2, "cross_attention": True, "norm_bias": True},
]


@pytest.mark.parametrize("words", STREAMED, ids=str)
@pytest.mark.parametrize("first", [0, 1, 2, 4, 8])
def test_prefill_then_steps_equal_the_whole(words, first):
    decoder = make(**words)
    tokens = tokens_for(decoder, length=9)
    conditioning = full_conditioning(decoder)
    whole = decoder(tokens, conditioning=conditioning).detach()
    state = decoder.new_state(2, conditioning)
    logits = decoder.prefill(tokens[:, :, :first], state)
    if first:
        torch.testing.assert_close(logits, whole[:, :, first - 1], rtol=1e-4, atol=1e-4)
    for t in range(first, 9):
        logits = decoder.step(tokens[:, :, t], state)
        torch.testing.assert_close(logits, whole[:, :, t], rtol=1e-4, atol=1e-4)
    assert (state.position, state.num_tokens) == (12, 9)


@pytest.mark.parametrize("words", STREAMED, ids=str)
def test_prefill_at_an_offset_equals_the_whole(words):
    decoder = make(**words)
    tokens = tokens_for(decoder, length=9)
    conditioning = full_conditioning(decoder)
    whole = decoder(tokens, conditioning=conditioning).detach()
    state = decoder.new_state(2, conditioning)
    pieces = [decoder(piece, state).detach() for piece in tokens.split([2, 4, 1, 2], dim=2)]
    torch.testing.assert_close(torch.cat(pieces, 2), whole, rtol=1e-4, atol=1e-4)


def test_prefix_alone_predicts_the_first_token():
    decoder = make(positions="learned")
    conditioning = full_conditioning(decoder)
    tokens = tokens_for(decoder)
    alone = decoder.prefill(tokens[:, :, :0], decoder.new_state(2, conditioning))
    # What follows a position does not change it: read the prefix and a token, score the last of the prefix.
    with torch.no_grad():
        x = decoder.read(tokens[:, :, :1], None, Conditioning(prefix=conditioning.prefix))
        expected = decoder._logits(x[:, 2])[:, None]
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)


def test_rewound_state_reads_as_a_new_one():
    decoder = make(positions="rope")
    tokens = tokens_for(decoder, length=9)
    conditioning = full_conditioning(decoder)
    state = decoder.new_state(2, conditioning)
    decoder.prefill(tokens, state)
    state.rewind(3 + 4)
    logits = decoder.prefill(tokens[:, :, 4:6], state)
    new = decoder.prefill(tokens[:, :, :6], decoder.new_state(2, conditioning))
    torch.testing.assert_close(logits, new, rtol=1e-4, atol=1e-4)


def test_cache_beyond_the_position_is_never_read():
    decoder = make(positions="rope")
    tokens = tokens_for(decoder, length=9)
    clean, poisoned = decoder.new_state(2), decoder.new_state(2)
    for cache in poisoned.k + poisoned.v:
        cache.fill_(torch.nan)
    for part in (slice(0, 5), slice(5, 6), slice(6, 9)):
        expected, given = (decoder.prefill(tokens[:, :, part], state) for state in (clean, poisoned))
        assert torch.equal(expected, given)


def test_batch_row_equals_alone():
    decoder = make(positions="rope", cross_attention=True)
    tokens = tokens_for(decoder, batch=5)
    memory = torch.randn(5, 4, 12)
    together = decoder(tokens, conditioning=Conditioning(memory=memory)).detach()
    for row in range(5):
        alone = decoder(tokens[row : row + 1], conditioning=Conditioning(memory=memory[row : row + 1])).detach()
        torch.testing.assert_close(alone[0], together[row], rtol=1e-5, atol=1e-5)


def test_no_token_sees_a_later_one():
    decoder = make(positions="learned", norm_bias=True)
    tokens = tokens_for(decoder)
    changed = tokens.clone()
    changed[:, :, 4] = (changed[:, :, 4] + 1) % 11
    before, after = decoder(tokens).detach(), decoder(changed).detach()
    torch.testing.assert_close(before[:, :, :4], after[:, :, :4], rtol=0, atol=1e-6)
    assert (before[:, :, 4:] - after[:, :, 4:]).abs().amax(-1).min() > 1e-4


@pytest.mark.parametrize("words", STREAMED, ids=str)
def test_gradients_reach_every_parameter(words):
    decoder = make(**words).train()
    conditioning = full_conditioning(decoder)
    logits = decoder(tokens_for(decoder), conditioning=conditioning)
    logits.square().mean().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_trains_under_autocast_and_in_bfloat16():
    decoder = make(positions="rope", norm="rms", activation="swiglu", qk_norm=True)
    tokens = tokens_for(decoder)
    exact = decoder(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = decoder(tokens)
    assert (mixed - exact).abs().max() < 0.1 * exact.abs().max()
    mixed.float().square().mean().backward()
    half = make(positions="rope", norm="rms", activation="swiglu", qk_norm=True).bfloat16()
    out = half.prefill(tokens, half.new_state(2))
    assert out.dtype == torch.bfloat16
    assert (out - exact[:, :, -1]).abs().max() < 0.1 * exact.abs().max()


def test_initial_loss_is_that_of_a_uniform_guess():
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(**{**READING, "vocabulary": 100, "tied": True}))
    tokens = tokens_for(decoder, 4, 12)
    loss = F.cross_entropy(decoder(tokens)[:, 0, :-1].flatten(0, 1), tokens[:, 0, 1:].flatten())
    assert abs(loss.item() - math.log(100)) < 0.2


def test_decoder_names_what_does_not_fit():
    decoder, crossed = make(), make(cross_attention=True)
    tokens = tokens_for(decoder)
    width_5 = torch.zeros(2, 3, 5)
    for conditioning, message in (
        (Conditioning(prefix=width_5), "prefix has 5 columns"),
        (Conditioning(memory=torch.zeros(2, 3, 12)), "no cross-attention"),
        (Conditioning(prefix=torch.zeros(3, 1, 12)), "3 rows"),
        (Conditioning(additive=torch.zeros(2, 6, 12)), "additive has 6"),
    ):
        with pytest.raises(ValueError, match=message):
            decoder(tokens, conditioning=conditioning)
    with pytest.raises(ValueError, match="no memory is given"):
        crossed(tokens)
    with pytest.raises(ValueError, match=r"should be \[B, 1, T\]"):
        decoder(tokens[:, 0])
    with pytest.raises(ValueError, match="room for 16"):
        decoder(tokens_for(decoder, length=17))
    state = decoder.new_state(2, capacity=8)
    decoder.prefill(tokens, state)
    with pytest.raises(ValueError, match="room for 8"):
        decoder.prefill(tokens[:, :, :2], state)
    with pytest.raises(ValueError, match="state has 2"):
        decoder.prefill(tokens[:1], state)
    with pytest.raises(ValueError, match="state has its own"):
        decoder(tokens, state, Conditioning())
    with pytest.raises(ValueError, match="capacity is 17"):
        decoder.new_state(1, capacity=17)
    with pytest.raises(ValueError, match="at least one more"):
        decoder.prefill(tokens[:, :, :0], decoder.new_state(2))


@pytest.mark.parametrize(
    "words", [{"positions": "sinusoidal"}, {"positions": "rope"}, {"positions": "learned"}], ids=str
)
def test_from_weights_holds_the_given_tensors(words):
    decoder = make(**words)
    weights = {name: parameter.detach() for name, parameter in decoder.named_parameters()}
    again = Decoder.from_weights(decoder.spec, weights)
    assert again.embed.weight.data_ptr() == weights["embed.weight"].data_ptr()
    with torch.no_grad():
        assert torch.equal(again(tokens_for(decoder)), decoder(tokens_for(decoder)))
    del weights["norm.weight"]
    with pytest.raises(RuntimeError, match="norm.weight"):
        Decoder.from_weights(decoder.spec, weights)
