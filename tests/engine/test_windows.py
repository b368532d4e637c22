import pytest

from clavilux.windows import Windows, hop_of, overlapping


@pytest.mark.parametrize(
    ("context", "stride", "keep"),
    [(8, 3, 0), (8, 8, 0), (8, 1, 0), (8, 5, 3), (8, 3, 2), (1, 1, 0), (2, 1, 1)],
)
def test_windows_are_the_plan_of_a_full_window_moving_on(context, stride, keep):
    windows = Windows(context, stride, keep)
    dropped = 0
    for total in range(1, 60):
        if total - dropped > context:  # full: move on
            dropped += stride
        assert windows.dropped(total) == dropped
        assert keep < total - dropped <= context or total <= keep


@pytest.mark.parametrize(("context", "stride", "keep"), [(8, 3, 0), (8, 8, 0), (8, 1, 2), (8, 5, 3)])
def test_spans_cover_every_token_once(context, stride, keep):
    windows = Windows(context, stride, keep)
    for total in (0, 1, 7, 8, 9, 40):
        spans = windows.spans(total)
        new = [token for _, first, end in spans for token in range(first, end)]
        assert new == list(range(total))
        for dropped, first, end in spans:
            assert dropped == windows.dropped(first + 1) == windows.dropped(end)
            assert end - dropped <= context


def test_spans_of_a_long_song():
    assert Windows(1500, 900).spans(3000) == [(0, 0, 1500), (900, 1500, 2400), (1800, 2400, 3000)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((8, 0), "stride is 0"),
        ((8, 9), "stride is 9"),
        ((8, 6, 3), "from 1 to 5"),
        ((0, 1), "context and keep are 0"),
        ((4, 1, 4), "more context"),
        ((4, 1, -1), "keep should be at least 0"),
        ((4.0, 1), "context is 4.0"),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        Windows(*values)


def test_overlapping_windows_cover_everything_and_end_at_the_end():
    assert overlapping(5, 8, 3) == [(0, 5)]
    assert overlapping(8, 8, 3) == [(0, 8)]
    assert overlapping(15, 8, 3) == [(0, 8), (3, 11), (6, 14), (7, 15)]
    assert overlapping(14, 8, 3) == [(0, 8), (3, 11), (6, 14)]


def test_a_hop_is_a_whole_multiple():
    assert hop_of(0.5, 8192) == 4096 and hop_of(1, 48) == 48
    assert hop_of(0.4, 48, 4) == 16 and hop_of(0.001, 48, 4) == 4
    for wrong in (0, 1.01, -1, float("nan"), True, "half"):
        with pytest.raises(ValueError, match="the hop is .*; it should be a fraction of the window, above 0 up to 1"):
            hop_of(wrong, 48)
