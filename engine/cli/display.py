"""How the `clavilux` command looks: the progress bar, tables, and the JSON report.

Knows rich and the fields of a receipt. Does not know how music or a picture is made, and decides nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from clavilux.cli.errors import printable
from clavilux.cli.uptime import process_seconds

if TYPE_CHECKING:
    from clavilux.image.picture import Picture

# Units of numbers, by the end of their name.
UNITS = {"_s": "s", "_dbfs": "dBFS", "_lufs": "LUFS", "_bpm": "quarters a minute", "_bytes": "MiB"}
MOST_LINES, LONGEST_LABEL = 100, 80  # of a receipt, which a stranger may have written
Files = dict[str, str]  # what was written: its kind ("audio", "midi", "plot", "picture" ...) to its path
Progress = Callable[[float, float], None]  # (done, total)


class Song(Protocol):
    """What is shown of a song: of an `Audio`, or of one that was written while it was played."""

    @property
    def duration_s(self) -> float: ...

    @property
    def sample_rate(self) -> int: ...

    @property
    def receipt(self) -> dict[str, Any]: ...


def progress_bar(hidden: bool, at: Callable[[], str] = lambda: "") -> AbstractContextManager[Progress]:
    """Yield progress(done_seconds, total_seconds), shown on stderr where that is a terminal; `at` says what is done."""

    def pace(rate: float) -> str:
        return f"{rate:.{1 if rate >= 0.1 else 4}f}x real time {at()}".rstrip()

    return _bar(hidden, "{task.completed:.1f} of {task.total:.0f} s", pace)


def token_bar(hidden: bool) -> AbstractContextManager[Progress]:
    """Yield progress(done_tokens, total_tokens), shown on stderr where that is a terminal."""
    return _bar(hidden, "{task.completed:.0f} of {task.total:.0f} tokens", lambda rate: f"{rate:.0f} tokens a second")


def step_bar(hidden: bool) -> AbstractContextManager[Progress]:
    """Yield progress(done_steps, total_steps), shown on stderr where that is a terminal."""
    return _bar(hidden, "{task.completed:.0f} of {task.total:.0f} steps", lambda rate: f"{rate:.2f} steps a second")


def frame_bar(hidden: bool) -> AbstractContextManager[Progress]:
    """Yield progress(done_frames, total_frames), shown on stderr where that is a terminal."""
    return _bar(hidden, "{task.completed:.0f} of {task.total:.0f} frames", lambda rate: f"{rate:.2f} frames a second")


def share_bar(hidden: bool) -> AbstractContextManager[Progress]:
    """Yield progress(done, total) of any unit, shown on stderr where that is a terminal."""
    return _bar(hidden, "{task.percentage:.0f}%", lambda rate: "")


@contextmanager
def _bar(hidden: bool, text: str, pace: Callable[[float], str]) -> Iterator[Progress]:
    """Yield progress(done, total); `pace` says what so much a second is called."""
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn(text), TextColumn("{task.fields[pace]}"), TimeRemainingColumn())
    with ProgressBar(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as bar:
        task = bar.add_task("", total=None, pace="", visible=False)
        started = time.perf_counter()

        def progress(done: float, total: float) -> None:
            rate = done / max(time.perf_counter() - started, 1e-9)
            bar.update(task, completed=done, total=total, visible=True, pace=pace(rate))

        yield progress


def report(
    songs: Sequence[Song], files: list[Files], elapsed_s: float, timings: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """What `--json` prints: a song's files, length and receipt, and how long making them took, also by part."""
    rows = [
        {
            "files": written,
            "duration_s": song.duration_s,
            "sample_rate": song.sample_rate,
            "receipt": song.receipt,
        }
        for song, written in zip(songs, files, strict=True)
    ]
    times: dict[str, Any] = {"elapsed_s": elapsed_s, "process_s": process_seconds()}
    times |= {} if timings is None else {"timings": dict(timings)}
    return {"songs": rows, **times, "real_time_factor": _real_time_factor(songs, elapsed_s)}


def picture_report(
    pictures: list[Picture], files: list[Files], elapsed_s: float, timings: Mapping[str, float]
) -> dict[str, Any]:
    """As `report`, of pictures."""
    rows = [
        {"files": written, "width": picture.width, "height": picture.height, "receipt": picture.receipt}
        for picture, written in zip(pictures, files, strict=True)
    ]
    return {"pictures": rows, "elapsed_s": elapsed_s, "process_s": process_seconds(), "timings": dict(timings)}


