"""How the painter reads words: plurals, synonyms, colours, what it does not know, what it leaves out."""

import pytest

from clavilux.families.lumia.prompt import parse_prompt
from clavilux.families.lumia.words import COLOURS, split_colours, words_of

NUMBERS = {word: n for n, word in enumerate(("apple", "car", "cat", "orange", "rose", "dog", "hat", "fox", "bee"))}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two red Apples", ("red", "apple")),
        ("the cat's kittens", ("cat",)),
        ("foxes, buses & glasses", ("fox", "bus", "glasses")),
        ("an automobile of gold", ("car", "yellow")),
        ("strawberries children cacti", ("strawberry", "child", "cacti")),
        ("a b 12 !", ()),
    ],
)
def test_words_of_a_text(text, words):
    assert words_of(text) == words


def test_colours_are_told_apart_from_things():
    assert split_colours(("red", "apple", "blue")) == (("apple",), (COLOURS.index("red"), COLOURS.index("blue")))
    assert split_colours(("orange",)) == (("orange",), (COLOURS.index("orange"),))


def test_what_a_prompt_says():
    said = parse_prompt("emoji of a red apple and a grey car", NUMBERS)
    assert said.controls.colours == (COLOURS.index("red"), COLOURS.index("grey"))
    assert said.controls.words == (NUMBERS["apple"], NUMBERS["car"])
    assert dict(said.taken)["grey"] == "grey" and not said.unknown and not said.notes
    assert parse_prompt("an orange", NUMBERS).controls.words == (NUMBERS["orange"],)
    assert parse_prompt("an orange cat", NUMBERS).controls.words == (NUMBERS["cat"],)


def test_unknown_words_are_said_with_a_guess():
    said = parse_prompt("a purple aple on the xyzzy", NUMBERS)
    assert said.unknown == ("aple (did you mean apple?)", "xyzzy")
    assert said.controls.words == () and said.controls.colours == (COLOURS.index("purple"),)


def test_nothing_said_is_nothing_said():
    assert parse_prompt("", NUMBERS).controls == parse_prompt("??", NUMBERS).controls
    assert parse_prompt("", NUMBERS).controls.words == ()


def test_what_is_too_much_is_left_out_and_said():
    said = parse_prompt("apple car cat rose dog hat fox red blue green", NUMBERS)
    assert len(said.controls.words) == 6 and len(said.controls.colours) == 2
    assert said.notes == (
        "hears 6 words beside colours; left out are fox", "hears 2 colours; left out are green",
    )  # fmt: skip
    long = parse_prompt("cat " * 600, NUMBERS)
    assert long.controls.words == (NUMBERS["cat"],) and "reads 2000 characters; 400 more are left out" in long.notes
    assert len(parse_prompt(" ".join(f"zz{chr(97 + n)}" for n in range(26)), NUMBERS).unknown) == 20
