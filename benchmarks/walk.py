"""Which files a call walks through: `python benchmarks/walk.py --checkpoints DIR --json walk.json`.

For a prompt, a folder of a checkpoint, a picture, a token and a resumed job: the files of ours in the order in which
their functions are first called, how often each is entered from another one, and the way from the call to the first op.
What a file runs while it is imported does not count. Each walk is a process of its own, so that nothing is there yet.
Toy checkpoints are written to DIR where they are not there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "CLAVILUX_MARK": "0"}
ROOT = Path(__file__).resolve().parents[1]
OURS = ("engine", "kernels", "audio", "image")
_MODULE = "<module>"


class Walk:
    """Notes the files of functions that run in this thread.

    Attributes:
        entries: file -> how often it was entered from another file of ours, in the order of the first time.
        to_an_op: the files from the call to the first function in an op's api.py, each where it differs from the last.
    """

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        self.to_an_op: list[str] = []
        self._files: dict[str, str | None] = {}
        self._stack: list[str] = []
        self._importing = 0  # modules of ours whose bodies are running

    @contextmanager
    def noted(self) -> Iterator[Walk]:
        """Note what runs inside."""
        self._stack = []
        sys.setprofile(self._event)
        try:
            yield self
        finally:
            sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        file = self._file(frame)
        if file is None:
            return
        if frame.f_code.co_name == _MODULE:
            self._importing += 1 if event == "call" else -1
            return
        if self._importing:
            return
        if event == "return":
            if self._stack:  # not so for what was running before
                self._stack.pop()
            return
        if not self._stack or self._stack[-1] != file:
            self.entries[file] += 1
        self._stack.append(file)
        if not self.to_an_op and file.startswith("kernels/") and file.endswith("/api.py"):
            pairs = zip(["", *self._stack], self._stack, strict=False)
            self.to_an_op = [here for before, here in pairs if here != before]

    def _file(self, frame: FrameType) -> str | None:
        """The file of what runs, below the root; None for another package's."""
        code = frame.f_code
        if code.co_filename not in self._files:
            path = Path(code.co_filename)
            known = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS
            self._files[code.co_filename] = path.relative_to(ROOT).as_posix() if known else None
        return self._files[code.co_filename]

    def report(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "files": len(self.entries), "entries": sum(self.entries.values()),
            "hops_to_an_op": max(0, len(self.to_an_op) - 1), "to_an_op": self.to_an_op,
            "walked": dict(self.entries),
        }  # fmt: skip


def command(walk: Walk, *arguments: object) -> None:
    """Note a command of the command line, from its beginning to its end."""
    sys.argv = ["clavilux", *map(str, arguments)]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), walk.noted():
        from clavilux.cli import main

        try:
            main()
        except SystemExit as stop:
            assert not stop.code, f"clavilux {arguments} ended with {stop.code}"


def prompt(walk: Walk, folders: dict[str, Path], scratch: Path) -> None:
    """`clavilux render`, 2 s."""
    words = "slow church organ chorale in G minor"
    command(walk, "render", words, "--seconds", 2, "--seed", 7, "-o", scratch / "a.wav", "--quiet")


def folder(walk: Walk, folders: dict[str, Path], scratch: Path) -> None:
    """`clavilux.load` of MusicGen's folder."""
    with walk.noted():
        import clavilux

        clavilux.load(folders["musicgen"], device="cpu", dtype="float32")


def picture(walk: Walk, folders: dict[str, Path], scratch: Path) -> None:
    """`clavilux paint`."""
    command(walk, "paint", "red apple", "--seed", 3, "-o", scratch / "a.png", "--quiet")


def token(walk: Walk, folders: dict[str, Path], scratch: Path) -> None:
    """One step of LlamaGen within a row of its picture: what runs from one report of progress to the next."""
    import clavilux

    model, calls = clavilux.load(folders["llamagen"], device="cpu", dtype="float32"), 0

    def progress(*_: float) -> None:
        nonlocal calls
        calls += 1
        if calls == FIRST:
            sys.setprofile(walk._event)
        elif calls == FIRST + 1:
            sys.setprofile(None)

    model.generate(class_id=3, seed=5, guidance=4.0, progress=progress)
    assert calls > FIRST, f"progress was told {calls} times only"


def job(walk: Walk, folders: dict[str, Path], scratch: Path) -> None:
    """`clavilux resume` of Jukebox's job that was stopped in its second level."""
    import clavilux

    model, calls = clavilux.load(folders["jukebox"], device="cpu", dtype="float32"), 0

    def stop(*_: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 60:
            raise KeyboardInterrupt

    try:
        model.generate(seconds=20, seed=4, job=scratch / "job", progress=stop)
    except KeyboardInterrupt:
        command(walk, "resume", scratch / "job", "--model", folders["jukebox"], "-o", scratch / "a.wav", "--quiet")
        return
    raise AssertionError("the render was over before it could be stopped")


FIRST = 2  # tokens before the one that is looked at; a row has four
WALKS: dict[str, Callable[[Walk, dict[str, Path], Path], None]] = {
    "a prompt": prompt, "a folder": folder, "a picture": picture, "a token": token, "a resumed job": job,
}  # fmt: skip


def walked(name: str, checkpoints: Path) -> dict[str, Any]:
    """One walk, in this process."""
    walk = Walk()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {path.name: path for path in checkpoints.iterdir()}
        WALKS[name](walk, folders, Path(scratch))
    return {"what": WALKS[name].__doc__, **walk.report()}


def all_walks(checkpoints: Path) -> dict[str, Any]:
    """Each walk in a process of its own."""
    import toys

    toys.write(checkpoints)
    found = {}
    for name in WALKS:
        command = [sys.executable, __file__, "--checkpoints", checkpoints, "--only", name]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"the walk of {name} failed: {run.stderr.strip()[-500:]}")
        found[name] = json.loads(run.stdout)
    return found


def commit() -> str:
    """The commit that is checked out."""
    run = subprocess.run(["git", "log", "-1", "--format=%h"], cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the toy checkpoints")
    parser.add_argument("--json", type=Path, help="where to write it too")
    parser.add_argument("--only", choices=list(WALKS), help="one walk, as JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(walked(options.only, options.checkpoints)))
        return
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    found = all_walks(options.checkpoints)
    for name, walk in found.items():
        print(f"{name}: {walk['what']} {walk['files']} files, entered {walk['entries']} times")
        if walk["to_an_op"]:
            print(f"  to an op in {walk['hops_to_an_op']} hops: {' > '.join(walk['to_an_op'])}")
        print(f"  {', '.join(f'{file} {times}' for file, times in walk['walked'].items())}")
    if options.json:
        options.json.write_text(
            json.dumps({"commit": commit(), "date": time.strftime("%Y-%m-%d"), "walks": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
