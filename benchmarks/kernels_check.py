"""Compile every kernel that the catalog's real cases launch, for three GPUs, without one; gate on what they use.

Notes what each case would launch, lets Triton itself derive the signatures, compiles each different one once, and
reads registers, stack, spills and shared memory out of the binaries. Whatever is above the checked-in table of this
version of Triton (kernels_resources/), or missing from it, fails; so does more than a few bytes of stack, whatever the
table says. Knows no kernel by name.

    make kernels-check                                    # gate
    python benchmarks/kernels_check.py --update           # write the table of the installed Triton
    python benchmarks/kernels_check.py --ops embed sample --targets sm_90
"""

import argparse
import csv
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

TABLES = Path(__file__).with_name("kernels_resources")  # one a minor version of Triton: they allocate differently
MOST_STACK = 32  # bytes a thread: 8 words put aside once, outside the loops, are not worth a smaller tile
DTYPES = ("bfloat16", "float16")
WAIT = "ACQBULK"  # griddepcontrol.wait, in SASS
OPS_OF_TORCH = ("prefill_attention",)  # where there is no kernel of our own to compile
LINEAR_OPS = ("norm_linear", "linear_residual")


@dataclass(frozen=True)
class Target:
    """A GPU to compile for, and what one block of threads may use there."""

    backend: str
    arch: int | str
    warp: int
    shared_bytes: int
    registers: int  # a thread
    file: int  # registers of all threads of a block

    threads = 1024  # a block; the same everywhere

    @property
    def name(self) -> str:
        return f"sm_{self.arch}" if self.backend == "cuda" else self.arch


# CUDA C++ Programming Guide, compute capabilities; AMD CDNA3 ISA: 512 vector registers a lane with 4 SIMDs, 64 KiB LDS.
TARGETS = {
    target.name: target
    for target in (
        Target("cuda", 80, 32, 163 * 1024, 255, 65536),
        Target("cuda", 90, 32, 227 * 1024, 255, 65536),
        Target("hip", "gfx942", 64, 64 * 1024, 512, 4 * 64 * 512),
    )
}


@dataclass(frozen=True)
class Entry:
    """A row of the table: a kernel with its constants on a target; numbers and alignments that differ share it."""

    op: str
    kernel: str
    constants: str
    target: str

    def __str__(self) -> str:
        return f"{self.kernel} of {self.op} on {self.target} ({self.constants})"


@dataclass(frozen=True)
class Resources:
    """What one program of a kernel uses. Spills are counted: instructions (CUDA) or registers (AMD)."""

    registers: int
    stack: int
    spills: int
    shared_bytes: int

    def worst(self, other: "Resources | None") -> "Resources":
        return self if other is None else Resources(*map(max, astuple(self), astuple(other)))


class NeverWaits(Exception):
    """A kernel that would race with the one before it."""


@dataclass(frozen=True)
class Job:
    """One compilation, as Triton's JIT would start it."""

    entry: Entry
    kernel: Any
    signature: Mapping[str, str]
    constants: Mapping[tuple, Any]
    attributes: Mapping[tuple, list]
    options: Mapping[str, Any]
    warps: int

    @property
    def key(self) -> str:
        # The table's row leaves out which numbers are 1 or divisible by 16; a compilation does not.
        parts = (
            self.entry,
            sorted(self.signature.items()),
            sorted(self.constants.items()),
            sorted(self.attributes.items()),
        )
        return repr((parts, sorted(self.options.items(), key=str)))


def job(launch, target: Target) -> Job:
    """The compilation of a noted launch: types, constants, alignments as Triton's own binder derives them."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import make_backend
    from triton.runtime.jit import create_function_from_signature

    kernel = launch.kernel
    backend = make_backend(GPUTarget(target.backend, target.arch, target.warp))
    words = {**launch.constants, **launch.options, "debug": False}
    bound, specialization, options = create_function_from_signature(kernel.signature, kernel.params, backend)(
        *launch.arguments, **words
    )
    options, signature, constants, attributes = kernel._pack_args(backend, words, bound, specialization, options)
    types = [signature[name] for name in kernel.arg_names if signature[name] not in ("constexpr", "i32", "i64", "i1")]
    described = [f"{name}={_word(value)}" for name, value in launch.constants.items()]
    described += [f"{name}={value}" for name, value in launch.options.items()]
    entry = Entry(
        op=kernel.fn.__module__.removesuffix(".triton").split(".")[-1],
        kernel=kernel.fn.__name__,
        constants=" ".join([*described, "of", ",".join(dict.fromkeys(types))]),
        target=target.name,
    )
    return Job(entry, kernel, signature, constants, attributes, options.__dict__, launch.options["num_warps"])


def _word(value: Any) -> str:
    return getattr(value, "__name__", None) or str(value)


def launches(case, target: Target) -> list:
    """What a case starts on a GPU, noted on tensors that are allocated and never touched.

    Raises:
        ValueError: as the op; also where the op's kernel is not made for the case.
    """
    from clavilux.kernels.case_inputs import call
    from clavilux.kernels.launch import noted

    made = call(case, "cpu", values=False)
    # In a step a GPU that can starts each kernel before the one before it has ended.
    with noted(amd=target.backend == "hip", dependent=target.name == "sm_90") as notes:
        made(backend="triton")
    return notes


def left_to_torch(case) -> bool:
    """Whether a case runs no kernel of ours: a whole prompt's attention, and products of more rows than a step has."""
    from clavilux.kernels.linear import MOST_ROWS

    return case.op in OPS_OF_TORCH or (case.op in LINEAR_OPS and case.shape["rows"] > MOST_ROWS)


