"""Sound files that a command is given: looked at before any work, and what is wrong with them said.

Knows options and files. Does not know what a command does with them.
"""

from __future__ import annotations

from pathlib import Path


def remarks_on(files: dict[str, Path | None], strict: bool) -> list[str]:
    """What is wrong with the sound files that options name, each read once to its end; a MIDI file's remarks are given
    where it is read.

    Args:
        files: by option, such as {"--melody": Path("a.wav")}; None is passed over.
        strict: raise instead.

    Raises:
        ValueError: one of them cannot be read, or `strict` refuses it.
    """
    from clavilux.audio.reading import SoundReader
    from clavilux.audio.score import Score
    from clavilux.cli_outputs import MIDI_ENDINGS

    remarks = []
    for option, path in files.items():
        if path is None:
            continue
        if path.suffix.lower() in (*MIDI_ENDINGS, ".rmi"):
            if strict:
                Score.from_midi(path, strict=True)
            continue
        with SoundReader(path, strict=strict) as reader:
            for _ in reader:
                pass
        remarks += [f"{option} {str(path)!r} is {remark}" for remark in reader.remarks]
    return remarks
