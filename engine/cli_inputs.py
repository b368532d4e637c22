"""Sound files that a command is given: looked at before any work, and what is wrong with them said.

Knows options and files. Does not know what a command does with them.
"""

from __future__ import annotations

from pathlib import Path


def remarks_on(files: dict[str, Path | None], strict: bool) -> list[str]:
    """What is wrong with the sound files that options name, each read once to its end.

    Args:
        files: by option, such as {"--melody": Path("a.wav")}; None and MIDI files are passed over.
        strict: raise instead.

    Raises:
        ValueError: one of them cannot be read, or `strict` refuses it.
    """
    from clavilux.audio.reading import SoundReader
    from clavilux.cli_outputs import MIDI_ENDINGS

    remarks = []
    for option, path in files.items():
        if path is None or path.suffix.lower() in MIDI_ENDINGS:
            continue
        with SoundReader(path, strict=strict) as reader:
            for _ in reader:
                pass
        remarks += [f"{option} {str(path)!r} is {remark}" for remark in reader.remarks]
    return remarks
