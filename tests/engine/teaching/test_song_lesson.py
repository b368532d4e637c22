"""A song's lesson: what is found, what is heard and asked, its page; and what is refused."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import clavilux
from clavilux.audio.clip import Audio
from clavilux.audio.harmony import Key
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score
from clavilux.teaching import examples, song_exercises, song_lesson
from clavilux.teaching.song_facts import RECORDING, facts_of
from clavilux.teaching.song_parts import song_sections

RENDERED = examples.clip_of
HYMN = "C3 G3 E4 C5|F3 A3 F4 C5|G3 G3 D4 B4|C3 G3 E4 C5|A3 A3 E4 C5|D3 A3 F4 A4|G3 G3 F4 B4|C3 G3 E4 C5"
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def hymn(turns=2):
    """Four bars a turn, two chords a bar, four voices; what two of them sing together is one note."""
    rows = []
    for turn in range(turns):
        for index, chord in enumerate(HYMN.split("|")):
            for name in chord.split():
                pitch = STEPS[name[0]] + 12 * (int(name[1]) + 1)
                rows.append((turn * 16 + index * 2.0, 2.0, pitch, 80, 19, False, 0))
    return Score(np.array(rows, dtype=PART_NOTE), ((0.0, 120.0),), key=Key(0, "major"))


class Writer:
    """Writes bars anew by moving their notes up: another one for each seed. The composer itself is tried elsewhere."""

    def generate(self, prompt, *, continue_from, regenerate, seed):
        first = float(continue_from.score.bar_starts()[int(regenerate.split("-")[0]) - 1])
        notes = continue_from.score.notes.copy()
        notes["pitch"][notes["start"] >= first] += seed % 5 + 1
        return Audio(continue_from.samples, continue_from.sample_rate, score=replace(continue_from.score, notes=notes))


def ticking(score):
    """A sound of a score that is made at once: a tone as high as its first note."""
    pitch = float(score.notes["pitch"][0]) if len(score.notes) else 60.0
    time = torch.arange(round(0.3 * 8000)) / 8000
    return Audio(0.1 * torch.sin(2 * torch.pi * 440 * 2 ** ((pitch - 69) / 12) * time)[None], 8000, score=score)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without the composer, whose loading takes longer than all else, and without sampled instruments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(song_lesson, "load", lambda *_, **__: Writer())
        patch.setattr(song_lesson, "MusicModel", Writer)
        patch.setattr(examples, "clip_of", ticking)
        yield


@pytest.fixture(scope="module")
def lesson():
    return clavilux.teach(hymn())


class Page(HTMLParser):
    """The tags of a page, and whether each is closed."""

    VOID = ("meta", "link", "img", "br", "rect", "line")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_facts_are_plain_and_right(lesson):
    facts = json.loads(json.dumps(lesson.as_dict()))["facts"]
    assert facts["key"] == "C major" and facts["metre"] == "4/4" and facts["bars"] == 8
    assert [(part["name"], part["bar"], part["bars"]) for part in facts["form"]] == [("A", 1, 4), ("A", 5, 4)]
    assert [chord["numeral"] for chord in facts["chords"]][:7] == ["I", "IV", "V", "I", "vi", "ii", "V7"]
    assert facts["cadences"][-1] == {"bar": 8, "kind": "perfect authentic", "numerals": ["V7", "I"], "key": "C major"}
    assert facts["instruments"] == [{"name": "church organ", "notes": 58, "lowest": 48, "highest": 72}]


def test_there_is_something_of_each_part_and_all_of_it_sounds(lesson):
    titles = [section.title for section in lesson.sections]
    for word in ("song", "Form", "key", "chords", "dominant", "Cadences", "Rhythm", "plays", "ear", "piece"):
        assert any(word in title for title in titles), word
    for name in ("song", "scale", "in minor", "dominant resolved", "without the seventh", "sevenths left out"):
        assert float(lesson.sounds[name].samples.abs().max()) > 0.001, name
    assert {"form", "scale", "chords", "rhythm", "ranges"} <= set(lesson.pictures)


def test_of_a_recording_one_voice_is_taught_and_no_instrument_is_named():
    facts = facts_of(hymn(), "hymn", RECORDING, ticking(hymn()))
    sections = {section.title: section for section in song_sections(facts)}
    assert "How high it goes" in sections and "Who plays, and how high" not in sections
    assert facts.as_dict()["instruments"] == []
    shown = str([section.blocks for section in sections.values()])
    assert "from C3 to C5" in shown and "hears one voice" in shown and "played by" not in shown


def test_exercises_are_of_three_levels_and_every_kind(lesson):
    kinds = {(each.topic, each.level) for each in lesson.exercises}
    assert {(topic, level) for topic in ("intervals", "chords", "cadences", "metre") for level in (1, 2, 3)} <= kinds
    assert {("harmony", 2), ("harmony", 3), ("phrases", 2), ("phrases", 3)} <= kinds
    assert all(each.answer in each.choices for each in lesson.exercises if each.choices)


def test_the_same_seed_gives_the_same_exercises_and_another_one_others():
    facts = facts_of(hymn(), "hymn", "score")
    one, again, other = (
        [each.as_dict() for each in song_exercises.exercise_sections(facts, None, seed, [])[0].blocks]
        for seed in (5, 5, 6)
    )
    assert one == again != other


def test_a_page_holds_all_it_needs(lesson, tmp_path):
    path = tmp_path / "lesson.html"
    lesson.save(path)
    text = path.read_text()
    page = Page(text)
    assert not page.open
    sources = [attrs["src"] for tag, attrs in page.tags if tag in ("audio", "img")]
    assert len(sources) > 30 and all(each.startswith("data:") for each in sources)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text) and "url(" not in text
    assert all(attrs.get("controls", "no") is None for tag, attrs in page.tags if tag == "audio")
    targets = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"} == targets
    assert path.stat().st_size < 6_000_000
    with pytest.raises(ValueError, match=r"should end in \.html"):
        lesson.save(tmp_path / "lesson.pdf")


def test_harmonising_ends_at_home_and_its_chord_holds_the_bar():
    whole = next(
        each for each in song_exercises.harmonise(facts_of(hymn(), "hymn", "score"), song_exercises.random.Random(1))
        if each.level == 3
    )  # fmt: skip
    assert whole.given["chords"][-1][1] == "C" and whole.answer.endswith("C")


def test_the_ways_on_are_the_pieces_own_and_two_others(lesson):
    pick = next(each for each in lesson.exercises if each.topic == "phrases" and each.choices)
    ways = [block.clip.score.notes["pitch"].tolist() for block in pick.shown]
    assert len({tuple(each) for each in ways}) == 3 and len(pick.choices) == 3
    assert ways[pick.choices.index(pick.answer)] == hymn(1).notes["pitch"][: len(ways[0])].tolist()


def test_an_example_is_heard_as_its_notes_are():
    score = examples.score_of([(0.0, 1.0, 69)], 60.0)
    samples = RENDERED(score).samples[0].numpy()
    spectrum = np.abs(np.fft.rfft(samples[: examples.RATE]))
    assert 435 < np.argmax(spectrum) < 446  # Hz: a second of it


def test_sevenths_are_found_and_left_out():
    score = facts_of(hymn(1), "hymn", "score").score
    marked = examples.seventh_notes(score)
    assert score.notes["pitch"][marked].tolist() == [65]  # the F of G7
    assert len(examples.without(score, marked).notes) == len(score.notes) - 1


def test_the_other_mode_moves_third_and_sixth_and_keeps_the_leading_note():
    score = facts_of(hymn(1), "hymn", "score").score
    changed = examples.in_other_mode(score, Key(0, "major"))
    moved = {
        (a - b, a % 12) for a, b in zip(score.notes["pitch"].tolist(), changed.notes["pitch"].tolist(), strict=True)
    }
    assert moved <= {(0, 0), (0, 2), (0, 5), (0, 7), (0, 11), (1, 4), (1, 9)} and (1, 4) in moved


def test_a_melody_alone_gets_chords_that_fit():
    line = hymn().notes
    score = replace(hymn(), notes=line[line["pitch"] > 68], key=None)
    facts = facts_of(score, "tune", "score")
    assert facts.implied and facts.score.chords and facts.score.chords[-1][1].root == facts.reading.key.tonic
    assert any("would fit" in str(section.blocks) for section in song_sections(facts))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Score(np.array([(0, 4, 60, 80, 0, False, 0)], dtype=PART_NOTE)), "has 1 note with a pitch"),
        (Score(np.array([(i, 1, 60, 80, 0, False, 0) for i in range(9)], dtype=PART_NOTE)), "of two pitches"),
        (Score(np.array([(i, 1, 38, 80, 0, True, 0) for i in range(9)], dtype=PART_NOTE)), "has 0 notes with a pitch"),
        (Audio(torch.zeros(1, 44100), 44100), "the melody is silent"),
    ],
    ids=["one note", "one pitch", "drums", "silence"],
)  # fmt: skip
def test_what_teaches_nothing_is_refused(source, said):
    with pytest.raises(ValueError, match=said):
        clavilux.teach(source)


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(TypeError, match="source is a int"):
        clavilux.teach(3)
    with pytest.raises(ValueError, match="there is no file"):
        clavilux.teach(tmp_path / "none.mid")
    with pytest.raises(ValueError, match="there is no file"):
        clavilux.teach("none.mid")
    hymn().save_midi(tmp_path / "hymn.mid")
    with pytest.raises(ValueError, match="leave seconds out"):
        clavilux.teach(tmp_path / "hymn.mid", seconds=10)
