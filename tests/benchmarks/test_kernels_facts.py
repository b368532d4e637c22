"""What kernels_facts.py reads off a launch and off machine code."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
pytest.importorskip("triton")

import kernels_check
import kernels_facts

from clavilux.kernels.catalog import CASES

BY_NAME = {str(case): case for case in CASES}
KIB = 1024


@pytest.mark.parametrize(
    ("case", "asked", "chain"),
    [
        ("norm_linear-musicgen-small-qkv-bfloat16", 16 * 1024 * 2, 4),  # all of a program's weights
        ("linear_residual-musicgen-small-down-bfloat16", 64 * KIB, 4),  # as far as 64 KiB reach
        ("norm_linear-musicgen-large-qkv-bfloat16", 64 * KIB, 2),
        ("norm_linear-llamagen-3b-up-bfloat16", 64 * KIB, 2),
        ("decode_attention-musicgen-small-half-bfloat16", 0, 0),  # not a matrix
    ],
)
def test_bytes_of_a_matrix_under_way(case, asked, chain):
    for launch in kernels_check.launches(BY_NAME[case], kernels_check.TARGETS["sm_90"]):
        found = kernels_facts.weights_under_way(launch)
        assert (found[0], found[2]) == (asked, chain)
        # Little's law: 26 KiB on every processor of an H200, were all of it asked for in the loop alone.
        assert found[1] >= 26 * KIB or not asked


def test_instructions_are_told_apart():
    line = "        /*0a30*/              @!P0 LDGSTS.E.BYPASS.128 [R9], desc[UR6][R2.64] ;"
    assert kernels_facts.kind(kernels_facts.INSTRUCTION.findall(line)[0]) == "copy16"
    kinds = {"LDG.E.128": "load16", "LDG.E": "other", "CCTL.E.PF2": "prefetch", "HMMA.16816.F32.BF16": "product"}
    assert {name: kernels_facts.kind(name) for name in kinds} == kinds
