"""Free pictures with their names, as the bundled painter is taught with: emoji and clip art.

Reads what five Debian packages hold, unpacked into one folder with `dpkg -x`: `fonts-noto-color-emoji` (OFL),
`openclipart-png` (public domain), `unicode-data` (the emoji's names), `unicode-cldr-core` (their keywords) and
`wamerican` (English words: clip art is also called after its authors). Knows files, names and kinds; what becomes of
the pixels is `augment`'s.
"""

from __future__ import annotations

import hashlib
import io
import re
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from clavilux.families.lumia.words import words_of

FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
EMOJI_TEST = "usr/share/unicode/emoji/emoji-test.txt"
KEYWORDS = "usr/share/unicode/cldr/common/{folder}/en.xml"
CLIP_ART = "usr/share/openclipart/png"
ENGLISH = "usr/share/dict/american-english"
HELD_OUT_SHARE = 0.16

# A kind is what a picture shows, told by its folder: also what the classifier of the benchmark tells apart.
_EMOJI_KINDS = {
    "cat-face": "animal", "monkey-face": "animal", "animal-mammal": "animal", "animal-bird": "bird",
    "animal-amphibian": "reptile", "animal-reptile": "reptile", "animal-marine": "fish", "animal-bug": "bug",
    "plant-flower": "plant", "plant-other": "plant", "food-fruit": "fruit", "food-vegetable": "fruit",
    "food-prepared": "food", "food-asian": "food", "food-marine": "fish", "food-sweet": "food", "drink": "drink",
    "dishware": "tool", "place-map": "place", "place-geographic": "place", "place-building": "building",
    "place-religious": "building", "place-other": "place", "transport-ground": "vehicle",
    "transport-water": "ship", "transport-air": "aircraft", "hotel": "tool", "time": "clock",
    "sky & weather": "weather", "event": "party", "award-medal": "game", "sport": "game", "game": "game",
    "arts & crafts": "game", "clothing": "clothing", "sound": "music", "music": "music",
    "musical-instrument": "music", "phone": "tool", "computer": "tool", "light & video": "tool",
    "book-paper": "paper", "money": "paper", "mail": "paper", "writing": "tool", "office": "paper", "lock": "tool",
    "tool": "tool", "science": "tool", "medical": "tool", "household": "tool", "other-object": "tool",
    "heart": "heart", "emotion": "symbol", "person-symbol": "symbol", "arrow": "symbol", "zodiac": "symbol",
    "religion": "symbol", "geometric": "symbol", "body-parts": "body",
}  # fmt: skip
_EMOJI_LEFT_OUT = {
    "skin-tone", "hair-style", "transport-sign", "warning", "av-symbol", "gender", "math", "punctuation", "currency",
    "other-symbol", "keycap", "alphanum", "flag", "country-flag", "subdivision-flag",
}  # fmt: skip
_CLIP_ART_KINDS = {
    "animals/bugs": "bug", "animals/dinosaurs": "reptile", "animals/birds": "bird", "animals/fish": "fish",
    "animals/mammals": "animal", "animals": "animal", "buildings/furniture": "furniture", "buildings": "building",
    "containers": "tool", "education/books": "paper", "education": "paper", "electronics": "tool",
    "food/fruit": "fruit", "food/vegetables": "fruit", "food/beverages": "drink", "food": "food",
    "geography/astronomy": "weather", "science/astronomy": "weather", "science": "tool", "office": "paper",
    "people/smilies": "face", "people/clothing": "clothing", "people/bodypart": "body", "people": "person",
    "plants": "plant", "recreation/holiday/valentines": "heart", "recreation/holiday": "party",
    "recreation/music": "music", "recreation/party": "party", "recreation/sports": "game",
    "recreation/games/chess": "game", "recreation/toys": "toy", "recreation/art": "tool", "tools": "tool",
    "transportation/boating": "ship", "transportation/vehicles": "vehicle", "transportation": "vehicle",
    "signs_and_symbols/weather": "weather", "signs_and_symbols/clocks": "clock",
}  # fmt: skip
_CLIP_ART_LEFT_OUT = ("transportation/roadsigns", "transportation/vehicles/hummers", "people/clothing/pantyhose",
                      "people/stickmen", "recreation/games/cards", "tools/weapons")  # fmt: skip
