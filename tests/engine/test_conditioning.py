import pytest
import torch

from clavilux.conditioning import Conditioning


def test_rows_and_prefix_length():
    assert Conditioning().rows is None
    assert Conditioning().num_prefix == 0
    conditioning = Conditioning(prefix=torch.zeros(3, 2, 4), additive=torch.zeros(3, 9, 4))
    assert (conditioning.rows, conditioning.num_prefix) == (3, 2)


def test_stack_puts_blocks_under_each_other():
    one = Conditioning(torch.full((2, 1, 4), 1.0), torch.full((2, 3, 4), 1.0), None, torch.full((2, 5, 4), 1.0))
    two = Conditioning(torch.full((2, 1, 4), 2.0), torch.full((2, 6, 4), 2.0), None, torch.full((2, 5, 4), 2.0))
    both = Conditioning.stack([one, two])
    assert both.prefix[:, 0, 0].tolist() == [1, 1, 2, 2]
    assert both.memory.shape == (4, 6, 4)
    assert both.memory_mask.sum(1).tolist() == [3, 3, 6, 6]
    assert both.additive[:, 0, 0].tolist() == [1, 1, 2, 2]


def test_stack_with_an_empty_part():
    one = Conditioning(memory=torch.ones(2, 3, 4), additive=torch.ones(2, 5, 4))
    both = Conditioning.stack([one, Conditioning()])
    assert both.memory_mask.sum(1).tolist() == [3, 3, 0, 0]
    assert both.additive[:, 0, 0].tolist() == [1, 1, 0, 0]
    assert Conditioning.stack([Conditioning(), Conditioning()]).rows is None


def test_stack_needs_prefixes_everywhere():
    with pytest.raises(ValueError, match="only some"):
        Conditioning.stack([Conditioning(prefix=torch.zeros(1, 2, 4)), Conditioning()])


def test_window_moves_the_additive_only():
    conditioning = Conditioning(torch.zeros(1, 2, 1), additive=torch.arange(10.0).view(1, 10, 1))
    assert conditioning.window(2, 6).additive.flatten().tolist() == [0, 1, 6, 7, 8, 9]
    assert conditioning.window(0, 6).additive.flatten().tolist() == [6, 7, 8, 9]
    assert conditioning.window(2, 2) is conditioning


def test_later_windows_have_their_own_prefixes():
    first, second, third = (torch.full((1, 2, 1), float(n)) for n in range(3))
    conditioning = Conditioning(first, window_prefixes=(second, third))
    assert [int(conditioning.window(0, 0, index).prefix[0, 0]) for index in range(5)] == [0, 1, 2, 2, 2]
    both = Conditioning.stack([Conditioning(third), conditioning])
    assert [later[:, 0, 0].tolist() for later in both.window_prefixes] == [[2, 1], [2, 2]]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"prefix": torch.zeros(1, 3, 4), "window_prefixes": (torch.zeros(1, 2, 4),)}, "window_prefixes"),
        ({"window_prefixes": (torch.zeros(1, 2, 4),)}, "window_prefixes"),
        ({"prefix": torch.zeros(2, 3)}, "prefix is"),
        ({"prefix": torch.zeros(2, 3, 4), "additive": torch.zeros(1, 3, 4)}, r"\[1, 2\] rows"),
        ({"memory_mask": torch.ones(2, 3, dtype=torch.bool)}, "memory_mask is"),
        (
            {"memory": torch.zeros(2, 3, 4), "memory_mask": torch.ones(2, 2, dtype=torch.bool)},
            "memory_mask is",
        ),
        ({"memory": torch.zeros(2, 3, 4), "memory_mask": torch.ones(2, 3)}, "should be bool"),
    ],
)
def test_what_does_not_fit_is_named(parts, message):
    with pytest.raises(ValueError, match=message):
        Conditioning(**parts)


def test_some_rows_of_every_part():
    given = Conditioning(
        torch.randn(4, 3, 8), torch.randn(4, 5, 8), torch.rand(4, 5) > 0.5, torch.randn(4, 6, 8),
        (torch.randn(4, 3, 8),), torch.tensor([0, 1, 2, 0]), torch.randn(4, 9, 8),
    )  # fmt: skip
    taken = given.take_rows([2, 0])
    for name in ("prefix", "memory", "memory_mask", "additive", "pad_lengths", "output_additive"):
        assert torch.equal(getattr(taken, name), getattr(given, name)[[2, 0]])
    assert torch.equal(taken.window_prefixes[0], given.window_prefixes[0][[2, 0]])
    assert Conditioning().take_rows([1]).rows is None
