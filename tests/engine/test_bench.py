"""The benchmark's arithmetic, its refusals, and its command; tiny sizes, and no number that a machine decides."""

import importlib.util
import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from clavilux.bench import baselines, ops, peers, report, steps, suite
from clavilux.bench.baselines import TransformersPeer, peer_weights
from clavilux.bench.layer import run_layer
from clavilux.bench.ops import run_ops, selected
from clavilux.bench.parity import check_close, check_peer, forced, generate, random_tokens, relative_error
from clavilux.bench.roofline import bandwidth, floor_s
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side, Timing, buffers_needed, measure, rotating, seconds, turns
from clavilux.bench.variants import eager, graph_then_sampler, whole_graph
from clavilux.bench.workloads import build, layer_cost, named, num_parameters, shortened, step_cost
from clavilux.cli.app import app
from clavilux.files import write_json
from clavilux.kernels.model_shapes import MODELS

CPU = torch.device("cpu")
TINY = replace(
    MODELS["musicgen-small"], width=32, layers=2, heads=2, head_dim=16, ffn=48, context=40, vocabulary=30, table=31,
    top_k=5,
)  # fmt: skip
needs_peer = pytest.mark.skipif(not baselines.available(), reason="transformers is not installed")


@pytest.fixture
def bench(monkeypatch):
    """A run whose ceilings are round numbers: 1 GB/s and 1 Gflop/s."""
    monkeypatch.setattr(suite, "measure", fake_measure)
    found = Bench(CPU, repeats=2, quick=True)
    found.ceilings = {name: {"median": 1e9, "best": 1e9, "unit": "bytes/s", "samples_s": [1.0]} for name in
                      ("copy", "read")}  # fmt: skip
    found.ceilings |= {f"gemm_{dtype}": {"median": 1e9, "best": 1e9, "unit": "flops/s", "samples_s": [1.0]} for dtype in
                       ("float32", "bfloat16")}  # fmt: skip
    return found


def fake_measure(sides, device, *, repeats, **words):
    """Runs every side once, and says that the first takes 4 ms, the next 8 ms and so on."""
    for side in sides:
        side.run(2)
    return {side.name: Timing(tuple([0.004 * (1 + n)] * repeats)) for n, side in enumerate(sides)}


# Times


def test_median_and_the_range_of_the_middle_half():
    timing = Timing((5.0, 1.0, 2.0, 4.0, 3.0))
    assert timing.median_s == 3.0
    assert timing.quartiles_s == (2.0, 4.0) and timing.iqr_s == 2.0
    assert Timing((7.0,)).iqr_s == 0.0


def test_sides_take_turns_in_both_orders():
    sides = [Side(name, lambda n: None) for name in "abc"]
    assert "".join(side.name for side in turns(sides, 4)) == "abccbaabccba"


def test_a_sample_is_the_time_of_one_call(monkeypatch):
    """A clock that counts calls: a call of the slow side takes 3 s, of the quick one 1 s, and it does two at a time."""
    clock, asked = [0.0], []

    def advance(name, by):
        def run(count):
            asked.append((name, count))
            clock[0] += by * count

        return run

    monkeypatch.setattr("clavilux.bench.timing.time.perf_counter", lambda: clock[0])
    sides = [Side("slow", advance("slow", 3.0)), Side("quick", advance("quick", 1.0), per_run=2)]
    found = measure(sides, CPU, repeats=3, least_s=6.0)
    assert found["slow"].samples_s == (3.0,) * 3 and found["quick"].samples_s == (0.5,) * 3
    assert asked[4:] == [("slow", 2), ("quick", 6), ("quick", 6), ("slow", 2), ("slow", 2), ("quick", 6)]
    assert measure(sides[:1], CPU, repeats=1, least_s=1e9, most=7)["slow"].samples_s == (3.0,)
    assert asked[-1] == ("slow", 7)


def test_measure_names_what_is_wrong():
    with pytest.raises(ValueError, match="repeats is 0"):
        measure([], CPU, repeats=0)
    with pytest.raises(ValueError, match="the same name: a, a"):
        measure([Side("a", print), Side("a", print)], CPU, repeats=1)


def test_buffers_go_round(monkeypatch):
    seen = []
    run = rotating([lambda n=n: seen.append(n) for n in range(3)])
    run(2)
    run(3)
    assert seen == [0, 1, 2, 0, 1]
    monkeypatch.setattr("clavilux.bench.timing.cache_bytes", lambda device: 1000)
    assert [buffers_needed(size, CPU) for size in (10**6, 2000, 1999, 500, 1)] == [1, 1, 2, 4, 32]
    assert seconds(lambda n: None, 5, CPU) >= 0