def collect(cases: Iterable, targets: Iterable[Target]) -> tuple[dict[str, Job], list[str], Counter]:
    """The different compilations of the cases, what went wrong on the way, and how many cases were which."""
    jobs: dict[str, Job] = {}
    failures, counts = [], Counter()
    for case in cases:
        if left_to_torch(case):
            counts["torch"] += 1
            continue
        for dtype in (case.dtype,) if case.dtype == "float32" else DTYPES:
            for target in targets:
                variant, notes = case.with_dtype(dtype), []
                try:
                    notes = launches(variant, target)
                    if not notes:
                        failures.append(f"{variant} launches no kernel")
                except Exception as error:  # every case is tried, and every failure is said
                    failures.append(f"{variant} could not be noted: {type(error).__name__}: {error}")
                counts["calls"] += 1
                counts["launches"] += len(notes)
                for one in (job(launch, target) for launch in notes):
                    jobs.setdefault(one.key, one)
    return jobs, list(dict.fromkeys(failures)), counts


def compiled(one: Job) -> Resources:
    """Compile for its target and read what the binary uses."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    target = TARGETS[one.entry.target]
    source = ASTSource(one.kernel, one.signature, one.constants, one.attributes)
    made = triton.compile(source, target=GPUTarget(target.backend, target.arch, target.warp), options=one.options)
    if target.backend == "hip":
        return read_amd(made.asm["amdgcn"], made.metadata.shared)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        used = read_cuda(_cuobjdump("--dump-resource-usage", file.name), made.metadata.shared)
        if one.options["launch_pdl"] and WAIT not in _cuobjdump("-sass", file.name):
            raise NeverWaits(f"it is started early and has no {WAIT}: it does not wait for the kernel before it")
        if not used.stack:
            return used  # a spill needs a place on the stack
        return Resources(used.registers, used.stack, local_accesses(_cuobjdump("-sass", file.name)), used.shared_bytes)


def _cuobjdump(*arguments: str) -> str:
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=True).stdout


def read_cuda(usage: str, shared_bytes: int) -> Resources:
    """From what `cuobjdump --dump-resource-usage` prints, and the shared memory that a launch asks for besides."""
    found = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|SHARED|LOCAL):(\d+)", usage)}
    return Resources(found["REG"], found["STACK"] + found["LOCAL"], 0, found["SHARED"] + shared_bytes)


def local_accesses(sass: str) -> int:
    """How many instructions read or write the stack."""
    return len(re.findall(r"\b(?:STL|LDL)\b", sass))


def read_amd(assembly: str, shared_bytes: int) -> Resources:
    """From the metadata at the end of the assembly."""

    def number(name: str) -> int:
        return int(re.search(rf"\.{name}:\s+(\d+)", assembly).group(1))

    spills = number("vgpr_spill_count") + number("sgpr_spill_count")
    shared = max(number("group_segment_fixed_size"), shared_bytes)
    return Resources(number("vgpr_count"), number("private_segment_fixed_size"), spills, shared)


def table_of(version: str) -> Path:
    """Where the table of a version of Triton is kept: 3.8.0 and 3.8.1 share one."""
    return TABLES / f"triton-{'.'.join(version.split('.')[:2])}.csv"


def read_table(path: Path) -> dict[Entry, Resources]:
    with path.open(newline="") as file:
        names, numbers = ([field.name for field in fields(part)] for part in (Entry, Resources))
        return {
            Entry(*(row[name] for name in names)): Resources(*(int(row[name]) for name in numbers))
            for row in csv.DictReader(file)
        }


def write_table(path: Path, table: Mapping[Entry, Resources]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for part in (Entry, Resources) for field in fields(part)])
        for entry in sorted(table, key=astuple):
            writer.writerow([*astuple(entry), *astuple(table[entry])])


def limits(entry: Entry, used: Resources, warps: int) -> list[str]:
    """What no table can allow."""
    target = TARGETS[entry.target]
    room = min(target.registers, target.file // (warps * target.warp))
    wrong = []
    if warps * target.warp > target.threads:
        wrong.append(f"{entry} has {warps * target.warp} threads a block; {target.threads} is the most")
    if used.stack > MOST_STACK:
        wrong.append(f"{entry} uses {used.stack} bytes of stack; {MOST_STACK} is the most")
    if used.registers > room:
        wrong.append(f"{entry} uses {used.registers} registers with {warps} warps; there are {room}")
    if used.shared_bytes > target.shared_bytes:
        wrong.append(f"{entry} uses {used.shared_bytes} bytes of shared memory; there are {target.shared_bytes}")
    return wrong


def compare(measured: Mapping[Entry, Resources], table: Mapping[Entry, Resources], *, whole: bool) -> list[str]:
    """What is worse than the table says, or not in it; where everything was compiled, also what it has in vain."""
    wrong = []
    for entry, used in measured.items():
        known = table.get(entry)
        if known is None:
            wrong.append(f"{entry} is not in the table")
            continue
        for field in fields(Resources):
            now, then = getattr(used, field.name), getattr(known, field.name)
            if now > then:
                wrong.append(f"{entry}: {now} {field.name.replace('_', ' ')}; the table has {then}")
    if whole:
        wrong += [f"{entry} is in the table, and no case launches it" for entry in table if entry not in measured]
    return wrong


_JOBS: list[Job] = []  # what forked workers read: kernels cannot be pickled


def _run(index: int) -> tuple[Resources | None, str]:
    try:
        return compiled(_JOBS[index]), ""
    except Exception as error:  # one kernel that does not compile must not hide the others
        return None, f"{type(error).__name__}: {str(error)[:500]}"


def compile_all(jobs: list[Job], workers: int) -> tuple[dict[Entry, Resources], list[str]]:
    """The worst of each entry, and what does not compile."""
    _JOBS[:] = jobs
    measured: dict[Entry, Resources] = {}
    failures, said, start = [], 0.0, time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        pending = {pool.submit(_run, index): one for index, one in enumerate(jobs)}
        for done, future in enumerate(as_completed(pending), 1):
            one, (used, error) = pending[future], future.result()
            if used is None:
                failures.append(f"{one.entry} fails: {error}")
            else:
                measured[one.entry] = used.worst(measured.get(one.entry))
            if time.monotonic() - said > 10 or done == len(jobs):
                said = time.monotonic()
                print(f"  {done} of {len(jobs)} compiled, {said - start:.0f} s", flush=True)
    return measured, failures


def extremes(measured: Mapping[Entry, Resources]) -> None:
    for target in TARGETS:
        own = {entry: used for entry, used in measured.items() if entry.target == target}
        if own:
            entry, used = max(own.items(), key=lambda item: item[1].registers)
            shared = max(used.shared_bytes for used in own.values())
            stack, spills = (max(getattr(used, name) for used in own.values()) for name in ("stack", "spills"))
            on_stack = sum(used.stack > 0 for used in own.values())
            print(f"{target}: at most {used.registers} registers ({entry.kernel} of {entry.op}: {entry.constants}),")
            print(f"  {shared} bytes of shared memory, {stack} of stack, {spills} spills; {on_stack} entries use stack")


def main(arguments: list[str] | None = None) -> int:
    os.environ.pop("TRITON_INTERPRET", None)  # read when a kernel is defined: interpreted ones cannot be compiled
    import triton

    from clavilux.kernels.catalog import CASES

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ops", nargs="*", choices=sorted({case.op for case in CASES}), help="only these")
    parser.add_argument("--targets", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--update", action="store_true", help="write the table")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    whole = not given.ops and given.targets == list(TARGETS)
    if given.update and not whole:
        parser.error("--update needs every op and every target")

    start = time.monotonic()
    cases = [case for case in CASES if not case.toy and (not given.ops or case.op in given.ops)]
    jobs, failures, counts = collect(cases, [TARGETS[name] for name in given.targets])
    print(
        f"triton {triton.__version__}: {len(cases)} cases, {counts['torch']} of them (a prompt's attention, many rows) "
        f"PyTorch's own; the others, in {counts['calls']} calls, launch {counts['launches']} kernels; "
        f"{len(jobs)} different compilations"
    )
    measured, wrong = compile_all(list(jobs.values()), given.workers)
    failures += wrong
    table = table_of(triton.__version__)
    if given.update and failures:
        print("the table is not written: not everything compiled")
    elif given.update:
        write_table(table, measured)
        print(f"wrote {len(measured)} rows to {table}")
    elif table.exists():
        failures += compare(measured, read_table(table), whole=whole)
    else:
        failures.append(f"there is no table of triton {triton.__version__} ({table}); --update writes it")
    warps = {one.entry: one.warps for one in jobs.values()}
    failures += [sentence for entry, used in measured.items() for sentence in limits(entry, used, warps[entry])]
    extremes(measured)
    for failure in failures:
        print(f"FAIL {failure}")
    print(f"{len(failures)} failures; {len(measured)} entries, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
