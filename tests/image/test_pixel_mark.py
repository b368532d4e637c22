"""The mark in pixels: at most three levels, fewer where nothing masks them, none where it should not be; its search."""

import numpy as np
import pytest
import torch
from drawings import drawing

from clavilux.image.picture import Picture
from clavilux.image.pixel_mark import BLOCK, PERIOD, SIDE, marked, pattern_of
from clavilux.image.pixel_mark_search import brought_back, folds_of

WORD = 0x1234_5678_9ABC_DEF0
SIZES, FEWEST = (32, 64, 256), 128


def found(pixels, word=WORD, tiles=()):
    """(at a corner, anywhere), in standard deviations."""
    best = folds_of(pixels, SIZES, FEWEST, tiles).correlations(pattern_of(word).numpy())
    return tuple(correlation for correlation, _ in best)


def numbers(picture):
    return marked(picture.pixels, WORD).numpy()


def test_patterns_are_fair_signs_that_stay_as_they_are():
    pattern = pattern_of(WORD)
    assert pattern.shape == (SIDE, SIDE) and set(pattern.unique().tolist()) == {-1, 1}
    assert abs(pattern.float().mean()) < 0.1 > abs((pattern * pattern_of(-WORD)).float().mean())
    assert pattern[0, :12].tolist() == [1, 1, -1, 1, 1, 1, -1, 1, -1, -1, 1, -1]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 3), (97, 130), (32, 32)])
def test_blocks_are_lighter_or_darker_by_one_to_three_levels(height, width):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(3, 253, (height, width, 3), dtype=np.uint8))
    change = marked(pixels, WORD).int() - pixels.int()
    rows, columns = (torch.arange(length) % PERIOD // BLOCK for length in (height, width))
    assert torch.equal(change.sign(), pattern_of(WORD)[rows][:, columns, None].int().expand_as(change))
    assert change.abs().max() <= 3


def test_what_is_plain_is_changed_by_one_level_and_white_and_black_on_both_sides():
    for level, mean in ((0, 1), (128, 128), (255, 254)):
        plain = marked(torch.full((64, 64, 3), level, dtype=torch.uint8), WORD).int()
        assert plain.unique().tolist() == [mean - 1, mean + 1]
    edge = torch.zeros(64, 64, 3, dtype=torch.uint8)
    edge[:, 32:] = 200
    change = (marked(edge, WORD).int() - edge.int()).abs()[:, :, 0]
    assert change[:, 36:].unique().tolist() == [1] and change[:, 32:34].unique().tolist() == [3]


def test_only_where_it_should_be():
    pixels, where = drawing(1).pixels.clamp(3, 252), torch.zeros(64, 64, dtype=torch.bool)
    where[10:50, 20:] = True
    change = marked(pixels, WORD, where) != pixels
    assert change[where].any(1).all() and not change[~where].any()
    assert torch.equal(marked(pixels, WORD, torch.ones_like(where)), marked(pixels, WORD))


def test_the_same_pixels_on_every_processor():
    rows = torch.arange(96)[:, None] * torch.arange(80) * torch.arange(1, 4)[:, None, None] % 251
    pixels = marked(rows.permute(1, 2, 0).to(torch.uint8), WORD)
    assert int((pixels.long() * torch.arange(pixels.numel()).view(pixels.shape)).sum()) == 32625269413


@pytest.mark.parametrize("cut", [(0, 0), (1, 0), (13, 6), (20, 31)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_the_search_finds_it_enlarged_and_cut_anywhere(cut, scale):
    whole = Picture(numbers(drawing(2))).resized(64 * scale, 64 * scale).pixels.numpy()
    part = whole[cut[0] :, cut[1] :]
    corner, anywhere = found(part)
    assert anywhere > 8 and (cut != (0, 0) or corner > 10)
    assert max(found(part, word)[1] for word in range(5)) < 6


@pytest.mark.parametrize("quarters", range(4))
def test_the_search_finds_it_turned_and_mirrored(quarters):
    turned = np.rot90(numbers(drawing(3)), quarters)
    assert found(turned)[1] > 10 and found(turned[:, ::-1])[1] > 10


def test_other_sizes_and_larger_pictures():
    small, large = drawing(3), drawing(4, 256, 256)
    for size in (40, 100, 147):
        assert found(Picture(numbers(small)).resized(size, size).pixels.numpy())[0] > 6
    assert found(numbers(large))[0] > 15 and found(numbers(large)[70:150, 91:180])[1] > 10


def test_tiles_of_a_sheet_count_together():
    noise = np.random.default_rng(0).integers(-20, 21, (4, 64, 64, 1))
    tiles = [(numbers(drawing(seed)) + noise[seed]).clip(0, 255).astype(np.uint8) for seed in range(4)]
    alone = [found(tile)[0] for tile in tiles]
    assert found(np.full((300, 300, 3), 255, np.uint8), tiles=tiles)[0] > 1.5 * max(alone)


def test_ways_back_are_whole_ones_and_those_of_known_sizes():
    sizes = [each.shape[:2] for each in brought_back(np.zeros((100, 100, 3), np.uint8), SIZES)]
    assert sizes == [(100, 100), (50, 50), (33, 33), (25, 25), (20, 20), (16, 16), (32, 32), (64, 64)]
    sizes = [each.shape[:2] for each in brought_back(np.zeros((1200, 40, 3), np.uint8), SIZES)]
    assert sizes == [(512, 40), (512, 20)]


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (5, 300)])
def test_what_is_plain_holds_no_blocks_and_correlates_with_nothing(shape):
    folds = folds_of(np.full((*shape, 3), 255, np.uint8), SIZES, FEWEST)
    assert folds.blocks == (0,) and found(np.full((*shape, 3), 255, np.uint8)) == (0, 0)
