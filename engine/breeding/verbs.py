"""The verbs of breeding: random, cross, mutate, between, and replay, which does all of them again.

Knows genomes and their history, and that a step always gives the same genes (`apply`). What a step does to the numbers
is the breeder's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clavilux.breeding import marks
from clavilux.breeding.arithmetic import drawn_shares, shares
from clavilux.breeding.breeder import MOST_PARENTS, Breeder, Genes, Mix, Numbers
from clavilux.breeding.genome import Genome, read_latents
from clavilux.breeding.lineage import Lineage, Step
from clavilux.breeding.models import Model, breeder_for, load_breeder
from clavilux.checks import LARGEST_SEED, is_number, number_from, seed_of, short, whole_number
from clavilux.mark_key import MarkChoice, OwnKey

USUAL_STRENGTH = 0.2
FARTHEST = 10.0  # that a slider goes, in deviations
_STRUCTURE, _STYLE = 1, 2  # streams of a seed


def random_genome(model: Model, *, seed: int | None = None, words: str = "", mark: MarkChoice = None) -> Genome:
    """A genome without parents.

    Args:
        model: as `load_breeder` takes it, or a breeder.
        seed: the same one gives the same genome; a random one if None.
        words: of what; the seed chooses where empty.
        mark: of the tokens that are drawn, as for `ImageModel.generate`; the history names its key by its id, or says
            that none was wanted. Models whose genes are no tokens (gan, vae) have none.

    Raises:
        ValueError: words that mean nothing to the model, or a mark that it cannot have.
        CheckpointError: no such model.
    """
    breeder = load_breeder(model)
    return _born(breeder, "random", {"seed": seed_of(seed), "words": words}, [], mark)


def cross(
    parents: Sequence[Genome],
    *,
    structure: Sequence[float] | None = None,
    style: Sequence[float] | None = None,
    seed: int | None = None,
    mark: MarkChoice = None,
    model: Model | None = None,
) -> Genome:
    """A child of several parents. Without a seed it is always the same one.

    Args:
        parents: 2 to 8 genomes of one model.
        structure: each parent's weight in the layers that say what is where; all alike if None, or drawn by the seed.
        style: the same of the layers that say how it looks.
        seed: of shares that are not given, so that children of the same parents differ; and, of models whose tokens
            are drawn, of what is drawn anew.
        mark: as for `random_genome`, of what is drawn anew.
        model: where it is, if not where the genomes say.

    Raises:
        ValueError: too few or too many parents, of several models or of another one, or weights that are none.
        CheckpointError: no such model.
    """
    parents = list(parents)
    check_parents(len(parents))
    own = 0 if seed is None else seed_of(seed)
    settings: dict[str, Any] = {
        "structure": list(_shares("structure", structure, len(parents), seed, _STRUCTURE)),
        "style": list(_shares("style", style, len(parents), seed, _STYLE)),
        "seed": own,
    }
    breeder = breeder_for(parents, model)
    return _born(breeder, "cross", settings, parents, mark)


def mutate(
    genome: Genome,
    strength: float = USUAL_STRENGTH,
    *,
    seed: int | None = None,
    sliders: Mapping[str, float] | None = None,
    mark: MarkChoice = None,
    model: Model | None = None,
) -> Genome:
    """A genome that is changed a little.

    Args:
        genome: the parent.
        strength: 0 (the genome itself) to 1 (nothing of it is left).
        seed: of the change; a random one if None.
        sliders: genes that are moved by so many deviations, -10 to 10, after the change.
        mark, model: as for `cross`.

    Raises:
        ValueError: a strength or a slider out of range, a gene that the model does not have, or another model.
        CheckpointError: no such model.
    """
    strength = number_from("strength", strength, 0, 1)
    moved = {name: number_from(f"the gene {name!r}", by, -FARTHEST, FARTHEST) for name, by in (sliders or {}).items()}
    breeder = breeder_for([genome], model)
    if not strength and not any(moved.values()):
        return genome
    settings: dict[str, Any] = {"strength": strength, "seed": seed_of(seed) if strength else 0}
    return _born(breeder, "mutate", settings | ({"sliders": moved} if moved else {}), [genome], mark)


def between(first: Genome, second: Genome, share: float, *, model: Model | None = None) -> Genome:
    """A genome on the way from one to another, on the arc between their latents.

    Args:
        first, second: genomes of one model.
        share: 0 (the first's genes) to 1 (the second's).
        model: as for `cross`.

    Raises:
        ValueError: a share out of range, several models or another one, or a model that has nothing between.
        CheckpointError: no such model.
    """
    share = number_from("share", share, 0, 1)
    breeder = breeder_for([first, second], model)
    return _born(breeder, "between", {"share": share}, [first, second], None)


def replay(genome: Genome, *, model: Model | None = None, mark_key: OwnKey = None) -> Genome:
    """The genome again, from its history alone.

    Args:
        genome: which.
        model: as for `cross`.
        mark_key: the file of the private key that its steps are marked with; those of the public one need none.

    Raises:
        ValueError: the history leads to other genes than the genome has, it is for another model, or its private key is
            not given.
        CheckpointError: no such model.
    """
    genes = replayed(genome, breeder_for([genome], model), mark_key)[genome.name]
    if genes != genome.genes:
        raise ValueError(
            f"the history of {genome.name} leads to other genes than it has; one of them was changed by hand, or "
            "tokens were drawn on a processor that computes otherwise"
        )
    return Genome(genome.model_sha256, genome.model, genes, genome.history)


def replayed(genome: Genome, breeder: Breeder, mark_key: OwnKey = None) -> dict[str, Genes]:
    """Every step's name -> its genes, all of them made again. ValueError for settings that are none."""
    found: dict[str, Genes] = {}
    for step in genome.history.steps:
        drawing = marks.drawing(breeder, marks.key_for(step, mark_key))
        found[step.name] = apply(drawing, step, [found[parent] for parent in step.parents])
    return found