# What these were made from was not at hand any more: they say "Linked Image Not Found".
_BROKEN = {
    "animals/mammals/elephant_outline_matthe_r.png", "tools/gallows_frouke_01.png",
    "tools/thermometer_www.jonasste_01.png", "food/galette_01.png", "food/sugarbox_01.png",
}  # fmt: skip
# Trademarks, mascots and flags; what is neither a thing nor drawn as one.
_UNWANTED = {
    "tux", "linux", "gnu", "ubuntu", "debian", "gnome", "kde", "mozilla", "firefox", "inkscape", "openoffice",
    "apache", "windows", "macintosh", "mac", "ipod", "nintendo", "mario", "pepsi", "cola", "coca", "logo",
    "trademark", "flag", "flags", "banner", "map", "maps", "mascot", "wikipedia", "svg", "sign", "signs", "roadsign",
    "signalflag", "hummer", "hummers", "nude", "naked", "nudo", "sexy", "bra", "underwear", "cigarette", "cigar",
    "swastika", "nazi", "gun", "guns", "pistol", "rifle", "weapon", "aiga", "symbol", "button", "barcode", "pattern",
    "gradient", "border", "frame", "points", "wind", "diagram", "silhouettes", "tatoo", "shelby",
}  # fmt: skip
# One of the authors named his many pictures in Italian.
_ITALIAN = {
    "gatto": "cat", "tigre": "tiger", "cane": "dog", "cani": "dog", "casa": "house", "mela": "apple",
    "prugna": "plum", "rana": "frog", "lucertola": "lizard", "pinguino": "penguin", "forbici": "scissors",
    "lampada": "lamp", "chiave": "key", "martello": "hammer", "albero": "tree", "fiore": "flower",
    "bicchiere": "glass", "coltello": "knife", "forchetta": "fork", "pesce": "fish", "uccello": "bird",
    "cavallo": "horse", "elefante": "elephant", "leone": "lion", "orso": "bear", "topo": "mouse", "libro": "book",
    "matita": "pencil", "busta": "envelope", "nave": "ship", "barca": "boat", "aereo": "airplane", "treno": "train",
    "macchina": "car", "pera": "pear", "ciliegia": "cherry", "arancia": "orange", "limone": "lemon",
    "fragola": "strawberry", "uva": "grape", "banana": "banana", "pomodoro": "tomato", "sole": "sun", "luna": "moon",
    "stella": "star", "sedia": "chair", "tavolo": "table", "lucchetto": "padlock", "orologio": "clock",
    "clessidra": "hourglass", "calcolatrice": "calculator", "lettera": "letter", "cartella": "folder",
    "nero": "black", "bianco": "white", "rosso": "red", "verde": "green", "giallo": "yellow", "grigio": "grey",
}  # fmt: skip
_TONE = re.compile(r"(medium-light|medium-dark|light|medium|dark) skin tone")
_SAME = re.compile(r"\b(man|woman|men|women|person|people|boy|girl|beard|blond|red|white|curly|hair|bald|in|with)\b")


@dataclass(frozen=True)
class Named:
    """A picture and what it is called.

    Attributes:
        image: RGBA, cut to what is not transparent.
        words: of its name, as the painter knows words, the telling ones first.
        more: keywords that it is also found by.
        kind: what it shows, one of about thirty.
        source: "emoji" or "clip art".
        group: pictures of one group are variants of each other, and are held out together.
        file: where it came from.
    """

    image: Image.Image
    words: tuple[str, ...]
    more: tuple[str, ...]
    kind: str
    source: str
    group: str
    file: str

    @property
    def held_out(self) -> bool:
        """Whether training never sees it: decided by the group's name alone."""
        digest = hashlib.sha256(self.group.encode()).digest()
        return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def pictures(folder: Path) -> Iterator[Named]:
    """All pictures in the unpacked packages, emoji first.

    Raises:
        ValueError: a file of one of the packages is not there.
    """
    for path in (FONT, EMOJI_TEST, KEYWORDS.format(folder="annotations"), CLIP_ART, ENGLISH):
        if not (folder / path).exists():
            raise ValueError(f"there is no {path} in {str(folder)!r}; unpack the Debian package that holds it there")
    yield from emoji(folder)
    yield from clip_art(folder / CLIP_ART, english(folder))


class Drawings(Protocol):
    """Emoji as somebody drew them."""

    def image(self, sequence: str) -> Image.Image | None:
        """RGBA of a sequence of characters, or None where there is no single picture of it."""


def emoji(folder: Path, drawings: Drawings | None = None) -> Iterator[Named]:
    """The emoji that show things and people, without flags and signs: of the font, unless other drawings are given."""
    font = drawings or Emoji(folder / FONT)
    keywords = _keywords(folder)
    for sequence, name, subgroup in emoji_names((folder / EMOJI_TEST).read_text(encoding="utf-8")):
        image = None if subgroup in _EMOJI_LEFT_OUT else font.image(sequence)
        if image is None:
            continue
        bare = _TONE.sub("", name)
        words = words_of(name)
        kind = _emoji_kind(subgroup)
        more = dict.fromkeys(word for text in (*keywords.get(sequence, ()), kind) for word in words_of(text))
        group = " ".join(_SAME.sub("", bare.replace(":", " ")).split()) or "person"
        yield Named(image, words, tuple(w for w in more if w not in words), kind, "emoji", group, name)


