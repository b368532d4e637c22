"""What the `breed` commands read and write: parents, children, litters, sheets, animations, trees.

Knows files and how they are reported. Does not know what is done to genes (`clavilux.breeding`).
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from clavilux.cli.options import check_apart, note_written
from clavilux.files import MIDI_ENDINGS, atomic_path, check_ending, check_readable, check_target, new_folder

if TYPE_CHECKING:
    from clavilux.breeding import Breeder, Genome
    from clavilux.image.picture import Picture

Born = Callable[[int], "Genome"]
LARGEST_SIZE = 4096  # pixels a side that a picture is enlarged to
SHEET = "sheet.png"
ON_GENES, ACROSS = 3, 7  # pictures that a gene is shown on; how many times each
_SOUND = ".flac"


def numbers(name: str, text: str | None) -> list[float] | None:
    """Numbers between commas. ValueError."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--{name} is {text!r}; it should be a weight for each parent, such as 2,1") from None


def sliders(given: Sequence[str]) -> dict[str, float]:
    """Genes -> how far each is moved. ValueError."""
    found = {}
    for text in given:
        match = re.fullmatch(r"(.+)=([+-]?(?:\d+\.?\d*|\.\d+))", text)
        if match is None:
            raise ValueError(f"--gene is {text!r}; it should be a name and a number, such as 3=1.5")
        found[match[1].strip()] = float(match[2])
    return found


def read_parents(paths: Sequence[Path], model: str | None) -> list[Genome]:
    """The genomes in files; a photograph or a MIDI file is read by the model that is given, or that the genomes beside
    it are of. ValueError.
    """
    from clavilux.breeding.models import Model, load_breeder
    from clavilux.breeding.showing import holds_genome, read

    for path in paths:
        check_readable(path, "JSON file" if path.suffix.lower() == ".json" else "picture")
    found = {path: read(path) for path in paths if holds_genome(path)}
    if len(found) < len(set(paths)):
        beside = next(iter(found.values()), None)
        named = model or (None if beside is None else beside.model)
        reader: Model | None = None if named is None else load_breeder(named)
        found |= {path: read(path, model=reader) for path in paths if path not in found}
    return [found[path] for path in paths]


def check_between(output: Path, moves: bool, fps: int, read: Sequence[Path]) -> None:
    """Find out before any work that a sheet or an animation could not be written. ValueError."""
    from clavilux.image import io
    from clavilux.image.animation import check_animation

    if moves:
        check_animation(output, fps)
    elif output.suffix.lower() in (".gif", ".mp4"):
        raise ValueError(f"{str(output)!r} would be an animation; say how many --frames it has, or write a .png")
    else:
        io.format_of(output)
    check_target(output)
    check_apart([output], read)


def check_shown(output: Path | None, music: bool, genome: Path, size: int | None) -> Path:
    """Where a genome is shown, by what its model makes. ValueError for a file that it cannot be shown in."""
    from clavilux.audio import io as sounds
    from clavilux.checks import whole_number
    from clavilux.image import io

    if size is not None:
        whole_number("size", size, 8, LARGEST_SIZE)
    target = genome.with_suffix(_SOUND if music else ".png") if output is None else output
    check_ending(target, (*io.FORMATS, *((*sounds.FORMATS, *MIDI_ENDINGS) if music else ())))
    check_target(target)
    check_apart([target], [genome])
    return target


