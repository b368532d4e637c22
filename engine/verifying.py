"""`clavilux.verify`: what is known of where a file comes from.

Knows files and folders. How credentials are read, and how marks are found, is `provenance`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from clavilux.audio import io as sounds
from clavilux.files import MIDI_ENDINGS, PathLike, check_readable, is_score, read_text
from clavilux.mark_key import PUBLIC, MarkKey, read_key
from clavilux.provenance import credentials, keys
from clavilux.provenance.formats import BESIDE, EMBEDDED
from clavilux.provenance.identity import blocks
from clavilux.provenance.verdict import Mark, Nearest, Verdict

if TYPE_CHECKING:
    from clavilux.audio.codecs import NeuralCodec
    from clavilux.families.aria.family import Aria
    from clavilux.marking import MarkedTokens
    from clavilux.model import Model


def verify(
    path: PathLike,
    *,
    trust: PathLike | None = None,
    mark_key: PathLike | None = None,
    model: str | Path | None = None,
    nearest: bool = False,
) -> Verdict:
    """Read the credentials of a sound, a picture or a score, whether or not it can be decoded.

    Args:
        path: of the file. Beside an .ogg or .mid file, `song.ogg.c2pa` is looked at.
        trust: a PEM file with certificates that are trusted besides the user's own.
        mark_key: the file of a private key whose mark is looked for, as the public one's is.
        model: a checkpoint, as `clavilux.load` takes it: of pictures, whose codec reads pictures instead of lumia's, or
            of sound, whose codec reads sounds too.
        nearest: whether to look for the work that a score (MIDI, ABC, MusicXML) or a picture is nearest to, among those
            that aria and lumia were taught.

    Returns:
        A `Verdict`: `credentials` ("valid", "changed" or "absent", who vouches for the signer, the signed receipt),
        `marks`, `nearest` where it was asked for, and `says`, a sentence on all of it.

    Raises:
        ValueError: nothing is there, it is empty or no regular file, `trust` holds no certificate, `mark_key` no
            key, or `model` has no codec that reads pictures or sounds.
        CheckpointError: `model` cannot be loaded.
    """
    path = check_readable(path, "sound, picture or score")
    found = credentials.read(path, keys.known(), certificates(trust))
    searched = [PUBLIC] + ([] if mark_key is None else [read_key(mark_key)])
    marks, remarks = _marks(path, searched, None if model is None else _loaded(str(model)))
    near = None
    if nearest:
        try:
            near = _nearest(path)
        except ValueError as error:
            remarks += (f"nothing could be said of what it is nearest to: {error}",)
    return Verdict(path, found, marks, remarks, near)


def _marks(path: Path, searched: list[MarkKey], model: Model | None) -> tuple[tuple[Mark, ...], tuple[str, ...]]:
    """(what was found of each key, what could not be looked at). What no decoder reads stops no verdict."""
    ending = path.suffix.lower()
    try:
        if ending in MIDI_ENDINGS:
            return _in_notes(path, searched), ()
        if ending in sounds.FORMATS:
            return _in_sound(path, searched, model), ()
        if EMBEDDED.get(ending, "").startswith("image/"):
            return _in_picture(path, searched, model), ()
    except ValueError as error:
        return (), (f"no mark could be looked for: {error}",)
    return (), ()


def _in_notes(path: Path, searched: list[MarkKey]) -> tuple[Mark, ...]:
    from clavilux.audio.score import Score
    from clavilux.families.aria.chances import note_chances
    from clavilux.provenance.mark_scores import find_in_parts

    score = Score.from_midi(path)
    return find_in_parts(score, searched, functools.partial(note_chances, _composer()))


@functools.lru_cache(maxsize=1)
def _composer() -> Aria:
    """The bundled composer, which says where a note had a choice."""
    from clavilux.loading import load

    return cast("Aria", load("aria", device="cpu").family)


def _in_sound(path: Path, searched: list[MarkKey], model: Model | None) -> tuple[Mark, ...]:
    from clavilux.audio.clip import Audio
    from clavilux.provenance.mark_codecs import find_in_codec_sound
    from clavilux.provenance.mark_sounds import find_in_sound

    sound = Audio.load(path)
    found = find_in_sound(sound, searched)
    for codec, marked in _ears(model):
        found += tuple(find_in_codec_sound(sound, key, codec, marked) for key in searched)
    return found


def _ears(model: Model | None) -> Iterator[tuple[NeuralCodec, MarkedTokens]]:
    """The codec that hears the tokens of a model's mark, if it has one; of a Jukebox the top level's."""
    from clavilux.audio.codecs import NeuralCodec
    from clavilux.families.jukebox.model import JukeboxModel
    from clavilux.music_model import MusicModel

    if isinstance(model, JukeboxModel):
        yield model.family.codec.level(model.family.files.top), model.family.marked
    elif isinstance(model, MusicModel) and isinstance(model.family.stage.codec, NeuralCodec):
        yield model.family.stage.codec, model.family.marked


def _in_picture(path: Path, searched: list[MarkKey], model: Model | None) -> tuple[Mark, ...]:
    from clavilux.image.picture import Picture
    from clavilux.image_model import ImageModel
    from clavilux.provenance.mark import of_tries, surest_of
    from clavilux.provenance.mark_pictures import find_in_picture, readings_of
    from clavilux.provenance.mark_pixels import LUMIA, find_in_pixels

    picture = Picture.load(path)
    named = model.family if isinstance(model, ImageModel) else None
    in_pixels = find_in_pixels(picture, searched, LUMIA if named is None else named.size)
    # As many looks as there would be with the tokens, which take seconds to read and could only lower the p-value.
    counted = tuple(replace(mark, p=of_tries(mark.p, 2)) for mark in in_pixels)
    if all(mark.found for mark in counted):
        return counted
    family = named or _loaded("lumia").family
    readings = readings_of(picture, family.stage.codec, family.marked, family.size)
    in_tokens = [find_in_picture(key, readings, family.marked) for key in searched]
    return tuple(map(surest_of, zip(in_tokens, in_pixels, strict=True)))


def _nearest(path: Path) -> Nearest:
    """ValueError for what cannot be compared."""
    from clavilux.provenance import nearest_index

    if is_score(path):
        from clavilux.audio.notation.files import read_score
        from clavilux.provenance.nearest_scores import nearest_to_score

        return nearest_to_score(nearest_index.load("scores"), read_score(path))
    if EMBEDDED.get(path.suffix.lower(), "").startswith("image/"):
        from clavilux.image.picture import Picture
        from clavilux.provenance.mark_pictures import tiles_of
        from clavilux.provenance.nearest_pictures import SIDE, nearest_to_pictures

        picture = Picture.load(path)
        tiles = [tile.pixels.numpy() for tile in tiles_of(picture, SIDE) or [picture]]
        return nearest_to_pictures(nearest_index.load("pictures"), tiles)
    raise ValueError(
        "it is a sound, and notes are compared; give the score that it was played from, as --midi writes it"
        if path.suffix.lower() in sounds.FORMATS
        else "scores (MIDI, ABC, MusicXML) and pictures are compared"
    )


@functools.lru_cache(maxsize=2)
def _loaded(name: str) -> Model:
    """A model whose codec reads: a folder of files is looked at with one. ValueError where none does."""
    from clavilux.image_model import ImageModel
    from clavilux.loading import load

    model = load(name, device="cpu")
    if isinstance(model, ImageModel) or any(_ears(model)):
        return model
    raise ValueError(f"the model {name!r} has no codec that reads pictures or sounds; MusicGen and lumia have one")


def media_in(folder: PathLike) -> Iterator[Path]:
    """The files in a folder, and in those below it, whose names are of sounds, pictures or scores; sorted."""
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() in EMBEDDED | BESIDE and path.is_file() and not path.name.startswith("."):
            yield path


def certificates(trust: PathLike | None) -> bytes:
    """The certificates of a PEM file, without any private key. ValueError for none."""
    if trust is None:
        return b""
    found = [each for each in blocks(read_text(trust).encode()) if each.startswith(b"-----BEGIN CERTIFICATE-----")]
    if not found:
        raise ValueError(f"{str(trust)!r} holds no certificate; it should be a PEM file with one or more")
    return b"".join(found)
