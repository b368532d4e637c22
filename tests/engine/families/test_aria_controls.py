"""Controls: options over words over a style's habits, and one sentence for each mistake."""

import csv
import io
import math
from collections import Counter

import pytest

from clavilux.audio.harmony import Key
from clavilux.families.aria.controls import DENSITIES, SECTIONS, Controls, resolve, with_density
from clavilux.families.aria.instruments import DRUMS, ENSEMBLES, INSTRUMENTS, instruments_named
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.styles import METRES, STYLES, style_of


def settle(prompt: str = "", *, seed: int = 7, **options) -> Controls:
    return resolve(parse_prompt(prompt), seed=seed, **options)


def test_what_is_said_is_kept():
    got = settle("slow church organ chorale in G minor, 3/4, chords Gm Cm D7 Gm, busy ending")
    assert (got.style, got.instruments, str(got.key), got.metre) == (
        "chorale",
        ("church organ",),
        "G minor",
        (3, 4),
    )
    assert (got.density, got.section) == ("dense", "closing")
    assert [[str(chord) for chord in bar] for bar in got.chords] == [["Gm"], ["Cm"], ["D7"], ["Gm"]]
    slowest, fastest = STYLES["chorale"].tempo
    assert got.tempo < slowest < fastest


def test_options_overrule_words():
    got = settle(
        "slow sad organ chorale in G minor, 3/4",
        style="Baroque", instruments="flute, 2 violins", key="D", tempo=100, metre="4/4", chords="D | A7 D",
        density="sparse", section="opening",
    )  # fmt: skip
    assert (got.style, got.instruments) == ("baroque", ("flute", "violin", "violin"))
    assert (str(got.key), got.tempo, got.metre) == ("D major", 100.0, (4, 4))
    assert (got.density, got.section, len(got.chords)) == ("sparse", "opening", 2)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_not_said_is_drawn_from_the_style(seed):
    got = settle("", seed=seed)
    habits = STYLES[got.style]
    assert habits.weight > 0
    assert got.instruments in [names for _, names in habits.ensembles]
    assert got.metre in [metre for metre, _ in habits.metres]
    slowest, fastest = habits.tempo_in(got.metre)
    assert slowest <= got.tempo <= fastest
    assert str(got.key).split()[0] in (habits.major_keys if got.key.mode == "major" else habits.minor_keys).split()
    assert (got.section, got.chords) == ("whole", None) and got.density is None


def test_draws_are_the_same_for_a_seed_and_differ_between_seeds():
    assert settle(seed=3) == settle(seed=3)
    assert len({settle(seed=seed) for seed in range(40)}) > 30
    assert len({settle(seed=seed).style for seed in range(200)}) == sum(s.weight > 0 for s in STYLES.values())


def drawn_densities(prompt, label, seeds):
    parsed = parse_prompt(prompt)
    controls = (resolve(parsed, seed=seed) for seed in range(seeds))
    return Counter(with_density(each, parsed, label, seed).density for seed, each in enumerate(controls))


def test_a_density_that_nobody_says_is_drawn_as_the_kind_has_it_in_its_metre():
    fast, slow = drawn_densities("reel in 2/2", "reel", 300), drawn_densities("reel in 2/4", "reel", 300)
    assert fast["dense"] < 30 < 100 < min(fast["sparse"], fast["medium"])  # half as many notes a quarter as in 2/4
    assert slow["dense"] > 200
    assert min(drawn_densities("quartet in 4/4", "quartet", 300).values()) > 50
    assert min(drawn_densities("piano in 5/4", "polka", 300).values()) > 70  # of which nothing is known
    assert set(drawn_densities("quartet, not dense", "quartet", 20)) == {"sparse", "medium"}
    assert set(drawn_densities("dense quartet", "quartet", 20)) == {"dense"}
    assert settle("quartet", density="sparse").density_index == 0 and settle("quartet").density_index == -1


def test_asking_for_one_control_leaves_the_other_draws_alone():
    free, asked = settle("baroque", seed=5), settle("baroque", seed=5, tempo=150)
    assert (asked.key, asked.metre, asked.instruments) == (free.key, free.metre, free.instruments)


@pytest.mark.parametrize("seed", range(20))
def test_tempo_words_order_tempi(seed):
    for style in STYLES:
        words = ("very slow", "slow", "moderate", "fast", "very fast")
        tempi = [settle(f"{word} {style}", seed=seed, metre="4/4").tempo for word in words]
        assert tempi == sorted(set(tempi))


def test_instruments_alone_choose_a_style_that_uses_them():
    for seed in range(30):
        assert settle("harpsichord", seed=seed).style in ("baroque",)
        assert settle("string quartet", seed=seed).style == "quartet"
        assert settle("recorder, recorder, lute", seed=seed).style in ("baroque", "renaissance")


