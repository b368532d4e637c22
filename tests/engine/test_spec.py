import pytest
from tiny_decoders import READING

from clavilux.spec import DecoderSpec


def test_spec_dictionary_round_trip():
    spec = DecoderSpec(**READING, cross_attention=(1,), spans=("row", "none"), block=4)
    values = spec.to_dict()
    values |= {"cross_attention": [1], "spans": ["row", "none"]}  # as JSON would give it
    assert DecoderSpec.from_dict(values) == spec


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"width": 0}, ValueError, "width is 0"),
        ({"layers": 2.0}, TypeError, "layers is 2.0"),
        ({"heads": True}, TypeError, "heads is True"),
        ({"norm": "batch"}, ValueError, "norm is 'batch'"),
        ({"activation": "relu"}, ValueError, "activation is 'relu'"),
        ({"positions": "alibi"}, ValueError, "positions is 'alibi'"),
        ({"norm": "rms", "norm_bias": True}, ValueError, "norm_bias is True"),
        ({"eps": 0.0}, ValueError, "eps is 0.0"),
        ({"eps": "small"}, ValueError, "eps is 'small'"),
        ({"tied": True, "codebooks": 2}, ValueError, "tied is True"),
        ({"tied": True, "output_vocabulary": 5}, ValueError, "tied is True"),
        ({"tied": 1}, TypeError, "tied is 1"),
        ({"positions": "rope", "head_dim": 5}, ValueError, "head_dim is 5"),
        ({"positions": "rope_2d", "head_dim": 6}, ValueError, "head_dim is 6; grid"),
        ({"positions": "rope_2d"}, ValueError, "grid_columns is None"),
        ({"positions": "rope_2d", "grid_columns": 4, "grid_prefix": 16}, ValueError, "grid_prefix 16"),
        ({"grid_columns": 4}, ValueError, "not 'rope_2d'"),
        ({"grid_prefix": -1}, ValueError, "grid_prefix is -1"),
        ({"head_width": 0}, ValueError, "head_width is 0"),
        ({"head_width": 4, "tied": True}, ValueError, "tied is True"),
        ({"output_vocabulary": 2.0}, TypeError, "output_vocabulary is 2.0"),
        ({"positions": "sinusoidal", "width": 13}, ValueError, "width is 13"),
        ({"cross_attention": (2,)}, ValueError, r"layers \[2\]"),
        ({"spans": ("row",)}, ValueError, "spans has 1 kinds; it should have one for each of 2 layers"),
        ({"spans": ("row", "diagonal")}, ValueError, r"spans has the kinds \['diagonal'\]"),
        ({"spans": ("none", "full"), "cross_attention": (1,)}, ValueError, r"'none' for the layers \[0\]"),
        ({"block": 0}, ValueError, "block is 0"),
    ],
    ids=str,
)
def test_spec_names_what_is_wrong(words, error, message):
    with pytest.raises(error, match=message):
        DecoderSpec(**{**READING, **words})


def test_spec_rejects_unknown_and_missing_words():
    with pytest.raises(ValueError, match="has no colour"):
        DecoderSpec.from_dict({**READING, "colour": 1})
    with pytest.raises(ValueError, match="needs width"):
        DecoderSpec.from_dict({name: value for name, value in READING.items() if name != "width"})
