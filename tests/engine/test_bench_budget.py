"""A step's budget: which nodes it has, what they move, and what is made of the times."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from clavilux.bench import budget, report
from clavilux.bench.budget import WHOLE, by_kind, calls_of_a_step, num_bytes_of, run_budget
from clavilux.bench.suite import Bench
from clavilux.bench.timing import Timing
from clavilux.bench.workloads import build, named, step_cost
from clavilux.kernels.backend import recorded
from clavilux.kernels.linear_residual import linear_residual

CPU = torch.device("cpu")
TINY = replace(
    named("musicgen-small"), width=32, layers=3, heads=2, head_dim=16, ffn=48, context=40, vocabulary=30, table=31,
    top_k=5,
)  # fmt: skip
SPANS = replace(
    named("jukebox-1b"), width=32, layers=4, heads=2, head_dim=16, ffn=32, context=40, vocabulary=30, block=4, prefix=8,
    exceptions=((3, "prefix"),),
)  # fmt: skip


def calls(model, length):
    with torch.inference_mode():
        return calls_of_a_step(build(model, CPU), length)


def test_a_step_is_its_ops_in_their_order():
    kinds = by_kind(calls(TINY, 12), 12)
    assert {name: len(own) for name, own in kinds.items()} == {
        "embed": 1, "norm_linear 32 to 96": 3, "decode_attention to 12 keys": 3, "linear_residual 32 to 32": 6,
        "norm_linear 32 to 32": 3, "decode_attention to 32 keys": 3, "norm_linear 32 to 48": 3,
        "linear_residual 48 to 32": 3, "norm_linear 32 to 120": 1, "sample_step": 1,
    }  # fmt: skip
    names = [name for name in by_kind(calls(SPANS, 11), 11) if "attention" in name]
    assert names == [f"decode_attention to {keys} keys of a {span}" for keys, span in
                     ((3, "row"), (3, "column"), (4, "previous row"), (8, "prefix"))]  # fmt: skip


def test_each_layer_has_its_own_matrix():
    own = by_kind(calls(TINY, 12), 12)["norm_linear 32 to 96"]
    assert len({call.arguments[3].data_ptr() for call in own}) == 3


@pytest.mark.parametrize("model", [TINY, SPANS])
def test_bytes_are_those_of_the_cost_model(model):
    made = calls(model, 20)
    counted = Counter()
    for call in made:
        counted[call.op] += num_bytes_of(call, 20)
    # A position's row and a few vectors are counted another way, and nothing else.
    assert sum(counted.values()) == pytest.approx(step_cost(model, 20, "float32", "float32")[0], rel=0.03)
    assert counted["norm_linear"] > 5 * counted["embed"]


@pytest.mark.parametrize(("kind", "item"), [("float16", 2), ("int8", 1), ("float32", 4)])
def test_bytes_of_packed_weights(kind, item):
    with torch.inference_mode():
        made = calls_of_a_step(build(TINY, CPU).in_dtype(kind), 8)
    [head] = by_kind(made, 8)["norm_linear 32 to 120"]
    assert 32 * 120 * item < num_bytes_of(head, 8) < 32 * 120 * item + 2000


def test_a_call_is_repeated_on_the_same_tensors():
    x, weight, residual = torch.randn(2, 8), torch.randn(4, 8), torch.randn(2, 4)
    with recorded() as noted:
        found = linear_residual(x, weight, None, residual)
    linear_residual(x, weight, None, residual)  # not noted any more
    [call] = noted
    assert call.op == "linear_residual" and call.result is found
    residual.add_(1)
    assert torch.allclose(call.again(), found + 1)


def test_a_node_costs_what_the_step_saves_without_it(monkeypatch):
    def fake(sides, device, *, repeats, **words):
        for side in sides:
            side.run(2)
        took = {WHOLE: 0.010, "without norm_linear 32 to 96": 0.004, "norm_linear 32 to 96": 0.009}
        return {side.name: Timing((took.get(side.name, 0.008),) * repeats) for side in sides}

    monkeypatch.setattr(budget, "measure", fake)
    bench = Bench(CPU, repeats=2, quick=True)
    ceiling = {"median": 1e9, "best": 1e9, "samples_s": [1.0]}
    bench.ceilings = {name: {**ceiling, "unit": "bytes/s"} for name in ("copy", "read")}
    bench.ceilings |= {f"gemm_{name}": {**ceiling, "unit": "flops/s"} for name in ("float32", "bfloat16")}
    bench.ceilings["operation"] = {**ceiling, "unit": "s"}
    with torch.inference_mode():
        run_budget(bench, build(TINY, CPU), 12)
    whole, _, qkv, *_ = bench.rows
    assert whole["nodes"] == 27 and whole["median_s"] == 0.010
    assert qkv["nodes"] == 3 and qkv["median_s"] == pytest.approx(0.003)
    assert qkv["in_step_s"] == pytest.approx(0.002) and qkv["share_of_step"] == pytest.approx(0.6)
    assert qkv["share"] == pytest.approx(qkv["bytes"] / 1e9 / 0.003)
    rows = report.result_rows(bench.report(), "budget")
    assert rows[0][-1] == "27 nodes" and rows[2][-1] == "3 of them; in the step 2000.00 µs each, 60% of it"
    assert rows[2][1:3] == ("norm_linear 32 to 96", "3 ms")


def test_no_budget_after_the_time_is_up():
    bench = Bench(CPU, quick=True, deadline=0.0)
    run_budget(bench, build(TINY, CPU), 12)
    assert bench.rows == [] and "left out, the time was up: budget, musicgen-small, length 12, float32" in bench.notes
