"""How every training on a folder of pictures runs: one run, one folder, which goes on from where it stopped.

The run's folder holds:

- `run.json`, the settings; `pictures.npz`, the pictures as they were read;
- `state.safetensors`, all that the next step depends on. Whatever is drawn at random is drawn from the seed and the
  number of the step, so a run that was killed goes on to the same next state, byte for byte, on the same processor;
- `curves.jsonl` and `curves.png`, what was measured; `samples.png`, a sheet;
- `checkpoint/`, a model that can be loaded: where a measure says which is best, the best one.

Knows steps, time and files. Does not know what is trained: that is a `Learner`.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from clavilux import checkpoint_io
from clavilux.errors import CheckpointError
from clavilux.files import PathLike, atomic_path, check_new_folder, write_json
from clavilux.image.picture import Picture
from clavilux.training import states
from clavilux.training.picture_curves import draw_curves

CHECKPOINT_S = 240.0  # about how often a state is written, where the run is not told its steps
SHORT = 0.2  # of the time that a run is given, at most
PREVIEW_S = 30.0
STATE = "state.safetensors"
_TIMED = (3, 10)  # the steps that say how long one takes: the first ones are slower
Progress = Callable[[float, float], None]  # (done, total)


class Learner(Protocol):
    """What a run trains. Whatever it draws at random follows from its seed and the number of the step alone.

    Attributes:
        best: the name of the measure by which the best state is told, the higher the better; None where the last one
            counts.
    """

    best: str | None

    def step(self, number: int) -> dict[str, float]:
        """Take the step of this number, from 0; its losses by name."""
        ...

    def measure(self) -> dict[str, float]:
        """Measures on held-out pictures by name; what is learned, and what is drawn later, does not change."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, by name."""
        ...

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        ...

    def sheet(self) -> Picture:
        """Samples, always at the same places."""
        ...

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """Write a checkpoint folder, over one that is there; `training` goes into its config."""
        ...


@dataclass(frozen=True)
class Limits:
    """When a run ends, and how often it is written.

    Attributes:
        minutes: of this call; None for no end.
        steps: of the run in all; None for no end.
        patience: measures without a better one after which a run ends whose learner has a best.
        checkpoint_steps: from how many steps to how many a state is measured and written; None for as many as the run
            had, or for a new one as many as take some minutes, which is found out once.
    """

    minutes: float | None = None
    steps: int | None = None
    patience: int = 12
    checkpoint_steps: int | None = None


@dataclass(frozen=True)
class Measured:
    """One line of the curves.

    Attributes:
        step: how many steps were taken.
        seconds: that the run has taken in all its calls.
        train: the losses, averaged over the steps since the line before.
        held_out: the measures.
    """

    step: int
    seconds: float
    train: dict[str, float]
    held_out: dict[str, float]


@dataclass(frozen=True)
class Watch:
    """Who is told of a run while it goes on.

    Attributes:
        progress: of (done, total), in minutes or in steps, whichever ends first.
        report: of each line of the curves.
        preview: given a sheet every half minute and with each state.
    """

    progress: Progress | None = None
    report: Callable[[Measured], None] | None = None
    preview: Callable[[Picture], None] | None = None


@dataclass
class _Sums:
    """Of the losses of the steps since the last measure."""

    count: int = 0
    total: dict[str, float] = field(default_factory=dict)

    def add(self, losses: Mapping[str, float]) -> None:
        self.count += 1
        self.total = {name: self.total.get(name, 0.0) + value for name, value in losses.items()}

    def mean(self) -> dict[str, float]:
        return {name: value / self.count for name, value in self.total.items()}


