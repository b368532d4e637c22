"""Texts for a decoder."""

import pytest
import torch

from clavilux.errors import CheckpointError
from clavilux.families import t5

CPU = torch.device("cpu")


def test_without_transformers_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(t5, "find_spec", lambda name: None)
    encoder = t5.from_tensors({"d_model": 8}, {}, tmp_path, CPU)
    with pytest.raises(ValueError, match=r"pip install 'clavilux\[text\]'"):
        encoder.encode("rain")


def test_states_are_those_of_transformers(musicgen):
    folder, model = musicgen("mono")
    state = {name: tensor for name, tensor in model.text_encoder.state_dict().items() if "embed_tokens" not in name}
    encoder = t5.from_tensors(model.config.text_encoder.to_dict(), state, folder, CPU)
    states, unread = encoder.encode("slow church organ")
    ids = t5.tokenizer(folder)("slow church organ")
    assert ids == [3, 5, 6, 1]
    with torch.no_grad():
        theirs = model.text_encoder(input_ids=torch.tensor([ids])).last_hidden_state
    torch.testing.assert_close(states, theirs, atol=1e-6, rtol=0)
    assert unread == 0
    assert encoder.width == 48


def test_a_folder_is_read_by_its_name(musicgen, tmp_path):
    folder, model = musicgen("mono")
    model.text_encoder.save_pretrained(tmp_path / "t5-tiny")
    (tmp_path / "t5-tiny" / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    states, _ = t5.from_name("t5-tiny", tmp_path, 48, CPU).encode("slow")
    assert states.shape == (1, 2, 48)
    with pytest.raises(CheckpointError, match="is 48 wide; it should be 64"):
        t5.from_name("t5-tiny", tmp_path, 64, CPU).encode("slow")


def test_tokenizers_that_cannot_be_read(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(CheckpointError, match="holds no tokenizer"):
        t5.tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is no tokenizer"):
        t5.tokenizer(tmp_path)


def test_in_bfloat16_states_are_off_by_half_a_percent(musicgen):
    """What layers add up is float32."""
    folder, model = musicgen("mono")
    state = {name: tensor for name, tensor in model.text_encoder.state_dict().items() if "embed_tokens" not in name}
    config = model.config.text_encoder.to_dict()
    exact, narrow = (t5.from_tensors(config, state, folder, CPU, dtype) for dtype in (torch.float32, torch.bfloat16))
    for text in ("slow church organ chorale in the night", "rain"):
        (states, _), (given, _) = exact.encode(text), narrow.encode(text)
        assert given.dtype == torch.float32
        assert 1e-4 < float((given - states).norm() / states.norm()) < 8e-3
    dtypes = {name: weight.dtype for name, weight in narrow.prepare()[0].named_parameters()}
    assert {name for name, dtype in dtypes.items() if dtype == torch.float32} == {
        f"encoder.block.{layer}.layer.1.DenseReluDense.wo.weight" for layer in range(2)
    }
    tables = [narrow.prepare()[0].shared.weight, narrow.prepare()[0].encoder.embed_tokens.weight]
    assert tables[0].data_ptr() == tables[1].data_ptr() and tables[0].dtype == torch.bfloat16
