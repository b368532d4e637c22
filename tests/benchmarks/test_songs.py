import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.score import NOTE, Score

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import composers
import corpus
import judges
import song_features
import song_measures
import songs
from readings import Reading, alike, printed
from trees import Forest

SCALE = np.array([60, 62, 64, 65, 67, 69, 71, 72])


def score_of(*rows, metre=(4, 4), key=None, length=0.0):
    notes = np.array([(start, duration, pitch, 80, 0, False) for start, duration, pitch in rows], NOTE)
    return Score(notes, metres=((0.0, metre),), key=key and Key.parse(key), length=length)


def line(pitches, step=1.0, at=0.0):
    return [(at + i * step, step, pitch) for i, pitch in enumerate(pitches)]


def tune(rng, bars=32, metre=(4, 4), repeats=True):
    """Eighths over the C major scale; eight bars and the same again where it repeats; ends on C."""
    per_bar = metre[0] * 8 // metre[1]
    half = bars * per_bar // 4 if repeats else bars * per_bar
    walk = SCALE[np.clip(np.cumsum(rng.integers(-2, 3, half)) % 14, 0, 7)]
    pitches = (np.tile(walk, 4) if repeats else walk).tolist()
    rows = line(pitches, 0.5)
    return score_of(*rows[:-1], (rows[-1][0], 0.5, 60), metre=metre)


# settling


def test_a_settled_score_has_no_marks_of_its_file():
    rows = [(0.02, 0.95, 64), (1.01, 0.9, 67), (2.0, 0.52, 65), (2.51, 1.4, 62), (4.0, 4, 60)]
    notes = np.array([(s, d, p, 30 + p, 40, False) for s, d, p in rows], NOTE)
    drums = np.array([(0.0, 1.0, 36, 99, 0, True)], NOTE)
    found = corpus.settled(Score(np.concatenate([notes, drums]), tempos=((0.0, 61.0), (2.0, 70.0))), "hymn")
    assert found.notes["start"].tolist() == [0, 1, 2, 2.5, 4]
    assert found.notes["duration"].tolist() == [1, 1, 0.5, 1.5, 4]
    assert set(found.notes["velocity"].tolist()) == {80} and set(found.notes["program"].tolist()) == {0}
    assert found.length == 8 and found.key is not None


def test_one_pitch_of_two_instruments_is_one_note():
    notes = np.array([(0, 4, 60, 80, 40, False), (0, 4, 60, 80, 73, False), (0, 4, 64, 80, 73, False)], NOTE)
    assert corpus.settled(Score(notes), "quartet").notes["pitch"].tolist() == [60, 64]


def test_empty_bars_at_both_ends_are_cut_and_drums_alone_are_refused():
    found = corpus.settled(score_of(*line([60, 62, 64, 65], at=8.0), length=24), "hymn")
    assert found.length == 4 and found.notes["start"].min() == 0
    drums = np.array([(0.0, 1.0, 36, 99, 0, True)], NOTE)
    with pytest.raises(ValueError, match="no notes with a pitch"):
        corpus.settled(Score(drums), "hymn")


def test_a_last_note_that_rings_on_makes_no_bar():
    found = corpus.settled(score_of(*line([60, 62, 64]), (3, 9, 65)), "hymn")
    assert found.length == 4 and found.notes["duration"].tolist() == [1, 1, 1, 1]


def test_of_a_tune_the_melody_is_measured():
    melody, chords = line([72, 74, 76, 77] * 2), [(bar * 4, 4, p) for bar in range(2) for p in (48, 52, 55)]
    notes = np.array([(*row, 80, 73, False) for row in melody] + [(*row, 80, 0, False) for row in chords], NOTE)
    assert corpus.settled(Score(notes), "reel").notes["pitch"].tolist() == [72, 74, 76, 77] * 2
    assert len(corpus.settled(Score(notes), "hymn").notes) == 14


def test_the_top_voice_ends_where_the_next_note_begins():
    voice = corpus.top_voice(score_of((0, 4, 72), (1, 1, 60), (4, 2, 70), (5, 1, 74), (5, 1, 50)).notes)
    assert voice["pitch"].tolist() == [72, 70, 74]
    assert voice["duration"].tolist() == [4, 1, 1]


def test_passages_are_the_first_and_the_last_16_bars():
    song = corpus.Song(tune(np.random.default_rng(0), bars=40), "reel", "r")
    first, last = corpus.passages(song)
    assert (first.opens, first.closes, last.opens, last.closes) == (True, False, False, True)
    assert first.score.length == last.score.length == 64
    short = corpus.Song(tune(np.random.default_rng(0), bars=8), "reel", "r")
    [whole] = corpus.passages(short)
    assert whole.opens and whole.closes
    assert corpus.passages(corpus.first_bars(short, 4)) == []