@pytest.mark.parametrize("seed", range(20))
def test_composers_and_forms_bring_their_instrument(seed):
    assert settle("Chopin nocturne", seed=seed).instruments == ("piano",)
    assert settle("Chopin nocturne for flute", seed=seed).instruments == ("flute",)
    assert settle("Chopin song", seed=seed).instruments == ("voice", "piano")
    assert settle("Chopin nocturne without piano", seed=seed).instruments != ("piano",)
    assert settle("Chopin nocturne", seed=seed, style="art song").instruments == ("voice", "piano")


@pytest.mark.parametrize("seed", range(20))
def test_ensembles_of_a_size(seed):
    assert len(settle("a trio", seed=seed).instruments) == 3
    assert settle("ragtime trio", seed=seed).instruments == ("piano", "banjo", "clarinet")
    assert len(settle("romantic quintet", seed=seed).instruments) == 5
    assert "piano" not in settle("ragtime trio without piano", seed=seed).instruments


def test_a_style_is_drawn_that_the_words_suit():
    for seed in range(40):
        assert settle("calm piano", seed=seed).style not in ("ragtime", "march")
        assert settle("piano in 3/4", seed=seed).style in ("classical", "romantic")
    drawn = [settle("sad piano", seed=seed).style for seed in range(200)]
    assert drawn.count("romantic") > drawn.count("classical")


@pytest.mark.parametrize("seed", range(20))
def test_what_is_refused_is_not_drawn(seed):
    assert "piano" not in settle("art song without piano", seed=seed).instruments
    assert not {"piano", "guitar"} & set(settle("romantic, no piano, no guitar", seed=seed).instruments)
    assert settle("not baroque, not ragtime", seed=seed).style not in ("baroque", "ragtime")
    assert settle("waltz, not sad", seed=seed).key.mode == "major"
    assert settle("chorale not in 4/4", seed=seed).metre != (4, 4)
    assert settle("baroque, not in D minor", seed=seed).key != Key(2, "minor")


def test_refusing_every_instrument_is_one_sentence():
    with pytest.raises(ValueError, match="every instrument is refused"):
        settle("no " + " or ".join(INSTRUMENTS))


def test_chords_that_are_played_as_others_are_said():
    got = settle("piano", chords="C9 | N.C. | F/A")
    assert [[str(chord) for chord in bar] for bar in got.chords] == [["C7"], [], ["F/A"]]
    assert got.unmet == ("C9 (played as C7)", "N.C. (a bar's chords are left to the composer)")
    assert settle("piano", chords="N.C.").chords is None
    assert settle("chords C9 H7 F6 N.C. Cadd9").unmet[0] == "C9 (played as C7)"
    assert settle(instruments="drums, piano").instruments == ("piano",)
    assert settle(instruments="drums, piano").unmet[0].startswith("drums (")


@pytest.mark.parametrize(
    ("chords", "key"),
    [("Gm Cm D7 Gm", "G minor"), ("C Am Dm G7", "C major"), ("Am F C G", "A minor"), ("D G A D", "D major"),
     ("Em Am B7 Em", "E minor"), ("Bb Eb F7 Bb", "Bb major"), ("C F G", "C major"), ("F", "F major")],
)  # fmt: skip
def test_chords_settle_the_key_that_was_not_said(chords, key):
    assert str(settle(chords=chords).key) == key
    assert str(settle(f"the chords {chords} {chords}").key) == key
    assert str(settle("in A", chords=chords).key) == "A major"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("key", "H minor", "unknown key 'H minor'"),
        ("key", "", "unknown key ''"),
        ("key", 7, "key is 7; it should be a text such as 'G minor'"),
        ("tempo", 0, "tempo is 0; it should be from 20 to 300 quarters a minute"),
        ("tempo", -1, "tempo is -1; it should be from 20"),
        ("tempo", 10_000, "tempo is 10000; it should be from 20 to 300"),
        ("tempo", math.nan, "tempo is nan; it should be from 20"),
        ("tempo", math.inf, "tempo is inf; it should be from 20"),
        ("tempo", "fast", "tempo is 'fast'; it should be a number of quarters a minute"),
        ("tempo", True, "tempo is True; it should be a number"),
        ("metre", "7/0", "metre is '7/0'; it should be one of 2/4, 3/4, 4/4"),
        ("metre", "0/4", "metre is '0/4'"),
        ("metre", "3/5", "metre is '3/5'"),
        ("metre", "waltz", "metre is 'waltz'"),
        ("metre", (3,), "metre is '3'"),
        ("instruments", "drums", "instruments is 'drums'; the composer has read no music for drums"),
        ("chords", "H#", "unknown chord 'H#'"),
        ("chords", "", "no chords were given"),
        ("chords", "C || G", "bar 2 of the chords"),
        ("chords", 5, "chords is 5; it should be a text"),
        ("style", "baroqe", "unknown style 'baroqe' (did you mean 'baroque'?): it must be one of"),
        ("style", "", "unknown style ''"),
        ("style", 3, "style is 3; it should be one of chorale"),
        ("instruments", "pianno", "unknown instrument 'pianno' (did you mean 'piano'?): it must be one"),
        ("instruments", "", "instruments is ''; it should be names such as 'flute, guitar'"),
        ("instruments", [], "instruments is []; it should be names"),
        ("instruments", [3], "instruments is [3]; it should be names"),
        ("instruments", "flute,,guitar", "unknown instrument ''"),
        ("instruments", "orchestra, orchestra", "22 instruments are too many: ask for at most 12"),
        ("density", "thicc", "unknown density 'thicc'"),
        ("section", "open", "unknown section 'open' (did you mean 'opening'?): it must be"),
    ],
)  # fmt: skip
def test_mistakes_are_one_clear_sentence(option, value, sentence):
    with pytest.raises((ValueError, TypeError)) as error:
        settle(**{option: value})
    assert sentence.lower() in str(error.value).lower()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("metre", [f"{a}/{b}" for a, b in METRES]),
        ("density", DENSITIES),
        ("section", SECTIONS),
        ("style", STYLES),
    ],
)
def test_every_value_that_is_listed_is_taken(option, values):
    for value in values:
        got = getattr(settle(**{option: value}), option)
        assert got == value or "/".join(map(str, got)) == value


