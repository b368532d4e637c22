import json
from importlib.resources import files

import pytest
import torch

from clavilux.kernels.catalog import CASES, COSTS, ITEM_BYTES, TOLERANCE, cases
from clavilux.kernels.model_shapes import MODELS
from clavilux.spec import DecoderSpec


def test_every_op_has_toy_and_real_cases_with_unique_names():
    assert len({str(case) for case in CASES}) == len(CASES)
    for op in COSTS:
        assert {case.dtype for case in cases(op, toy=True)} == ({"float32"} if op == "gumbel" else set(TOLERANCE))
        assert cases(op, toy=False)
    assert all(case.bytes_moved > 0 for case in CASES)


def test_bytes_moved_are_those_of_the_tensors():
    by_name = {str(case): case for case in CASES}
    qkv = by_name["norm_linear-musicgen-small-qkv-bfloat16"]
    assert qkv.bytes_moved == 2 * (3072 * 1024 + 2 * (1024 + 3072)) + 2 * 4 * 3072
    int8 = by_name["norm_linear-musicgen-small-qkv-int8-bfloat16"]
    assert int8.bytes_moved == 3072 * (1024 + 4) + 2 * 2 * (1024 + 3072) + 2 * 4 * 3072
    up = by_name["norm_linear-aria-composer-up-float32"]
    assert up.bytes_moved == 4 * (1024 * 192 + 192 + 512 + 192)
    down = by_name["linear_residual-imagegpt-small-down-bfloat16"]
    assert down.bytes_moved == 2 * (512 * 2048 + 2048 + 512 + 512 + 512)
    assert down.with_dtype("float32").bytes_moved == 2 * down.bytes_moved
    full = by_name["decode_attention-musicgen-large-full-bfloat16"]
    assert full.bytes_moved == 2 * 2 * 32 * 64 * (2 * 1503 + 2 + 2)
    cross = by_name["decode_attention-musicgen-large-cross-bfloat16"]
    assert cross.bytes_moved == 2 * 2 * 32 * 64 * (2 * 64 + 2)
    draw = by_name["sample_step-llamagen-b-bfloat16"]
    assert draw.bytes_moved == 2 * 2 * 16384


@pytest.mark.parametrize(
    ("place", "keys"), [("row-half", 102), ("row-full", 102), ("column-full", 64), ("previous-row-half", 102),
                        ("prefix-full", 448), ("half", 3264), ("full", 6528)]
)  # fmt: skip
def test_spans_read_only_their_keys(place, keys):
    (case,) = (c for c in cases("decode_attention", toy=False) if c.name == f"jukebox-1b-{place}")
    assert case.bytes_moved == 2 * 2 * 256 * (2 * keys + 4)


def test_models_are_complete_decoders():
    for name, model in MODELS.items():
        spec = DecoderSpec(**model.decoder)
        assert name == model.name
        assert spec.output_vocabulary == model.vocabulary
        assert model.dtype in ITEM_BYTES
        assert len(model.weights) == model.rows and sum(model.weights) == pytest.approx(1)
    spans = [MODELS["jukebox-1b"].span(layer) for layer in (0, 1, 2, 15, 47)]
    assert spans == [("row", 102), ("column", 102), ("previous_row", 102), ("prefix", 448), None]


def test_the_composer_is_the_bundled_one():
    model = MODELS["aria-composer"]
    bundled = json.loads((files("clavilux") / "pretrained" / "aria" / "config.json").read_text())["decoder"]
    assert DecoderSpec(**model.decoder) == DecoderSpec(**bundled)


def test_names_are_checked():
    with pytest.raises(ValueError, match="op is 'conv'"):
        cases("conv", toy=True)
    assert all(hasattr(torch, case.dtype) for case in CASES)
