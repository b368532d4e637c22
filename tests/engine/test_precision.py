"""Packed weights: what they cost, that rows stay independent, and what each device refuses."""

import copy
from dataclasses import replace

import pytest
import torch

from clavilux import precision
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.kernels import processor
from clavilux.kernels.folded import FoldedWeight, fold_exactly
from clavilux.kernels.quantized import KINDS, Int8Weight, packing_supported, quantize
from clavilux.layers import replace_weight
from clavilux.loop import generate_tokens
from clavilux.packing import GPU_KINDS, pack_for_gpu
from clavilux.precision import halves, place_codec, prepare, text_dtype
from clavilux.sampling import SamplingSpec

CPU = torch.device("cpu")
SPEC = DecoderSpec(
    width=96, layers=2, heads=4, head_dim=24, ffn_width=200, vocabulary=50, max_positions=64, codebooks=2,
    norm_bias=True, cross_attention=True, positions="sinusoidal",
)  # fmt: skip
packs = pytest.mark.skipif(not packing_supported(), reason="this processor has no kernels for packed weights")


def needs(dtype):
    if not packing_supported(dtype):
        pytest.skip(f"this processor packs no {dtype}")


def make(**words):
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(**{**SPEC.to_dict(), **words}))
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    return decoder


def logits_of(decoder, batch=2, steps=6):
    torch.manual_seed(1)
    memory = torch.randn(batch, 3, SPEC.width) if decoder.spec.cross_layers else None
    state = decoder.new_state(batch, Conditioning(memory=memory))
    tokens = torch.randint(50, (batch, decoder.spec.codebooks, steps))
    first = decoder.prefill(tokens[:, :, :3], state)
    return torch.stack([first, *(decoder.step(tokens[:, :, t], state) for t in range(3, steps))], 2)


@packs
@pytest.mark.parametrize(
    "words", [{}, {"codebooks": 1, "tied": True}, {"activation": "swiglu", "norm_bias": False}], ids=str
)
@pytest.mark.parametrize(("dtype", "bound"), [("float16", 2e-3), ("bfloat16", 2e-2), ("int8", 5e-2)])
def test_packed_weights_are_near_the_plain_ones(words, dtype, bound):
    needs(dtype)
    plain = make(**words).eval()
    packed = copy.deepcopy(plain)
    numbers = prepare(packed, packed, CPU, dtype)
    exact, given = logits_of(plain).detach(), logits_of(packed)
    error = float((given - exact).norm() / exact.norm())
    assert 0 < error < bound
    assert numbers["dtype"] == dtype
    if dtype == "int8":
        assert 1e-3 < numbers["weights_error"] < 2e-2
    assert packed.num_parameters == plain.num_parameters


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", KINDS)
def test_a_row_has_the_same_bits_in_any_batch(dtype, threads):
    """What a CPU's library does not give: its products of a row change with the rows beside it."""
    needs(dtype)
    decoder = make()
    prepare(decoder, decoder, CPU, dtype)
    random = torch.Generator().manual_seed(2)
    prompt = torch.randint(50, (48, 2, 3), generator=random)
    memory = torch.randn(48, 3, SPEC.width, generator=random)

    def logits(rows):
        tokens, state = prompt[rows], decoder.new_state(len(prompt[rows]), Conditioning(memory=memory[rows]))
        first = decoder.prefill(tokens, state)
        return torch.stack([first, *(decoder.step(tokens[:, :, t % 3], state) for t in range(8))])

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = logits(slice(0, 48))
        for rows in (1, 2, 3, 5, 16):
            here = slice(48 - rows, 48)
            assert torch.equal(logits(here), together[:, here]), f"{rows} rows"
    finally:
        torch.set_num_threads(before)


def test_auto_takes_what_is_fast_and_exact_enough():
    decoder = make()
    assert prepare(decoder, decoder, CPU, "auto")["dtype"] == ("float16" if packing_supported() else "float32")
    large = make()
    with torch.no_grad():
        large.layers[0].ffn.up.weight[0, 0] = 1e6
    assert prepare(large, large, CPU, "auto") == {"dtype": "float32"}
    assert large.head.weight.kind == "float32"


