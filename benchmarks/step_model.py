"""What a decoding step should take on a GPU, node by node: a model on paper, beside what was measured.

    python benchmarks/step_model.py [--model NAME ...] [--gpu H200] [--copy TB/s] [--gap US] [--weights bfloat16]
                                    [--length N] [--nodes] [--constants] [--calibration] [--json FILE]

A step is a chain of nodes (kernels) in one CUDA graph, each of which waits for the one before it, beside a stream of
bytes that no chain can outrun. Designs, each with all that the ones before it have:

    old        the kernels that were measured: their ops' times in --measured, summed
    folded     the norm folded into its matrix, no statistics before the product, the width split over a program's warps
    dependent  a node is started while the one before it ends, and asks for its own weights before it waits
    ahead      the start is let go at once, so three nodes ahead; keys asked for before the wait; the new sampler
    cross      cross-attention in two nodes instead of four, where the model has it and a text takes fewer bytes so
    held       narrow nodes hold their weights before they wait, instead of having them in the L2 (no kernel does yet)

Only `old` on an H200 rests on measurements. THE OTHERS ARE PREDICTIONS: no GPU has run these kernels. `--constants`
says of each number whether it was measured, published by others or estimated. Needs neither torch nor a GPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import checkout
from step_constants import CARDS, C, Card

from clavilux.kernels.model_shapes import MODELS, ModelShape

MEASURED = checkout.ROOT / "benchmarks" / "results" / "2026-11-26-gpu.json"
DESIGNS = ("old", "folded", "dependent", "ahead", "cross", "held")
MEMORY = 32  # positions of a prompt's memory, as `clavilux bench` has them


@dataclass(frozen=True)
class Node:
    """One kernel of a step.

    Attributes:
        place: where in the step; nodes of one place are alike but for what they attend to.
        kind: "product", "attention", "sample" or "tiny".
        weights, cache: bytes that it reads.
        width: of a product's sums; of attention: keys.
        outs: channels of a product.
        case: the catalog's case that was measured, (op, name).
    """

    place: str
    kind: str
    weights: int = 0
    cache: int = 0
    width: int = 0
    outs: int = 0
    case: tuple[str, str] | None = None

    @property
    def num_bytes(self) -> int:
        return self.weights + self.cache


def nodes_of(model: ModelShape, length: int, item: int, *, short_cross: bool = False) -> list[Node]:
    """Every node of a step that attends to `length` positions, with `item` bytes a weight."""
    suffix = "-int8" if item == 1 else ""

    def product(place: str, op: str, width: int, outs: int, case: str) -> Node:
        name = f"{model.name}-{case}{suffix}"
        return Node(place, "product", width * outs * item, 0, width, outs, (op, name))

    def attention(place: str, keys: int, case: str) -> Node:
        return Node(place, "attention", 0, model.rows * inner * 2 * keys * 2, keys, inner, ("decode_attention", case))

    inner, width = model.heads * model.head_dim, model.width
    up = (2 if model.activation == "swiglu" else 1) * model.ffn
    out = product("out", "linear_residual", inner, width, "out")
    step = [Node("embed", "tiny", case=("embed", model.name))]
    for layer in range(model.layers):
        span = model.span(layer)
        kind = "" if span is None else f"-{span[0].replace('_', '-')}"
        step += [
            product("qkv", "norm_linear", width, 3 * inner, "qkv"),
            attention(f"attention{kind}", keys_read(span, length), model.name + kind),
            out,
        ]
        if model.cross and short_cross:
            # M = Wq'k and M Wo beside Wo; then N = Wo v: for the one row that has a memory, in half precision.
            scores = model.heads * MEMORY
            step[-1] = replace(out, place="out, scores", weights=out.weights + 2 * 2 * scores * width)
            step.append(Node("cross", "product", 2 * scores * width, 0, scores, width))
        elif model.cross:
            query = product("cross query", "norm_linear", width, inner, "cross-q")
            step += [query, attention("cross", MEMORY, ""), replace(out, place="cross out")]
        step += [
            product("up", "norm_linear", width, up, "up"),
            product("down", "linear_residual", model.ffn, width, "down"),
        ]
    step.append(product("head", "norm_linear", width, model.codebooks * model.vocabulary, "head"))
    return [*step, Node("sample", "sample", case=("sample_step", model.name)), Node("clock", "tiny")]


def folds(model: ModelShape, item: int) -> bool:
    """Whether a memory takes fewer bytes folded, as `clavilux.kernels.cross_step.most_keys` has it."""
    inner = model.heads * model.head_dim
    folded, keys_and_values = MEMORY * model.heads * (2 * model.width + inner) * 2, 2 * MEMORY * inner * 2
    return model.cross and folded < 2 * model.width * inner * item + keys_and_values


def keys_read(span: tuple[str, int] | None, length: int) -> int:
    """Keys that a layer reads of `length` positions; of a row that grows, half."""
    if span is None:
        return length
    kind, size = span
    return {"row": max(1, size // 2), "column": max(1, length // size), "previous_row": size,
            "prefix": min(size, length)}[kind]  # fmt: skip


# What was measured


@dataclass(frozen=True)
class Measured:
    """Microseconds: of ops by (op, case), and of whole steps by (model, length, dtype)."""

    ops: Mapping[tuple[str, str], float]
    steps: Mapping[tuple[str, int, str], float]


def read_measured(path: Path) -> Measured:
    """Out of a JSON of gpu_check.py. Raises ValueError for another file."""
    try:
        rows = json.loads(path.read_text())["results"]
        ops = {(row["subject"], row["at"]): 1e6 * row["median_s"] for row in rows
               if row["suite"] == "ops" and row["side"] == "clavilux"}  # fmt: skip
        steps = {(row["subject"], int(row["at"].split()[1]), row["dtype"]): 1e6 * row["median_s"] for row in rows
                 if row["suite"] == "steps" and row["side"] in ("+ sampler", "+ int8")}  # fmt: skip
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"--measured is {str(path)!r}; it should be a JSON file of gpu_check.py ({error})") from None
    return Measured(ops, steps)


def old_node(node: Node, model: ModelShape, measured: Measured) -> float | None:
    """Microseconds of a node of the old kernels inside a step; None where its op was not measured."""
    if node.kind == "tiny":
        return C["tiny"].value
    if node.kind == "attention":
        return _old_attention(node, model, measured)
    assert node.case is not None  # products and the sampler have one
    found = measured.ops.get(node.case)
    return found if found is None or node.kind == "sample" else found * C["in_a_step"].value


def _old_attention(node: Node, model: ModelShape, measured: Measured) -> float | None:
    case = "" if node.case is None else node.case[1]
    if not case or (case == model.name and node.width <= 128):
        return C["short_attention"].value
    half, full = (measured.ops.get(("decode_attention", f"{case}-{where}")) for where in ("half", "full"))
    if half is None or full is None:
        return None
    if case != model.name:  # a span's keys are as many at half as at the whole, or nearly
        return full
    middle, least = model.context / 2, C["least_attention"].value
    if node.width > middle:
        return max(C["short_attention"].value, half + (full - half) * (node.width - middle) / middle)
    return max(least, least + 1 + (half - least - 1) * node.width / middle)


def old_step(step: Sequence[Node], model: ModelShape, measured: Measured, card: Card) -> list[float] | None:
    """Microseconds of each node; None where one was not measured. On a slower card at least what its bytes take."""
    times = []
    for node in step:
        found = old_node(node, model, measured)
        if found is None:
            return None
        if card.copy < CARDS["H200"].copy and node.num_bytes:
            found = max(found, node.num_bytes / (0.8 * card.copy) + C["gap"].value + C["fixed"].value)
        times.append(found)
    return times


# What is predicted


@dataclass(frozen=True)
class Design:
    """How nodes follow each other.

    Attributes:
        link: microseconds from a node's end to the next one's begin; None: a plain graph's edge.
        depth: nodes that may ask for their weights before their turn.
        draw: the sampler's time; None: as measured.
        held: whether a program's weights, where they are few, are in its own memory before it waits.
    """

    link: float | None
    depth: int = 0
    draw: float | None = None
    held: bool = False


def design(name: str, link: float, vocabulary: int) -> Design:
    """By its name, with this link where it has one."""
    if name == "folded":
        return Design(None)
    if name == "dependent":
        return Design(link, 1)
    return Design(link, 3, C["draw" if vocabulary <= 2048 else "draw_large"].value, name == "held")


def new_step(step: Sequence[Node], how: Design, measured_draw: float, card: Card, gap: float) -> list[float]:
    """Microseconds that each node adds: from the end of the one before it to its own."""
    rate = card.copy * C["streamed"].value
    draw = measured_draw if how.draw is None else min(how.draw, measured_draw)
    if how.link is None:
        return [_plain_node(node, gap, draw, rate) for node in step]
    ends, arrived = [0.0], 0.0  # of the chain, node after node; of the bytes asked for so far
    for node in step:
        begun = ends[max(0, len(ends) - 1 - how.depth)]
        arrived = max(arrived, begun) + node.num_bytes / rate
        ready = ends[-1] + _own_time(node, how.link, draw, how.held)
        ends.append(max(ready, arrived + C["tail"].value + C["drain"].value) if node.num_bytes else ready)
    return [after - before for before, after in itertools.pairwise(ends)]


def _plain_node(node: Node, gap: float, draw: float, rate: float) -> float:
    if node.kind == "tiny":
        return C["tiny"].value
    if node.kind == "sample":
        return draw
    fixed = gap + C["fixed"].value
    if node.kind == "attention":
        more = C["attend_many"].value if node.width > 128 else 0
        return fixed + C["rows"].value + C["attend"].value + more + node.cache / rate
    return fixed + max(node.weights / rate, _turns(node) * C["cold_iteration"].value)


def _own_time(node: Node, link: float, draw: float, held: bool) -> float:
    """From the end of the node before it, when its bytes are there."""
    if node.kind == "tiny":
        return link + C["tail"].value
    if node.kind == "sample":
        return link + draw
    computed = _product(node, held)
    if node.kind == "attention":
        computed = C["attend"].value + (C["attend_many"].value if node.width > 128 else 0)
    return link + C["rows"].value + computed + C["tail"].value


def _turns(node: Node) -> int:
    return math.ceil(node.width / (512 if node.width < 4096 else 1024))  # by 8 warps, or by 16


def _product(node: Node, held: bool) -> float:
    programs = min(math.ceil(node.outs / 16), 264) or 1
    if held and node.weights / programs <= C["shared"].value and node.width <= 2048:
        return C["iteration"].value + C["waiting"].value * _turns(node)
    return max(_turns(node) * C["iteration"].value, node.weights / C["l2"].value)


# Tables


def predict(model: ModelShape, length: int, weights: str, card: Card, gap: float, measured: Measured) -> dict:
    """Everything for one model: steps by design in microseconds, their bytes, and each place's share of a step."""
    item = 1 if weights == "int8" else 2
    step = nodes_of(model, length, item)
    drawn = measured.ops.get(("sample_step", model.name), C["draw"].value)
    found: dict = {"model": model.name, "length": length, "weights": weights, "gpu": card.name, "designs": {}}
    old = old_step(step, model, measured, card)
    if old is not None:
        found["designs"]["old"] = _summary(step, [old, old, old], card)
    for name in DESIGNS[1:]:
        if name == "cross" and not folds(model, item):
            continue
        own = (
            nodes_of(model, length, item, short_cross=True)
            if name in ("cross", "held") and folds(model, item)
            else step
        )
        links = [C[link].value for link in ("link_low", "link", "link_high")]
        times = [new_step(own, design(name, link, model.vocabulary), drawn, card, gap) for link in links]
        found["designs"][name] = _summary(own, times, card)
    num_bytes = sum(node.num_bytes for node in step)
    # Were the memory idle while a node waits for the one before it:
    blind = num_bytes / (card.copy * C["streamed"].value) + C["blind_node"].value * len(step)
    found["blind_us"] = max(blind, found["designs"]["dependent"]["us"])
    found["measured_us"] = measured.steps.get((model.name, length, weights)) if card.name == "H200" else None
    return found


