import pytest
import torch

from clavilux.conditioning import Conditioning
from clavilux.spec import DecoderSpec
from clavilux.state import DecodeState

WORDS = {"width": 8, "layers": 3, "heads": 4, "head_dim": 5, "ffn_width": 8, "vocabulary": 7, "max_positions": 32}
CPU = torch.device("cpu")


def make(prefix=0, capacity=10, **words):
    conditioning = Conditioning(prefix=torch.zeros(2, prefix, 8)) if prefix else Conditioning()
    spec = DecoderSpec(**WORDS, **words)
    return DecodeState(spec, 2, capacity, conditioning=conditioning, dtype=torch.float32, device=CPU)


def test_cache_is_one_block_a_layer():
    state = make()
    assert len(state.k) == len(state.v) == 3
    assert all(part.shape == (2, 4, 10, 5) and part.is_contiguous() for part in state.k + state.v)
    assert len({part.untyped_storage().data_ptr() for part in state.k + state.v}) == 1
    assert state.cache_bytes == 4 * 2 * 3 * 2 * 4 * 10 * 5


def test_a_layer_caches_what_its_span_can_still_read():
    state = make(capacity=30, spans=("row", "column", "previous_row"), block=4)
    assert [part.shape[2] for part in state.k] == [4, 32, 8]
    state = make(capacity=30, spans=("prefix", "full", "none"), prefix_span=6, cross_attention=(2,))
    assert [part.shape[2] for part in state.v] == [6, 30, 0]
    assert all(part.data_ptr() % 256 == state.k[0].data_ptr() % 256 for part in state.k[:2] + state.v[:2])


def test_rewind_stops_where_rows_are_overwritten():
    state = make(capacity=30, spans=("row", "full", "full"), block=4)
    state.position = 11
    assert [position for position in range(12) if state.holds(position)] == [0, 8, 9, 10, 11]
    with pytest.raises(ValueError, match="position is 7; it should be 0, or from 8"):
        state.rewind(7)
    state.position = 12  # the third block is full, and still there
    assert state.holds(8) and not state.holds(7)
    make(capacity=30, spans=("column", "prefix", "full"), block=4).rewind(0)


def test_position_counts_the_prefix_and_num_tokens_does_not():
    state = make(prefix=3)
    assert state.num_tokens == 0
    state.position = 7
    assert state.num_tokens == 4


def test_rewind_keeps_the_prefix_whole():
    state = make(prefix=3)
    state.position = 7
    for bad in (8, -1, 2):
        with pytest.raises(ValueError, match=f"position is {bad}"):
            state.rewind(bad)
    state.rewind(3)
    assert (state.position, state.num_tokens) == (3, 0)
    state.rewind(0)
    assert state.position == 0