@pytest.mark.parametrize(
    ("file", "style", "label"),
    [
        ("oneill/1.mid", "Jig", "jig"), ("ryan/1.mid", "Clog", "hornpipe"), ("oneill/2.mid", "March", None),
        ("polish/1.mid", "Galop", "polka"), ("lieder/1.mid", "art song", "art song"), ("drums/1.mid", "Drum", None),
        ("mutopia/JoplinS-x.mid", "Jazz", "ragtime"), ("leadsheets/1.mid", "Lead sheet", "lead sheet"),
    ],
)  # fmt: skip
def test_labels(file, style, label):
    assert corpus.label_of({"file": file, "title": "", "composer": "", "style": style}) == label


def test_every_label_has_words_and_every_dance_a_label():
    assert set(composers.WORDS) == set(corpus.LABELS)
    assert {label for label, _ in composers.DANCES} <= set(corpus.LABELS)


# measures


def test_a_tune_that_repeats_is_alike_where_it_repeats():
    rng = np.random.default_rng(1)
    repeats, free = (song_measures.form(Reading(tune(rng, repeats=on))) for on in (True, False))
    assert repeats["alike at 8 bars"] > 0.9 > 0.3 > free["alike at 8 bars"]
    assert repeats["bars that return"] > 0.7 > 0.3 > free["bars that return"]
    assert repeats["rhythm alike at 4 bars"] == free["rhythm alike at 4 bars"] == 1
    short = song_measures.form(Reading(score_of(*line(range(60, 76)))))
    assert np.isnan(short["alike at 16 bars"])


def test_a_sequence_returns_moved():
    pitches = [60, 64, 62, 60, 62, 65, 64, 62, 64, 68, 66, 64, 66, 70, 68, 66]
    found = song_measures.form(Reading(score_of(*line(pitches))))
    assert found["bars that return"] == 0
    assert found["bars that return, moved"] == pytest.approx(2 / 3)  # the last two are the first, moved


def test_bars_are_alike_by_what_they_share():
    bars = [frozenset({(0, 60), (12, 62)}), frozenset({(0, 60), (12, 64)}), frozenset(), frozenset()]
    assert alike(bars, 1).tolist() == [pytest.approx(1 / 3), 0, 0]


def test_melody_counts_steps_and_leaps_resolved():
    found = song_measures.melody(Reading(score_of(*line([60, 62, 64, 72, 71, 71, 62, 55]))))
    assert found["steps"] == pytest.approx(3 / 6)
    assert found["leaps resolved"] == pytest.approx(
        1 / 2
    )  # of 8 up, and of 9 down: the last leap has no note behind it
    assert found["repeated notes"] == pytest.approx(1 / 7)


def test_oom_pah_is_heard_under_a_melody():
    melody = line([76, 77, 79] * 8)
    waltz = [(3 * bar, 1, 43) for bar in range(8)]
    waltz += [(3 * bar + beat, 1, p) for bar in range(8) for beat in (1, 2) for p in (55, 59, 62)]
    found = song_measures.accompaniment(Reading(score_of(*melody, *waltz, metre=(3, 4))))
    assert found["bass on the first beat"] == found["chords off the bass"] == found["oom-pah"] == 1
    held = [(3 * bar, 3, p) for bar in range(8) for p in (43, 55, 59, 62)]
    found = song_measures.accompaniment(Reading(score_of(*melody, *held, metre=(3, 4))))
    assert found["oom-pah"] == 0
    assert all(np.isnan(v) for v in song_measures.accompaniment(Reading(score_of(*melody, metre=(3, 4)))).values())


def test_an_ending_ends():
    cadence = [(0, 4, p) for p in (55, 59, 62, 65)] + line([67, 65, 62, 65]) + [(4, 4, p) for p in (48, 64, 67, 72)]
    found = song_measures.ending(Reading(score_of(*cadence, key="C")))
    assert found == dict.fromkeys(found, 1.0)
    trails = [*cadence[:-1], (4, 1, 72), (5, 1, 71), (6, 1, 69), (6.5, 3.5, 38)]
    found = song_measures.ending(Reading(score_of(*trails, key="C")))
    assert found == dict.fromkeys(found, 0.0) | {"last note is long": found["last note is long"]}


def test_a_voice_that_goes_on_alone_is_no_common_end():
    chords = [(i, 1, p) for i in range(4) for p in (48, 64, 67, 72)]
    assert song_measures.ending(Reading(score_of(*chords)))["last notes end together"] == 1
    assert song_measures.ending(Reading(score_of(*chords, (4, 1, 48))))["last notes end together"] == 0
    alone = score_of(*line([60, 62, 64, 60]))
    assert song_measures.ending(Reading(alone))["last notes end together"] == 1  # a melody is never more than one


