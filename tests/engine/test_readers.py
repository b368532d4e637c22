"""Rows with grammars are read each by itself: to the bit what they are alone, whenever the others are forced."""

import pytest
import torch

from clavilux.conditioning import Conditioning
from clavilux.context_window import Readers
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.kernels.quantized import packing_supported
from clavilux.loop import generate_tokens
from clavilux.packing import pack_for_cpu
from clavilux.sampling import Sampler, SamplingSpec
from clavilux.windows import Windows

SPEC = {"width": 48, "layers": 2, "heads": 2, "head_dim": 24, "ffn_width": 64, "vocabulary": 13, "max_positions": 96}
KINDS = [kind for kind in ("float32", "float16", "bfloat16", "int8") if packing_supported(kind)]


def packed(kind="float32", **words):
    """A decoder whose rows keep their bits beside others, as every model's on a CPU do."""
    torch.manual_seed(1)
    decoder = Decoder(
        DecoderSpec(**{**SPEC, "positions": "rope", "norm": "rms", "activation": "swiglu", **words})
    ).eval()
    pack_for_cpu(decoder.requires_grad_(False), kind)
    return decoder


class Script:
    """A grammar from a list: a number must come, None is free."""

    def __init__(self, script):
        self.script, self.at = script, 0

    @property
    def done(self):
        return self.at == len(self.script)

    def allowed(self):
        forced = self.script[self.at]
        return torch.ones(1, 13, dtype=torch.bool) if forced is None else torch.tensor([forced])

    def advance(self, tokens):
        self.at += 1


@pytest.fixture
def seen(monkeypatch):
    """The logits [R * B, K, V] of every draw, by its step."""
    found = {}
    draw = Sampler.draw

    def recorded(self, logits, step, *arguments, **words):
        found[step] = logits.clone()
        return draw(self, logits, step, *arguments, **words)

    monkeypatch.setattr(Sampler, "draw", recorded)
    return found


SCRIPTS = [
    [None, 3, 4, None, None] * 6, [None] * 30, [1, 2, None, None, 5, 6, 7, None] * 4,
    [*[5] * 17, None, None, *[2] * 9, None],
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("windows", [None, Windows(12, 5, 1)])
def test_a_rows_logits_have_the_same_bits_in_any_batch(seen, kind, guidance, windows):
    decoder, blocks = packed(kind), 1 if guidance == 1.0 else 2
    prefix = torch.randn(blocks * len(SCRIPTS), 3, 48)
    prompt = torch.randint(0, 13, (len(SCRIPTS), 1, 2))
    batch = len(SCRIPTS)

    def drawn(rows):
        seen.clear()
        given = Conditioning(prefix=prefix).take_rows([block * batch + row for block in range(blocks) for row in rows])
        spec = SamplingSpec(seed=tuple(row + 5 for row in rows), guidance=guidance)
        steps = list(
            generate_tokens(
                decoder, spec, prompt[rows], grammars=[Script(SCRIPTS[row]) for row in rows], conditioning=given,
                windows=windows,
            )
        )  # fmt: skip
        return torch.stack(steps, 2), {step: logits.unflatten(0, (blocks, len(rows))) for step, logits in seen.items()}

    tokens, logits = drawn(list(range(batch)))
    for row, script in enumerate(SCRIPTS):
        own_tokens, own = drawn([row])
        assert torch.equal(own_tokens[0], tokens[row, :, : len(script)])
        assert list(own) == [step for step, forced in enumerate(script) if forced is None]
        assert all(torch.equal(own[step][:, 0], logits[step][:, row]) for step in own)


@pytest.mark.parametrize(
    "words",
    [
        {}, {"positions": "learned"}, {"qk_norm": True}, {"norm": "layer", "norm_bias": True, "activation": "gelu"},
        {"spans": ("row", "prefix"), "block": 8, "prefix_span": 4}, {"cross_attention": True},
    ],
)  # fmt: skip
def test_states_that_are_stepped_together_have_the_same_bits(words):
    """Logits and caches to the bit, of one row and of several (guidance)."""
    decoder = packed(**words)
    memory = torch.randn(2, 4, 48) if words.get("cross_attention") else None
    given = Conditioning(memory=memory, additive=None if memory is None else torch.randn(2, 20, 48))
    tokens = torch.randint(0, 13, (3, 1, 16))
    states = [[decoder.new_state(2, given, 20) for _ in range(3)] for _ in range(2)]
    for each in states:
        for state, (row, length) in zip(each, enumerate((1, 5, 12)), strict=True):
            decoder.prefill(tokens[row : row + 1, :, :length].repeat(2, 1, 1), state)
    for step in range(3):
        together = decoder.step_apart(tokens[:, :, 12 + step], states[0])
        alone = [decoder.step(tokens[row : row + 1, :, 12 + step], state) for row, state in enumerate(states[1])]
        assert together.shape == (6, 1, 13) and torch.equal(together, torch.cat(alone))
    for one, other in zip(*states, strict=True):
        assert one.position == other.position
        for name in ("k", "v"):
            pairs = zip(getattr(one, name), getattr(other, name), strict=True)
            assert all(torch.equal(a[:, :, : one.position], b[:, :, : one.position]) for a, b in pairs)
    states[0][1].position = 20
    with pytest.raises(ValueError, match="room for 20 positions"):
        decoder.step_apart(tokens[:, :, 0], states[0])


def test_what_is_forced_waits_until_its_row_has_something_to_draw(monkeypatch):
    """The passes of two rows: each one's own, and a step of both where both have drawn one token."""
    found = []
    for name in ("prefill", "step", "step_apart"):
        own = getattr(Decoder, name)

        def counted(self, tokens, state, name=name, own=own):
            found.append((name, tokens.shape[2] if name == "prefill" else len(tokens)))
            return own(self, tokens, state)

        monkeypatch.setattr(Decoder, name, counted)
    scripts = [[None, None, 1, 2, 3, None, None], [4, 5, 6, None, None, None, None]]
    grammars = [Script(script) for script in scripts]
    list(
        generate_tokens(packed(), SamplingSpec(seed=(1, 2)), torch.zeros(2, 1, 1, dtype=torch.int64), grammars=grammars)
    )
    # Steps 0 and 1 are the first row's, 3 and 4 the second's, 5 and 6 those of both; the first reads its three at once.
    assert found == [
        ("prefill", 1),
        ("step", 1),
        ("prefill", 4),
        ("step", 1),
        ("prefill", 4),
        ("step", 1),
        ("step_apart", 2),
    ]


def test_rows_that_wait_have_no_logits():
    readers = Readers(packed(), 3, apart=True, total=8)
    readers.add(torch.tensor([[[1, 2]], [[3, 4]], [[5, 6]]]))
    logits = readers.read([2])
    assert logits.shape == (3, 1, 13) and not logits[:2].any() and logits[2].any()
    readers.add(torch.tensor([[[1]], [[3]], [[5]]]))
    assert readers.read([0, 2])[[0, 2]].any(2).all() and not readers.read([1])[[0, 2]].any()