def print_json(value: Any) -> None:
    """Strict JSON: a NaN is an error rather than a word that parsers refuse.

    Where the terminal's encoding lacks a character, or one would steer it, all are written as JSON's escapes.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        plain = all(c.isprintable() or c == "\n" for c in text)
    except UnicodeEncodeError:
        plain = False
    sys.stdout.write((text if plain else json.dumps(value, indent=2, allow_nan=False)) + "\n")


def show_songs(songs: Sequence[Song], files: list[Files], elapsed_s: float, timings: Mapping[str, float]) -> None:
    """What was taken from the words, what was chosen for the rest, and where the songs are.

    What holds for the first song and for another one is said once.
    """
    console = Console(highlight=False, soft_wrap=True)
    for number, (song, written) in enumerate(zip(songs, files, strict=True)):
        _print_receipt(console, _receipt_changes(song.receipt, songs[0].receipt) if number else song.receipt)
        _print_files(console, song, written)
    _print_time(console, elapsed_s, f"{_real_time_factor(songs, elapsed_s):.1f}x real time", timings)


def show_pictures(pictures: list[Picture], files: list[Files], elapsed_s: float, timings: Mapping[str, float]) -> None:
    """As `show_songs`, of pictures; what holds for all of them, and a file that holds several, is said once."""
    console = Console(highlight=False, soft_wrap=True)
    first, printed = pictures[0].receipt, set[str]()
    for number, (picture, written) in enumerate(zip(pictures, files, strict=True)):
        _print_receipt(console, _receipt_changes(picture.receipt, first) if number else first)
        for path in written.values():
            if path not in printed:
                _print_line(console, "wrote", path)
            printed.add(path)
    _print_time(console, elapsed_s, f"{elapsed_s / len(pictures):.1f} s a picture", timings)


def show_frames(facts: Mapping[str, Any], elapsed_s: float) -> None:
    """What moving pictures were styled with, how much they flicker, and where they are; as `--json` has it."""
    console = Console(highlight=False, soft_wrap=True)
    _print_receipt(console, facts["receipt"])
    size = f"{facts['width']} x {facts['height']} pixels"
    _print_line(console, "frames", f"{facts['frames']:,} of {size}, {_format_value(facts['fps'])} a second")
    source, styled, alone = facts["source_change"], facts["still_change"], facts["still_change_unsteadied"]
    _print_line(console, "from frame to frame", f"the source changes by {source:.2f} of 255")
    _print_line(
        console, "flicker", f"{styled:.2f} of 255 where it stands still; {alone:.2f} had each frame stood alone"
    )
    for path in facts["files"].values():
        _print_line(console, "wrote", path)
    pace = f"{elapsed_s / max(facts['frames'], 1):.2f} s a frame"
    _print_time(console, elapsed_s, pace, facts["timings"])


def show_played(song: Song, replaced: dict[int, int], files: list[Files], elapsed_s: float) -> None:
    """What a MIDI file was played with."""
    from clavilux.audio.programs import program_name

    console = Console(highlight=False, soft_wrap=True)
    for asked, used in replaced.items():
        _print_line(
            console,
            "replaced",
            f"{program_name(asked)} by {program_name(used)}, the nearest instrument that there is",
        )
    for written in files:
        _print_files(console, song, written)
    _print_time(console, elapsed_s, f"{_real_time_factor([song], elapsed_s):.1f}x real time", {})


def show_remarks(remarks: Iterable[str]) -> None:
    """What is wrong with files that were read, a line each."""
    console = Console(highlight=False, soft_wrap=True)
    for remark in remarks:
        _print_line(console, "note", remark)


def show_facts(facts: dict[str, Any]) -> None:
    """Names and values, one a line; what a value holds in turn is indented."""
    console = Console(highlight=False, soft_wrap=True)
    show_remarks(facts.get("remarks", ()))
    for name, value in facts.items():
        if name == "remarks":
            continue
        label, unit = _label_and_unit(name)
        if unit == "MiB":
            value, unit = (round(value / 2**20, 1), unit) if value >= 2**20 else (round(value / 2**10, 1), "KiB")
        if isinstance(value, dict):
            console.print(Text(f"{printable(label, LONGEST_LABEL)}:", "dim"))
            stated = _without_empty(value)
            if len(stated) > MOST_LINES:
                _print_line(console, "  values", f"{len(stated):,}, of which {MOST_LINES} are shown")
            for inner, part in islice(stated.items(), MOST_LINES):
                several = isinstance(part, list) and all(isinstance(each, dict) for each in part)
                for each in part[:MOST_LINES] if several else [part]:
                    _print_line(console, f"  {inner.replace('_', ' ')}", _format_value(each, grouped=False))
        else:
            _print_line(
                console, label, _format_value(value) + (f" {unit}" if isinstance(value, (int, float)) and unit else "")
            )


def show_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of words, which strangers may have written."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(Text(printable(cell, LONGEST_LABEL)) for cell in row))
    Console(highlight=False).print(table)


def show_models(models: list[dict[str, Any]]) -> None:
    """The bundled models as a table, then what each accepts."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "family", "parameters", "size", "licence"):
        table.add_column(heading)
    for row in models:
        size = f"{row['size_bytes'] / 2**20:.1f} MiB"
        parameters = f"{row['parameters'] / 1e6:.1f} M"
        table.add_row(row["name"], row["family"], parameters, size, row["licence"])
    console.print(table)
    for row in [row for row in models if row["accepts"]]:
        console.print()
        console.print(Text(f"{row['name']} accepts"))
        for name, values in row["accepts"].items():
            console.print(Text(f"  {name:12} {_format_value(values)}"), soft_wrap=True)


