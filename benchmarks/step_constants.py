"""The numbers of `step_model.py`, each with what it rests on: measured, published by others, or estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Constant(NamedTuple):
    """A number of the model and what it rests on: "measured" (in --measured), "published" or "estimated"."""

    value: float
    status: str
    what: str


# Microseconds, bytes and shares. Those that are estimated are what a first run on a GPU has to settle.
C: Mapping[str, Constant] = {
    "in_a_step": Constant(0.945, "measured", "a product inside a step over the same alone: its rows lie in the L2"),
    "gap": Constant(1.18, "measured", "from a captured kernel's start to the next one's, where nothing is computed"),
    "fixed": Constant(1.2, "measured", "of a node: the first load's latency, the reduction, the store; 33 cases' rest"),
    "tiny": Constant(1.25, "measured", "embed, and the clock's step"),
    "short_attention": Constant(3.4, "measured", "attention to at most 128 keys, old kernel"),
    "least_attention": Constant(5.5, "measured", "the same to more, its loops' first rounds"),
    "streamed": Constant(0.92, "estimated", "share of the copy's bandwidth while weights stream"),
    "rows": Constant(0.45, "estimated", "the rows come out of the L2 after the wait"),
    "tail": Constant(0.40, "estimated", "reduction over warps, store, the program's end"),
    "drain": Constant(0.30, "estimated", "from the last weight's arrival to the reduction"),
    "link_low": Constant(0.50, "estimated", "a node's last store to the next one's wait ending, dependent launch: low"),
    "link": Constant(0.75, "estimated", "the same, the middle of what is expected"),
    "link_high": Constant(1.10, "published", "the same, high: 1.7 to 1.9 a whole node where the trigger is late"),
    "iteration": Constant(0.15, "estimated", "a turn of the product's loop over 512 (wide: 1024) of the width"),
    "cold_iteration": Constant(0.30, "estimated", "the same where weights come out of memory, not ahead of time"),
    "waiting": Constant(0.05, "estimated", "the same where the program's weights lie in shared memory already"),
    "shared": Constant(64 * 1024, "estimated", "weights of a program that can lie in shared memory before the wait"),
    "l2": Constant(5.5e6, "estimated", "bytes a microsecond out of the L2"),
    "attend": Constant(0.6, "estimated", "attention's own rounds over few keys"),
    "attend_many": Constant(1.6, "estimated", "what more than 128 keys add: pieces that are joined"),
    "draw": Constant(
        3.0, "estimated", "the new sampler, 2,048 logits: no threshold, and the noise is there before them"
    ),
    "draw_large": Constant(
        5.5,
        "estimated",
        "the same, 16,384 logits in one program: 1.2 load, 2.9 issue, .9 reductions over warps, .4 store",
    ),
    "blind_node": Constant(1.4, "estimated", "a node, were no byte to stream while the chain waits"),
}


@dataclass(frozen=True)
class Card:
    """A GPU: its name, and bytes a microsecond that its copy reaches (read and written)."""

    name: str
    copy: float
    status: str = "measured"


CARDS = {"H200": Card("H200", 4.225e6), "H100": Card("H100", 3.0e6, "published")}
