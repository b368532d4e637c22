"""Small steps on one thread: what other threads of the process, and those that come later, begin with."""

import threading

import pytest
import torch

from clavilux.decoder import Decoder, DecoderSpec
from clavilux.loop import single_threaded_if_small
from clavilux.threads import one_thread

WORKERS = 6


@pytest.fixture(autouse=True)
def two_threads():
    """The suite itself runs on one, where there would be nothing to lose."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


def in_a_new_thread(work):
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_inside_there_is_one_thread_and_afterwards_as_many_as_before():
    with one_thread():
        assert torch.get_num_threads() == 1
        assert in_a_new_thread(torch.get_num_threads) == 2
    assert torch.get_num_threads() == 2


def test_an_error_inside_gives_the_threads_back():
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 2


def test_generations_that_overlap_leave_every_thread_as_it_was():
    """A barrier holds all workers inside a step at once, and lets them out in the worst order."""
    decoder = Decoder(
        DecoderSpec(width=16, layers=1, heads=2, head_dim=8, ffn_width=24, vocabulary=13, max_positions=40)
    )
    barrier, inside, after = threading.Barrier(WORKERS), [], []

    def steps():
        for _ in range(3):
            barrier.wait(timeout=60)
            inside.append(torch.get_num_threads())
            yield torch.zeros(1, 1, dtype=torch.int64)
            barrier.wait(timeout=60)

    def work():
        for _ in single_threaded_if_small(steps(), decoder):
            pass
        after.append(torch.get_num_threads())

    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert inside == [1] * 3 * WORKERS
    assert after == [2] * WORKERS
    assert torch.get_num_threads() == 2
    assert in_a_new_thread(torch.get_num_threads) == 2
