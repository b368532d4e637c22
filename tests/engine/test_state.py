import pytest
import torch

from clavilux.conditioning import Conditioning
from clavilux.state import DecodeState


def make(prefix=0):
    conditioning = Conditioning(prefix=torch.zeros(2, prefix, 8)) if prefix else Conditioning()
    return DecodeState(3, 2, 4, 10, 5, conditioning=conditioning, dtype=torch.float32, device=torch.device("cpu"))


def test_cache_is_one_block_a_layer():
    state = make()
    assert len(state.k) == len(state.v) == 3
    assert all(part.shape == (2, 4, 10, 5) and part.is_contiguous() for part in state.k + state.v)
    assert len({part.untyped_storage().data_ptr() for part in state.k + state.v}) == 1


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