# Bytes, floors and ratios


def test_bytes_of_a_step_are_those_of_its_tensors():
    model = named("musicgen-small")
    num_bytes, flops = step_cost(model, 100, "bfloat16", "bfloat16")
    layer = 1024 * 3072 + 2 * 1024 * 1024 + 1024 * 1024 + 2 * 1024 * 4096  # without what projects the memory
    weights = 2 * (24 * layer + 1024 * 4 * 2048)
    cache = 2 * 24 * 2 * 1024 * 2 * (100 + 32)
    assert weights + cache < num_bytes < 1.01 * (weights + cache)
    assert flops == 2 * 2 * (24 * layer + 1024 * 8192) + 24 * 4 * 2 * 1024 * (100 + 32)
    int8, _ = step_cost(model, 100, "int8", "bfloat16")
    assert abs((num_bytes - int8) - (weights / 2)) < 0.01 * weights
    one, _ = layer_cost(model, 100, "bfloat16", "bfloat16")
    assert 24 * one < num_bytes < 25 * one + 2 * 1024 * 4 * 2048


def test_floors_are_the_greater_of_moving_and_computing(bench):
    assert floor_s(2e9, 1e9, "float32", bench.ceilings, CPU) == 2.0
    assert floor_s(1e9, 3e9, "float32", bench.ceilings, CPU) == 3.0
    assert bandwidth(bench.ceilings | {"copy": {"median": 5}, "read": {"median": 7}}, CPU) == 7
    assert bandwidth({"copy": {"median": 5}, "read": {"median": 7}}, torch.device("cuda")) == 5


def test_rows_say_shares_and_ratios(bench):
    sides = [
        Side("ours", print, facts={"bytes": 10**6, "dtype": "float32"}),
        Side("theirs", print, facts={"peer": True}),
    ]
    bench.compare("steps", "small", "length 1", sides)
    ours, theirs = bench.rows
    assert ours["share"] == pytest.approx(0.25) and ours["bytes_per_s"] == pytest.approx(0.25e9)
    assert ours["times_as_fast_as"] == {"theirs": 2.0} and theirs["times_as_fast_as"] == {"ours": 0.5}
    assert "share" not in theirs
    (row, _) = report.result_rows(bench.report(), "steps")
    assert row == ("small, length 1", "ours", "4 ms", "0 ns", "1 MB", "0.25 GB/s", "25%", "2.00 theirs")


def test_what_begins_too_late_is_noted(bench):
    bench.deadline = 0.0
    assert bench.compare("ops", "embed", "odd", [Side("ours", print)]) == []
    assert bench.notes == ["left out, the time was up: ops, embed, odd"]


def test_num_parameters_without_building():
    assert num_parameters(TINY) == sum(p.numel() for p in build(TINY, CPU).decoder.parameters())
    with pytest.raises(ValueError, match="'musicgen-tiny' is not known"):
        named("musicgen-tiny")


# Subjects and sides


def test_a_subject_is_random_in_every_number():
    one, again = build(TINY, CPU), build(TINY, CPU)
    for (name, parameter), other in zip(one.decoder.named_parameters(), again.decoder.parameters(), strict=True):
        assert torch.equal(parameter, other) and parameter.std() > 0 and (parameter != 0).all(), name
    memory = one.conditioning().memory
    assert memory[0].abs().min() > 0 and not memory[1].any()


@pytest.mark.parametrize("make", [lambda s: eager(s, 12, "a"), lambda s: whole_graph(s, 12, "a")])
def test_a_side_takes_steps_that_end_at_its_length(make, monkeypatch):
    one = build(TINY, CPU)
    read, step_at = [], one.decoder.step_at

    def noted(tokens, state, position, length):
        read.append(int(length))
        return step_at(tokens, state, position, length)

    monkeypatch.setattr(one.decoder, "step_at", noted)
    side = make(one)
    with torch.inference_mode():
        side.run(3)
        side.run(1)
        side.run(14)
    assert read == [10, 11, 12, 12, *range(1, 15)]
    assert side.facts["bytes"] == step_cost(TINY, 12, "float32", "float32")[0]


def test_generation_fills_every_frame():
    one = build(TINY, CPU)
    with torch.inference_mode():
        frames = generate(one, 7, one.sampling)
    assert frames.shape == (1, 4, 7) and frames.max() < 30 and len(frames.unique()) > 5


