"""Playing a sound file on the sound card, by a program that is installed: nothing of ours talks to the hardware.

Knows players and how they are called. Does not know sound.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from clavilux.audio import io, reading
from clavilux.files import PathLike

# Each plays a wav file and returns when it has ended.
_PLAYERS: dict[str, tuple[str, ...]] = {
    "pw-play": (), "paplay": (), "aplay": ("-q",), "afplay": (), "play": ("-q",),
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error"),
}  # fmt: skip


def find_player() -> list[str]:
    """The command of the first player that is installed.

    Raises:
        ValueError: there is none.
    """
    for name, options in _PLAYERS.items():
        if path := shutil.which(name):
            return [path, *options]
    raise ValueError(
        f"no program that plays sound is installed; one of {', '.join(_PLAYERS)} is needed (aplay is in alsa-utils, "
        "ffplay in ffmpeg, play in sox)"
    )


def listen(path: PathLike) -> None:
    """Play a sound file to its end.

    Raises:
        ValueError: no player is installed, it found no sound card, or it failed; with what it said.
    """
    command = find_player()
    with tempfile.TemporaryDirectory() as folder:
        playable = Path(path)
        if playable.suffix.lower() != ".wav":  # the one format that every player knows
            sound = reading.read(playable)
            playable = Path(folder) / "sound.wav"
            io.write(playable, sound.samples, sound.sample_rate)
        done = subprocess.run([*command, str(playable.absolute())], capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        name = Path(command[0]).name
        raise ValueError(
            f"{name} could not play {str(path)!r} ({said[:200]}); is there a sound card? The file is whole"
        )