def write_litter(
    ctx: typer.Context,
    output: Path,
    count: int,
    born: Born,
    breeder: Breeder,
    mark_key: Path | None = None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write so many genomes to a new folder, each with what it looks or sounds like, and a sheet of all."""
    from clavilux.breeding.showing import portrait, sheet
    from clavilux.cli import display

    started = time.perf_counter()
    genomes, portraits = [], []
    with new_folder(output) as folder, display.step_bar(hidden=quiet or as_json) as progress:
        for number in range(1, count + 1):
            genome = born(number - 1)
            genome.save(folder / f"{number}.json")
            ending = _SOUND if breeder.makes == "music" else ".png"
            _save_shown(genome, breeder, folder / f"{number}{ending}", mark_key=mark_key)
            genomes.append(genome)
            portraits.append(portrait(genome, breeder, mark_key))
            progress(number, count)
        sheet(portraits, labels=[str(number) for number in range(1, count + 1)]).save(folder / SHEET)
    note_written(ctx, output)
    written = {"genomes": f"{output}/1.json to {count}.json", "sheet": str(output / SHEET)}
    _report(genomes, written, started, as_json, quiet)


def write_children(
    ctx: typer.Context,
    output: Path,
    count: int | None,
    show: Path | None,
    born: Born,
    breeder: Breeder,
    mark_key: Path | None = None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write one child, or a folder of several."""
    if count is not None:
        write_litter(ctx, output, count, born, breeder, mark_key, as_json=as_json, quiet=quiet)
        return
    started = time.perf_counter()
    if show is not None:
        show = check_shown(show, breeder.makes == "music", output, None)
    genome = born(0)
    genome.save(output)
    note_written(ctx, output)
    written = {"genome": str(output)}
    if show is not None:
        _save_shown(genome, breeder, show, mark_key=mark_key)
        note_written(ctx, show)
        written["shown"] = str(show)
    _report([genome], written, started, as_json, quiet)


def write_shown(
    ctx: typer.Context,
    target: Path,
    genome: Genome,
    breeder: Breeder,
    size: int | None,
    mark_key: Path | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write what a genome looks or sounds like."""
    started = time.perf_counter()
    _save_shown(genome, breeder, target, size, mark_key)
    note_written(ctx, target)
    _report([genome], {"shown": str(target)}, started, as_json, quiet)


def write_genes(
    ctx: typer.Context,
    output: Path,
    genomes: Sequence[Genome],
    breeder: Breeder,
    count: int,
    reach: float,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a sheet a gene to a new folder: a row for each genome, moved from -reach to reach. ValueError."""
    from clavilux.breeding.showing import sheet
    from clavilux.cli import display

    names = list(breeder.directions())[:count]
    if not names:
        raise ValueError(f"{breeder.name} has no genes to move; a gan and a vae have some (--model)")
    started = time.perf_counter()
    steps = [reach * (2 * number / (ACROSS - 1) - 1) for number in range(ACROSS)]
    with new_folder(output) as folder, display.step_bar(hidden=quiet or as_json) as progress:
        for number, name in enumerate(names, 1):
            moved = [breeder.slide(genome.genes, {name: by}) for genome in genomes for by in steps]
            labels = [f"{by:+g}" for by in steps] * len(genomes)
            sheet([breeder.portrait(genes) for genes in moved], ACROSS, labels).save(folder / _gene_file(number, name))
            progress(number, len(names))
    note_written(ctx, output)
    sheets = {name: str(output / _gene_file(number, name)) for number, name in enumerate(names, 1)}
    if as_json:
        display.print_json({"genes": sheets, "elapsed_s": time.perf_counter() - started})
    elif not quiet:
        display.show_facts({"model": breeder.name, **{f"gene {name}": path for name, path in sheets.items()}})


def _gene_file(number: int, name: str) -> str:
    """The file of a gene's sheet: its number, and its name where it has one."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{number}.png" if words in ("", str(number)) else f"{number}-{words}.png"


def write_between(
    ctx: typer.Context,
    output: Path,
    genomes: Sequence[Genome],
    breeder: Breeder,
    steps: int,
    frames: int | None,
    fps: int,
    size: int | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a sheet with a row from each genome to the next, or an animation that passes them all."""
    from clavilux.breeding.showing import receipt, sheet, stamp
    from clavilux.image.animation import write_animation

    started = time.perf_counter()
    if frames is None:
        pictures = list(_way(genomes, breeder, steps, size))
        found = sheet(pictures, steps)
        found.save(output)
    else:
        about = {"verb": "breed between", "of": [receipt(genome) for genome in genomes], "notes": []}
        with write_animation(output, fps, about, stamp=stamp(*genomes)) as animation:
            for picture in _way(genomes, breeder, frames, size):
                animation.add(picture.pixels)
    note_written(ctx, output)
    _report(list(genomes), {"sheet" if frames is None else "animation": str(output)}, started, as_json, quiet)


def write_tree(
    ctx: typer.Context,
    output: Path,
    genome: Genome,
    breeder: Breeder,
    mark_key: Path | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a lineage as an SVG."""
    from clavilux.breeding.tree import draw_tree
    from clavilux.breeding.verbs import replayed
    from clavilux.cli import display

    started = time.perf_counter()
    portraits = {}
    with display.step_bar(hidden=quiet or as_json) as progress:
        genes = replayed(genome, breeder, mark_key)
        for number, (name, each) in enumerate(genes.items(), 1):
            portraits[name] = breeder.portrait(each)
            progress(number, len(genes))
    text = draw_tree(genome.history, portraits)
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    note_written(ctx, output)
    _report([genome], {"tree": str(output)}, started, as_json, quiet)


def _way(genomes: Sequence[Genome], breeder: Breeder, steps: int, size: int | None) -> Iterator[Picture]:
    """Pictures from each genome to the next, both ends among them."""
    from clavilux.breeding.showing import portrait
    from clavilux.breeding.verbs import between

    for first, second in itertools.pairwise(genomes):
        for number in range(steps):
            yield _sized(portrait(between(first, second, number / (steps - 1), model=breeder), breeder), size)


def _sized(picture: Picture, size: int | None) -> Picture:
    """The picture, `size` pixels wide."""
    return picture if size is None else picture.resized(size, round(size * picture.height / picture.width))


def _save_shown(
    genome: Genome, breeder: Breeder, target: Path, size: int | None = None, mark_key: Path | None = None
) -> None:
    """Write a picture, a sound, a MIDI file, or a picture of a score's notes."""
    from clavilux.breeding.showing import portrait, shown
    from clavilux.image import io

    if target.suffix.lower() not in io.FORMATS:
        shown(genome, breeder, mark_key).save(target)
        return
    _sized(portrait(genome, breeder, mark_key), size).save(target)


def _report(genomes: Sequence[Genome], written: dict[str, str], started: float, as_json: bool, quiet: bool) -> None:
    from clavilux.cli import display

    elapsed_s = time.perf_counter() - started
    if as_json:
        rows = [
            {"name": genome.name, "model": genome.model, "classes": dict(genome.classes), **_step(genome)}
            for genome in genomes
        ]
        display.print_json({"files": written, "genomes": rows, "elapsed_s": elapsed_s})
    elif not quiet:
        first = genomes[0]
        facts: dict[str, Any] = {"model": first.model, **(_step(first) if len(genomes) == 1 else {})}
        if len(genomes) == 1:
            facts["ancestors"] = len(first.history.steps) - 1
        display.show_facts(facts | {f"wrote {kind}": path for kind, path in written.items()})


def _step(genome: Genome) -> dict[str, Any]:
    """What its own step did, without what it read."""
    step = genome.history.last
    settings = {name: value for name, value in step.settings.items() if name not in ("latents", "classes")}
    return {"verb": step.verb, **settings}
