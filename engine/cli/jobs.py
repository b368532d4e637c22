"""The commands for renders that keep their tokens: `resume` goes on with one, `align` says when lyrics are sung.

Knows arguments and files; what a job holds is `clavilux.families.jukebox.journal`'s. torch is imported inside a
command only, so that `--help` is instant.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clavilux.checkpoint import Checkpoint, find
from clavilux.cli.options import AsJson, Device, Quiet, note_written, numbered, numbered_all
from clavilux.files import atomic_path, check_ending, check_target

if TYPE_CHECKING:
    from clavilux.families.jukebox.journal import Journal
    from clavilux.families.jukebox.model import JukeboxModel

Job = Annotated[Path, typer.Argument(help="The folder of a render: beside its song, ending in .job.")]
Model = Annotated[str | None, typer.Option(help="Where its checkpoint is now, if it was moved.")]


def keep(
    ctx: typer.Context, found: Checkpoint, given: dict[str, Any], model: str, output: Path, loudness: bool
) -> None:
    """Have a model that can go on keep its tokens in a folder, beside the song unless another one is given."""
    if not found.entry.keeps_jobs:
        return
    from clavilux.families.jukebox.journal import check_free

    job = given.setdefault("job", output.with_suffix(".job"))
    check_free(job)
    where = str(Path(model).absolute()) if Path(model).exists() else model
    given["job_metadata"] = {"model": where, "output": str(output.absolute()), "loudness": loudness}
    note_written(ctx, _resume_note(job))


def _resume_note(job: Path) -> str:
    return f"{job} (`clavilux resume` goes on with it)"


def resume(
    ctx: typer.Context,
    job: Job,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to, if not where the render was to go.")
    ] = None,
    levels: Annotated[int | None, typer.Option(help="How many levels are drawn: more of a sketch, for one.")] = None,
    mark_key: Annotated[Path | None, typer.Option(help="The file of the private key that it was begun with.")] = None,
    model: Model = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a render that was stopped, to the very same song."""
    from clavilux.audio import io
    from clavilux.cli import display

    with open_job(job, model, device) as (loaded, journal, words, rows):
        target = Path(words["output"]) if output is None else output
        outputs = numbered_all(target, rows)
        for path in outputs:
            io.format_of(path)
            check_target(path)
        note_written(ctx, _resume_note(job))
        started = time.perf_counter()
        with display.progress_bar(hidden=quiet or as_json, at=lambda: loaded.at) as progress:
            songs = loaded.resume(journal, levels=levels, mark_key=mark_key, progress=progress)
    elapsed_s, saving_since = time.perf_counter() - started, time.perf_counter()
    files = []
    for song, path in zip(songs, outputs, strict=True):
        song.save(path, loudness=words["loudness"])
        note_written(ctx, path)
        files.append({"audio": str(path)})
    timings = songs[0].timings | {"file_s": round(time.perf_counter() - saving_since, 6)}
    if as_json:
        display.print_json(display.report(songs, files, elapsed_s, timings))
    elif not quiet:
        display.show_songs(songs, files, elapsed_s, timings)


def align(
    job: Job,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .json.")] = Path("lyrics.json"),
    plot: Annotated[Path | None, typer.Option(help="Also draw it (.png, .svg, .pdf).")] = None,
    model: Model = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say which word of the lyrics is sung when, as the model saw it."""
    import json

    from clavilux.audio import analysis
    from clavilux.cli import display

    for path, endings in ((output, (".json",)), (plot, analysis.PICTURES)):
        if path is not None:
            check_ending(path, endings)
            check_target(path)
    with open_job(job, model, device) as (loaded, journal, _, rows):
        found = loaded.align(journal)
    from clavilux.families.jukebox.alignment import draw

    for number, alignment in enumerate(found, 1):
        target = numbered(output, number, rows)
        words: dict[str, Any] = {"token_s": alignment.token_s, "lyrics": alignment.lyrics, "words": alignment.words()}
        with atomic_path(target) as temporary:
            temporary.write_text(json.dumps(words, indent=1, ensure_ascii=False), encoding="utf-8")
        if plot is not None:
            draw(alignment, numbered(plot, number, rows))
        facts = {"words": len(words["words"]), "wrote": str(target)}
        if as_json:
            display.print_json(words)
        elif not quiet:
            display.show_facts(facts | ({} if plot is None else {"drew": str(numbered(plot, number, rows))}))


@contextmanager
def open_job(job: Path, model: str | None, device: str) -> Iterator[tuple[JukeboxModel, Journal, dict[str, Any], int]]:
    """Yield (the model that began a job, its journal, the words that its render kept, how many songs it makes).

    The journal is held from here to the end, so that no other process begins while the checkpoint is loaded.
    """
    import clavilux
    from clavilux.families.jukebox.journal import Journal

    with Journal(job) as journal:
        settings, words = journal.settings, journal.job["words"]
        lacking = [name for name in ("model", "output", "loudness") if name not in words]
        wrong = [name for name in ("model", "output") if not isinstance(words.get(name, ""), str)]
        if (lacking or wrong) and model is None:
            raise ValueError(f"the job {str(job)!r} does not say its {', '.join(lacking or wrong)}; it is damaged")
        found = find(model or words["model"])
        if not found.entry.keeps_jobs:
            raise ValueError(f"the model {found.name!r} keeps no jobs, so it did not begin {str(job)!r}")
        loaded = clavilux.load(found, device=device, dtype=settings["dtype"])
        assert isinstance(loaded, clavilux.JukeboxModel), "the one class of model that keeps jobs"
        usual = {"output": "song.wav", "loudness": True}
        yield (
            loaded,
            journal,
            usual | {name: words[name] for name in words if name not in wrong},
            len(settings["seeds"]),
        )
