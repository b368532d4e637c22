"""How the bundled painter reads words: spelling, plurals, synonyms, colours.

Knows English a little, and where the bundled vocabulary stands; knows no weights and no pictures.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from clavilux.families.lumia.reading import fold

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "grey", "white")
_COLOUR_NAMES = {
    "gray": "grey", "silver": "grey", "crimson": "red", "scarlet": "red", "violet": "purple", "magenta": "pink",
    "lilac": "purple", "cyan": "blue", "turquoise": "blue", "navy": "blue", "azure": "blue", "gold": "yellow",
    "golden": "yellow", "lime": "green", "olive": "green", "beige": "brown",
}  # fmt: skip
# What people say -> what the pictures are called.
SYNONYMS = {
    "auto": "car", "automobile": "car", "bike": "bicycle", "motorbike": "motorcycle", "plane": "airplane",
    "aeroplane": "airplane", "aircraft": "airplane", "kitty": "cat", "kitten": "cat", "puppy": "dog",
    "doggy": "dog", "bunny": "rabbit", "pony": "horse", "lorry": "truck", "smiley": "face", "smilie": "face",
    "burger": "hamburger", "donut": "doughnut", "cellphone": "phone", "telephone": "phone", "television": "tv",
    "pinata": "ata", "creme": "cr",  # so much of a word with an accent stands in the vocabulary of the weights
    "home": "house", "insect": "bug", "pajamas": "pyjamas", "kid": "child", "guy": "man", "lady": "woman",
}  # fmt: skip
_IRREGULAR = {
    "fries": "fry", "houses": "house", "men": "man", "women": "woman", "children": "child", "people": "person",
    "mice": "mouse", "geese": "goose", "feet": "foot", "teeth": "tooth", "knives": "knife", "leaves": "leaf",
    "wolves": "wolf", "loaves": "loaf", "shelves": "shelf", "halves": "half", "buses": "bus", "skis": "ski",
    "cookies": "cookie", "shoes": "shoe", "horseshoes": "horseshoe", "movies": "movie", "pies": "pie",
    "axes": "axe", "faces": "face",
}  # fmt: skip
_ENDS_IN_S = {
    "abacus", "always", "aquarius", "aries", "asparagus", "atlas", "bass", "binoculars", "brass", "bus", "cactus",
    "campus", "canvas", "chess", "christmas", "circus", "citrus", "clothes", "compass", "crocus", "discus", "gas",
    "glasses", "hibiscus", "hippopotamus", "headphones", "iris", "jeans", "lens", "lotus", "mars", "minus", "news",
    "octopus", "olympics", "pants", "physics", "pisces", "platypus", "plus", "rhinoceros", "sagittarius", "scissors",
    "shorts", "swiss", "taurus", "tennis", "trousers", "tropics", "venus", "virus", "walrus", "gymnastics",
    "mathematics",
}  # fmt: skip
STOP_WORDS = {
    "a", "an", "the", "of", "on", "in", "at", "to", "for", "from", "by", "with", "without", "and", "or", "is", "are",
    "it", "its", "this", "that", "as", "no", "not", "one", "two", "three", "my", "me", "some", "very", "picture",
    "image", "painting", "drawing", "photo", "emoji", "clipart", "clip", "art", "icon", "de", "la", "le", "et", "del",
    "della", "di", "da", "il", "con", "png", "simple", "color", "colour", "version", "other", "another", "style",
}  # fmt: skip


def bundled_words() -> dict[str, int]:
    """The words that the bundled painter knows -> their numbers; its weights are not read."""
    config = Path(__file__).parents[2] / "pretrained" / "lumia" / "config.json"
    return {word: number for number, word in enumerate(json.loads(config.read_text())["words"].split())}


def words_of(text: str) -> tuple[str, ...]:
    """The words of a name or a prompt, each once: lower case, singular, without articles and the like."""
    return tuple(dict.fromkeys(plain(word) for word in pieces(text)))


def pieces(text: str) -> list[str]:
    """The lower-case words of a text as they are written, without articles and the like."""
    found = re.findall(r"[^\W\d_]+", fold(text).replace("'", "").replace("\u2019", ""))
    return [word for word in found if word not in STOP_WORDS and len(word) > 1]


def plain(word: str) -> str:
    """The word that stands for a lower-case word: singular, one of its synonyms, a colour's usual name."""
    word = singular(word)
    word = SYNONYMS.get(word, word)
    return _COLOUR_NAMES.get(word, word)


def singular(word: str) -> str:
    """A word without its plural ending, by English's plain rules and a list of what they would spoil."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _ENDS_IN_S or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "oes")):
        return word[:-2]
    return word[:-1]


def split_colours(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """(the words that are no colours, the numbers in `COLOURS` of those that are).

    Where there are only colours they stay words as well: an orange is an orange.
    """
    colours = tuple(COLOURS.index(word) for word in words if word in COLOURS)
    others = tuple(word for word in words if word not in COLOURS)
    return others or words, colours