def _summary(step: Sequence[Node], times: Sequence[Sequence[float]], card: Card) -> dict:
    num_bytes, (low, middle, high) = sum(node.num_bytes for node in step), map(sum, times)
    places: dict[str, dict[str, float]] = {}
    for node, taken in zip(step, times[1], strict=True):
        place = places.setdefault(node.place, {"nodes": 0, "us": 0.0, "floor_us": 0.0})
        place["nodes"] += 1
        place["us"] += taken
        place["floor_us"] += node.num_bytes / card.copy
    return {"nodes": len(step), "bytes": num_bytes, "low_us": low, "us": middle, "high_us": high,
            "share": num_bytes / card.copy / middle, "places": places}  # fmt: skip


def calibration(measured: Measured) -> list[tuple[str, int, str, float, float]]:
    """(model, length, dtype, measured, modeled) of every whole step that was measured, in microseconds."""
    rows = []
    for (name, length, dtype), took in measured.steps.items():
        if name not in MODELS or dtype not in ("bfloat16", "int8"):
            continue
        step = nodes_of(MODELS[name], length, 1 if dtype == "int8" else 2)
        times = old_step(step, MODELS[name], measured, CARDS["H200"])
        if times is not None:
            rows.append((name, length, dtype, took, sum(times)))
    return rows


