"""Names of the built-in styles, and what a few words mean."""

import pytest

from clavilux.image.arts import style_names


def test_each_of_26_has_a_name_of_its_own():
    assert len(style_names.NAMES) == len(set(style_names.NAMES)) == 26
    assert style_names.DEFAULT in style_names.NAMES
    assert len({style.words for style in style_names.STYLES}) == 26


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("starry-night", "starry-night"), ("Starry Night", "starry-night"), ("night_starry", "starry-night"),
        ("stary night", "starry-night"), ("van Gogh", "starry-night"), ("stained glas", "stained-glass"),
        ("mosaik", "mosaic"), ("popart", "pop-art"), ("poster", "crimson-poster"), ("IMPASTO", "impasto"),
    ],
)  # fmt: skip
def test_close_words_are_understood(text, name):
    assert style_names.NAMES[style_names.find(text)] == name


def test_every_name_means_itself():
    assert [style_names.find(name) for name in style_names.NAMES] == list(range(26))


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"no style 'xyzzy'; there are amber-haze, .*impasto"):
        style_names.find("xyzzy")
    with pytest.raises(ValueError, match="there are amber-haze"):
        style_names.find("")
    with pytest.raises(ValueError, match="could be spotted-night or starry-night"):
        style_names.find("night")


def test_weights_become_shares():
    assert style_names.mixture([2, 1, 1], "styles") == [0.5, 0.25, 0.25]
    for bad in ([-1, 2], [float("nan")], [float("inf")], [True], ["1"]):
        with pytest.raises(ValueError, match="from 0"):
            style_names.mixture(bad, "styles")
    with pytest.raises(ValueError, match="all weights of styles are 0"):
        style_names.mixture([0, 0], "styles")
