"""What the kernels of a step would do on a GPU, read off their binaries for one, without it.

For each product and attention of the models: how many programs it starts and how many of them fit a processor at once,
how many bytes are then under way there, and what the machine code holds: the wait for the kernel before it, what is
asked for before that wait, 16-byte copies to shared memory, tensor-core products and how many of them wait for each
other in one turn of the loop. Compiles for sm_90 with the installed Triton.

    python benchmarks/kernels_facts.py [--models musicgen-small ...] [--rows 2] [--json FILE]
"""

import argparse
import os
import re
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import kernels_check as check

PROCESSORS, SHARED, REGISTERS, THREADS = 132, 227 * 1024, 65536, 2048  # of an H100 or H200, the last three each
RESERVED = 1024  # bytes of shared memory that a block costs besides its own
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,5}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)")
MODELS = ("musicgen-small", "musicgen-large", "llamagen-3b", "jukebox-5b")


@dataclass(frozen=True)
class Facts:
    """One kernel of one shape.

    Attributes:
        case: model, place and dtype.
        programs: in its grid.
        registers, shared_bytes: of a thread, of a program.
        fit: programs that fit a processor at once; `resident`: those that the grid gives it.
        asked_bytes: a processor's, asked for before the wait.
        under_way_bytes: a processor's, under way in the loop besides, of the matrix.
        waits: whether it waits for the kernel before it.
        before_wait: prefetches and loads of 16 bytes that stand before the wait, instructions.
        copies: 16-byte copies to shared memory that do not pass through registers, instructions.
        tensor_products: instructions; `chain`: how many of one sum wait for each other in a turn of the loop.
    """

    case: str
    programs: int
    registers: int
    shared_bytes: int
    fit: int
    resident: int
    asked_bytes: int
    under_way_bytes: int
    waits: bool
    before_wait: int
    copies: int
    tensor_products: int
    chain: int


def facts_of(case, launch, target: check.Target) -> Facts:
    """Compile one launch and read it."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    job = check.job(launch, target)
    source = ASTSource(job.kernel, job.signature, job.constants, job.attributes)
    made = triton.compile(source, target=GPUTarget(target.backend, target.arch, target.warp), options=job.options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage = check.read_cuda(check._cuobjdump("--dump-resource-usage", file.name), made.metadata.shared)
        code = INSTRUCTION.findall(check._cuobjdump("-sass", file.name))
    waits = check.WAIT in code
    before = Counter(kind(name) for name in code[: code.index(check.WAIT)]) if waits else Counter()
    found = Counter(kind(name) for name in code)
    threads = 32 * job.warps
    fit = min(REGISTERS // (usage.registers * threads), SHARED // (usage.shared_bytes + RESERVED), THREADS // threads)
    programs = 1
    for count in launch.grid:
        programs *= count
    resident = min(fit, -(-programs // PROCESSORS))
    asked, under_way, chain = weights_under_way(launch)
    return Facts(
        str(case), programs, usage.registers, usage.shared_bytes, fit, resident, asked * resident, under_way * resident,
        waits, before["prefetch"] + before["load16"], found["copy16"], found["product"], chain,
    )  # fmt: skip


def kind(name: str) -> str:
    """What an instruction counts as."""
    if name.startswith("LDGSTS") and ".128" in name:
        return "copy16"
    if name.startswith("LDG") and ".128" in name:
        return "load16"
    if name.startswith("CCTL"):
        return "prefetch"
    return "product" if name.startswith(("HMMA", "HGMMA")) else "other"


def weights_under_way(launch) -> tuple[int, int, int]:
    """Of a program: bytes of the matrix that it asks for before it waits, and in its loop; the chain of products."""
    words = launch.constants
    if "LINES" not in words:
        return 0, 0, 0
    names = list(launch.kernel.arg_names)
    weight, width = (launch.arguments[names.index(name)] for name in ("weight", "width"))
    matrices = 2 if words["ACTIVATION"] == "swiglu" else 1
    item = weight.element_size()
    asked = words["BN"] * matrices * min(words["LINES"] * 128, width * item)
    turn = words["S"] * words["BK"]
    under_way = (words["STAGES"] - 1) * turn * words["BN"] * matrices * item
    return asked, min(under_way, words["BN"] * matrices * width * item), words["BK"] // 16


def main(arguments: list[str] | None = None) -> int:
    os.environ.pop("TRITON_INTERPRET", None)  # read when a kernel is defined: interpreted ones cannot be compiled
    import triton

    from clavilux.files import write_json
    from clavilux.kernels.catalog import CASES
    from clavilux.kernels.model_shapes import MODELS as ALL

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="*", choices=list(ALL), default=list(MODELS), help="whose kernels")
    parser.add_argument("--ops", nargs="*", default=["norm_linear", "linear_residual", "decode_attention"])
    parser.add_argument("--json", type=Path, help="write them to this file as well")
    given = parser.parse_args(arguments)
    target = check.TARGETS["sm_90"]
    print(f"triton {triton.__version__}, sm_90; KiB are a processor's")
    print(f"{'case':48} programs  fit  regs  shared  asked  loop  wait  before  copies  products  chain")
    found = []
    for case in CASES:
        if case.toy or case.op not in given.ops or not any(case.name.startswith(f"{name}-") for name in given.models):
            continue
        for launch in check.launches(case, target):
            one = facts_of(case, launch, target)
            found.append(asdict(one))
            print(
                f"{one.case:48} {one.programs:8} {one.resident}/{one.fit:<3} {one.registers:4} "
                f"{one.shared_bytes / 1024:6.0f}K {one.asked_bytes / 1024:5.0f} {one.under_way_bytes / 1024:5.0f} "
                f"{'yes' if one.waits else 'NO':>5} {one.before_wait:7} {one.copies:7} {one.tensor_products:9} "
                f"{one.chain:6}",
                flush=True,
            )
    if given.json:
        write_json({"triton": triton.__version__, "target": target.name, "kernels": found}, given.json)
    return 0 if all(one["waits"] for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
