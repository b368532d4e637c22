"""Artists, genres and lyrics as ids."""

import json

import pytest

from clavilux.families.jukebox.labels import ALPHABETS, Lists, alphabet_of, label_ids, read_lyrics, spelled

COUNTS = {2: 7, 1: 4, 0: 4}


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "v3_artists.txt").write_text("unknown;0\nAda Alto;3\nThe B's;6\n", encoding="utf-8")
    (tmp_path / "v2_artists.txt").write_text("unknown\nada_alto\nzoé\n\n", encoding="utf-8")
    (tmp_path / "genres.json").write_text(json.dumps({"pop": 5, "hip hop": 1, "pop.v2": 2, "jazz.v2": 3}))
    (tmp_path / "notes.txt").write_text("no list")
    return Lists(tmp_path)


def test_a_name_has_another_number_in_each_list(lists):
    notes = []
    assert label_ids("artist", "ada ALTO", lists, COUNTS, notes) == {2: (3,), 1: (1,), 0: (1,)}
    assert label_ids("genre", "Pop", lists, COUNTS, notes) == {2: (5,), 1: (2,), 0: (2,)}
    assert not notes
    assert label_ids("artist", "The B´s", lists, COUNTS, notes) == {2: (6,), 1: (0,), 0: (0,)}
    assert notes == ["level 1 does not know the artist 'The B´s'", "level 0 does not know the artist 'The B´s'"]
    assert label_ids("genre", "hip hop, 3", lists, {2: 7, 1: 7}, []) == {2: (1, 3), 1: (1, 3)}
    assert label_ids("artist", "Zoe", lists, {0: 4}, []) == {0: (2,)}


def test_numbers_need_no_list():
    notes = []
    assert label_ids("artist", 6, Lists(), COUNTS, notes) == {2: (6,), 1: (0,), 0: (0,)}
    assert "another list of artists, so number 6 is nobody there" in notes[0]
    assert label_ids("genre", ["1", 2], Lists(), {1: 4, 0: 4}, []) == {1: (1, 2), 0: (1, 2)}
    with pytest.raises(ValueError, match="genre is number 4; the prior of level 1 knows 0 to 3"):
        label_ids("genre", "4", Lists(), {1: 4}, [])
    with pytest.raises(TypeError, match="artist is 1.5; it should be a name or a number"):
        label_ids("artist", 1.5, Lists(), COUNTS, [])


def test_an_unknown_name_is_told_the_nearest(lists):
    with pytest.raises(ValueError, match="the artist 'Ada Alta' is not known; near are ada_alto$"):
        label_ids("artist", "Ada Alta", lists, COUNTS, [])
    with pytest.raises(ValueError, match="the genre 'zzz' is not known; near are hip_hop, pop"):
        label_ids("genre", "zzz", lists, COUNTS, [])
    with pytest.raises(
        ValueError, match="the artist 'x' is a name, and .* holds no fitting list; give its number, 0 to 1"
    ):
        label_ids("artist", "x", lists, {0: 2}, [])


def test_lists_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="are no folder"):
        Lists(tmp_path / "nothing")
    (tmp_path / "artists.json").write_text('{"a": "b"}')
    with pytest.raises(ValueError, match=r"artists.json' is no list of names: it should hold names and whole numbers"):
        Lists(tmp_path)


def test_lyrics_are_spelled_as_the_model_knows_them(tmp_path):
    notes = []
    text, found = spelled("Café “Lá”\nñ+ー", alphabet_of(tmp_path, 79), notes)
    assert text == 'Cafe "La"\nn' and found[:4] == (3, 27, 32, 31) and 0 not in found
    assert notes == ["2 characters of the lyrics are not known and left out: +ー"]
    assert spelled("+", alphabet_of(tmp_path, 80), [])[0] == "+"
    assert [len(ALPHABETS[count]) for count in (79, 80)] == [78, 79]
    with pytest.raises(ValueError, match="reads 30 kinds of characters, and which is not known"):
        alphabet_of(tmp_path, 30)
    (tmp_path / "lyrics.json").write_text(json.dumps({"a": 1, "b": 2, "<unk>": 0}))
    assert spelled("abc", alphabet_of(tmp_path, 30), notes)[1] == (1, 2)


def test_lyrics_come_from_a_file_as_well(tmp_path):
    (tmp_path / "song.txt").write_text("la\nlu", encoding="utf-8")
    assert read_lyrics(str(tmp_path / "song.txt")) == read_lyrics("la\nlu") == "la\nlu"
    with pytest.raises(ValueError, match="lyrics cannot be read: there is no file .*nothing.txt"):
        read_lyrics("nothing.txt")
    with pytest.raises(TypeError, match="lyrics is int"):
        read_lyrics(3)