def test_metres_may_be_pairs_and_spaced():
    assert settle(metre=(6, 8)).metre == settle(metre=" 6 / 8 ").metre == (6, 8)


def test_instruments_are_read_in_order():
    assert instruments_named("organ") == ("church organ",)
    assert instruments_named("Flöte + 2 Violins and string trio") == (
        "flute", "violin", "violin", "violin", "viola", "cello",
    )  # fmt: skip
    assert instruments_named(["fiddle", "banjo & bass"]) == ("fiddle", "banjo", "double bass")


def test_the_tables_name_only_what_there_is():
    for instrument in INSTRUMENTS.values():
        assert 0 <= instrument.program < 128 or instrument.program == DRUMS
        assert 0 <= instrument.written_as < 128 or instrument.written_as == DRUMS
    for _, members in ENSEMBLES.values():
        assert set(members) <= set(INSTRUMENTS)
    for style in STYLES.values():
        assert {*style.at_home, *(name for _, names in style.ensembles for name in names)} <= set(INSTRUMENTS)
        assert {metre for metre, _ in (*style.metres, *style.tempos)} <= set(METRES)
        assert all(20 <= tempo <= 300 for metre in METRES for tempo in style.tempo_in(metre))
        assert 0 <= style.minor <= 1


ROWS = """\
file	title	composer	style	expected
lieder/lc1.mid	Der Leiermann	Schubert, Franz	art song	art song
quartets/q1.mid	Quartet	Haydn, Joseph	string quartet	quartet
mutopia/a.mid	Easter Hymn [Voice (SATB)]	Anonymous	Hymn	chorale
mutopia/BachJS-BWV269-x.mid	Aus meines Herzens Grunde [Harpsichord, Piano]	BachJS	Baroque	chorale
mutopia/BachJS-BWV606-x.mid	Vom Himmel hoch [Organ]	BachJS	Baroque	chorale
mutopia/BachJS-BWV846-x.mid	Fuga I [Harpsichord, Piano]	BachJS	Baroque	baroque
mutopia/BachJS-BWV851-x.mid	Fuga VI [Harpsichord, Piano]	BachJS	Classical	baroque
mutopia/b.mid	Prelude: Op. 28, No. 20 [Piano]	ChopinFF	Classical	romantic
mutopia/c.mid	Sonata [Piano]	BeethovenLv	Classical	classical
mutopia/d.mid	Die Forelle [Voice and Piano]	SchubertF	Classical	art song
mutopia/e.mid	Quartettsatz [String Quartet]	SchubertF	Romantic	quartet
mutopia/f.mid	160 Exercises, No. 1 [Piano]	CzernyC	Technique	classical
mutopia/g.mid	Clair de Lune [Piano]	DebussyC	Modern	romantic
mutopia/h.mid	Hands across the Sea [Piano]	SousaJP	Classical	march
mutopia/i.mid	Eugenia [Piano]	JoplinS	Song	ragtime
mutopia/j.mid	Soldier's Joy [Violin, Guitar]	Traditional	Folk	folk
mutopia/k.mid	Kappore [Shakuhachi]	Traditional	Folk	japanese
mutopia/l.mid	Pavan 2 [Vihuela, Guitar]	MilanL	Renaissance	renaissance
mutopia/Mendelssohn-BartholdyF-O61-x.mid				romantic
mutopia/m.mid	Amaryllis [Piano]	SomebodyElse		romantic
"""


@pytest.mark.parametrize("row", list(csv.DictReader(io.StringIO(ROWS), delimiter="\t")), ids=lambda row: row["file"])
def test_training_scores_find_their_style(row):
    assert style_of(row) == row["expected"]
