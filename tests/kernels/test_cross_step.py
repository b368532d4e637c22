"""cross_step against the layers that it folds, in float64, and its kernels, under the interpreter or on a GPU."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from clavilux.kernels.case_inputs import call
from clavilux.kernels.catalog import cases
from clavilux.kernels.cross_step import cross_step, fold_memory, joined, most_keys
from clavilux.kernels.folded import fold
from clavilux.kernels.launch import noted
from clavilux.kernels.quantized import quantize

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Triton's interpreter computes wrongly in bfloat16, and says nothing.
TOY = [case for case in cases("cross_step", toy=True) if DEVICE == "cuda" or case.dtype != "bfloat16"]


def doubled(memory):
    parts = {name: value.double() for name, value in vars(memory).items()
             if isinstance(value, torch.Tensor) and name != "slots"}  # fmt: skip
    return replace(memory, **parts)


@pytest.mark.parametrize("case", TOY, ids=str)
def test_the_kernels_err_at_most_twice_as_much_as_torch(case, compared):
    given = call(case, DEVICE)
    x, y, weight, bias, memory, mask, out_bias = given.arguments
    wide = [None if part is None else part.double() for part in (x, y, weight, bias, out_bias)]
    exact = cross_step(*wide[:4], doubled(memory), mask, wide[4], **given.words, backend="reference")
    ours, torchs = given("triton"), given("reference")
    assert ours.dtype == torchs.dtype and ours.shape == torchs.shape
    scale = exact.abs().max().clamp(min=1.0)
    error, usual = ((got.double() - exact).abs().max() / scale for got in (ours, torchs))
    # The stream between the two kernels is rounded and so is the result: half a unit in the last place each.
    assert error <= max(2 * usual, torch.finfo(ours.dtype).eps), (float(error), float(usual))
    compared(case)


class Layers:
    """A self-attention's output and a cross-attention, as a decoder has them, and the same folded."""

    def __init__(self, norm, biases, dtype=torch.float32, rows=3):
        torch.manual_seed(0)
        self.norm, self.dtype = norm, dtype
        self.heads, self.size, self.keys, width = 3, 4, 6, 20
        inner = self.heads * self.size
        self.mask = torch.rand(rows, self.keys, device=DEVICE) < 0.6
        self.mask[0, 0], self.mask[-1] = True, False  # the last row reads nothing
        self.x, self.y = self.drawn(rows, width) + 0.5, self.drawn(rows, inner)
        self.before, self.out = (self.drawn(width, inner) / inner**0.5 for _ in range(2))
        self.query = self.drawn(inner, width) / width**0.5
        self.gain, self.shift = 1 + 0.2 * self.drawn(width), self.drawn(width) if norm == "layer" else None
        self.k, self.v = (self.drawn(rows, self.heads, self.keys, self.size) for _ in range(2))
        self.biases = [self.drawn(size) if biases else None for size in (width, inner, width)]

    def drawn(self, *size):
        return torch.randn(*size, device=DEVICE).to(self.dtype)

    def apart(self, dtype=torch.float64):
        x, y, before, out, query, gain, k, v = (
            part.to(dtype) for part in (self.x, self.y, self.before, self.out, self.query, self.gain, self.k, self.v)
        )
        bias, query_bias, out_bias = (None if part is None else part.to(dtype) for part in self.biases)
        x1 = x + F.linear(y, before, bias)
        if self.norm == "layer":
            normed = F.layer_norm(x1, x1.shape[1:], gain, self.shift.to(dtype), 1e-5)
        else:
            normed = F.rms_norm(x1, x1.shape[1:], gain, 1e-5)
        q = F.linear(normed, query, query_bias).view(-1, self.heads, self.size)
        scores = torch.einsum("bhe,bhse->bhs", q, k) / self.size**0.5
        shares = scores.masked_fill(~self.mask[:, None], -torch.inf).softmax(-1).nan_to_num()
        return x1 + F.linear(torch.einsum("bhs,bhse->bhe", shares, v).flatten(1), out, out_bias)

    def memory(self, readable=True, before=None):
        """Folded; where `readable`, without the rows that read nothing."""
        bias, query_bias, _ = self.biases
        query = fold(self.query, self.gain, self.shift, query_bias, self.dtype)
        rows = [row for row, read in enumerate(self.mask.any(1).tolist()) if read or not readable]
        before = self.before if before is None else before
        memory = fold_memory(self.k[rows], self.v[rows], *query, self.out, before, bias)
        slots = [rows.index(row) if row in rows else -1 for row in range(len(self.x))]
        return replace(memory, slots=torch.tensor(slots, dtype=torch.int32, device=DEVICE))

    def folded(self, backend, readable=True):
        bias, _, out_bias = self.biases
        return cross_step(
            self.x, self.y, self.before, bias, self.memory(readable), self.mask, out_bias, norm=self.norm,
            backend=backend,
        )  # fmt: skip


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_folded_layers_are_the_layers(backend, norm, biases, readable):
    layers = Layers(norm, biases)
    torch.testing.assert_close(layers.folded(backend, readable).double(), layers.apart(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, *([torch.bfloat16] if DEVICE == "cuda" else [])])
@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_folded_layers_err_about_as_little_as_the_layers_in_half_precision(backend, dtype):
    layers = Layers("layer", True, dtype)
    exact = layers.apart()
    ours, usual = (got.double() - exact for got in (layers.folded(backend), layers.apart(dtype)))
    assert ours.square().mean() <= 1.5**2 * usual.square().mean()