def test_auto_takes_tiles_for_a_large_decoder(monkeypatch):
    if not processor.AMX:
        pytest.skip("this processor has no AMX")
    monkeypatch.setattr(precision, "LARGE", 1)
    decoder = make()
    assert prepare(decoder, decoder, CPU, "auto") == {"dtype": "bfloat16"}
    assert decoder.layers[0].ffn.up.weight.kind == "bfloat16" and decoder.embed.weight.dtype == torch.float32


@packs
def test_weights_that_half_precision_cannot_hold_are_refused():
    large = make()
    with torch.no_grad():
        large.layers[0].ffn.up.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="65504"):
        prepare(large, large, CPU, "float16")


def test_float32_is_not_rounded():
    decoder, plain = make(), make().eval()
    assert prepare(decoder, decoder, CPU, "float32") == {"dtype": "float32"}
    torch.testing.assert_close(logits_of(decoder), logits_of(plain).detach(), atol=2e-5, rtol=1e-5)
    assert decoder.cache_dtype != torch.bfloat16


def test_words_and_devices_are_checked():
    decoder = make()
    with pytest.raises(ValueError, match="the dtype is 'int4'; it should be auto, float32"):
        prepare(decoder, decoder, CPU, "int4")
    with pytest.raises(ValueError, match="int8 has no kernels on this meta"):
        prepare(decoder, decoder, torch.device("meta"), "int8")


@packs
def test_a_packed_decoder_draws():
    decoder = make(cross_attention=False)
    prepare(decoder, decoder, CPU, "int8")
    steps = list(
        generate_tokens(decoder, SamplingSpec(seed=3, top_k=5), torch.zeros(1, 2, 1, dtype=torch.int64), num_steps=12)
    )
    assert len(steps) == 12 and len(torch.stack(steps).unique()) > 3


GPU_SPECS = [
    {},
    {"codebooks": 1, "tied": True, "attention_bias": True, "ffn_bias": True},
    {"activation": "swiglu", "norm": "rms", "norm_bias": False, "cross_attention": False, "positions": "rope"},
    {"final_norm": False},
    {"head_width": 40},
]


def with_norms(words):
    """A decoder whose norms are far from the identity."""
    decoder = make(**words).eval()
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if "norm" in name:
                parameter.normal_(std=0.5).add_(name.endswith("weight"))
            elif parameter.ndim == 1:
                parameter.normal_()
    return decoder


@pytest.mark.parametrize("words", GPU_SPECS, ids=str)
@pytest.mark.parametrize(("kind", "bound"), [("float16", 1e-3), ("bfloat16", 8e-3), ("int8", 5e-2)])
def test_norms_are_folded_for_a_gpu(words, kind, bound):
    plain = with_norms(words)
    folded = copy.deepcopy(plain)
    error = pack_for_gpu(folded, kind, CPU)
    kinds = {name: type(part.weight) for name, part in folded.matrices().items()}
    normed = {name for name in kinds if name.endswith(("qkv", "cross.q", "up", "head" if folded.norm else "up"))}
    normed -= {"head"} if "head_width" in words else {"head_up"}
    assert {name for name, kind in kinds.items() if kind is FoldedWeight} == normed
    assert (error > 1e-3) == (kind == "int8") and ({*kinds.values()} == {FoldedWeight, Int8Weight}) == (kind == "int8")
    assert all(norm.weight is None and norm.bias is None for norm, _ in folded.normed_linears())
    for name, part in folded.matrices().items():  # on a CPU all is computed in float32
        if isinstance(part.weight, FoldedWeight) and isinstance(part.weight.matrix, torch.Tensor):
            assert part.weight.matrix.dtype == GPU_KINDS[kind], name
            object.__setattr__(part.weight, "matrix", part.weight.matrix.float())
    exact, given = logits_of(plain).detach(), logits_of(folded)
    assert float((given - exact).norm() / exact.norm()) < bound


