"""What only a GPU can say about the kernels of a step, in about four minutes, most telling first.

    python benchmarks/gpu_questions.py [--minutes 4] [--only NAME ...] [--json FILE] [--device cuda] [--quick]

- links: a node of a graph that computes next to nothing, with and without dependent launch, on few and many programs;
- stack: real layers' wide parts one after another, with and without dependent launch, and without asking for lines;
- bits: a row alone and among 2, 5, 8 and 16, bit for bit, by the constants that a step uses;
- products: the product kernel as a step calls it, beside other constants, each checked against float64 first;
- reach: how much of the memory's bandwidth few programs reach, by the bytes that each has under way.

Their numbers belong into `step_constants.py`. Everything is timed inside CUDA graphs over more weights than the cache
holds. `gpu_check.py` asks the same. On a CPU (`--device cpu --quick`) Triton's interpreter shows that it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

if __name__ == "__main__" and {"cpu", "--device=cpu"} & set(sys.argv):  # before Triton is imported
    os.environ["TRITON_INTERPRET"] = "1"

import checkout  # noqa: F401  before clavilux
import torch
import triton
import triton.language as tl

from clavilux.bench.timing import Side, buffers_needed, captured, measure, rotating
from clavilux.files import check_ending, check_target, write_json
from clavilux.kernels import skinny_gemm as product
from clavilux.kernels.folded import FoldedWeight, fold
from clavilux.kernels.launch import dependent, launch
from clavilux.kernels.linear_residual import linear_residual
from clavilux.kernels.norm_linear import norm_linear
from clavilux.kernels.prologue import wait
from clavilux.kernels.quantized import Int8Weight, quantize

# Width to channels, of matrices that steps are made of; "out" and "down" come without a norm.
SHAPES = {
    "musicgen-small qkv": (1024, 3072), "musicgen-small out": (1024, 1024), "musicgen-small down": (4096, 1024),
    "musicgen-large qkv": (2048, 6144), "musicgen-large down": (8192, 2048), "llamagen-3b qkv": (3200, 9600),
    "jukebox-5b up": (4800, 4800),
}  # fmt: skip
TOYS = {"toy": (96, 40)}
ALLOWED = 1.6e-2  # of the largest value: what rounding may cost


@dataclass
class Asked:
    """The answers so far, and until when another question may begin.

    Attributes:
        device: where the kernels run; on a CPU by Triton's interpreter.
        quick: toy shapes, once each.
        deadline: of `time.monotonic`.
        changed: called with the rows after each.
        rows: one an answer: "question", "at", and what was found; "us" are microseconds a node.
    """

    device: torch.device
    quick: bool
    deadline: float
    changed: Callable[[list[dict]], object] = lambda rows: None
    rows: list[dict] = field(default_factory=list)

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.device.type == "cuda" else torch.float16  # the interpreter has no bfloat16

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        return TOYS if self.quick else SHAPES

    def over(self) -> bool:
        return time.monotonic() >= self.deadline

    def put(self, question: str, at: str, **found: object) -> None:
        self.rows.append({"question": question, "at": at, **found})
        words = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                          for name, value in found.items())  # fmt: skip
        print(f"  {question}: {at}: {words}", flush=True)
        self.changed(self.rows)

    def microseconds(self, calls: Sequence[Callable[[], object]], *, overlapped: bool) -> float:
        """Of one of the calls, which follow each other in one graph."""
        if self.device.type == "cuda":
            with dependent(self.device, overlapped):
                side = Side("calls", captured(calls, self.device), per_run=len(calls))
        else:
            side = Side("calls", rotating(calls))
        repeats, least_s = (1, 0.0) if self.quick else (7, 0.004)
        return 1e6 * measure([side], self.device, repeats=repeats, least_s=least_s)["calls"].median_s


# Links


@triton.jit
def link_kernel(source, target, COUNT: tl.constexpr, DEPENDENT: tl.constexpr):
    """Every program reads all that the kernel before it wrote, and writes 8 numbers."""
    wait(DEPENDENT)
    total = tl.sum(tl.load(source + tl.arange(0, COUNT)), 0) * 1e-3
    part = tl.arange(0, 8)
    tl.store(target + tl.program_id(0) * 8 + part, total + part.to(tl.float32))


def links(asked: Asked) -> None:
    count = 3 if asked.quick else 200
    for programs in (2,) if asked.quick else (64, 132, 264):
        size = max(1024, 8 * programs)
        buffers = [torch.randn(size, device=asked.device) for _ in range(2)]

        def call(index: int, buffers=buffers, programs=programs) -> None:
            source, target = buffers[index % 2], buffers[(index + 1) % 2]
            launch(link_kernel, (programs,), source, target, COUNT=512 if programs < 128 else 1024, num_warps=8)

        calls = [lambda index=index, call=call: call(index) for index in range(count)]
        for overlapped in (False, True):
            took = asked.microseconds(calls, overlapped=overlapped)
            asked.put("links", f"{programs} programs, {launched(overlapped)}", us=took)


# A stack of layers


def stack(asked: Asked) -> None:
    sizes = ((32, 64),) if asked.quick else ((1024, 4096), (2048, 8192))
    layers, rows = (2, 2) if asked.quick else (24, 2)
    for width, inner in sizes:
        ups = [fold(drawn(asked, inner, width).float(), None, None, None, asked.dtype) for _ in range(layers)]
        downs = [drawn(asked, width, inner) for _ in range(layers)]
        x = torch.randn(rows, width, device=asked.device).to(asked.dtype)

        def layer(index: int, x=x, ups=ups, downs=downs) -> torch.Tensor:
            (up, bias), words = ups[index], {"norm": "layer", "activation": "gelu", "backend": "triton"}
            return linear_residual(norm_linear(x, None, None, up, bias, **words), downs[index], None, x,
                                   backend="triton")  # fmt: skip

        calls = [lambda index=index, layer=layer: layer(index) for index in range(layers)]
        num_bytes = 2 * width * inner * asked.dtype.itemsize
        for overlapped, lines in ((False, True), (True, True), (True, False)):
            with with_constants({} if lines else {"LINES": 0}):
                took = asked.microseconds(calls, overlapped=overlapped)
            at = f"{width} to {inner} and back, {launched(overlapped)}{'' if lines else ', no lines asked for'}"
            asked.put("stack", at, us=took, tb_s=num_bytes / took / 1e6)


# Bits


def bits(asked: Asked) -> None:
    for name, (width, outs) in asked.shapes.items():
        for weights in (str(asked.dtype).removeprefix("torch."), "int8"):
            if asked.over():
                return
            weight = drawn(asked, outs, width)
            x = torch.randn(16, width, device=asked.device).to(asked.dtype)
            if asked.device.type == "cpu":  # its sums have an order of their own: numbers whose sums are exact
                weight, x = (torch.randint_like(part, -3, 4) for part in (weight, x))
            matrix = quantize(weight) if weights == "int8" else weight
            folded = FoldedWeight(matrix, torch.ones(outs, device=asked.device))
            differing = {}
            for rows in (2, 5, 8, 16):
                together = both(x[:rows], folded)
                alone = torch.cat([both(x[row : row + 1], folded) for row in range(rows)])
                differing[str(rows)] = int((together != alone).any(1).sum())
            asked.put("bits", f"{name}, {weights}", equal=not any(differing.values()), rows_that_differ=differing)


def both(x: torch.Tensor, folded: FoldedWeight) -> torch.Tensor:
    """A norm and a product, and the same product on top of zeros."""
    normed = norm_linear(x, None, None, folded, None, norm="layer", backend="triton")
    return torch.cat([normed, linear_residual(x, folded.matrix, None, torch.zeros_like(normed), backend="triton")], 1)


# Products


def products(asked: Asked) -> None:
    for rows, weights in ((2, "half"), (2, "int8"), (16, "half")):
        for name in asked.shapes:
            norm = "none" if name.endswith(("out", "down")) else "layer"
            at, found = f"{name}, {rows} rows, {weights}, norm {norm}", {}
            for label, changes in alternatives(*asked.shapes[name], rows, weights, norm, asked):
                if asked.over():
                    return
                try:
                    found[label] = product_us(asked, name, rows, weights, norm, label, changes)
                except Exception as error:  # out of registers or shared memory: that is an answer, too
                    asked.put("products", f"{at}, {label}", failed=f"{type(error).__name__}: {str(error)[:120]}")
            right = {label: took for label, took in found.items() if took is not None}
            if right:
                best = min(right, key=right.__getitem__)
                asked.put("products", f"best of {at}", best=best, us=right[best], own_us=right.get("its own"))


def alternatives(
    width: int, outs: int, rows: int, weights: str, norm: str, asked: Asked
) -> Iterator[tuple[str, dict[str, int | bool]]]:
    """(what is changed, constants to take instead), the kernel's own first."""
    dtype = torch.int8 if weights == "int8" else asked.dtype
    own = product.blocks(rows, outs, width, dtype, norm)
    parts, block_k, block_n, stages = (int(own[name]) for name in ("S", "BK", "BN", "num_stages"))

    def tiles(parts: int, block_k: int, block_n: int) -> dict[str, int | bool]:
        even = outs % block_n == 0 and width % (parts * block_k) == 0
        return {"S": parts, "BK": block_k, "BN": block_n, "EVEN": even, "num_warps": parts}

    yield "its own", {}
    if own["LINES"]:
        yield "no lines asked for", {"LINES": 0}
        yield "twice the lines", {"LINES": 2 * int(own["LINES"])}
    yield f"{parts // 2} parts of twice", tiles(parts // 2, 2 * block_k, block_n)
    yield f"{2 * parts} parts of half", tiles(2 * parts, max(16, block_k // 2), block_n)
    yield f"{48 - block_n} channels a program", tiles(parts, block_k, 48 - block_n)
    for other in {max(2, stages - 2), stages + 1} - {stages}:
        yield f"{other} stages", {"num_stages": other}


def product_us(
    asked: Asked, name: str, rows: int, weights: str, norm: str, label: str, changes: dict[str, int | bool]
) -> float | None:
    """Microseconds inside a graph, dependent launch; None where the result is wrong."""
    width, outs = asked.shapes[name]
    item = 1 if weights == "int8" else asked.dtype.itemsize
    count = 2 if asked.quick else max(2, buffers_needed(width * outs * item, asked.device))
    x = torch.randn(rows, width, device=asked.device).to(asked.dtype)
    kind = "int8" if weights == "int8" else asked.dtype
    made = [fold(drawn(asked, outs, width).float(), None, None, None, kind)[0] for _ in range(count)]
    residual = torch.randn(rows, outs, device=asked.device).to(asked.dtype) if norm == "none" else None
    out = torch.empty(rows, outs, device=asked.device, dtype=asked.dtype)

    def call(folded: FoldedWeight) -> None:
        matrix = folded.matrix
        values, scale = (matrix.values, matrix.scale) if isinstance(matrix, Int8Weight) else (matrix, None)
        product.skinny_gemm(x, values, scale, folded.row_sums, None, residual, out, norm=norm, eps=1e-5)

    with with_constants(changes):
        call(made[0])
        error = relative(out, exact(x, made[0], residual, norm))
        at = f"{name}, {rows} rows, {weights}, norm {norm}, {label}"
        if not error <= ALLOWED:  # NaN is wrong as well
            asked.put("products", at, wrong=True, error=error)
            return None
        took = asked.microseconds([lambda folded=folded: call(folded) for folded in made], overlapped=True)
    asked.put("products", at, us=took, tb_s=width * outs * item / took / 1e6, error=error)
    return took


def exact(x: torch.Tensor, folded: FoldedWeight, residual: torch.Tensor | None, norm: str) -> torch.Tensor:
    """In float64, of the weights as they are rounded."""
    matrix = folded.matrix
    weight = matrix.dequantized(torch.float64) if isinstance(matrix, Int8Weight) else matrix.double()
    rows = torch.nn.functional.layer_norm(x.double(), x.shape[1:]) if norm == "layer" else x.double()
    found = rows @ weight.T
    return found if residual is None else found + residual.double()


# Reach


@triton.jit
def read_kernel(
    source, target, words_of_a_program, WORDS: tl.constexpr, AHEAD: tl.constexpr, DEPENDENT: tl.constexpr
):  # fmt: skip
    """Each program reads a stretch of int64, AHEAD times WORDS of them under way at a time."""
    wait(DEPENDENT)
    start = source + tl.program_id(0).to(tl.int64) * words_of_a_program
    index = (tl.arange(0, AHEAD) * WORDS)[:, None] + tl.arange(0, WORDS)[None, :]
    found = tl.zeros([AHEAD, WORDS], tl.int64)
    for first in range(0, words_of_a_program, WORDS * AHEAD):
        found ^= tl.load(start + first + index, eviction_policy="evict_first")
    tl.store(target + tl.program_id(0), tl.sum(tl.sum(found, 1), 0))


def reach(asked: Asked) -> None:
    total = 2**10 if asked.quick else 2**27  # 1 GiB
    source = torch.randint(2**60, (total,), device=asked.device)
    for programs in (2,) if asked.quick else (32, 64, 132, 264):
        for warps, ahead in ((1, 2),) if asked.quick else ((4, 2), (4, 4), (8, 2), (8, 4), (8, 8)):
            if asked.over():
                return
            words = 64 * warps  # 16 bytes a thread
            own = total // programs // (words * ahead) * words * ahead
            target = torch.empty(programs, dtype=torch.int64, device=asked.device)

            def call(programs=programs, own=own, words=words, ahead=ahead, warps=warps, target=target) -> None:
                launch(read_kernel, (programs,), source, target, own, WORDS=words, AHEAD=ahead, num_warps=warps)

            took = asked.microseconds([call], overlapped=False)
            at = f"{programs} programs, {8 * words * ahead / 1024:g} KiB under way in each"
            asked.put("reach", at, tb_s=8 * own * programs / took / 1e6)


# Small parts


def with_constants(changes: dict[str, int | bool]):
    """A context in which the product kernel is started with other constants than its own."""
    own = product.blocks
    return patch.object(product, "blocks", lambda *arguments, **words: {**own(*arguments, **words), **changes})


def drawn(asked: Asked, outs: int, width: int) -> torch.Tensor:
    return (torch.randn(outs, width, device=asked.device) * width**-0.5).to(asked.dtype)


def relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found.double() - truth).abs().max() / truth.abs().max())


def launched(overlapped: bool) -> str:
    return "dependent launch" if overlapped else "plain graph"


QUESTIONS = {"links": links, "stack": stack, "bits": bits, "products": products, "reach": reach}


def ask(asked: Asked, names: Sequence[str] = tuple(QUESTIONS)) -> list[str]:
    """Ask each; what went wrong, in words: a question that failed, was left out, or has a bad answer."""
    failures = []
    with torch.inference_mode():
        for name in names:
            if asked.over():
                failures.append(f"{name} was left out, the time was up")
                continue
            try:
                QUESTIONS[name](asked)
            except Exception as error:  # what fails is reported, and the next is still asked
                failures.append(f"{name}: {type(error).__name__}: {error}")
    return failures + [f"{row['question']}, {row['at']}: rows differ from what they are alone" for row in asked.rows
                       if row.get("equal") is False]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0, help="when to stop asking anything new")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    parser.add_argument("--json", type=Path, help="write all answers here, as they come")
    parser.add_argument("--device", default="cuda", help="cpu shows only that the command works")
    parser.add_argument("--quick", action="store_true", help="toy shapes, once each")
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --quick shows only that the command works")
    if args.device == "cpu" and not args.quick:
        parser.error("--device is 'cpu'; it should come with --quick, for real shapes take an interpreter hours")
    if args.json:
        check_ending(args.json, (".json",))
        check_target(args.json)
    asked = Asked(torch.device(args.device), args.quick, time.monotonic() + 60 * args.minutes)
    if args.json:
        asked.changed = lambda rows: write_json({"questions": rows}, args.json)
    failures = ask(asked, args.only)
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