def test_rhythm_distance_knows_a_jig_from_a_reel():
    rng = np.random.default_rng(2)
    jigs = [song_measures.rhythm(Reading(tune(rng, metre=(6, 8)))) for _ in range(2)]
    reel = song_measures.rhythm(Reading(tune(rng)))
    assert jigs[0].sum() == pytest.approx(2) and reel.sum() == pytest.approx(2)
    assert song_measures.rhythm_distance(jigs[0], jigs[0]) == 0
    assert song_measures.rhythm_distance(jigs[0], jigs[1]) < 0.2 < song_measures.rhythm_distance(jigs[0], reel)


# judges


def test_a_forest_learns_what_a_straight_line_cannot():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (600, 5))
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(int) + 1  # no row of class 0
    found = Forest(3, 40).fit(x[:400], y[:400]).probabilities(x[400:])
    assert found.sum(axis=1) == pytest.approx(np.ones(200))
    assert (found.argmax(axis=1) == y[400:]).mean() > 0.85
    again = Forest(3, 40).fit(x[:400], y[:400]).probabilities(x[400:])
    assert (found == again).all()


def test_classes_weigh_the_same_in_a_forest():
    x = np.zeros((100, 1))  # nothing to tell the classes by
    found = Forest(2, 5).fit(x, np.repeat([0, 1], [90, 10])).probabilities(x[:1])
    assert found[0].tolist() == pytest.approx([0.5, 0.5])


def group(rng, label, count, metre, **kind):
    return [corpus.Song(tune(rng, 16, metre, **kind), label, f"{label} {i}") for i in range(count)]


def test_the_judge_of_kinds_and_the_judge_of_real(monkeypatch):
    monkeypatch.setattr(judges, "TREES", 40)
    rng = np.random.default_rng(4)
    known = judges.described([*group(rng, "jig", 16, (6, 8)), *group(rng, "reel", 16, (4, 4))])
    asked = judges.described([*group(rng, "jig", 4, (6, 8)), *group(rng, "reel", 4, (4, 4))])
    found = judges.recognised(judges.StyleJudge(known).kinds(asked))
    assert {label: (row["songs"], row["share"]) for label, row in found.items()} == {"jig": (4, 1.0), "reel": (4, 1.0)}
    assert judges.recognised_across(known)["jig"]["songs"] == 16

    real = judges.described(group(rng, "reel", 40, (4, 4)))
    free = judges.described(group(rng, "reel", 40, (4, 4), repeats=False))
    alike = judges.described(group(rng, "reel", 40, (4, 4)))
    with pytest.raises(ValueError, match=r"needs two with 8 passages or more, not \{'reel': 40\}"):
        judges.StyleJudge(real)
    told = judges.two_samples(real, free, {"hymns": ("hymn",)})
    assert set(told) == {"all"} and told["all"]["real"] == told["all"]["made"] == 40
    assert told["all"]["accuracy"] > 0.9
    chance = judges.two_samples(real, alike, {})["all"]
    assert abs(chance["accuracy"] - 0.5) < 3 * chance["standard error"] + 0.05
    assert "alike" in " ".join(judges.apart(real, free))


def test_features_see_neither_tempo_nor_velocity_nor_key():
    score = tune(np.random.default_rng(5), 16)
    moved = score.transposed(2)
    faster = Score(moved.notes, tempos=((0.0, 200.0),), metres=moved.metres)
    faster.notes["velocity"] = 20
    one, other = (
        song_features.features(corpus.passages(corpus.Song(corpus.settled(s, "reel"), "reel", "r"))[0])
        for s in (score, faster)
    )
    differ = {name for name in one if one[name] != pytest.approx(other[name], abs=1e-5)}
    assert differ == {"melody lies", "bass lies"}  # how high it lies is seen


def test_a_pair_of_real_pieces_is_alike_in_metre():
    rng = np.random.default_rng(6)
    mixed = [*group(rng, "jig", 2, (6, 8)), *group(rng, "jig", 2, (4, 4))]
    pairs = judges.nearest(mixed[:2], mixed[::-1])
    assert [b.score.metres[0][1] for _, b in pairs] == [(6, 8), (6, 8)]
    assert pairs[0][1].name != pairs[1][1].name or pairs[0][1] is not pairs[1][1]


# the whole