@pytest.mark.parametrize("words", GPU_SPECS, ids=str)
def test_matrices_with_their_norm_in_them_give_the_bits_of_those_folded_here(words):
    """As an int8 copy in format 2 has them: rounded after the fold, beside norms of ones and zeros."""
    plain = with_norms(words)
    weights = {name: tensor.detach().clone() for name, tensor in plain.named_parameters()}
    names = {module: name for name, module in plain.named_modules()}
    for norm, linear in plain.normed_linears():
        if linear in names:  # else it is the table that looks tokens up
            name = names[linear]
            product, offset = fold_exactly(linear.weight, norm.weight, norm.bias, linear.bias)
            weights[f"{name}.weight"] = replace(quantize(product), offset=offset)
            weights[f"{names[norm]}.weight"].fill_(1)
            if norm.bias is not None:
                weights[f"{names[norm]}.bias"].zero_()
    given, expected = Decoder.from_weights(plain.spec, weights), with_norms(words)
    errors = [pack_for_gpu(decoder, "int8", CPU) for decoder in (given, expected)]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)  # they weigh the matrices with and without their gains
    assert {type(linear.weight) for _, linear in given.normed_linears()} == {FoldedWeight}
    assert torch.equal(*(logits_of(decoder).detach() for decoder in (given, expected)))


def test_int8_matrices_that_float16_cannot_hold_are_refused():
    decoder = make()
    replace_weight(decoder.layers[0].ffn.up, quantize(decoder.layers[0].ffn.up.weight * 1e7))
    with pytest.raises(ValueError, match="float16 holds numbers up to 65504"):
        prepare(decoder, decoder, torch.device("meta"), "float16")


def test_what_cannot_be_folded_keeps_its_norm():
    decoder, exact = with_norms({}), with_norms({})
    attention, ffn = decoder.layers[0].attention, decoder.layers[1].ffn
    replace_weight(attention.qkv, quantize(attention.qkv.weight))  # as an int8 copy has it
    with torch.no_grad():
        for each in (ffn, exact.layers[1].ffn):
            each.norm.weight.mul_(1e5)
            each.norm.bias.zero_()
            each.up.weight.mul_(100)
            each.down.weight.mul_(1e-7)
    assert pack_for_gpu(decoder, "float16", CPU) == 0.0
    assert isinstance(attention.qkv.weight, Int8Weight) and attention.norm.weight is not None
    assert isinstance(ffn.up.weight, torch.Tensor) and ffn.norm.weight is not None
    assert isinstance(decoder.layers[0].ffn.up.weight, FoldedWeight)


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16", "float16", "int8"])
def test_what_stands_around_the_decoder_is_narrow_on_a_gpu_alone(dtype, monkeypatch):
    narrow = dtype != "float32"
    assert not halves(CPU, dtype) and not halves(torch.device("mps"), dtype)
    assert halves(torch.device("cuda"), dtype) == narrow
    assert text_dtype(CPU, dtype) == torch.float32
    assert text_dtype(torch.device("cuda", 1), dtype) == (torch.bfloat16 if narrow else torch.float32)
    codec = ResidualVQ(ResidualVQSpec(encoder=(8,), decoder=(8,), encoder_blocks=(1,), decoder_blocks=(1,)))
    place_codec(codec, CPU, dtype)
    assert {weight.dtype for weight in codec.parameters()} == {torch.float32}
    monkeypatch.setattr(precision, "halves", lambda device, dtype: dtype != "float32")
    place_codec(codec, CPU, dtype)
    assert codec.decoding_dtype == (torch.float16 if narrow else torch.float32)
    assert codec.encoder[0].weight.dtype == codec.codebook.dtype == torch.float32
    place_codec(torch.nn.Linear(1, 1), CPU, dtype)  # such as a table of colors, with nothing to decode with
