"""Phrases of hymns whose cadences were named by hand before the finder was asked (`benchmarks/cadences.tsv`).

A row of `hymn_cadences.tsv` is a phrase with the bars before it, as start:length:pitch in quarters, out of scores of
the Open Hymnal Project, which are in the public domain.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score
from clavilux.audio.theory.cadences import find_cadences
from clavilux.audio.theory.harmony_reading import HarmonyReading

HERE = Path(__file__).parent
ROWS = list(csv.DictReader((HERE / "hymn_cadences.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t"))


def test_there_are_twenty_and_more_of_three_kinds():
    assert len(ROWS) == 24 and len({row["tune"] for row in ROWS}) == 10
    assert {row["kind"] for row in ROWS} == {"perfect authentic", "imperfect authentic", "half"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['tune'][:24]}-{row['bar']}")
def test_a_phrase_closes_as_it_was_named(row):
    notes = [tuple(map(float, note.split(":"))) for note in row["notes"].split()]
    played = np.array([(at, length, int(pitch), 80, 19, False, 0) for at, length, pitch in notes], dtype=PART_NOTE)
    metre = tuple(map(int, row["metre"].split("/")))
    found = find_cadences(HarmonyReading(Score(played, key=Key.parse(row["home"]), metres=((0.0, metre),))))
    assert (found[-1].kind, str(found[-1].key)) == (row["kind"], row["key"]) and found[-1].final
