"""How a song was made: the bits of distributions that are known, and the names of what was likely."""

from types import SimpleNamespace

import pytest
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.remi import score_tokens
from clavilux.teaching.lesson import Row, Table, Text
from clavilux.teaching.model_part import entropy_bits, model_section

NAMES = score_tokens().names
PITCHES = [NAMES.index(f"Pitch_{pitch}") for pitch in (60, 62, 64, 65)]


class Model:
    """Two of four pitches are likely, the others never come; with guidance the first is always drawn."""

    def __init__(self, vocabulary):
        self.drawn = []
        self.family = SimpleNamespace(stage=SimpleNamespace(layout=SimpleNamespace(vocabulary=vocabulary)))

    def logits(self, tokens, *, prompt, seconds, seed, guidance):
        self.asked = (prompt, seconds, seed)
        logits = torch.full((1, tokens.shape[1], len(NAMES)), -torch.inf)
        logits[:, :, PITCHES[:2]] = torch.tensor([0.75, 0.25] if guidance == 1 else [1.0, 0.0]).log()
        return logits

    def generate(self, prompt, *, seconds, seed, temperature, guidance):
        assert (prompt, seconds, seed) == self.asked
        self.drawn.append((temperature, guidance))
        return Audio(torch.zeros(1, 8000), 8000)


def clip():
    return Audio(
        torch.zeros(1, 8000),
        8000,
        tokens=torch.tensor([PITCHES * 10]),
        receipt={"seed": 7, "settings": {"temperature": 0.9, "guidance": 1.0}},
    )


def test_bits_of_known_distributions():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, -torch.inf, -torch.inf], [0.0, *[-torch.inf] * 3]])
    assert entropy_bits(logits).tolist() == pytest.approx([2.0, 1.0, 0.0])


def test_ten_places_with_what_was_drawn_and_what_was_likely():
    model = Model(len(NAMES))
    section = model_section(model, clip(), "a waltz", 20.0)
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert len(table.rows) == 10 and model.asked == ("a waltz", 20.0, 7)
    number, drawn, bits, likely, *shares = table.rows[0]
    assert (number, drawn, bits) == ("1", "Pitch_60", "0.8")
    assert likely.startswith("Pitch_60 75%, Pitch_62 25%")
    assert shares == ["90%", "75%", "68%", "100%"]
    words = " ".join(block.words for block in section.blocks if isinstance(block, Text))
    assert "0.8 bits; 0.5 at temperature 0.5, 0.9 at 1.5" in words and "at guidance 3 it is 0.0 bits" in words
    assert "at temperature 0.9 and guidance 1;" in words


def test_what_was_drawn_otherwise_is_heard():
    model = Model(len(NAMES))
    (row,) = (block for block in model_section(model, clip(), "a waltz", 20.0).blocks if isinstance(block, Row))
    assert [block.name for block in row.blocks] == ["temperature 0.5", "temperature 1.5", "guidance 3"]
    assert model.drawn == [(0.5, None), (1.5, None), (None, 3.0)]


def test_a_model_of_other_tokens_has_no_such_section():
    assert model_section(Model(2048), clip(), "a waltz", 20.0) is None
