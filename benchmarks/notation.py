"""What other programs read of the MusicXML and ABC that are written here: MuseScore, abc2midi and music21.

Each MIDI file is written in both formats. MuseScore (`mscore3`, Debian's musescore3) and abc2midi (abcmidi) make MIDI
of them again; music21, in an environment of its own (`--peers PYTHON`), parses the MusicXML. Compared are onsets and
pitches of all notes, in ticks of a 48th of a quarter. abc2midi strikes the notes of a chord one after another, so there
an onset may be off by 6 ticks.

    benchmarks/notation.py FILE.mid ... --peers /path/to/python --json results/DATE-notation.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from clavilux.audio.notation.files import read_score, save_score
from clavilux.audio.notation.grid import bars_of, in_ticks
from clavilux.audio.score import Score

MUSIC21 = """
import json, sys, music21
rows = []
for part in music21.converter.parse(sys.argv[1]).parts:
    for note in part.recurse().notes:
        if isinstance(note, music21.harmony.Harmony):
            continue
        at = round(float(note.getOffsetInHierarchy(part)) * 48)
        for each in note.notes if isinstance(note, music21.chord.Chord) else [note]:
            if each.tie is None or each.tie.type == "start":
                rows.append((at, each.pitch.midi if hasattr(each, "pitch") else -1))
print(json.dumps(rows))
"""


def onsets(score: Score) -> Counter[tuple[int, int]]:
    """(tick, pitch) of each note, -1 for drums; on the grid on which the score is written."""
    starts, _ = in_ticks(score, bars_of(score))
    pitches = np.where(score.notes["drum"], -1, score.notes["pitch"])
    return Counter(set(zip(starts.tolist(), score.notes["pitch"].tolist(), pitches.tolist(), strict=True)))


def heard(path: Path) -> Counter[tuple[int, int]]:
    score = Score.from_midi(path)
    ticks = np.round(score.notes["start"] * 48).astype(int)
    pitches = np.where(score.notes["drum"], -1, score.notes["pitch"])
    return Counter(set(zip(ticks.tolist(), score.notes["pitch"].tolist(), pitches.tolist(), strict=True)))


def missing(want: Counter, got: Counter, within: int = 0) -> int:
    """How many of `want` have none of `got` at their tick, or so many ticks beside it."""
    there = {(tick + off, *rest) for tick, *rest in got for off in range(-within, within + 1)}
    return sum(each not in there for each in want)


def compare(path: Path, folder: Path, peers: str | None) -> dict[str, object]:
    score = Score.from_midi(path)
    for ending in (".musicxml", ".abc"):
        save_score(score, folder / f"a{ending}", title=path.stem)
    want = onsets(score)
    row: dict[str, object] = {"file": path.name, "notes": len(want)}
    for ending in (".musicxml", ".abc"):
        again = onsets(read_score(folder / f"a{ending}"))
        row[f"own reader, {ending}"] = [missing(want, again), missing(again, want)]
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    for name, command, within in (
        ("MuseScore", ["mscore3", "-o", "m.mid", "a.musicxml"], 0),
        ("abc2midi", ["abc2midi", "a.abc", "-o", "b.mid", "-quiet"], 6),
    ):
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", env=environment)
        said = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line or "arning" in line]
        got = heard(folder / ("m.mid" if name == "MuseScore" else "b.mid"))
        row[name] = [missing(want, got, within), missing(got, want, within)]
        row[f"{name} says"] = said[:3]
    if peers:
        done = subprocess.run(
            [peers, "-c", MUSIC21, str(folder / "a.musicxml")], capture_output=True, text=True, check=True
        )
        got = Counter(set(map(tuple, json.loads(done.stdout))))
        plain = Counter({(tick, shown) for tick, _, shown in want})
        row["music21"] = [missing(plain, got), missing(got, plain)]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--peers", help="a Python that has music21")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for path in arguments.files:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(compare(path, Path(folder), arguments.peers))
        print(json.dumps(rows[-1]))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    if arguments.json:
        arguments.json.write_text(json.dumps({"commit": commit, "[missing, added]": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