def test_a_decoder_that_differs_is_found():
    one = build(TINY, CPU)
    tokens = random_tokens(one, 4)
    with torch.inference_mode():
        truth = forced(one, tokens)
        assert check_close("itself", "float32", forced(one, tokens), truth) == 0
        assert check_close("half", "bfloat16", forced(one.in_dtype("bfloat16"), tokens), truth) > 0
        one.decoder.layers[1].ffn.down.weight.mul_(1.01)
        with pytest.raises(Mismatch, match="from float32's; at most 0.0001"):
            check_close("changed", "float32", forced(one, tokens), truth)
    assert relative_error(torch.tensor([torch.nan]), torch.ones(1)) == float("inf")


def test_dtypes_and_lengths_that_a_cpu_is_asked_for():
    assert steps.lengths(named("musicgen-small"), False) == (1, 751, 1503)
    assert steps.lengths(TINY, True) == (1, 20, 40)
    assert set(steps.usual_dtypes(CPU)) >= {"float32"}


# The peer


@pytest.fixture(scope="module")
def pair():
    one = build(TINY, CPU)
    return one, TransformersPeer(one, "float32")


@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_the_peer_draws_the_same_greedy_tokens(pair):
    one, peer = pair
    with torch.inference_mode():
        found = check_peer(one, peer, 20, "transformers")
    assert found["greedy_tokens_compared"] == 80 and found["logits_error"] < 1e-5
    assert len(generate(one, 20, one.greedy()).unique()) > 5


@needs_peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        "lm_heads.3.weight",
        "model.decoder.embed_tokens.2.weight",
        "model.decoder.layers.1.self_attn.q_proj.weight",
        "model.decoder.layers.0.encoder_attn.v_proj.weight",
        "model.decoder.layers.0.final_layer_norm.bias",
    ],
)
def test_a_peer_with_one_other_weight_is_found(pair, name):
    one, peer = pair
    weight = peer.model.get_parameter(name)
    kept = weight.clone()
    with torch.inference_mode():
        weight.copy_(weight.roll(1, 0))
        with pytest.raises(Mismatch):
            check_peer(one, peer, 6, "transformers")
        weight.copy_(kept)


@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_a_mismatch_refuses_the_peers_times(bench, monkeypatch):
    monkeypatch.setattr(steps, "named", lambda name: replace(TINY, name="musicgen-tiny"))
    monkeypatch.setattr(peers, "compiler_missing", lambda bench: True)
    swapped = lambda one: {**peer_weights(one), "lm_heads.0.weight": peer_weights(one)["lm_heads.1.weight"]}  # noqa: E731
    monkeypatch.setattr(baselines, "peer_weights", swapped)
    with pytest.raises(Mismatch, match="musicgen-tiny: "):
        steps.run_steps(bench, ("musicgen-tiny",), "float32")
    assert {row["side"] for row in bench.rows if row.get("peer")} == {"torch eager"}
    assert any("transformers was not timed" in note for note in bench.notes)


@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_steps_stand_beside_the_peers(bench, monkeypatch):
    monkeypatch.setattr(steps, "named", lambda name: replace(TINY, name="musicgen-tiny"))
    monkeypatch.setattr(peers, "compiler_missing", lambda bench: True)
    steps.run_steps(bench, ("musicgen-tiny",), "float32")
    rows = [row for row in bench.rows if row["suite"] == "steps"]
    sides = {at: [row["side"] for row in rows if row["at"] == at] for at in {row["at"]: 0 for row in rows}}
    alone, all_of_them = ["clavilux float32", "transformers eager"], ["torch eager", "transformers eager"]
    assert sides == {
        "length 1": alone, "length 20": ["clavilux float32", *all_of_them], "length 40": alone,
        "generation of 8 frames": ["clavilux float32", "transformers generate"],
    }  # fmt: skip
    assert rows[0]["times_as_fast_as"] == {"transformers eager": 2.0}
    assert {row["at"] for row in bench.rows if row["suite"] == "budget"} == {"length 20, float32"}
    assert sum("greedy tokens equal those of" in note for note in bench.notes) == 2


def test_a_missing_peer_is_said(bench, monkeypatch):
    monkeypatch.setattr(steps, "named", lambda name: TINY)
    monkeypatch.setattr(peers, "compiler_missing", lambda bench: True)
    monkeypatch.setattr(baselines, "available", lambda: False)
    steps.run_steps(bench, ("musicgen-small",), "float32")
    assert baselines.MISSING in bench.notes and "pip install" in baselines.MISSING
    assert {row["side"] for row in bench.rows if row["suite"] == "steps"} == {"clavilux float32", "torch eager"}


