"""`clavilux teach`: a page, a report, and one sentence for what cannot be taught."""

import json

import numpy as np
import soundfile
import torch
from commands import call, refuse

from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score
from clavilux.image.picture import Picture
from clavilux.teaching import picture_lesson, verbs
from clavilux.teaching.lesson import Exercise, Lesson, Section, Text


def test_a_page_and_a_report(tmp_path, monkeypatch):
    asked = {}

    def made(source, **given):
        asked.update(given, source=source)
        exercise = Exercise("intervals", 1, "Which?", ("octave", "unison"), "octave", "Twelve half steps.")
        return Lesson(
            "A lesson", "Read.", {"key": "C major"}, (Section("One", (Text("a < b"), exercise)),), {"seed": 3}
        )

    monkeypatch.setattr(verbs, "teach", made)
    page = tmp_path / "a.html"
    report = json.loads(call("teach", "slow chorale", "-o", page, "--seed", 3, "--seconds", 8, "--json").stdout)
    assert asked == {"source": "slow chorale", "model": "aria", "seconds": 8.0, "seed": 3, "device": "auto"}
    assert report["facts"] == {"key": "C major"} and report["files"] == {"page": str(page)}
    assert report["exercises"][0]["answer"] == "octave"
    assert "a &lt; b" in page.read_text()
    assert "C major" in call("teach", "slow chorale", "-o", page).stdout


def test_one_sentence_and_no_page(tmp_path, monkeypatch):
    page = tmp_path / "a.html"
    Score(np.array([(0, 4, 60, 80, 0, False, 0)], dtype=PART_NOTE)).save_midi(tmp_path / "one.mid")
    soundfile.write(tmp_path / "silence.wav", np.zeros(22050), 22050)
    (tmp_path / "text.mid").write_text("no notes")
    assert "'one' has 1 note with a pitch" in refuse("teach", tmp_path / "one.mid", "-o", page)
    assert "the melody is silent" in refuse("teach", tmp_path / "silence.wav", "-o", page)
    assert "text.mid" in refuse("teach", tmp_path / "text.mid", "-o", page)
    assert "there is no file" in refuse("teach", tmp_path / "none.mid", "-o", page)
    assert "should end in .html" in refuse("teach", "a waltz", "-o", tmp_path / "a.pdf")
    assert "leave seconds out" in refuse("teach", "red apple", "--model", "lumia", "--seconds", 3, "-o", page)
    monkeypatch.setattr(verbs, "load", lambda *_, **__: None)
    assert "makes no songs of one piece and no pictures" in refuse("teach", "a waltz", "--model", "odd", "-o", page)
    assert not page.exists()


def test_a_picture_and_one_sentence_for_what_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_lesson, "seen_by_others", lambda *_: Section("As others would see it", ()))
    page = tmp_path / "a.html"
    pixels = torch.zeros(40, 48, 3, dtype=torch.uint8)
    Picture(pixels).save(tmp_path / "blank.png")
    Picture(pixels[:20]).save(tmp_path / "tiny.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (tmp_path / "large.ppm").write_bytes(b"P6 20000 20000 255\n")
    assert "'blank' is of one color" in refuse("teach", tmp_path / "blank.png", "-o", page)
    assert "'tiny' is 48 x 20 pixels" in refuse("teach", tmp_path / "tiny.png", "-o", page)
    assert "broken.jpg" in refuse("teach", tmp_path / "broken.jpg", "-o", page)
    assert "more pixels than" in refuse("teach", tmp_path / "large.ppm", "-o", page)
    assert "is a picture; leave seconds out" in refuse("teach", tmp_path / "tiny.png", "--seconds", 3, "-o", page)
    assert not page.exists()
    pixels[:, :24] = torch.tensor([220, 120, 30], dtype=torch.uint8)
    Picture(pixels).save(tmp_path / "halves.png")
    report = json.loads(call("teach", tmp_path / "halves.png", "-o", page, "--json").stdout)
    assert report["receipt"] == {"file": "halves.png", "seed": 1} and report["facts"]["width"] == 48
    assert [each["answer"] for each in report["exercises"] if each["topic"] == "temperature"] == ["left"]
