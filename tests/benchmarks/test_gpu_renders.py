"""Pictures and renders for a GPU, as far as a machine without one can run them: small shapes, the same code."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clavilux.audio.codecs.encodec import Encodec
from clavilux.audio.codecs.encodec_spec import EncodecSpec
from clavilux.audio.codecs.seanet import SeanetSpec
from clavilux.audio.codecs.vqvae import VQVAE
from clavilux.audio.codecs.vqvae_spec import VQVAESpec
from clavilux.bench.suite import Bench
from clavilux.bench.workloads import named
from clavilux.image.codecs.vq import VQ, VQSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import gpu_renders

CPU = torch.device("cpu")


def small(name):
    model = named(name)
    sizes = {"width": 32, "layers": 2, "heads": 2, "head_dim": 16, "ffn": 32, "vocabulary": 64, "top_k": 5}
    return replace(model, **sizes, table=65 if model.table else 0, context=128, block=8 if model.block else 0)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(gpu_renders, "named", small)
    vq = VQSpec(
        vocabulary=64, latent_channels=8, base_channels=8, multipliers=(1,) * 5, residual_blocks=1, norm_groups=4
    )
    network = SeanetSpec(filters=4, latent_width=8, ratios=(8, 5, 4, 4), lstm_layers=1)
    codec = EncodecSpec(network, sample_rate=32000, codebooks=4, vocabulary=64)
    vqvae = VQVAESpec(widths=(8, 8, 8), depths=(1, 1, 1), hidden_widths=(8, 8, 8), latent_width=8, vocabulary=64)
    monkeypatch.setattr(gpu_renders, "vq", lambda device: gpu_renders.randomized(VQ(vq), device))
    monkeypatch.setattr(gpu_renders, "encodec", lambda device: gpu_renders.randomized(Encodec(codec), device))
    monkeypatch.setattr(gpu_renders, "vqvae", lambda device: gpu_renders.randomized(VQVAE(vqvae), device).level(0))
    return Bench(CPU, repeats=2, quick=True)


def test_every_part_fills_its_rows(bench):
    for part in gpu_renders.PARTS.values():
        part(bench)
    found = {(row["subject"], row["at"]): row for row in bench.rows}
    assert list(found) == [
        ("llamagen-xl", "64 pixels, a label"), ("llamagen-xl", "64 pixels, 8 labels"),
        ("musicgen-large", "1 s of music"),
        ("jukebox-of-2-layers", "a minute, windows one after another"),
        ("jukebox-of-2-layers", "a minute, 16 stretches side by side"),
    ]  # fmt: skip
    for row in bench.rows:
        assert row["median_s"] > 0 and all(took > 0 for took in row["parts_s"].values())
    eight = found["llamagen-xl", "64 pixels, 8 labels"]
    assert len(eight["samples_s"]) == 2 and eight["s_a_picture"] == eight["median_s"] / 8
    assert set(eight["parts_s"]) == {"tokens", "VQ decoder"}
    assert 0 < eight["start_s"] < eight["parts_s"]["tokens"]
    lanes = found["jukebox-of-2-layers", "a minute, 16 stretches side by side"]
    assert lanes["reckoned"] and set(lanes["parts_s"]) == {"level 2", "level 1", "level 0", "VQ-VAE"}
    assert lanes["median_s"] == pytest.approx(sum(lanes["parts_s"].values()))
    assert set(lanes["measured_s"]) == {"jukebox-5b", "jukebox-upsampler"}


def test_music_goes_through_its_windows(bench):
    subject = gpu_renders.weighed(bench, "musicgen-large", "float32")
    frames, start_s = gpu_renders.draw(
        subject, 180, 2, gpu_renders.Windows(128, 60, keep=1)
    )  # more than the context of 128
    assert frames.shape == (2, 4, 180) and int(frames.min()) >= 0 and int(frames.max()) < 64
    assert not torch.equal(frames[0], frames[1]) and start_s > 0


def test_a_minute_is_steps_and_windows():
    costs = {"step": 0.002, "window": 0.1}
    assert gpu_renders.total_s(costs, 8192, 8192, 0.5, 1) == pytest.approx(8192 * 0.002)
    # 20,700 tokens in windows of 8,192 that move on by 1,024: 12 full moves and one to the end
    assert gpu_renders.total_s(costs, 8192, 20_700, 1 / 8, 1) == pytest.approx(20_700 * 0.002 + 13 * 0.1)
    assert gpu_renders.total_s(costs, 8192, 20_700, 1 / 8, 16) == pytest.approx(1294 * 0.002)


def test_nothing_begins_after_the_time_is_up(bench):
    bench.deadline = 0.0
    for part in gpu_renders.PARTS.values():
        part(bench)
    assert bench.rows == [] and sum("the time was up" in note for note in bench.notes) >= 3


def test_the_command_keeps_what_fails_and_its_file_is_no_ladder(bench, tmp_path, monkeypatch, capsys):
    def breaks(bench):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu_renders, "PARTS", {"pictures": breaks, "music": gpu_renders.music})
    monkeypatch.setattr(gpu_renders.Bench, "measure_ceilings", lambda self: None)
    words = f"--device cpu --quick --only pictures music --out {tmp_path}"
    monkeypatch.setattr(sys, "argv", ["gpu_renders.py", *words.split()])
    with pytest.raises(SystemExit) as stop:
        gpu_renders.main()
    [path] = tmp_path.iterdir()
    assert stop.value.code == 1 and path.name.endswith("-renders-cpu.json") and "gpu" not in path.name
    found = json.loads(path.read_text())
    assert found["failures"] == ["pictures: RuntimeError: out of memory"] and len(found["results"]) == 1
    assert "FAILED: pictures" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["--device cpu --out no/such/folder", "--only paintings"])
def test_wrong_options(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_renders.py", *words.split()])
    with pytest.raises(SystemExit) as stop:
        gpu_renders.main()
    assert stop.value.code == 2
