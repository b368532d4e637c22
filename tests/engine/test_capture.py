"""What is captured for a shape, what is remembered, and that nobody's numbers are written over."""

import copy

import pytest
import torch
from rerun import captured_here
from torch import nn

from clavilux.capture import Captured

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def doubled(fixed, tensors):
    """Times two, plus `fixed`; and the last one as it is."""
    return [2 * tensors[0] + fixed, tensors[-1]], tensors[0].shape


def call(captured, *tensors, fixed=0):
    return captured(doubled, fixed, [torch.as_tensor(each) for each in tensors])


def test_a_cpu_captures_nothing():
    captured = Captured()
    for _ in range(3):
        (out, _), shape = call(captured, [1.0, 2.0])
        assert out.tolist() == [2, 4] and shape == (2,)
    assert captured.num_graphs == 0


def test_a_shape_is_captured_when_it_comes_again(monkeypatch):
    counted, captured = captured_here(monkeypatch), Captured()
    call(captured, [1.0, 2.0])
    assert captured.num_graphs == 0
    for number in range(3):
        (out, same), shape = call(captured, [float(number), 1.0], [7])
        assert (out.tolist(), same.tolist(), shape) == ([2 * number, 2], [7], (2,))
    assert captured.num_graphs == 1 and counted.replays == 2
    assert call(captured, [1.0, 2.0], fixed=3)[0][0].tolist() == [5, 7]  # another one
    assert call(captured, torch.tensor([1, 2]))[0][0].tolist() == [2, 4]
    assert captured.num_graphs == 1


def test_what_it_gave_is_not_written_over(monkeypatch):
    captured_here(monkeypatch)
    captured = Captured()
    given = [call(captured, [float(number)], [number])[0] for number in range(4)]
    assert [(out.item(), same.item()) for out, same in given] == [(0, 0), (2, 1), (4, 2), (6, 3)]


@pytest.mark.parametrize("first", [True, False])
def test_inference_mode_may_come_and_go(monkeypatch, first):
    captured_here(monkeypatch)
    captured = Captured()
    for mode in (first, first, not first, first):
        with torch.inference_mode(mode):
            [(out, _), _] = call(captured, [1.0])
            assert out.item() == 2 and not out.requires_grad


def test_shapes_without_numbers(monkeypatch):
    captured_here(monkeypatch)
    captured = Captured()
    for _ in range(3):
        (out, same), _ = call(captured, torch.empty(2, 0), [1.0])
        assert out.shape == (2, 0) and same.tolist() == [1]


def test_the_least_used_is_let_go_of(monkeypatch):
    captured_here(monkeypatch)
    captured = Captured(most=2)
    for size in (1, 1, 2, 2, 1):
        call(captured, torch.ones(size))
    assert captured.num_graphs == 2
    call(captured, torch.ones(3))
    assert captured.num_graphs == 1
    call(captured, torch.ones(1))
    assert captured.num_graphs == 1  # the one of size 1 stayed
    call(captured, torch.ones(2))
    assert captured.num_graphs == 1  # seen for the first time again


def test_graphs_do_not_outlive_the_weights_that_they_read(monkeypatch):
    captured_here(monkeypatch)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.captured = nn.Parameter(torch.tensor(3.0)), Captured()

        def forward(self, x):
            return self.captured(lambda fixed, tensors: ([self.weight * tensors[0]], None), (), [x])[0][0]

    module = Scaled().requires_grad_(False)
    for _ in range(2):
        assert module(torch.ones(1)).item() == 3
    assert module.captured.num_graphs == 1 and list(module.state_dict()) == ["weight"]
    copied = copy.deepcopy(module)
    assert copied.captured.num_graphs == 0 and copied(torch.ones(1)).item() == 3
    assert module.double().captured.num_graphs == 0
    assert module(torch.ones(1)).item() == 3


@pytest.mark.skipif(DEVICE == "cpu", reason="no GPU to capture on")
def test_a_graph_gives_what_was_captured():
    captured, weight = Captured(), torch.randn(64, 64, device=DEVICE)

    def product(fixed, tensors):
        return [weight @ (weight @ tensors[0]).relu()], None

    for _ in range(4):
        x = torch.randn(64, 8, device=DEVICE)
        [out], _ = captured(product, (), [x])
        torch.testing.assert_close(out, product((), [x])[0][0], rtol=0, atol=0)
    assert captured.num_graphs == 1
