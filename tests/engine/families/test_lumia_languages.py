"""The painter reads every script: names and colours in many languages, plurals, words without spaces; and refuses the
rest."""

import gzip

import pytest

from clavilux.families.lumia import foreign
from clavilux.families.lumia.prompt import check_understood, parse_prompt
from clavilux.families.lumia.reading import fold, tokens_of
from clavilux.families.lumia.seen_colors import main_colours, on_nothing
from clavilux.families.lumia.words import COLOURS, bundled_words, plain

NUMBERS = bundled_words()
ENGLISH = "cat dog bird fish house car sun apple elephant rabbit butterfly flower"
IN_OTHERS = {
    "de": "Katze Hund Vogel Fisch Haus Auto Sonne Apfel Elefant Hase Schmetterling Blume",
    "fr": "chat chien oiseau poisson maison voiture soleil pomme éléphant lapin papillon fleur",
    "es": "gato perro pájaro pez casa coche sol manzana elefante conejo mariposa flor",
    "it": "gatto cagnolino uccello pesce casa macchina sole mela elefante coniglio farfalla fiore",
    "pt": "gato cão pássaro peixe casa carro sol maçã elefante coelho borboleta flor",
    "nl": "kat hond vogel vis huis auto zon appel olifant konijn vlinder bloem",
    "pl": "kot psiak ptak ryba dom samochód słońce jabłko słoń królik motyl kwiat",
    "tr": "kedi köpek kuş balık ev araba güneş elma fil tavşan kelebek çiçek",
    "ru": "кошка собака птица рыба дом машина солнце яблоко слон кролик бабочка цветок",
    "ja": "ネコ 犬 鳥 魚 家 車 太陽 りんご ゾウ うさぎ 蝶 花",
    "zh": "猫 狗 鸟 鱼 房子 汽车 太阳 苹果 大象 兔子 蝴蝶 花",
    "ko": "고양이 개 새 물고기 집 자동차 태양 사과 코끼리 토끼 나비 꽃",
    "ar": "قطة كلب طائر سمكة بيت سيارة شمس تفاحة فيل أرنب فراشة زهرة",
    "hi": "बिल्ली कुत्ता पक्षी मछली घर कार सूरज सेब हाथी खरगोश तितली फूल",
}
PHRASES = [
    ("Katze", "cat"), ("zwei Katzen", "cat"), ("die Katze", "cat"), ("roter Apfel", "red apple"),
    ("pomme rouge", "red apple"), ("l'ours brun", "bear brown"), ("gatos negros", "cat black"),
    ("赤いりんご", "red apple"), ("蓝色的大象", "blue elephant"), ("紅蘋果", "red apple"), ("一只黑猫", "black cat"),
    ("빨간 사과", "red apple"), ("고양이가", "cat"), ("القطة", "cat"), ("قطة سوداء", "cat black"),
    ("लाल सेब", "red apple"), ("синий слон", "blue elephant"), ("kırmızı araba", "red car"),
    ("🍎", "red apple"), ("Bär", "bear"),
    ("rosa", "rose"), ("elefante rosa", "elephant pink"), ("piñata", "ata"), ("café", "hot beverage"),
    ("PÁJARO AZUL", "bird blue"),
]  # fmt: skip
REFUSED = (
    "xyzzy", "brontotax 12", "a picture of the", "???", "12345", "blue xyzzy", "Steuerbescheid", "avis d'imposition",
    "хмурь декларация", "確定申告", "세금", "عنوانكم", "xyzzy कखगघ", "zeitgeistig", "plugh frobnicate",
)  # fmt: skip


def read(prompt):
    said = parse_prompt(prompt, NUMBERS)
    return " ".join(dict.fromkeys(word for _, meaning in said.taken for word in meaning.split())), said.unknown


