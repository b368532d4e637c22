"""Distances, p-values, confounds and classes, on numbers and pictures that are made here."""

import numpy as np
import pytest

from clavilux.image.examination import confounds, copies, quality, space
from clavilux.image.examination.classes import classify


def groups_of(values):
    return {"wavelets": values[:, :6], "palette": values[:, 6:]}


def test_p_is_uniform_where_the_picture_is_one_of_them_and_small_where_not():
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(10, 10))
    same, unlike = [], []
    for _ in range(300):
        values = generator.standard_t(4, (41, 10)) @ mixing
        same.append(space.compare(groups_of(values)).p)
        values[-1] = generator.standard_t(4, 10) * 4 @ mixing
        unlike.append(space.compare(groups_of(values)).p)
    assert 0.02 <= np.mean(np.array(same) < 0.05) <= 0.08
    assert np.mean(same) == pytest.approx(0.5, abs=0.06)
    assert np.mean(np.array(unlike) < 0.05) > 0.6


def test_shares_point_at_the_group_that_differs():
    values = np.random.default_rng(1).normal(size=(41, 12))
    values[-1, 6:] += 5
    found = space.compare(groups_of(values))
    assert found.shares["palette"] > 0.7 and sum(found.shares.values()) == pytest.approx(1)
    assert found.times["palette"] > 3 > 2 > found.times["wavelets"]
    assert (found.deviations["palette"] > 2).all() and found.p == pytest.approx(1 / 41)


def test_works_of_one_subject_are_not_compared_with_each_other():
    """A new subject by the same hand: beside works of their own subjects all others are near, so it looks far."""
    generator = np.random.default_rng(2)
    subjects = [f"subject {number // 5}" for number in range(40)]
    together, apart = [], []
    for _ in range(60):
        centers = generator.normal(0, 3, (9, 12))
        values = centers.repeat(5, 0)[:41] + 0.3 * generator.normal(size=(41, 12))
        together.append(space.compare(groups_of(values)).p < 0.05)
        apart.append(space.compare(groups_of(values), subjects).p < 0.05)
    assert np.mean(together) > 0.9 and np.mean(apart) < 0.6  # of nine subjects, each alike within, one is furthest


def test_a_number_that_never_varies_is_no_trouble():
    values = np.random.default_rng(3).normal(size=(21, 12))
    values[:, 3] = 1.0
    assert np.isfinite(space.compare(groups_of(values)).others).all()
    values[:] = 0
    assert space.compare(groups_of(values)).p == 1


def drawing(seed, side=96):
    """Some rectangles in strong colors on white, not at the border."""
    generator = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 255, np.uint8)
    for _ in range(7):
        top, left = generator.integers(6, side - 30, 2)
        high, wide = generator.integers(8, 24, 2)
        pixels[top : top + high, left : left + wide] = generator.integers(0, 220, 3)
    return pixels


REFERENCES = [drawing(seed) for seed in range(40)]
QUALITIES = [quality.measure(each) for each in REFERENCES]


@pytest.mark.parametrize(
    ("copy", "name", "size"),
    [
        (lambda pixels: copies.blurred(pixels, 1.2), "blur", (0.9, 1.5)),
        (lambda pixels: copies.recompressed(pixels, 35), "jpeg", (20, 50)),
        (lambda pixels: copies.resized(pixels, 0.5), "resolution", (0.49, 0.51)),
        (lambda pixels: copies.cropped(pixels, 0.5), "crop", (0.05, 0.6)),
        (lambda pixels: np.ascontiguousarray(pixels[20:60]), "crop", (0.3, 0.7)),
        (lambda pixels: copies.tinted(pixels, 0.1, -0.2), "cast", (0.2, 0.25)),
        (lambda pixels: copies.grainy(pixels, 6), "scan", (1, 7)),
    ],
)
def test_each_confound_is_found_by_its_name_and_size(copy, name, size):
    here = quality.measure(copy(drawing(99)))
    found = {each.name: each for each in confounds.find(here, QUALITIES, REFERENCES.__getitem__)[0]}
    assert name in found and size[0] <= found[name].size <= size[1], found


def test_a_clean_picture_has_none():
    clean = [quality.measure(drawing(seed)) for seed in range(90, 110)]
    assert sum(len(confounds.find(each, QUALITIES, REFERENCES.__getitem__)[0]) for each in clean) <= 1


def test_references_are_made_alike():
    copy = copies.recompressed(copies.tinted(copies.blurred(drawing(99), 1.2), 0.1, -0.2), 50)
    here = quality.measure(copy)
    found, qualities = confounds.find(here, QUALITIES, REFERENCES.__getitem__)
    assert qualities == QUALITIES
    usual = quality.Quality(*np.median(np.array(QUALITIES), 0))
    alike = quality.measure(confounds.made_alike(REFERENCES[0], QUALITIES[0], here, usual, found))
    assert alike.blur == pytest.approx(here.blur, abs=0.25) and alike.red == pytest.approx(here.red, abs=0.03)


def test_classes_are_told_apart_and_their_confusion_is_honest():
    generator = np.random.default_rng(4)
    values = generator.normal(size=(61, 12))
    names, owners = ["one", "two"], [0] * 30 + [1] * 30
    mixed = classify(groups_of(values), owners, [""] * 60, names)
    assert mixed.right == pytest.approx(0.5, abs=0.15) and mixed.confusion.sum() == 60
    values[30:] += 1.5
    apart = classify(groups_of(values), owners, [""] * 60, names)
    assert apart.right > 0.9 and apart.best == "two" and not apart.subjects_separated
    assert sum(apart.likeness.values()) == pytest.approx(1) and apart.places.shape == (61,)


def test_what_only_subjects_share_is_not_taken_for_a_hand():
    """Folders whose works are alike by subject alone: by single works it looks like a hand, by subjects it does not."""
    generator = np.random.default_rng(5)
    values = generator.normal(0, 3, (12, 12)).repeat(5, 0) + 0.2 * generator.normal(size=(60, 12))
    values = np.concatenate([values, values[:1]])
    subjects = [f"subject {number // 5}" for number in range(60)]
    owners = [number // 5 % 2 for number in range(60)]
    by_work = classify(groups_of(values), owners, [""] * 60, ["one", "two"])
    by_subject = classify(groups_of(values), owners, subjects, ["one", "two"])
    assert by_work.right > 0.9 and by_subject.right < 0.75 and by_subject.subjects_separated
