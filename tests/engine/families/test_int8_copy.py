"""Int8 copies: smaller folders that load like the original, and nothing half-written."""

import json
import shutil
import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from commands import call
from safetensors.torch import load_file, save_file

import clavilux
from clavilux import precision
from clavilux.cli.info import describe
from clavilux.conditioning import Conditioning
from clavilux.errors import CheckpointError
from clavilux.families.int8 import FORMAT, OFFSETS
from clavilux.families.musicgen import transformers_layout
from clavilux.families.musicgen.int8_copy import write_int8
from clavilux.families.tensors import decoder_of, mapped, read_folder
from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.quantized import Int8Weight, packing_supported, quantize
from clavilux.packing import pack_for_gpu

pytest.importorskip("transformers")
packs = pytest.mark.skipif(not packing_supported(), reason="this processor has no kernels for packed weights")
SONG = {"seconds": 0.1, "seed": 5}


def tokens(folder, dtype):
    return clavilux.load(folder, device="cpu", dtype=dtype).generate("slow rain", **SONG).tokens


def decoder_in(folder):
    """As it is read, and placed nowhere."""
    sizes = transformers_layout.describe(folder, json.loads((folder / "config.json").read_text()))
    body = transformers_layout.body_of(read_folder(folder))
    return decoder_of(sizes.spec, mapped(body, transformers_layout.names(sizes))).eval()


def logits_of(decoder):
    random = torch.Generator().manual_seed(4)
    tokens = torch.randint(32, (2, decoder.spec.codebooks, 7), generator=random)
    memory = torch.randn(2, 3, decoder.spec.width, generator=random) if decoder.spec.cross_layers else None
    with torch.no_grad():
        return decoder(tokens, conditioning=Conditioning(memory=memory))


def in_format_1(original, copy, target):
    """A copy as version 0.1 wrote it: every matrix rounded as it is, every norm whole."""
    shutil.copytree(copy, target)
    exact, found = load_file(original / "model.safetensors"), load_file(copy / "model.safetensors")
    held = {
        name: tensor for name, tensor in found.items() if not name.endswith("_offset") and name not in (FORMAT, OFFSETS)
    }
    for name, tensor in found.items():
        if tensor.dtype == torch.int8:
            small = quantize(exact[name])
            held |= {name: small.values, name + "_scale": small.scale}
        elif "norm" in name:
            held[name] = exact[name]
    assert len(found) > len(held) + 6
    save_file(held, target / "model.safetensors")
    return target


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
def test_a_copy_in_format_1_gives_the_bits_of_the_original_in_int8(copies, kind, tmp_path):
    original, copy, _ = copies(kind)
    old = in_format_1(original, copy, tmp_path / "old")
    expected = tokens(original, "int8")
    assert len(expected.unique()) > 8
    for dtype in ("int8", "auto"):
        assert torch.equal(tokens(old, dtype), expected)
    both = [clavilux.load(path, device="cpu", dtype="int8").family.stage.decoder for path in (original, old)]
    assert torch.equal(*map(logits_of, both))
    assert describe(old)["weights_format"] == 1


def test_a_copy_in_format_1_keeps_its_norms_on_a_gpu(copies, tmp_path):
    decoder = decoder_in(in_format_1(*copies("mono")[:2], tmp_path / "old"))
    exact = logits_of(copy_of(decoder, plain=True))
    pack_for_gpu(decoder, "int8", torch.device("cpu"))
    assert {type(part.weight) for part in decoder.matrices().values()} == {Int8Weight}
    assert all(norm.weight is not None for norm, _ in decoder.normed_linears())
    torch.testing.assert_close(logits_of(decoder), exact, rtol=0, atol=0)


def copy_of(decoder, *, plain):
    """The same; plain: with the matrices that the int8 ones stand for."""
    other = deepcopy(decoder)
    if plain:
        precision._expand([part for part in other.modules() if isinstance(getattr(part, "weight", None), Int8Weight)],
                          torch.float32)  # fmt: skip
    return other


@packs
@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
def test_a_copy_is_near_the_original(copies, kind):
    original, copy, _ = copies(kind)
    exact = logits_of(decoder_in(original))
    for dtype in ("int8", "auto", "float32"):
        decoder = clavilux.load(copy, device="cpu", dtype=dtype).family.stage.decoder
        error = float((logits_of(decoder) - exact).norm() / exact.norm())
        assert 1e-3 < error < 5e-2, dtype
    assert len(tokens(copy, "int8").unique()) > 8