def emoji_names(text: str) -> Iterator[tuple[str, str, str]]:
    """(sequence without variation selectors, name, subgroup) of every fully-qualified line of emoji-test.txt.

    Couples and families in every pair of skin tones are many and alike: of names with two tones, none is given.
    """
    subgroup = ""
    for line in text.splitlines():
        if line.startswith("# subgroup:"):
            subgroup = line.split(":", 1)[1].strip()
        match = re.match(r"([0-9A-F ]+); fully-qualified +# \S+ E[\d.]+ (.+)", line)
        if match and len(_TONE.findall(match[2])) < 2:
            codes = [int(code, 16) for code in match[1].split()]
            yield "".join(chr(code) for code in codes if code != 0xFE0F), match[2], subgroup


class Emoji:
    """The bitmaps of a CBDT font, by sequences of characters."""

    def __init__(self, path: Path):
        from fontTools.ttLib import TTFont  # only training needs it

        font = TTFont(path)
        self._bitmaps = font["CBDT"].strikeData[0]
        self._characters = font.getBestCmap()
        self._ligatures: dict[tuple[str, ...], str] = {}
        for lookup in font["GSUB"].table.LookupList.Lookup:
            for table in lookup.SubTable if lookup.LookupType == 4 else ():
                for first, ligatures in table.ligatures.items():
                    self._ligatures |= {(first, *each.Component): each.LigGlyph for each in ligatures}

    def image(self, sequence: str) -> Image.Image | None:
        """RGBA of a sequence, or None where the font has no single picture of it."""
        glyphs = tuple(self._characters.get(ord(character)) for character in sequence)
        glyph = glyphs[0] if len(glyphs) == 1 else self._ligatures.get(glyphs)
        if glyph not in self._bitmaps:
            return None
        return cut(Image.open(io.BytesIO(self._bitmaps[glyph].imageData)).convert("RGBA"))


def english(folder: Path) -> set[str]:
    """Words as the painter has them, singular: those of a spelling list."""
    lines = (folder / ENGLISH).read_text(encoding="utf-8").split()
    return {word for line in lines if line.isalpha() and line.islower() for word in words_of(line)}


def clip_art(folder: Path, known: set[str]) -> Iterator[Named]:
    """The clip art that shows things, by its folders and names; of these only `known` words."""
    for path in sorted(folder.rglob("*.png")):
        where = path.parent.relative_to(folder).as_posix()
        kind = _clip_art_kind(where)
        if path.is_symlink() or kind is None or path.relative_to(folder).as_posix() in _BROKEN:
            continue
        with Image.open(path) as opened:
            title, author = str(opened.info.get("Title", "")), str(opened.info.get("Author", ""))
            names = set(words_of(author))
            said = [_ITALIAN.get(word, word) for word in (*words_of(title), *words_of(path.stem))]
            if _UNWANTED & {*said, *re.split(r"[^a-z]+", f"{title} {path.stem}".lower())}:
                continue
            opened.thumbnail((256, 256), Image.Resampling.BOX)
            image = cut(opened.convert("RGBA"))
        words = tuple(dict.fromkeys(word for word in said if word in known and word not in names and len(word) > 2))
        around = [*words_of(kind), *(word for part in where.split("/") for word in words_of(part))]
        if image is not None:
            stem = re.sub(r"[\d_]+$|_?\d+.*$", "", path.stem)
            more = tuple(dict.fromkeys(word for word in around if word not in words))
            yield Named(image, words, more, kind, "clip art", f"{where}/{stem}", path.relative_to(folder).as_posix())


def cut(image: Image.Image) -> Image.Image | None:
    """RGBA without its transparent or white margins; None where nothing is left of it, or next to nothing."""
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    ink = white.convert("RGB").convert("L").point(lambda value: 255 if value < 250 else 0)
    box = ink.getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 16:
        return None
    return image.crop(box)


def _emoji_kind(subgroup: str) -> str:
    for prefix, kind in (("face-", "face"), ("hand", "hand"), ("person", "person"), ("family", "person")):
        if subgroup.startswith(prefix) and subgroup not in _EMOJI_KINDS:
            return kind
    return _EMOJI_KINDS[subgroup]


def _clip_art_kind(where: str) -> str | None:
    """The kind that the nearest folder above says; None for what is left out."""
    if where.startswith(_CLIP_ART_LEFT_OUT):
        return None
    while where and where not in _CLIP_ART_KINDS:
        where = where.rpartition("/")[0]
    return _CLIP_ART_KINDS.get(where)


def _keywords(folder: Path) -> dict[str, list[str]]:
    """Sequence -> the keywords that Unicode's English annotations give it."""
    found: dict[str, list[str]] = {}
    for name in ("annotations", "annotationsDerived"):
        for node in xml.parse(folder / KEYWORDS.format(folder=name)).iter("annotation"):
            if node.get("type") != "tts":
                text = node.text or ""
                found[node.attrib["cp"].replace("\ufe0f", "")] = [part.strip() for part in text.split("|")]
    return found
