import random

import pytest
import torch

from clavilux.layout import OPEN, Delay, Flattened, FrameReader, parallel


def random_layouts():
    source = random.Random(0)
    layouts = [parallel(1, 5), parallel(4, 8), Flattened(1, 3), Delay(4, 16, (0, 1, 2, 3), 16)]
    for _ in range(12):
        codebooks, vocabulary = source.randint(1, 9), source.randint(1, 40)
        delays = tuple(source.randint(0, 6) for _ in range(codebooks))
        layouts.append(Delay(codebooks, vocabulary, delays, source.choice([vocabulary, vocabulary + 7])))
        layouts.append(Flattened(codebooks, vocabulary))
    return layouts


def random_frames(layout, length, batch=2):
    return torch.randint(layout.vocabulary, (batch, layout.codebooks, length))


@pytest.mark.parametrize("layout", random_layouts(), ids=str)
@pytest.mark.parametrize("length", [0, 1, 2, 5, 13])
def test_restore_is_the_inverse_of_arrange(layout, length):
    torch.manual_seed(length)
    frames = random_frames(layout, length)
    steps = layout.arrange(frames)
    assert steps.shape == (2, layout.streams, layout.num_steps(length))
    assert (steps != OPEN).all()
    assert torch.equal(layout.restore(steps), frames)
    assert layout.num_frames(layout.num_steps(length)) == length


@pytest.mark.parametrize("layout", random_layouts(), ids=str)
def test_streaming_gives_every_frame_as_soon_as_it_is_complete(layout):
    torch.manual_seed(1)
    source = random.Random(2)
    frames = random_frames(layout, 11)
    steps = layout.arrange(frames)
    reader, given, at = FrameReader(layout), [], 0
    while at < steps.shape[2]:
        size = source.choice([0, 1, 1, 2, 5])
        given.append(reader.push(steps[:, :, at : at + size]))
        at = min(at + size, steps.shape[2])
        assert sum(part.shape[2] for part in given) == layout.num_frames(at)
    assert torch.equal(torch.cat(given, 2), frames)


@pytest.mark.parametrize("layout", random_layouts(), ids=str)
def test_what_is_not_given_is_open(layout):
    torch.manual_seed(1)
    frames = random_frames(layout, 7)
    whole, part = layout.arrange(frames), layout.arrange(frames[:, :, :3], num_frames=7)
    assert part.shape == whole.shape
    assert torch.equal(torch.where(part == OPEN, whole, part), whole)
    assert int((part == OPEN).sum()) == 2 * layout.codebooks * 4


def test_delay_as_musicgen_has_it():
    steps = Delay(3, 10, (0, 1, 2), 10).arrange(torch.tensor([[[1, 2], [3, 4], [5, 6]]]))
    assert steps.tolist() == [[[1, 2, 10, 10], [10, 3, 4, 10], [10, 10, 5, 6]]]


def test_flattened_gives_each_codebook_its_own_ids():
    layout = Flattened(2, 10)
    assert layout.arrange(torch.tensor([[[1, 2], [3, 4]]])).tolist() == [[[1, 13, 2, 14]]]
    assert layout.allowed(0, 20).sum() == 10 and layout.allowed(0, 20)[0, :10].all()
    assert layout.allowed(3, 21)[0, 10:20].all() and layout.allowed(3, 21).sum() == 10


def test_delay_allows_the_codecs_ids_only():
    assert parallel(2, 10).allowed(0, 10) is None
    assert Delay(2, 10, (0, 1), 10).allowed(0, 11).tolist() == [[True] * 10 + [False]] * 2


def test_special_ids_never_leave():
    layout = Delay(2, 10, (0, 1), 10)
    for bad in (10, OPEN, 99):
        steps = layout.arrange(torch.zeros(1, 2, 4, dtype=torch.int64))
        steps[0, 1, 2] = bad
        with pytest.raises(ValueError, match=f"the id {bad}"):
            layout.restore(steps)
    with pytest.raises(ValueError, match="the codec's are 0 to 9"):
        Flattened(2, 10).restore(torch.tensor([[[3, 3]]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: parallel(0, 5), "codebooks is 0"),
        (lambda: Flattened(2, 0), "vocabulary is 0"),
        (lambda: Delay(2, 5, (0,), 5), "delays are"),
        (lambda: Delay(2, 5, (0, -1), 5), "delays are"),
        (lambda: Delay(2, 5, (0, 1)), "special is None"),
        (lambda: Delay(2, 5, (0, 1), 4), "special is 4"),
        (lambda: parallel(2, 5).arrange(torch.zeros(1, 3, 4, dtype=torch.int64)), "frames are"),
        (lambda: parallel(2, 5).arrange(torch.full((1, 2, 4), 5)), "the id 5"),
        (lambda: parallel(2, 5).arrange(torch.zeros(1, 2, 4, dtype=torch.int64), 3), "num_frames is 3"),
        (lambda: parallel(2, 5).restore(torch.zeros(1, 1, 4, dtype=torch.int64)), "steps are"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_window_begins_as_the_sequence_did():
    layout = Delay(3, 5, (0, 1, 3), special=5)
    steps = torch.arange(2 * 3 * 6).reshape(2, 3, 6) % 5
    begun = layout.start_window(steps)
    whole = layout.arrange(torch.zeros(2, 3, 6, dtype=torch.int64))[:, :, :6]
    assert torch.equal(begun == 5, whole == 5)
    assert torch.equal(begun[whole != 5], steps[whole != 5])
    assert torch.equal(parallel(3, 5).start_window(steps), steps)
    assert Flattened(3, 5).start_window(steps) is steps


@pytest.mark.parametrize("layout", [parallel(2, 5), Delay(3, 16, (0, 1, 2), 16), Flattened(3, 7)], ids=str)
def test_single_tokens_of_the_frames_may_be_open(layout):
    torch.manual_seed(3)
    frames = random_frames(layout, 4)
    holes = torch.rand(frames.shape) < 0.5
    steps = layout.arrange(frames.masked_fill(holes, OPEN))
    assert (steps == OPEN).sum() == holes.sum()
    assert torch.equal(torch.where(steps == OPEN, layout.arrange(frames), steps), layout.arrange(frames))


@pytest.mark.parametrize("layout", [Delay(2, 5, (0, 2), special=5), Flattened(2, 5), parallel(2, 5)])
def test_logits_of_steps_are_those_of_the_codecs_ids(layout):
    """A table that is 1 at the id of each step's token is 1 at each frame's, whatever the layout."""
    frames = torch.randint(0, 5, (3, 2, 7), generator=torch.Generator().manual_seed(0))
    steps = layout.arrange(frames)
    table = torch.nn.functional.one_hot(steps, 10 if isinstance(layout, Flattened) else 6)
    assert torch.equal(layout.restore_logits(table), torch.nn.functional.one_hot(frames, 5))
    assert torch.equal(layout.restore_values(table).shape[:3] == frames.shape and frames, frames)
