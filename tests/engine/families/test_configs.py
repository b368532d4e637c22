"""Whatever kind of value a config has, the error is a sentence of ours, not the interpreter's."""

import copy
import json
import re

import pytest

from clavilux.checkpoint import PRETRAINED, find
from clavilux.cli.info_models import checkpoint_facts
from clavilux.errors import CheckpointError
from clavilux.families.configs import describing

VALUES = (None, -1, 1.5, "x", [], {}, [None], True, 10**40)
FOREIGN = re.compile(
    r"NoneType|object is not|not iterable|has no attribute|unsupported operand|unpack|indices|between inst"
)
JANUS = {
    "model_type": "janus",
    "vq_config": {"num_embeddings": 64, "embed_dim": 8, "channel_multiplier": [1, 2]},
    "vision_config": {"num_image_tokens": 16},
    "text_config": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "rope_parameters": {}},
}
IMAGEGPT = {"model_type": "imagegpt", "vocab_size": 17, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
ARIA = json.loads((PRETRAINED / "aria" / "config.json").read_text())
LUMIA = json.loads((PRETRAINED / "lumia" / "config.json").read_text())


def places(config, at=()):
    """Of every value in a config's objects, two deep."""
    for name, value in config.items():
        yield (*at, name)
        if isinstance(value, dict) and not at:
            yield from places(value, (name,))


@pytest.mark.parametrize(
    "config",
    [
        JANUS,
        IMAGEGPT,
        {name: ARIA[name] for name in ("family", "decoder", "styles", "vocabulary_sha256")},
        {name: LUMIA[name] for name in ("family", "decoder", "codec")} | {"words": "cat dog"},
    ],
    ids=["janus", "imagegpt", "aria", "lumia"],
)
def test_no_value_shows_words_of_the_interpreter(config, tmp_path):
    refused = 0
    for *outer, name in places(config):
        for value in VALUES:
            bad = copy.deepcopy(config)
            (bad[outer[0]] if outer else bad)[name] = value
            (tmp_path / "config.json").write_text(json.dumps(bad))
            try:
                checkpoint_facts(tmp_path)
            except CheckpointError as error:
                refused += 1
                assert "\n" not in str(error) and not FOREIGN.search(str(error)), (outer, name, value)
    assert refused > 40


def test_what_was_raised_on_purpose_is_repeated():
    for raised, said in (
        (ValueError("width is 3; it should be even"), "it describes no organ: width is 3; it should be even"),
        (TypeError("k is 'x'; it should be a number"), "it describes no organ: k is 'x'; it should be a number"),
        (TypeError("'NoneType' object is not iterable"), "it describes no organ: one of its values is of another kind"),
        (OverflowError("int too large"), "it describes no organ: one of its values"),
        (KeyError("pipes"), "it lacks 'pipes'"),
        (CheckpointError("'a.bin' is missing"), "'a.bin' is missing"),
    ):
        with pytest.raises(CheckpointError) as error, describing("it", "organ"):
            raise raised
        assert str(error.value).startswith(said)


def test_a_checkpoint_is_found_by_its_config_alone(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(IMAGEGPT))
    found = find(tmp_path)
    assert (found.family, found.makes, found.folder) == ("imagegpt", "pictures", tmp_path)
    assert find(found) is found
