"""Cadences that were named by hand in hymns, and what `clavilux.audio.theory.cadences` says of them.

The table `cadences.tsv` has a row a phrase: the hymn, the bar of the last chord, the kind of cadence and the key in
which it closes, read from the notes of the last chords before the finder was asked; those marked as seen are of hymns
on which it was made. The scores are those of the Open Hymnal Project, as MIDI files:

    .venv/bin/python benchmarks/cadences.py FOLDER [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from clavilux.audio.score import Score
from clavilux.audio.theory.cadences import find_cadences
from clavilux.audio.theory.harmony_reading import HarmonyReading

TABLE = Path(__file__).with_name("cadences.tsv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with the hymns as MIDI files")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = list(csv.DictReader(TABLE.open(encoding="utf-8"), delimiter="\t"))
    found, results = {}, []
    for row in rows:
        if row["file"] not in found:
            score = Score.from_midi(asked.folder / f"{row['file']}.mid")
            found[row["file"]] = find_cadences(HarmonyReading(score))
        here = [each for each in found[row["file"]] if each.bar == int(row["bar"])]
        said = (here[-1].kind, str(here[-1].key)) if here else ("none", "")
        results.append(row | {"found": said[0], "found_key": said[1], "right": said == (row["kind"], row["key"])})
        if not results[-1]["right"]:
            print(f"{row['file']}, bar {row['bar']}: {row['kind']} in {row['key']}, found {said[0]} in {said[1]}")
    for name, seen in (("not seen before", "no"), ("seen", "yes")):
        own = [each for each in results if each["seen"] == seen]
        print(f"{name}: {sum(each['right'] for each in own)} of {len(own)} right")
    if asked.json:
        asked.json.write_text(json.dumps({"cadences": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
