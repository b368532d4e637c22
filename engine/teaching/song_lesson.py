"""A song's lesson put together: what is explained, what is asked, and how the song was made.

Knows the sections. Does not know what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clavilux.audio.clip import Audio
from clavilux.loading import load
from clavilux.music_model import MusicModel
from clavilux.teaching.lesson import Lesson
from clavilux.teaching.model_part import model_section
from clavilux.teaching.song_exercises import exercise_sections
from clavilux.teaching.song_facts import SongFacts
from clavilux.teaching.song_parts import song_sections

WRITER = "aria"  # writes the ways on that are to be told from the piece's own


@dataclass(frozen=True)
class Made:
    """Where a song comes from: its receipt, what was wrong with it, and the model that made it where one did."""

    receipt: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    model: MusicModel | None = None
    clip: Audio | None = None


def song_lesson(facts: SongFacts, about: str, seed: int, made: Made | None = None) -> Lesson:
    """The lesson of a song that was read; `about` is its prompt or the name of its file."""
    made = made or Made({"seed": seed})
    remarks = list(made.remarks)
    sections = song_sections(facts, about)
    writer = made.model if made.model is not None and "regenerate" in made.model.accepts else load(WRITER, device="cpu")
    assert isinstance(writer, MusicModel), "the bundled composer is one"
    sections += exercise_sections(facts, writer, seed, remarks)
    if made.model is not None and made.clip is not None:
        written = model_section(made.model, made.clip, about, made.clip.duration_s)
        sections += [written] if written is not None else []
    bars, key = len(facts.reading.bars), facts.reading.key
    lead = (
        f"{bars} bars in {key}, {facts.metre[0]}/{facts.metre[1]}: how they are built, what their chords do, and what "
        "you can train with them. Every sound on this page is inside it, so it plays without a network."
    )
    title = f"A lesson on {facts.title}" if facts.source != "prompt" else f"A lesson on: {facts.title}"
    return Lesson(title, lead, facts.as_dict(), tuple(sections), made.receipt, tuple(dict.fromkeys(remarks)))
