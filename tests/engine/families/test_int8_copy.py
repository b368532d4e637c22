"""Int8 copies: smaller folders that load like the original, and nothing half-written."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from commands import call
from safetensors.torch import load_file, save_file

import clavilux
from clavilux.cli.info import describe
from clavilux.errors import CheckpointError
from clavilux.families.musicgen.int8_copy import write_int8
from clavilux.kernels.quantized import packing_supported

pytest.importorskip("transformers")
packs = pytest.mark.skipif(not packing_supported(), reason="this processor has no kernels for packed weights")
SONG = {"seconds": 0.1, "seed": 5}


def tokens(folder, dtype):
    return clavilux.load(folder, device="cpu", dtype=dtype).generate("slow rain", **SONG).tokens


@pytest.fixture(scope="module")
def copies(musicgen, tmp_path_factory):
    """kind -> (the original, its copy, what was said of it), each made once."""
    made = {}

    def make(kind):
        if kind not in made:
            target = tmp_path_factory.mktemp("copies") / kind
            original = musicgen(kind, "large")[0]
            made[kind] = original, target, write_int8(original, target)
        return made[kind]

    return make


@packs
@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
def test_a_copy_gives_the_tokens_of_the_original_in_int8(copies, kind):
    original, copy, _ = copies(kind)
    expected = tokens(original, "int8")
    assert len(expected.unique()) > 8
    for dtype in ("int8", "auto"):
        assert torch.equal(tokens(copy, dtype), expected)


def test_a_copy_loads_in_other_numbers_too(copies):
    original, copy, facts = copies("mono")
    exact, rounded = (clavilux.load(path, dtype="float32").family.stage.decoder for path in (original, copy))
    every_step = {f"{name}.weight" for name in exact.matrices()}
    for name, weight in exact.named_parameters():
        error = float((rounded.get_parameter(name) - weight).norm())
        assert 0 < error < 0.02 * weight.norm() if name in every_step else error == 0, name
    assert 1e-3 < facts["weights_error"] < 2e-2
    for dtype in ("bfloat16", "float16"):
        assert tokens(copy, dtype).shape == (4, 50)


def test_a_copy_is_smaller_and_says_what_it_is(copies):
    original, copy, facts = copies("mono")
    size = (copy / "model.safetensors").stat().st_size
    assert facts["size_bytes"] == size < facts["size_before_bytes"] == (original / "model.safetensors").stat().st_size
    body = {k: v for k, v in load_file(original / "model.safetensors").items() if k.startswith("decoder.")}
    small = {k: v for k, v in load_file(copy / "model.safetensors").items() if k.startswith("decoder.")}
    weigh = [sum(tensor.nbytes for tensor in tensors.values()) for tensors in (body, small)]
    assert weigh[1] < 0.5 * weigh[0]
    said = describe(copy)
    assert said["weights"] == "int8" and said["weights_error"] == pytest.approx(facts["weights_error"], abs=1e-6)
    assert said["parameters"] == describe(original)["parameters"] and "weights" not in describe(original)
    if packing_supported():
        receipt = clavilux.load(copy, device="cpu").generate("rain", **SONG).receipt
        assert receipt["dtype"] == "int8"
        assert receipt["weights_error"] == pytest.approx(facts["weights_error"], rel=0.01)


def test_a_copy_needs_less_memory(copies):
    original, copy, _ = copies("mono")
    both = [describe(folder, 10)["memory_for_1_x_10_s_bytes"] for folder in (original, copy)]
    assert both[1] < both[0]


def test_shards_and_bins_become_one_file(musicgen, copies, tmp_path):
    original, copy, _ = copies("mono")
    state = load_file(original / "model.safetensors")
    state["text_encoder.encoder.embed_tokens.weight"] = state["text_encoder.shared.weight"]
    folder = shutil.copytree(original, tmp_path / "bin")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    write_int8(folder, tmp_path / "a")
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == sorted(file.name for file in copy.iterdir())
    musicgen("mono", "large")[1].save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    write_int8(tmp_path / "shards", tmp_path / "b")
    held = load_file(copy / "model.safetensors")
    for name in ("a", "b"):
        found = load_file(tmp_path / name / "model.safetensors")
        assert set(held) <= set(found) and all(torch.equal(found[key], held[key]) for key in held)


def test_numbers_that_half_precision_holds_are_kept_in_it(musicgen, tmp_path):
    folder = shutil.copytree(musicgen("mono")[0], tmp_path / "half")
    state = {name: t.half().float() for name, t in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors")
    write_int8(folder, tmp_path / "copy")
    found = load_file(tmp_path / "copy" / "model.safetensors")
    assert found["text_encoder.shared.weight"].dtype == torch.float16
    assert torch.equal(tokens(tmp_path / "copy", "float32").shape and found["enc_to_dec_proj.bias"].float(),
                       state["enc_to_dec_proj.bias"])  # fmt: skip


# The command, and what is wrong


def test_the_command(musicgen, tmp_path):
    said = call("quantize", musicgen("mono")[0], "-o", tmp_path / "small").stdout
    assert "weights error: 0.00" in said and str(tmp_path / "small") in said
    assert "int8" in call("info", tmp_path / "small").stdout
    call("render", "rain", "--model", tmp_path / "small", "--seconds", "0.1", "-o", tmp_path / "a.wav", "--quiet")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.wav", "small"]
    report = json.loads(call("quantize", musicgen("mono")[0], "-o", tmp_path / "b", "--json").stdout)
    assert report["size_bytes"] < report["size_before_bytes"]


def test_what_is_wrong_is_one_line(copies, musicgen, tmp_path):
    original, copy, _ = copies("mono")

    def refused(source, target):
        result = call("quantize", source, "-o", target, code=2)
        assert result.stdout == "" and len(result.stderr.splitlines()) == 1
        return result.stderr

    (tmp_path / "file").touch()
    assert "is there already" in refused(original, tmp_path / "file")
    assert "there is no folder" in refused(original, tmp_path / "no" / "copy")
    assert "int8 copy already" in refused(copy, tmp_path / "copy")
    assert "of the family 'aria'" in refused("aria", tmp_path / "copy")
    assert "neither a bundled model" in refused("nothing", tmp_path / "copy")
    broken = shutil.copytree(original, tmp_path / "broken")
    state = load_file(broken / "model.safetensors")
    state.pop("decoder.lm_heads.1.weight")
    save_file(state, broken / "model.safetensors")
    assert "lacks decoder.lm_heads.1.weight" in refused(broken, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "file"]


def test_damaged_copies_are_refused(copies, tmp_path):
    folder = shutil.copytree(copies("mono")[1], tmp_path / "copy")
    whole = load_file(folder / "model.safetensors")
    name = "decoder.lm_heads.1.weight"
    beside, inside = "text_encoder.encoder.block.0.layer.0.SelfAttention.q.weight", "encoder.block.0.*q.weight"
    rows = torch.ones(len(whole[beside]))
    for change, message in [
        ({name + "_scale": None}, f"no scale for the rows of {name}"),
        ({name + "_scale": whole[name + "_scale"][1:]}, f"no scale for the rows of {name}"),
        ({name + "_scale": whole[name + "_scale"] * torch.nan}, f"not finite in {name}"),
        ({name: whole[name][:, 1:].contiguous()}, rf"{name} is \(32, 47\), not \(32, 48\)"),
        ({"clavilux.int8_error": None}, f"has .*{name}_scale"),
        ({beside: torch.ones(whole[beside].shape, dtype=torch.int8), beside + "_scale": rows}, f"has {inside} in int8"),
    ]:
        save_file({k: v for k, v in (whole | change).items() if v is not None}, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=message):
            clavilux.load(folder, device="cpu", dtype="float32")


def test_a_full_disk_leaves_nothing(musicgen, tmp_path):
    """A limit on the size of files stands in for it."""
    limit = "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (40960, 40960)); "
    program = limit + "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from clavilux.cli import main; main()"
    command = [sys.executable, "-c", program, "quantize", str(musicgen("mono")[0]), "-o", str(tmp_path / "copy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("clavilux: Could not write"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
