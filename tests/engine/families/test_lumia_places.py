"""Places in prompts: which phrases say one, which things they belong to, and whose each color is."""

import pytest

from clavilux.families.lumia.places import MARKED, Place, divided, knows_places
from clavilux.families.lumia.prompt import parse_prompt
from clavilux.families.lumia.reading import tokens_of
from clavilux.families.lumia.words import COLOURS

THINGS = ("apple", "arrow", "book", "car", "cat", "dog", "hat", "left", "orange", "table", "top", "tree")
NUMBERS = {word: n for n, word in enumerate((*THINGS, *MARKED))}
WORDS = {number: word for word, number in NUMBERS.items()}


def heard(prompt):
    """(words, colors) as the painter is told them."""
    controls = parse_prompt(prompt, NUMBERS).controls
    words = " ".join(WORDS[word] for word in controls.words)
    return words, tuple(color if color is None else COLOURS[color] for color in controls.colours)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a cat on the left", "cat @left"),
        ("apple at the top", "apple @top"),
        ("apple at the bottom of the picture", "apple @bottom"),
        ("apple right", "apple @right"),
        ("on the right side a dog", "dog @right"),
        ("a cat left of a dog", "cat @left dog"),
        ("a cat to the right of the dog", "cat @right dog"),
        ("an apple on a book", "apple @on book"),
        ("an apple on top of a book", "apple @on book"),
        ("a cat under the table", "cat @under table"),
        ("a cat over the tree", "cat @above tree"),
        ("a cat on the left and a dog on the right", "cat @left dog"),
        ("a cat on the right and a dog on the left", "cat @right dog"),
        ("a cat at the top, a dog at the bottom", "cat @above dog"),
        ("a cat and a dog on the left", "cat @right dog"),
        ("left arrow", "left arrow"),
        ("a top hat", "top hat"),
        ("a cat with a top hat", "cat top hat"),
        ("cat and dog", "cat dog"),
        ("under the table", "table"),
    ],
)
def test_places_that_are_heard(prompt, words):
    assert heard(prompt)[0] == words


@pytest.mark.parametrize(
    ("prompt", "colors"),
    [
        ("red apple on a blue book", ("red", "blue")),
        ("apple on a blue book", (None, "blue")),
        ("red apple on a book", ("red", None)),
        ("apple and blue car", (None, "blue")),
        ("red and green apple", ("red", "green")),
        ("red and green apple on the left", ("red", "green")),
        ("apple on a book", ()),
        ("an orange under a red car", ("red",)),
    ],
)
def test_colors_belong_to_things(prompt, colors):
    if prompt.startswith("an orange"):  # a color where something is there to have it; so nothing is under the car
        assert heard(prompt) == ("car", ("orange", "red"))
    else:
        assert heard(prompt)[1] == colors


def test_what_is_taken_says_the_place_and_what_is_left_out():
    said = parse_prompt("a cat to the left of a dog under a tree", NUMBERS)
    assert ("to the left of", "left") in said.taken and "under" not in dict(said.taken)
    assert said.notes == ("hears one place; left out are under",)
    assert heard("a cat to the left of a dog under a tree")[0] == "cat @left dog"


def test_of_many_words_both_things_keep_some():
    said = parse_prompt("apple arrow book car on cat dog hat orange table", NUMBERS)
    assert [WORDS[word] for word in said.controls.words] == ["apple", "arrow", "@on", "cat", "dog", "hat"]
    assert "left out are book, car, table" in said.notes[0]


def test_a_painter_without_places_reads_as_before():
    plain = {word: n for n, word in enumerate(THINGS)}
    assert not knows_places(plain) and knows_places(NUMBERS)
    said = parse_prompt("apple on the left and a blue book", plain)
    assert said.controls.words == (plain["apple"], plain["left"], plain["book"])
    assert said.controls.colours == (COLOURS.index("blue"),)


def test_a_prompt_is_divided_at_places_and_conjunctions():
    pieces = divided(tokens_of("a red cat und the dog beneath it"))
    assert [[token.folded for token in each] for each in pieces if not isinstance(each, Place)] == [
        ["a", "red", "cat"], ["the", "dog"], ["it"],
    ]  # fmt: skip
    assert [each for each in pieces if isinstance(each, Place)] == [Place("beneath", "under", True)]