def test_twins_are_asked_for_what_the_real_song_is():
    score = tune(np.random.default_rng(7), 40, (6, 8))
    song = corpus.Song(corpus.settled(score, "jig"), "jig", "oneill/1.mid")
    request = composers.twin(song)
    asked = (64, (6, 8), 120.0, composers.WORDS["jig"])  # the first 32 bars, of which each part is played twice
    assert (request.bars, request.metre, request.tempo, request.words) == asked
    assert composers.file_name(request) == "oneill_1"
    assert composers.twin(song) == request
    assert composers.twin(replace(song, label="air")).bars == 32


def test_a_twin_is_asked_for_as_a_tune_with_its_repeats_is_played():
    """Sixteen bars in print, whether the file has the repeats and an upbeat or not."""
    rng = np.random.default_rng(10)
    first, second = (rng.choice(SCALE, 48).tolist() for _ in range(2))
    upbeat = [(2.5, 0.5, 67)]
    once, twice = (line([*first * n, *second * n], 0.5) for n in (1, 2))
    later = [(start + 3, duration, pitch) for start, duration, pitch in twice]
    for rows, bars in ((once, 16), (twice, 32), ([*upbeat, *later], 33)):
        song = corpus.Song(corpus.settled(score_of(*rows, metre=(6, 8)), "jig"), "jig", "a")
        assert corpus.bars_of(song) == bars
        [passage] = corpus.passages(printed(song))
        assert len(passage.score.bar_starts()) == 16 and passage.opens and passage.closes
        assert passage.score.notes["start"].min() == 0
        assert composers.twin(song).bars == 32


def write_folder(folder, rng, count):
    folder.mkdir()
    rows = ["\t".join(("file", "title", "composer", "style"))]
    (folder / "oneill").mkdir()
    for i in range(count):
        style, metre = (("Jig", (6, 8)), ("Reel", (4, 4)))[i % 2]
        tune(rng, 32, metre).save_midi(folder / "oneill" / f"{i}.mid")
        word = "".join(chr(97 + int(c)) for c in rng.integers(0, 26, 9))
        rows.append(f"oneill/{i}.mid\t{word}\tSomeone\t{style}")
    (folder / "index.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_songs_are_measured_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(judges, "TREES", 10)
    rng = np.random.default_rng(8)
    write_folder(tmp_path / "scores", rng, 100)
    cache = tmp_path / "songs.npz"
    train, held_out = corpus.read_songs(tmp_path / "scores", cache)
    again = corpus.read_songs(tmp_path / "scores", cache)
    assert [song.name for song in again[1]] == [song.name for song in held_out]
    assert (again[1][0].score.notes == held_out[0].score.notes).all()
    assert again[1][0].score.key == held_out[0].score.key
    for song in held_out:
        made = tmp_path / "made" / song.label
        made.mkdir(parents=True, exist_ok=True)
        tune(rng, 32, (4, 4), repeats=False).save_midi(made / f"{composers.file_name(composers.twin(song))}.mid")
    arguments = ["songs.py", "--scores", tmp_path / "scores", "--songs", tmp_path / "made", "--cache", cache]
    monkeypatch.setattr(sys, "argv", [str(a) for a in [*arguments, "--sheet", tmp_path / "s.png", "--learned", "20"]])
    songs.main()
    assert (tmp_path / "s.png").stat().st_size > 5000
    shown = capsys.readouterr().out
    assert "kind taken for itself" in shown and f"{len(held_out)} piano rolls" in shown
    made = composers.read_folder(tmp_path / "made")
    report = songs.measured(train, held_out, made, made[:2], 20, lambda text, report: None)
    assert report["measures"]["alike at 8 bars"]["real"] > 0.9 > report["measures"]["alike at 8 bars"]["made"]
    assert report["kinds"]["made"]["reel"]["share"] > report["kinds"]["made"]["jig"]["share"]  # all are in 4/4
    assert report["copying"]["real"]["worst"] < 64


def test_a_folder_of_songs_is_named_by_labels(tmp_path):
    with pytest.raises(ValueError, match="holds no songs"):
        composers.read_folder(tmp_path)
    (tmp_path / "gavotte").mkdir()
    tune(np.random.default_rng(9)).save_midi(tmp_path / "gavotte" / "1.mid")
    with pytest.raises(ValueError, match="named by a label: air, art song"):
        composers.read_folder(tmp_path)


def test_no_song_is_played_to_be_measured():
    import clavilux

    with composers.silent():
        song = clavilux.load("aria").generate("jig for solo fiddle", seconds=3, seed=1)
    played = clavilux.load("aria").generate("jig for solo fiddle", seconds=3, seed=1)
    assert (song.score.notes == played.score.notes).all()
    assert song.samples.shape[1] == 1 < played.samples.shape[1]
