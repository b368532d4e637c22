"""Lineage: every step that led to a genome, from those without parents on.

Knows steps and their order. A step's name is a digest of what it did and of its parents' names, so that a grandparent
on both sides is one step, and a step that was edited is found out. Does not know what a step does to genes (`verbs`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from clavilux.checks import short

# verb -> how many parents it has (least, most); beyond its settings a step holds nothing.
VERBS = {"random": (0, 0), "encode": (0, 0), "cross": (2, 8), "mutate": (1, 1), "between": (2, 2)}
MOST_STEPS = 100_000
_DIGITS = 12


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        verb: a key of `VERBS`.
        parents: the names of steps.
        settings: plain JSON values; with the parents' genes they make the step's.
    """

    verb: str
    parents: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """12 hexadecimal digits of what it is."""
        text = json.dumps([self.verb, list(self.parents), dict(self.settings)], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    def to_dict(self) -> dict[str, Any]:
        """Its name, verb and parents, then its settings."""
        parents = {"parents": list(self.parents)} if self.parents else {}
        return {"name": self.name, "verb": self.verb, **parents, **self.settings}

    @classmethod
    def from_dict(cls, value: Any) -> Step:
        """Read what `to_dict` gives. ValueError for anything else, the end of a sentence."""
        if not isinstance(value, dict) or value.get("verb") not in VERBS:
            raise ValueError(f"a step of its history is {short(value)}; its verb should be one of {', '.join(VERBS)}")
        parents = value.get("parents", [])
        if not isinstance(parents, list) or not all(isinstance(each, str) for each in parents):
            raise ValueError(f"the parents of a step are {short(parents)}; they should be names of steps before it")
        least, most = VERBS[value["verb"]]
        if not least <= len(parents) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            raise ValueError(f"a step of {value['verb']} has {len(parents)} parents; it should have {count}")
        settings = {name: each for name, each in value.items() if name not in ("name", "verb", "parents")}
        step = cls(value["verb"], tuple(parents), settings)
        if step.name != value.get("name"):
            raise ValueError(f"the step {short(value.get('name'))} is not what its name says; it was changed by hand")
        return step


@dataclass(frozen=True)
class Lineage:
    """The steps that led to a genome, each after its parents; the last one is the genome's own.

    Raises:
        ValueError: no step, or a parent that is not before its child.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.steps) <= MOST_STEPS:
            raise ValueError(f"a history has {len(self.steps)} steps; it should have 1 to {MOST_STEPS:,}")
        seen: set[str] = set()
        for step in self.steps:
            if missing := [parent for parent in step.parents if parent not in seen]:
                raise ValueError(f"the step {step.name} has the parent {missing[0]!r}, which is not before it")
            seen.add(step.name)

    @classmethod
    def joined(cls, parents: Iterable[Lineage], step: Step | None = None) -> Lineage:
        """Several lineages as one, what they share once; `step` comes last."""
        found = {each.name: each for lineage in parents for each in lineage.steps}
        if step is not None:
            found[step.name] = step
        return cls(tuple(found.values()))

    @property
    def last(self) -> Step:
        """The genome's own step."""
        return self.steps[-1]

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """Every step by its name."""
        return {step.name: step for step in self.steps}

    @cached_property
    def generations(self) -> dict[str, int]:
        """Every step's name -> how many steps at most lie between it and those without parents."""
        found: dict[str, int] = {}
        for step in self.steps:
            found[step.name] = 1 + max((found[parent] for parent in step.parents), default=-1)
        return found

    def to_list(self) -> list[dict[str, Any]]:
        """As JSON has it."""
        return [step.to_dict() for step in self.steps]

    @classmethod
    def from_list(cls, value: Any) -> Lineage:
        """Read what `to_list` gives. ValueError for anything else, the end of a sentence."""
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError(f"its history is {short(value)}; it should be a list of steps")
        return cls(tuple(Step.from_dict(each) for each in value))
