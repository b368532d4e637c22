"""`clavilux.teach`: a song or a picture explained, as a page with sounds, pictures and exercises.

Knows what can be given and which lesson it becomes. Does not know what is in one (`song_lesson`, `picture_lesson`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clavilux.audio.clip import Audio
from clavilux.audio.io import FORMATS as SOUND_FORMATS
from clavilux.audio.notation.files import read_score
from clavilux.audio.score import Score
from clavilux.checks import whole_number
from clavilux.files import PathLike, check_readable, is_midi, is_score
from clavilux.image.frames import PICTURES
from clavilux.image.picture import Picture
from clavilux.image_model import ImageModel
from clavilux.loading import load
from clavilux.music_model import MusicModel
from clavilux.teaching.lesson import Lesson
from clavilux.teaching.picture_lesson import picture_lesson
from clavilux.teaching.song_facts import SongFacts, facts_of, facts_of_recording
from clavilux.teaching.song_lesson import Made, song_lesson

DEFAULT_SEED = 1
_SOUNDS = (*SOUND_FORMATS, ".aif", ".aiff", ".m4a", ".opus")
_FILES = (*_SOUNDS, *PICTURES)  # beside those of scores


def teach(
    source: str | PathLike | Audio | Score | Picture,
    *,
    model: str = "aria",
    seconds: float | None = None,
    seed: int = DEFAULT_SEED,
    device: str = "auto",
) -> Lesson:
    """A lesson about a song or a picture.

    A prompt is made into a song first, or into a picture where the model paints. Of a recording the strongest voice is
    heard (`audio.transcribing`), and chords are those that fit it.

    Args:
        source: a prompt, of a song or of a picture; the path of a MIDI, MusicXML or ABC file, of a recording or of a
            picture; an `Audio`, a `Score` or a `Picture`.
        model: what makes a song or a picture of a prompt: a name, folder, file or hub id.
        seconds: how long the song of a prompt is; what the prompt says if None, else 20.
        seed: of the song or picture and of the exercises; the same seed gives the same lesson.
        device: auto, cpu, cuda or mps.

    Returns:
        `Lesson`, with its facts, sounds, pictures and exercises; `save("lesson.html")` writes its page.

    Raises:
        ValueError: a file that cannot be read, silence, a song with fewer than four notes, a picture of one color or
            with a side below 32 pixels, or an argument outside its range.
        TypeError: something else.
    """
    seed = whole_number("seed", seed, 0, (1 << 63) - 1)
    if isinstance(source, Score):
        return song_lesson(facts_of(source, "a score", "score"), "", seed)
    if isinstance(source, Audio):
        return _of_clip(source, "a clip", seed, None)
    if isinstance(source, Picture):
        title = "a picture" if source.origin is None else source.origin.stem
        return picture_lesson(source, title, seed, {"seed": seed}, device=device)
    if not isinstance(source, (str, Path)) and not hasattr(source, "__fspath__"):
        raise TypeError(
            f"source is a {type(source).__name__}; it should be a prompt, the path of a file, an Audio, a Score "
            "or a Picture"
        )
    if not _is_path(source):
        return _of_prompt(str(source), model, seconds, seed, device)
    path = Path(source)
    if seconds is not None:
        has = "is a picture" if path.suffix.lower() in PICTURES else "has a length of its own"
        raise ValueError(f"seconds is {seconds:g}, and {str(path)!r} {has}; leave seconds out")
    if path.suffix.lower() in PICTURES:
        receipt = {"file": path.name, "seed": seed}
        return picture_lesson(Picture.load(path), path.stem, seed, receipt, device=device)
    kind = "MIDI file" if is_midi(path) else "score file" if is_score(path) else "sound file"
    check_readable(path, kind)
    if kind != "sound file":
        score = read_score(path)
        made = Made({"file": path.name, "seed": seed}, score.remarks)
        return song_lesson(facts_of(score, path.stem, "score"), path.stem, seed, made)
    clip = Audio.load(path)
    return _of_clip(clip, path.stem, seed, {"file": path.name, "seed": seed})


def _is_path(source: str | PathLike) -> bool:
    """A prompt is a text that neither is a file nor is called like one."""
    if not isinstance(source, str):
        return True
    try:
        return Path(source).exists() or is_score(source) or Path(source).suffix.lower() in _FILES
    except (OSError, ValueError):  # too long for a name, a NUL
        return False


def _of_clip(clip: Audio, title: str, seed: int, receipt: dict[str, Any] | None) -> Lesson:
    facts = _facts(clip, title, "score")
    return song_lesson(facts, title, seed, Made(receipt or {"seed": seed}, clip.remarks))


def _facts(clip: Audio, title: str, source: str) -> SongFacts:
    return facts_of_recording(clip, title) if clip.score is None else facts_of(clip.score, title, source, clip)


def _of_prompt(prompt: str, name: str, seconds: float | None, seed: int, device: str) -> Lesson:
    model = load(name, device=device)
    if isinstance(model, ImageModel):
        if seconds is not None:
            raise ValueError(f"seconds is {seconds:g}, and {name!r} paints pictures; leave seconds out")
        picture = model.generate(prompt, seed=seed)
        return picture_lesson(picture, prompt, seed, dict(picture.receipt), model, device)
    if not isinstance(model, MusicModel):
        raise ValueError(f"{name!r} makes no songs of one piece and no pictures; give a model that does, such as aria")
    clip = model.generate(prompt, seed=seed, seconds=seconds)
    facts = _facts(clip, prompt, "prompt")
    return song_lesson(facts, prompt, seed, Made(dict(clip.receipt), clip.remarks, model, clip))
