"""The measures of variety, positions and colors, on pictures of which the answer is known."""

import numpy as np
import pytest
from benchmark_scripts import imported


@pytest.fixture(scope="module")
def script():
    return imported("painter_variety")


def drawn(**boxes):
    """White, with a square of 16 pixels at the column and row of each color."""
    pixels = np.full((64, 64, 3), 255, np.uint8)
    inks = {"red": (230, 20, 20), "blue": (20, 60, 230)}
    for color, (x, y) in boxes.items():
        pixels[y : y + 16, x : x + 16] = inks[color]
    return pixels


def test_pictures_that_are_the_same_have_no_variety(script):
    one = np.stack([drawn(red=(0, 0)), drawn(blue=(40, 40))]).reshape(2, 1, -1)
    features = np.array([[[1.0, 0.0]], [[-1.0, 0.0]]])
    found = script.variety(one.repeat(3, 1), features.repeat(3, 1))
    assert found["levels"] == found["features"] == 0 and found["same"] == 1
    assert found["other_levels"] > 50 and found["other_features"] == 2


def test_variety_is_the_root_mean_square_of_what_differs(script):
    pixels = np.zeros((2, 3, 4))
    pixels[:, 2] = 40
    features = np.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]] * 2)
    found = script.variety(pixels, features)
    assert found["levels"] == pytest.approx(40 * 2 / 3, abs=1e-3) and found["same"] == pytest.approx(1 / 3, abs=1e-3)
    assert found["features"] == pytest.approx(2 / 3, abs=1e-3)


def test_two_pictures_are_the_same_up_to_25_db(script):
    for levels, same in ((14.0, 1), (14.7, 0)):  # 25 dB of 255 levels are 14.34
        assert script.variety(np.array([[[0.0], [levels]]] * 2), np.ones((2, 2, 1)))["same"] == same


@pytest.mark.parametrize(("at", "sides"), [((4, 24), {"left"}), ((44, 40), {"right", "bottom"}), ((24, 24), set())])
def test_a_side_has_three_quarters_of_the_ink(script, at, sides):
    assert {side for side in script.SIDES if script.at_side(drawn(red=at), side)} == sides
    assert not any(script.at_side(drawn(), side) for side in script.SIDES)


def test_a_relation_is_told_by_the_ink_of_two_colors(script):
    pixels = drawn(red=(0, 40), blue=(40, 20))
    obeyed = {name for name in script.RELATIONS if script.related(pixels, "red", "blue", name)[1]}
    assert obeyed == {"left of", "under"}
    turned = {name for name in script.RELATIONS if script.related(pixels, "blue", "red", name)[1]}
    assert turned == {"right of", "above", "on"}
    assert script.related(drawn(red=(0, 0)), "red", "blue", "above") == (False, False)
    assert script.related(drawn(red=(20, 20), blue=(24, 36)), "red", "blue", "left of") == (True, False)
