"""Files of music that a command is given: looked at before any work, and what is wrong with them said.

Knows options and files. Does not know what a command does with them.
"""

from __future__ import annotations

from pathlib import Path

from clavilux.files import check_readable, is_midi, is_score


def check(files: dict[str, Path | None]) -> None:
    """Refuse what is no file that can be read, before a model is looked for. Arguments and errors as `remarks_on`."""
    for path in files.values():
        if path is not None:
            check_readable(path, "MIDI file" if is_midi(path) else "score file" if is_score(path) else "sound file")


def remarks_on(files: dict[str, Path | None], strict: bool) -> list[str]:
    """What is wrong with the sound files that options name, each read once to its end; a MIDI file's remarks are given
    where it is read.

    Args:
        files: by option, such as {"--melody": Path("a.wav")}; None is passed over.
        strict: raise instead.

    Raises:
        ValueError: one of them cannot be read, or `strict` refuses it.
    """
    from clavilux.audio.notation.files import read_score
    from clavilux.audio.reading import SoundReader

    remarks = []
    for option, path in files.items():
        if path is None:
            continue
        if is_score(path):
            if strict:
                read_score(path, strict=True)
            continue
        with SoundReader(path, strict=strict) as reader:
            for _ in reader:
                pass
        remarks += [f"{option} {str(path)!r} is {remark}" for remark in reader.remarks]
    return remarks
