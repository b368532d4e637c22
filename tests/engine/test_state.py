import pytest
import torch
from tiny_decoders import drawing_decoder
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from clavilux.conditioning import Conditioning
from clavilux.spec import DecoderSpec
from clavilux.state import DecodeState, rounded_up

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


class Made(TorchDispatchMode):
    """The most numbers that any operation within it makes anew."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        read = {part.untyped_storage().data_ptr() for part in tree_leaves(args) if isinstance(part, torch.Tensor)}
        for part in tree_leaves(result):
            if isinstance(part, torch.Tensor) and part.untyped_storage().data_ptr() not in read:
                self.most = max(self.most, part.numel())
        return result


@pytest.mark.parametrize("spans", [None, ["column", "full"]], ids=str)
@pytest.mark.parametrize("pieces", [(20,), (12, 8)], ids=str)
def test_a_prefill_copies_no_cache(spans, pieces):
    """What is read lies in the cache already, and the room behind it is no one's concern."""
    words = {} if spans is None else {"spans": spans, "block": 16}
    decoder = drawing_decoder(max_positions=2048, **words)
    state, made = decoder.new_state(2), Made()
    tokens = torch.randint(13, (2, 1, 20), generator=torch.Generator().manual_seed(1))
    with made:
        for part in tokens.split(pieces, 2):
            decoder.prefill(part, state)
    assert 2 * 20 * 24 <= made.most < 4096 < min(part.numel() for part in state.k)  # the widest activation, no more


def test_room_is_rounded_up_to_a_few_sizes():
    sizes = [rounded_up(positions) for positions in range(1, 8193)]
    assert all(positions <= size <= max(64, 1.25 * positions) for positions, size in enumerate(sizes, 1))
    assert sizes == sorted(sizes) and len(set(sizes)) == 29
    assert sorted(set(sizes))[:7] == [64, 80, 96, 112, 128, 160, 192]
    assert rounded_up(1000, 1010) == 1010 and rounded_up(70, 200) == 80 and rounded_up(40, 48) == 48
