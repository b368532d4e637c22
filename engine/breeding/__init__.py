"""Breeding: pictures and scores as genes that are crossed, mutated and made again.

>>> from clavilux.breeding import Genome, cross, mutate, show
>>> child = cross([Genome.load("kids/1.json"), Genome.load("kids/5.json")])
>>> show(mutate(child, 0.2, seed=3)).save("mutant.png")

Importing it imports no torch: that comes with the model that a genome is for.
"""

from clavilux.breeding.breeder import Breeder, Genes, Mix
from clavilux.breeding.genome import Genome
from clavilux.breeding.lineage import Lineage, Step
from clavilux.breeding.models import load_breeder
from clavilux.breeding.showing import read, show
from clavilux.breeding.verbs import between, cross, mutate, random_genome, replay

__all__ = [
    "Breeder", "Genes", "Genome", "Lineage", "Mix", "Step", "between", "cross", "load_breeder", "mutate",
    "random_genome", "read", "replay", "show",
]  # fmt: skip
