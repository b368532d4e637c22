"""Every toy case can be called as the catalog describes it, and with values that show mistakes."""

import pytest
import torch

from clavilux.kernels.case_inputs import call
from clavilux.kernels.catalog import CASES, Case, cases
from clavilux.kernels.span import Span

TOYS = [case for case in CASES if case.toy and case.dtype == "float32"]


@pytest.mark.parametrize("case", TOYS, ids=str)
def test_a_case_can_be_called(case):
    first, second = (call(case).results("reference") for _ in range(2))
    assert first
    for result, again in zip(first, second, strict=True):
        assert torch.equal(result, again), "the same seed gives the same call"
        assert result.isfinite().all()
        assert result.dtype in (torch.float32, torch.int64, torch.int32)
    other = call(case, seed=1)
    pairs = zip(tensors(call(case)), tensors(other), strict=True)
    assert any(not torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


def tensors(made):
    return [value for value in (*made.arguments, *made.words.values()) if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("case", [case for case in CASES if not case.toy], ids=str)
def test_a_real_case_has_its_shapes_without_their_memory(case):
    made = call(case, values=False)
    sizes = [tuple(tensor.shape) for tensor in tensors(made)]
    shape = case.shape
    if case.op in ("norm_linear", "linear_residual"):
        assert (shape["rows"], shape["width"]) in sizes
        assert made.arguments[3 if case.op == "norm_linear" else 1].shape == (shape["out"], shape["width"])
    if case.op == "decode_attention":
        capacity = shape.get("capacity", shape["length"])
        if "span" in shape:
            capacity = Span(shape["span"], shape["span_size"]).num_slots(capacity)
        assert (shape["rows"], shape["heads"], capacity, shape["head_dim"]) in sizes
    assert {tensor.device.type for tensor in tensors(made)} == {"cpu"}


def test_what_must_not_be_read_is_not_a_number():
    words = {"rows": 2, "heads": 1, "head_dim": 4, "length": 3, "capacity": 6, "write": True, "on_device": True}
    made = call(Case("decode_attention", "x", words))
    _, k, v, length = made.arguments
    assert length.tolist() == [3]
    for cache in (k, v):
        assert cache[:, :, :2].isfinite().all() and cache[:, :, 2:].isnan().all()
    assert made.words["new_k"].stride() == (12, 4, 1), "a view of the fused product"


def test_sampling_has_a_guided_sum_and_known_tokens():
    (case,) = (case for case in cases("sample_step", toy=True) if str(case) == "sample_step-guided-float32")
    made = call(case)
    assert made.words["weights"].tolist() == [[3.0, -2.0]]
    plan = made.arguments[1]
    assert (plan[:, 1] >= 0).all() and (plan[:, 0] == -1).all()