def settled(out: PathLike, given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run: those that are saved, or those that were given and for the rest the usual ones.

    Args:
        out: the run's folder, or where it will be.
        given: None for what was not.
        usual: all of them.

    Raises:
        ValueError: `out` is there and holds no run, or a run with another setting than the one that was given.
        CheckpointError: its settings cannot be read.
    """
    saved = saved_settings(out)
    if saved is None:
        if not _only_begun(Path(out)):
            check_new_folder(out)
        return {name: value if given.get(name) is None else given[name] for name, value in usual.items()}
    for name in usual:
        if name not in saved:
            raise CheckpointError(f"the run in {str(out)!r} does not say its {name}; begin another run")
        if given.get(name) is not None and given[name] != saved[name]:
            raise ValueError(
                f"the run in {str(out)!r} has {name.replace('_', ' ')} {saved[name]!r}, and {given[name]!r} is asked "
                "for; leave it out to go on, or begin another run"
            )
    return {name: saved[name] for name in usual}


def _only_begun(out: Path) -> bool:
    """Whether all there is in a folder is what a run leaves that was killed before its first step."""
    return out.is_dir() and {path.name for path in out.iterdir()} <= {".lock", "pictures.npz"}


def saved_settings(out: PathLike) -> dict[str, Any] | None:
    """What `run.json` in a folder holds; None where there is none. CheckpointError for one that is damaged."""
    path = Path(out) / "run.json"
    return checkpoint_io.read_json(path) if path.exists() else None


@contextmanager
def held(out: PathLike) -> Iterator[Path]:
    """The run's folder, made where it is not there, for this process alone. ValueError while another trains in it."""
    from filelock import FileLock, Timeout

    folder = Path(out)
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield folder
    except Timeout:
        raise ValueError(f"another process trains in {str(out)!r}; wait for it, or give another folder") from None


class PictureRun:
    """A run in its folder.

    Attributes:
        step: how many steps were taken.
        log: what was measured, the oldest first.
        checkpoint_steps: as `Limits` has it; None until it is found.
        stepping_s: seconds that the steps of this call took; measuring and writing do not count.
        ended: why `go` came back: "minutes", "steps", "no better" or "stopped".
    """

    def __init__(self, folder: Path, learner: Learner, settings: Mapping[str, Any]):
        """Begin a run, or go on with the one in `folder`.

        Args:
            folder: as `held` gives it.
            learner: new; it is given the saved state.
            settings: as `settled` gives them: plain JSON values.

        Raises:
            CheckpointError: there is a state, and it cannot be read or does not fit the learner.
        """
        self.folder, self.learner = folder, learner
        self.step, self.log, self.stepping_s, self.ended = 0, list[Measured](), 0.0, ""
        self._sums, self._settings, self._spent_s = _Sums(), dict(settings), 0.0
        self._written = -1  # the step of the state on disk
        self.checkpoint_steps: int | None = (saved_settings(folder) or {}).get("checkpoint_steps")
        if (folder / STATE).exists():
            self._resume(folder / STATE)
        self._write_settings()

    @property
    def best_line(self) -> Measured:
        """Of the log, which is not empty: the one of the best measure, or the last one."""
        return self.log[self._best_line()]

    def go(self, limits: Limits, watch: Watch = Watch()) -> Measured:
        """Train until a limit, or until Ctrl-C, which ends the run after its step; the last measures.

        Raises:
            ValueError: a loss is no finite number any more; the last state that was written stays.
        """
        if limits.checkpoint_steps is not None and limits.checkpoint_steps != self.checkpoint_steps:
            self.checkpoint_steps = limits.checkpoint_steps
            self._write_settings()
        began, spent_before, first = time.monotonic(), self._spent_s, self.step
        timed = shown = began
        with _stops() as stopped:
            while not (ended := self._ending(limits, time.monotonic() - began, stopped)):
                before = time.monotonic()
                self._sums.add(self._checked(self.learner.step(self.step)))
                self.step += 1
                now = time.monotonic()
                self.stepping_s += now - before
                self._spent_s = spent_before + now - began
                if self.step - first == _TIMED[0]:
                    timed = now
                if self.step - first == _TIMED[1] and self.checkpoint_steps is None:
                    self._find_interval(limits, (now - timed) / (_TIMED[1] - _TIMED[0]))
                if watch.progress is not None and (done := self._done(limits, now - began)):
                    watch.progress(*done)
                if watch.preview is not None and now - shown > PREVIEW_S:
                    watch.preview(self.learner.sheet())
                    shown = time.monotonic()
                if self.checkpoint_steps and self.step % self.checkpoint_steps == 0:
                    self._measure()
                    self._save_state()
                    self._write_outputs(watch)
            self.ended = ended
            return self._end(watch)

    def _checked(self, losses: dict[str, float]) -> dict[str, float]:
        lost = [name for name, value in losses.items() if not math.isfinite(value)]
        if lost:
            raise ValueError(
                f"training has come apart: {', '.join(lost)} is no finite number at step {self.step}; the run in "
                f"{str(self.folder)!r} is as it was at its last state; begin another with a smaller rate"
            )
        return losses

    def _ending(self, limits: Limits, elapsed_s: float, stopped: list[int]) -> str:
        """Why to end now; "" to go on."""
        if stopped:
            return "stopped"
        if limits.steps is not None and self.step >= limits.steps:
            return "steps"
        if limits.minutes is not None and elapsed_s >= limits.minutes * 60:
            return "minutes"
        if self.learner.best and self.log and len(self.log) - 1 - self._best_line() >= limits.patience:
            return "no better"
        return ""

    def _done(self, limits: Limits, elapsed_s: float) -> tuple[float, float] | None:
        """(done, total), in minutes or in steps, of what will end the run first; None where nothing will."""
        minutes = None if limits.minutes is None else (elapsed_s / 60, limits.minutes)
        steps = None if limits.steps is None else (float(self.step), float(limits.steps))
        return max(filter(None, (minutes, steps)), key=lambda each: each[0] / max(each[1], 1e-9), default=None)

    def _find_interval(self, limits: Limits, step_s: float) -> None:
        """Settle once how many steps take some minutes."""
        wanted_s = min(CHECKPOINT_S, SHORT * 60 * (limits.minutes or float("inf")))
        self.checkpoint_steps = round_steps(wanted_s / max(step_s, 1e-6))
        self._write_settings()

    def _best_line(self) -> int:
        name = self.learner.best
        return max(range(len(self.log)), key=lambda line: self.log[line].held_out[name]) if name else len(self.log) - 1

    def _measure(self) -> None:
        train = {name: round(value, 6) for name, value in self._sums.mean().items()}
        self.log.append(Measured(self.step, self._spent_s, train, self.learner.measure()))
        self._sums = _Sums()

    def _end(self, watch: Watch) -> Measured:
        """Write the state as it is; a measure that is not due says how it went, and is not kept."""
        if self._written != self.step:
            self._save_state()
        if self.log and self.log[-1].step == self.step:
            return self.log[-1]
        train = self._sums.mean() if self._sums.count else {}
        kept, self.log = self.log, [*self.log, Measured(self.step, self._spent_s, train, self.learner.measure())]
        self._write_outputs(watch)
        last, self.log = self.log[-1], kept
        return last

    def _write_outputs(self, watch: Watch) -> None:
        """What people look at, of the last line of the log."""
        if self._best_line() == len(self.log) - 1:
            self.learner.export(self.folder / "checkpoint", {**self._settings, "steps": self.step})
        lines = [asdict(line) for line in self.log]
        with atomic_path(self.folder / "curves.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        draw_curves(lines, self.folder / "curves.png")
        sheet = self.learner.sheet()
        sheet.save(self.folder / "samples.png")
        if watch.preview is not None:
            watch.preview(sheet)
        if watch.report is not None:
            watch.report(self.log[-1])

    def _write_settings(self) -> None:
        write_json({**self._settings, "checkpoint_steps": self.checkpoint_steps}, self.folder / "run.json")

    def _save_state(self) -> None:
        """The times are not in it, so that two runs through the same steps write the same bytes."""
        about = {
            "step": self.step,
            "log": [(line.step, line.train, line.held_out) for line in self.log],
            "count": self._sums.count,
            "total": self._sums.total,
        }
        states.save_state(self.folder / STATE, self.learner.state(), about)
        self._written = self.step

    def _resume(self, path: Path) -> None:
        tensors, about = states.load_state(path)
        seconds = self._seconds_by_step()
        try:
            self.step = about["step"]
            self.log = [Measured(step, seconds.get(step, 0.0), *parts) for step, *parts in about["log"]]
            self._sums = _Sums(about["count"], about["total"])
            self.learner.load(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{str(path)!r} does not fit this run ({said}); begin another run") from None
        self._spent_s = max(seconds.values(), default=0.0)
        self._written = self.step

    def _seconds_by_step(self) -> dict[int, float]:
        path = self.folder / "curves.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return {line["step"]: line["seconds"] for line in map(json.loads, lines)}


def round_steps(steps: float) -> int:
    """About so many: 10 at least; 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(steps, 10.0)))
    return int(power * next(n for n in (5, 2, 1) if n * power <= max(steps, 10.0)))


@contextmanager
def _stops() -> Iterator[list[int]]:
    """Yield a list that Ctrl-C, or a request to end, is noted in; the second Ctrl-C ends the program as always.

    A step that is broken off in its middle would leave weights that no other run reaches.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread alone
        yield noted
        return

    def note(number: int, frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