def table(found: Sequence[Mapping]) -> str:
    """One line a model: milliseconds and the share of the copy's bandwidth, by design."""
    lines = [f"{'model':18}{'length':>7}{'GB':>7}{'nodes':>6}{'measured':>10}" + "".join(
        f"{name + (' ' if name == 'old' else ' *'):>24}" for name in DESIGNS) + f"{'no overlap *':>14}"]  # fmt: skip
    for one in found:
        designs, first = one["designs"], one["designs"]["folded"]
        took = "-" if one["measured_us"] is None else f"{one['measured_us'] / 1e3:.3f}"
        cells = ""
        for name in DESIGNS:
            cell = "-"
            if name in designs:
                d = designs[name]
                spread = "" if d["low_us"] == d["high_us"] else f" {d['low_us'] / 1e3:.2f}-{d['high_us'] / 1e3:.2f}"
                cell = f"{d['us'] / 1e3:.3f}{spread} {d['share']:.0%}"
            cells += f"{cell:>24}"
        lines.append(f"{one['model']:18}{one['length']:>7}{first['bytes'] / 1e9:>7.2f}{first['nodes']:>6}{took:>10}"
                     f"{cells}{one['blind_us'] / 1e3:>14.3f}")  # fmt: skip
    return "\n".join([*lines, "milliseconds, for a low to a high link, and share of the copy's bandwidth; * predicted,"
                      " no GPU has run it"])  # fmt: skip