def test_a_row_has_the_same_bits_alone():
    given = call(next(case for case in TOY if str(case) == "cross_step-no-bias-float32"), DEVICE)
    x, y, weight, bias, memory, mask, out_bias = given.arguments
    if DEVICE == "cpu":  # the interpreter's products are NumPy's, in an order of their own: sums that are exact
        y, weight = y.round(), (8 * weight).round()
    whole = cross_step(x, y, weight, bias, memory, mask, out_bias, backend="triton")
    for row in range(len(x)):
        one, own = slice(row, row + 1), replace(memory, slots=memory.slots[row : row + 1])
        alone = cross_step(x[one], y[one], weight, bias, own, None, out_bias, backend="triton")
        assert torch.equal(alone, whole[one])


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_rows_that_all_read_nothing_are_the_stream_and_the_biases(backend):
    layers = Layers("layer", True)
    layers.mask[:] = False
    memory = layers.memory()
    assert memory.values.numel() == 0
    given = layers.x, layers.y, layers.before, layers.biases[0], memory, layers.mask, layers.biases[2]
    torch.testing.assert_close(cross_step(*given, backend=backend).double(), layers.apart(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_an_int8_output_matrix_is_the_one_dequantized(backend):
    layers = Layers("layer", True)
    small = quantize(layers.before)
    layers.before = small.dequantized(layers.dtype)
    given = layers.x, layers.y, small, layers.biases[0], layers.memory(False, small), layers.mask, layers.biases[2]
    torch.testing.assert_close(cross_step(*given, backend=backend).double(), layers.apart(), rtol=1e-5, atol=1e-5)


def test_two_launches():
    (case,) = (case for case in cases("cross_step", toy=False) if case.name == "musicgen-large-cross-32")
    given = call(case, values=False)
    with noted() as launches:
        given("triton")
    assert [launch.kernel.__name__ for launch in launches] == ["stream_and_scores_kernel", "attend_kernel"]


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_memories_of_several_lengths_and_rows_of_one_text(backend):
    layers = Layers("layer", True, rows=4)
    layers.k[2], layers.v[2], layers.mask[:] = layers.k[0], layers.v[0], True
    layers.mask[0, 4:] = layers.mask[2, 4:] = layers.mask[3] = False
    bias, query_bias, out_bias = layers.biases
    query = fold(layers.query, layers.gain, layers.shift, query_bias, layers.dtype)
    parts = []
    for row, keys in ((0, 4), (1, 6)):
        kv = (part[row, None, :, :keys] for part in (layers.k, layers.v))
        parts.append(fold_memory(*kv, *query, layers.out, layers.before, bias))
    memory = joined(parts, [0, 1, 0, -1], 6)
    ours = cross_step(layers.x, layers.y, layers.before, bias, memory, layers.mask, out_bias, backend=backend)
    torch.testing.assert_close(ours.double(), layers.apart(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_wider_mask_is_cut(backend):
    layers = Layers("rms", False)
    wide = torch.cat([layers.mask, ~layers.mask], 1)
    memory = layers.memory()
    given = layers.x, layers.y, layers.before, None, memory
    words = {"norm": "rms", "backend": backend}
    cut = cross_step(*given, wide[:, : memory.keys], **words)
    assert torch.equal(cut, cross_step(*given, layers.mask, **words))


def test_the_longest_memory_that_takes_fewer_bytes_folded():
    def fewer(keys, width, heads, weight_item):
        return keys * heads * 3 * width * 2 < 2 * width * width * weight_item + 2 * keys * width * 2

    for width, heads in ((1024, 16), (1536, 24), (2048, 32)):
        for weight_item in (2, 1):
            most = most_keys(width, width, heads, 2, weight_item)
            assert 0 < most < 64
            assert fewer(most, width, heads, weight_item) and not fewer(most + 1, width, heads, weight_item)
    assert most_keys(1024, 1024, 2, 2, 2) == 64  # that is as much as the kernel sums over


def test_what_does_not_fit_is_said():
    given = call(TOY[1], DEVICE)
    x, y, weight, bias, memory, mask, _ = given.arguments
    with pytest.raises(ValueError, match="the memory is folded for 2 rows of 16 and 8 columns; x and y have 1"):
        cross_step(x[:1], y[:1], weight, bias, memory)
    with pytest.raises(ValueError, match=r"mask is torch.bool \(2, 4\); it should be bool \(2, 5\)"):
        cross_step(x, y, weight, bias, memory, mask[:, :4])
    with pytest.raises(ValueError, match="norm is 'none'"):
        cross_step(x, y, weight, bias, memory, norm="none")
    with pytest.raises(ValueError, match=r"weight is \(8, 16\); it should be \(16, 8\)"):
        cross_step(x, y, weight.T, bias, memory)


def test_float16_that_overflows_is_said():
    huge = torch.full((1, 1, 1, 1), 6e4, dtype=torch.float16, device=DEVICE)
    two = torch.full((1, 1), 2.0, dtype=torch.float16, device=DEVICE)
    query, offset = fold(two, None, None, None, torch.float16)
    with pytest.raises(OverflowError, match="reaches 1.2e"):
        fold_memory(huge, huge, query, offset, two, two, None)
