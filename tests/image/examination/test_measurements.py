"""Measurements of pictures whose numbers are known beforehand."""

import numpy as np
import pytest
from PIL import ImageColor

from clavilux.image.examination import copies, measurements, palette, patches, patterns, quality, strokes, wavelets
from clavilux.image.examination.canvas import Canvas, lab_of, scaled


def stripes(side=96, period=8, *, down=False, slanted=False):
    """uint8 [side, side, 3]: black and white sine stripes that run down, across or slanted."""
    rows, columns = np.mgrid[:side, :side]
    place = rows + columns if slanted else rows if down else columns
    return np.repeat((127.5 + 120 * np.sin(2 * np.pi * place / period)).round().astype(np.uint8)[..., None], 3, 2)


def noise(seed=0, side=96, level=30):
    values = 128 + level * np.random.default_rng(seed).standard_normal((side, side, 3))
    return values.clip(0, 255).astype(np.uint8)


def named(group, values):
    return dict(zip(measurements.GROUPS[group].names, values, strict=True))


def test_lab_is_what_tables_say():
    colors = ["white", "black", "red", "blue", "#808080"]
    found = lab_of(np.array([ImageColor.getrgb(each) for each in colors], np.uint8))
    wanted = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [53.59, 0, 0]]
    np.testing.assert_allclose(found, wanted, atol=0.06)


@pytest.mark.parametrize("size", [(40, 400), (64, 64), (300, 200)])
def test_a_canvas_has_the_area_that_is_wanted(size):
    found = scaled(np.zeros((*size, 3), np.uint8), 64)
    assert abs(found.shape[0] * found.shape[1] / 64**2 - 1) < 0.1
    assert abs(found.shape[0] / found.shape[1] / (size[0] / size[1]) - 1) < 0.2


def test_strokes_know_directions():
    across = named("strokes", strokes.measure(Canvas(stripes())))
    down = named("strokes", strokes.measure(Canvas(stripes(down=True))))
    slanted = named("strokes", strokes.measure(Canvas(stripes(slanted=True))))
    rough = named("strokes", strokes.measure(Canvas(noise())))
    assert across["level or plumb, 1 px"] > 0.95 and down["level or plumb, 1 px"] < -0.95
    assert abs(slanted["level or plumb, 1 px"]) < 0.1 and slanted["one direction, 1 px"] > 0.8
    assert rough["variety of directions, 1 px"] > across["variety of directions, 1 px"] + 1
    assert across["coherence, 3 px"] > 0.9 > 0.6 > rough["coherence, 3 px"]


def test_wavelets_know_size_and_tails():
    fine, coarse = (named("wavelets", wavelets.measure(Canvas(stripes(period=period)))) for period in (4, 16))
    assert fine["bend, 1 px: strength"] > coarse["bend, 1 px: strength"] + 2
    few = np.full((96, 96, 3), 200, np.uint8)
    few[40:44, 40:44] = 0  # one mark on quiet ground
    assert (
        named("wavelets", wavelets.measure(Canvas(few)))["slope, 1 px: tail"]
        < named("wavelets", wavelets.measure(Canvas(noise())))["slope, 1 px: tail"] - 1
    )


def test_a_palette_is_counted():
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:32] = ImageColor.getrgb("#ff8000")
    halves[32:] = 255
    found = named("palette", palette.measure(Canvas(halves)))
    assert found["variety of colors"] == pytest.approx(1) and found["variety of hues"] == pytest.approx(0)
    assert found["white"] ** 2 == pytest.approx(0.5) and found["warm share"] ** 2 == pytest.approx(0.5)


def test_a_weave_is_a_peak_of_the_spectrum():
    plain = noise(level=6)
    rows, columns = np.mgrid[:96, :96]
    woven = plain + (6 * np.sin(2 * np.pi * (rows + 2 * columns) / 9)).round()[..., None]
    light = lab_of(plain)[..., 0], lab_of(woven.clip(0, 255).astype(np.uint8))[..., 0]
    before, after = (named("patterns", patterns.measure(each)) for each in light)
    assert after["peak of the spectrum"] > before["peak of the spectrum"] + 1.5
    assert after["frequency of the peak"] == pytest.approx(np.hypot(1, 2) / 9, abs=0.02)


def test_quality_tells_what_a_copy_lost():
    drawing = np.full((160, 160, 3), 255, np.uint8)
    drawing[30:80, 30:110], drawing[90:130, 50:60], drawing[100:120, 90:130] = (200, 40, 40), 0, (20, 90, 160)
    before = quality.measure(drawing)
    assert before.blur == pytest.approx(0.4, abs=0.05) and abs(before.jpeg) < 0.1 and before.grain == 0
    assert (before.red, before.blue, before.border) == (0, 0, 0)
    assert quality.measure(copies.blurred(drawing, 1.5)).blur == pytest.approx(1.55, abs=0.25)
    assert quality.measure(copies.recompressed(drawing, 50)).jpeg > 0.2
    assert quality.measure(copies.resized(drawing, 0.5)).resolution == pytest.approx(before.resolution - 1)
    for ground, levels in ((np.full_like(drawing, 128), 5), (drawing, 4)):  # what is drawn does not look like grain
        assert quality.measure(copies.grainy(ground, levels)).grain == pytest.approx(levels, rel=0.25)
    tinted = quality.measure(copies.tinted(drawing, 0.1, -0.2))
    assert (tinted.red, tinted.blue) == pytest.approx((0.1, -0.2), abs=0.02)
    assert quality.measure(copies.cropped(drawing, 0.6)).border > 0.2


def test_cells_point_at_what_is_unlike():
    others = np.stack([patches.measure(Canvas(noise(seed))) for seed in range(6)])
    odd = noise(9)
    odd[48:72, 24:48] = (250, 40, 40)
    found = patches.unlike(patches.measure(Canvas(odd)), others)
    assert found.shape == (8, 8)
    assert (found[4:6, 2:4] == 1).all() and 0.2 < np.delete(found.ravel(), [34, 35, 42, 43]).mean() < 0.8


def test_all_groups_have_as_many_numbers_as_names():
    found = measurements.measure(noise(side=64), 64)
    assert set(found.groups) == set(measurements.GROUPS) - {"layers"} and found.size == (64, 64)
    for name, values in found.groups.items():
        assert values.shape == (len(measurements.GROUPS[name].names),) and np.isfinite(values).all()


@pytest.mark.parametrize("pixels", [np.zeros((32, 32, 3)), np.full((40, 32, 3), 255), np.zeros((32, 900, 3))])
def test_pictures_of_one_color_have_numbers_too(pixels):
    found = measurements.measure(pixels.astype(np.uint8), 64)
    assert all(np.isfinite(values).all() for values in found.groups.values())
    assert np.isfinite(found.quality).all() and np.isfinite(found.cells).all()
