"""Run the command on malformed inputs and count how it ends: `python benchmarks/fuzz.py [--seed 1] [--kind MIDI]`.

Each input goes through the command in a process of its own, with limits of time and memory. That process is forked
from this one, which has imported the package once: a fresh interpreter would take seconds for each. Ends are

    refused     one sentence and exit code 2
    remark      success, and what is wrong with the file is said
    fine        success without a remark: the damage does not matter, or cannot be seen
    hang, crash, traceback (or a sentence that admits a fault of ours), silent (a known part is missing and nothing is
    said), half (a file was written and the exit code is not 0), ran (a pickle ran code), raw (an escape sequence or
    more than 50 kB on the terminal, or `--json` that is none), noise (other people's lines on stderr), memory (more
    than 1.5 GiB for a small file)

Those of the last group are findings; any of them makes the exit code 1. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fuzz_broken import CANARY, Case
from fuzz_inputs import KINDS, cases

GOOD = ("refused", "remark", "fine")
BAD = ("hang", "crash", "traceback", "silent", "half", "ran", "raw", "noise", "memory")
LIMIT_S = 400.0  # of processor time; an hour of music, which is the most that `play` takes, needs 300
LONGEST_SLEEP_S = 10.0
LIMIT_BYTES = 6 << 30  # of address space beyond what this process has
MOST_BYTES = 3 << 29  # resident, beyond what this process has
MOST_SHOWN = 50_000
REMARKS = ("note:", "remark", "cut short", "not known")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only these; repeat it")
    parser.add_argument("--only", type=int, action="append", help="only these numbers, and print what they say")
    parser.add_argument("--json", type=Path, help="also write every case and its end here")
    options = parser.parse_args()
    prepare()
    found, rows, started = Counter(), [], time.monotonic()
    for number, case in enumerate(cases(options.seed)):
        if options.kind and case.kind not in options.kind or options.only and number not in options.only:
            continue
        end, said = run(case)
        found[case.kind, end] += 1
        rows.append({"number": number, "kind": case.kind, "what": case.what, "arguments": case.arguments, "end": end})
        if end in BAD or options.only:
            print(
                f"{number} {end}: {case.kind}, {case.what}: {' '.join(case.arguments)[:150]}\n    {said!r}", flush=True
            )
    table(found, time.monotonic() - started)
    if options.json:
        options.json.write_text(json.dumps({"seed": options.seed, "cases": rows}, indent=1))
    sys.exit(any(found[key] for key in found if key[1] in BAD))


def prepare() -> None:
    """Import what commands import, and stay with one thread: a fork copies only one."""
    os.environ |= {"OMP_NUM_THREADS": "1", "CLAVILUX_MARK": "0", "HF_HUB_OFFLINE": "1"}
    import torch

    torch.set_num_threads(1)
    from clavilux import memory  # noqa: F401
    from clavilux.audio import analysis, synth  # noqa: F401


def run(case: Case) -> tuple[str, str]:
    """(how a case ends, the last of what it said)."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    said = Path(tempfile.mkdtemp(prefix="fuzz-said-"))
    try:
        child = os.fork()
        if child == 0:
            _inside(case, folder, said)
        status, usage = _wait(child)
        out, err = ((said / name).read_bytes().decode("utf-8", "replace") for name in ("out", "err"))
        left = {str(path.relative_to(folder)) for path in folder.rglob("*")} - _inputs(said)
        return _end(case, status, usage, out, err, left), (err or out)[-400:]
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(said)


def _inside(case: Case, folder: Path, said: Path) -> None:
    """The child: make the inputs, then be the command."""
    code = 1
    try:
        os.chdir(folder)
        case.make()
        (said / "inputs").write_text(json.dumps([str(path.relative_to(folder)) for path in folder.rglob("*")]))
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(said / name, os.O_CREAT | os.O_WRONLY), number)
        sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))  # noqa: SIM115
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + LIMIT_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (int(LIMIT_S), int(LIMIT_S) + 5))
        sys.argv = ["clavilux", *case.arguments]
        from clavilux.cli import app as cli

        cli.main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int) -> tuple[int, resource.struct_rusage]:
    """The child's status; it is ended when it has not computed for a while, as a reader of a pipe does not."""
    before, since = -1, time.monotonic()
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return status, usage
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        worked = sum(map(int, state[11:13]))
        if worked != before or state[0] == "R":
            before, since = worked, time.monotonic()
        if time.monotonic() - since > LONGEST_SLEEP_S:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


def _inputs(said: Path) -> set[str]:
    return set(json.loads((said / "inputs").read_text())) if (said / "inputs").exists() else set()


def _end(case: Case, status: int, usage: resource.struct_rusage, out: str, err: str, left: set[str]) -> str:
    if CANARY in left:
        return "ran"
    if os.WIFSIGNALED(status):
        return "hang" if os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU) else "crash"
    code, lines = os.WEXITSTATUS(status), err.splitlines()
    if "Traceback" in err or code not in (0, 2):
        return "traceback"
    if usage.ru_maxrss * 1024 > MOST_BYTES + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024:
        return "memory"
    if set(out + err) & set("\x1b\x07\x9b\u202e") or len(err) > MOST_SHOWN:
        return "raw"
    if len(out) > MOST_SHOWN and "--json" not in case.arguments:
        return "raw"
    if code == 2:
        left = {name for name in left if not name.endswith("lock")}
        if left:
            return "half"
        return "refused" if len(lines) == 1 and lines[0].startswith("clavilux: ") else "noise"
    if err:
        return "noise"
    if any(name.endswith(".part") or name.startswith(".") for name in left):
        return "half"
    if "--json" in case.arguments:
        try:
            json.loads(out)
        except ValueError:
            return "raw"
    remarked = any(word in out for word in REMARKS) and '"remarks": []' not in out
    return "remark" if remarked else "silent" if case.cut else "fine"


def table(found: Counter, elapsed_s: float) -> None:
    """A row a kind, a column an end."""
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    ends = [*GOOD, *BAD]
    print(f"{'':10}" + "".join(f"{end:>10}" for end in ends))
    for kind in [*kinds, "all"]:
        counts = [sum(n for (k, e), n in found.items() if e == end and kind in (k, "all")) for end in ends]
        print(f"{kind:10}" + "".join(f"{count or '-':>10}" for count in counts))
    print(f"{sum(found.values())} inputs in {elapsed_s:.0f} s")


if __name__ == "__main__":
    main()