def node_table(one: Mapping) -> str:
    """One line a place: microseconds a node, by design, over what its bytes alone would take."""
    designs = one["designs"]
    places = dict.fromkeys(place for found in designs.values() for place in found["places"])
    lines = [f"{'µs a node':24}{'nodes':>6}{'floor':>8}" + "".join(f"{name:>12}" for name in designs)]
    for place in places:
        of = {name: found["places"].get(place) for name, found in designs.items()}
        any_of = next(value for value in of.values() if value)
        cells = "".join("-".rjust(12) if value is None else f"{value['us'] / value['nodes']:>12.2f}"
                        for value in of.values())  # fmt: skip
        lines.append(f"  {place:22}{any_of['nodes']:>6}{any_of['floor_us'] / any_of['nodes']:>8.2f}{cells}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=sorted(MODELS), metavar="NAME", help="all but aria if left out")
    parser.add_argument("--gpu", choices=CARDS, default="H200")
    parser.add_argument("--copy", type=float, help="TB/s that the copy reaches, for another card")
    parser.add_argument("--gap", type=float, default=C["gap"].value, help="µs between a plain graph's kernels")
    parser.add_argument("--weights", choices=("bfloat16", "int8"), default="bfloat16")
    parser.add_argument("--length", type=int, help="positions that the step attends to; half of the context")
    parser.add_argument("--nodes", action="store_true", help="µs of every kind of node as well")
    parser.add_argument("--constants", action="store_true", help="the model's numbers, and what each rests on")
    parser.add_argument("--calibration", action="store_true", help="the old kernels' steps beside those measured")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="JSON of gpu_check.py")
    parser.add_argument("--json", type=Path, help="write all of it here")
    args = parser.parse_args()
    for name, value in (("copy", args.copy), ("gap", args.gap), ("length", args.length)):
        if value is not None and not 0 < value < math.inf:
            parser.error(f"--{name} is {value}; it should be above 0")
    try:
        measured = read_measured(args.measured)
    except ValueError as error:
        parser.error(str(error))
    card = CARDS[args.gpu] if args.copy is None else Card("another", 1e6 * args.copy, "given")
    models = [MODELS[name] for name in args.model or MODELS if args.model or name not in ("aria-composer",)]
    lengths = [min(args.length or model.context // 2, model.context) for model in models]
    found = [predict(model, length, args.weights, card, args.gap, measured) for model, length in zip(models, lengths,
             strict=True)]  # fmt: skip
    print(f"{card.name}, {card.copy / 1e6:.2f} TB/s by its copy ({card.status}), {args.weights} weights")
    print(table(found))
    for one in found if args.nodes else ():
        print(f"\n{one['model']}, length {one['length']}\n{node_table(one)}")
    if args.calibration:
        print("\nold kernels, H200: measured and modeled, ms")
        for name, length, dtype, took, modeled in calibration(measured):
            print(f"  {name:18}{length:>6} {dtype:9}{took / 1e3:>8.3f}{modeled / 1e3:>8.3f}{modeled / took - 1:>+6.0%}")
    if args.constants:
        print(
            "\n"
            + "\n".join(f"  {name:16}{value:>10g}  {status:10} {what}" for name, (value, status, what) in C.items())
        )
    if args.json:
        constants = {name: constant._asdict() for name, constant in C.items()}
        args.json.write_text(json.dumps({"constants": constants, "steps": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
