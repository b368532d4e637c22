"""The check for a GPU, as far as a machine without one can run it: its imports, its verdicts, its file."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from frozen_steps import captured_steps
from rerun import captured_here

from clavilux import loop
from clavilux.bench.suite import Bench
from clavilux.graph_cache import GraphCache
from clavilux.kernels.catalog import CASES, cases

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

pytest.importorskip("triton")

import gpu_cases
import gpu_check
import gpu_proofs

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def one(op):
    return next(case for case in cases(op, toy=True) if case.dtype == "float16")


def test_it_needs_nothing_installed_but_torch():
    program = (
        "import sys\n"
        "sys.meta_path[:] = [finder for finder in sys.meta_path if '__editable__' not in repr(finder)]\n"
        f"sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\n"
        "import gpu_check, clavilux, clavilux.kernels\n"
        f"assert clavilux.kernels.__file__ == {str(ROOT / 'kernels' / '__init__.py')!r}, clavilux.kernels.__file__\n"
        "heavy = {'soundfile', 'librosa', 'symusic', 'miditok', 'scipy', 'soxr', 'torchaudio', 'transformers',"
        " 'rich', 'typer'}\n"
        "sys.exit(f'imported {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_every_case_is_checked_in_both_dtypes():
    found = gpu_cases.all_cases(quick=False)
    assert len({str(case) for case in found}) == len(found)
    assert {case.dtype for case in found} == {"bfloat16", "float16"}
    assert {(case.op, case.name) for case in found} == {(case.op, case.name) for case in CASES}


@pytest.mark.parametrize("op", ["norm_linear", "linear_residual", "decode_attention", "prefill_attention", "sample",
                                "sample_step", "gumbel", "embed", "cross_step"])  # fmt: skip
def test_a_right_op_passes(op):
    for case in gpu_cases.all_cases(quick=True):
        if case.op == op:
            found = gpu_cases.check_case(case, "cpu")
            assert found["passed"], found


def test_a_wrong_op_fails_and_says_how_far_off_it_is(monkeypatch):
    right = gpu_cases.call

    def wrong(case, device):
        made = right(case, device)

        def function(*arguments, backend, **words):
            return made.function(*arguments, backend="reference", **words) * (1.0 if backend == "reference" else 1.01)

        return replace(made, function=function)

    monkeypatch.setattr(gpu_cases, "call", wrong)
    found = gpu_cases.check_case(one("norm_linear"), "cpu")
    assert not found["passed"] and found["error"] > found["limit"] > 0 and "is let pass" in found["failure"]


def test_an_op_that_raises_fails(monkeypatch):
    def broken(case, device):
        raise RuntimeError("out of registers")

    monkeypatch.setattr(gpu_cases, "call", broken)
    assert gpu_cases.check_case(one("embed"), "cpu")["failure"] == "RuntimeError: out of registers"


@pytest.mark.parametrize("proof", gpu_proofs.PROOFS)
def test_proofs_run_without_a_graph(proof):
    assert proof(CPU, True)


def test_a_second_call_is_served_by_the_step_of_the_first(monkeypatch):
    captured_steps(monkeypatch)
    monkeypatch.setattr(loop, "_is_captured", lambda device: True)
    assert gpu_proofs.second_call(CPU, True)["capture_s"] > 0
    monkeypatch.setattr(GraphCache, "_taken", lambda *_: None)
    with pytest.raises(AssertionError, match="captured the step again"):
        gpu_proofs.second_call(CPU, True)


def test_a_row_that_differs_is_found(monkeypatch):
    right = gpu_proofs.generate

    def other(one, frames, sampling, batch=1):
        return right(one, frames, sampling, batch) if batch == 1 else right(one, frames, sampling, batch).roll(1, 2)

    monkeypatch.setattr(gpu_proofs, "generate", other)
    with pytest.raises(AssertionError, match="are not what they are alone"):
        gpu_proofs.rows_alone(CPU, True)


def test_a_codec_that_replays_something_else_is_found(monkeypatch):
    counted = captured_here(monkeypatch)
    monkeypatch.setattr(gpu_proofs, "_seconds", lambda call, device: 0.0)
    with pytest.raises(AssertionError, match=r"stream, float32: \d graphs on cpu"):  # the graphs give the same
        gpu_proofs.replayed_codec(CPU, True)
    record = counted.record

    def stale(self, run):
        outputs, _ = record(self, run)
        return outputs, lambda: None

    monkeypatch.setattr(counted, "record", stale)
    with pytest.raises(AssertionError, match="the graph differs by .*, two runs by 0"):
        gpu_proofs.replayed_codec(CPU, True)


def test_the_file_is_written_as_it_grows(tmp_path, capsys):
    check = gpu_check.Check(tmp_path / "found.json", Bench(CPU, repeats=1, quick=True))
    check.put("cases", {"checked": 3})
    check.fail("embed: too far off")
    check.bench.note("something was left out")
    found = json.loads(check.path.read_text())
    assert found["cases"] == {"checked": 3} and found["failures"] == ["embed: too far off"]
    assert found["notes"] == ["something was left out"] and found["results"] == []
    assert "FAILED: embed" in capsys.readouterr().out


def test_whatever_fails_is_kept_and_the_rest_still_runs(tmp_path, monkeypatch):
    def summary(*arguments):
        failure = {"case": "embed-x", "passed": False, "failure": "wrong"}
        return {"cases": 2, "passed": 1, "left_out": 0, "took_s": 0.0, "failures": [failure]}

    def breaks(device, quick):
        raise AssertionError("no graph")

    def works(device, quick):
        return {"fine": True}

    monkeypatch.setattr(gpu_cases, "check_all", summary)
    monkeypatch.setattr(gpu_proofs, "PROOFS", (breaks, works))
    check = gpu_check.Check(tmp_path / "found.json", Bench(CPU, repeats=1, quick=True))
    gpu_check.run(check, gpu_check.Plan(time.monotonic() + 1e6, ("proofs", "cases")))
    assert check.failures == ["breaks: AssertionError: no graph", "embed-x: wrong"]
    assert check.parts["works"] == {"fine": True}


def test_parts_come_in_their_order_and_share_the_time(tmp_path, monkeypatch):
    """A suite that fails leaves the others their time; steps may take six tenths of what is left, questions four."""
    bench, begun = Bench(CPU, repeats=1, quick=True), []
    end = time.monotonic() + 1000

    def part(name):
        def suite(*arguments):
            begun.append((name, round((end - bench.deadline) / 1000, 1)))
            if name == "steps":
                raise RuntimeError("out of memory")

        return suite

    for name in ("steps", "generation", "layer", "ops"):
        monkeypatch.setattr(gpu_check, f"run_{name}", part(name))
    monkeypatch.setattr(gpu_check.gpu_questions, "ask", lambda asked: part("questions")() or ["links: no"])
    monkeypatch.setattr(bench, "measure_ceilings", lambda: None)
    check = gpu_check.Check(tmp_path / "found.json", bench)
    gpu_check.run(check, gpu_check.Plan(end, gpu_check.PARTS[2:]))
    assert begun == [("steps", 0.4), ("questions", 0.6), ("generation", 0.0), ("layer", 0.0), ("ops", 0.0)]
    assert check.failures == ["steps: RuntimeError: out of memory", "questions: links: no"]


def test_models_that_are_named_are_measured_and_their_peers_compiled(tmp_path, monkeypatch):
    bench, asked = Bench(CPU, repeats=1), []
    monkeypatch.setattr(gpu_check, "run_steps", lambda bench, models: asked.append((models, bench.compiled)))
    check = gpu_check.Check(tmp_path / "found.json", bench)
    gpu_check.measure(check, "steps", ("llamagen-l",))
    gpu_check.measure(check, "steps", ())
    assert asked == [(("llamagen-l",), ("llamagen-l",)), (gpu_check.MODELS, gpu_check.COMPILED)]
    bench.deadline = 1.0
    assert bench.compiles("musicgen-small") and not bench.compiles("llamagen-l")
    assert not bench.compiles("musicgen-small", everywhere=True)


def test_a_folded_norm_that_costs_too_much_is_found(monkeypatch):
    right = gpu_proofs.norm_linear
    monkeypatch.setattr(gpu_proofs, "norm_linear", lambda *a, **words: right(*a, **words) * 1.02)
    with pytest.raises(AssertionError, match="mean 0 deviations: .* at most 1.5 times torch's"):
        gpu_proofs.folded_norm(CPU, True)


def test_a_step_that_races_is_found(monkeypatch):
    right = gpu_proofs.start

    def racing(one, num_steps, *, overlapped):
        graph = right(one, num_steps, overlapped=overlapped)
        if overlapped:
            graph.state.k[1][:, :, 0] += 1e-3
        return graph

    monkeypatch.setattr(gpu_proofs, "start", racing)
    with pytest.raises(AssertionError, match="tokens and bytes differ with dependent launch"):
        gpu_proofs.dependent_launch(CPU, True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    with pytest.raises(SystemExit) as stop:
        gpu_check.main()
    assert stop.value.code == 2 and "there is no GPU here" in capsys.readouterr().err