@pytest.mark.parametrize("language", IN_OTHERS)
def test_common_names_are_known_in_many_languages(language):
    """The same word of two languages may mean two things; of common names that is rare."""
    theirs = IN_OTHERS[language].split()
    wrong = [w for e, w in zip(ENGLISH.split(), theirs, strict=True) if e not in read(w)[0].split()]
    assert wrong in ([], ["psiak"], ["cagnolino"])


@pytest.mark.parametrize(("prompt", "meaning"), PHRASES)
def test_phrases_of_other_languages(prompt, meaning):
    assert read(prompt) == (meaning, ())


@pytest.mark.parametrize("color", COLOURS)
def test_colors_of_other_languages(color):
    words = [word for word, meant in foreign.colors().items() if meant == color]
    assert len(words) > 25
    assert all(color in read(f"{word} zebra")[0] for word in words if plain(word) not in NUMBERS)


def test_what_is_taken_is_said_as_it_is_written():
    assert parse_prompt("Zwei KATZEN, pomme rouge", NUMBERS).taken == (("KATZEN", "cat"), ("pomme rouge", "red apple"))
    assert parse_prompt("Zwei Katzzen", NUMBERS).unknown[-1] == "Katzzen (did you mean katze?)"


@pytest.mark.parametrize("prompt", REFUSED)
def test_nothing_is_painted_of_what_is_not_understood(prompt):
    with pytest.raises(ValueError, match=r"not understood: .*apple, cat or house.*anything=True paints") as refusal:
        check_understood(prompt, NUMBERS)
    assert "\n" not in str(refusal.value)
    check_understood(prompt, NUMBERS, anything=True)


@pytest.mark.parametrize("prompt", ["", " \n", "blue", "an orange", "cat xyzzy"])
def test_what_names_a_thing_or_leaves_nothing_unsaid_is_painted(prompt):
    check_understood(prompt, NUMBERS)


@pytest.mark.parametrize("prompt", ["経済成長", "社長会議", "電子", "変更", "好", "下"])
def test_half_a_word_of_chinese_characters_is_no_thing(prompt):
    assert read(prompt) == ("", (prompt,))


def test_single_characters_mean_what_they_mean():
    assert [read(each)[0] for each in ("水", "愛", "小さい犬", "夜の猫")] == [
        "water",
        "heart",
        "small dog",
        "night cat",
    ]


def test_anything_is_true_or_false():
    with pytest.raises(TypeError, match="anything is 1; it should be True or False"):
        check_understood("cat", NUMBERS, 1)


def test_forms_of_letters():
    assert fold("Éléphant ŁÓDŹ Straße ネコ ﾈｺ أسد ёж") == "elephant lodz strasse ねこ ねこ اسد еж"
    assert fold("बिल्ली が") == "बिल्ली が"  # marks that are letters stay
    assert [token.folded for token in tokens_of("dell'orso cat's 猫cat🐈\u200d⬛")] == [
        "orso",
        "cats",
        "猫",
        "cat",
        "🐈",
        "⬛",
    ]


def test_the_table_is_small_and_means_known_words():
    assert foreign.NAMES.stat().st_size < 300 * 1024
    lines = gzip.decompress(foreign.NAMES.read_bytes()).decode().splitlines()
    assert len(lines) > 2000
    assert all(set(line.split("\t")[0].split()) <= {*NUMBERS, *COLOURS} for line in lines)
    assert {meant for kind in (foreign.colored_things(),) for meant in kind.values()} <= set(NUMBERS)


def test_long_texts_are_read_in_no_time():
    for unit in ("猫", "क", "zq ", "xyzzyq", "l'"):
        parse_prompt(unit * 20_000, NUMBERS)


def test_a_picture_s_colors_are_seen():
    import numpy as np

    pixels = np.full((64, 64, 3), 255, np.uint8)
    pixels[16:48, 16:48] = (20, 60, 220)
    assert main_colours(on_nothing(pixels)) == (COLOURS.index("blue"), -1)
