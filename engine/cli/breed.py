"""The `breed` commands: genomes are drawn, crossed, mutated, shown.

Knows arguments and files; what is done to genes is `clavilux.breeding`'s. torch is imported inside a command only, so
that `--help` is instant and a file that is no genome is refused at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clavilux.checks import number_from, seed_of
from clavilux.cli import breed_files as files
from clavilux.cli.help import Command
from clavilux.cli.options import AsJson, Mark, MarkKeyFile, Quiet, check_apart, check_distinct, mark_of
from clavilux.cli.signing import signs
from clavilux.files import check_ending, check_new_folder, check_target

if TYPE_CHECKING:
    from clavilux.breeding import Genome

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Breed pictures and scores by their genes.")

Model = Annotated[
    str | None, typer.Option(help="Where the model is, if not where the genome says: bundled, or a folder.")
]
Child = Annotated[Path, typer.Option("--output", "-o", help="Where to: .json; a new folder with --count.")]
Count = Annotated[int | None, typer.Option("--count", "-n", help="So many children, by seeds in a row.", min=1, max=64)]
Seed = Annotated[int | None, typer.Option(help="Of what is drawn.")]
OwnKey = Annotated[Path | None, typer.Option("--mark-key", help="The private key's file, of steps that it marks.")]
Show = Annotated[Path | None, typer.Option(help="Also show it here: as `clavilux breed show`.")]
A_GENOME = "A genome's .json, or a file that `breed show` wrote; "
A_PARENT = A_GENOME + "for a vae a photograph, for aria a MIDI file."


@app.command("random", cls=Command)
@signs
def random_(
    ctx: typer.Context,
    words: Annotated[str, typer.Argument(help="Of what: a class, lumia's words, aria's prompt; else by seed.")] = "",
    count: Annotated[int, typer.Option("--count", "-n", help="How many.", min=1, max=64)] = 12,
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")] = Path("kids"),
    seed: Annotated[int | None, typer.Option(help="Of the first; each other has the next.")] = None,
    mark: Mark = None,
    mark_key: MarkKeyFile = None,
    model: Annotated[str | None, typer.Option(help="gan, vae, lumia, aria, or a folder.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw genomes without parents: 1.json, 2.json and so on, with what they look like and a sheet."""
    check_new_folder(output)

    from clavilux.breeding.models import DEFAULT, load_breeder
    from clavilux.breeding.verbs import random_genome

    breeder, own = load_breeder(model or DEFAULT), mark_of(mark, mark_key)
    first = seed_of(seed)

    def born(number: int) -> Genome:
        return random_genome(breeder, seed=first + number, words=words, mark=own)

    files.write_litter(ctx, output, count, born, breeder, mark_key, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
@signs
def cross(
    ctx: typer.Context,
    parents: Annotated[list[Path], typer.Argument(help="2 to 8 parents: " + A_PARENT[0].lower() + A_PARENT[1:])],
    output: Child = Path("child.json"),
    structure: Annotated[str | None, typer.Option(help="Each parent's weight in what is where: 2,1 or 1,0.")] = None,
    style: Annotated[str | None, typer.Option(help="Each parent's weight in how it looks.")] = None,
    seed: Seed = None,
    count: Count = None,
    show: Show = None,
    mark: Mark = None,
    mark_key: MarkKeyFile = None,
    model: Model = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Cross two to eight parents; without --seed or --count always to the same child."""
    weights = {"structure": files.numbers("structure", structure), "style": files.numbers("style", style)}
    _check_child(output, count, show, parents)
    from clavilux.breeding import cross as verb
    from clavilux.breeding.models import breeder_for
    from clavilux.breeding.verbs import check_parents

    check_parents(len(parents))
    genomes = files.read_parents(parents, model)
    breeder, choice = breeder_for(genomes, model), mark_of(mark, mark_key)
    first = seed_of(seed) if count is not None else seed

    def born(number: int) -> Genome:
        own = None if first is None else first + number
        return verb(genomes, seed=own, mark=choice, model=breeder, **weights)

    files.write_children(ctx, output, count, show, born, breeder, mark_key, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
@signs
def mutate(
    ctx: typer.Context,
    genome: Annotated[Path, typer.Argument(help=A_PARENT)],
    output: Child = Path("mutant.json"),
    strength: Annotated[
        float | None, typer.Option(help="0 is the genome itself, 1 leaves nothing.  [default: 0.2; with --gene 0]")
    ] = None,
    gene: Annotated[
        list[str] | None, typer.Option(help="Move a gene: NAME=2, in deviations; repeat it. `breed genes` has them.")
    ] = None,
    seed: Seed = None,
    count: Count = None,
    show: Show = None,
    mark: Mark = None,
    mark_key: MarkKeyFile = None,
    model: Model = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Change a genome a little."""
    _check_child(output, count, show, [genome])
    sliders = files.sliders(gene or [])
    from clavilux.breeding import mutate as verb
    from clavilux.breeding.models import breeder_for
    from clavilux.breeding.verbs import USUAL_STRENGTH

    usual = 0.0 if sliders else USUAL_STRENGTH
    by = usual if strength is None else number_from("strength", strength, 0, 1)
    [parent] = files.read_parents([genome], model)
    breeder, choice = breeder_for([parent], model), mark_of(mark, mark_key)
    first = seed_of(seed)

    def born(number: int) -> Genome:
        return verb(parent, by, seed=first + number, sliders=sliders, mark=choice, model=breeder)

    files.write_children(ctx, output, count, show, born, breeder, mark_key, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
@signs
def genes(
    ctx: typer.Context,
    genome: Annotated[Path | None, typer.Argument(help=A_GENOME + "whose genes are moved; else three by seed.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")] = Path("genes"),
    count: Annotated[int, typer.Option("--count", "-n", help="How many genes, the strongest first.", min=1)] = 8,
    reach: Annotated[float, typer.Option(help="How far they are moved to each side, in deviations.")] = 3.0,
    seed: Annotated[int, typer.Option(help="Of the pictures, where no genome is given.")] = 0,
    model: Model = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show the genes that a generator has: a sheet for each, with what moving it does."""
    check_new_folder(output)
    from clavilux.breeding.models import DEFAULT, breeder_for, load_breeder
    from clavilux.breeding.verbs import FARTHEST, random_genome

    reach = number_from("reach", reach, 0.1, FARTHEST)
    given = [] if genome is None else files.read_parents([genome], model)
    breeder = breeder_for(given, model) if given else load_breeder(model or DEFAULT)
    shown = given or [random_genome(breeder, seed=seed + number) for number in range(files.ON_GENES)]
    files.write_genes(ctx, output, shown, breeder, count, reach, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
@signs
def between(
    ctx: typer.Context,
    parents: Annotated[list[Path], typer.Argument(help="2 to 8 genomes, passed one after another.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to: .png, .jpg, .webp; of --frames .gif, .webp or .mp4.")
    ] = Path("between.png"),
    steps: Annotated[int, typer.Option(help="Pictures on the sheet, from each to the next.", min=2, max=64)] = 9,
    frames: Annotated[
        int | None, typer.Option(help="Frames of an animation, from each to the next.", min=2, max=10_000)
    ] = None,
    fps: Annotated[int, typer.Option(help="Frames a second.")] = 12,
    size: Annotated[int | None, typer.Option(help="Pixels a side; the model's own if not given.")] = None,
    model: Model = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what lies between genomes, on a sheet or as an animation."""
    files.check_between(output, frames is not None, fps, parents)
    from clavilux.breeding.models import breeder_for
    from clavilux.breeding.verbs import check_parents

    check_parents(len(parents), "between")
    genomes = files.read_parents(parents, model)
    breeder = breeder_for(genomes, model)
    files.write_between(ctx, output, genomes, breeder, steps, frames, fps, size, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
@signs
def show(
    ctx: typer.Context,
    genome: Annotated[Path, typer.Argument(help=A_PARENT)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to: .png, .jpg, .webp; of a score also .flac, .wav, .mp3, .mid."),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side; the model's own if not given.")] = None,
    mark_key: OwnKey = None,
    model: Model = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what a genome looks or sounds like; the file holds the genome, and can be a parent itself."""
    if output is not None:
        check_target(output)
        check_apart([output], [genome])
    [parent] = files.read_parents([genome], model)
    from clavilux.breeding.models import MUSIC, breeder_for, family_of

    target = files.check_shown(output, family_of(model or parent.model) in MUSIC, genome, size)
    breeder = breeder_for([parent], model)
    files.write_shown(ctx, target, parent, breeder, size, mark_key, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
def tree(
    ctx: typer.Context,
    genome: Annotated[Path, typer.Argument(help=A_GENOME[:-2] + ".")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .svg.")] = Path("tree.svg"),
    mark_key: OwnKey = None,
    model: Model = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw a genome's lineage: every ancestor with what it looks like."""
    check_ending(output, (".svg",))
    check_target(output)
    check_apart([output], [genome])
    [last] = files.read_parents([genome], model)
    from clavilux.breeding.models import breeder_for

    files.write_tree(ctx, output, last, breeder_for([last], model), mark_key, as_json=as_json, quiet=quiet)


@app.command(cls=Command)
def replay(
    ctx: typer.Context,
    genome: Annotated[Path, typer.Argument(help=A_GENOME[:-2] + ".")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .json.")] = Path("replayed.json"),
    show: Show = None,
    mark_key: OwnKey = None,
    model: Model = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a genome again from its history alone; that it comes out the same is checked."""
    _check_child(output, None, show, [genome])
    [last] = files.read_parents([genome], model)
    from clavilux.breeding import replay as verb
    from clavilux.breeding.models import breeder_for

    breeder = breeder_for([last], model)

    def born(_: int) -> Genome:
        return verb(last, model=breeder, mark_key=mark_key)

    files.write_children(ctx, output, None, show, born, breeder, mark_key, as_json=as_json, quiet=quiet)


def _check_child(output: Path, count: int | None, show: Path | None, read: list[Path]) -> None:
    """Find out before any work that a child could not be written, or would take a parent's place."""
    if count is not None:
        if show is not None:
            raise ValueError("--count writes a folder with pictures in it; leave --show out")
        check_new_folder(output)
        return
    check_ending(output, (".json",))
    targets = [output, *([show] if show else [])]
    for path in targets:
        check_target(path)
    check_distinct(targets)
    check_apart(targets, read)
