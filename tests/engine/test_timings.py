"""Where a render's seconds go: each part for itself, nothing twice, and on a GPU by events."""

from itertools import pairwise

import pytest
import torch

import clavilux
from clavilux import timings
from clavilux.timings import Timings, part

GPU = torch.device("cuda")


class Clock:
    """Stands in for `time` and for a GPU whose events are done when `done` is."""

    def __init__(self):
        self.now, self.done, self.on_gpu = 0.0, True, 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self, stream):
            self.at = found.on_gpu

        def query(self):
            return found.done

        def elapsed_time(self, end):
            return 1e3 * (end.at - self.at)

    monkeypatch.setattr(timings, "time", found)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: device)
    return found


def test_a_part_within_another_counts_for_itself(clock):
    one = Timings()

    def steps():
        for _ in range(2):
            clock.now += 1
            with part("prefill"):
                clock.now += 0.25
            clock.now += 1
            yield 7

    with one.part("text"):
        clock.now += 0.5
    for step in one.drawn(steps()):
        assert step == 7
        clock.now += 100  # the caller's own
        with one.part("codec"):
            clock.now += 3
    assert one.seconds() == {"text_s": 0.5, "prefill_s": 0.5, "steps_s": 4, "codec_s": 6}
    with part("codec"):  # of no render
        clock.now += 9
    assert one.seconds()["codec_s"] == 6


def test_an_error_closes_its_part(clock):
    one = Timings()

    def fails():
        clock.now += 1
        raise ValueError("none")

    with pytest.raises(ValueError, match="none"), one.part("load"), one.part("codec"):
        fails()
    clock.now += 5
    with one.part("load"):
        clock.now += 2
    assert one.seconds() == {"text_s": 0, "prefill_s": 0, "steps_s": 0, "codec_s": 1, "load_s": 2}
    with part("codec"):
        clock.now += 1
    assert one.seconds()["codec_s"] == 1


def test_on_a_gpu_waiting_for_steps_is_the_steps_time(clock):
    """The codec's kernels stand behind a chunk of steps: the host waits 2 s in it, of which the codec takes 0.5."""
    one = Timings()
    with one.part("steps"):
        clock.now += 0.25
    with one.part("codec"):
        clock.now += 0.125  # on the host: tokens are put together
        with one.part("codec", GPU):
            clock.now += 2
            clock.on_gpu += 0.5
    assert one.seconds() == {"text_s": 0, "prefill_s": 0, "steps_s": 1.75, "codec_s": 0.625}


def test_what_a_gpu_has_still_to_do_is_not_waited_for(clock):
    one = Timings()
    clock.done = False
    with one.part("prefill", GPU):
        clock.now += 0.25
        clock.on_gpu += 1
    assert one.seconds()["prefill_s"] == 0
    with one.part("steps"):
        clock.now += 4  # in which the prefill is waited for
    clock.done = True
    assert [one.seconds() for _ in range(2)] == [{"text_s": 0, "prefill_s": 1, "steps_s": 3.25, "codec_s": 0}] * 2


def test_streams_say_it_as_they_go():
    model = clavilux.load("aria", device="cpu")
    pieces = list(model.stream("lively irish jig on fiddle", seconds=4, seed=1))
    song = model.generate("lively irish jig on fiddle", seconds=4, seed=1)
    for before, after in pairwise(pieces):
        assert all(before.timings[name] <= after.timings[name] for name in before.timings)
    assert list(song.timings) == ["text_s", "prefill_s", "steps_s", "codec_s"] and min(song.timings.values()) > 0
    assert song.timings["steps_s"] > song.timings["prefill_s"] and "timings" not in song.receipt
    *_, last = model.stream("slow piano", seconds=2, seed=1, batch=1)
    assert last.timings["codec_s"] > 0 and song.slice(0, 1).timings == {}


def test_pictures_say_it(llamagen):
    model = clavilux.load(llamagen / "c2i_T_256.pt", device="cpu")
    both = model.generate(seed=3, class_id=1, size=8, batch=2)
    assert both[0].timings == both[1].timings
    assert min(both[0].timings["steps_s"], both[0].timings["codec_s"], both[0].timings["prefill_s"]) > 0
    shown = list(model.stream(seed=3, class_id=1, size=8))
    assert shown[0].timings["steps_s"] < shown[-1].timings["steps_s"]