def _print_line(console: Console, label: str, text: str) -> None:
    """One labelled line. `Text` keeps brackets in file names and prompts from being read as markup; what files say
    could hold a terminal's control sequences, or megabytes.
    """
    console.print(Text.assemble((f"{printable(label, LONGEST_LABEL)}: ", "dim"), printable(text)))


def _print_receipt(console: Console, receipt: dict[str, Any]) -> None:
    """First what was not understood or cannot be done, then what was taken from the words, the rest, the seed."""
    for label, name in (("not understood", "unknown"), ("not done", "unmet"), ("taken from the words", "taken")):
        if lines := receipt.get(name):
            _print_line(console, label, ", ".join(lines))
    for name, value in receipt.get("controls", {}).items():
        _print_line(console, name.replace("_", " "), _format_value(value, grouped=False))
    for note in receipt.get("notes", ()):
        _print_line(console, "note", note)
    if "seed" in receipt:
        _print_line(console, "seed", str(receipt["seed"]))


def _receipt_changes(receipt: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """What a receipt says that the first one does not; always the seed."""
    lists = ("unknown", "unmet", "taken", "notes")
    new = {name: [each for each in receipt.get(name, ()) if each not in first.get(name, ())] for name in lists}
    old = first.get("controls", {})
    controls = {name: value for name, value in receipt.get("controls", {}).items() if old.get(name) != value}
    return {**({"seed": receipt["seed"]} if "seed" in receipt else {}), "controls": controls, **new}


def _print_time(console: Console, elapsed_s: float, pace: str, timings: Mapping[str, float]) -> None:
    """How long the user waited, how fast the model was, and where the time went."""
    _print_line(
        console, "made in", f"{process_seconds():.1f} s with the start and the files; {elapsed_s:.1f} s without, {pace}"
    )
    if timings:
        parts = (f"{name.removesuffix('_s')} {took:.{1 if took >= 1 else 2}f} s" for name, took in timings.items())
        _print_line(console, "by part", ", ".join(parts))


def _print_files(console: Console, song: Song, written: Files) -> None:
    for kind, path in written.items():
        length = f" ({song.duration_s:.1f} s)" if kind == "audio" else ""
        _print_line(console, "wrote", path + length)


def _real_time_factor(songs: Sequence[Song], elapsed_s: float) -> float:
    return sum(song.duration_s for song in songs) / max(elapsed_s, 1e-9)


def _label_and_unit(name: str) -> tuple[str, str]:
    """`loudness_lufs` -> ("loudness", "LUFS")."""
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " "), unit
    return name.replace("_", " "), ""


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    """Without what holds nothing."""
    return {name: value for name, value in values.items() if value not in ("", [], {})}


def _format_value(value: Any, grouped: bool = True) -> str:
    """A JSON value as a person would write it; `grouped`: 1,000 rather than 1000, which a seed should not be."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_format_value(item, grouped)}" for key, item in _without_empty(value).items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_format_value(item, grouped) for item in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) and grouped else str(value)