# The other suites


def test_ops_are_compared_with_torch(bench):
    run_ops(bench, ("aria-composer",))
    cases = selected(bench, ("aria-composer",), "auto")
    assert not any(case.shape.get("folded") for case in selected(bench, ("musicgen-small", "odd"), "auto"))
    assert len({(row["subject"], row["at"]) for row in bench.rows}) == len(cases) > 8
    assert {"clavilux", "torch"} <= {row["side"] for row in bench.rows}
    assert not [note for note in bench.notes if "not timed" in note]


def test_an_op_that_differs_is_not_timed(bench, monkeypatch):
    right = ops._TORCH["norm_linear"]
    monkeypatch.setitem(ops._TORCH, "norm_linear", lambda *a, **words: lambda: right(*a, **words)() * 1.001)
    with pytest.raises(Mismatch, match="norm_linear-aria-composer-qkv-float32 is 0.001 from what torch computes"):
        run_ops(bench, ("aria-composer",))
    assert not [row for row in bench.rows if row["op"] == "norm_linear"]


def test_a_layer_is_compared_with_torch(bench, monkeypatch):
    for model in (TINY, named("aria-composer")):
        monkeypatch.setattr("clavilux.bench.layer.named", lambda name, model=model: model)
        run_layer(bench, ("tiny",))
    assert {"clavilux float32", "torch float32", "torch bfloat16"} <= {row["side"] for row in bench.rows}


# The command


def call(*arguments, code=0):
    result = CliRunner().invoke(app, ["bench", *(str(argument) for argument in arguments)], prog_name="clavilux")
    assert result.exit_code == code, result.output + result.stderr
    return result


def test_help_names_the_suites():
    assert "ops, layer, steps or end-to-end" in " ".join(call("--help").stdout.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--suite speed", "the suite 'speed' is not known; it should be ops, layer, steps, end-to-end"),
        ("--model musicgen-tiny", "the model 'musicgen-tiny' is not known"),
        ("--threads 0", "threads is 0"),
        ("--repeats 0", "repeats is 0"),
        ("--dtype int4", "the dtype is 'int4'"),
        ("--device tpu", "the device 'tpu'"),
        ("--json out.txt", "should end in .json"),
        ("--json no/such/folder/out.json", "there is no folder"),
        ("--plot out.gif", "should end in .png"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    result = call("--quick", *options.split(), code=2)
    assert result.stdout == "" and result.stderr.startswith("clavilux: ") and len(result.stderr.splitlines()) == 1
    assert message in result.stderr


def test_a_quick_run_writes_json_and_a_picture(tmp_path):
    path, picture = tmp_path / "found.json", tmp_path / "found.png"
    options = "--suite layer --model aria-composer --quick --repeats 1 --threads 1 --dtype float32"
    result = call(*options.split(), "--json", path, "--plot", picture)
    found = json.loads(path.read_text())
    assert set(found) == {"schema", "machine", "settings", "ceilings", "notes", "results"}
    assert {"device", "torch", "commit", "threads", "date"} <= set(found["machine"])
    assert set(found["ceilings"]) == {"copy", "read", "gemm_float32", "gemm_bfloat16", "operation"}
    row = found["results"][0]
    assert row["side"] == "clavilux float32" and row["median_s"] > 0 and len(row["samples_s"]) == 1
    assert picture.stat().st_size > 5000 and "clavilux float32" in result.stdout
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_json_file_is_whole_or_what_it_was(tmp_path):
    path = tmp_path / "found.json"
    write_json({"a": 1}, path)
    with pytest.raises(ValueError):
        write_json({"a": float("nan")}, path)
    assert json.loads(path.read_text()) == {"a": 1} and len(list(tmp_path.iterdir())) == 1


def test_units():
    assert [report.duration(s) for s in (2.5, 0.0123, 4.5e-6, 3e-8)] == ["2.5 s", "12.3 ms", "4.5 µs", "30 ns"]


def test_graph_rungs_need_a_gpu():
    assert importlib.util.find_spec("clavilux.graph")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError):
            graph_then_sampler(build(TINY, CPU), 4, "a", None)


def test_a_quick_run_is_of_two_layers_and_says_so():
    small = named("musicgen-small")
    assert shortened(small, False) is small and shortened(TINY, True) is TINY
    quick = shortened(small, True)
    assert (quick.layers, quick.name) == (2, "musicgen-small-of-2-layers") and baselines.has_peer(quick)
