import pytest
import torch

from clavilux.kernels.catalog import CASES, COSTS, TOLERANCE, cases


def test_every_op_has_toy_and_real_cases_with_unique_names():
    assert len({str(case) for case in CASES}) == len(CASES)
    for op in COSTS:
        assert {case.dtype for case in cases(op, toy=True)} == set(TOLERANCE)
        assert cases(op, toy=False)


def test_bytes_moved_are_those_of_the_tensors():
    by_name = {str(case): case for case in CASES}
    qkv = by_name["norm_linear-musicgen-small-qkv-bfloat16"]
    assert qkv.bytes_moved == 2 * (3072 * 1024 + 2 * (1024 + 3072))
    up = by_name["norm_linear-aria-composer-up-float32"]
    assert up.bytes_moved == 4 * (1024 * 192 + 192 + 512)
    down = by_name["linear_residual-musicgen-small-down-bfloat16"]
    assert down.bytes_moved == 2 * (1024 * 4096 + 2 * (4096 + 1024 + 1024))
    full = by_name["decode_attention-musicgen-large-full-bfloat16"]
    assert full.bytes_moved == 2 * 2 * 32 * 64 * (2 * 1503 + 2)


def test_names_are_checked():
    with pytest.raises(ValueError, match="op is 'conv'"):
        cases("conv", toy=True)
    assert all(hasattr(torch, case.dtype) for case in CASES)
