"""Count a folder's MIDI notes: those that the files begin, those that are kept, and those that symusic finds.

    python benchmarks/midi_counts.py FOLDER [TABLE.tsv]

Prints how many files differ and why; the table has a row for each file: name, note-ons, kept, symusic's count, the
seconds that reading took, and the remarks.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import symusic

from clavilux.audio.midi import read_midi


def count(path: Path) -> tuple:
    """(note-ons, kept, symusic's count or its error, seconds, damage and remarks)."""
    started = time.perf_counter()
    try:
        file = read_midi(path)
        found = (file.note_ons, len(file.notes))
        said = [*file.damage, *file.remarks]
    except ValueError as error:
        found, said = (0, 0), [f"not read: {str(error).replace(repr(str(path)), 'the file')}"]
    elapsed_s = time.perf_counter() - started
    try:
        other = str(symusic.Score.from_midi(path.read_bytes()).note_num())
    except RuntimeError as error:
        other = f"error: {error}"
    return *found, other, elapsed_s, said


def main(folder: str, table: str | None = None) -> None:
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".mid", ".midi", ".rmi"))
    rows, why = [], Counter()
    for path in paths:
        row = count(path)
        rows.append((str(path.relative_to(folder)), *row))
        why.update({re.sub(r"[\d,]+", "N", remark) for remark in row[-1]})
    differ = [row for row in rows if row[1] != row[2]]
    lost = sum(row[1] - row[2] for row in differ)
    against = [row for row in rows if row[3] != str(row[1])]
    seconds = [row[4] for row in rows]
    print(f"{len(rows):,} files, {sum(row[1] for row in rows):,} note-ons, {sum(row[2] for row in rows):,} notes kept")
    print(f"files that keep fewer notes than they begin: {len(differ):,} ({lost:,} notes)")
    print(f"files in which symusic finds another number than there are note-ons: {len(against):,}")
    print(f"reading: median {statistics.median(seconds) * 1e3:.1f} ms, slowest {max(seconds) * 1e3:.0f} ms")
    for remark, files in why.most_common():
        print(f"{files:6,} files: {remark}")
    if table:
        lines = ["\t".join([name, *map(str, row[:3]), f"{row[3]:.4f}", "; ".join(row[4])]) for name, *row in rows]
        Path(table).write_text("file\tnote_ons\tkept\tsymusic\tseconds\tremarks\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