@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
def test_a_copy_is_folded_on_a_gpu_as_the_original_is(copies, kind):
    original, copy, facts = copies(kind)
    fresh, kept = decoder_in(original), decoder_in(copy)
    pack_for_gpu(fresh, "int8", torch.device("cpu"))
    assert pack_for_gpu(kept, "int8", torch.device("cpu")) == pytest.approx(facts["weights_error"], rel=0.01)
    kinds = {type(linear.weight) for _, linear in kept.normed_linears()}
    assert kinds == {FoldedWeight} and all(norm.weight is None for norm, _ in kept.normed_linears())
    assert all(linear.bias.dtype == torch.float32 for _, linear in kept.normed_linears())
    torch.testing.assert_close(logits_of(kept), logits_of(fresh), rtol=1e-5, atol=1e-5)


def test_a_copy_loads_in_other_numbers_too(copies):
    original, copy, facts = copies("mono")
    exact, rounded = decoder_in(original), copy_of(decoder_in(copy), plain=True)
    gains = {linear: norm.weight for norm, linear in exact.normed_linears()}
    every_step = exact.matrices()
    for name, weight in exact.named_parameters():
        linear, given = every_step.get(name.removesuffix(".weight")), rounded.get_parameter(name)
        if "norm" in name:
            assert bool((given == name.endswith("weight")).all()) and not torch.equal(weight, given.float())
        else:
            error = float((given - weight * gains.get(linear, 1)).detach().norm())
            assert 0 < error < 0.02 * float(weight.detach().norm()) if linear is not None else error == 0, name
    for norm, linear in exact.normed_linears():
        name = next(name for name, part in every_step.items() if part is linear)
        torch.testing.assert_close(rounded.get_parameter(f"{name}.bias"), linear.weight @ norm.bias)
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
    assert (
        said["weights"] == "int8"
        and said["weights_format"] == 2
        and said["weights_error"] == pytest.approx(facts["weights_error"], abs=1e-6)
    )
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
    offset, count = name + "_offset", int(whole[OFFSETS])
    for change, message in [
        ({FORMAT: torch.tensor([3])}, r"is an int8 copy in format 3; this version of clavilux reads 1 to 2"),
        ({FORMAT: torch.tensor([0])}, "in format 0"),
        ({FORMAT: torch.tensor([2.0])}, r"a format that is torch.float32 \(1,\)"),
        ({FORMAT: None}, f"has .*{offset}"),
        ({offset: whole[offset][1:].clone()}, rf"has {offset} as torch.float32 \(31,\); it should be 32 finite"),
        ({offset: whole[offset] * torch.nan}, f"has {offset} as .* finite"),
        ({offset: None}, rf"has {count - 1} offsets, and {OFFSETS} as \[{count}\]"),
        ({name: None for name in whole if name.endswith("_offset")}, f"has 0 offsets, and {OFFSETS}"),
        ({offset: None, OFFSETS: torch.tensor([count - 1])}, "has 3 of the 4 offsets"),
        ({OFFSETS: None}, f"has {count} offsets, and nothing of how many there should be"),
        ({name + "_scale": None}, f"no scale for the rows of {name}"),
        ({name + "_scale": whole[name + "_scale"][1:]}, f"no scale for the rows of {name}"),
        ({name + "_scale": whole[name + "_scale"] * torch.nan}, f"not finite in {name}"),
        ({name: whole[name][:, 1:].contiguous()}, rf"{name} is \(32, 47\), not \(32, 48\)"),
        ({"clavilux.int8_error": None}, f"has {FORMAT}, {OFFSETS}, .*_scale"),
        ({beside: torch.ones(whole[beside].shape, dtype=torch.int8), beside + "_scale": rows}, f"has {inside} in int8"),
    ]:
        save_file({k: v for k, v in (whole | change).items() if v is not None}, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=message):
            clavilux.load(folder, device="cpu", dtype="float32")
    save_file(whole | {FORMAT: torch.tensor([3])}, folder / "model.safetensors")
    assert "in format 3" in call("info", folder, code=2).stderr


def test_a_full_disk_leaves_nothing(musicgen, tmp_path):
    """A limit on the size of files stands in for it."""
    limit = "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (40960, 40960)); "
    program = limit + "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from clavilux.cli import main; main()"
    command = [sys.executable, "-c", program, "quantize", str(musicgen("mono")[0]), "-o", str(tmp_path / "copy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("clavilux: Could not write"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
