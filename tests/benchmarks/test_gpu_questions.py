"""The questions for a GPU, asked of Triton's interpreter: that each is asked, checked and answered."""

import json
import sys
import time
from pathlib import Path

import pytest
import torch

from clavilux.kernels.launch import noted

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
pytest.importorskip("triton")

import gpu_questions

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which can be asked itself")


@pytest.fixture
def asked():
    return gpu_questions.Asked(CPU, True, time.monotonic() + 1e6)


def of(asked, question):
    return [row for row in asked.rows if row["question"] == question]


def test_each_question_has_answers(asked, capsys):
    assert gpu_questions.ask(asked, ("links", "stack", "bits", "reach")) == []
    assert [row["at"] for row in of(asked, "links")] == ["2 programs, plain graph", "2 programs, dependent launch"]
    assert [row["at"].partition(", ")[2] for row in of(asked, "stack")] == [
        "plain graph", "dependent launch", "dependent launch, no lines asked for"]  # fmt: skip
    assert all(row["us"] > 0 for question in ("links", "stack") for row in of(asked, question))
    assert len(of(asked, "bits")) == 2 and all(row["equal"] for row in of(asked, "bits"))
    assert of(asked, "reach")[0]["tb_s"] > 0
    assert "links: 2 programs, plain graph" in capsys.readouterr().out


def test_products_are_right_with_every_constant(asked, monkeypatch):
    monkeypatch.setattr(gpu_questions.Asked, "microseconds", lambda self, calls, overlapped: 1.0 + len(self.rows))
    assert gpu_questions.ask(asked, ("products",)) == []
    rows = of(asked, "products")
    assert not [row for row in rows if "failed" in row or "wrong" in row]
    assert all(row["error"] < 2e-3 for row in rows if not row["at"].startswith("best of"))
    best = [row for row in rows if row["at"].startswith("best of")]
    assert [row["best"] for row in best] == ["its own"] * 3  # whose time was the first that was given out


def test_a_wrong_product_is_not_timed(asked, monkeypatch):
    right = gpu_questions.exact
    monkeypatch.setattr(gpu_questions, "exact", lambda *arguments: 1.05 * right(*arguments))
    assert gpu_questions.product_us(asked, "toy", 2, "half", "layer", "its own", {}) is None
    [row] = asked.rows
    assert row["wrong"] and row["error"] == pytest.approx(0.05, rel=0.2)


def test_a_row_that_depends_on_its_batch_is_a_failure(asked, monkeypatch):
    right = gpu_questions.both
    monkeypatch.setattr(gpu_questions, "both", lambda x, folded: right(x, folded) + (len(x) == 5))
    failures = gpu_questions.ask(asked, ("bits",))
    assert failures == [f"bits, toy, {name}: rows differ from what they are alone" for name in ("float16", "int8")]
    assert asked.rows[0]["rows_that_differ"] == {"2": 0, "5": 5, "8": 0, "16": 0}


def test_other_constants_reach_the_launch(asked):
    """And are its own again afterwards; every alternative differs from it."""
    x, weight, out = torch.randn(2, 96).half(), torch.randn(40, 96).half(), torch.empty(2, 40).half()
    seen = []
    changes = [change for _, change in gpu_questions.alternatives(96, 40, 2, "half", "none", asked)]
    for change in [*changes, {}]:
        with gpu_questions.with_constants(change), noted() as launches:
            gpu_questions.product.skinny_gemm(x, weight, None, None, None, None, out)
        seen.append((launches[0].grid, sorted(launches[0].constants.items()), launches[0].options))
    assert seen[0] == seen[-1] and all(seen.count(one) == 1 for one in seen[1:-1]) and len(changes) > 4


def test_what_fails_is_kept_and_nothing_begins_too_late(asked, monkeypatch):
    def breaks(asked):
        raise RuntimeError("no such instruction")

    monkeypatch.setitem(gpu_questions.QUESTIONS, "links", breaks)
    assert gpu_questions.ask(asked, ("links", "bits"))[0] == "links: RuntimeError: no such instruction"
    assert of(asked, "bits")
    asked.deadline = 0.0
    assert gpu_questions.ask(asked, ("reach",))[0] == "reach was left out, the time was up"


def test_the_command(tmp_path, monkeypatch, capsys):
    path = tmp_path / "answers.json"
    monkeypatch.setattr(sys, "argv", f"gpu_questions.py --device cpu --quick --only links --json {path}".split())
    with pytest.raises(SystemExit) as stop:
        gpu_questions.main()
    assert stop.value.code == 0 and len(json.loads(path.read_text())["questions"]) == 2
    for words, message in (("", "there is no GPU here"), ("--device cpu", "it should come with --quick"),
                           ("--device cpu --quick --json x.txt", "should end in .json")):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["gpu_questions.py", *words.split()])
        with pytest.raises((SystemExit, ValueError)) as stop:
            gpu_questions.main()
        assert message in capsys.readouterr().err + str(stop.value)
