"""The model of a step stands on what was measured, and its parts add up. What it predicts is not tested."""

import json
import sys
from dataclasses import replace

import pytest
from benchmark_scripts import imported

from clavilux.bench.workloads import num_parameters
from clavilux.kernels.model_shapes import MODELS

LAYERS = 24  # of MusicGen-small


@pytest.fixture(scope="module")
def script():
    return imported("step_model")


@pytest.fixture(scope="module")
def measured(script):
    return script.read_measured(script.MEASURED)


def test_the_old_kernels_steps_are_what_was_measured(script, measured):
    rows = script.calibration(measured)
    assert len(rows) == 26
    off = {(name, length, dtype): modeled / took - 1 for name, length, dtype, took, modeled in rows}
    assert min(off.values()) >= -0.072 and max(off.values()) <= 0.055, off


@pytest.mark.parametrize("name", ["musicgen-small", "llamagen-3b", "jukebox-5b", "imagegpt-large"])
def test_a_step_reads_every_matrix_once(script, name):
    model = MODELS[name]
    step = script.nodes_of(model, 100, 2)
    tables = model.codebooks * (model.table or model.vocabulary) * model.width
    learned = model.context * model.width if model.positions == "learned" else 0
    # What a step does not read: tables but for a row, the projection of the memory, norms and biases.
    cross = 2 * model.layers * model.heads * model.head_dim * model.width if model.cross else 0
    matrices = num_parameters(model) - tables - learned - cross
    assert sum(node.weights for node in step) / 2 == pytest.approx(matrices, rel=1e-3)
    assert sum(node.weights for node in script.nodes_of(model, 100, 1)) == pytest.approx(matrices, rel=1e-3)


def test_a_step_has_its_nodes(script):
    small = MODELS["musicgen-small"]
    assert len(script.nodes_of(small, 1, 2)) == 8 * LAYERS + 4
    folded = script.nodes_of(small, 1, 2, short_cross=True)
    assert len(folded) == 6 * LAYERS + 4
    assert sum(node.num_bytes for node in folded) < sum(node.num_bytes for node in script.nodes_of(small, 1, 2))
    assert script.folds(small, 2) and not script.folds(small, 1) and not script.folds(MODELS["jukebox-5b"], 2)
    assert len(script.nodes_of(MODELS["jukebox-5b"], 1, 2)) == 5 * 72 + 4
    longer, shorter = (script.nodes_of(small, length, 2)[2].cache for length in (200, 100))
    assert longer == 2 * shorter == 2 * (2 * 1024 * 2 * 100 * 2)


def test_no_design_is_faster_than_its_bytes_nor_slower_than_the_one_before(script, measured):
    for name in ("musicgen-small", "musicgen-large", "llamagen-3b", "jukebox-5b"):
        for card in script.CARDS.values():
            found = script.predict(MODELS[name], 100, "bfloat16", card, 1.18, measured)
            took = [one["us"] for one in found["designs"].values()]
            assert took == sorted(took, reverse=True), (name, card, took)
            for one in found["designs"].values():
                assert one["low_us"] <= one["us"] <= one["high_us"] and 0 < one["share"] < 1
                assert sum(place["us"] for place in one["places"].values()) == pytest.approx(one["us"])
                assert sum(place["nodes"] for place in one["places"].values()) == one["nodes"]


def test_a_chain_waits_for_whichever_is_later(script):
    """Two nodes by hand: one that computes longer than its bytes take, and one whose bytes come late."""
    c = {name: constant.value for name, constant in script.C.items()}
    card = script.Card("round", 1e6 / c["streamed"])  # 1e6 bytes a microsecond while weights stream
    quick = script.Node("a", "product", 1000, 0, 512, 64)
    heavy = script.Node("b", "product", 50_000_000, 0, 512, 64)
    first, second = script.new_step([quick, heavy], script.Design(0.75, 1, held=True), 4.0, card, 1.18)
    assert first == pytest.approx(0.75 + c["rows"] + c["iteration"] + c["waiting"] + c["tail"])
    # The second asked when the first did: its bytes are behind the first's.
    assert first + second == pytest.approx(50.001 + c["tail"] + c["drain"])
    [plain] = script.new_step([heavy], script.Design(None), 4.0, card, 1.18)
    assert plain == pytest.approx(1.18 + c["fixed"] + 50.0)


def test_what_was_not_measured_is_left_out(script, measured):
    without = replace(measured, ops={key: value for key, value in measured.ops.items() if "qkv" not in key[1]})
    found = script.predict(MODELS["musicgen-small"], 1, "bfloat16", script.CARDS["H200"], 1.18, without)
    assert "old" not in found["designs"] and "folded" in found["designs"]


def test_the_command(script, tmp_path, monkeypatch, capsys):
    path = tmp_path / "found.json"
    words = f"--model musicgen-small llamagen-b --gpu H100 --nodes --constants --calibration --json {path}"
    monkeypatch.setattr(sys, "argv", ["step_model.py", *words.split()])
    script.main()
    printed = capsys.readouterr().out
    assert "no GPU has run it" in printed and "cross query" in printed and "estimated" in printed
    found = json.loads(path.read_text())
    assert [one["model"] for one in found["steps"]] == ["musicgen-small", "llamagen-b"]
    assert {constant["status"] for constant in found["constants"].values()} == {"measured", "published", "estimated"}
    (tmp_path / "other.json").write_text("[]")
    for wrong in (f"--measured {tmp_path / 'other.json'}", "--copy 0", "--length 0"):
        monkeypatch.setattr(sys, "argv", ["step_model.py", *wrong.split()])
        with pytest.raises(SystemExit) as stop:
            script.main()
        assert stop.value.code == 2
    assert "it should be a JSON file of gpu_check.py" in capsys.readouterr().err