def apply(breeder: Breeder, step: Step, parents: Sequence[Genes]) -> Genes:
    """What a step makes of its parents' genes. ValueError for settings that are none."""
    settings = step.settings
    if step.verb == "random":
        return breeder.random(_seed(step), _text(step, "words"))
    if step.verb == "encode":
        genes = Genes(read_latents(settings.get("latents")), settings.get("classes", {}))
        breeder.check(genes)
        return genes
    if step.verb == "cross":
        structure, style = (_weights(step, name, len(parents)) for name in ("structure", "style"))
        return breeder.cross(parents, Mix(structure, style, _seed(step)))
    if step.verb == "mutate":
        strength = number_from("the strength of a step", settings.get("strength"), 0, 1)
        changed = breeder.mutate(parents[0], strength, _seed(step)) if strength else parents[0]
        sliders = settings.get("sliders", {})
        if not isinstance(sliders, dict) or not all(map(is_number, sliders.values())):
            raise ValueError(f"the sliders of a step are {short(sliders)}; they should be genes with numbers")
        return breeder.slide(changed, sliders) if sliders else changed
    share = number_from("the share of a step", settings.get("share"), 0, 1)
    return breeder.between(parents[0], parents[1], share)


def check_parents(count: int, verb: str = "cross") -> None:
    """Raise ValueError for too few or too many genomes."""
    if not 2 <= count <= MOST_PARENTS:
        given = "1 genome is" if count == 1 else f"{count} genomes are"
        raise ValueError(f"{given} given; {verb} takes 2 to {MOST_PARENTS}")


def _born(
    breeder: Breeder, verb: str, settings: Mapping[str, Any], parents: Sequence[Genome], mark: MarkChoice
) -> Genome:
    """The genome that a step leads to; one whose genes are a parent's, drawn anew in nothing, says of no mark."""
    names = tuple(parent.name for parent in parents)
    said, key = ({}, None) if verb == "between" else marks.settings_of(mark, breeder)
    step = Step(verb, names, {**settings, **said})
    genes = apply(marks.drawing(breeder, key), step, [parent.genes for parent in parents])
    if key is not None and any(genes == parent.genes for parent in parents):
        step = Step(verb, names, settings)
    history = Lineage.joined([parent.history for parent in parents], step)
    return Genome(breeder.model_sha256, breeder.name, genes, history)


def _shares(name: str, given: Sequence[float] | None, count: int, seed: int | None, stream: int) -> Numbers:
    """Each parent's share, from what was given, by the seed, or alike."""
    if given is None:
        return shares([1.0] * count) if seed is None else drawn_shares(seed_of(seed), stream, count)
    weights = list(given)
    if len(weights) != count or not all(is_number(each) and each >= 0 for each in weights) or not any(weights):
        raise ValueError(f"{name} is {short(weights)}; it should be a weight of 0 or more for each of {count} parents")
    return shares(weights)


def _weights(step: Step, name: str, count: int) -> Numbers:
    value = step.settings.get(name)
    if not isinstance(value, list) or len(value) != count or not all(map(is_number, value)):
        raise ValueError(f"the {name} of a step is {short(value)}; it should be a share for each of {count} parents")
    return tuple(value)


def _seed(step: Step) -> int:
    return whole_number("the seed of a step", step.settings.get("seed"), 0, LARGEST_SEED)


def _text(step: Step, name: str) -> str:
    value = step.settings.get(name)
    if not isinstance(value, str):
        raise ValueError(f"the {name} of a step are {short(value)}; they should be text")
    return value
