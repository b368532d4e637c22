"""Files of scores, by their endings: MIDI, notation, pictures and sheets of chords out; MIDI and notation in.

Knows which format a name means. Does not know what is in one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clavilux.audio.midi_writer import midi_bytes
from clavilux.audio.score import Score
from clavilux.files import MIDI_ENDINGS, PAGE_ENDINGS, SCORE_ENDINGS, PathLike, atomic_path, check_ending
from clavilux.stamp import Stamp, public


def save_score(
    score: Score, path: PathLike, title: str = "", *, receipt: dict[str, Any] | None = None, stamp: Stamp | None = None
) -> None:
    """Write a score; the ending chooses the format: .mid, .musicxml, .abc, .svg, .png, or .txt for its chords.

    The same score gives the same bytes. In notation, times that stand on no grid are brought to the nearest that can be
    read, and controllers are left out; ABC has no velocities. Pictures need the extra `clavilux[scores]`.

    Args:
        score: with at least one note, for notation.
        path: where to.
        title: of the piece, for notation, where its receipt has no "title".
        receipt: how it was made; a MIDI file keeps it, and has its title as the name of its sequence.
        stamp: called with the finished file.

    Raises:
        ValueError: another ending, no notes, an extra that is missing, or `path` cannot be written.
        OSError: writing failed; nothing is left behind.
    """
    ending = check_ending(path, (*SCORE_ENDINGS, *PAGE_ENDINGS))
    kept = public(stamp, receipt)
    title = str(kept.get("title", title))
    data = midi_bytes(score, kept) if ending in MIDI_ENDINGS else score_bytes(score, ending, title)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        if stamp is not None:
            stamp(temporary, Path(path).name, receipt or {})


def score_bytes(score: Score, ending: str, title: str = "") -> bytes:
    """What a file with this ending, but for MIDI's, would hold. Arguments and errors as `save_score`."""
    if ending == ".txt":
        from clavilux.audio.notation.chord_sheet import chord_sheet

        return chord_sheet(score, title).encode()
    from clavilux.audio.notation.page import page_of

    page = page_of(score, title)
    if ending == ".abc":
        from clavilux.audio.notation.abc_writer import abc_text

        return abc_text(page).encode()
    from clavilux.audio.notation.musicxml_writer import musicxml_bytes

    data = musicxml_bytes(page)
    if ending == ".musicxml":
        return data
    from clavilux.audio.notation.engraving import engraved_png, engraved_svg

    return engraved_png(data) if ending == ".png" else engraved_svg(data).encode()


def read_score(path: PathLike, *, strict: bool = False) -> Score:
    """Read a score: .musicxml, .mxl or .xml as MusicXML, .abc as ABC (the first tune), anything else as MIDI.

    What is not played stands in the score's `remarks`; with `strict` it is an error where notes are lost.

    Raises:
        ValueError: the file is missing, is not what its ending says, or holds no notes.
    """
    if Path(path).suffix.lower() in (".musicxml", ".mxl", ".xml"):
        from clavilux.audio.notation.musicxml_reader import read_musicxml

        return read_musicxml(path, strict=strict)
    if Path(path).suffix.lower() == ".abc":
        from clavilux.audio.notation.abc_reader import read_abc

        return read_abc(path, strict=strict)
    return Score.from_midi(path, strict=strict)
